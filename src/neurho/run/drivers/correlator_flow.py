"""Evolutions of correlators: two cuts about two references, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._types import NumericalError
from neurho.dynamics.snapshots import remarked
from neurho.observables import Snapshot, State, Watch
from neurho.run.drivers.base import Driver, Facts
from neurho.run.drivers.correlator_picture import (
    BYTES,
    MEMORY,
    REFERENCES,
    Member,
    Picture,
    require_second,
    sizes_of,
)
from neurho.run.drivers.inherited import Ended, asked_matrix


class Flowing(NamedTuple):
    """Where an evolution is: the moments of all members, and of each reference the largest difference so far."""

    step: int
    t: float
    dt: float
    c: tuple[np.ndarray, ...]
    means: tuple[np.ndarray, ...]
    worst: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class CorrelatorFlow(Driver):
    """An evolution of correlators."""

    picture: Picture

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak."""
        return BYTES * self.picture.expected[1]

    def asked_matrix(self) -> np.ndarray | None:
        """The density matrix at t = 0 of a run that begins where another one ended."""
        return asked_matrix(self.picture.setup, self.picture.make)

    def describe(self) -> Facts:
        """Sizes."""
        return sizes_of(self.picture)

    @cached_property
    def sets(self) -> list[co.Rung]:
        """The sets of strings that run side by side, the largest last: two cuts; with clusters the last set without,
        the first two with, whose clusters are closer and farther apart, and the largest. Where only the start is cut,
        the same set twice.
        """
        rungs = self.picture.rungs
        if rungs[-1].complete or len(rungs) < 2:
            return rungs[-1:] * (2 if self.picture.cut_start else 1)
        count = len(rungs)
        if rungs[-1].full == rungs[-1].weight:
            return rungs[-2:]
        first = next(number for number, rung in enumerate(rungs) if rung.full < rung.weight)
        return [rungs[number] for number in sorted({max(first - 1, 0), first, min(first + 1, count - 1), count - 1})]

    @cached_property
    def members(self) -> list[Member]:
        """The hierarchies of all sets about zero, then about the means."""
        return [self.picture.member(rung, central=central) for central in self.references for rung in self.sets]

    @property
    def references(self) -> tuple[bool, ...]:
        """Where nothing is cut all are alike."""
        return (False,) if self.sets[0] is self.sets[-1] else REFERENCES

    def template(self) -> Flowing:
        """The state at t = 0."""
        return self._at_start([self._begun(number, member) for number, member in enumerate(self.members)])

    def blank(self) -> Flowing:
        """A state of the same structure, without what it takes to move it."""
        zeros = np.zeros((self.picture.symmetry.sites, self.picture.terms.letters))
        sizes = [rung.size + 1 for _ in self.references for rung in self.sets]
        return self._at_start([co.Moments(c=np.zeros(size), means=zeros, central=False) for size in sizes])

    def ended(self, state: Flowing) -> Ended:
        """What a state tells a run that begins with it.

        **Raises** `NeurhoError` where it has no error bar.
        """
        require_second(self.picture)
        best, count = int(np.argmin(state.score)), len(self.sets)
        number, last = (best + 1) * count - 1, self.sets[-1]
        fine, coarse = (
            co.kept(self.picture.symmetry, self.sets[k - best * count].parts, state.c[k], state.means[k], last.full)
            for k in (number, max(number - 1, 0))
        )
        return Ended(fine, None if count == 1 and last.complete else coarse)

    def _begun(self, number: int, member: Member) -> co.Moments:
        """The start of a member: that of the larger cut for the largest set."""
        start = self.picture.start
        assert start is not None
        if not isinstance(start, Ended):
            return co.start(member.hierarchy, start, central=member.central)
        largest = (number + 1) % len(self.sets) == 0
        return co.begin(member.hierarchy, start.fine if largest else start.coarse or start.fine, central=member.central)

    def _at_start(self, moments: list[co.Moments]) -> Flowing:
        return Flowing(
            step=0,
            t=0.0,
            dt=0.0,
            c=tuple(m.c for m in moments),
            means=tuple(m.means for m in moments),
            worst=np.zeros((len(self.references), self.picture.count)),
            score=np.zeros(len(self.references)),
        )

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """One output for each time."""
        self.picture.require_purity()
        here: Flowing = self.template() if state is None else state
        if state is None:
            here, snapshot = self._observe(here)
            assumed = "" if self.picture.plan is None else self.picture.plan.assumed
            yield remarked(snapshot, " ".join(filter(None, (assumed, self._cut_earlier, self.picture.alone))))
        times = self.picture.setup.times
        for t in times[times > here.t]:
            moved = [self._moved(number, here, float(t), watch) for number in range(len(self.members))]
            here = here._replace(
                step=here.step + 1,
                t=float(t),
                dt=float(t) - here.t,
                c=tuple(m.c for m in moved),
                means=tuple(m.means for m in moved),
            )
            here, snapshot = self._observe(here)
            yield snapshot

    @property
    def _cut_earlier(self) -> str:
        """A sentence where the run that this one begins with kept less."""
        start, most = self.picture.start, self.sets[-1].weight
        asked = self.picture.setup.config.initial
        if asked.kind != "state" or not isinstance(start, Ended) or start.complete or start.fine.full >= most:
            return ""
        return (
            f"The run `{asked.run}` kept all strings of at most {start.fine.full} sites, this one of {most}: the rest "
            "begins as that run took it to be, and how its two cuts differ counts as an error from the start."
        )

    def _moved(self, number: int, here: Flowing, t: float, watch: Watch | None) -> co.Moments:
        """The moments of a member at t; about its own means, a member that leaves its bounds is dropped (zeros)."""
        member, picture = self.members[number], self.picture
        moments = co.Moments(c=here.c[number], means=here.means[number], central=member.central)
        if not np.any(moments.c):
            return moments
        try:
            return co.propagate(
                member.hierarchy,
                moments,
                here.t,
                t,
                tolerance=picture.setup.task.tolerance,
                plan=self.picture.plan,
                watch=None if watch is None else lambda _: watch(here),
            )
        except NumericalError:
            if not member.central:
                raise
            return moments._replace(c=np.zeros_like(moments.c), means=np.zeros_like(moments.means))

    def _observe(self, state: Flowing) -> tuple[Flowing, Snapshot]:
        picture, rung = self.picture, self.picture.rungs[-1]
        found = [
            picture.read(m, co.Moments(c=c, means=means, central=m.central), state.t)
            for m, c, means in zip(self.members, state.c, state.means, strict=True)
        ]
        if len(found) == 1 or picture.alone:
            errors = picture.unknown if picture.alone else picture.rounding
            return state, picture.snapshot(state, found[-1], errors, rung, central=False)
        count = len(self.sets)
        groups = [slice(k * count, (k + 1) * count) for k in range(len(self.references))]
        differences = np.stack([_spread([reading.values for reading in found[group]]) for group in groups])
        lost = [not all(np.any(c) for c in state.c[group]) for group in groups]
        more = [1e300 if gone else picture.size_of(d) for gone, d in zip(lost, differences, strict=True)]
        state = state._replace(worst=np.maximum(state.worst, differences), score=state.score + more)
        best = int(np.argmin(state.score))
        values = found[groups[best]][-1].values
        errors = picture.errors(values, differences[best], state.worst[best])
        if isinstance(picture.start, Ended):
            errors = np.where(errors > picture.rounding, np.maximum(errors, picture.start.doubt), errors)
        return state, picture.snapshot(state, found[groups[best]][-1], errors, rung, central=self.references[best])


def _spread(values: list[np.ndarray]) -> np.ndarray:
    """The largest difference of neighbours, the first of which counts less where there are clusters."""
    steps = [np.abs(after - before) for before, after in pairwise(values)]
    return np.maximum.reduce([*steps[1:], MEMORY * np.abs(values[-1] - values[0])] if len(steps) > 1 else steps)
