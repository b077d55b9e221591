"""The paper's density matrix: Hermitian, positive, differentiable, for spins and for three levels."""

import equinox as eqx
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurho import NeurhoError
from neurho.ansatz import density_matrix, log_derivatives, parameter_count, parameters, random_rbm
from neurho.ansatz.rbm import level_features

CASES = [(3, 2, {"hidden": 2, "mixing": 3}), (2, 3, {"hidden": 2, "mixing": 2})]


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
def test_density_matrix_is_equation_two(sites, dim, sizes):
    rbm = helpers.network(1, sites, local_dim=dim, **sizes)
    rho = density_matrix(rbm)
    assert np.trace(rho) == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(rho, helpers.matrix_of(helpers.literal_table(rbm), sites, dim), rtol=0, atol=1e-14)
    assert np.abs(rho - np.diag(np.diag(rho))).max() > 1e-2, "nothing off the diagonal"


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
def test_hermitian_and_positive_for_all_parameters(sites, dim, sizes):
    for seed, scale in enumerate([0.1, 0.3, 1.0, 3.0]):
        rho = density_matrix(helpers.network(seed, sites, local_dim=dim, scale=scale, **sizes))
        np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14)
        assert np.linalg.eigvalsh(rho).min() > -1e-13


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
def test_amplitudes_are_those_of_the_ansatz(sites, dim, sizes):
    """The tables of hidden units, built from the parameters, against the matrix-vector form."""
    rbm = helpers.network(2, sites, local_dim=dim, **sizes)
    x = jnp.asarray(helpers.configurations(sites, dim))
    found, expected = jax.jit(lambda r: (jax.vmap(r.amplitudes().log_amplitude)(x), jax.vmap(r.log_amplitude)(x)))(rbm)
    np.testing.assert_allclose(np.exp(found - expected), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sites", "dim", "sizes"), CASES)
def test_log_derivatives_are_finite_differences(sites, dim, sizes):
    rbm = helpers.network(3, sites, local_dim=dim, **sizes)
    vector, restore = parameters(rbm)
    x = jnp.asarray(helpers.configurations(sites, dim))
    found = jax.jit(jax.vmap(lambda x: log_derivatives(rbm, x)))(x)
    assert found.shape == (len(x), 2, len(vector))
    for k in range(len(vector)):
        ahead, behind = (helpers.log_rho(restore(vector.at[k].add(h))) for h in (1e-5, -1e-5))
        # exp of differences: the branch of a complex logarithm has no meaning
        slope = np.log(np.exp(ahead - behind)) / 2e-5
        np.testing.assert_allclose(found[:, 0, k] + 1j * found[:, 1, k], slope, rtol=0, atol=1e-8)


def test_parameters_round_trip():
    rbm = helpers.network(4)
    vector, restore = parameters(rbm)
    assert vector.shape == (parameter_count(rbm),) == (6 + 4 + 12 + 3 + 18,)
    assert eqx.tree_equal(restore(vector), rbm) is True or bool(eqx.tree_equal(restore(vector), rbm))
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
    rbm = random_rbm(jax.random.key(0), 3, hidden=40, mixing=50, scale=0.3)
    vector, _ = parameters(rbm)
    assert len(vector) == 6 + 80 + 240 + 50 + 300
    assert np.std(vector) == pytest.approx(0.3, rel=0.15)
    assert abs(np.mean(vector)) < 5 * 0.3 / np.sqrt(len(vector))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hidden": -1, "mixing": 1}, r"Argument `hidden` must be >= 0, but it is -1\."),
        ({"hidden": 1, "mixing": -2}, r"Argument `mixing` must be >= 0, but it is -2\."),
        ({"hidden": 1, "mixing": 1, "scale": -0.1}, r"Argument `scale` must be >= 0, but it is -0\.1\."),
    ],
)
def test_random_rbm_refuses(options, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        random_rbm(jax.random.key(0), 2, **options)
