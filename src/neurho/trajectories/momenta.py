"""A Lindbladian in wave functions of one momentum: H_eff, its polynomials, jumps to all momenta, means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
import scipy.special

from neurho._types import Record, T
from neurho.model.operators import Lindbladian, Operator
from neurho.trajectories.orbits import Orbits, Table, make_orbits, operator_table, projections, spread_table
from neurho.trajectories.propagation import chebyshev_order
from neurho.trajectories.space import Space, parity_change
from neurho.trajectories.system import loss_of, losses
from neurho.trajectories.translations import Translations, distinct, orbits_of

KEPT_BYTES = 4e8
"""Matrices of all momenta are kept if together they take less: first those of H_eff, then of jumps, then of means. The
others are made when they are needed."""

DENSE = 64
"""Amplitudes below which eigenvalues of a block are those of a dense matrix."""

MARGIN = 0.02
"""By how much of its width the spectrum of a block is taken wider than the Lanczos vectors say."""


class Block(NamedTuple):
    """(H_eff - c)/R of one parity and momentum, with R and c; `width`: the largest imaginary part, in units of R."""

    matrix: sparse.csr_array
    radius: float
    centre: complex
    width: float

    def weights(self, s: float, order: int) -> np.ndarray:
        """w_n with psi(s) = sum_n w_n T_n((H_eff - c)/R) psi: exp(-i c s) (2 - delta_n0) (-i)^n J_n(R s)."""
        n = np.arange(order + 1)
        bessel = scipy.special.jv(n, self.radius * s)
        return np.where(n == 0, 1, 2) * QUARTERS[n % 4] * bessel * np.exp(-1j * self.centre * s)

    def polynomials(self, psi: np.ndarray, first: np.ndarray, order: int) -> np.ndarray:
        """T_n psi for n = 0 ... order, `(order + 1, orbits)`; `first` is T_1 psi."""
        found = np.empty((order + 1, len(psi)), dtype=complex)
        found[0], found[1] = psi, first
        for n in range(2, order + 1):
            new = self.matrix @ found[n - 1]
            new *= 2
            np.subtract(new, found[n - 2], out=found[n])
        return found


QUARTERS = np.array([1, -1j, -1, 1j])


@lru_cache(maxsize=4096)
def order_of(quarters: int, width: float, tolerance: float) -> int:
    """Terms for R h = quarters/4."""
    return chebyshev_order(quarters / 4, width, tolerance)


@dataclass(frozen=True, eq=False)
class Momenta:
    """Blocks of definite momentum, and of definite parity where space is halved.

    - `effective`: H_eff by parity; `jumps`: by parity, one table of each orbit of jump operators.
    - `diagonal`: `(operators, orbits)` by parity, and `others` by parity (upper halves): the distinct means; `places`:
      which of them (diagonal ones first) each operator has; `changes`: whether a jump operator flips parity.
    - `span`: least and largest eigenvalue of Gamma.
    """

    orbits: Orbits
    tolerance: float
    effective: tuple[Table, ...]
    jumps: tuple[tuple[Table, ...], ...]
    changes: tuple[int, ...]
    diagonal: tuple[np.ndarray, ...]
    others: tuple[tuple[Table, ...], ...]
    places: np.ndarray
    span: tuple[float, float]
    known: dict[tuple[str | int, ...], object] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def kept(self) -> dict[str, float]:
        """Bytes of the matrices of all momenta, kind by kind of those that are kept."""
        kinds = {"block": self.effective, "jump": sum(self.jumps, ()), "mean": sum(self.others, ())}
        found: dict[str, float] = {}
        for kind, tables in kinds.items():
            size = self.orbits.group.size * sum(20.0 * len(t.starts) + 4.0 * len(t.pointers) for t in tables)
            if size + sum(found.values()) <= KEPT_BYTES:
                found[kind] = size
        return found

    @property
    def table_bytes(self) -> float:
        """Bytes of all tables."""
        tables = [*self.effective, *(t for parity in (*self.jumps, *self.others) for t in parity)]
        own = sum(18.0 * len(t.values) + 12.0 * len(t.starts) + 4.0 * len(t.pointers) for t in tables)
        return own + sum(d.nbytes for d in self.diagonal) + 15.0 * len(self.orbits.number)

    def _kept(self, name: tuple[str | int, ...], make: Callable[[], T]) -> T:
        """What is made once if all of its kind are kept."""
        if name in self.known:
            return self.known[name]  # pyright: ignore[reportReturnType]
        found = make()
        if name[0] in self.kept or name[0] == "energies":
            self.known[name] = found
        return found

    def block(self, parity: int, k: int) -> Block:
        """The block of a parity and a momentum."""
        return self._kept(("block", parity, k), lambda: self._block(parity, k))

    def _block(self, parity: int, k: int) -> Block:
        h = self._matrix(self.effective[parity], parity, k)
        low, high = self._kept(("energies", parity, k), lambda: self._energies(h, parity, k))
        least, most = self.span
        radius = max((1 + MARGIN) * (high - low) / 2, (most - least) / 4, 1e-3 * most, 1e-9)
        centre = (high + low) / 2 - 0.25j * (most + least)
        matrix = sparse.csr_array((h - centre * sparse.eye_array(h.shape[0], format="csr")) / radius)
        return Block(matrix=matrix, radius=radius, centre=centre, width=(most - least) / 4 / radius)

    def _energies(self, h: Any, parity: int, k: int) -> tuple[float, float]:
        """Least and largest eigenvalue of the Hermitian part, from the same start in every process."""
        hermitian = (h + h.conj().T) / 2
        if h.shape[0] <= DENSE:
            values = np.linalg.eigvalsh(hermitian.toarray())
        else:
            start = np.random.default_rng(0).normal(size=h.shape[0]) * self.orbits.sectors[parity].compatible[k]
            options: Record = {"v0": start, "tol": 1e-3, "return_eigenvectors": False}
            values = [sparse.linalg.eigsh(hermitian, 1, which=end, **options)[0] for end in ("SA", "LA")]
        return float(values[0]), float(values[-1])

    def _matrix(self, table: Table, parity: int, k: int) -> Any:
        """A table for a momentum; rows without an amplitude are empty."""
        found, kept = table.matrix(self.orbits.group.phases[k]), self.orbits.sectors[parity].compatible[k]
        return found if np.all(kept) else sparse.csr_array(sparse.diags_array(kept.astype(float)) @ found)

    def options(self, psi: np.ndarray, parity: int, k: int) -> list[np.ndarray]:
        """What psi may jump to: of each orbit of jump operators the vectors of all momenta, `(momenta, orbits)`."""
        phases, found = self.orbits.group.phases[k], []
        for n, change in enumerate(self.changes):
            matrix = self._kept(("jump", n, parity, k), lambda n=n: self.jumps[parity][n].matrix(phases))
            found.append(projections(self.orbits, matrix @ psi, parity ^ change))
        return found

    def means(self, psi: np.ndarray, parity: int, k: int) -> np.ndarray:
        """<psi|X|psi>/<psi|psi> of all operators, averaged over translations."""
        chances = np.abs(psi) ** 2
        found = [self.diagonal[parity] @ chances]
        for n, table in enumerate(self.others[parity]):
            matrix = self._kept(("mean", n, parity, k), lambda table=table: self._matrix(table, parity, k))
            found.append(np.array([np.vdot(psi, matrix @ psi).real]))
        return np.concatenate(found)[self.places] / chances.sum()


def make_momenta(
    model: Lindbladian, space: Space, group: Translations, operators: Sequence[Operator], tolerance: float
) -> Momenta:
    """Tables of a model that keeps its translations, and of what is measured."""
    orbits = make_orbits(space, group)
    parities = range(len(orbits.sectors))
    loss = loss_of(model)
    effective = (model.hamiltonian - 0.5j * loss).merged()
    channels = orbits_of(model, group)
    changes = tuple((parity_change(c) or 0) if space.halved else 0 for c in channels)
    seen, places = distinct(operators, group)
    tables = [[operator_table(orbits, operator, p, upper=True) for operator in seen] for p in parities]
    plain = [all(tables[p][n].diagonal is not None for p in parities) for n in range(len(seen))]
    first = [n for n, flag in enumerate(plain) if flag]
    order = np.argsort([*first, *(n for n, flag in enumerate(plain) if not flag)])
    return Momenta(
        orbits=orbits,
        tolerance=tolerance,
        effective=tuple(operator_table(orbits, effective, p) for p in parities),
        jumps=tuple(
            tuple(spread_table(orbits, c, p, p ^ change) for c, change in zip(channels, changes, strict=True))
            for p in parities
        ),
        changes=changes,
        diagonal=tuple(_diagonals([tables[p][n] for n in first], len(orbits.sectors[p].least)) for p in parities),
        others=tuple(tuple(t for t, flag in zip(tables[p], plain, strict=True) if not flag) for p in parities),
        places=order[places],
        span=losses(loss, space)[:2],
    )


def _diagonals(tables: Sequence[Table], size: int) -> np.ndarray:
    """The elements of diagonal matrices, one in a row."""
    rows = [np.real(table.diagonal) for table in tables if table.diagonal is not None]
    return np.array(rows).reshape(len(rows), size)
