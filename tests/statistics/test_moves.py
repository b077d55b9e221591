"""Proposals: symmetric, normalised, and enough of them to reach everything."""

import itertools

import numpy as np
import pytest

from neurho.matrix_elements.sampling.moves import diagonal_moves, diagonal_pair_moves, pair_moves, single_site_moves
from neurho.model import lattice

RING = lattice.chain(3, periodic=True)
MAKERS = {
    "single": lambda dim: single_site_moves(3, dim),
    "pair": lambda dim: pair_moves(RING, dim),
    "diagonal": lambda dim: diagonal_moves(3, dim),
    "diagonal pair": lambda dim: diagonal_pair_moves(RING, dim),
}


def transitions(moves, dim):
    """P(c -> c') of the local configurations of one instance."""
    k = moves.sites.shape[1]
    labels = np.asarray(moves.labels)
    probabilities = np.diff(np.asarray(moves.cumulative, dtype=float), prepend=0.0)
    target = np.ravel_multi_index(tuple(np.moveaxis(labels, -1, 0)), (dim**2,) * k)
    out = np.zeros((dim ** (2 * k),) * 2)
    for c, row in enumerate(target):
        np.add.at(out[c], row, probabilities)
    return out


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_proposals_are_symmetric(name, dim):
    found = transitions(MAKERS[name](dim), dim)
    np.testing.assert_allclose(found, found.T, rtol=0, atol=2e-7)  # cumulated in float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=1e-6)


def diagonal(label, dim):
    return label // dim == label % dim


@pytest.mark.parametrize("dim", [2, 3])
def test_single_site_moves_reach_every_label(dim):
    """From any label to any other of the site in one move; rows or columns alone half of the time."""
    found = transitions(single_site_moves(3, dim), dim)
    labels = np.arange(dim**2)
    assert np.all(found[~np.eye(dim**2, dtype=bool)] > 0)
    assert np.all(np.diag(found) == 0)
    both = (labels[:, None] // dim != labels // dim) & (labels[:, None] % dim != labels % dim)
    np.testing.assert_allclose(np.sum(found * both, axis=1), 0.5, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dim", [2, 3])
def test_diagonal_moves_stay_on_the_diagonal(dim):
    one, two = (transitions(MAKERS[name](dim), dim) for name in ("diagonal", "diagonal pair"))
    on = np.array([diagonal(label, dim) for label in range(dim**2)])
    assert np.all(one[on][:, ~on] == 0)
    assert np.all(one[np.ix_(on, on)] + np.eye(dim) > 0), "some diagonal label is out of reach"
    both = np.array([diagonal(a, dim) and diagonal(b, dim) for a, b in itertools.product(range(dim**2), repeat=2)])
    assert np.all(two[both][:, ~both] == 0)
    assert np.all(two[both].sum(axis=1) > 0.99)


@pytest.mark.parametrize("dim", [2, 3])
def test_pair_moves_change_both_rows_or_both_columns(dim):
    found = transitions(pair_moves(RING, dim), dim)
    for c, target in np.argwhere(found):
        a, b = divmod(c, dim**2), divmod(target, dim**2)
        rows = [x // dim != y // dim for x, y in zip(a, b, strict=True)]
        columns = [x % dim != y % dim for x, y in zip(a, b, strict=True)]
        assert (all(rows) and not any(columns)) or (all(columns) and not any(rows))


def test_instances():
    np.testing.assert_array_equal(single_site_moves(3, 2).sites, [[0], [1], [2]])
    np.testing.assert_array_equal(np.sort(pair_moves(RING, 2).sites), np.sort(RING.bonds))
