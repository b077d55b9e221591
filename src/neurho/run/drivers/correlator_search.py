"""Stationary correlators: cuts at one weight after the other, about two references."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError
from neurho.observables import Snapshot, State, Watch
from neurho.run.drivers.base import Driver, Facts
from neurho.run.drivers.correlator_picture import (
    BYTES,
    MEMORY,
    REFERENCES,
    Picture,
    Reading,
    require_second,
    sizes_of,
)
from neurho.run.drivers.inherited import Ended

BOTH = 4
"""Strings of so many sites, from which on a search goes on about the better reference only."""

LARGE = 0.02
"""Errors of means beyond which a search says what else to try: where a verdict is no longer "good"."""


class Climbing(NamedTuple):
    """Where a search is: the rung, what was found about each reference there and on the last rung without clusters, how
    it differs, and which go on.
    """

    step: int
    t: float
    dt: float
    found: np.ndarray
    whole: np.ndarray
    difference: np.ndarray
    before: np.ndarray
    alive: np.ndarray
    means: np.ndarray
    clusters: float
    kept: "Solutions"
    earlier: "Solutions"
    best: "Best"


class Solutions(NamedTuple):
    """Moments about each reference, zeros behind those of the rung, and the reference itself."""

    c: np.ndarray
    means: np.ndarray


class Best(NamedTuple):
    """The rung whose two cuts agree best so far, and what was found there and on the rung before."""

    size: float
    rung: int
    reference: int
    smallest: float
    values: np.ndarray
    errors: np.ndarray
    kept: Solutions


@dataclass(frozen=True)
class CorrelatorSearch(Driver):
    """A stationary state by hierarchies of more and more strings, until they agree."""

    picture: Picture

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak."""
        return BYTES * self.picture.expected[1]

    @property
    def begins(self) -> bool:
        """Not with the start of the problem: its equations are solved."""
        return False

    def describe(self) -> Facts:
        """Sizes."""
        return sizes_of(self.picture)

    def template(self) -> Climbing:
        """The state before the first rung."""
        none = np.zeros((len(REFERENCES), self.picture.count))
        letters = np.zeros((self.picture.setup.lattice.sites, self.picture.terms.letters))
        alive = np.ones(len(REFERENCES))
        largest = 1 + max(rung.size for rung in self.picture.rungs)
        kept = Solutions(np.zeros((len(REFERENCES), largest)), np.zeros((len(REFERENCES), *letters.shape)))
        best = Best(size=np.inf, rung=0, reference=0, smallest=0.0, values=none[0], errors=none[0], kept=kept)
        return Climbing(
            step=0,
            t=0.0,
            dt=0.0,
            found=none,
            whole=none,
            difference=none,
            before=none,
            alive=alive,
            means=letters,
            clusters=0.0,
            kept=kept,
            earlier=kept,
            best=best,
        )

    def blank(self) -> Climbing:
        """A state of the same structure."""
        return self.template()

    def ended(self, state: Climbing) -> Ended:
        """What a state tells a run that begins with it.

        **Raises** `NeurhoError` before anything is found, or where it has no error bar.
        """
        require_second(self.picture)
        best, rungs = state.best, self.picture.rungs
        if best.rung == 0:
            raise NeurhoError("that run has found no state yet.")
        last = rungs[int(best.rung) - 1]
        fine, coarse = (
            co.kept(self.picture.symmetry, rung.parts, np.asarray(c)[: rung.size + 1], np.asarray(means), last.full)
            for rung, c, means in zip((last, rungs[max(int(best.rung) - 2, 0)]), *best.kept, strict=True)
        )
        return Ended(fine, None if last.complete else coarse)

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """One output for each rung but the first (if there is another), until errors are below `task.goal`; if the last
        rung is not the best one, the best once more.
        """
        self.picture.require_purity()
        here: Climbing = self.template() if state is None else state
        rungs = self.picture.rungs
        first = len(rungs) if self.picture.with_purity else 1  # a sum over all strings needs the last rung
        for number, rung in enumerate(rungs, start=1):
            if number <= here.step or number < first:
                continue
            here, smallest = self._solved(rung, here._replace(step=number, t=float(number)))
            if number == 1 and len(rungs) > 1 and not rung.complete:
                continue
            here, snapshot = self._judged(rung, here, smallest)
            advice = self._advice(snapshot) if number == len(rungs) else ""
            yield snapshot._replace(message=self.picture.alone or snapshot.message or advice)
            if snapshot.converged:
                return
            if watch is not None:
                watch(here)
        if 0 < here.best.rung < len(rungs) >= here.step:
            yield self._once_more(here, rungs[here.best.rung - 1])

    def _once_more(self, state: Climbing, rung: co.Rung) -> Snapshot:
        """The best rung, behind one that is worse."""
        best, number = state.best, state.step + 1
        reading = Reading(best.values, float(best.smallest))
        state = state._replace(step=number, t=float(number))
        snapshot = self.picture.snapshot(state, reading, best.errors, rung, central=REFERENCES[int(best.reference)])
        return snapshot._replace(
            message=f"Strings of more sites agree less well; values and errors are those of up to {rung.weight} sites."
        )

    def _advice(self, snapshot: Snapshot) -> str:
        """What to try where errors stay large because the sites order, "" elsewhere."""
        if snapshot.diagnostics["error_estimate"] <= LARGE:
            return ""
        try:
            co.mean_field_order(
                self.picture.terms, self.picture.symmetry.moves, self.picture.setup.lindbladian.local_dim
            )
        except NumericalError:
            return ""
        return (
            "In mean field the sites order here. Where they do, correlations do not decay with distance, and "
            'task.closure = "cumulants" may have far smaller errors.'
        )

    def _solved(self, rung: co.Rung, state: Climbing) -> tuple[Climbing, np.ndarray]:
        """One rung about every reference that is alive.

        **Raises** `NumericalError` if none is left.
        """
        found, difference, alive = state.found.copy(), state.difference.copy(), state.alive.copy()
        means, smallest, failure = state.means, np.zeros(len(REFERENCES)), "No reference is left."
        kept = Solutions(np.zeros_like(state.kept.c), np.zeros_like(state.kept.means))
        for k, central in enumerate(REFERENCES):
            if not alive[k] or (central and rung.complete and alive[0]):
                continue
            member = self.picture.member(rung, central=central)
            try:
                begin = means if central else None
                moments = co.stationary_state(member.hierarchy, begin, tolerance=self.picture.setup.task.tolerance)
            except NumericalError as error:
                alive[k], failure = 0.0, str(error)
                continue
            kept.c[k, : len(moments.c)], kept.means[k] = moments.c, moments.means
            means = co.raw_means(member.hierarchy, moments)
            values, smallest[k] = self.picture.read(member, moments, 0.0)
            change = np.abs(values - found[k])
            if rung.full < rung.weight:  # what clusters miss does not come back with larger ones
                change = np.maximum(change, MEMORY * np.abs(values - state.whole[k]))
                change = np.maximum(change, difference[k]) if state.clusters else change
            difference[k], found[k] = change, values
        if not np.any(alive):
            raise NumericalError(failure)
        moved = state._replace(found=found, difference=difference, before=state.difference, alive=alive, means=means)
        moved = moved._replace(kept=kept, earlier=state.kept)
        clusters = rung.full < rung.weight
        return moved._replace(clusters=float(clusters), whole=moved.whole if clusters else found), smallest

    def _judged(self, rung: co.Rung, state: Climbing, smallest: np.ndarray) -> tuple[Climbing, Snapshot]:
        picture = self.picture
        sizes = [picture.size_of(d) if on else np.inf for d, on in zip(state.difference, state.alive, strict=True)]
        best = 0 if (rung.complete or picture.alone) and state.alive[0] else int(np.argmin(sizes))
        earlier = state.before[best] if state.step > 2 else 0.0
        errors = (
            picture.rounding if rung.complete else picture.errors(state.found[best], state.difference[best], earlier)
        )
        errors = picture.unknown if picture.alone else errors
        if rung.weight >= BOTH:
            state = state._replace(alive=np.eye(len(REFERENCES))[best] * state.alive)
        reading = Reading(state.found[best], float(smallest[best]))
        before = picture.rungs[int(state.step) - 2] if state.step > 1 else rung
        judged = rung.full == rung.weight or before.weight == rung.weight  # closer clusters alone show no error
        if rung.complete or (judged and sizes[best] <= state.best.size):
            found = Best(
                size=0.0 if rung.complete else sizes[best],
                rung=int(state.step),
                reference=best,
                smallest=reading.smallest,
                values=reading.values,
                errors=errors,
                kept=Solutions(
                    *(np.stack([now[best], then[best]]) for now, then in zip(state.kept, state.earlier, strict=True))
                ),
            )
            state = state._replace(best=found)
        snapshot = picture.snapshot(state, reading, errors, rung, central=REFERENCES[best])
        reached = snapshot.diagnostics["error_estimate"] <= picture.setup.task.goal
        return state, snapshot._replace(converged=reached and judged and (rung.complete or state.step > 2))
