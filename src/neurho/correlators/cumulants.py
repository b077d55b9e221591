"""A hierarchy closed by cumulants: those of strings that are not kept are zero, so their moments are sums of products.

With central moments c' about the state's own one-site means, those of one site vanish, and cumulants k are

    c'_P = sum over partitions pi of P into blocks of two or more sites  prod_{B in pi} k_B

R. Kubo, J. Phys. Soc. Jpn. 17, 1100 (1962). All strings of one site alone are mean field; those of two leave
cumulants of three sites out. Unlike central moments set to zero, this is extensive: parts of a lattice that are not
correlated do not feel each other.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, eye_array

from neurho.correlators.equations import connected
from neurho.correlators.hierarchy import Hierarchy, entry_patterns, term_values
from neurho.correlators.strings import Strings, distinct, joined


class Products(NamedTuple):
    """The part of moments that cumulants of fewer sites make, for strings of equal weight: sums over partitions.

    - `rows`: which strings these are.
    - `places`: where their blocks stand among the strings that are kept, `(blocks, rows)`; their number for zero.
    - `partitions`: the blocks of each partition.
    """

    rows: np.ndarray
    places: np.ndarray
    partitions: tuple[tuple[int, ...], ...]

    def value(self, kappa: np.ndarray) -> np.ndarray:
        """The sums, from cumulants with a zero behind them."""
        parts, total = kappa[self.places], np.zeros(len(self.rows))
        for used in self.partitions:
            total += np.prod(parts[list(used)], axis=0)
        return total

    def slope(self, kappa: np.ndarray, height: int) -> csr_array:
        """How they change with cumulants, in their rows of `height`."""
        parts, change, size = kappa[self.places], np.zeros(self.places.shape), len(kappa) - 1
        for used in self.partitions:
            for block in used:
                change[block] += np.prod(parts[[b for b in used if b != block]], axis=0)
        rows = np.broadcast_to(self.rows, self.places.shape)
        kept = self.places < size
        return csr_array((change[kept], (rows[kept], self.places[kept])), shape=(height, size))


class Cumulants(NamedTuple):
    """A hierarchy and the strings that its equations reach and that are not kept.

    - `reached`: how many those are.
    - `indptr`, `indices`, `source`: where L' leads to them, as in a hierarchy.
    - `inner`, `outer`: products for the strings that are kept and for those reached, of few sites first.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=True)
    assert co.build_cumulants(hierarchy).reached == 8  # strings of three sites
    ```
    """

    hierarchy: Hierarchy
    reached: int
    indptr: np.ndarray
    indices: np.ndarray
    source: np.ndarray
    inner: tuple[Products, ...]
    outer: tuple[Products, ...]

    def beyond(self, t: float, means: np.ndarray) -> csr_array:
        """L' at time t about the product state of `means`, from the strings that are kept to those reached."""
        values = term_values(self.hierarchy.terms, t, means)
        return csr_array((values[self.source], self.indices, self.indptr), shape=(self.hierarchy.size, self.reached))

    def cumulants(self, c: np.ndarray) -> np.ndarray:
        """The cumulants of the strings, and a zero behind them."""
        kappa = np.append(c, 0.0)
        for part in self.inner:
            kappa[part.rows] -= part.value(kappa)
        return kappa

    def moments(self, kappa: np.ndarray) -> np.ndarray:
        """The central moments of cumulants with a zero behind them."""
        c = kappa[:-1].copy()
        for part in self.inner:
            c[part.rows] += part.value(kappa)
        return c

    def closure(self, c: np.ndarray) -> np.ndarray:
        """The central moments of the strings that are reached."""
        kappa, total = self.cumulants(c), np.zeros(self.reached)
        for part in self.outer:
            total[part.rows] = part.value(kappa)
        return total

    def slope(self, c: np.ndarray) -> csr_array:
        """How they change with the moments of the strings, `(reached, strings)`."""
        kappa, size = self.cumulants(c), self.hierarchy.size
        total, inner = csr_array((self.reached, size)), csr_array(eye_array(size))
        for part in self.outer:
            total = total + part.slope(kappa, self.reached)
        for part in self.inner:
            inner = inner - part.slope(kappa, size) @ inner
        return csr_array(total @ inner)

    def velocity(self, t: float, c: np.ndarray, means: np.ndarray) -> np.ndarray:
        """dc'/dt at means that stand still."""
        return self.hierarchy.matrix(t, means) @ c + self.beyond(t, means) @ self.closure(c)


def build_cumulants(hierarchy: Hierarchy) -> Cumulants:
    """The closure of a hierarchy about its own means, which holds all parts of its strings.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=True)
    cumulants = neurho.correlators.build_cumulants(hierarchy)
    c = np.append(1.0, np.linspace(-0.1, 0.1, hierarchy.size - 1))
    assert np.allclose(cumulants.moments(cumulants.cumulants(c)), c)
    ```
    """
    strings, symmetry = hierarchy.strings, hierarchy.symmetry
    widest = strings.sites.shape[1] + max(group.places.shape[1] for group in hierarchy.terms.groups) - 1
    patterns, begin = entry_patterns(hierarchy.terms, symmetry, central=True)
    rows, keys, sources, found = [], [], [], []
    for part in connected(hierarchy.terms, patterns, strings, symmetry.sites, widest):
        even = symmetry.holds(part.strings)
        outer = part.strings.take(even)
        own = symmetry.keys(outer)
        new = ~np.isin(own, hierarchy.keys)
        outer, own = outer.take(new), own[new]
        rows.append(part.row[even][new])
        keys.append(own)
        sources.append(part.entry[even][new] + begin[part.group])
        found.append(outer.take(np.unique(own, return_index=True)[1]).padded(widest))
    outside, known = distinct(symmetry, joined(found))
    row, column, source = np.concatenate(rows), np.searchsorted(known, np.concatenate(keys)), np.concatenate(sources)
    order = np.lexsort((column, row))
    return Cumulants(
        hierarchy=hierarchy,
        reached=outside.size,
        indptr=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=strings.size))]),
        indices=column[order],
        source=source[order],
        inner=_products(hierarchy, strings),
        outer=_products(hierarchy, outside),
    )


def _products(hierarchy: Hierarchy, strings: Strings) -> tuple[Products, ...]:
    """The products of strings of four and more sites; fewer have no partition into blocks of two."""
    found = []
    for weight in np.unique(strings.weights[strings.weights > 3]):
        rows = np.flatnonzero(strings.weights == weight)
        pairs = [p for p in partitions(tuple(range(weight))) if len(p) > 1 and min(map(len, p)) > 1]
        blocks = sorted({block for partition in pairs for block in partition})
        number = {block: n for n, block in enumerate(blocks)}
        places = np.array([_places(hierarchy, strings.take(rows), block) for block in blocks], dtype=np.int32)
        found.append(Products(rows, places, tuple(tuple(number[b] for b in p) for p in pairs)))
    return tuple(found)


def _places(hierarchy: Hierarchy, strings: Strings, block: tuple[int, ...]) -> np.ndarray:
    part = Strings(strings.sites[:, list(block)], strings.letters[:, list(block)])
    place = hierarchy.places(part)
    return np.where(hierarchy.symmetry.holds(part) & (place >= 0), place, hierarchy.size)


def partitions(sites: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """All partitions of some sites into blocks."""
    if not sites:
        yield ()
        return
    for size in range(len(sites)):
        for others in combinations(sites[1:], size):
            rest = tuple(site for site in sites[1:] if site not in others)
            for below in partitions(rest):
                yield ((sites[0], *others), *below)
