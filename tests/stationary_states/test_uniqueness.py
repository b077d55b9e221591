"""Several stationary states: they are noticed where they exist, and only there."""

import importlib
import types

import numpy as np
import pytest

import helpers
from neurho import config, models
from neurho.matrix_elements.generator import lindbladian_map
from neurho.model import lattice
from neurho.model.operators import Lindbladian, sm, sx, sz
from neurho.observables import Snapshot
from neurho.run.problem import build
from neurho.stationary_states.uniqueness import several_states

CHAIN = lattice.chain(3)


def null_vectors(model):
    values = np.linalg.svd(helpers.liouvillian(model), compute_uv=False)
    return int(np.sum(values < 1e-10 * values[0]))


def sentence(model):
    return several_states(model, lindbladian_map(model))


def dark():
    """Two spins that decay together: the singlet is as dark as all-down, and no one-site charge is conserved."""
    return Lindbladian(lattice.chain(2), 0.4 * sx(0) @ sx(1) + 0.4 * sz(0) @ sz(1), [(1.0, sm(0) + sm(1))])


CASES = {
    "decay": (helpers.driven_chain, ""),
    "complex": (helpers.current_chain, ""),
    "dephasing": (lambda: models.dephasing_chain(CHAIN), "at least 4 stationary states, one in each sector"),
    "parity": (
        lambda: Lindbladian(CHAIN, sx(0) @ sx(1) + 0.3 * sx(1) @ sx(2), [(1.0, sz(j)) for j in range(3)]),
        "the parity of their number (a strong symmetry): there are at least 2",
    ),
    "dark subspace": (dark, "its eigenvalue 0 is degenerate"),
    "free spins": (lambda: models.heisenberg(CHAIN, field=(1, 0, 0), decay=[1.0, 0, 0]), "eigenvalue 0 is degenerate"),
    "no jumps": (lambda: Lindbladian(CHAIN, sx(0) @ sx(1), []), "no dissipation"),
    "no rates": (lambda: models.heisenberg(CHAIN, field=(0, 0, 1), decay=0.0), "no dissipation"),
}


@pytest.mark.parametrize("case", CASES)
def test_several_states_are_noticed(case):
    make, wanted = CASES[case]
    found = sentence(make())
    assert (wanted in found) if wanted else found == ""
    assert (null_vectors(make()) > 1) == bool(wanted)


def test_strong_symmetries_are_noticed_on_large_lattices():
    large = lattice.chain(30)
    assert "at least 31" in sentence(models.dephasing_chain(large))
    assert sentence(models.xyz(large)) == ""


def test_a_run_says_so_first(monkeypatch):
    settings = config.loads(
        """
        [lattice]
        kind = "chain"
        shape = [2]
        [model]
        kind = "heisenberg"
        field = [0.3, 0.0, 1.0]
        decay = 0.0
        [ansatz]
        kind = "rbm"
        hidden = 2
        mixing = 2
        [initial]
        kind = "random"
        [sampling]
        kind = "enumeration"
        [task]
        kind = "stationary"
        max_steps = 2
        """
    )
    problem = build(settings)
    assert "no dissipation" in problem.several_states
    numerics = importlib.import_module("neurho.run.drivers.implicit_steps")
    made = [Snapshot(step=n, t=0.0, observables={}, diagnostics={}, state=None) for n in range(2)]
    monkeypatch.setattr(numerics, "begin", lambda *_, **__: types.SimpleNamespace(t=0.0))
    monkeypatch.setattr(numerics, "search_stationary", lambda *_, **__: iter(made))
    snapshots = list(problem.snapshots())
    assert snapshots[0].message == problem.several_states
    assert snapshots[1].message == ""
