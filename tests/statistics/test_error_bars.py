"""Coverage: how often does mean +- error hold the truth?

For normal means it should be erf(1/sqrt(2)) = 0.683; with B blocks it is Student's 2 CDF_{B-1}(1) - 1 = 0.679 for
B = 64. With 3000 repetitions the found fraction has a standard deviation of 0.0085: the margin 0.035 is four of them, a
false alarm in 16,000.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.estimation.estimators import estimate
from neurho.matrix_elements.sampling import Draw

REPEATS = 3000
NORMAL = 0.6827


@jax.jit
def many(values, weight):
    """Estimates of `(repeats, draws, chains)` series."""

    def one(v, w):
        return estimate(v, Draw(x=jnp.zeros((*w.shape, 1), dtype=jnp.int32), weight=w / jnp.sum(w)), exact=False)

    return jax.vmap(one)(values, weight)


def coverage(values, weight, truth):
    found = many(jnp.asarray(values), jnp.asarray(weight))
    return np.mean(np.abs(found.mean - truth) < found.error)


def series(seed, phi, draws, chains):
    return helpers.autoregression(seed, phi, draws, REPEATS * chains).reshape(draws, REPEATS, chains).swapaxes(0, 1)


@pytest.mark.parametrize(
    ("phi", "draws", "chains"),
    [(0.0, 1, 64), (0.9, 8, 64), (0.5, 256, 4), (0.8, 512, 2)],
    ids=["independent", "chains", "parts", "few chains"],
)
def test_coverage(phi, draws, chains):
    """Whole chains need not be longer than their memory; parts of chains must be: here 16 draws for tau = 3 and 9,
    which costs a little, because correlated blocks underestimate the variance."""
    found = coverage(series(1, phi, draws, chains), np.ones((REPEATS, draws, chains)), 0.0)
    lost = 0.0 if chains >= 64 or phi == 0 else 0.08
    assert NORMAL - 0.035 - lost < found < NORMAL + 0.035


def test_coverage_when_parts_do_not_divide_the_draws():
    """Two chains of 63 draws: 32 parts of one draw leave 31 of 63 draws out of the blocks."""
    found = coverage(series(2, 0.0, 63, 2), np.ones((REPEATS, 63, 2)), 0.0)
    assert abs(found - NORMAL) < 0.035


@pytest.mark.parametrize(("phi", "draws", "chains"), [(0.0, 1, 128), (0.7, 16, 128)])
def test_coverage_with_weights(phi, draws, chains):
    """x normal with weights exp(x/2): the weighted mean is 1/2, and weights and values are correlated."""
    x = series(3, phi, draws, chains)
    found = coverage(x, np.exp(x / 2), 0.5)
    assert abs(found - NORMAL) < 0.035 + 0.01  # the bias of a ratio of means, of the order of 1/samples
