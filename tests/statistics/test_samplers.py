"""Markov chains against the distribution they should have, by chi-square tests.

Every test runs 10,000 independent chains for many sweeps and looks at their last states only, which are independent.
Seeds are fixed; with another one a test would fail by chance with probability 1e-4. A systematic error of 10 % of the
probabilities is found with certainty: it adds about 10,000 * 0.1^2 = 100 to a chi-square of 63 +- 11.
"""

import dataclasses
import math
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import helpers
from neurho import NeurhoError
from neurho.matrix_elements.sampling import Blurred, metropolis, metropolis_diagonal, tabulated
from neurho.matrix_elements.symmetry import parity
from neurho.model import lattice

CHAINS = 10_000
FALSE_ALARM = 1e-4
SIZES = {"samples": CHAINS, "chains": CHAINS, "sweeps": 20, "warmup": 0}
CHAIN = lattice.chain(3)


@pytest.fixture(autouse=True)
def moduli_of_the_network(monkeypatch):
    """Not the table of them that such small systems would get: it is compared with these chains below."""
    monkeypatch.setattr(tabulated, "COPIES", math.inf)


@cache
def state():
    return helpers.network(1)


run = jax.jit(lambda s, k, a, x: s.sample(k, a, x))


def last_states(sampler, rbm, seed=0, levels=None):
    """Indices of the configurations, from diagonal ones (random unless given), and the weights."""
    if levels is None:
        levels = np.random.default_rng(seed).integers(0, rbm.local_dim, size=(CHAINS, rbm.sites))
    begin = jnp.asarray(levels * (rbm.local_dim + 1), dtype=jnp.int32)
    draw, chains, info = run(sampler, jax.random.key(seed), rbm.amplitudes(), begin)
    if not isinstance(sampler, Blurred):
        np.testing.assert_array_equal(chains, draw.x[-1])
    assert 0.02 < info.acceptance < 1
    assert jnp.sum(draw.weight) == pytest.approx(1, abs=1e-12)
    return np.ravel_multi_index(tuple(np.asarray(draw.x[-1]).T), (rbm.local_dim**2,) * rbm.sites), np.asarray(
        draw.weight[-1]
    )


def chi_square(found, probability):
    """The p-value of counts of configurations; rare ones are put together."""
    count = np.bincount(found, minlength=len(probability))
    assert np.all(count[probability == 0] == 0), "impossible configurations were drawn"
    expected = probability * len(found)
    common = expected >= 10
    cells = np.append(count[common], count[~common].sum()), np.append(expected[common], expected[~common].sum())
    used = cells[1] > 0
    return scipy.stats.chisquare(cells[0][used], cells[1][used]).pvalue


def power(rbm, exponent):
    p = np.abs(helpers.literal_table(rbm)) ** exponent
    return p / p.sum()


def diagonal_of(rbm):
    rows, columns = helpers.label_index(rbm.sites, rbm.local_dim)
    q = np.where(rows == columns, helpers.literal_table(rbm).real, 0)
    return q / q.sum()


def test_density_is_the_square_of_rho():
    p = power(state(), 2)
    assert p.max() / np.median(p) > 5, "too flat to tell"
    found, weight = last_states(metropolis(CHAIN, **SIZES), state())
    assert chi_square(found, p) > FALSE_ALARM
    assert chi_square(found, power(state(), 1)) < 1e-10, "the test cannot tell |rho| from |rho|^2"
    np.testing.assert_allclose(weight, 1 / CHAINS, rtol=1e-12)


def test_other_exponents_are_weighted():
    """Chains at |rho|, averages over |rho|^2: the weighted distribution is p."""
    found, weight = last_states(metropolis(CHAIN, exponent=1.0, pairs=False, **SIZES), state())
    assert chi_square(found, power(state(), 1)) > FALSE_ALARM
    np.testing.assert_allclose(weight, power(state(), 1)[found] / power(state(), 1)[found].sum(), rtol=1e-11)
    weighted, p = np.bincount(found, weights=weight, minlength=64), power(state(), 2)
    error = np.sqrt(np.bincount(found, weights=weight**2, minlength=64))
    frequent = p > 1e-3
    assert np.all(np.abs(weighted - p)[frequent] < 5 * error[frequent])


@pytest.mark.parametrize("charge", [pytest.param(None, marks=pytest.mark.slow), parity(2)])
@pytest.mark.parametrize("make", [metropolis, metropolis_diagonal])
def test_a_table_makes_the_same_chains(make, charge, monkeypatch):
    """But for decisions within rounding: of 10,000 chains hardly one ends elsewhere."""
    rbm = dataclasses.replace(state(), charge=charge)
    sampler = make(CHAIN, **SIZES, **({"charge": charge} if make is metropolis else {}))
    begin = sampler.scatter(jax.random.key(4))
    one, _, found = run(sampler, jax.random.key(3), rbm.amplitudes(), begin)
    monkeypatch.setattr(tabulated, "COPIES", 2)
    two, _, again = jax.jit(lambda s, k, a, x: s.sample(k, a, x))(sampler, jax.random.key(3), rbm.amplitudes(), begin)
    assert jnp.mean(jnp.any(one.x != two.x, axis=-1)) < 1e-3
    assert jnp.any(one.x[-1] != begin)
    assert float(found.acceptance) == pytest.approx(float(again.acceptance), rel=1e-3)


def test_diagonal_density_is_rho_of_l_l():
    q = diagonal_of(state())
    found, _ = last_states(metropolis_diagonal(CHAIN, **SIZES), state())
    assert chi_square(found, q) > FALSE_ALARM
    flat = np.where(q > 0, 1 / np.sum(q > 0), 0)
    assert chi_square(found, flat) < 1e-10, "the test cannot tell q from a flat distribution"


def sweep_matrix(sampler, p):
    """P(x -> x') of one sweep: min(1, p(x')/p(x)) at every instance in order."""
    dim, x = sampler.local_dim**2, helpers.configurations(sampler.sites, sampler.local_dim)
    index, total = np.arange(len(x)), np.eye(len(x))
    for moves, sites in ((m, s) for m in sampler.moves for s in np.asarray(m.sites)):
        step = np.zeros_like(total)
        for target, share in proposals(moves, sites, x, dim):
            np.add.at(step, (index, target), share * np.minimum(1, p[target] / p))
        step[index, index] += 1 - step.sum(axis=1)
        total = total @ step
    return total


def proposals(moves, sites, x, dim):
    """The configurations proposed to all x at one instance, with their probabilities."""
    local = np.ravel_multi_index(tuple(x[:, sites].T), (dim,) * len(sites))
    for number, share in enumerate(np.diff(np.asarray(moves.cumulative, dtype=float), prepend=0.0)):
        target = x.copy()
        target[:, sites] = np.asarray(moves.labels)[local, number]
        yield np.ravel_multi_index(tuple(target.T), (dim,) * x.shape[1]), share


def peaked():
    """log |rho|^2 over a range of 40: single precision in the acceptance step must keep rare states rare."""
    rbm = helpers.network(4, scale=0.5)
    return eqx.tree_at(lambda r: r.visible, rbm, rbm.visible.at[0].set(jnp.asarray([1.2, -1.0, 1.4])))


def steep():
    """The same, with a hidden unit of weights 6, whose angle moves from 0 to 36 and back: what it takes from some
    configurations the visible biases give back, and more.
    """
    rbm = peaked()
    where = lambda r: (r.visible, r.hidden_bias, r.hidden_weights)  # noqa: E731
    visible, bias, weights = where(rbm)
    new = (visible.at[0].add(-7.0), bias.at[:, 0].set([18.0, 0.0]), weights.at[:, 0].set(jnp.asarray([[6.0], [0.0]])))
    return eqx.tree_at(where, rbm, new)


def three_levels():
    return helpers.network(2, 2, local_dim=3, scale=0.3)


def test_flat_states_are_forgotten():
    """Where every proposal is as likely as what it replaces, accepting all of them in turn would never mix."""
    flat = jax.tree.map(lambda a: 0 * a, state())
    found, _ = last_states(metropolis_diagonal(CHAIN, **SIZES), flat, levels=np.zeros((CHAINS, 3)))
    assert chi_square(found, diagonal_of(flat)) > FALSE_ALARM


@pytest.mark.parametrize(
    ("make", "sites", "dim"),
    [(peaked, CHAIN, 2), (steep, CHAIN, 2), (three_levels, lattice.chain(2), 3)],
    ids=["peaked", "steep", "three levels"],
)
def test_slow_chains_follow_their_transition_matrix(make, sites, dim):
    """Twenty sweeps do not forget the start here: the distribution is that of the start times the matrix of a sweep."""
    rbm, sampler = make(), metropolis(sites, local_dim=dim, pairs=dim == 2, **SIZES)
    p = power(rbm, 2)
    assert np.log(p.max() / p.min()) > 12
    matrix = sweep_matrix(sampler, p)
    np.testing.assert_allclose(p @ matrix, p, rtol=0, atol=1e-14)
    rows, columns = helpers.label_index(rbm.sites, dim)
    expected = (rows == columns) / np.sum(rows == columns) @ np.linalg.matrix_power(matrix, SIZES["sweeps"])
    found, _ = last_states(sampler, rbm)
    assert chi_square(found, expected) > FALSE_ALARM


@pytest.mark.slow
def test_without_blur_samples_are_those_of_the_chain():
    """Another fraction is another argument of the same program."""
    chain = metropolis(CHAIN, samples=64, chains=16, exponent=1.3)
    begin = chain.scatter(jax.random.key(2))
    blurred = Blurred(chain, 0.4)
    compiled = run._cache_size()
    one, _, _ = run(blurred, jax.random.key(3), state().amplitudes(), begin)
    two, _, _ = run(Blurred(chain, 0.0), jax.random.key(3), state().amplitudes(), begin)
    assert run._cache_size() == compiled + 1
    plain, _, _ = run(chain, jax.random.key(3), state().amplitudes(), begin)
    np.testing.assert_array_equal(two.x, plain.x)
    np.testing.assert_allclose(two.weight, plain.weight, rtol=1e-12)
    assert jnp.any(one.x != two.x)


def test_blurred_samples_have_the_density_they_are_weighted_with():
    """p~(x) = p(x) [1 - q + q sum_m P_m |rho(x_m)/rho(x)|^2], from the tables of moves; weights p/p~."""
    sampler, p = Blurred(metropolis(CHAIN, **SIZES), 0.4), power(state(), 2)
    blurred, x = 0.6 * p, helpers.configurations(3)
    instances = [(m, s) for m in sampler.chain.moves for s in np.asarray(m.sites)]
    for moves, sites in instances:
        for target, share in proposals(moves, sites, x, 4):
            np.add.at(blurred, target, 0.4 / len(instances) * share * p)
    assert blurred.sum() == pytest.approx(1, abs=1e-6)
    found, weight = last_states(sampler, state())
    assert chi_square(found, blurred / blurred.sum()) > FALSE_ALARM
    assert chi_square(found, p) < 1e-10, "the test cannot tell p~ from p"
    expected = (p / blurred)[found]
    np.testing.assert_allclose(weight, expected / expected.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"samples": 10, "chains": 4},
            r"Argument `samples` must be a positive multiple of the 4 chains, but it is 10\.",
        ),
        ({"samples": 0, "chains": 4}, r"Argument `samples` must be a whole number >= 1, but it is 0\."),
        ({"samples": 4, "chains": 0}, r"Argument `chains` must be a whole number >= 1, but it is 0\."),
        ({"samples": 4, "chains": 4, "sweeps": 0}, r"Argument `sweeps` must be a whole number >= 1, but it is 0\."),
        ({"samples": 4, "chains": 4, "warmup": -1}, r"Argument `warmup` must be a whole number >= 0, but it is -1\."),
        ({"samples": 4, "chains": 4, "exponent": 0.0}, r"Argument `exponent` must lie in \(0, 2\], but it is 0\.0\."),
    ],
)
def test_refuses(options, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        metropolis(CHAIN, **options)
