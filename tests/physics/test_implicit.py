"""Implicit steps: searches for stationary states and projected evolutions against exact solutions, by exact sums."""

import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, NumericalError, config, exact, models
from neurho.dynamics.projected_steps import Projected, _try, begin_projected, follow_projected
from neurho.matrix_elements.estimation.observables import build_observables
from neurho.matrix_elements.fitting import fitted
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import density_matrix, parameters, product_state, random_rbm
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import (
    Automatic,
    Blurred,
    enumerate_all,
    enumerate_diagonal,
    metropolis,
    metropolis_diagonal,
    tuning,
)
from neurho.matrix_elements.symmetry import parity
from neurho.model import lattice
from neurho.model.operators import sz
from neurho.observables import Estimate, Quantity, pauli_quantities
from neurho.run.problem import build
from neurho.stationary_states.continuation import Continuation, begin, search_stationary

CHAIN = lattice.chain(3)
MODEL = models.heisenberg(CHAIN, field=[0.1, 0.0, 2.0], coupling=[0.5, 0.0, 0.2], decay=1.0)


def implicit(weight, *, sampler=None, trust=0.3):
    sampler = sampler or enumerate_all(3, hermitian=True)
    return Implicit(generator=lindbladian_map(MODEL), sampler=sampler, weight=weight, trust=trust)


def observables(sampler=None):
    return build_observables(pauli_quantities(CHAIN), sampler or enumerate_diagonal(3), 3)


def search(**options):
    problem = implicit(1.0)
    what = observables()
    return Continuation(implicit=problem, final=problem, observables=what, closing=what, **options)


def start_state():
    return random_rbm(jax.random.key(1), 3, hidden=3, mixing=3, scale=0.1)


def test_misfit_is_the_distance_to_the_implicit_image():
    """F of probe against dense matrices, for both weights, with different states."""
    origin, rho = helpers.network(0, hidden=3, mixing=3), helpers.network(1, hidden=3, mixing=3)
    x = np.asarray(enumerate_all(3).configurations)
    dense = helpers.liouvillian(MODEL)
    before, after = (np.exp(helpers.log_rho(n)) for n in (origin, rho))
    before, after = before / np.linalg.norm(before), after / np.linalg.norm(after)
    assert len(x) == len(before)
    for weight, dt in ((1.0, 0.7), (0.5, 0.05)):
        u = weight * dt / (1 + weight * dt)
        image = (np.eye(64) + (1 - weight) * dt * dense) @ before / (1 + weight * dt)
        target = (np.eye(64) - weight * dt * dense) @ after / (1 + weight * dt)
        scales = 1 + np.linspace(-2, 2, 400001)
        # min over g of |target - (1 + g) image|^2 + (u g)^2, by hand
        g = (np.vdot(image, target).real - np.vdot(image, image).real) / (np.vdot(image, image).real + u**2)
        expected = np.linalg.norm(target - (1 + g) * image) ** 2 + (u * g) ** 2
        assert scales[0] < 1 + g < scales[-1]
        problem = implicit(weight)
        found = problem.probe(
            jax.random.key(0), jnp.asarray(0.0), jnp.asarray(dt), rho, origin, jnp.zeros((0, 3), jnp.int32)
        )
        assert float(found.misfit.mean) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_a_correction_follows_the_gradient_of_the_misfit():
    """At large damping delta is minus the gradient of F/2 over the damping: compared with finite differences of F."""
    origin = helpers.network(0, hidden=3, mixing=3)
    problem, none = implicit(1.0, trust=1e9), jnp.zeros((0, 3), jnp.int32)
    t, dt, key = jnp.asarray(0.0), jnp.asarray(0.8), jax.random.key(0)
    vector, restore = parameters(helpers.network(1, hidden=3, mixing=3))

    def misfit(v):
        return float(problem.probe(key, t, dt, restore(v), origin, none).misfit.mean)

    probe = problem.probe(key, t, dt, restore(vector), origin, none)
    delta = np.asarray(problem.correct(t, dt, jnp.asarray(1e9), restore(vector), origin, probe).delta)
    direction = np.random.default_rng(0).normal(size=len(vector))
    slope = (misfit(vector + 1e-5 * direction) - misfit(vector - 1e-5 * direction)) / 2e-5
    basis = np.asarray(delta / np.linalg.norm(delta))
    steepest = (misfit(vector + 1e-5 * basis) - misfit(vector - 1e-5 * basis)) / 2e-5
    assert steepest < 0
    # Gradients agree along delta and along a random direction, up to one common factor.
    assert slope / steepest == pytest.approx(float(direction @ basis), rel=2e-3)


def test_search_finds_the_stationary_state():
    states = list(search_stationary(search(), begin(search(), start_state(), 0), seed=0, delta_l=2e-3, max_steps=80))
    last, truth = states[-1], exact.stationary_state(MODEL)
    values = exact.expectations(truth.rho, MODEL)
    assert last.converged
    assert last.diagnostics["delta_L"] < 2e-3
    for name in ("sx", "sy", "sz"):
        assert float(last.observables[name].mean) == pytest.approx(values[name], abs=3e-3)
    assert exact.trace_distance(density_matrix(last.state.ansatz), truth.rho) < 0.01
    assert all(a.t < b.t for a, b in itertools.pairwise(states))
    assert last.step < 100
    # Continued from any snapshot the numbers are the same.
    again = list(search_stationary(search(), states[5].state, seed=0, delta_l=2e-3, max_steps=80))
    np.testing.assert_array_equal(parameters(again[-1].state.ansatz)[0], parameters(last.state.ansatz)[0])
    assert len(again) == len(states) - 6


def test_a_search_that_fails_says_so():
    """And its last steps, ceil(6/4) = 2 after the fifth, measure what is measured with more samples."""
    closing = build_observables([Quantity("closing", (sz(0),), average=True)], enumerate_diagonal(3), 3)
    run = search()._replace(closing=closing)
    states = list(search_stationary(run, begin(run, start_state(), 0), seed=0, delta_l=1e-9, max_steps=5))
    assert not states[-1].converged
    assert [tuple(s.observables) == ("closing",) for s in states] == 5 * [False] + 3 * [True]
    with pytest.raises(NeurhoError, match="`delta_l` must be > 0"):
        next(search_stationary(search(), begin(search(), start_state(), 0), seed=0, delta_l=0.0))


def test_the_last_steps_take_refine_times_as_many_samples_of_p_and_of_q():
    small = ["lattice.shape=[3]", "ansatz.hidden=3", "ansatz.mixing=3", "observables.corrected=0", "task.refine=3"]
    run = build(config.load("fig3-continuation", small)).driver.search
    assert (run.implicit.sampler.chain.draws, run.final.sampler.chain.draws) == (8, 24)
    assert (run.observables.sampler.draws, run.closing.sampler.draws) == (16, 48)


@pytest.mark.slow
def test_sampled_search_in_a_sector(monkeypatch):
    """A short search with few samples: ||L rho||^2/||rho||^2 falls by more than five, and resuming is bit for bit, also
    where exponent and blur change from step to step."""
    monkeypatch.setattr(tuning, "ACCEPTANCE", 1.0)
    model = models.heisenberg(CHAIN, field=[0, 0, 1.0], coupling=[1.0, 0.3, 0.2], decay=1.0)
    charge, sizes = parity(), {"chains": 64, "warmup": 20}
    sampler = Blurred(metropolis(CHAIN, samples=512, exponent=1.5, charge=charge, **sizes), 0.3)
    problem = Implicit(generator=lindbladian_map(model), sampler=sampler, trust=0.2)
    what = build_observables(pauli_quantities(CHAIN), metropolis_diagonal(CHAIN, samples=512, **sizes), 3)
    automatic = Automatic(exponent=True, blur=True)
    run = Continuation(implicit=problem, final=problem, observables=what, closing=what, growth=1.4, automatic=automatic)
    ansatz = product_state(
        jax.random.key(0), [0, 0, -0.5], 3, hidden=3, mixing=3, noise=0.1, charge=charge, reach=1.0
    ).ansatz
    options = {"seed": 3, "delta_l": 1e-4, "max_steps": 12}
    watched = []
    states = list(search_stationary(run, begin(run, ansatz, 3), watch=watched.append, **options))
    assert all(state.attempt > 0 for state in watched), "a state saved before its output would lose that output"
    assert states[-1].diagnostics["lindblad_norm2"] < 0.2 * states[0].diagnostics["lindblad_norm2"]
    assert (states[0].diagnostics["exponent"], states[0].diagnostics["blur"]) == (1.5, 0.3)
    assert len({s.diagnostics["exponent"] for s in states}) > 5, "nothing was chosen"
    assert float(states[-1].observables["sx"].mean) == 0, "the sector has no coherence of a single spin"
    again = list(search_stationary(run, states[4].state, **options))
    np.testing.assert_array_equal(parameters(again[-1].state.ansatz)[0], parameters(states[-1].state.ansatz)[0])


@pytest.mark.slow
def test_projected_steps_follow_the_exact_evolution():
    prepared = product_state(jax.random.key(0), [1, 0, 0], 3, hidden=3, mixing=3, noise=0.05)
    problem = Projected(implicit=implicit(0.5), observables=observables(), tolerance=1e-4)
    times = [0.0, 0.1, 0.3, 0.5]
    watched = []
    begun = begin_projected(problem, prepared.ansatz, 0, 1e-2)
    states = list(follow_projected(problem, begun, times, seed=0, watch=watched.append))
    assert len(watched) == states[-1].step - 3, "a state saved before its output would lose that output"
    resumed = list(follow_projected(problem, watched[0], times, seed=0, first=False))
    assert [s.t for s in resumed] == [t for t in times if t > watched[0].t]
    truth = list(exact.evolve(MODEL, density_matrix(prepared.ansatz), times))
    for snapshot, rho in zip(states, truth, strict=True):
        values = exact.expectations(rho, MODEL)
        for name in ("sx", "sy", "sz"):
            assert float(snapshot.observables[name].mean) == pytest.approx(values[name], abs=0.02)
        found = density_matrix(snapshot.state.ansatz)
        off = np.linalg.norm(found / np.linalg.norm(found) - rho / np.linalg.norm(rho))
        assert off <= 2 * snapshot.diagnostics["error_estimate"] + 1e-12, "the estimate is too good"
    assert states[-1].step < 60
    again = list(follow_projected(problem, states[1].state, times, seed=0, first=False))
    np.testing.assert_array_equal(parameters(again[-1].state.ansatz)[0], parameters(states[-1].state.ansatz)[0])
    with pytest.raises(NumericalError, match="it has taken max_steps = 2 steps"):
        list(follow_projected(problem, begin_projected(problem, prepared.ansatz, 0, 1e-2), times, seed=0, max_steps=2))


class Noisy:
    """Stands for an `Implicit` whose misfits are given, each with the same error."""

    def __init__(self, misfits, error):
        self.misfits, self.error = iter(misfits), error

    def probe(self, *arguments):
        estimate = Estimate(mean=jnp.asarray(next(self.misfits)), error=jnp.asarray(self.error))
        return types.SimpleNamespace(misfit=estimate, chains=arguments[-1])

    def correct(self, t, dt, damping, ansatz, *_):
        return types.SimpleNamespace(delta=jnp.zeros_like(parameters(ansatz)[0]))


def test_the_error_of_a_step_is_two_standard_errors_above_the_smallest_misfit():
    """The smallest of several noisy numbers is too small by chance."""
    network, dt = helpers.network(0, hidden=3, mixing=3), 0.1
    run = Projected(implicit=Noisy([0.04, 0.01, 0.012], 0.003), observables=observables(), iterations=2)
    state = types.SimpleNamespace(ansatz=network, chains=None, t=0.0, tuning=None)
    trial = _try(run, state, dt, jax.random.key(0))
    assert trial.angle == pytest.approx(0.2 * 1.05)
    assert trial.misfit == pytest.approx(0.016**0.5 * 1.05)
    assert trial.share == pytest.approx(0.5), "whether the network fails is judged by the smallest itself"


def distance(network, other):
    a, b = (m / np.linalg.norm(m) for m in (density_matrix(network), density_matrix(other)))
    return np.linalg.norm(a - b)


@pytest.mark.slow
def test_a_fit_undoes_what_noise_costs_and_keeps_the_noise():
    noise = 0.1
    prepared = product_state(jax.random.key(0), [1, 0, 0], 3, hidden=3, mixing=3, noise=noise)
    begun, target = prepared.ansatz, prepared.target
    problem, none = implicit(0.5), jnp.zeros((0, 3), jnp.int32)
    assert distance(begun, target) > 0.1
    nearest = fitted(problem, begun, target, none, jax.random.key(1), corrections=25)
    assert distance(nearest, target) < 1e-4
    assert np.std(nearest.hidden_weights) > 0.3 * noise
    assert fitted(problem, begun, target, none, jax.random.key(1), corrections=0) is begun
    few = fitted(problem, begun, target, none, jax.random.key(1), corrections=3)
    assert distance(nearest, target) < distance(few, target) < distance(begun, target)


@pytest.mark.slow
def test_crank_nicolson_is_of_second_order():
    """One step of a state that the network can follow: the free precession and decay of product states."""
    model = models.heisenberg(lattice.chain(2), field=[0, 0, 1.5], decay=1.0)
    prepared = product_state(jax.random.key(0), [0.6, 0.2, 0.3], 2, hidden=0, mixing=2, noise=0.0)
    problem = Implicit(
        generator=lindbladian_map(model), sampler=enumerate_all(2, hermitian=True), weight=0.5, trust=1.0
    )
    what = build_observables(pauli_quantities(lattice.chain(2)), enumerate_diagonal(2), 2)
    errors = []
    for dt in (0.2, 0.1):
        run = Projected(implicit=problem, observables=what, tolerance=1.0, dt_max=dt, damping=1e-9)
        last = list(follow_projected(run, begin_projected(run, prepared.ansatz, 0, dt), [0.4], seed=0))[-1]
        rho = list(exact.evolve(model, density_matrix(prepared.ansatz), [0.0, 0.4]))[-1]
        errors.append(np.linalg.norm(density_matrix(last.state.ansatz) - rho))
    assert 3.0 < errors[0] / errors[1] < 5.5
