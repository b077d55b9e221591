"""Which equations a network of correlators is fitted to: rows, where they lead, and what each counts."""

from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from neurho.correlators.equations import StringTerms, connected
from neurho.correlators.hierarchy import entry_patterns, term_values
from neurho.correlators.rungs import string_counts
from neurho.correlators.strings import IDENTITY, Strings, Symmetry, all_strings, joined


class Rows(NamedTuple):
    """Strings whose equations are asked for, and how many strings each of them stands for.

    - `counts`: those of its orbit, divided by the probability that it was drawn.

    ```python
    import neurho
    from neurho import correlators as co

    symmetry = co.Symmetry(neurho.chain(3, periodic=True).translations, letters=4)
    rows = co.all_rows(symmetry, 2)
    assert rows.strings.size == 12 and rows.counts.sum() == 36  # each stands for three
    ```
    """

    strings: Strings
    counts: Float[np.ndarray, " rows"]


class Equations(NamedTuple):
    """dc_P/dt = sum_Q L[P, Q] c_Q for some rows P; the columns Q are all that they reach, and the rows themselves.

    - `columns`: one string of each orbit; the identity is the first.
    - `own`: the column of each row.
    - `indptr`, `indices`, `source`: the pattern of L, and the place of each entry among all entries of all terms.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    equations = co.build_equations(terms, symmetry, co.all_rows(symmetry, 2))
    assert equations.matrix(0.0).shape == (12, 21)  # 1, the rows, and the strings of three sites that they reach
    ```
    """

    terms: StringTerms
    rows: Rows
    columns: Strings
    own: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    source: np.ndarray

    @property
    def size(self) -> int:
        """Number of equations."""
        return self.rows.strings.size

    def matrix(self, t: float) -> csr_array:
        """L at time t, `(rows, columns)`."""
        values = term_values(self.terms, t, None)[self.source]
        total = csr_array((values, self.indices, self.indptr), shape=(self.size, self.columns.size), copy=True)
        total.sum_duplicates()
        return total

    @property
    def identity(self) -> csr_array:
        """The rows among the columns, `(rows, columns)`."""
        shape = (self.size, self.columns.size)
        return csr_array((np.ones(self.size), self.own, np.arange(self.size + 1)), shape=shape)

    def weights(self, metric: float) -> Float[np.ndarray, " rows"]:
        """Square roots of lambda^|P| times how many strings a row stands for: |r|^2 = sum_P lambda^|P| r_P^2."""
        return np.sqrt(metric**self.rows.strings.weights * self.rows.counts)


def all_rows(symmetry: Symmetry, weight: int) -> Rows:
    """All strings of at most `weight` sites.

    ```python
    import neurho
    from neurho import correlators as co

    symmetry = co.Symmetry(neurho.chain(3).translations, letters=4)
    assert neurho.correlators.all_rows(symmetry, 3).strings.size == 4**3 - 1
    ```
    """
    strings = joined([all_strings(symmetry, k) for k in range(1, weight + 1)])
    return Rows(strings, symmetry.orbits(strings).astype(float))


def drawn_rows(symmetry: Symmetry, weight: int, most: int, rng: np.random.Generator) -> Rows:
    """About `most` rows of at most `weight` sites: all of few sites, and of each other number of sites as many, drawn.

    A string of k sites is drawn by k sites, all sets alike, and letters, all words alike that no symmetry forbids; it
    stands for all of k sites divided by those drawn. Whole sets are taken as long as they need their share of the rows.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    symmetry = co.Symmetry(neurho.chain(10, periodic=True).translations, letters=4)
    rows = neurho.correlators.drawn_rows(symmetry, 4, 500, np.random.default_rng(0))
    assert rows.strings.size <= 500
    assert abs(rows.counts.sum() - (30 + 45 * 9 + 120 * 27 + 210 * 81)) < 1  # all strings of up to 4 sites
    ```
    """
    left, parts, counts, there = most, [], [], string_counts(symmetry, weight)
    for k in range(1, weight + 1):
        share = left // (weight + 1 - k)
        if there[k] <= share:
            found = all_strings(symmetry, k)
            number = symmetry.orbits(found).astype(float)
        else:
            found, number = _drawn(symmetry, k, max(share, 1), rng)
        parts.append(found)
        counts.append(number)
        left -= found.size
    return Rows(joined(parts), np.concatenate(counts))


def _drawn(symmetry: Symmetry, k: int, count: int, rng: np.random.Generator) -> tuple[Strings, np.ndarray]:
    sites = np.sort(np.argpartition(rng.random((count, symmetry.sites)), k - 1, axis=1)[:, :k], axis=1)
    word = rng.integers(1, symmetry.letters, size=(count, k))
    found = Strings(sites.astype(np.int32), word.astype(np.int8))
    kept = symmetry.holds(found)  # each string stands for its share of all of k sites, those that vanish among them
    each = comb(symmetry.sites, k) * (symmetry.letters - 1.0) ** k / count
    return found.take(kept), np.full(int(kept.sum()), each)


def build_equations(terms: StringTerms, symmetry: Symmetry, rows: Rows) -> Equations:
    """The equations of some rows.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    rows = co.all_rows(symmetry, 3)
    equations = neurho.correlators.build_equations(terms, symmetry, rows)
    rho = neurho.exact.stationary_state(neurho.xyz(ring)).rho
    c = co.moments_about(co.dense(rho, 3), equations.columns, None)
    assert np.abs(equations.matrix(0.0) @ c).max() < 1e-6
    ```
    """
    patterns, begin = entry_patterns(terms, symmetry, central=False)
    numbers, found, sources = [], [], []
    for part in connected(terms, patterns, rows.strings, symmetry.sites, symmetry.sites):
        alive = symmetry.holds(part.strings)
        numbers.append(part.row[alive])
        found.append(part.strings.take(alive))
        sources.append(part.entry[alive] + begin[part.group])
    reached = joined([IDENTITY, rows.strings, *found])
    keys = symmetry.keys(reached)
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # in the order in which they come: the identity first
    rank = np.argsort(order)
    place = rank[place.reshape(-1)]
    columns = symmetry.canonical(reached.take(first[order]))
    row, source = np.concatenate(numbers), np.concatenate(sources)
    column = place[1 + rows.strings.size :]
    by_row = np.lexsort((column, row))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows.strings.size))])
    return Equations(
        terms=terms,
        rows=rows,
        columns=columns,
        own=place[1 : 1 + rows.strings.size],
        indptr=indptr.astype(np.int64),
        indices=column[by_row],
        source=source[by_row],
    )
