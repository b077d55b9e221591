"""What evolutions and searches by correlators share: strings, hierarchies, values and their errors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, Record
from neurho.model.timescales import Schedule
from neurho.observables import Estimate, Snapshot, State
from neurho.observables.names import ENERGY, GLOBAL, PURITY, RENYI2
from neurho.observables.readout import with_entropy
from neurho.run.drivers.base import Driver
from neurho.run.drivers.inherited import Ended, last_state
from neurho.run.setup import Setup

BYTES = 6000
"""Of memory for each string, at the peak."""

REFERENCES = (False, True)
"""Whether the reference is the state's own product: first zero, then that."""

MEMORY = 0.2
"""Part of the largest difference so far below which no error falls: differences may cross zero."""

FLOOR = 0.05
"""Part of the root mean square of all differences below which no error falls, for the same reason."""

UNTOLD = 1.0
"""What stands for an infinite error in `error_estimate`: as large as means of spins can be."""

NO_MEAN = GLOBAL | {ENERGY}
"""What is no mean of an operator."""


class Member(NamedTuple):
    """One hierarchy, and where its observables stand."""

    hierarchy: co.Hierarchy
    central: bool
    blocks: tuple[Any, ...]


class Reading(NamedTuple):
    """All named values of an output in one row, and the smallest eigenvalue of pairs."""

    values: np.ndarray
    smallest: float


@dataclass(frozen=True)
class Picture:
    """A problem in the coordinates of operator strings."""

    setup: Setup
    make: Callable[[Setup], Driver]
    """What makes the driver of another problem by correlators: its last state may be where this one begins."""

    @cached_property
    def terms(self) -> co.StringTerms:
        """The Lindbladian on strings."""
        return co.string_terms(self.setup.lindbladian)

    @cached_property
    def start(self) -> np.ndarray | Ended | None:
        """One-site means of the product start, or the last state of another run; None for a stationary state."""
        if self.setup.task.kind == "stationary":
            return None
        if self.setup.config.initial.kind == "state":
            return self.inherited
        return co.product_letters(self.setup.factors)

    @cached_property
    def inherited(self) -> Ended | None:
        """The last state of another run, where `initial.run` names one."""
        return last_state(self.setup, self.make) if self.setup.config.initial.kind == "state" else None

    @property
    def cut_start(self) -> bool:
        """Whether the start is a state that another run has cut."""
        return isinstance(self.start, Ended) and not self.start.complete

    @cached_property
    def symmetry(self) -> co.Symmetry:
        """Permutations and signs that model and start have."""
        moves, dim, start = self.setup.lattice.symmetries, self.setup.lindbladian.local_dim, self.start
        if isinstance(start, Ended):
            return co.shared_symmetry(self.terms, moves, dim, start.fine)
        kept = co.invariant_moves(self.terms, moves, start)
        return co.Symmetry(kept, self.terms.letters, co.sector_signs(self.terms, dim, start))

    @cached_property
    def measured(self) -> co.Measured:
        """The strings of all operators of the readout, and behind them those of pairs that a term joins."""
        joined = {tuple(map(int, p)) for g in self.terms.groups if g.places.shape[1] == 2 for p in g.places}
        pairs = np.array(sorted(joined), dtype=int).reshape(-1, 2)
        found = co.measured(self.setup.readout.operators)
        return found._replace(strings=co.joined([found.strings, co.pair_strings(pairs, self.terms.letters)]))

    @cached_property
    def rungs(self) -> list[co.Rung]:
        """The ladder as far as it is climbed."""
        limits = {"most": self.setup.task.strings, "weight": self.setup.task.weight}
        return list(co.ladder(self.terms, self.symmetry, self.measured.strings, **limits))

    @cached_property
    def expected(self) -> tuple[int, int]:
        """The largest weight up to which all strings fit, and how many strings there are at most."""
        sites, most, asked = self.symmetry.sites, self.setup.task.strings, self.setup.task.weight
        sizes = np.cumsum(co.string_counts(self.symmetry, min(sites, co.MOST_WEIGHT))[1:])
        if asked is not None:
            weight = min(asked, len(sizes))
            return weight, int(sizes[weight - 1])
        weight = max(min(2, len(sizes)), int(np.searchsorted(sizes, most, side="right")))
        return weight, int(sizes[-1] if weight == sites else max(most, sizes[weight - 1]))

    def member(self, rung: co.Rung, *, central: bool) -> Member:
        """One hierarchy."""
        hierarchy = co.build_hierarchy(self.terms, self.symmetry, rung.parts, central=central)
        return Member(hierarchy, central, co.blocks(hierarchy, self.measured.strings))

    def read(self, member: Member, moments: co.Moments, t: float) -> Reading:
        """All named values."""
        means = co.string_means(member.blocks, self.measured.strings.size, moments.c, moments.reference)
        return self.reading(means, t, self.purity(member, moments))

    def reading(self, means: np.ndarray, t: float, more: Record | None = None) -> Reading:
        """All named values from c_P of the strings that are measured, and `more` of them by name."""
        means[~self.symmetry.holds(self.measured.strings)] = (
            0.0  # a state that breaks a parity stands for its even part
        )
        own = self.measured.number
        named = self.setup.readout.combine(self.measured.matrix @ means[:own], t) | (more or {})
        smallest = co.smallest_eigenvalue(means[own:], self.setup.lindbladian.local_dim)
        return Reading(np.concatenate([np.ravel(value) for value in named.values()]), smallest)

    @cached_property
    def plan(self) -> Schedule | None:
        """When coefficients change; None where none does."""
        model, times = self.setup.lindbladian, self.setup.times
        return model.schedule(float(times[0]), float(times[-1])) if model.is_time_dependent else None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all named values, in order."""
        zero = self.setup.readout.combine(np.zeros(len(self.setup.readout.operators)))
        return {name: np.shape(value) for name, value in zero.items()} | dict.fromkeys(
            (PURITY, RENYI2) * self.with_purity, ()
        )

    @cached_property
    def count(self) -> int:
        """Numbers in all named values."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def split(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """A row of all values by name."""
        found, begin = {}, 0
        for name, shape in self.shapes.items():
            found[name] = values[begin : (begin := begin + int(np.prod(shape)))].reshape(shape)
        return found

    def size_of(self, difference: np.ndarray) -> float:
        """Mean over all quantities, but energies and what is no mean, of the mean square of a difference."""
        parts = [np.mean(part**2) for name, part in self.split(difference).items() if name not in NO_MEAN and part.size]
        return float(np.mean(parts)) if parts else float(np.mean(difference**2))

    def errors(self, values: np.ndarray, difference: np.ndarray, earlier: np.ndarray | float) -> np.ndarray:
        """Errors from how two cuts differ, and how much they differed before; values that vanish by symmetry have none
        but rounding. That two cuts agree in one value may be chance: it has part of what all others differ.
        """
        there = np.maximum(difference, np.abs(values)) > 10 * self.setup.task.tolerance
        floor = FLOOR * np.sqrt(self.size_of(difference)) * there
        return np.maximum.reduce([difference, MEMORY * earlier * np.ones_like(difference), floor, self.rounding])

    @property
    def alone(self) -> str:
        """A sentence where one set of strings is all there is, and nothing tells what its cut does; else nothing."""
        if len(self.rungs) > 1 or self.rungs[0].complete:
            return ""
        return (
            f"Strings of up to {self.rungs[0].weight} sites are the only set that task.weight and task.strings allow: "
            "without a second cut there is no error bar."
        )

    @property
    def unknown(self) -> np.ndarray:
        """Errors where nothing tells them."""
        return np.full(self.count, np.inf)

    @property
    def rounding(self) -> np.ndarray:
        """Errors of values without a cut."""
        return np.full(self.count, 10 * self.setup.task.tolerance)

    def snapshot(self, state: State, reading: Reading, errors: np.ndarray, rung: co.Rung, *, central: bool) -> Snapshot:
        """An output."""
        means, bars = self.split(reading.values), self.split(errors)
        worst = max(
            (float(np.max(bar, initial=0.0)) for name, bar in bars.items() if name not in NO_MEAN),
            default=0.0,
        )
        diagnostics = {
            "error_estimate": worst if np.isfinite(worst) else UNTOLD,
            "weight": float(rung.weight),
            "strings": float(rung.size),
            "central": float(central),
            "smallest_eigenvalue": reading.smallest,
        }
        estimates = {name: Estimate(mean=means[name], error=bars[name]) for name in means}
        return Snapshot(step=state.step, t=state.t, observables=estimates, diagnostics=diagnostics, state=state)

    @property
    def with_purity(self) -> bool:
        """Whether purity and Renyi-2 entropy are asked for."""
        return self.setup.config.observables.purity

    def purity(self, member: Member, moments: co.Moments) -> Record:
        """Purity and Renyi-2 entropy by name, where they are asked for."""
        if not self.with_purity:
            return {}
        hierarchy = member.hierarchy
        order = hierarchy.order
        known = co.Kept(self.symmetry, hierarchy.keys, moments.c[order], moments.means, self.symmetry.sites)
        found = co.purity(known, hierarchy.strings, self.setup.lindbladian.local_dim)
        return with_entropy(found)

    def require_purity(self) -> None:
        """Refuse a purity where strings are missing, which is known before they are counted."""
        weight, sites = self.expected[0], self.symmetry.sites
        if self.with_purity and weight < sites:
            raise NeurhoError(
                'Key `observables.purity` must be false for task.method = "correlators" where strings are cut, because '
                "purity is the sum of the squares of all correlators of all weights, but it is true and strings have "
                f"at most {weight} of {sites} sites; a larger task.strings keeps more."
            )


def require_second(picture: Picture) -> None:
    """Refuse the state of a run with one cut as a start: nobody knows how far off it is."""
    if picture.alone:
        raise NeurhoError(
            "that run had one set of strings and no error bar; give it a larger task.weight or task.strings."
        )


def sizes_of(picture: Picture) -> Record:
    """Permutations, weight and strings, for `neurho run --check`."""
    weight, size = picture.expected
    return {"permutations": len(picture.symmetry.moves), "weight": weight, "strings": size}
