"""The state of another run as the start of a run without a network: strings of operators, and exact matrices."""

import numpy as np
import pytest

import helpers
from neurho import correlators as co
from neurho import exact, records
from neurho._types import NeurhoError
from neurho.config import dumps, fingerprint, loads
from neurho.dynamics.flow import RunState
from neurho.matrix_elements.networks import density_matrix
from neurho.model import lattice
from neurho.observables import Estimate, Snapshot
from neurho.run.problem import build

RING = """
[lattice]
kind = "chain"
shape = [5]
periodic = true
[model]
kind = "xyz"
coupling = [0.9, {jy}, 1.0]
[task]
kind = "stationary"
method = "{method}"
"""
QUENCH = """
[lattice]
kind = "chain"
shape = [5]
periodic = true
[model]
kind = "heisenberg"
field = [{field}, 0.0, 0.3]
coupling = [0.9, 0.5, 1.0]
[initial]
run = "{run}"
[task]
kind = "evolve"
method = "{method}"
t = 0.6
points = 4
"""


def stationary(method="correlators", jy=1.2, **task):
    return RING.format(method=method, jy=jy) + "".join(f"{key} = {value}\n" for key, value in task.items())


def quench(run, method="correlators", field=0.4, **task):
    return QUENCH.format(run=run, method=method, field=field) + "".join(f"{k} = {v}\n" for k, v in task.items())


def rows(text):
    return list(build(loads(text, "quench")).snapshots())


def finished(path, text):
    """A run directory of a problem."""
    problem = build(loads(text, "source"))
    config = problem.config
    run = records.create(path, dumps(config), fingerprint=fingerprint(config), seed=0)
    for snapshot in problem.snapshots():
        run.record(snapshot)
    run.save()
    return str(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        "exact": finished(folder / "exact", stationary("exact")),
        "correlators": finished(folder / "correlators", stationary()),
        "cut": finished(folder / "cut", stationary(weight=4)),
    }


@pytest.fixture(scope="module")
def truth(runs):
    """Means of the exact evolution from the exact stationary state, by the field that breaks parity or not."""
    return {field: rows(quench(runs["exact"], "exact", field)) for field in (0.4, 0.0)}


def largest(found, wanted):
    """The largest difference of any mean at any time."""
    return max(
        float(np.max(np.abs(a.observables[name].mean - b.observables[name].mean)))
        for a, b in zip(found, wanted, strict=True)
        for name in a.observables
    )


def test_matrices_and_strings_are_the_same():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(9, 9)) + 1j * rng.normal(size=(9, 9))
    rho = a @ a.conj().T
    np.testing.assert_allclose(co.from_correlators(co.to_correlators(rho, 2)), rho, atol=1e-12)


def test_moments_about_another_product():
    rng = np.random.default_rng(2)
    rho = exact.product_state([(0.2, -0.3, 0.5), (0.1, 0.4, -0.2), (-0.5, 0.1, 0.3)], lattice.chain(3))
    a = rng.normal(size=(8, 8))
    mixed = 0.5 * rho + 0.5 * a @ a.T / np.trace(a @ a.T)
    known = co.dense(mixed, 3)
    means = rng.uniform(-0.5, 0.5, size=(3, 4))
    means[:, 0] = 0
    word, letters = (1, 3, 2), co.letters(2)
    factors = [letters[a] - means[j, a] * np.eye(2) for j, a in enumerate(word)]
    wanted = np.trace(np.kron(np.kron(factors[0], factors[1]), factors[2]) @ mixed).real
    string = co.Strings(np.array([[0, 1, 2]], dtype=np.int32), np.array([word], dtype=np.int8))
    assert co.moments_about(known, string, means)[0] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("field", [0.4, 0.0])
@pytest.mark.parametrize(("source", "method"), [("correlators", "correlators"), ("exact", "correlators")])
def test_without_a_cut_a_quench_is_exact(runs, truth, source, method, field):
    found = rows(quench(runs[source], method, field))
    assert largest(found, truth[field]) < 2e-6
    before = rows(stationary("exact"))[-1].observables["sz"].mean
    assert abs(found[0].observables["sz"].mean - before) < 2e-6
    assert abs(found[-1].observables["sz"].mean - before) > 1e-2  # so that something happens


def test_an_exact_run_begins_with_all_strings(runs, truth):
    assert largest(rows(quench(runs["correlators"], "exact")), truth[0.4]) < 2e-6
    with pytest.raises(NeurhoError, match="keeps strings of at most 4 of 5 sites"):
        rows(quench(runs["cut"], "exact"))


@pytest.mark.parametrize("task", [{}, {"weight": 4}])
def test_a_start_that_was_cut_has_an_error(runs, truth, task):
    found = rows(quench(runs["cut"], **task))
    assert ("kept all strings of at most 4 sites" in found[0].message) == (not task)
    for name in ("sx", "sy", "sz", "sxsx", "szsz"):
        off = [
            abs(float(a.observables[name].mean - b.observables[name].mean))
            for a, b in zip(found, truth[0.4], strict=True)
        ]
        bars = [float(a.observables[name].error) for a in found]
        assert all(o <= b for o, b in zip(off, bars, strict=True)), (name, off, bars)
    worst = largest(found[:1], truth[0.4][:1])
    assert 1e-5 < worst < 0.1


def test_a_symmetry_that_the_model_breaks_is_given_up(runs):
    plain, broken = (build(loads(quench(runs["correlators"], field=f), "quench")).driver.picture for f in (0.0, 0.4))
    assert len(plain.symmetry.signs) == 1
    assert len(broken.symmetry.signs) == 0
    assert len(broken.symmetry.moves) == len(plain.symmetry.moves) == 10


def test_symmetries_that_a_state_lacks_are_given_up(tmp_path):
    tilted = quench("unused", "exact").replace(
        'run = "unused"', "bloch = [[0.6, 0.0, 0.1]" + ", [0.0, 0.0, -1.0]" * 4 + "]"
    )
    source = finished(tmp_path / "tilted", tilted)
    known = build(loads(quench(source, field=0.0), "quench"))
    assert len(known.driver.picture.symmetry.moves) == 2  # the reflection about site 0
    assert len(known.driver.picture.symmetry.signs) == 0
    assert largest(list(known.snapshots()), rows(quench(source, "exact", 0.0))) < 2e-6


def test_a_quench_goes_on_from_the_end_of_an_evolution(runs, truth, tmp_path):
    first = finished(tmp_path / "first", quench(runs["correlators"]))
    again = rows(quench(first))
    wanted = rows(quench(finished(tmp_path / "exactly", quench(runs["exact"], "exact")), "exact"))
    assert largest(again[:1], truth[0.4][-1:]) < 2e-6
    assert largest(again, wanted) < 3e-6


def test_a_run_that_begins_with_a_state_goes_on_with_the_same_numbers(runs):
    text = quench(runs["cut"], weight=4)
    whole = rows(text)
    again = list(build(loads(text, "quench")).snapshots(whole[1].state))
    assert largest(again, whole[2:]) == 0


def test_products_of_mixed_states_and_neel():
    """Product starts are exact whatever they are: mixed, different on every site, along z."""
    mixed = "[[0.3, 0.0, 0.1], [0.0, 0.0, 0.0], [-0.2, 0.5, 0.3], [0.0, 0.1, -0.9]]"
    for bloch in (mixed, '"neel"'):
        text = quench("unused").replace('run = "unused"', f"bloch = {bloch}").replace("[5]", "[4]")
        found, wanted = rows(text), rows(text.replace('"correlators"', '"exact"'))
        assert largest(found, wanted) < 2e-6, bloch
    assert float(found[0].observables["sz"].mean) == pytest.approx(0.0, abs=1e-12)


def test_a_small_network_is_a_start(tmp_path):
    text = stationary("continuation").replace("shape = [5]", "shape = [3]") + (
        '[ansatz]\nkind = "rbm"\nhidden = 6\nmixing = 3\ntranslations = true\n[initial]\nkind = "random"\n'
        '[sampling]\nkind = "metropolis"\nsamples = 4\nchains = 2\n'
    )
    config = loads(text, "source")
    network = helpers.tied_network(1, lattice.chain(3, periodic=True))
    run = records.create(tmp_path / "network", dumps(config), fingerprint=fingerprint(config), seed=0)
    chains = np.zeros((2, 3), dtype=np.int32)
    state = RunState(ansatz=network, chains=chains, diagonal_chains=chains, step=0, t=0.0, dt=0.1)
    zero = Estimate(mean=np.zeros(3), error=np.zeros(3))
    run.record(Snapshot(step=0, t=0.0, observables={"sz_site": zero}, diagnostics={}, state=state))
    run.save()
    first = rows(quench(tmp_path / "network").replace("shape = [5]", "shape = [3]"))[0]
    wanted = np.trace(np.kron(co.letters(2)[3], np.eye(4)) @ density_matrix(network)).real
    assert first.observables["sz_site"].mean[0] == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("shape = [5]", "shape = [4]"), "it lives on"),
        (("RUN", "no/such/run"), "There is no run directory `no/such/run`."),
    ],
)
def test_what_does_not_fit_is_one_sentence(runs, change, sentence):
    text = quench("RUN").replace(*change).replace("RUN", runs["correlators"])
    with pytest.raises(NeurhoError) as caught:
        build(loads(text, "quench"))
    assert str(caught.value).startswith("Key `initial.run` must be a run whose last state fits this problem: ")
    assert sentence in str(caught.value)


def test_levels_must_be_the_same(runs):
    text = quench(runs["correlators"])
    start, end = text.index("[model]"), text.index("[initial]")
    three = '[model]\nkind = "custom"\nlocal_dim = 3\njumps = [{ on = "sites", operator = "a(i)", rate = 1.0 }]\n'
    with pytest.raises(NeurhoError, match="its sites have 2 levels, those of this problem 3"):
        build(loads(text[:start] + three + text[end:], "quench"))


def test_a_method_without_strings_is_refused(tmp_path):
    text = stationary("matrix-product").replace("periodic = true", "periodic = false")
    config = loads(text, "source")
    records.create(tmp_path / "chain", dumps(config), fingerprint=fingerprint(config), seed=0)
    asked = quench(tmp_path / "chain").replace("periodic = true", "periodic = false")
    with pytest.raises(NeurhoError, match="leaves no strings"):
        build(loads(asked, "quench"))
