"""Exact sums: all configurations, half of them for Hermitian matrices, and the diagonal."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError
from neurho.matrix_elements.sampling import enumerate_all, enumerate_diagonal
from neurho.matrix_elements.symmetry import parity
from neurho.model import lattice

KEY = jax.random.key(0)


def draw(sampler, rbm):
    found, chains, info = jax.jit(lambda s, a: s.sample(KEY, a, s.init(KEY, a)))(sampler, rbm.amplitudes())
    assert chains.shape == (0, rbm.sites)
    assert info.acceptance == 1
    return np.asarray(found.x), np.asarray(found.weight)


@pytest.mark.parametrize(("sites", "dim"), [(3, 2), (2, 3)])
def test_all(sites, dim):
    rbm = helpers.network(0, sites, local_dim=dim)
    x, weight = draw(enumerate_all(sites, dim), rbm)
    rho = helpers.literal_table(rbm)
    np.testing.assert_array_equal(x, helpers.configurations(sites, dim)[None])
    np.testing.assert_allclose(weight[0], np.abs(rho) ** 2 / np.sum(np.abs(rho) ** 2), rtol=1e-11)


@pytest.mark.parametrize(("sites", "dim"), [(3, 2), (2, 3)])
def test_half_gives_full_sums(sites, dim):
    """Averages of functions that are complex conjugate at (l, r) and (r, l): real parts are those of the full sum."""
    rbm = helpers.network(1, sites, local_dim=dim)
    x, weight = draw(enumerate_all(sites, dim, hermitian=True), rbm)
    rho = helpers.literal_table(rbm)
    count, levels = dim ** (2 * sites), dim**sites
    assert x.shape == (1, (count + levels) // 2, sites)
    assert weight.sum() == pytest.approx(1, abs=1e-14)
    index = np.ravel_multi_index(tuple(x[0].T), (dim**2,) * sites)
    p = np.abs(rho) ** 2 / np.sum(np.abs(rho) ** 2)
    matrix = helpers.random_matrix(np.random.default_rng(0), levels)
    function = (matrix + matrix.conj().T)[helpers.label_index(sites, dim)]
    assert np.sum(weight[0] * function[index]).real == pytest.approx(np.sum(p * function).real, abs=1e-13)
    assert abs(np.sum(p * function).imag) < 1e-13


@pytest.mark.parametrize("hermitian", [True, False])
@pytest.mark.parametrize("charge", [None, parity()])
def test_one_of_all_that_translations_carry_into_each_other(hermitian, charge):
    """On a 2x3 torus: one of every orbit, counted as often as there are configurations in it."""
    torus = lattice.square(2, 3, periodic=True)
    sampler = enumerate_all(6, hermitian=hermitian, charge=charge, translations=torus.translations)
    moves = [tuple(int(j) for j in move) for move in torus.translations]
    orbits = set()
    for x in product(range(4), repeat=6):
        if charge is not None and sum(divmod(a, 2)[0] + divmod(a, 2)[1] for a in x) % 2:
            continue
        mirrored = [x, tuple(2 * (a % 2) + a // 2 for a in x)] if hermitian else [x]
        orbits.add(frozenset(tuple(one[j] for j in move) for one in mirrored for move in moves))
    found = [tuple(int(a) for a in x) for x in sampler.configurations]
    assert len(found) == len(orbits) == len({orbit for orbit in orbits for x in found if x in orbit})
    size = {x: len(orbit) for orbit in orbits for x in orbit}
    np.testing.assert_array_equal(sampler.multiplicity, [size[x] for x in found])
    assert jnp.sum(sampler.multiplicity) == 4**6 / (1 if charge is None else 2)


@pytest.mark.parametrize(("sites", "dim"), [(3, 2), (2, 3)])
def test_diagonal(sites, dim):
    rbm = helpers.network(2, sites, local_dim=dim)
    x, weight = draw(enumerate_diagonal(sites, dim), rbm)
    np.testing.assert_array_equal(x // dim, x % dim)
    rho = helpers.matrix_of(helpers.literal_table(rbm), sites, dim)
    levels = np.ravel_multi_index(tuple((x[0] % dim).T), (dim,) * sites)
    np.testing.assert_array_equal(levels, np.arange(dim**sites))
    np.testing.assert_allclose(weight[0], np.diag(rho).real, rtol=1e-12)


def test_weights_of_states_far_outside_the_range_of_numbers():
    """log rho of the order of 1000: weights neither overflow nor become NaN."""
    rbm = helpers.network(3)
    rbm = type(rbm)(visible=rbm.visible * 800, **{k: getattr(rbm, k) for k in vars(rbm) if k != "visible"})
    _, weight = draw(enumerate_all(3), rbm)
    assert np.all(np.isfinite(weight))
    assert weight.sum() == pytest.approx(1, abs=1e-14)


def test_refuses_large_systems():
    with pytest.raises(
        NeurhoError,
        match=r"at most 16384 configurations for enumeration \(7 spins, or 9 with .* 8 sites of dimension 2 give 2\^16",
    ):
        enumerate_all(8)
    with pytest.raises(NeurhoError, match=r"at most 262144 .* \(9 spins\).* 10 sites of dimension 2 give 2\^20"):
        enumerate_all(10, translations=lattice.chain(10, periodic=True).translations)
    with pytest.raises(NeurhoError, match=r"leave at most 16384 .* 8 sites of dimension 2 leave 32896"):
        enumerate_all(8, hermitian=True, translations=np.arange(8)[None])
    with pytest.raises(NeurhoError, match=r"at most 16384 diagonal configurations, but it gives 32768"):
        enumerate_diagonal(15)
    assert enumerate_diagonal(8).configurations.shape == (2**8, 8)
    assert enumerate_all(7, hermitian=True).configurations.shape == ((4**7 + 2**7) // 2, 7)
    assert jnp.sum(enumerate_all(5, hermitian=True).multiplicity) == 4**5
