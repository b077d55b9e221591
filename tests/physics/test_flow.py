"""Trajectories against closed forms and exact propagation."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import exact
from neurho.dynamics.flow import evolve, follow, start
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import density_matrix, parameters, product_state, table_from_matrix
from neurho.matrix_elements.sampling import enumerate_all
from neurho.matrix_elements.symmetry import parity
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.matrix_elements.tdvp.solvers import Ridge, SpectralCutoff
from neurho.model import lattice
from neurho.model.models import heisenberg
from neurho.model.operators import Lindbladian, sm, sz
from systems import closed_forms

KEY = jax.random.key(0)


@cache
def pair():
    return heisenberg(lattice.chain(2), field=(0.6, 0.1, 0.3), coupling=(0.5, 0.2, 0.4), decay=1.0)


def exact_at(model, rho, t):
    return list(exact.evolve(model, rho, [0.0, t], tolerance=1e-12))[-1]


def flow_by(model, ansatz, t, *, tolerance, solver, centred=True, metric=1.0):
    sampler = enumerate_all(model.sites)
    norm = None if metric == 1 else Depolarised.build(metric, sampler)
    tdvp = TDVP(generator=lindbladian_map(model), sampler=sampler, solver=solver, centred=centred, norm=norm)
    vector, restore = parameters(ansatz)
    return helpers.move(tdvp, vector, restore, t, tolerance=tolerance)


@pytest.mark.parametrize(
    ("centred", "metric"), [(True, 1.0), (False, 1.0), (True, 0.3)], ids=["Fubini-Study", "plain", "depolarised"]
)
def test_a_table_follows_the_master_equation(centred, metric):
    """Every entry of rho is a parameter: the flow is exact. In the plain norm it also keeps the trace; in the
    Fubini-Study norm, and in a depolarised one, the scale is projected out; the shortest velocity keeps its norm."""
    model, t = pair(), 0.4
    rho = helpers.random_state(np.random.default_rng(1), 4)
    end = flow_by(
        model,
        table_from_matrix(rho, sites=2),
        t,
        tolerance=1e-6,
        solver=SpectralCutoff(1e-12),
        centred=centred,
        metric=metric,
    )
    expected = exact_at(model, rho, t)
    np.testing.assert_allclose(expected, helpers.propagate(model, rho, t), rtol=0, atol=1e-12)
    np.testing.assert_allclose(density_matrix(end), expected, rtol=0, atol=1e-5)
    rows, columns = helpers.label_index(2, 2)
    trace = np.sum(end.elements[0][rows == columns])
    if centred:
        assert np.linalg.norm(end.elements) == pytest.approx(np.linalg.norm(rho), rel=1e-5)
        assert abs(trace - 1) > 1e-4
    else:
        assert trace == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "make",
    [closed_forms.free_spins, pytest.param(closed_forms.dephasing_pair, marks=pytest.mark.slow)],
    ids=lambda m: m.__name__,
)
def test_solvable_systems(make):
    """Products of decaying spins stay within Eq. 2; ZZ couplings with dephasing nearly so, with two hidden units."""
    system = make()
    model, t = system.lindbladian, 0.5
    sites = model.sites
    initial = product_state(KEY, system.bloch, sites, hidden=2, mixing=3, noise=0.0 if sites == 3 else 0.02)
    end = flow_by(model, initial.ansatz, t, tolerance=1e-5, solver=Ridge(1e-9))
    found = exact.expectations(density_matrix(end), model, t=t, structure=True)
    for name, value in system.means(t).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=2e-4 if sites == 3 else 2e-2, err_msg=name)


def test_a_step_next_to_a_pole_does_not_leap():
    """Its error has hardly any weight in the metric of either end, but it would turn both spins around."""
    model = heisenberg(lattice.chain(2), field=(0, 0, 1.0), coupling=(2.0, 0, 1.0), decay=1.0)
    up = product_state(1, "up", 2, hidden=2, mixing=2, charge=parity())
    sampler = enumerate_all(2, hermitian=True, charge=parity())
    *_, last = evolve(model, up, [0.0, 0.05], sampler=sampler)
    expected, found = exact_at(model, density_matrix(up), 0.05), density_matrix(last.state.ansatz)
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.slow
def test_driven_chain():
    """Three spins from a mixed product state, all observables at several times within 0.02 of the exact ones."""
    model, flow, times = helpers.driven_chain(), helpers.chain_flow(), [0.0, 0.2, 0.5, 1.0]
    initial = product_state(KEY, (0.3, 0.2, 0.6), 3, hidden=4, mixing=6, noise=0.02).ansatz
    states = list(exact.evolve(model, density_matrix(initial), times, tolerance=1e-12))
    steps = 0
    for snapshot, rho in zip(follow(flow, start(flow, initial, 0, 1e-2), times, seed=0), states, strict=True):
        expected = exact.expectations(rho, model)
        assert set(snapshot.observables) == set(expected) - {"purity", "renyi2", "energy"}
        for name, estimate in snapshot.observables.items():
            np.testing.assert_allclose(
                estimate.mean, expected[name], rtol=0, atol=0.02, err_msg=f"{name}, t = {snapshot.t}"
            )
        assert exact.delta_rho(density_matrix(snapshot.state.ansatz), rho) < 0.05
        assert snapshot.step >= steps
        steps = snapshot.step
    assert snapshot.t == 1.0
    assert abs(expected["sz"] - 0.6) > 0.3, "nothing happened"


@pytest.mark.slow
def test_certificate_is_that_of_the_state():
    """delta_L and ||L rho||^2/||rho||^2 of a snapshot from the dense Lindbladian."""
    flow, rbm = helpers.chain_flow(), helpers.network(0, hidden=4, mixing=6)
    snapshot = next(iter(follow(flow, start(flow, rbm, 0, 1e-2), [0.0], seed=0)))
    rho = helpers.literal_table(rbm)
    rate, p = helpers.dense() @ rho, np.abs(rho) ** 2 / np.sum(np.abs(rho) ** 2)
    assert snapshot.diagnostics["delta_L"] == pytest.approx(np.sum(p * np.abs(rate / rho)), rel=1e-10)
    assert snapshot.diagnostics["lindblad_norm2"] == pytest.approx(
        np.linalg.norm(rate) ** 2 / np.linalg.norm(rho) ** 2, rel=1e-10
    )
    assert not {"r_hat", "tau", "ess"} & set(snapshot.diagnostics), "exact sums have no chains to diagnose"
    assert "residual" not in snapshot.diagnostics
    assert snapshot.step == 0


def test_time_dependent_drive_and_rates():
    """A precession and a decay modulated in time: the closed form of `modulated_spin`."""
    system = closed_forms.modulated_spin()
    model, t = jax_model(), 0.9
    initial = product_state(KEY, system.bloch, 1, hidden=0, mixing=1, noise=0.0).ansatz
    end = flow_by(model, initial, t, tolerance=1e-5, solver=Ridge(1e-9))
    found = exact.expectations(density_matrix(end), model, t=t)
    for name, value in system.means(t).items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=3e-4, err_msg=name)


def jax_model():
    """`modulated_spin` with functions that JAX can trace."""
    return Lindbladian(
        lattice.chain(1),
        1.5 * sz(0) * (lambda t: jnp.cos(3 * t)),
        [(lambda t: 0.8 * (1 + 0.5 * jnp.sin(3 * t)), sm(0))],
    )
