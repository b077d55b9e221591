"""Purity and Renyi-2 entropy from samples of q(l), against traces with the full density matrix."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import exact
from neurho.matrix_elements.estimation.purity import estimate_purity, is_known, missing_sentence, with_entropy
from neurho.matrix_elements.networks import density_matrix, table_from_matrix
from neurho.matrix_elements.sampling import Draw, enumerate_diagonal

KEY = jax.random.key(0)
estimate = jax.jit(
    lambda ansatz, x, weight: estimate_purity(ansatz, Draw(x=x, weight=weight), exact=False, chunk=1024),
)


def sample(rng, ansatz, draws, chains):
    """Independent samples of q(l): the state is small enough to know it."""
    sites, q = ansatz.sites, np.diag(density_matrix(ansatz)).real
    rows = rng.choice(len(q), size=(draws, chains), p=q / q.sum())
    levels = (rows[..., None] >> np.arange(sites - 1, -1, -1)) & 1
    return jnp.asarray(3 * levels, dtype=jnp.int32), jnp.full((draws, chains), 1 / (draws * chains))


sums = jax.jit(
    lambda ansatz, sampler: estimate_purity(
        ansatz, sampler.sample(KEY, ansatz.amplitudes(), sampler.configurations[:0])[0], exact=True, chunk=64
    ),
)


def by_sums(ansatz, dim=2):
    return sums(ansatz, enumerate_diagonal(ansatz.sites, dim))


def infinite_temperature(sites):
    """U = i pi/4 on the diagonal and nothing else: rho is proportional to 1."""
    shapes = helpers.network(0, sites, hidden=2, mixing=sites)
    zero = jax.tree.map(lambda a: 0 * a, shapes)
    return dataclasses.replace(zero, mixing_weights=zero.mixing_weights.at[1].set(np.pi / 4 * jnp.eye(sites)))


@pytest.mark.parametrize("seed", [0, 1])
def test_sums_over_all_pairs_are_the_trace(seed):
    ansatz = helpers.network(seed)
    found, wanted = by_sums(ansatz), exact.purity(density_matrix(ansatz))
    assert 0.15 < wanted < 0.95
    assert float(found.value.mean) == pytest.approx(wanted, abs=1e-13)
    assert found.value.error == 0
    assert with_entropy(found)["renyi2"].mean == pytest.approx(-np.log(wanted), abs=1e-12)


def test_limits():
    """1/2^N for infinite temperature, 1 for a pure state, which every pair of samples gives exactly."""
    assert float(by_sums(infinite_temperature(3)).value.mean) == pytest.approx(2**-3, abs=1e-12)
    pure = jax.tree.map(lambda a: 0 * a, helpers.network(0))
    found = estimate(pure, *sample(np.random.default_rng(0), pure, 2, 64))
    assert float(found.value.mean) == pytest.approx(1, abs=1e-12)
    assert float(found.value.error) < 1e-12
    assert is_known(found, exact=False)


def test_three_levels():
    rho = helpers.random_state(np.random.default_rng(3), 9)
    found = by_sums(table_from_matrix(rho, sites=2, local_dim=3), 3)
    assert float(found.value.mean) == pytest.approx(exact.purity(rho), abs=1e-12)


def test_errors_are_those_of_repetitions():
    """300 repetitions with 64 independent chains: unbiased, and errors of the right size.

    The mean pull has standard deviation 0.06, so that 4 of them is a false alarm once in 16,000 seeds. The root mean
    square of 300 pulls (t-like, 8 blocks) is 1.17 with a standard deviation of 0.07: [0.9, 1.45] errs once in 10,000.
    """
    ansatz, rng = helpers.network(1), np.random.default_rng(5)
    wanted = exact.purity(density_matrix(ansatz))
    found = [estimate(ansatz, *sample(rng, ansatz, 2, 64)).value for _ in range(300)]
    means, errors = np.array([[float(e.mean), float(e.error)] for e in found]).T
    pulls = (means - wanted) / errors
    assert np.abs(np.mean((means - wanted) / means.std())) < 4 / np.sqrt(300)
    assert 0.9 < np.sqrt(np.mean(pulls**2)) < 1.45
    assert errors.mean() == pytest.approx(means.std(), rel=0.25)


def test_a_hopeless_purity_is_not_given():
    """Infinite temperature with 3 spins needs few samples; 2^-12 is hardly ever hit by 2 x 64 of them."""
    mixed = infinite_temperature(12)
    levels = np.random.default_rng(1).integers(0, 2, size=(2, 64, 12))
    weight = jnp.full((2, 64), 1 / 128)
    found = estimate(mixed, jnp.asarray(3 * levels, dtype=jnp.int32), weight)
    assert not is_known(found, exact=False)
    assert "more sampling.diagonal_samples" in missing_sentence(found)
    alone = estimate_purity(mixed, Draw(x=jnp.asarray(3 * levels[:, :1]), weight=weight[:, :1]), exact=False, chunk=64)
    assert not is_known(alone, exact=False)
