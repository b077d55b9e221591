"""The method "correlators" with a network: an ensemble of them, each by implicit steps of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from neurho import correlators as co
from neurho._jax.compiling import require_double
from neurho._types import NeurhoError, NumericalError
from neurho.config.string_networks import StringNetwork
from neurho.correlators import networks as nets
from neurho.model.timescales import within
from neurho.observables import Snapshot, State, Watch
from neurho.run.drivers import cumulants
from neurho.run.drivers.base import Driver, Facts
from neurho.run.drivers.correlator_ensemble import Ensemble
from neurho.run.drivers.correlator_picture import Picture, Reading
from neurho.run.drivers.correlators import make_correlators
from neurho.run.setup import Setup
from neurho.stationary_states.corrections import slowest_rate

EVERY = 5
"""Steps of a search between outputs."""

SETTLED = 0.05
"""Share of the error by which means may still change when a search ends."""

TWICE = 2.0
"""How many times the largest difference between networks an error is, and at least that of all means together: that
two networks agree in one mean may be chance.
"""

LEFT = {"stationary": 0.4, "evolve": 0.05}
"""Share of what the equations leave, relative to c, that is taken for an error, in units of the slowest decay: networks
that are alike may agree and be wrong. Calibrated on small systems (docs/correlators.md).
"""


class Walking(NamedTuple):
    """Where all networks are, what the last output gave, and the largest differences so far."""

    step: int
    t: float
    dt: float
    places: tuple[co.Place, ...]
    values: np.ndarray
    worst: np.ndarray


@dataclass(frozen=True)
class StringNetworks(Driver):
    """A stationary state or an evolution by networks of correlators."""

    ensemble: Ensemble

    @property
    def picture(self) -> Picture:
        """The problem in the coordinates of operator strings."""
        return self.ensemble.picture

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak: derivatives of all rows, normal equations, and strings."""
        if not self.ensemble.known:
            return 3e8
        count = self.ensemble.parameters_of(self.ensemble.sizes[-1].units)
        rows = self.ensemble.rows_of(self.ensemble.weight)
        columns = rows * 4.0 * len(self.picture.terms.groups[-1].places) ** 0.5
        return 3e8 + 8.0 * (3 * rows * count + 4 * count**2) + 400.0 * columns

    @property
    def remedies(self) -> tuple[str, ...]:
        """What needs less memory."""
        return ("a smaller task.rows", f"fewer ansatz.{self.ensemble.ansatz.size_key or 'parameters'}")

    def prepare(self) -> None:
        """Say before the run what does not fit."""
        if self.picture.with_purity:
            raise NeurhoError("Key `observables.purity` must be false for networks of correlators, but it is true.")
        _ = self.ensemble.members

    def describe(self) -> Facts:
        """Sizes."""
        found = {
            "permutations": len(self.picture.symmetry.moves),
            "weight": self.ensemble.weight,
            "rows": self.ensemble.rows_of(self.ensemble.weight),
        }
        if not self.ensemble.known:
            return found
        return {
            **found,
            "networks": len(self.ensemble.sizes),
            "parameters": self.ensemble.parameters_of(self.ensemble.sizes[-1].units),
        }

    def template(self) -> Walking:
        """All networks at their start."""
        start = co.search_start if self.picture.setup.task.kind == "stationary" else self._flow_start
        places = tuple(start(network) for network in self.ensemble.members)
        none = np.zeros((len(places), self.picture.count))
        return Walking(step=0, t=0.0, dt=0.0, places=places, values=none, worst=none[0])

    def _flow_start(self, network: nets.AbstractStringNetwork) -> co.Place:
        return co.flow_start(network, 1e-3 * float(self.picture.setup.times[-1]))

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """A search: an output every few steps, until means no longer change; an evolution: one at every time."""
        require_double()
        if self.picture.setup.task.kind == "stationary":
            yield from self._search(self.template() if state is None else state, watch)
            return
        here = self.template() if state is None else state
        if state is None:
            here, snapshot = self._observe(here)
            yield snapshot
        times = self.picture.setup.times
        for t in times[times > here.t + 1e-12]:
            here = self._moved(here, float(t), watch)
            here, snapshot = self._observe(here)
            yield snapshot

    def _search(self, here: Walking, watch: Watch | None) -> Iterator[Snapshot]:
        while here.step < self.picture.setup.task.max_steps:
            step = here.step + 1
            places = tuple(
                co.search_step(network, self.ensemble.equations(number, step), self.picture.setup.task.metric, place)
                for number, (network, place) in enumerate(zip(self.ensemble.members, here.places, strict=True))
            )
            here = here._replace(step=step, t=float(step), dt=1.0, places=places)
            if step % EVERY and step < self.picture.setup.task.max_steps:
                if watch is not None:
                    watch(here)
                continue
            before = here.values
            here, snapshot = self._observe(here)
            change = float(np.sqrt(self.picture.size_of(here.values[-1] - before[-1])))
            error = snapshot.diagnostics["error_estimate"]
            settled = step > 2 * EVERY and change < SETTLED * max(error, self.picture.setup.task.goal)
            snapshot = snapshot._replace(converged=settled and error <= self.picture.setup.task.goal)
            yield snapshot
            if settled:
                return
            if watch is not None:
                watch(here)

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
            options = {"tolerance": self.picture.setup.task.tolerance, "least": least}
            tried = place._replace(length=length)
            moved, accepted = co.flow_step(network, equations, self.picture.setup.task.metric, tried, inside, **options)
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
        return slowest_rate(self.picture.setup.lindbladian) if self.picture.setup.task.kind == "stationary" else 1.0

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
        spread = np.max(np.abs(values[:-1] - values[-1]), axis=0, initial=0.0)
        size = self.ensemble.sizes[-1]
        if self.ensemble.drawn(size.weight):  # what fresh equations still change
            spread = np.maximum(spread, np.abs(values[-1] - state.values[-1]) if state.step > EVERY else spread)
        left = LEFT[self.picture.setup.task.kind] * state.places[-1].left / self.rate
        least = np.hypot(np.sqrt(picture.size_of(spread)), left)
        spread = np.where(spread + np.abs(values[-1]) > 1e-12, np.maximum(TWICE * spread, least), 0.0)
        errors = picture.errors(spread, state.worst if self.picture.setup.task.kind == "evolve" else 0.0)
        state = state._replace(values=values, worst=np.maximum(state.worst, spread))
        last = state.places[-1]
        rows = self.ensemble.rows_of(size.weight)
        rung = co.Rung(weight=size.weight, full=size.weight, parts=(), complete=False)
        snapshot = picture.snapshot(state, found[-1], errors, rung, central=False)
        more = {"strings": float(rows), "parameters": float(len(last.theta)), "equations_left": last.left}
        if self.ensemble.fresh is not None and self.picture.setup.task.kind == "stationary":
            network = nets.with_parameters(self.ensemble.members[-1], last.theta)
            fresh, weights = self.ensemble.fresh, self.ensemble.fresh.weights(self.picture.setup.task.metric)
            more["equations_fresh"] = co.residual(network, fresh, weights, fresh.matrix(0.0))
        return state, snapshot._replace(diagnostics=snapshot.diagnostics | more)


def make(setup: Setup) -> Driver:
    """The driver of a problem by correlators: with a network of them, or by their hierarchy."""
    if not isinstance(setup.config.ansatz, StringNetwork):
        return cumulants.make(setup)
    picture = Picture(setup, make_correlators)
    co.require_terms(picture.terms, setup.lattice.sites)
    _ = picture.start, picture.measured  # what is wrong with them is said before the run
    return StringNetworks(Ensemble(picture))
