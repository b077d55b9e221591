"""Stationary states of ordered phases by cumulants about a state that breaks a parity: `task.closure = "cumulants"`.

The unique stationary state is its even part, and so odd means vanish and even ones are those of the ordered state.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError
from neurho.observables import Snapshot
from neurho.run.drivers.base import Driver
from neurho.run.drivers.correlator_flow import CorrelatorFlow
from neurho.run.drivers.correlator_picture import MEMORY, Member, Picture, Reading
from neurho.run.drivers.correlator_search import CorrelatorSearch
from neurho.run.drivers.correlators import make_correlators
from neurho.run.setup import Setup

DENSE = 4000
"""Strings at most: equations are solved with dense matrices."""


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
        return 1e8 + 5 * 8 * min(float(DENSE), self._expected(self.highest)) ** 2

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        permutations, highest = len(self.picture.symmetry.moves), self.highest
        return {"permutations": permutations, "weight": highest, "strings": int(self._expected(highest))}

    @cached_property
    def highest(self) -> int:
        """The largest order.

        **Raises** `NeurhoError` if `task.weight` asks for too many strings.
        """
        sites, asked = self.picture.setup.lattice.sites, self.picture.task.weight
        highest = 2
        while highest < sites - 1 and self._expected(highest + 1) <= min(DENSE, self.picture.task.strings):
            highest += 1
        if asked is not None and not 2 <= asked <= highest:
            raise NeurhoError(
                f'Key `task.weight` must be 2 to {highest} for task.closure = "cumulants" on this lattice, because its '
                f"equations are solved with dense matrices of at most {DENSE} strings, but it is {asked}."
            )
        return highest if asked is None else asked

    def _expected(self, weight: int) -> float:
        """About how many strings of up to `weight` sites there are: without the parity that is broken."""
        symmetry = self.picture.symmetry
        broken = co.Symmetry(symmetry.moves, symmetry.letters, symmetry.signs[:-1])
        return sum(co.expected_count(broken, k) for k in range(1, weight + 1))

    def template(self) -> Expanding:
        """The state before the first order."""
        none = np.zeros(self.picture.count)
        return Expanding(step=0, t=0.0, dt=0.0, values=none, difference=none)

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """One output for each order from 2, until errors are below `task.goal` or an order has no solution.

        **Raises** `NumericalError` if mean field has no order, or cumulants of two sites have none.
        """
        self.picture.require_purity()
        done, here = 0 if state is None else int(state.step), self.template()
        terms, dim = self.picture.terms, self.picture.setup.lindbladian.local_dim
        order = co.mean_field_order(terms, self.picture.setup.lattice.symmetries, dim)
        before, last = None, None
        for number, weight in enumerate(range(2, self.highest + 1), start=1):
            branch = co.ordered_branch(terms, order, weight)
            try:
                z, first = co.ordered_state(branch, order, before)
            except NumericalError:
                if last is None:
                    raise
                last = _without(last, weight)
                if last.step > done:
                    yield last
                return
            before = branch, first
            if number == 1:
                here = here._replace(values=self._read(branch, co.mean_field_moments(branch, order)).values)
            here, last = self._judged(branch, z, here._replace(step=number, t=float(number)))
            if number > done:  # a run that goes on solves again what was found before, in seconds
                yield last
            if last.converged:
                return
            if watch is not None:
                watch(here)

    def _read(self, branch: co.Branch, moments: co.Moments) -> Reading:
        hierarchy = branch.cumulants.hierarchy
        member = Member(hierarchy, central=True, blocks=co.blocks(hierarchy, self.picture.measured.strings))
        return self.picture.read(member, moments, 0.0)

    def _judged(self, branch: co.Branch, z: np.ndarray, state: Expanding) -> tuple[Expanding, Snapshot]:
        strings, picture = branch.cumulants.hierarchy.strings, self.picture
        weight = strings.sites.shape[1]
        reading = self._read(branch, co.branch_moments(branch, z))
        difference = np.abs(reading.values - state.values)
        errors = picture.errors(difference, state.difference)
        if weight == 2:  # mean field alone may be near by chance
            least = MEMORY * np.sqrt(picture.size_of(difference))
            errors = np.where(errors > picture.rounding, np.maximum(errors, least), errors)
        rung = co.Rung(weight=weight, full=weight, parts=(strings.take(slice(1, None)),), complete=False)
        state = state._replace(values=reading.values, difference=difference)
        found = picture.snapshot(state, reading, errors, rung, central=True)
        reached = weight > 2 and found.diagnostics["error_estimate"] <= picture.task.goal
        diagnostics = found.diagnostics | {"order_decay": float(z[0])}
        return state, found._replace(diagnostics=diagnostics, converged=reached)


def _without(last: Snapshot, weight: int) -> Snapshot:
    """The order before once more, where one has no solution."""
    step = last.step + 1
    state = last.state._replace(step=step, t=float(step))
    message = f"Cumulants of up to {weight} sites have no ordered state; values and errors are those of {weight - 1}."
    return last._replace(step=step, t=float(step), state=state, message=message)


def make(setup: Setup) -> CorrelatorFlow | CorrelatorSearch | CumulantSearch:
    """The driver of a problem by correlators."""
    plain, task = make_correlators(setup), setup.config.task
    if not isinstance(plain, CorrelatorSearch) or task.kind != "stationary" or task.closure != "cumulants":
        return plain
    search = CumulantSearch(plain.picture)
    _ = search.highest  # a weight that does not fit is said before the run
    return search
