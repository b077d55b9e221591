"""Derivatives of L rho: the hidden-unit engine and automatic differentiation against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.estimation.derivatives import LocalDerivatives
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import log_derivatives, table_from_matrix


@pytest.mark.parametrize(("dim", "sites"), [(2, 3), pytest.param(3, 2, marks=pytest.mark.slow)])
def test_rows_are_those_of_the_dense_lindbladian(dim, sites):
    """M(x) = sum_x' L[x, x'] rho(x') O(x') / rho(x)."""
    model = helpers.driven_chain() if dim == 2 else helpers.random_lindbladian(1, sites, dim, widest=2)
    network = helpers.network(0, sites, local_dim=dim)
    x = jnp.asarray(helpers.configurations(sites, dim))
    o = np.asarray(jax.jit(jax.vmap(lambda x: log_derivatives(network, x)))(x))
    o = o[:, 0] + 1j * o[:, 1]
    rho = np.exp(helpers.log_rho(network))
    dense = helpers.liouvillian(model)
    found = jax.jit(jax.vmap(LocalDerivatives.build(network, lindbladian_map(model))))(x)
    expected = dense @ (rho[:, None] * o) / rho[:, None]
    np.testing.assert_allclose(found.moved[:, 0] + 1j * found.moved[:, 1], expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.o[:, 0] + 1j * found.o[:, 1], o, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.local, dense @ rho / rho, rtol=1e-9)


@pytest.mark.slow
def test_other_ansatzes_are_differentiated():
    model = helpers.random_lindbladian(0, 2)
    table = table_from_matrix(helpers.random_state(np.random.default_rng(0), 4), sites=2)
    derivatives = LocalDerivatives.build(table, lindbladian_map(model))
    d = derivatives(jnp.array([1, 2], dtype=jnp.int32))
    rho = np.exp(np.asarray(jax.vmap(table.log_amplitude)(jnp.asarray(helpers.configurations(2)))))
    # One parameter pair for each entry: O_y(x) = delta_xy/rho(x), so M_y(x) = L[x, y]/rho(x).
    expected = helpers.liouvillian(model)[6] / rho[6]
    moved = np.asarray(d.moved[0] + 1j * d.moved[1])
    assert np.isclose(np.sort(np.abs(moved[: len(rho)])), np.sort(np.abs(expected)), rtol=1e-8).all()
