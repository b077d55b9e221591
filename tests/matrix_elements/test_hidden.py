"""The hidden-unit engine against Eq. 2 written out: ratios, cache updates, and how far they reach."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.networks import Reevaluated
from neurho.matrix_elements.networks.hidden_units import log_cosh

SITES = 3
MANY = {"hidden": 16, "mixing": 3}
"""35 hidden units: three blocks of the product, the last one padded."""


def changes(k):
    """Every change of the labels of every ordered set of k sites of every configuration, and where it leads."""
    x = helpers.configurations(SITES)
    rows = [
        (index, sites, new)
        for index in range(len(x))
        for sites in itertools.permutations(range(SITES), k)
        for new in itertools.product(range(4), repeat=k)
    ]
    start, sites, new = (np.array(column) for column in zip(*rows, strict=True))
    ends = x[start].copy()
    np.put_along_axis(ends, sites, new.astype(np.int32), axis=1)
    return start, np.ravel_multi_index(tuple(ends.T), (4,) * SITES), sites.astype(np.int32), new.astype(np.int32)


@jax.jit
def follow(amplitudes, x, sites, new):
    """Ratio and updated cache of a batch of changes, and the cache of the changed configuration from scratch."""

    def one(x, sites, new):
        cache, change = amplitudes.cache(x), amplitudes.prepare(sites, x[sites], new)
        ratio = amplitudes.ratio(cache, change)
        return (
            ratio.log_modulus(),
            ratio.value(),
            amplitudes.update(cache, change),
            amplitudes.cache(x.at[sites].set(new)),
        )

    return jax.vmap(one)(x, sites, new)


def complex_cache(cache):
    """p and q of a cache of the hidden-unit engine as complex numbers."""
    return np.array(
        [np.asarray(cache.p_re) + 1j * np.asarray(cache.p_im), np.asarray(cache.q_re) + 1j * np.asarray(cache.q_im)]
    )


def ratios(amplitudes, k):
    start, end, sites, new = changes(k)
    return start, end, follow(amplitudes, jnp.asarray(helpers.configurations(SITES)[start]), sites, new)


def phase_difference(value, expected):
    return np.abs(np.angle(value * np.exp(-1j * expected)))


def test_log_cosh():
    rng = np.random.default_rng(0)
    z = 5 * helpers.random_matrix(rng, 20)
    far = np.array([1e3 + 0.3j, -1e3 + 0.3j, -700 - 2j])
    found = np.asarray(jax.jit(log_cosh)(jnp.asarray(np.append(z, far))))
    np.testing.assert_allclose(np.exp(found[:-3]), np.cosh(z).ravel(), rtol=1e-13)
    found = found[-3:]
    np.testing.assert_allclose(found.real, np.abs(far.real) - np.log(2), rtol=1e-15)
    np.testing.assert_allclose(np.exp(1j * found.imag), np.exp(1j * np.sign(far.real) * far.imag), rtol=1e-12)


def test_log_amplitude_is_equation_two():
    rbm = helpers.network(1, **MANY)
    found = jax.jit(jax.vmap(rbm.amplitudes().log_amplitude))(jnp.asarray(helpers.configurations(SITES)))
    expected = helpers.log_rho(rbm)
    np.testing.assert_allclose(np.exp(found - expected), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2])
def test_ratios_and_updates(k):
    rbm = helpers.network(2, **MANY)
    values = helpers.log_rho(rbm)
    start, end, (_, ratio, updated, fresh) = ratios(rbm.amplitudes(), k)
    np.testing.assert_allclose(ratio, np.exp(values[end] - values[start]), rtol=1e-12)
    np.testing.assert_allclose(complex_cache(updated), complex_cache(fresh), rtol=1e-12)


@pytest.mark.parametrize("reach", [30.0, 300.0, 1000.0])
def test_ratios_at_large_angles(reach):
    """|Re theta| up to `reach`, of both signs, against extended precision."""
    rbm = helpers.network(3, **MANY)
    bias = np.linspace(-reach, reach, 16)
    rbm = eqx.tree_at(
        lambda r: (r.hidden_bias, r.mixing_bias),
        rbm,
        (rbm.hidden_bias.at[0].set(bias), jnp.asarray([reach, 0, -reach]) / 2),
    )
    values = helpers.log_rho(rbm, np.clongdouble)
    start, end, (modulus, ratio, updated, fresh) = ratios(rbm.amplitudes(), 1)
    difference = (values[end] - values[start]).astype(complex)
    assert np.abs(values.real).max() > 3 * reach
    np.testing.assert_allclose(modulus, difference.real, rtol=0, atol=1e-10)
    assert np.max(phase_difference(ratio, difference.imag)) < 1e-10
    np.testing.assert_allclose(complex_cache(updated), complex_cache(fresh), rtol=1e-10, atol=1e-300)


def test_ratios_over_large_changes():
    """Weights that move every theta by 19: 2 Delta = 38 is below the 44 that the module promises, while the product of
    all 32 factors, e^1216, is not a number that floating point knows."""
    rbm = helpers.network(4, **MANY)
    rbm = eqx.tree_at(lambda r: r.hidden_weights, rbm, rbm.hidden_weights.at[0].set(9.5))
    values = helpers.log_rho(rbm, np.clongdouble)
    start, end, (modulus, ratio, _, _) = ratios(rbm.amplitudes(), 1)
    difference = (values[end] - values[start]).astype(complex)
    assert np.abs(difference.real).max() > 100
    np.testing.assert_allclose(modulus, difference.real, rtol=0, atol=1e-10)
    representable = np.abs(difference.real) < 700
    assert np.max(phase_difference(ratio, difference.imag)[representable]) < 1e-10


def test_ratios_near_a_zero():
    """theta close to i pi/2, where cosh vanishes: relative accuracy is lost in proportion to the distance only."""
    distance = 1e-6
    rbm = helpers.network(5, **MANY)
    rbm = eqx.tree_at(
        lambda r: (r.hidden_bias, r.hidden_weights),
        rbm,
        (
            rbm.hidden_bias.at[:, 0].set([distance, np.pi / 2]),
            rbm.hidden_weights.at[:, 0].set(0.0).at[0, 0, 1].set(0.7),
        ),
    )
    values = helpers.log_rho(rbm, np.clongdouble)
    start, end, (_, ratio, _, _) = ratios(rbm.amplitudes(), 1)
    np.testing.assert_allclose(ratio, np.exp((values[end] - values[start]).astype(complex)), rtol=1e-15 / distance)


def test_reevaluated_gives_the_same_ratios():
    rbm = helpers.network(2, **MANY)
    values = helpers.log_rho(rbm)
    slow = Reevaluated(rbm)
    start, end, (_, ratio, updated, fresh) = ratios(slow, 2)
    np.testing.assert_allclose(ratio, np.exp(values[end] - values[start]), rtol=1e-12)
    np.testing.assert_array_equal(updated[0], fresh[0])
