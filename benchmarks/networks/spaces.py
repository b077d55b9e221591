"""Density matrices as real vectors: one number for all entries that symmetries make equal, and linear maps of them.

The depolarised norm and the Lindbladian are sparse matrices there, so that they cost little for whole Jacobians: D
mixes the populations of a site, and leaves coherences where they are.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from cases import Array, System
from scipy import sparse

from neurho import outcomes
from neurho.matrix_elements.generator import all_labels, lindbladian_terms, place_values, to_matrix, to_table
from neurho.matrix_elements.sampling.enumeration import mirrored, representatives
from neurho.outcomes.frame import TO_LABELS, at_every_site

Map = Callable[[Array], Array]
"""A linear map of vectors, or of the columns of a matrix; `transposed` where L-BFGS needs it."""


class Linear(NamedTuple):
    """A linear map and its transpose, of vectors and of columns of matrices; `matrix` where it is sparse."""

    apply: Map
    transposed: Map
    matrix: Any = None

    def over(self, size: float) -> "Linear":
        """The map divided by a number."""
        matrix = None if self.matrix is None else self.matrix / size
        return Linear(lambda v: self.apply(v) / size, lambda v: self.transposed(v) / size, matrix)

    def after(self, first: "Linear") -> "Linear":
        """`first`, then this: one by one, since the product is far less sparse."""
        return Linear(lambda v: self.apply(first.apply(v)), lambda v: first.transposed(self.transposed(v)))


class Space(NamedTuple):
    """How real vectors v stand for Hermitian matrices.

    - `x`: configurations `(entries, sites)` of the first entries of v; of labels those of `twofold` have an imaginary
      part, too, which come behind all real parts.
    - `trace`: the vector t of tr rho = t.v.
    - `of_matrix`, `to_matrix`: v of rho, and back.
    - `norm(lambda)`: D with |D v| = ||rho||_lambda, up to one factor. `rate`: v of L rho from v of rho.
    - `block`: for each configuration the block of B of all norms that it is in, 0 of populations; None: no blocks.
    """

    x: Array
    twofold: Array
    trace: Array
    of_matrix: Map
    to_matrix: Map
    norm: Callable[[float], Linear]
    rate: Callable[[], Linear]
    block: Array = None


class Classes(NamedTuple):
    """Configurations of labels that symmetries make equal: where each configuration has its representative."""

    x: Array
    many: Array
    place: Array
    conjugate: Array
    inside: Array
    twofold: Array


def classes(system: System, moves: Array) -> Classes:
    labels, sites = all_labels(system.sites, 4), system.sites
    moves = np.arange(sites)[None] if moves is None else moves
    first, conjugate = representatives(labels, 2, moves, hermitian=True)
    kept, place, count = np.unique(first, return_inverse=True, return_counts=True)
    x = np.stack(np.unravel_index(kept, (4,) * sites), axis=1).astype(np.int32)
    charge = system.charge
    used = np.ones(len(x), bool) if charge is None else np.asarray(charge.of(jnp.asarray(x))) == 0
    position = np.cumsum(used) - 1
    other = reduce(np.minimum, (mirrored(x, 2)[:, move] @ place_values(sites, 4) for move in moves))
    plain = reduce(np.minimum, (x[:, move] @ place_values(sites, 4) for move in moves))
    inside = used[place]
    return Classes(
        x[used],
        count[used].astype(float),
        np.where(inside, position[place], 0),
        conjugate,
        inside,
        (other != plain)[used],
    )


def linear(matrix: Any) -> Linear:
    rows, back = sparse.csr_array(matrix), sparse.csr_array(matrix.T)
    single = {np.dtype(np.float64): rows, np.dtype(np.float32): rows.astype(np.float32)}
    return Linear(lambda v: single[v.dtype] @ v, lambda v: back @ v, rows)


def of_labels(system: System, *, tied: bool) -> Space:
    """Entries on labels: one for all translations where `tied`, one of (l, r) and (r, l), in the sector."""
    found = classes(system, system.moves if tied else None)
    two = np.flatnonzero(found.twofold)
    root = sparse.diags_array(np.sqrt(np.concatenate([found.many, found.many[two]])))
    index = found.x @ place_values(system.sites, 4)

    def of_matrix(rho: Array) -> Array:
        values: Array = to_table(rho, system.sites, 2)[index]
        return np.concatenate([values.real, values.imag[two]])

    def back(v: Array) -> Array:
        values = v[: len(index)].astype(complex)
        values[two] += 1j * v[len(index) :]
        table = np.where(found.inside, values[found.place], 0)
        return to_matrix(np.where(found.conjugate, table.conj(), table), system.sites, 2)

    rows, columns = np.divmod(found.x, 2)
    trace = np.concatenate([np.all(rows == columns, axis=1) * found.many, np.zeros(len(two))])
    return Space(
        x=found.x,
        twofold=two,
        trace=trace,
        of_matrix=of_matrix,
        to_matrix=back,
        norm=lambda lam: linear(root @ _real_matrix(found, _depolarising(found.x, lam))),
        rate=lambda: linear(_real_matrix(found, _lindbladian(found.x, system))),
        block=_blocks(found.x),
    )


def _blocks(x: Array) -> Array:
    """Which coherences stand where, up to exchanging rows and columns: D mixes no others."""
    coherence, powers = np.where((x == 1) | (x == 2), x, 0), place_values(x.shape[1], 4)
    other = np.where(coherence > 0, 3 - coherence, 0)
    return np.minimum(coherence @ powers, other @ powers)


class Elements(NamedTuple):
    """Elements of a matrix: rows, places of the columns among all configurations, values."""

    row: Array
    column: Array
    value: Array


def _depolarising(x: Array, lam: float) -> Elements:
    """D at the configurations x: s = sqrt(lambda) for coherences, ((1 + s)/2, (1 - s)/2) for populations."""
    powers, s = place_values(x.shape[1], 4), np.sqrt(lam)
    row, column, value = np.arange(len(x)), x @ powers, np.ones(len(x))
    for power in powers if lam != 1 else ():
        label = column // power % 4
        population = np.flatnonzero((label == 0) | (label == 3))
        other = column[population] + (3 - 2 * label[population]) * power
        value = value * np.where((label == 0) | (label == 3), (1 + s) / 2, s)
        row = np.concatenate([row, row[population]])
        column = np.concatenate([column, other])
        value = np.concatenate([value, value[population] * (1 - s) / (1 + s)])
    return Elements(row, column, value)


def _lindbladian(x: Array, system: System) -> Elements:
    parts = []
    for term in lindbladian_terms(system.model)[0]:
        powers, local = place_values(system.sites, 4)[list(term.sites)], place_values(len(term.sites), 4)
        old = x[:, term.sites] @ local
        digits = all_labels(len(term.sites), 4)
        for new in range(len(digits)):
            used = np.flatnonzero(term.matrix[old, new])
            moved = (digits[new] - x[used][:, term.sites]) @ powers
            parts.append((used, x[used] @ place_values(system.sites, 4) + moved, term.matrix[old[used], new]))
    return Elements(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _real_matrix(found: Classes, elements: Elements) -> sparse.csr_array:
    """The map between real vectors of elements between configurations."""
    kept = found.inside[elements.column]  # a charge is conserved: others are zero
    row, column, value = elements.row[kept], elements.column[kept], elements.value[kept].astype(complex)
    column, sign = found.place[column], np.where(found.conjugate[column], -1.0, 1.0)
    count, two = len(found.x), np.flatnonzero(found.twofold)
    imaginary = np.full(count, -1)
    imaginary[two] = count + np.arange(len(two))
    total = count + len(two)
    pieces = []
    for rows, columns, values in (
        (row, column, value.real),
        (row, imaginary[column], -sign * value.imag),
        (imaginary[row], column, value.imag),
        (imaginary[row], imaginary[column], sign * value.real),
    ):
        there = (rows >= 0) & (columns >= 0) & (values != 0)
        pieces.append((rows[there], columns[there], values[there]))
    rows, columns, values = (np.concatenate(part) for part in zip(*pieces, strict=True))
    matrix = sparse.coo_array((values, (rows, columns)), shape=(total, total)).tocsr()
    matrix.sum_duplicates()
    return matrix


def of_outcomes(system: System) -> Space:
    """Probabilities of the outcomes of all sites: sum_a p(a)^2 is the norm with lambda = 1/3, up to a factor."""
    sites = system.sites

    def norm(lam: float) -> Linear:
        gram = (TO_LABELS.conj().T @ TO_LABELS).real
        values, vectors = np.linalg.eigh(gram)  # 2 once (the identity), 6 three times
        strength = np.where(values < 4, values, values * lam)
        one = vectors * np.sqrt(strength) @ vectors.T
        if np.allclose(one, one[0, 0] * np.eye(4)):
            return Linear(lambda v: one[0, 0] ** sites * v, lambda v: one[0, 0] ** sites * v)
        return Linear(*[partial(at_every_site, one, sites=sites)] * 2)

    def rate() -> Linear:
        x, parts = all_labels(sites, 4), []
        for where, matrix in outcomes.outcome_rates(system.model):
            powers, local = place_values(sites, 4)[list(where)], place_values(len(where), 4)
            old, digits = x[:, where] @ local, all_labels(len(where), 4)
            for new in range(len(digits)):
                used = np.flatnonzero(np.abs(matrix[old, new]) > 1e-14)
                moved = (digits[new] - x[used][:, where]) @ powers
                parts.append((used, used + moved, matrix[old[used], new]))
        row, column, value = (np.concatenate(part) for part in zip(*parts, strict=True))
        return linear(sparse.coo_array((value, (row, column)), shape=(len(x), len(x))).tocsr())

    return Space(
        x=all_labels(sites, 4),
        twofold=np.zeros(0, int),
        trace=np.ones(4**sites),
        of_matrix=lambda rho: outcomes.from_matrix(rho, sites),
        to_matrix=lambda v: outcomes.to_matrix(v, sites),
        norm=norm,
        rate=rate,
    )
