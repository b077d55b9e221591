"""Momenta and structure factors on lattices."""

import itertools

import numpy as np
import pytest

from neurho import NeurhoError
from neurho.model import lattice
from neurho.observables.momentum import momenta, structure_weights


@pytest.mark.parametrize(
    "sites",
    [lattice.chain(5, periodic=True), lattice.chain(4), lattice.square(2, 3, periodic=True), lattice.triangular(3, 4)],
    ids=repr,
)
def test_weights_are_plane_waves_at_the_positions(sites):
    """Against exp(i k.r) with Cartesian k and positions: k.a_d = phase for the lattice vectors a_d."""
    shape, k = sites.shape, momenta(sites)
    assert k.shape == (*shape, len(shape))
    steps = [np.ravel_multi_index(tuple(int(d == e) for e in range(len(shape))), shape) for d in range(len(shape))]
    vectors = sites.positions[steps] - sites.positions[0]
    cartesian = k.reshape(-1, len(shape)) @ np.linalg.inv(vectors).T
    rng = np.random.default_rng(0)
    table = rng.normal(size=(sites.sites,) * 2)
    table = table + table.T
    count = sites.sites * (sites.sites - 1)
    found = structure_weights(sites).reshape(-1, count // 2) @ table[np.triu_indices(sites.sites, 1)]
    for wave, value in zip(np.exp(1j * cartesian @ sites.positions.T), found, strict=True):
        expected = sum(wave[j] * wave[l].conj() * table[j, l] for j, l in itertools.permutations(range(sites.sites), 2))
        assert value == pytest.approx(expected.real / count, abs=1e-12)
        assert abs(expected.imag) < 1e-12
    assert found[0] == pytest.approx(np.mean(table[np.triu_indices(sites.sites, 1)]), abs=1e-12)
    assert np.sum(found) == pytest.approx(0, abs=1e-12)


def test_a_wave_along_one_direction_peaks_at_its_momentum():
    """Stripes (-1)^row on a 4 x 3 torus: S(k) is 1 at k = (pi, 0) and -1/11 elsewhere."""
    rows = np.repeat((-1.0) ** np.arange(4), 3)
    pairs = np.outer(rows, rows)[np.triu_indices(12, 1)]
    found = structure_weights(lattice.square(4, 3, periodic=True)) @ pairs
    expected = np.full((4, 3), -1 / 11)
    expected[2, 0] = 1
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_graph_has_no_momenta():
    with pytest.raises(NeurhoError, match=r"`lattice` must have lattice vectors to speak of momenta, but it was made"):
        momenta(lattice.from_edges([(0, 1)]))
