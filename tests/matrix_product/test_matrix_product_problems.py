"""The method "matrix-product" of problem files: rows, errors, checkpoints and refusals."""

import io

import equinox as eqx
import jax
import numpy as np
import pytest

from neurho import config, exact
from neurho._types import NeurhoError
from neurho.run.problem import build

EVOLUTION = """
[lattice]
kind = "chain"
shape = [4]
[model]
kind = "heisenberg"
field = [0.0, 0.0, 1.0]
coupling = [2.0, 0.0, 1.0]
pulses = { coupling_x = "on" }
[pulses.on]
kind = "ramp"
first = 0.2
last = 1.0
end = 0.4
[initial]
bloch = [0.0, 0.0, 1.0]
[task]
kind = "evolve"
method = "matrix-product"
t = 0.6
points = 4
[observables]
correlations = true
structure = true
pairs = [[0, 2]]
on_bonds = { flow = "sx(i)*sy(j) - sy(i)*sx(j)" }
"""
STATIONARY = """
[lattice]
kind = "chain"
shape = [4]
[model]
kind = "ising"
transverse = 0.5
[task]
kind = "stationary"
method = "matrix-product"
bond = 16
tolerance = 1e-4
"""


def problem(text, **changes):
    settings = [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]
    return build(config.loads(text) if not settings else config.validate(_merged(text, settings), "here"))


def _merged(text, settings):
    import tomllib

    data = tomllib.loads(text)
    for setting in settings:
        key, _, value = setting.partition("=")
        table, name = key.split(".")
        data.setdefault(table, {})[name] = tomllib.loads(f"x = {value}")["x"]
    return data


def written_and_read(state, template):
    """A state as a checkpoint gives it back."""
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, state)
    buffer.seek(0)
    return eqx.tree_deserialise_leaves(buffer, template)


def same(a, b):
    for x, y in zip(jax.tree.leaves(a.state), jax.tree.leaves(b.state), strict=True):
        np.testing.assert_array_equal(x, y)
    for name, estimate in a.observables.items():
        np.testing.assert_array_equal(estimate.mean, b.observables[name].mean, err_msg=name)
        np.testing.assert_array_equal(estimate.error, b.observables[name].error, err_msg=name)


def test_rows_of_an_evolution_are_those_of_the_exact_one():
    built = problem(EVOLUTION)
    truth = problem(EVOLUTION.replace("matrix-product", "exact"))
    rows, wanted = list(built.snapshots()), list(truth.snapshots())
    assert [row.t for row in rows] == [row.t for row in wanted]
    for row, want in zip(rows, wanted, strict=True):
        assert set(row.observables) == set(want.observables)
        for name, estimate in row.observables.items():
            exactly = np.asarray(want.observables[name].mean)
            assert np.shape(estimate.error) == np.shape(estimate.mean) == np.shape(exactly)
            np.testing.assert_allclose(estimate.mean, exactly, atol=2e-5, err_msg=name)
            assert np.all(np.abs(estimate.mean - exactly) <= 2 * np.asarray(estimate.error) + 1e-8), name
    assert rows[-1].diagnostics["error_estimate"] < 1e-3


@pytest.mark.parametrize("text", [EVOLUTION, STATIONARY])
def test_a_run_resumes_to_the_last_bit(text):
    built = problem(text, task__bond=6)
    rows = list(built.snapshots())
    for seen in (0, len(rows) // 2):
        state = written_and_read(rows[seen].state, built.template())
        rest = list(built.snapshots(state))
        assert [row.step for row in rest] == [row.step for row in rows[seen + 1 :]]
        same(rest[-1], rows[-1])
        assert rest[-1].message == rows[-1].message


def test_a_stationary_state_converges_within_its_errors():
    built = problem(STATIONARY)
    *_, end = built.snapshots()
    assert end.converged
    rho = exact.stationary_state(built.lindbladian).rho
    values = exact.expectations(rho, built.lindbladian)
    for name, estimate in end.observables.items():
        assert np.all(np.abs(estimate.mean - values[name]) <= 2 * np.asarray(estimate.error)), name
        assert np.max(estimate.error) < 1e-2
    moved = exact.ExactLindbladian(built.lindbladian).apply(rho)
    assert np.linalg.norm(moved) < 1e-9
    assert end.diagnostics["lindblad_norm2"] < 1e-6


def test_a_search_that_runs_out_of_time_says_so():
    *_, end = problem(STATIONARY, task__t_max=3.0).snapshots()
    assert not end.converged
    assert "give more time" in end.message


@pytest.mark.parametrize(
    ("text", "changes", "sentence"),
    [
        (EVOLUTION, {"lattice__periodic": "true"}, "is periodic; open it"),
        (STATIONARY, {"lattice__kind": '"square"', "lattice__shape": "[5, 5]"}, "at most 4 sites wide"),
        (STATIONARY, {"model__decay": "0.0"}, "jump operator with a positive rate"),
        (EVOLUTION, {"initial__kind": '"random"'}, "initial"),
        (EVOLUTION, {"task__tolerance": "1e-3"}, "uses it for stationary states only"),
        (EVOLUTION, {"task__bond": "1"}, "task.bond"),
        (EVOLUTION, {"task__ridge": "1e-3"}, "does not use it"),
    ],
)
def test_what_does_not_fit_is_refused(text, changes, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        list(problem(text, **changes).snapshots())


def test_other_methods_refuse_the_keys_of_this_one():
    with pytest.raises(NeurhoError, match="does not use it"):
        problem(EVOLUTION.replace("matrix-product", "exact"), task__bond=8)
