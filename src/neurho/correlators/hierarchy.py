"""The hierarchy of correlators up to some weight, closed about a product state.

With m_j the letters of a product state (the reference), the central moments  c'_P = <prod_j (B_{p_j} - m_j)>  obey

    dc'_P/dt = sum_Q L'(m)[P, Q] c'_Q - sum_{j in P} (dm_j/dt)[p_j] c'_{P without j},    L' = S L S^-1,  S = 1 - m e_0^T

on each site. Strings of more than K sites are left out: exactly right where K = N, and for a state near the product.
With m = 0 the equations are linear, and Hamiltonian terms stay antisymmetric, so that a cut does not make them grow.
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from neurho.correlators.equations import StringTerms, connected
from neurho.correlators.strings import IDENTITY, Strings, Symmetry, joined


class Hierarchy(NamedTuple):
    """The strings that are kept, the identity first, and where their equations lead.

    - `keys`, `order`: keys in ascending order, and the string that each belongs to.
    - `indptr`, `indices`: the pattern of L' as rows of a sparse matrix; entries may stand several times.
    - `source`: the place of each entry's value among all entries of all terms.
    - `lower`: `(row, column, site letter)` of strings with one letter taken away.
    - `singles`: the string of each site and letter, `(sites, letters)`, 0 (the identity) where it vanishes.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    assert hierarchy.size == 24 and hierarchy.matrix(0.0).shape == (24, 24)
    up = hierarchy.product(np.tile([1.0, 0.0, 0.0, 1.0], (3, 1)))
    assert hierarchy.rate(0.0, up, None)[0][hierarchy.singles[0, 3]] == -2  # d<Z>/dt
    ```
    """

    terms: StringTerms
    symmetry: Symmetry
    strings: Strings
    keys: np.ndarray
    order: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    source: np.ndarray
    lower: tuple[np.ndarray, np.ndarray, np.ndarray]
    singles: np.ndarray

    @property
    def size(self) -> int:
        """Number of strings, the identity included."""
        return self.strings.size

    def places(self, strings: Strings) -> np.ndarray:
        """Where strings stand; -1 for one that is not kept."""
        return _places(self.keys, self.order, self.symmetry.keys(strings))

    def matrix(self, t: float, means: Float[np.ndarray, "sites letters"] | None = None) -> csr_array:
        """L' at time t about the product state of `means` (with 0 for the identity); None is m = 0."""
        values = term_values(self.terms, t, means)
        return csr_array((values[self.source], self.indices, self.indptr), shape=(self.size, self.size))

    def summed(self, t: float, means: Float[np.ndarray, "sites letters"] | None = None) -> csr_array:
        """The same matrix with every entry once, for many products."""
        total = self.matrix(t, means).copy()
        total.sum_duplicates()
        return total

    def lowering(self, change: Float[np.ndarray, "sites letters"]) -> csr_array:
        """The matrix whose rows hold `change` of the letters that are taken away."""
        row, column, letter = self.lower
        return csr_array((change.ravel()[letter], (row, column)), shape=(self.size, self.size))

    def rate(self, t: float, c: np.ndarray, means: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """dc'/dt, and dm/dt with which one-site central moments stay zero; with `means` None just L c."""
        moved = self.matrix(t, means) @ c
        if means is None:
            return moved, None
        change = moved[self.singles] * (self.singles > 0)
        return moved - self.lowering(change) @ c, change

    def product(self, letters: Float[np.ndarray, "sites letters"]) -> np.ndarray:
        """All c_P of a product state with one-site means `letters` (1 for the identity)."""
        return np.prod(letters[self.strings.sites, self.strings.letters], axis=1)


def term_values(terms: StringTerms, t: float, means: np.ndarray | None) -> np.ndarray:
    """All entries of all terms of L' in one row."""
    if terms.check is not None:
        terms.check(t)
    scale = np.array([channel(t) for channel in terms.channels])
    parts = []
    for places, matrices in terms.groups:
        total = np.tensordot(scale, matrices, axes=1)
        parts.append((total if means is None else shifted(total, means[places])).ravel())
    return np.concatenate(parts)


def shifted(matrices: np.ndarray, means: np.ndarray) -> np.ndarray:
    """S R S^-1 for matrices `(terms, q^k, q^k)` with the means `(terms, k, q)` of their sites."""
    terms, size, letters = means.shape
    forward = np.broadcast_to(np.eye(letters), (terms, size, letters, letters)).copy()
    backward = forward.copy()
    forward[..., 1:, 0], backward[..., 1:, 0] = -means[..., 1:], means[..., 1:]
    left, right = (reduce(_kron, np.moveaxis(m, 1, 0)) for m in (forward, backward))
    return left @ matrices @ right


def _kron(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    size = a.shape[1] * b.shape[1]
    return np.einsum("tab,tcd->tacbd", a, b).reshape(len(a), size, size)


def build_hierarchy(terms: StringTerms, symmetry: Symmetry, parts: Sequence[Strings], *, central: bool) -> Hierarchy:
    """The hierarchy of some strings (one for each orbit, the identity not among them).

    With `central` the pattern holds what any reference adds that has the symmetries; without, only m = 0 will do.

    ```python
    import neurho

    terms = neurho.correlators.string_terms(neurho.xyz(neurho.chain(2)))
    symmetry = neurho.correlators.Symmetry(neurho.chain(2).translations, letters=4)
    parts = [neurho.correlators.all_strings(symmetry, weight) for weight in (1, 2)]
    assert neurho.correlators.build_hierarchy(terms, symmetry, parts, central=False).size == 16
    ```
    """
    strings = joined([IDENTITY, *parts])
    found = symmetry.keys(strings)
    order = np.argsort(found)
    keys = found[order]
    most = strings.sites.shape[1]
    patterns, begin = entry_patterns(terms, symmetry, central=central)
    rows, columns, sources = [], [], []
    for part in connected(terms, patterns, strings, symmetry.sites, most):
        place = _places(keys, order, symmetry.keys(part.strings))
        kept = place >= 0
        rows.append(part.row[kept])
        columns.append(place[kept])
        sources.append(part.entry[kept] + begin[part.group])
    row, column, source = (np.concatenate(x) for x in (rows, columns, sources))
    by_row = np.lexsort((column, row))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=strings.size))])
    return Hierarchy(
        terms=terms,
        symmetry=symmetry,
        strings=strings,
        keys=keys,
        order=order,
        indptr=indptr.astype(np.int32),
        indices=column[by_row].astype(np.int32),
        source=source[by_row],
        lower=_lowered(strings, symmetry, keys, order),
        singles=_singles(symmetry, keys, order),
    )


def _places(keys: np.ndarray, order: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    slot = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[slot] == wanted, order[slot], -1)


def entry_patterns(
    terms: StringTerms, symmetry: Symmetry, *, central: bool
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Entries of L' that may differ from zero: of L, and with `central` those that a generic reference brings in."""
    rng = np.random.default_rng(7)
    allowed = ~np.any(symmetry.signs, axis=0)
    means = rng.uniform(0.2, 0.7, size=(symmetry.sites, symmetry.letters)) * allowed
    patterns = []
    for places, matrices in terms.groups:
        used = np.any(matrices != 0, axis=0)
        if central:
            for matrix in matrices:
                used |= np.abs(shifted(matrix, means[places])) > 1e-13
        used[:, 0] = False  # the trace is conserved
        patterns.append(used)
    sizes = [pattern.size for pattern in patterns]
    return tuple(patterns), np.cumsum([0, *sizes[:-1]])


def _lowered(
    strings: Strings, symmetry: Symmetry, keys: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns, letters = [], [], []
    for slot in range(strings.sites.shape[1]):
        row = np.flatnonzero(strings.letters[:, slot])
        rest = Strings(*(np.delete(a[row], slot, axis=1) for a in strings))
        place = _places(keys, order, symmetry.keys(rest))
        kept = place >= 0
        rows.append(row[kept])
        columns.append(place[kept])
        letters.append((strings.sites[row, slot] * symmetry.letters + strings.letters[row, slot])[kept])
    if not rows:
        none = np.zeros(0, dtype=int)
        return none, none, none
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(letters)


def _singles(symmetry: Symmetry, keys: np.ndarray, order: np.ndarray) -> np.ndarray:
    sites, letters = np.divmod(np.arange(symmetry.sites * symmetry.letters), symmetry.letters)
    one = Strings(sites[:, None].astype(np.int32), letters[:, None].astype(np.int8))
    place = np.where(symmetry.holds(one), _places(keys, order, symmetry.keys(one)), 0)
    return np.maximum(place, 0).reshape(symmetry.sites, symmetry.letters)
