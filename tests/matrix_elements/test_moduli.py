"""|rho| in float32 against log rho in double or extended precision: what acceptance steps believe."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_ndm import literal

import helpers
from neurho.matrix_elements.networks import Reevaluated
from neurho.matrix_elements.symmetry import parity

SITES, STEPS, WALKS = 3, 8, 256


@jax.jit
def follow(moduli, x, sites, new):
    """log |rho(x')/rho(x)| of every step of many walks, refreshed at the beginning, as in a sweep."""

    def step(state, change):
        (x, cache), (site, label) = state, change
        log_r, cache = moduli.propose(cache, moduli.prepare(site[None], x[site, None], label[None]))
        return (x.at[site].set(label), cache), log_r

    def walk(x, sites, new):
        return jax.lax.scan(step, (x, moduli.refresh(moduli.cache(x))), (sites, new))[1]

    return jax.vmap(walk)(x, sites, new)


def steps(ansatz, values):
    """Found and expected logarithms along random walks."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (WALKS, SITES)).astype(np.int32)
    sites, new = (rng.integers(0, n, (WALKS, STEPS)).astype(np.int32) for n in (SITES, 4))
    place, expected = x.copy(), []
    index = np.ravel_multi_index(tuple(place.T), (4,) * SITES)
    for step in range(STEPS):
        place[np.arange(WALKS), sites[:, step]] = new[:, step]
        after = np.ravel_multi_index(tuple(place.T), (4,) * SITES)
        expected.append((values[after] - values[index]).real)
        index = after
    moduli = (ansatz.amplitudes() if hasattr(ansatz, "amplitudes") else ansatz).moduli()
    return np.asarray(follow(moduli, *map(jnp.asarray, (x, sites, new)))), np.stack(expected, axis=1).astype(float)


@pytest.mark.parametrize("reach", [0.0, 1000.0])
def test_rbm(reach):
    """|Re theta| up to `reach`, of both signs."""
    rbm = helpers.network(6, hidden=16, mixing=3, scale=1.0)
    bias = jnp.linspace(-reach, reach, 16)
    rbm = eqx.tree_at(lambda r: r.hidden_bias, rbm, rbm.hidden_bias.at[0].add(bias))
    found, expected = steps(rbm, helpers.log_rho(rbm, np.clongdouble))
    assert found.dtype == np.float32
    assert np.abs(expected).max() > 5
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize("weight", [2.5, 5.0, 13.0])
def test_large_changes(weight):
    """Theta moves by up to twice the weight a step: what grows must not be lost to overflow (infinity is accepted, and
    NaN rejects for ever).
    """
    rbm = helpers.network(7, hidden=16, mixing=3)
    weights = rbm.hidden_weights.at[0].set(weight)
    rbm = eqx.tree_at(lambda r: (r.hidden_bias, r.hidden_weights), rbm, (rbm.hidden_bias.at[0].set(1.0), weights))
    found, expected = steps(rbm, helpers.log_rho(rbm))
    assert np.abs(expected).max() > 40 * weight
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("reach", [0.0, 1000.0])
def test_ndm(reach):
    """Real units to the power 1/2, and no trace of those that make the phase."""
    ndm = helpers.neural_density_matrix(2, SITES, hidden=17, mixing=5)
    ndm = eqx.tree_at(lambda a: a.hidden_bias, ndm, ndm.hidden_bias + jnp.linspace(-reach, reach, 17))
    found, expected = steps(ndm, literal(ndm, np.clongdouble))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=3e-4)


def test_reevaluated():
    rbm = helpers.network(2, hidden=2, mixing=1)
    found, expected = steps(Reevaluated(rbm), helpers.log_rho(rbm))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_changes_out_of_the_sector_are_never_accepted():
    """A finite number stands for minus infinity, because it is multiplied by zero where other changes are picked."""
    moduli = dataclasses.replace(helpers.network(0, SITES), charge=parity(2)).amplitudes().moduli()
    x, site = jnp.zeros(SITES, jnp.int32), jnp.zeros(1, jnp.int32)

    @jax.jit
    @jax.vmap
    def propose(new):
        return moduli.propose(moduli.cache(x), moduli.prepare(site, site, new[None]))[0]

    found = propose(jnp.arange(4, dtype=jnp.int32))
    assert np.isfinite(found).all()
    assert [value < -1e30 for value in found] == [False, True, True, False]
