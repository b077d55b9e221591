"""The NDM against its formula written out: amplitudes, ratios, updates, Hermiticity and positivity."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_hidden import changes, complex_cache, follow

import helpers
from neurho import NeurhoError
from neurho.matrix_elements.networks import density_matrix, parameter_count, random_ndm

SIZES = {"hidden": 17, "mixing": 5}
"""Two blocks of real units, the last one padded."""


def literal(ndm, dtype=np.complex128):
    """log rho of all configurations, as in PRL 122, 250503, written out."""
    d = ndm.local_dim
    x, level = helpers.configurations(ndm.sites, d), helpers.features(d).astype(dtype)
    left, right = (level[digits].reshape(len(x), -1) for digits in (x // d, x % d))
    a, b, w, c, u = (
        np.asarray(v, dtype)
        for v in (ndm.visible, ndm.hidden_bias, ndm.hidden_weights, ndm.mixing_bias, ndm.mixing_weights)
    )
    rows, columns = (
        [side @ a[n] + np.sum(helpers.log_cosh(b[n] + side @ w[n].T), axis=1) for n in (0, 1)] for side in (left, right)
    )
    mixed = c + (left + right) @ u[0].T / 2 + 1j * (left - right) @ u[1].T / 2
    pure = rows[0] / 2 + columns[0] / 2 + 1j * (rows[1] - columns[1]) / 2
    return pure + np.sum(helpers.log_cosh(mixed), axis=1)


@pytest.mark.parametrize("local_dim", [2, 3])
def test_log_amplitude_is_the_formula(local_dim):
    ndm = helpers.neural_density_matrix(1, 2, local_dim=local_dim, **SIZES)
    x = jnp.asarray(helpers.configurations(2, local_dim))
    expected = literal(ndm)
    for amplitudes in (ndm, ndm.amplitudes()):
        found = jax.jit(jax.vmap(amplitudes.log_amplitude))(x)
        np.testing.assert_allclose(np.exp(found - expected), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reach", [0.0, 1000.0])
def test_ratios_and_updates(reach):
    """Also where cosh of all real units overflows."""
    ndm = helpers.neural_density_matrix(2, **SIZES)
    ndm = eqx.tree_at(lambda a: a.hidden_bias, ndm, ndm.hidden_bias + jnp.linspace(-reach, reach, 17))
    values = literal(ndm, np.clongdouble)
    start, end, sites, new = changes(1)
    x = jnp.asarray(helpers.configurations(3)[start])
    modulus, ratio, updated, fresh = follow(ndm.amplitudes(), x, sites, new)
    difference = (values[end] - values[start]).astype(complex)
    np.testing.assert_allclose(modulus, difference.real, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ratio, np.exp(difference), rtol=1e-9)
    for one, other in zip((updated.p, updated.q), (fresh.p, fresh.q), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(complex_cache(updated.mixing), complex_cache(fresh.mixing), rtol=1e-9)


def test_hermitian_and_positive():
    rho = density_matrix(helpers.neural_density_matrix(3, scale=0.8))
    np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14)
    assert np.linalg.eigvalsh(rho).min() > -1e-14
    assert np.abs(rho.imag).max() > 1e-3


def test_parameters_are_as_many_as_those_of_the_rbm():
    """836 for N = 16, M = Mtilde = 12, as many as `netket.models.NDM(alpha=0.75, beta=0.75)`."""
    assert parameter_count(helpers.neural_density_matrix(0, 16, hidden=12, mixing=12)) == 836


def test_random_parameters():
    ndm = random_ndm(jax.random.key(0), 3, hidden=40, mixing=2, scale=0.1)
    assert float(jnp.std(ndm.hidden_weights)) == pytest.approx(0.1, rel=0.2)
    with pytest.raises(NeurhoError, match=r"Argument `hidden` must be a whole number >= 0, but it is -1\."):
        random_ndm(jax.random.key(0), 3, hidden=-1, mixing=2)
