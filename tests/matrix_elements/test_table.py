"""The exact ansatz."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, exact
from neurho.dynamics.flow import follow, make_flow, start
from neurho.dynamics.integrate import DOPRI5, Method
from neurho.matrix_elements.networks import density_matrix, log_derivatives, parameter_count, table_from_matrix
from neurho.matrix_elements.tdvp.solvers import Ridge


@pytest.mark.parametrize(("sites", "dim"), [(3, 2), (2, 3)])
def test_holds_any_density_matrix(sites, dim):
    rho = helpers.random_state(np.random.default_rng(0), dim**sites)
    table = table_from_matrix(5 * rho, sites=sites, local_dim=dim)
    assert parameter_count(table) == 2 * dim ** (2 * sites)
    np.testing.assert_allclose(density_matrix(table), rho, rtol=0, atol=1e-14)


def test_holds_matrices_that_are_not_hermitian():
    rho = helpers.random_matrix(np.random.default_rng(1), 4)
    table = table_from_matrix(rho, sites=2)
    assert not table.hermitian
    np.testing.assert_allclose(density_matrix(table), rho / np.trace(rho), rtol=0, atol=1e-14)


def test_zeros_are_raised_to_the_floor():
    rho = np.diag([1.0, 0, 0, 0]).astype(complex)
    np.testing.assert_allclose(density_matrix(table_from_matrix(rho, sites=2, floor=1e-9)), rho, rtol=0, atol=4e-9)
    assert np.all(np.isfinite(table_from_matrix(rho, sites=2).elements))


def test_ratios_by_look_up():
    rho = helpers.random_state(np.random.default_rng(2), 4)
    amplitudes = table_from_matrix(rho, sites=2).amplitudes()
    x = jnp.asarray([0, 3])  # l = (0, 1), r = (0, 1)

    @jax.jit
    def to_flipped_column(amplitudes, x):
        change = amplitudes.prepare(jnp.asarray([0]), x[:1], jnp.asarray([1]))  # to l = (0, 1), r = (1, 1)
        return amplitudes.ratio(amplitudes.cache(x), change).value()

    np.testing.assert_allclose(to_flipped_column(amplitudes, x), rho[1, 3] / rho[1, 1], rtol=1e-12)


def test_derivatives_pick_one_entry():
    """d log rho(x)/d rho(x) = 1/rho(x)."""
    rho = helpers.random_state(np.random.default_rng(3), 2)
    table = table_from_matrix(rho, sites=1)
    found = jax.jit(jax.vmap(lambda x: log_derivatives(table, x)))(jnp.arange(4)[:, None])
    expected = np.hstack([np.diag(1 / rho.ravel()), np.diag(1j / rho.ravel())])
    np.testing.assert_allclose(found[:, 0] + 1j * found[:, 1], expected, rtol=1e-12)


def test_the_flow_is_exact_from_states_with_zeros():
    """Two spins that exchange excitations and decay at rate 0.2 each: <sz> = 2 N exp(-0.2 t)/2 - 1 from N = 1 of 2
    up, and from a Bell state all entries against the matrix exponential."""
    pair = helpers.lattice.chain(2)
    model = helpers.models.heisenberg(pair, coupling=(1.0, 1.0, 0.0), decay=0.2)
    neel = exact.product_state(np.array([[0, 0, 1.0], [0, 0, -1.0]]), 2)
    bell = np.zeros((4, 4), dtype=complex)
    bell[np.ix_([0, 3], [0, 3])] = 0.5
    flow = make_flow(model, solver=Ridge(1e-9), method=Method(DOPRI5), tolerance=1e-5)
    for rho in (neel, bell):
        state = start(flow, table_from_matrix(rho, sites=2), 0, 1e-3)
        *_, end = follow(flow, state, [0.0, 1.0], seed=0)
        found = density_matrix(end.state.ansatz)
        np.testing.assert_allclose(found, helpers.propagate(model, rho, 1.0), rtol=0, atol=2e-5)
        assert end.observables["sz"].mean == pytest.approx(np.exp(-0.2) - 1, abs=2e-5)


def test_refuses():
    with pytest.raises(
        NeurhoError, match=r"`sites` must give at most 4096 configurations for a table, but it gives 16384"
    ):
        table_from_matrix(np.eye(128), sites=7)
    with pytest.raises(NeurhoError, match=r"Argument `rho` must be finite, but it contains NaN or infinity\."):
        table_from_matrix(np.full((2, 2), np.nan), sites=1)
