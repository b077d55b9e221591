"""Runs as a whole: sampled against exact right-hand sides, resuming, and relaxing to a stationary state."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, NumericalError, exact
from neurho.dynamics import flow as evolution
from neurho.dynamics.flow import RunState, follow, make_flow, relax, start
from neurho.dynamics.integrate import advance
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import density_matrix, product_state
from neurho.matrix_elements.sampling import enumerate_all, metropolis
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.matrix_elements.tdvp.solvers import Ridge
from neurho.model import lattice
from neurho.model.operators import Lindbladian, sm, sx, sy, sz

RIDGE = 0.05
GOAL = 0.025
"""The network stalls at delta_L = 0.02: Eq. 2 with these sizes holds no better state."""


@cache
def model():
    """Two coupled spins on a lattice without bonds: fewer moves to compile."""
    hamiltonian = 0.7 * sx(0) + 0.4 * sz(1) + 0.5 * sx(0) * sx(1) + 0.3 * sy(0) * sy(1)
    return Lindbladian(lattice.from_edges([], sites=2), hamiltonian, [(1.0, sm(0)), (0.8, sm(1))])


@cache
def sampled_flow():
    plain = metropolis(model().lattice, samples=512, chains=256)  # every sample weighs the same
    numerics = {"solver": Ridge(RIDGE), "tolerance": 2e-3, "certificate": False}
    return make_flow(model(), samples=512, chains=256, sampler=plain, **numerics)


def begin():
    """Random diagonal chains, without the warm-up, which would be compiled for itself."""
    chains = jnp.asarray(3 * np.random.default_rng(0).integers(0, 2, size=(256, 2)), dtype=jnp.int32)
    ansatz = helpers.network(1, 2, scale=0.2)
    return RunState(ansatz=ansatz, chains=chains, diagonal_chains=chains, step=0, t=0.0, dt=4e-3)


@pytest.mark.slow
def test_sampled_forces_and_velocities_are_those_of_exact_sums():
    """Averages over 100 evaluations, with errors from 20 batches: within five standard errors. The velocity is not
    linear in the samples: at 512 of them its bias is allowed 5 % of its size."""
    tdvp, state = sampled_flow().tdvp, begin()
    exactly = TDVP(generator=lindbladian_map(model()), sampler=enumerate_all(2), solver=Ridge(RIDGE))
    t = jnp.asarray(0.0, dtype=float)
    wanted = exactly(jax.random.key(0), t, state.ansatz, exactly.sampler.configurations[:0])
    forces, velocities, chains = [], [], state.chains
    for n in range(110):
        rates = tdvp(jax.random.fold_in(jax.random.key(1), n), t, state.ansatz, chains)
        chains = rates.chains
        forces.append(rates.metric.force)
        velocities.append(rates.velocity)
    assert 0.05 < rates.certificate.acceptance < 1
    assert rates.certificate.ess == pytest.approx(512, rel=1e-12)
    for found, exact_value, scatter, bias in (
        (forces, wanted.metric.force, 0.03, 0.005),
        (velocities, wanted.velocity, 0.03, 0.05),
    ):
        batches = np.asarray(found[10:]).reshape(20, 5, -1).mean(axis=1)
        error = batches.std(axis=0, ddof=1) / np.sqrt(20)
        size = np.abs(exact_value).max()
        assert error.max() < scatter * size
        assert np.all(np.abs(batches.mean(axis=0) - exact_value) < 5 * error + bias * size)


def test_a_run_continued_from_any_snapshot_is_the_same_run():
    """Bit for bit: observables with errors, diagnostics and states; from a copy of the state in NumPy, as in a file."""
    flow, times = sampled_flow(), [0.0, 0.01, 0.03, 0.06]
    whole = list(follow(flow, begin(), times, seed=5))
    assert [s.t for s in whole] == times
    assert whole[-1].step > len(times), "too few steps to tell"
    for number, snapshot in enumerate(whole[:-1]):
        state = jax.tree.map(lambda a: np.array(a) if isinstance(a, jax.Array) else a, snapshot.state)
        again = list(follow(flow, state, times, seed=5, first=False))
        assert len(again) == len(whole) - number - 1
        for one, other in zip(whole[number + 1 :], again, strict=True):
            assert jax.tree.structure(one.state) == jax.tree.structure(other.state)
            for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
                np.testing.assert_array_equal(a, b)
    for one, other in itertools.pairwise(whole):
        assert np.any(one.state.chains != other.state.chains)
        assert np.any(one.state.diagonal_chains != other.state.diagonal_chains), (
            "the chains of q(l) start anew each time"
        )
    other_seed = next(itertools.islice(follow(flow, begin(), times, seed=6), 1, None))
    assert np.any(other_seed.state.chains != whole[1].state.chains)


def test_a_run_continued_between_two_outputs_is_the_same_run():
    """From any state that a watcher saw; no output may be skipped or repeated."""
    times, flow, seen = [0.0, 0.02, 0.05], sampled_flow(), []
    whole = list(follow(flow, begin(), times, seed=5, watch=seen.append))
    assert len(seen) + len(times) == whole[-1].step + 1  # all steps but those that lead to an output
    for state in (seen[0], seen[-1]):
        rest = [snapshot for snapshot in whole if snapshot.t > state.t]
        again = list(follow(flow, state, times, seed=5, first=False))
        assert [snapshot.t for snapshot in again] == [snapshot.t for snapshot in rest]
        for one, other in zip(again, rest, strict=True):
            assert one.observables["sz"].mean == other.observables["sz"].mean
            assert one.diagnostics == other.diagnostics


def test_every_step_draws_with_its_own_key(monkeypatch):
    keys = []

    def record(method, control, rhs, key, *rest):
        keys.append(tuple(jax.random.key_data(key).tolist()))
        return advance(method, control, rhs, key, *rest)

    monkeypatch.setattr(evolution, "advance", record)
    last = list(follow(sampled_flow(), begin(), [0.01, 0.03, 0.06], seed=5))[-1]
    assert len(keys) == len(set(keys)) == last.step > 4


def test_steps_are_limited():
    with pytest.raises(
        NumericalError, match=r"The run stopped at t = .* before 0\.06: it has taken max_steps = 1 steps"
    ):
        list(follow(sampled_flow(), begin(), [0.06], seed=5, max_steps=1))


@pytest.mark.slow
def test_relaxation_to_the_stationary_state():
    """delta_L falls to its goal, the last snapshot says so, and its observables are those of the null vector of L."""
    flow, system = helpers.chain_flow(), helpers.driven_chain()
    initial = product_state(jax.random.key(0), (0.3, 0.2, 0.0), 3, hidden=4, mixing=6, noise=0.1).ansatz
    snapshots = list(relax(flow, start(flow, initial, 0, 1e-2), np.arange(0, 30, 1.0), seed=0, delta_l=GOAL))
    assert [s.converged for s in snapshots] == [False] * (len(snapshots) - 1) + [True]
    assert 3 < len(snapshots) < 30
    assert snapshots[-1].diagnostics["delta_L"] <= GOAL < snapshots[-2].diagnostics["delta_L"]
    rho = exact.stationary_state(system).rho
    expected = exact.expectations(rho, system)
    for name, estimate in snapshots[-1].observables.items():
        np.testing.assert_allclose(estimate.mean, expected[name], rtol=0, atol=0.02, err_msg=name)
    assert exact.trace_distance(density_matrix(snapshots[-1].state.ansatz), rho) < 0.03
    assert abs(expected["sz"]) > 0.2


def test_relaxation_refuses():
    flow = helpers.chain_flow()
    with pytest.raises(NeurhoError, match=r"Argument `delta_l` must be > 0, but it is 0\."):
        next(relax(flow, None, [0.0], seed=0, delta_l=0))
    with pytest.raises(NeurhoError, match=r"Argument `flow` must measure the certificate"):
        next(relax(flow._replace(certificate=False), None, [0.0], seed=0, delta_l=0.1))
