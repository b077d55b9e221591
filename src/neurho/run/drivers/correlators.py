"""The method "correlators": hierarchies of correlators with two cuts and about two references, which judge each other.

A value comes from the larger of two sets of strings, its error from what the smaller one says. Two references are
tried: zero, about which Hamiltonian terms stay antisymmetric, and the product of the state's own means, exact for
products. That whose two sets agree better gives value and error.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError
from neurho.dynamics.snapshots import remarked
from neurho.model.timescales import Schedule
from neurho.observables import Estimate, Snapshot
from neurho.run.drivers.base import Driver
from neurho.run.drivers.inherited import Ended, last_matrix, last_state
from neurho.run.setup import Setup

BYTES = 6000
"""Of memory for each string, at the peak."""

REFERENCES = (False, True)
"""Whether the reference is the state's own product: first zero, then that."""

MEMORY = 0.2
"""Part of the largest difference so far below which no error falls: differences may cross zero."""

FLOOR = 0.05
"""Part of the root mean square of all differences below which no error falls, for the same reason."""

GLOBAL = ("purity", "renyi2")
"""What is no mean of an operator."""

BOTH = 4
"""Strings of so many sites, from which on a search goes on about the better reference only."""


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

    @property
    def task(self) -> Any:
        """The table [task]."""
        return self.setup.config.task

    @cached_property
    def terms(self) -> co.StringTerms:
        """The Lindbladian on strings."""
        return co.string_terms(self.setup.lindbladian)

    @cached_property
    def start(self) -> np.ndarray | Ended | None:
        """One-site means of the product start, or the last state of another run; None for a stationary state."""
        if self.task.kind == "stationary":
            return None
        if self.setup.config.initial.kind == "state":
            return last_state(self.setup, make_correlators)
        return co.product_letters(self.setup.factors)

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
        limits = {"most": self.task.strings, "weight": self.task.weight}
        return list(co.ladder(self.terms, self.symmetry, self.measured.strings, **limits))

    @cached_property
    def expected(self) -> tuple[int, int]:
        """The largest weight up to which all strings fit, and about how many strings there are."""
        size, weight, asked = 0.0, 0, self.task.weight
        while weight < self.symmetry.sites:
            more = co.expected_count(self.symmetry, weight + 1)
            if weight >= 2 and (size + more > self.task.strings if asked is None else weight >= asked):
                return weight, int(size if asked is not None else self.task.strings)
            size, weight = size + more, weight + 1
        return weight, int(size)

    def member(self, rung: co.Rung, *, central: bool) -> Member:
        """One hierarchy."""
        hierarchy = co.build_hierarchy(self.terms, self.symmetry, rung.parts, central=central)
        return Member(hierarchy, central, co.blocks(hierarchy, self.measured.strings))

    def read(self, member: Member, moments: co.Moments, t: float) -> Reading:
        """All named values."""
        means = co.string_means(member.blocks, self.measured.strings.size, moments.c, moments.reference)
        means[~self.symmetry.holds(self.measured.strings)] = (
            0.0  # a state that breaks a parity stands for its even part
        )
        own = self.measured.number
        named = self.setup.readout.combine(self.measured.matrix @ means[:own], t)
        named |= self.purity(member, moments)
        smallest = co.smallest_eigenvalue(means[own:], self.setup.lindbladian.local_dim)
        return Reading(np.concatenate([np.ravel(value) for value in named.values()]), smallest)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all named values, in order."""
        zero = self.setup.readout.combine(np.zeros(len(self.setup.readout.operators)))
        return {name: np.shape(value) for name, value in zero.items()} | dict.fromkeys(GLOBAL * self.with_purity, ())

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
        left_out = ("energy", *GLOBAL)
        parts = [
            np.mean(part**2) for name, part in self.split(difference).items() if name not in left_out and part.size
        ]
        return float(np.mean(parts)) if parts else float(np.mean(difference**2))

    def errors(self, difference: np.ndarray, earlier: np.ndarray | float) -> np.ndarray:
        """Errors from how two cuts differ, and how much they differed before; values that vanish by symmetry have none
        but rounding.
        """
        floor = FLOOR * np.sqrt(self.size_of(difference)) * (difference > 10 * self.task.tolerance)
        return np.maximum.reduce([difference, MEMORY * earlier * np.ones_like(difference), floor, self.rounding])

    @property
    def rounding(self) -> np.ndarray:
        """Errors of values without a cut."""
        return np.full(self.count, 10 * self.task.tolerance)

    def snapshot(self, state: Any, reading: Reading, errors: np.ndarray, rung: co.Rung, *, central: bool) -> Snapshot:
        """An output."""
        means, bars = self.split(reading.values), self.split(errors)
        worst = max(
            (float(np.max(bar, initial=0.0)) for name, bar in bars.items() if name not in ("energy", *GLOBAL)),
            default=0.0,
        )
        diagnostics = {
            "error_estimate": worst,
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

    def purity(self, member: Member, moments: co.Moments) -> dict[str, Any]:
        """Purity and Renyi-2 entropy by name, where they are asked for."""
        if not self.with_purity:
            return {}
        hierarchy = member.hierarchy
        order = hierarchy.order
        known = co.Kept(self.symmetry, hierarchy.keys, moments.c[order], moments.means, self.symmetry.sites)
        found = co.purity(known, hierarchy.strings, self.setup.lindbladian.local_dim)
        return {"purity": found, "renyi2": -np.log(found)}

    def require_purity(self) -> None:
        """Refuse a purity where strings are missing, which is known before they are counted."""
        weight, sites = self.expected[0], self.symmetry.sites
        if self.with_purity and weight < sites:
            raise NeurhoError(
                'Key `observables.purity` must be false for task.method = "correlators" where strings are cut, because '
                "purity is the sum of the squares of all correlators of all weights, but it is true and strings have "
                f"at most {weight} of {sites} sites; a larger task.strings keeps more."
            )


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
        setup = self.picture.setup
        return last_matrix(setup, make_correlators) if setup.config.initial.kind == "state" else None

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        return _sizes(self.picture)

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

    @cached_property
    def plan(self) -> Schedule | None:
        """When coefficients change; None where none does."""
        model, times = self.picture.setup.lindbladian, self.picture.setup.times
        return model.schedule(float(times[0]), float(times[-1])) if model.is_time_dependent else None

    def template(self) -> Flowing:
        """The state at t = 0."""
        return self._at_start([self._begun(number, member) for number, member in enumerate(self.members)])

    def blank(self) -> Flowing:
        """A state of the same structure, without what it takes to move it."""
        zeros = np.zeros((self.picture.symmetry.sites, self.picture.terms.letters))
        sizes = [rung.size + 1 for _ in self.references for rung in self.sets]
        return self._at_start([co.Moments(c=np.zeros(size), means=zeros, central=False) for size in sizes])

    def ended(self, state: Flowing) -> Ended:
        """What a state tells a run that begins with it."""
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

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """One output for each time."""
        self.picture.require_purity()
        here: Flowing = self.template() if state is None else state
        if state is None:
            here, snapshot = self._observe(here)
            assumed = "" if self.plan is None else self.plan.assumed
            yield remarked(snapshot, " ".join(filter(None, (assumed, self._cut_earlier))))
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
        if not isinstance(start, Ended) or start.complete or start.fine.full >= most:
            return ""
        asked: Any = self.picture.setup.config.initial
        return (
            f"The run `{asked.run}` kept all strings of at most {start.fine.full} sites, this one of {most}: the rest "
            "begins as that run took it to be, and how its two cuts differ counts as an error from the start."
        )

    def _moved(self, number: int, here: Flowing, t: float, watch: Callable[[Any], None] | None) -> co.Moments:
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
                tolerance=picture.task.tolerance,
                plan=self.plan,
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
        if len(found) == 1:
            return state, picture.snapshot(state, found[0], picture.rounding, rung, central=False)
        count = len(self.sets)
        groups = [slice(k * count, (k + 1) * count) for k in range(len(self.references))]
        differences = np.stack([_spread([reading.values for reading in found[group]]) for group in groups])
        lost = [not all(np.any(c) for c in state.c[group]) for group in groups]
        more = [1e300 if gone else picture.size_of(d) for gone, d in zip(lost, differences, strict=True)]
        state = state._replace(worst=np.maximum(state.worst, differences), score=state.score + more)
        best = int(np.argmin(state.score))
        errors = picture.errors(differences[best], state.worst[best])
        return state, picture.snapshot(state, found[groups[best]][-1], errors, rung, central=self.references[best])


def _spread(values: list[np.ndarray]) -> np.ndarray:
    """The largest difference of neighbours, the first of which counts less where there are clusters."""
    steps = [np.abs(after - before) for before, after in pairwise(values)]
    return np.maximum.reduce([*steps[1:], MEMORY * np.abs(values[-1] - values[0])] if len(steps) > 1 else steps)


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

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        return _sizes(self.picture)

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

        **Raises** `NeurhoError` before anything is found.
        """
        best, rungs = state.best, self.picture.rungs
        if best.rung == 0:
            raise NeurhoError("that run has found no state yet.")
        last = rungs[int(best.rung) - 1]
        fine, coarse = (
            co.kept(self.picture.symmetry, rung.parts, np.asarray(c)[: rung.size + 1], np.asarray(means), last.full)
            for rung, c, means in zip((last, rungs[max(int(best.rung) - 2, 0)]), *best.kept, strict=True)
        )
        return Ended(fine, None if last.complete else coarse)

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """One output for each rung but the first, until errors are below `task.goal`; if the last rung is not the
        best one, the best once more.
        """
        self.picture.require_purity()
        here: Climbing = self.template() if state is None else state
        rungs = self.picture.rungs
        first = len(rungs) if self.picture.with_purity else 1  # a sum over all strings needs the last rung
        for number, rung in enumerate(rungs, start=1):
            if number <= here.step or number < first:
                continue
            here, smallest = self._solved(rung, here._replace(step=number, t=float(number)))
            if number == 1 and not rung.complete:
                continue
            here, snapshot = self._judged(rung, here, smallest)
            yield snapshot
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
                moments = co.stationary_state(member.hierarchy, begin, tolerance=self.picture.task.tolerance)
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
        best = 0 if rung.complete and state.alive[0] else int(np.argmin(sizes))
        earlier = state.before[best] if state.step > 2 else 0.0
        errors = picture.rounding if rung.complete else picture.errors(state.difference[best], earlier)
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
        reached = snapshot.diagnostics["error_estimate"] <= picture.task.goal
        return state, snapshot._replace(converged=reached and judged and (rung.complete or state.step > 2))


def _sizes(picture: Picture) -> dict[str, Any]:
    weight, size = picture.expected
    return {"permutations": len(picture.symmetry.moves), "weight": weight, "strings": size}


def make_correlators(setup: Setup) -> CorrelatorFlow | CorrelatorSearch:
    """The driver of a problem."""
    picture = Picture(setup)
    co.require_terms(picture.terms, setup.lattice.sites)
    _ = picture.start, picture.measured  # what is wrong with them is said before the run
    return CorrelatorSearch(picture) if setup.config.task.kind == "stationary" else CorrelatorFlow(picture)
