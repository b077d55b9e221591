"""The paper's density matrix: Hermitian, positive, differentiable, for spins and for three levels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import helpers
from neurho import NeurhoError
from neurho.matrix_elements.networks import density_matrix, log_derivatives, parameter_count, parameters, random_rbm
from neurho.matrix_elements.networks.rbm import level_features

CASES = [(3, 2, {"hidden": 2, "mixing": 3}), (2, 3, {"hidden": 2, "mixing": 2})]


@jax.jit
def both_forms(rbm, x):
    """log rho by matrix-vector products with l and r, and from the tables of hidden units."""
    return jax.vmap(rbm.log_amplitude)(x), jax.vmap(rbm.amplitudes().log_amplitude)(x)


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
def test_both_forms_are_equation_two(sites, dim, sizes):
    rbm = helpers.network(1, sites, local_dim=dim, **sizes)
    expected = helpers.log_rho(rbm)
    assert np.ptp(expected.real) > 1
    for found in both_forms(rbm, jnp.asarray(helpers.configurations(sites, dim))):
        np.testing.assert_allclose(np.exp(found - expected), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0, 3.0])
def test_hermitian_and_positive_for_all_parameters(sites, dim, sizes, scale):
    rbm = helpers.network(int(10 * scale), sites, local_dim=dim, scale=scale, **sizes)
    values = np.asarray(both_forms(rbm, jnp.asarray(helpers.configurations(sites, dim)))[0])
    rho = helpers.matrix_of(np.exp(values - values.real.max()), sites, dim)
    np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14)
    assert np.linalg.eigvalsh(rho).min() > -1e-13


def test_density_matrix():
    rbm = helpers.network(1)
    rho = density_matrix(rbm)
    assert np.trace(rho) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(rho, helpers.matrix_of(helpers.literal_table(rbm), 3), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
def test_log_derivatives_are_finite_differences(sites, dim, sizes):
    rbm = helpers.network(3, sites, local_dim=dim, **sizes)
    vector, restore = parameters(rbm)
    x = jnp.asarray(helpers.configurations(sites, dim))
    found = jax.jit(jax.vmap(lambda x: log_derivatives(rbm, x)))(x)
    assert found.shape == (len(x), 2, len(vector))
    for k in range(len(vector)):
        step = np.zeros(len(vector))
        step[k] = 1e-5
        ahead, behind = (helpers.log_rho(restore(vector + h)) for h in (step, -step))
        # exp of differences: the branch of a complex logarithm has no meaning
        slope = np.log(np.exp(ahead - behind)) / 2e-5
        np.testing.assert_allclose(found[:, 0, k] + 1j * found[:, 1, k], slope, rtol=1e-7, atol=1e-8)


def test_parameters_round_trip():
    rbm = helpers.network(4)
    vector, restore = parameters(rbm)
    assert vector.shape == (parameter_count(rbm),) == (6 + 4 + 12 + 3 + 18,)
    assert bool(eqx.tree_equal(restore(vector), rbm))
    moved = restore(vector + 1)
    np.testing.assert_array_equal(moved.mixing_bias, rbm.mixing_bias + 1)
    assert (moved.sites, moved.local_dim) == (3, 2)


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_level_features_are_orthogonal(dim):
    """Contrasts: orthogonal, of mean square one, and blind to a constant."""
    features = level_features(dim)
    np.testing.assert_allclose(features, helpers.features(dim), rtol=0, atol=1e-15)
    np.testing.assert_allclose(features.T @ features, dim * np.eye(dim - 1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(features.sum(axis=0), 0, rtol=0, atol=1e-12)


def test_random_rbm():
    """Normal numbers of the stated standard deviation, other ones in every array."""
    one, other = (
        parameters(random_rbm(jax.random.key(0), 3, hidden=2, mixing=3, scale=scale))[0] for scale in (1.0, 0.3)
    )
    np.testing.assert_allclose(other, 0.3 * one, rtol=1e-15)
    assert len(np.unique(one)) == 43
    assert scipy.stats.kstest(one, "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hidden": -1, "mixing": 1}, r"Argument `hidden` must be a whole number >= 0, but it is -1\."),
        ({"hidden": 1, "mixing": -2}, r"Argument `mixing` must be a whole number >= 0, but it is -2\."),
        ({"hidden": 1, "mixing": 1, "scale": -0.1}, r"Argument `scale` must be >= 0, but it is -0\.1\."),
    ],
)
def test_random_rbm_refuses(options, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        random_rbm(jax.random.key(0), 2, **options)


def test_a_seed_stands_for_its_key():
    sizes = {"hidden": 2, "mixing": 3}
    seeded, keyed = (parameters(random_rbm(key, 3, **sizes))[0] for key in (5, jax.random.key(5)))
    assert np.array_equal(seeded, keyed)
    for key in (0.5, None, np.zeros(2)):
        with pytest.raises(NeurhoError, match=r"`key` must be a random key or a whole number >= 0"):
            random_rbm(key, 3, **sizes)
