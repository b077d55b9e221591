"""Method "outcomes": evolutions and searches against exact ones, by sums and by draws; resuming; what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import neurho
from neurho import NeurhoError, exact, outcomes
from neurho.model.operators import Lindbladian, sm, sx, sz
from neurho.outcomes.gauss_newton import least_squares
from neurho.records.checkpoints import pack, unpack

MODEL = neurho.xyz(neurho.chain(3))
TIMES = np.array([0.0, 0.1, 0.2])
NAMES = ("sx", "sy", "sz", "sxsx", "sysy", "szsz")
HIDDEN = 6
SAMPLES = 512


def asked(kind="evolve", **options):
    """A problem of three spins, ready to run."""
    task = {"kind": kind, "method": "outcomes", "hidden": HIDDEN} | options
    start = {"initial": {"kind": "product", "bloch": "+x"}} if kind == "evolve" else {}
    lattice = {"kind": "chain", "shape": [3], "periodic": False}
    return neurho.build(neurho.config.validate({"lattice": lattice, "model": {"kind": "xyz"}, "task": task, **start}))


def test_least_squares_of_a_line_and_of_a_valley():
    """A linear problem against NumPy, and the sum of squares that gradient descent is slow at."""
    rng = np.random.default_rng(0)
    matrix, b = rng.normal(size=(12, 4)), rng.normal(size=12)
    expected = np.linalg.lstsq(matrix, b, rcond=None)
    line = least_squares(lambda v, data: data[0] @ v - data[1], jnp.zeros(4), (matrix, b), steps=10, damping=1e-9)
    np.testing.assert_allclose(line.parameters, expected[0], atol=1e-6)
    np.testing.assert_allclose(line.cost, expected[1][0], rtol=1e-9)

    def valley(v, _):
        return jnp.stack([10 * (v[1] - v[0] ** 2), 1 - v[0]])

    start = jnp.array([-1.2, 1.0])
    found = least_squares(valley, start, (), steps=60, worth=0.0)
    assert scipy.optimize.rosen(np.asarray(found.parameters)) < 1e-10 < scipy.optimize.rosen(np.asarray(start))


@pytest.mark.slow
def test_an_evolution_by_sums():
    """Within what the run says that it has lost, and close."""
    run = list(asked(t=0.2, points=3).snapshots())
    truth = list(exact.evolve(MODEL, exact.product_state("+x", neurho.chain(3)), TIMES))
    for snapshot, rho in zip(run, truth, strict=True):
        expected = exact.expectations(rho, MODEL)
        off = max(abs(float(snapshot.observables[name].mean) - expected[name]) for name in NAMES)
        assert off < snapshot.diagnostics["error_local"] + 2 * snapshot.diagnostics["preparation"] + 1e-9
        assert off < 2e-3
    assert float(run[-1].observables["sz"].error) == 0
    moved = exact.expectations(truth[-1], MODEL)["sz"] - exact.expectations(truth[0], MODEL)["sz"]
    assert abs(moved) > 0.1  # what a run that stands still would miss


@pytest.fixture(scope="module")
def drawn():
    """An evolution by draws, its snapshots and the states between them."""
    problem, between = asked(t=0.2, points=3, samples=SAMPLES), []
    return problem, list(problem.snapshots(watch=between.append)), between


def test_a_run_goes_on_bit_for_bit(drawn, tmp_path):
    """From a checkpoint read back, and from a state between outputs."""
    problem, whole, between = drawn
    file = tmp_path / "state.eqx"
    file.write_bytes(pack(whole[1].state, {"fingerprint": ""}))
    for state in (unpack(file, problem.template(), "")[1], between[-1]):
        *_, end = problem.snapshots(state)
        for name, estimate in whole[-1].observables.items():
            np.testing.assert_array_equal(end.observables[name].mean, estimate.mean)
        assert end.diagnostics == whole[-1].diagnostics


def test_an_evolution_by_draws(drawn):
    """Means within five errors and what was lost; a false alarm once in 10^5 of 6 means, seed fixed."""
    end = drawn[1][-1]
    rho = list(exact.evolve(MODEL, exact.product_state("+x", neurho.chain(3)), TIMES))[-1]
    expected = exact.expectations(rho, MODEL)
    for name in NAMES:
        found = end.observables[name]
        assert 0 < found.error < 0.05
        assert abs(found.mean - expected[name]) < 5 * found.error + end.diagnostics["error_local"]
    assert end.diagnostics["error_local"] < 0.1
    pairs = [
        np.trace(part, axis1=a, axis2=b)
        for part, a, b in ((rho.reshape(4, 2, 4, 2), 1, 3), (rho.reshape(2, 4, 2, 4), 0, 2))
    ]
    assert abs(end.diagnostics["smallest_eigenvalue"] - min(np.linalg.eigvalsh(pair)[0] for pair in pairs)) < 0.05
    assert end.diagnostics["negativity"] < 1


@pytest.mark.parametrize("samples", [None, pytest.param(SAMPLES, marks=pytest.mark.slow)])
def test_a_stationary_state(samples):
    """Sums: within three times the goal for |E|; draws: within five errors and 0.02."""
    goal = 1e-3 if samples is None else 2e-2
    options = {} if samples is None else {"samples": samples}
    *_, end = asked("stationary", delta_L=goal, **options).snapshots()
    expected = exact.expectations(exact.stationary_state(MODEL).rho, MODEL)
    assert end.converged
    assert end.diagnostics["delta_L"] < goal
    for name in NAMES:
        found = end.observables[name]
        assert abs(found.mean - expected[name]) < (3 * goal if samples is None else 5 * found.error + 0.02)


@pytest.mark.slow
def test_purity_and_verdict_from_python():
    result = neurho.stationary(
        MODEL, method="outcomes", hidden=HIDDEN, delta_L=1e-3, observables={"purity": True}, progress=False
    )
    expected = np.linalg.norm(exact.stationary_state(MODEL).rho) ** 2
    assert abs(float(result["purity"].mean) - expected) < 1e-3
    assert result.verdict == "good"
    stopped = neurho.stationary(MODEL, method="outcomes", hidden=HIDDEN, max_steps=2, progress=False)
    assert not stopped.finished
    assert stopped.verdict != "good"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"lattice.shape": [10]}, r"`task\.samples` must be given for more than 9 sites"),
        ({"task.samples": 64, "observables.purity": True}, r"`observables\.purity` must be false where task\.samples"),
        ({"initial": {"kind": "random"}}, r"`initial\.kind` must be \"product\" for an evolution by outcomes"),
        ({"task.samples": 10}, r"task\.samples"),
        ({"task.kind": "stationary", "task.tolerance": 1e-3}, r"`task\.tolerance` must be left out"),
        ({"task.bond": 8}, r"`task\.bond` must be left out"),
    ],
)
def test_sentences(data, sentence):
    problem = {
        "lattice": {"kind": "chain", "shape": [3]},
        "model": {"kind": "xyz"},
        "initial": {"kind": "product", "bloch": "+x"},
        "task": {"kind": "evolve", "t": 1.0, "method": "outcomes"},
    }
    for key, value in data.items():
        table, _, name = key.partition(".")
        problem[table] = value if not name else problem.get(table, {}) | {name: value}
    if problem["task"]["kind"] == "stationary":
        del problem["task"]["t"]
    with pytest.raises(NeurhoError, match=sentence):
        neurho.build(neurho.config.validate(problem))


def test_an_evolution_with_a_pulse():
    """Switched on between outputs, then turning: within what the run says that it has lost, and close."""
    sites = neurho.chain(3)
    pulse = neurho.pulses.function(lambda t: (8 - 40 * t) * (t > 0.04), breaks=(0.04,))
    energy = sz(0) @ sz(1) + sz(1) @ sz(2) + pulse * (sx(0) + sx(1) + sx(2))
    model = Lindbladian(sites, energy, [(1.0, sm(site)) for site in range(3)])
    times = np.array([0.0, 0.1])
    result = neurho.solve(model, "+y", times, method="outcomes", hidden=HIDDEN, tolerance=1e-5, progress=False)
    truth = [exact.expectations(rho, model) for rho in exact.evolve(model, exact.product_state("+y", sites), times)]
    for k, expected in enumerate(truth):
        found = result.dataset.isel(t=k)
        off = max(abs(float(found[name]) - expected[name]) for name in NAMES)
        assert off < found.error_local + 2 * found.preparation + 1e-9
        assert off < 5e-4
    assert abs(truth[-1]["sz"]) > 0.4  # what a run that stands still, or moves from the beginning, would miss
    assert result.verdict == "good"


def test_rates_need_a_time():
    model = Lindbladian(neurho.chain(1), (lambda t: 2 * t) * sx(0), [(1.0, sm(0))])
    still = Lindbladian(neurho.chain(1), 0.6 * sx(0), [(1.0, sm(0))])
    found, expected = outcomes.outcome_rates(model, 0.3), outcomes.outcome_rates(still)
    np.testing.assert_allclose(found[0].matrix, expected[0].matrix, atol=1e-15)
    with pytest.raises(NeurhoError, match=r"`t` must be given where L depends on time"):
        outcomes.outcome_rates(model)
