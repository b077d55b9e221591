"""Stationary states of ordered phases by cumulants about a state that breaks a parity: `task.closure = "cumulants"`.

The unique stationary state is its even part, and so odd means vanish and even ones are those of the ordered state.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError
from neurho.observables import Snapshot, State, Watch
from neurho.run.drivers.base import Driver, Facts
from neurho.run.drivers.correlator_flow import CorrelatorFlow
from neurho.run.drivers.correlator_picture import BYTES, MEMORY, Member, Picture, Reading
from neurho.run.drivers.correlator_search import CorrelatorSearch
from neurho.run.drivers.correlators import make_correlators
from neurho.run.setup import Setup

DENSE = 7000
"""Strings at most: equations are solved with dense matrices."""

BEYOND = 25_000
"""Strings at most with which the last set is compared, beside its own."""


class Expanding(NamedTuple):
    """How many orders are done, what the last gave, and how it differs from the one before."""

    step: int
    t: float
    dt: float
    values: np.ndarray
    difference: np.ndarray


@dataclass(frozen=True)
class CumulantSearch(Driver):
    """A stationary state by cumulants of up to 2, 3, ... sites; errors are differences of successive orders."""

    picture: Picture

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak."""
        size = self.rungs[-1].size
        return 1e8 + 3 * 8 * size**2 + BYTES * self.widest.size

    @property
    def begins(self) -> bool:
        """Not with the start of the problem: its equations are solved."""
        return False

    def describe(self) -> Facts:
        """Sizes."""
        last = self.rungs[-1]
        return {"permutations": len(self.picture.symmetry.moves), "weight": last.weight, "strings": last.size}

    @cached_property
    def symmetry(self) -> co.Symmetry:
        """Permutations and the parities that the ordered state keeps."""
        full = self.picture.symmetry
        return co.Symmetry(full.moves, full.letters, full.signs[:-1])

    @cached_property
    def widest(self) -> co.Rung:
        """The last set and strings beyond it.

        **Raises** `NeurhoError` if there are too many, as where every site has a term with every other.
        """
        last = self.rungs[-1]
        found = co.wider_rung(self.picture.terms, self.symmetry, last, most=BEYOND)
        if found is None:
            raise NeurhoError(
                f'Key `task.weight` must be smaller for task.closure = "cumulants" on this lattice, because strings of '
                f"{last.weight + 1} sites on neighbours are more than {10 * BEYOND}, but it is {last.weight}."
            )
        return found

    @cached_property
    def rungs(self) -> list[co.Rung]:
        """All strings of up to 2, 3, ... sites, without the parity that is broken, and the widest clusters that fit.

        **Raises** `NeurhoError` if `task.weight` asks for too many strings.
        """
        symmetry, task = self.symmetry, self.picture.setup.task
        most, asked = min(DENSE, task.strings), task.weight
        sizes = np.cumsum(co.string_counts(symmetry, symmetry.sites - 1)[1:])
        highest = max(2, int(np.searchsorted(sizes, most, side="right")))
        if asked is not None and not 2 <= asked <= highest:
            raise NeurhoError(
                f'Key `task.weight` must be 2 to {highest} for task.closure = "cumulants" on this lattice, because its '
                f"equations are solved with dense matrices of at most {most} strings, but it is {asked}."
            )
        return list(co.cumulant_ladder(self.picture.terms, symmetry, most=most, weight=asked))

    def template(self) -> Expanding:
        """The state before the first order."""
        none = np.zeros(self.picture.count)
        return Expanding(step=0, t=0.0, dt=0.0, values=none, difference=none)

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """One output for each order from 2, until errors are below `task.goal` or an order has no solution.

        **Raises** `NumericalError` if mean field has no order, or cumulants of two sites have none.
        """
        self.picture.require_purity()
        done, here = 0 if state is None else int(state.step), self.template()
        terms, dim = self.picture.terms, self.picture.setup.lindbladian.local_dim
        order = co.mean_field_order(terms, self.picture.symmetry.moves, dim)
        before, last = None, None
        branch = co.ordered_branch(terms, order, self.rungs[0].parts)
        for number, (rung, beyond) in enumerate(pairwise((*self.rungs, self.widest)), start=1):
            wider = co.ordered_branch(terms, order, beyond.parts)
            try:
                found = co.ordered_state(branch, order, before, wider)
            except NumericalError:
                if last is None:
                    raise
                last = _without(last, rung.weight)
                if last.step > done:
                    yield last
                return
            before = branch, found.first
            if number == 1:
                here = here._replace(values=self._read(branch, co.mean_field_moments(branch, order)).values)
            here, last = self._judged(branch, rung, found, here._replace(step=number, t=float(number)))
            if number > done:  # a run that goes on solves again what was found before, in seconds
                yield last
            if last.converged:
                return
            if watch is not None:
                watch(here)
            branch = wider

    def _read(self, branch: co.Branch, moments: co.Moments) -> Reading:
        hierarchy = branch.cumulants.hierarchy
        member = Member(hierarchy, central=True, blocks=co.blocks(hierarchy, self.picture.measured.strings))
        return self.picture.read(member, moments, 0.0)

    def _judged(
        self, branch: co.Branch, rung: co.Rung, found: co.Solution, state: Expanding
    ) -> tuple[Expanding, Snapshot]:
        picture = self.picture
        reading, *others = (self._read(branch, co.branch_moments(branch, z)) for z in (found.z, *found.others))
        between = 0.5 * np.abs(others[0].values - others[1].values)
        difference = np.maximum(np.abs(reading.values - state.values), between)
        errors = picture.errors(reading.values, difference, state.difference)
        if rung.weight == 2:  # mean field alone may be near by chance
            least = MEMORY * np.sqrt(picture.size_of(difference))
            errors = np.where(errors > picture.rounding, np.maximum(errors, least), errors)
        state = state._replace(values=reading.values, difference=difference)
        row = picture.snapshot(state, reading, errors, rung, central=True)
        reached = rung.weight > 2 and row.diagnostics["error_estimate"] <= picture.setup.task.goal
        diagnostics = row.diagnostics | {"order_decay": float(found.z[0])}
        return state, row._replace(diagnostics=diagnostics, converged=reached)


def _without(last: Snapshot, weight: int) -> Snapshot:
    """The order before once more, where one has no solution."""
    step = last.step + 1
    message = (
        f"Cumulants of up to {weight} sites have no ordered state: values are those of {weight - 1}, which no order "
        "after it bears out."
    )
    return last._replace(step=step, t=float(step), state=last.state._replace(step=step, t=float(step)), message=message)


def make(setup: Setup, other: Callable[[Setup], Driver]) -> CorrelatorFlow | CorrelatorSearch | CumulantSearch:
    """The driver of a problem by correlators; `other` makes that of another one, in whose last state it may begin."""
    plain, task = make_correlators(setup, other), setup.config.task
    if not isinstance(plain, CorrelatorSearch) or task.kind != "stationary" or task.closure != "cumulants":
        return plain
    search = CumulantSearch(plain.picture)
    _ = search.rungs, search.widest  # a weight that does not fit is said before the run
    return search
