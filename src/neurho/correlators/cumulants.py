"""A hierarchy closed by cumulants: those of more than K sites are zero, and so moments of K + 1 sites are products.

With central moments c' about the state's own one-site means, those of one site vanish, and

    c'_P = - sum over partitions pi of P into two or more blocks of two or more sites
               (-1)^(|pi| - 1) (|pi| - 1)!  prod_{B in pi} c'_B,                      P of K + 1 sites

R. Kubo, J. Phys. Soc. Jpn. 17, 1100 (1962). K = 1 is mean field; K = 2 leaves moments of three sites out. Unlike
central moments set to zero, this is extensive: parts of a lattice that are not correlated do not feel each other.
"""

from collections.abc import Iterator
from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from neurho.correlators.equations import connected
from neurho.correlators.hierarchy import Hierarchy, entry_patterns, term_values
from neurho.correlators.strings import Strings, distinct, joined


class Cumulants(NamedTuple):
    """A hierarchy and the strings of one site more that its equations reach.

    - `reached`: how many those are.
    - `indptr`, `indices`, `source`: where L' leads to them, as in a hierarchy.
    - `places`: where the parts of each stand among the strings, `(blocks, reached)`; the number of strings for zero.
    - `products`: `(factor, blocks)` of each partition.
    """

    hierarchy: Hierarchy
    reached: int
    indptr: np.ndarray
    indices: np.ndarray
    source: np.ndarray
    places: np.ndarray
    products: tuple[tuple[float, tuple[int, ...]], ...]

    def beyond(self, t: float, means: np.ndarray) -> csr_array:
        """L' at time t about the product state of `means`, from strings to those of one site more."""
        values = term_values(self.hierarchy.terms, t, means)
        return csr_array((values[self.source], self.indices, self.indptr), shape=(self.hierarchy.size, self.reached))

    def closure(self, c: np.ndarray) -> np.ndarray:
        """The central moments of one site more."""
        parts, total = np.append(c, 0.0)[self.places], np.zeros(self.reached)
        for factor, used in self.products:
            total += factor * np.prod(parts[list(used)], axis=0)
        return total

    def slope(self, c: np.ndarray) -> csr_array:
        """How they change with the moments of the strings, `(reached, strings)`."""
        parts, change = np.append(c, 0.0)[self.places], np.zeros(self.places.shape)
        for factor, used in self.products:
            for block in used:
                change[block] += factor * np.prod(parts[[b for b in used if b != block]], axis=0)
        width, size = len(self.places), self.hierarchy.size
        indptr = (
            np.arange(0, self.reached * width + 1, max(width, 1)) if width else np.zeros(self.reached + 1, dtype=int)
        )
        return csr_array((change.T.ravel(), self.places.T.ravel(), indptr), shape=(self.reached, size + 1))[:, :size]

    def velocity(self, t: float, c: np.ndarray, means: np.ndarray) -> np.ndarray:
        """dc'/dt at means that stand still."""
        return self.hierarchy.matrix(t, means) @ c + self.beyond(t, means) @ self.closure(c)


def build_cumulants(hierarchy: Hierarchy) -> Cumulants:
    """The closure of a hierarchy about its own means that holds all strings of up to K sites."""
    strings, symmetry = hierarchy.strings, hierarchy.symmetry
    weight = strings.sites.shape[1] + 1
    patterns, begin = entry_patterns(hierarchy.terms, symmetry, central=True)
    rows, keys, sources, found = [], [], [], []
    for part in connected(hierarchy.terms, patterns, strings, symmetry.sites, weight):
        new = (part.strings.weights == weight) & symmetry.holds(part.strings)
        outer = part.strings.take(new)
        own = symmetry.keys(outer)
        rows.append(part.row[new])
        keys.append(own)
        sources.append(part.entry[new] + begin[part.group])
        found.append(outer.take(np.unique(own, return_index=True)[1]).padded(weight))
    outside, known = distinct(symmetry, joined(found))
    row, column, source = np.concatenate(rows), np.searchsorted(known, np.concatenate(keys)), np.concatenate(sources)
    order = np.lexsort((column, row))
    blocks, products = _products(weight)
    places = [_places(hierarchy, outside, block) for block in blocks]
    return Cumulants(
        hierarchy=hierarchy,
        reached=outside.size,
        indptr=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=strings.size))]),
        indices=column[order],
        source=source[order],
        places=np.array(places, dtype=np.int32).reshape(len(blocks), outside.size),
        products=products,
    )


def _places(hierarchy: Hierarchy, strings: Strings, block: tuple[int, ...]) -> np.ndarray:
    part = Strings(strings.sites[:, list(block)], strings.letters[:, list(block)])
    return np.where(hierarchy.symmetry.holds(part), hierarchy.places(part), hierarchy.size)


def _products(weight: int) -> tuple[list[tuple[int, ...]], tuple[tuple[float, tuple[int, ...]], ...]]:
    """The blocks of two or more of `weight` sites that a closure needs, and its products by their numbers."""
    pairs = [p for p in partitions(tuple(range(weight))) if len(p) > 1 and min(map(len, p)) > 1]
    blocks = sorted({block for partition in pairs for block in partition})
    number = {block: n for n, block in enumerate(blocks)}
    factors = [(-1.0) ** len(p) * factorial(len(p) - 1) for p in pairs]
    return blocks, tuple((f, tuple(number[b] for b in p)) for f, p in zip(factors, pairs, strict=True))


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
