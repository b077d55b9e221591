"""The method "correlators" with a network: an ensemble of them, each by implicit steps of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._jax.compiling import require_double
from neurho._types import NeurhoError, NumericalError
from neurho.config.string_networks import StringNetwork
from neurho.correlators import networks as nets
from neurho.dynamics.snapshots import remarked
from neurho.model.timescales import within
from neurho.observables import Snapshot, State, Watch
from neurho.run.drivers import cumulants
from neurho.run.drivers.base import Driver, Facts
from neurho.run.drivers.correlator_ensemble import Ensemble
from neurho.run.drivers.correlator_picture import Picture, Reading
from neurho.run.drivers.inherited import Ended, Family, asked_matrix
from neurho.run.setup import Setup
from neurho.stationary_states.corrections import slowest_rate

EVERY = 5
"""Steps of a search between outputs."""

STALLED = 0.9
"""What a step leaves of the residual of the one before where a network that grows takes another filter."""

SETTLED = 0.05
"""Share of the error by which means may still change when a search ends."""

APART = {"stationary": 1.5, "evolve": 1.0}
"""How many times the largest difference between networks an error is, and at least that of all means together: that
two networks agree in one mean may be chance.
"""

LEFT = {"stationary": 0.3, "evolve": 0.1}
"""Share of what the equations leave, relative to c, that is taken for an error, in units of the slowest decay: networks
that are alike may agree and be wrong. Judged in docs/accuracy/error_bands.md.
"""

POWER = 0.5
"""A difference from another network counts as what is left here relative to what is left there, to this power: one that
is far worse says little. Judged in docs/accuracy/error_bands.md.
"""


class Walking(NamedTuple):
    """Where all networks are, what the last output gave, the largest differences so far, how far off the start may be,
    the root mean square over all means, and how many filters of each network are there (0: all that it has).
    """

    step: int
    t: float
    dt: float
    places: tuple[co.Place, ...]
    values: np.ndarray
    worst: np.ndarray
    doubt: float
    filters: np.ndarray


@dataclass(frozen=True)
class StringNetworks(Driver):
    """A stationary state or an evolution by networks of correlators."""

    ensemble: Ensemble

    @property
    def picture(self) -> Picture:
        """The problem in the coordinates of operator strings."""
        return self.ensemble.picture

    @property
    def task(self) -> Any:
        """The table [task]."""
        return self.picture.setup.task

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak: least squares, and strings."""
        if not self.ensemble.known:
            return 3e8
        count = self.ensemble.parameters_of(self.ensemble.sizes[-1].units)
        rows = self.ensemble.rows_of(self.ensemble.weight)
        columns = rows * 4.0 * len(self.picture.terms.groups[-1].places) ** 0.5
        free = co.is_matrix_free(rows, count)
        return 3e8 + (8.0 * 40 * (rows + count) if free else co.dense_bytes(rows, count)) + 400.0 * columns

    @property
    def remedies(self) -> tuple[str, ...]:
        """What needs less memory."""
        return ("a smaller task.rows", f"fewer ansatz.{self.ensemble.ansatz.size_key or 'parameters'}")

    def prepare(self) -> None:
        """Say before the run what does not fit."""
        if self.picture.with_purity:
            raise NeurhoError("Key `observables.purity` must be false for networks of correlators, but it is true.")
        _ = self.ensemble.members

    def asked_matrix(self) -> np.ndarray | None:
        """The density matrix at t = 0 of a run that begins where another one ended."""
        return asked_matrix(self.picture.setup, self.picture.make)

    def describe(self) -> Facts:
        """Sizes."""
        found = {
            "permutations": len(self.picture.symmetry.moves),
            "weight": self.ensemble.weight,
            "rows": self.ensemble.rows_of(self.ensemble.weight),
        }
        if not self.ensemble.known:
            return found
        rows, parameters = found["rows"], self.ensemble.parameters_of(self.ensemble.sizes[-1].units)
        return found | {
            "networks": len(self.ensemble.sizes),
            "parameters": parameters,
            "least_squares": "matrix-free" if co.is_matrix_free(rows, parameters) else "normal equations",
        }

    def template(self) -> Walking:
        """A state of the right structure."""
        return self._at_start(self.ensemble.members)

    def blank(self) -> Walking:
        """The same."""
        return self.template()

    def _at_start(self, networks: list[nets.AbstractStringNetwork]) -> Walking:
        start = co.search_start if self.task.kind == "stationary" else self._flow_start
        places = tuple(start(network) for network in networks)
        none = np.zeros((len(places), self.picture.count))
        filters = np.full(len(places), int(self.ensemble.grows))
        return Walking(step=0, t=0.0, dt=0.0, places=places, values=none, worst=none[0], doubt=0.0, filters=filters)

    def _begun(self) -> tuple[Walking, str]:
        """All networks at t = 0, and a sentence where they were fitted to the state of another run."""
        begun, ended, said = self.ensemble.begun(), self.picture.inherited, ""
        here = self._at_start(begun.networks)
        if ended is None:
            return here, said
        here = here._replace(filters=np.zeros_like(here.filters))
        strings = self.picture.symmetry.canonical(self.picture.measured.strings)
        known = self.picture.reading(co.moments_about(ended.fine, strings, None), 0.0).values
        missing = float(np.sqrt(self.picture.size_of(self._values(-1, here.places[-1], 0.0).values - known)))
        if begun.misfit is not None:
            asked: Any = self.picture.setup.config.initial
            said = (
                f"The network was fitted to the last state of the run `{asked.run}`, all but {begun.misfit:.1e} of c "
                f"in the norm of its equations; its means are off by {missing:.1e} (root mean square)"
            )
            said += (
                ", which is in the errors." if self.task.kind == "evolve" else ", and the search goes on from there."
            )
        return here._replace(doubt=float(np.hypot(missing, ended.doubt)) * (self.task.kind == "evolve")), said

    def ended(self, state: Walking) -> Ended:
        """What a state tells a run that begins with it: every string, and by how much its means may be off."""
        networks = [
            nets.with_parameters(network, place.theta)
            for network, place in zip(self.ensemble.members, state.places, strict=True)
        ]
        found = [self._values(number, place, state.t).values for number, place in enumerate(state.places)]
        sizes = [self.picture.size_of(values - found[-1]) for values in found]
        symmetry = self.picture.symmetry
        fine, coarse = (co.OfNetwork(networks[k], symmetry) for k in (-1, int(np.argmax(sizes))))
        _, errors = self._judged(state, np.stack(found))
        family = Family(self.ensemble.ansatz, symmetry, dict(zip(self.ensemble.sizes, networks, strict=True)))
        return Ended(fine, coarse, float(np.sqrt(self.picture.size_of(errors))), family)

    def _flow_start(self, network: nets.AbstractStringNetwork) -> co.Place:
        return co.flow_start(network, 1e-3 * float(self.picture.setup.times[-1]))

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """A search: an output every few steps, until means no longer change; an evolution: one at every time."""
        require_double()
        here, said = self._begun() if state is None else (state, "")
        if self.task.kind == "stationary":
            for number, snapshot in enumerate(self._search(here, watch)):
                yield remarked(snapshot, "" if number else said)
            return
        if state is None:
            here, snapshot = self._observe(here)
            yield remarked(snapshot, said)
        times = self.picture.setup.times
        for t in times[times > here.t + 1e-12]:
            here = self._moved(here, float(t), watch)
            here, snapshot = self._observe(here)
            yield snapshot

    def _search(self, here: Walking, watch: Watch | None) -> Iterator[Snapshot]:
        while here.step < self.task.max_steps:
            step = here.step + 1
            moved = [self._stepped(number, step, here) for number in range(len(here.places))]
            filters = np.array([count for _, count in moved])
            here = here._replace(step=step, t=float(step), dt=1.0, places=tuple(p for p, _ in moved), filters=filters)
            if step % EVERY and step < self.task.max_steps:
                if watch is not None:
                    watch(here)
                continue
            before = here.values
            here, snapshot = self._observe(here)
            change = float(np.sqrt(self.picture.size_of(here.values[-1] - before[-1])))
            error = snapshot.diagnostics["error_estimate"]
            grown = here.filters[-1] in (0, self.ensemble.sizes[-1].units)
            settled = bool(grown) and step > 2 * EVERY and change < SETTLED * max(error, self.task.goal)
            snapshot = snapshot._replace(converged=settled and error <= self.task.goal)
            yield snapshot
            if settled:
                return
            if watch is not None:
                watch(here)

    def _stepped(self, number: int, step: int, here: Walking) -> tuple[co.Place, int]:
        """A network a step further, with one more filter for the next where what is left no longer falls."""
        network, place, count = self.ensemble.members[number], here.places[number], int(here.filters[number])
        equations, metric = self.ensemble.equations(number, step), self.task.metric
        if not count or not isinstance(network, nets.CumulantNetwork | nets.MixtureNetwork):
            return co.search_step(network, equations, metric, place), 0
        moved = co.search_step_of_first(network, count, equations, metric, place)
        stalls = 0 < place.left < moved.left / STALLED
        return moved, min(count + int(stalls), self.ensemble.sizes[number].units)

    def _moved(self, here: Walking, t: float, watch: Watch | None) -> Walking:
        """All networks at t, one after the other."""
        places = list(here.places)
        for number, network in enumerate(self.ensemble.members):
            places[number] = self._walked(number, network, places[number], (here.t, t), here, watch)
        return here._replace(step=here.step + 1, t=t, dt=t - here.t, places=tuple(places))

    def _walked(
        self,
        number: int,
        network: nets.AbstractStringNetwork,
        place: co.Place,
        times: tuple[float, float],
        here: Walking,
        watch: Watch | None,
    ) -> co.Place:
        now, end = times
        least, step = 1e-6 * float(self.picture.setup.times[-1]), 0
        while now < end - 1e-12:
            stop = end if self.picture.plan is None else self.picture.plan.stop(now, end)
            natural = place.length
            length = min(natural, stop - now)
            inside = (within(now, length, 0.0), within(now, length, 1.0)) if self.picture.plan else (now, now + length)
            equations = self.ensemble.equations(number, here.step * 10_000 + step)
            options = {"tolerance": self.task.tolerance, "least": least}
            tried = place._replace(length=length)
            moved, accepted = co.flow_step(network, equations, self.task.metric, tried, inside, **options)
            step += 1
            if not np.all(np.isfinite(moved.theta)):
                raise NumericalError(f"A network of correlators became infinite at t = {now:.4g}.")
            if accepted:
                now += length
                cut = length < 0.999 * natural  # an output, or an edge, is no reason for short steps
                place = moved._replace(length=max(moved.length, natural)) if cut else moved
                if watch is not None:
                    watch(here)
            else:
                place = moved
        return place

    @cached_property
    def rate(self) -> float:
        """The slowest rate at which a site relaxes; 1 in an evolution."""
        return slowest_rate(self.picture.setup.lindbladian) if self.task.kind == "stationary" else 1.0

    def _values(self, number: int, place: co.Place, t: float) -> Reading:
        network = nets.with_parameters(self.ensemble.members[number], place.theta)
        strings = self.picture.symmetry.canonical(self.picture.measured.strings)
        return self.picture.reading(nets.string_values(network, strings), t)

    def _observe(self, state: Walking) -> tuple[Walking, Snapshot]:
        picture = self.picture
        found = [self._values(number, place, state.t) for number, place in enumerate(state.places)]
        values = np.stack([reading.values for reading in found])
        if not np.all(np.isfinite(values)):
            kind, made = self.ensemble.ansatz.kind, getattr(self.ensemble.ansatz, "module", "")
            raise NumericalError(
                f"At t = {state.t:.6g} the network of correlators {made or kind} gives NaN or infinite means; take a "
                "smaller network, or a smaller task.tolerance."
            )
        spread, errors = self._judged(state, values)
        state = state._replace(values=values, worst=np.maximum(state.worst, spread))
        last, size = state.places[-1], self.ensemble.sizes[-1]
        rows = self.ensemble.rows_of(size.weight)
        rung = co.Rung(weight=size.weight, full=size.weight, parts=(), complete=False)
        snapshot = picture.snapshot(state, found[-1], errors, rung, central=False)
        count = len(last.theta)
        if int(state.filters[-1]):
            count = self.ensemble.parameters_of(int(state.filters[-1]))
        more = {"strings": float(rows), "parameters": float(count), "equations_left": last.left}
        if self.ensemble.fresh is not None and self.task.kind == "stationary":
            network = nets.with_parameters(self.ensemble.members[-1], last.theta)
            fresh, weights = self.ensemble.fresh, self.ensemble.fresh.weights(self.task.metric)
            more["equations_fresh"] = co.residual(network, fresh, weights, fresh.matrix(0.0))
        return state, snapshot._replace(diagnostics=snapshot.diagnostics | more)

    def _judged(self, state: Walking, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By how much means of all networks `(networks, values)` may be off, now and with what differed before."""
        picture, size = self.picture, self.ensemble.sizes[-1]
        *others, here = (place.left for place in state.places)
        shares = np.minimum(1.0, here / np.maximum(others, 1e-300)) ** POWER
        spread = np.max(shares[:, None] * np.abs(values[:-1] - values[-1]), axis=0, initial=0.0)
        if self.ensemble.drawn(size.weight):  # what fresh equations still change
            spread = np.maximum(spread, np.abs(values[-1] - state.values[-1]) if state.step > EVERY else spread)
        left = LEFT[self.task.kind] * here / self.rate
        least = np.linalg.norm([np.sqrt(picture.size_of(spread)), left, state.doubt])
        spread = np.where(spread + np.abs(values[-1]) > 1e-12, np.maximum(APART[self.task.kind] * spread, least), 0.0)
        return spread, picture.errors(values[-1], spread, state.worst if self.task.kind == "evolve" else 0.0)


def make(setup: Setup) -> Driver:
    """The driver of a problem by correlators: with a network of them, or by their hierarchy."""
    if not isinstance(setup.config.ansatz, StringNetwork):
        return cumulants.make(setup, make)
    picture = Picture(setup, make)
    co.require_terms(picture.terms, setup.lattice.sites)
    _ = picture.inherited, picture.start, picture.measured  # what is wrong with them is said before the run
    return StringNetworks(Ensemble(picture))
