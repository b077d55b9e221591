"""Lattices: sites, directed bonds (each pair once) and translations, as frozen NumPy data."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from numbers import Real
from typing import Any

import numpy as np

from neurho._types import NeurhoError, brief, require


@dataclass(frozen=True, eq=False)
class Lattice:
    """Sites and bonds of a finite lattice.

    ```python
    import neurho

    ring = neurho.chain(3, periodic=True)
    assert ring.sites == 3 and ring.bonds.tolist() == [[0, 1], [1, 2], [2, 0]]
    ```

    **Attributes**

    - `name`: what made it, e.g. ``"square"``.
    - `shape`: sites per direction; sites are numbered row-major.
    - `periodic`: one flag per direction.
    - `positions`: array `(sites, dimensions)` of Cartesian coordinates, in units of the lattice constant.
    - `bonds`: array `(bonds, 2)`, nearest-neighbour pairs (i, j), each once. On lattices with lattice vectors j lies
      one of them further than i, so that the bond that closes a ring of three is (2, 0); bonds from edges keep the
      order in which they were given.
    - `bond_directions`: array `(bonds,)`, the index of the lattice vector along which a bond points.
    - `directed`: array `(bonds,)`, false where the order of i and j says nothing: in a periodic direction of length 2
      one bond stands for the ways there and back, and edges of an undirected graph have no order.
    - `translations`: array `(translations, sites)`; row `g` maps site `j` to `translations[g, j]`. Only the
      identity where no direction is periodic.
    - `point_group`: array `(operations, sites)` of the same kind: the rotations and reflections about site 0 that
      carry bonds to bonds. Only the identity unless every direction is periodic.
    """

    name: str
    shape: tuple[int, ...]
    periodic: tuple[bool, ...]
    positions: np.ndarray
    bonds: np.ndarray
    bond_directions: np.ndarray
    directed: np.ndarray
    translations: np.ndarray
    point_group: np.ndarray

    @property
    def symmetries(self) -> np.ndarray:
        """All products of a translation and an operation of the point group, `(translations operations, sites)`."""
        return self.translations[:, self.point_group].reshape(-1, self.sites)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.positions)

    def __repr__(self) -> str:
        return f"Lattice({self.name}, shape={self.shape}, periodic={self.periodic}, bonds={len(self.bonds)})"


def require_lattice(lattice: object) -> None:
    """Check that a lattice is one.

    **Raises** `NeurhoError` for anything else, such as numbers of sites.
    """
    must = "be a lattice, such as neurho.chain(4) or neurho.square(3, 3)"
    require(isinstance(lattice, Lattice), "lattice", must, f"it is {brief(lattice)}")


def chain(length: int, *, periodic: bool = False, multi_edges: bool = False) -> Lattice:
    """A chain of `length` sites, open or a ring. See [`neurho.square`][] for `multi_edges`.

    ```python
    import neurho

    ring = neurho.chain(4, periodic=True)
    assert ring.sites == 4 and len(ring.bonds) == 4
    ```
    """
    return _bravais("chain", (length,), np.eye(1), [(1,)], periodic=(periodic,), multi_edges=multi_edges)


def square(rows: int, columns: int, *, periodic: bool | Sequence[bool] = False, multi_edges: bool = False) -> Lattice:
    """A square lattice, row-major, open or periodic per direction (rows, columns).

    A periodic direction of length 2 connects each pair by **one** bond. With `multi_edges=True` the two ways around
    count as two bonds, which doubles the coupling of that pair: other physics (2x2 XYZ, J = (0.9, 1.2, 1): m_z =
    -0.659 with 4 bonds, -0.376 with 8). They point in opposite directions; one bond alone has none, and operators that
    change when i and j are exchanged are refused there.

    ```python
    import neurho

    torus = neurho.square(3, 3, periodic=True)
    assert torus.sites == 9 and len(torus.bonds) == 18
    ```
    """
    return _bravais("square", (rows, columns), np.eye(2), [(1, 0), (0, 1)], periodic=periodic, multi_edges=multi_edges)


def triangular(
    rows: int, columns: int, *, periodic: bool | Sequence[bool] = False, multi_edges: bool = False
) -> Lattice:
    """A triangular lattice: the square one with the diagonals (row + 1, column - 1) added.

    ```python
    import neurho

    patch = neurho.triangular(3, 3)
    assert patch.sites == 9 and len(patch.bonds) == 16
    ```
    """
    vectors = np.array([[0.5, np.sqrt(0.75)], [1.0, 0.0]])
    steps = [(1, 0), (0, 1), (1, -1)]
    return _bravais("triangular", (rows, columns), vectors, steps, periodic=periodic, multi_edges=multi_edges)


def from_edges(edges: Iterable[Sequence[int]], *, sites: int | None = None, directed: bool = True) -> Lattice:
    """Any graph, from pairs of site numbers; sites lie on a circle in pictures.

    Bonds keep the order of a pair: (3, 0) points from 3 to 0. `sites` is needed when some sites have no bond.
    `directed=False` says that the order means nothing; operators that depend on it are then refused.

    ```python
    import neurho

    star = neurho.from_edges([(0, 1), (0, 2), (0, 3)])
    assert star.sites == 4 and len(star.bonds) == 3
    ```

    **Raises** `NeurhoError` for a pair given twice, in any order, and for sites without a bond where `sites` is not
    given.
    """
    try:
        given = [tuple(edge) for edge in edges]
    except TypeError:
        raise NeurhoError(f"Argument `edges` must be pairs of sites, but it is {edges!r}.") from None
    require(sites is None or isinstance(sites, int | np.integer), "sites", "be a whole number", f"it is {sites!r}")
    for pair in given:
        whole = all(isinstance(j, int | np.integer) and j >= 0 for j in pair)
        require(
            len(pair) == 2 and whole and pair[0] != pair[1],
            "edges",
            "be pairs of different sites >= 0",
            f"one is {pair}",
        )
    pairs = [(int(i), int(j)) for i, j in given]
    require(len(set(map(frozenset, pairs))) == len(pairs), "edges", "name each pair once", "one stands twice")
    least = 1 + max(map(max, pairs), default=0)
    if sites is None and (alone := unreached(pairs)):
        raise NeurhoError(f"Argument `edges` must {REACH}, but {said_alone(alone)} (`sites={least}` says so).")
    count = least if sites is None else sites
    require(count >= least, "sites", f"be at least {least}, the number the edges need", f"it is {sites}")
    angles = 2 * np.pi * np.arange(count) / count
    return Lattice(
        name="edges",
        shape=(count,),
        periodic=(False,),
        positions=np.stack([np.cos(angles), np.sin(angles)], axis=1) * count / (2 * np.pi),
        bonds=np.array(pairs, dtype=int).reshape(-1, 2),
        bond_directions=np.zeros(len(pairs), dtype=int),
        directed=np.full(len(pairs), directed),
        translations=np.arange(count)[None],
        point_group=np.arange(count)[None],
    )


REACH = "reach all sites from 0 on, unless the number of sites is given"
"""What pairs of sites must do."""


def unreached(pairs: Iterable[Sequence[int]]) -> list[int]:
    """The first few sites below the largest that no pair reaches: a slip, or numbers that start at 1."""
    reached = {int(j) for pair in pairs for j in pair}
    return list(islice((j for j in range(max(reached, default=-1)) if j not in reached), 4))


def said_alone(alone: Sequence[int]) -> str:
    """That some sites have no bond, in words."""
    few = ", ".join(map(str, alone[:3])) + (", ..." if len(alone) > 3 else "")
    return f"site{'s' * (len(alone) > 1)} {few} {'have' if len(alone) > 1 else 'has'} no bond"


def from_networkx(graph: Any, *, drop_weights: bool = False) -> Lattice:
    """A lattice from a `networkx.Graph`, or a `networkx.DiGraph`, whose edges give bonds their direction.

    Nodes 0 ... N-1 keep their numbers; names and positions are numbered in the graph's own order, site n is
    `list(graph)[n]`. Other numbers are refused: site 1 would not be node 1. The edges of a
    `Graph` have no order: operators that change when i and j are exchanged are refused on its bonds.

    A lattice has no weights. With `drop_weights=True` they are left to you, to be given as values or couplings, one
    for each bond: `[weight for *_, weight in graph.edges(data="weight")]` has the order of `bonds`.

    ```python
    import networkx
    import neurho

    wheel = neurho.from_networkx(networkx.wheel_graph(5))
    assert wheel.sites == 5 and len(wheel.bonds) == 8
    ```

    **Raises** `NeurhoError` for graphs with parallel edges or with weights, and for numbers as nodes that are not
    0 ... N-1.
    """
    plain = hasattr(graph, "is_multigraph") and not graph.is_multigraph()
    must = "be a Graph or a DiGraph of networkx, with one edge for each pair of nodes"
    require(plain, "graph", must, f"it is a {type(graph).__name__}")
    for a, b, data in graph.edges(data=True):
        weighty = sorted(k for k, v in data.items() if k == "weight" or isinstance(v, float | complex))
        require(
            drop_weights or not weighty,
            "graph",
            "have no weights, which a lattice cannot hold (drop_weights=True leaves them to you)",
            f"edge {(a, b)} has {weighty[0] if weighty else ''} = {data[weighty[0]] if weighty else ''}",
        )
    numbers = _node_numbers(list(graph.nodes))
    edges = [(numbers[a], numbers[b]) for a, b in graph.edges]
    return from_edges(edges, sites=len(numbers), directed=graph.is_directed())


def _node_numbers(nodes: list[Hashable]) -> dict[Hashable, int]:
    """The number of each node of a graph."""
    if any(isinstance(node, Real | np.number) for node in nodes):
        require(
            set(nodes) == set(range(len(nodes))),
            "graph",
            "have nodes 0 ... N-1, names or positions (networkx.convert_node_labels_to_integers makes numbers)",
            f"they are {nodes}"[:80],
        )
        return {number: number for number in range(len(nodes))}
    return {node: number for number, node in enumerate(nodes)}


def _bravais(
    name: str,
    shape: tuple[int, ...],
    vectors: np.ndarray,
    steps: list[tuple[int, ...]],
    *,
    periodic: bool | Sequence[bool],
    multi_edges: bool,
) -> Lattice:
    for length in shape:
        require(
            isinstance(length, int | np.integer) and length >= 1, "shape", "be positive whole numbers", f"it is {shape}"
        )
    flags = (periodic,) * len(shape) if isinstance(periodic, bool | np.bool_) else tuple(periodic)
    require(
        all(isinstance(p, bool | np.bool_) for p in flags),
        "periodic",
        "be true or false, or one of them per direction",
        f"it is {periodic!r}",
    )
    require(
        len(flags) == len(shape),
        "periodic",
        f"have one flag for each of the {len(shape)} directions",
        f"it is {periodic}",
    )
    cells = np.array(list(product(*map(range, shape))))
    bonds, directions, directed = _bonds(cells, shape, flags, steps, multi_edges=multi_edges)
    shifts = product(*[range(length if p else 1) for length, p in zip(shape, flags, strict=True)])
    return Lattice(
        name=name,
        shape=tuple(int(length) for length in shape),
        periodic=tuple(bool(p) for p in flags),
        positions=cells @ vectors,
        bonds=bonds,
        bond_directions=directions,
        directed=directed,
        translations=np.array([np.ravel_multi_index(tuple(((cells + shift) % shape).T), shape) for shift in shifts]),
        point_group=_point_group(cells, shape, flags, steps),
    )


def _point_group(
    cells: np.ndarray, shape: tuple[int, ...], flags: tuple[bool, ...], steps: list[tuple[int, ...]]
) -> np.ndarray:
    """Permutations of the sites by the linear maps that carry steps to steps, and the torus to itself."""
    identity = np.arange(len(cells))
    if not all(flags):
        return identity[None]
    around = {tuple(sign * np.array(step)) for step in steps for sign in (1, -1)}
    found: list[np.ndarray] = [identity]
    for columns in product(sorted(around), repeat=len(shape)):
        matrix = np.array(columns).T
        wraps = matrix * np.array(shape)  # where the periods go: they must be periods again
        if {tuple(matrix @ np.array(step)) for step in around} == around and not np.any(wraps.T % shape):
            found.append(np.asarray(np.ravel_multi_index(tuple(((cells @ matrix.T) % shape).T), shape)))
    return np.unique(found, axis=0)


def _bonds(
    cells: np.ndarray,
    shape: tuple[int, ...],
    flags: tuple[bool, ...],
    steps: list[tuple[int, ...]],
    *,
    multi_edges: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bonds, their directions, and whether they are the only way between their ends."""
    seen: dict[frozenset[int], int] = {}
    pairs: list[tuple[int, int]] = []
    directions, directed = [], []
    for direction, step in enumerate(steps):
        for site, cell in enumerate(cells):
            target = cell + step
            inside = [p or 0 <= c < n for c, n, p in zip(target, shape, flags, strict=True)]
            other = int(np.ravel_multi_index(tuple(target % shape), shape))
            if not all(inside) or site == other:
                continue
            first = seen.setdefault(frozenset((site, other)), len(pairs))
            if first < len(pairs) and not multi_edges:
                directed[first] = directed[first] and pairs[first] == (site, other)
                continue
            pairs.append((site, other))
            directions.append(direction)
            directed.append(True)
    bonds = np.array(pairs, dtype=int).reshape(-1, 2)
    return bonds, np.array(directions, dtype=int), np.array(directed, dtype=bool)
