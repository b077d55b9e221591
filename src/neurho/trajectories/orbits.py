"""Wave functions of one momentum: one amplitude for each orbit of configurations under translations.

With T_g psi = chi_k(g) psi and a the least configuration of the orbit of x, g x = a,

    psi(x) = chi_k(g) psi(a),    phi_a = sqrt(w_a) psi(a),    <psi|psi> = sum_a |phi_a|^2,

where w_a is the number of configurations of the orbit. phi_a = 0 where a translation h leaves a as it is and
chi_k(h) is not 1. An operator is a sparse matrix whose elements have a factor chi_k: its pattern serves all momenta.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse

from neurho.model.operators import Operator
from neurho.trajectories.space import Space
from neurho.trajectories.translations import Translations


class Sector(NamedTuple):
    """Orbits of one parity, or all: least configurations, sizes w_a, and chi_k = 1 on what leaves them as they are.

    - `compatible`: `(momenta, orbits)`, whether there is an amplitude.
    """

    least: np.ndarray
    sizes: np.ndarray
    compatible: np.ndarray


@dataclass(frozen=True, eq=False)
class Orbits:
    """All orbits; made by [`make_orbits`][neurho.trajectories.orbits.make_orbits].

    - `sectors`: those of even and of odd parity where space is halved, else all.
    - `number`, `by`: of every configuration, the number of its orbit in its sector, and which g takes it to the least.
    - `parity`: of every configuration, 0 or 1; all 0 where space is not halved.
    """

    space: Space
    group: Translations
    sectors: tuple[Sector, ...]
    number: np.ndarray
    by: np.ndarray
    parity: np.ndarray

    @property
    def dimension(self) -> int:
        """Amplitudes of the largest sector."""
        return max(len(sector.least) for sector in self.sectors)

    @cached_property
    def images(self) -> tuple[np.ndarray, ...]:
        """g^-1 a for all translations and all orbits of each sector, `(group, orbits)`."""
        moves = np.argsort(self.group.moves, axis=1)
        return tuple(np.stack([_moved(s.least, self.space, move) for move in moves]) for s in self.sectors)


def make_orbits(space: Space, group: Translations) -> Orbits:
    """The orbits of all configurations of a space."""
    count = space.local_dim**space.sites
    least, by = np.arange(count), np.zeros(count, dtype=np.int16)
    for g, move in enumerate(group.moves):
        image = _all_moved(space, move)
        lower = image < least
        least[lower], by[lower] = image[lower], g
    parity = np.zeros(count, dtype=np.int8)
    if space.halved:
        levels = [np.arange(space.local_dim) for _ in range(space.sites)]
        parity = (reduce(lambda a, b: np.add.outer(a, b).ravel(), levels) % 2).astype(np.int8)
    number, sectors = np.zeros(count, dtype=np.int32), []
    for p in range(1 + space.halved):
        inside = np.flatnonzero(parity == p)
        lowest, number[inside] = np.unique(least[inside], return_inverse=True)
        fixed = np.stack([_moved(lowest, space, move) == lowest for move in group.moves])
        compatible = np.abs(group.phases @ fixed - fixed.sum(axis=0)) < 1e-9
        sectors.append(Sector(least=lowest, sizes=group.size / fixed.sum(axis=0), compatible=compatible))
    return Orbits(space=space, group=group, sectors=tuple(sectors), number=number, by=by, parity=parity)


def _all_moved(space: Space, move: np.ndarray) -> np.ndarray:
    """G x for all configurations x: (g x)(g(j)) = x(j)."""
    strides = space.local_dim ** (space.sites - 1 - move)
    return reduce(lambda a, b: np.add.outer(a, b).ravel(), [np.arange(space.local_dim) * s for s in strides])


def _moved(configurations: np.ndarray, space: Space, move: np.ndarray) -> np.ndarray:
    """G x for some configurations."""
    strides = space.local_dim ** (space.sites - 1 - np.arange(space.sites))
    found = np.zeros_like(configurations)
    for j, target in enumerate(move):
        found += configurations // strides[j] % space.local_dim * strides[target]
    return found


@dataclass(frozen=True, eq=False)
class Table:
    """Elements of an operator between orbits: a pattern of a sparse matrix (CSR), and what adds up to each entry.

    - `values`, `shifts`: an element and the g of its factor chi_k(g); `starts`: where each entry of the matrix begins.
    """

    values: np.ndarray
    shifts: np.ndarray
    starts: np.ndarray
    indices: np.ndarray
    pointers: np.ndarray
    shape: tuple[int, int]

    def matrix(self, phases: np.ndarray) -> sparse.csr_array:
        """The matrix for a momentum with chi_k(g) = `phases`."""
        data = self.values * phases[self.shifts]
        if len(self.starts) < len(data):
            data = np.add.reduceat(data, self.starts)
        return sparse.csr_array((data, self.indices, self.pointers), shape=self.shape)

    @property
    def diagonal(self) -> np.ndarray | None:
        """The elements of a diagonal matrix that is the same for all momenta, or None."""
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.pointers))
        if np.any(self.shifts) or not np.array_equal(rows, self.indices):
            return None
        found = np.zeros(self.shape[0], dtype=complex)
        found[rows] = self.values
        return found


def make_table(
    orbits: Orbits, operator: Operator, rows: np.ndarray, lengths: np.ndarray, parity: int, *, upper: bool = False
) -> Table:
    """(X psi)(x) times `lengths` for the configurations `rows`, from phi of a parity; other elements are left out.

    With `upper`, of a Hermitian matrix the elements below the diagonal are left out, and those above it doubled.
    """
    sector = orbits.sectors[parity]
    parts = [(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0, dtype=complex))]
    for place, configuration, values in _elements(operator, rows, orbits.space.sites):
        inside = orbits.parity[configuration] == parity
        parts.append((place[inside], configuration[inside], values[inside]))
    place, configuration, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    column = orbits.number[configuration].astype(int)
    if upper:
        values = values * np.where(column > place, 2.0, 1.0)
        place, column, values, configuration = (x[column >= place] for x in (place, column, values, configuration))
    shape, size = (len(rows), len(sector.least)), orbits.group.size
    key, which = np.unique((place * shape[1] + column) * size + orbits.by[configuration], return_inverse=True)
    sums = np.bincount(which, np.real(values), len(key)) + 1j * np.bincount(which, np.imag(values), len(key))
    key, sums = key[np.abs(sums) > 1e-14], sums[np.abs(sums) > 1e-14]
    entry, shifts = key // size, (key % size).astype(np.int16)
    entries, starts = np.unique(entry, return_index=True)
    place, column = entry // shape[1], entry % shape[1]
    return Table(
        values=sums * lengths[place] / np.sqrt(sector.sizes[column]),
        shifts=shifts,
        starts=starts,
        indices=(entries % shape[1]).astype(np.int32),
        pointers=np.searchsorted(entries // shape[1], np.arange(shape[0] + 1)).astype(np.int32),
        shape=shape,
    )


def operator_table(orbits: Orbits, operator: Operator, parity: int, *, upper: bool = False) -> Table:
    """An operator that is the same after every translation, between orbits of one parity."""
    sector = orbits.sectors[parity]
    return make_table(orbits, operator, sector.least, np.sqrt(sector.sizes), parity, upper=upper)


def spread_table(orbits: Orbits, operator: Operator, before: int, after: int) -> Table:
    """Any operator, from orbits to all configurations g^-1 a, `(group orbits, orbits)`: what `projections` takes."""
    rows = orbits.images[after].ravel()
    return make_table(orbits, operator, rows, np.ones(len(rows)), before)


def projections(orbits: Orbits, values: np.ndarray, parity: int) -> np.ndarray:
    """Phi of P_k psi for all momenta k, `(momenta, orbits)`, from psi(g^-1 a) as `(group, orbits)`.

    (P_k psi)(a) = sum_g chi_k(g)^* psi(g^-1 a)/|G|.
    """
    sector, phases = orbits.sectors[parity], orbits.group.phases
    found = phases.conj() @ values.reshape(len(phases), -1)
    return found * (sector.compatible * np.sqrt(sector.sizes) / len(phases))


def _elements(operator: Operator, rows: np.ndarray, sites: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Elements X(x, y) that are not zero, for the configurations x in `rows`: numbers of rows, y, values."""
    d = operator.local_dim
    for term in operator.terms:
        k = len(term.sites)
        strides = d ** (sites - 1 - np.array(term.sites, dtype=int))
        powers = d ** np.arange(k - 1, -1, -1)
        digits = rows[:, None] // strides % d
        here, rest = digits @ powers, rows - digits @ strides
        for column in range(d**k):
            values = term.matrix[here, column]
            kept = np.flatnonzero(values)
            if len(kept):
                yield kept, rest[kept] + int(column // powers % d @ strides), values[kept]
