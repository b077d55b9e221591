"""Lattices: counted bonds, translations as symmetries, and graphs."""

import networkx
import numpy as np
import pytest

from neurho._types import NeurhoError
from neurho.model import lattice


def bond_set(bonds):
    return sorted(tuple(sorted((int(a), int(b)))) for a, b in bonds)


@pytest.mark.parametrize(
    ("made", "sites", "bonds", "translations"),
    [
        (lattice.chain(1), 1, 0, 1),
        (lattice.chain(1, periodic=True), 1, 0, 1),
        (lattice.chain(5), 5, 4, 1),
        (lattice.chain(5, periodic=True), 5, 5, 5),
        (lattice.chain(2, periodic=True), 2, 1, 2),
        (lattice.chain(2, periodic=True, multi_edges=True), 2, 2, 2),
        (lattice.square(3, 4), 12, 17, 1),
        (lattice.square(3, 4, periodic=True), 12, 24, 12),
        (lattice.square(3, 4, periodic=[True, False]), 12, 21, 3),
        (lattice.square(3, 4, periodic=[False, True]), 12, 20, 4),
        (lattice.square(2, 2, periodic=True), 4, 4, 4),
        (lattice.square(2, 2, periodic=True, multi_edges=True), 4, 8, 4),
        (lattice.square(2, 3, periodic=True), 6, 9, 6),
        (lattice.square(1, 4, periodic=True), 4, 4, 4),
        (lattice.triangular(3, 3), 9, 16, 1),
        (lattice.triangular(4, 5, periodic=True), 20, 60, 20),
    ],
    ids=lambda value: repr(value) if isinstance(value, lattice.Lattice) else None,
)
def test_counts(made, sites, bonds, translations):
    assert made.sites == sites
    assert made.bonds.shape == (bonds, 2)
    assert made.bond_directions.shape == (bonds,)
    assert made.translations.shape == (translations, sites)
    assert made.positions.shape[0] == sites
    assert made.directed.shape == (bonds,)


def test_numbering_is_row_major():
    made = lattice.square(2, 3)
    assert bond_set(made.bonds) == [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]
    assert np.array_equal(made.positions[4], [1, 1])
    rows = {bond for bond, way in zip(map(tuple, made.bonds.tolist()), made.bond_directions, strict=True) if way == 0}
    assert rows == {(0, 3), (1, 4), (2, 5)}


PERIODIC = [
    lattice.chain(6, periodic=True),
    lattice.chain(2, periodic=True),
    lattice.square(3, 4, periodic=True),
    lattice.square(3, 4, periodic=[False, True]),
    lattice.square(2, 3, periodic=True),
    lattice.square(2, 2, periodic=True, multi_edges=True),
    lattice.triangular(4, 4, periodic=True),
    lattice.triangular(3, 5, periodic=[True, False]),
]


@pytest.mark.parametrize("made", PERIODIC, ids=repr)
def test_translations_map_bonds_to_bonds(made):
    assert np.array_equal(made.translations[0], np.arange(made.sites))
    assert len({tuple(row) for row in made.translations}) == len(made.translations)
    for row in made.translations:
        assert sorted(row) == list(range(made.sites))
        assert bond_set(row[made.bonds]) == bond_set(made.bonds)


@pytest.mark.parametrize("made", PERIODIC, ids=repr)
def test_translations_map_directed_bonds_to_directed_bonds(made):
    """All that have a direction; where two ways are one bond, the ways are the same bond backwards."""
    directed = sorted(map(tuple, made.bonds[made.directed].tolist()))
    folded = bond_set(made.bonds[~made.directed])
    for row in made.translations:
        assert sorted(map(tuple, row[made.bonds[made.directed]].tolist())) == directed
        assert bond_set(row[made.bonds[~made.directed]]) == folded


def test_bonds_point_along_the_lattice_vectors():
    assert lattice.chain(3, periodic=True).bonds.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert lattice.chain(4).bonds.tolist() == [[0, 1], [1, 2], [2, 3]]
    made = lattice.square(3, 3, periodic=True)
    for way, step in enumerate([(1, 0), (0, 1)]):
        start, end = (np.array(np.divmod(sites, 3)).T for sites in made.bonds[made.bond_directions == way].T)
        assert np.array_equal((start + step) % 3, end)


def test_which_bonds_have_a_direction():
    """One bond that stands for the ways there and back has none."""
    assert np.all(lattice.chain(3, periodic=True).directed)
    assert lattice.chain(2, periodic=True).directed.tolist() == [False]
    both = lattice.chain(2, periodic=True, multi_edges=True)
    assert both.bonds.tolist() == [[0, 1], [1, 0]]
    assert np.all(both.directed)
    made = lattice.square(2, 3, periodic=True)
    assert np.array_equal(made.directed, made.bond_directions == 1)
    assert np.all(lattice.square(2, 3).directed)
    assert not np.any(lattice.triangular(2, 2, periodic=True).directed[[0, 1]])


@pytest.mark.parametrize("made", PERIODIC, ids=repr)
def test_translations_form_a_group(made):
    rows = {tuple(row) for row in made.translations}
    assert all(tuple(a[b]) in rows for a in made.translations for b in made.translations)


def test_coordination():
    for made, neighbours in ((lattice.square(4, 3, periodic=True), 4), (lattice.triangular(4, 4, periodic=True), 6)):
        assert np.array_equal(np.bincount(made.bonds.ravel(), minlength=made.sites), [neighbours] * made.sites)
    inside = lattice.triangular(3, 3)
    assert np.bincount(inside.bonds.ravel())[4] == 6


@pytest.mark.parametrize("made", [lattice.chain(4), lattice.square(3, 3), lattice.triangular(3, 4)], ids=repr)
def test_open_bonds_have_unit_length_and_are_all_of_them(made):
    distance = np.linalg.norm(made.positions[:, None] - made.positions[None], axis=-1)
    near = np.argwhere(np.isclose(distance, 1))
    assert bond_set(made.bonds) == bond_set({tuple(sorted(pair)) for pair in near.tolist()})


def test_bond_directions_are_the_lattice_vectors():
    made = lattice.triangular(3, 4)
    vectors = made.positions[made.bonds[:, 1]] - made.positions[made.bonds[:, 0]]
    for way in range(3):
        assert np.allclose(vectors[made.bond_directions == way], vectors[made.bond_directions == way][0])


def test_from_edges():
    made = lattice.from_edges([(3, 0), (1, 2)])
    assert made.sites == 4
    assert made.bonds.tolist() == [[3, 0], [1, 2]]
    assert np.all(made.directed)
    assert bond_set(made.bonds) == [(0, 3), (1, 2)]
    assert np.array_equal(made.translations, [[0, 1, 2, 3]])
    assert lattice.from_edges([(0, 1)], sites=3).sites == 3
    assert lattice.from_edges([(5, 7)], sites=8).sites == 8
    assert lattice.from_edges([], sites=2).bonds.shape == (0, 2)


def test_from_networkx_numbers_nodes_in_order():
    graph = networkx.Graph()
    graph.add_nodes_from(["b", "a", "alone"])
    graph.add_edges_from([("a", "b"), ("b", "c")])
    made = lattice.from_networkx(graph)
    assert made.sites == 4
    assert bond_set(made.bonds) == [(0, 1), (0, 3)]
    assert not np.any(made.directed)
    petersen = lattice.from_networkx(networkx.petersen_graph())
    assert np.array_equal(np.bincount(petersen.bonds.ravel()), [3] * 10)


def test_from_networkx_keeps_the_numbers_of_nodes():
    graph = networkx.Graph()
    graph.add_nodes_from([2, 0, 1])
    graph.add_edges_from([(0, 1), (1, 2)])
    assert bond_set(lattice.from_networkx(graph).bonds) == [(0, 1), (1, 2)]


def test_from_networkx_keeps_the_direction_of_edges():
    made = lattice.from_networkx(networkx.DiGraph([("b", "a"), ("c", "b"), ("a", "c")]))
    assert made.bonds.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert np.all(made.directed)


def weighted():
    graph = networkx.Graph()
    graph.add_weighted_edges_from([(0, 1, 0.5), (1, 2, 2.0)])
    return graph


def test_from_networkx_leaves_weights_to_the_user():
    assert len(lattice.from_networkx(weighted(), drop_weights=True).bonds) == 2
    assert len(lattice.from_networkx(networkx.Graph([(0, 1, {"color": 3})])).bonds) == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: lattice.from_networkx(weighted()),
            r"`graph` must have no weights, .*, but edge \(0, 1\) has weight = 0.5",
        ),
        (
            lambda: lattice.from_networkx(networkx.Graph([(0, 1, {"J": 0.5})])),
            r"`graph` must have no weights, .*, but edge \(0, 1\) has J = 0.5",
        ),
        (
            lambda: lattice.from_networkx(networkx.MultiGraph([(0, 1)])),
            r"`graph` must be a Graph or a DiGraph .* a MultiGraph",
        ),
        (
            lambda: lattice.from_networkx(networkx.path_graph([5, 7, 9])),
            r"`graph` must have nodes 0 \.\.\. N-1, .* \[5, 7, 9\]",
        ),
        (lambda: lattice.from_networkx(networkx.path_graph([1, 2, 3])), r"`graph` must have nodes 0 \.\.\. N-1"),
        (lambda: lattice.from_networkx(networkx.path_graph([0, "a"])), r"`graph` must have nodes 0 \.\.\. N-1"),
        (lambda: lattice.from_networkx(networkx.path_graph([0.5, 1.5])), r"`graph` must have nodes 0 \.\.\. N-1"),
        (lambda: lattice.from_networkx(networkx.DiGraph([(0, 1), (1, 0)])), "`edges` must name each pair once"),
        (lambda: lattice.chain(0), r"`shape` must be positive whole numbers, but it is \(0,\)"),
        (lambda: lattice.square(3, 2.5), r"`shape` must be positive whole numbers, but it is \(3, 2.5\)"),
        (lambda: lattice.square(3, 3, periodic=[True]), r"`periodic` must have one flag for each of the 2 directions"),
        (lambda: lattice.from_edges([(0, 0)]), r"`edges` must be pairs of different sites >= 0, but one is \(0, 0\)"),
        (lambda: lattice.from_edges([(-1, 0)]), r"`edges` must be pairs of different sites >= 0, but one is \(-1, 0\)"),
        (lambda: lattice.from_edges([(0, 1, 2)]), "`edges` must be pairs of different sites"),
        (lambda: lattice.from_edges([(1, 2)]), "`edges` must reach all sites from 0 on, .*, but site 0 has no bond"),
        (lambda: lattice.from_edges([(5, 7)]), r"but sites 0, 1, 2, \.\.\. have no bond \(`sites=8` says so\)"),
        (lambda: lattice.from_edges([(0, 1), (1, 0)]), "`edges` must name each pair once, but one stands twice"),
        (
            lambda: lattice.from_edges([(0, 4)], sites=3),
            "`sites` must be at least 5, the number the edges need, but it is 3",
        ),
    ],
)
def test_bad_input(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make()


def test_repr_is_short():
    assert repr(lattice.square(2, 3, periodic=True)) == "Lattice(square, shape=(2, 3), periodic=(True, True), bonds=9)"
