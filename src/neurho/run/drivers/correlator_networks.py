"""Networks of correlators: a few of them side by side, of fewer sites and smaller, so that they judge each other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError
from neurho.config.string_networks import StringNetwork
from neurho.correlators import networks as nets
from neurho.model.timescales import Schedule, within
from neurho.observables import Snapshot
from neurho.records import network_of_code
from neurho.run.drivers import cumulants
from neurho.run.drivers.base import Driver
from neurho.run.drivers.correlator_picture import Picture, Reading
from neurho.run.setup import Setup

EQUATIONS_EACH = 3
"""Equations for each parameter, at least: with fewer the residual vanishes and the closure is arbitrary."""

MOST_WEIGHT = {"cumulants": 4}
"""Sites of the strings of the rows, if the problem does not say: cumulants of k sites take 2^k products."""

EVERY = 5
"""Steps of a search between outputs."""

SETTLED = 0.05
"""Share of the error by which means may still change when a search ends."""

FRESH = 400
"""Equations of one site more than the fitted ones have, which say what was left out."""


class Size(NamedTuple):
    """A network: strings of up to `weight` sites have equations; filters, terms, channels or bond dimension."""

    weight: int
    units: int


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

    picture: Picture

    @property
    def task(self) -> Any:
        """The table [task]."""
        return self.picture.task

    @property
    def ansatz(self) -> Any:
        """The table [ansatz]."""
        return self.picture.setup.config.ansatz

    @cached_property
    def product(self) -> np.ndarray:
        """One-site means `(sites, letters)` that the networks begin with: of a search those of pairs alone."""
        picture = self.picture
        if picture.task.kind == "evolve":
            assert isinstance(picture.start, np.ndarray)
            return picture.start
        parts = [co.all_strings(picture.symmetry, k) for k in (1, 2)[: picture.symmetry.sites]]
        hierarchy = co.build_hierarchy(picture.terms, picture.symmetry, parts, central=False)
        try:
            means = co.raw_means(hierarchy, co.stationary_state(hierarchy, None, tolerance=1e-4))
        except NumericalError:
            means = np.zeros(hierarchy.singles.shape)
        means = np.clip(means, -1.0, 1.0)
        means[:, 0] = 1.0
        return means

    @cached_property
    def weight(self) -> int:
        """The largest number of sites of strings whose equations are fitted: what is asked for, or all that fit."""
        sites, asked = self.picture.symmetry.sites, self.task.weight
        if asked is not None:
            return min(asked, sites)
        most, size, k = MOST_WEIGHT.get(self.ansatz.kind, sites), 0.0, 0
        while k < min(most, sites):
            size += co.expected_count(self.picture.symmetry, k + 1)
            if k >= 2 and size > self.task.rows:
                break
            k += 1
        return k

    def rows_of(self, weight: int) -> int:
        """How many equations a network is fitted to."""
        found = sum(co.expected_count(self.picture.symmetry, k) for k in range(1, weight + 1))
        return int(min(found, self.task.rows))

    def parameters_of(self, units: int) -> int:
        """Parameters of a network of some size."""
        return nets.parameter_vector(self.blank_network(units)).size

    @cached_property
    def sizes(self) -> list[Size]:
        """The networks: of one site less, smaller ones, and the one that answers, the last.

        **Raises** `NeurhoError` for more parameters than a third of the equations.
        """
        asked, weight = getattr(self.ansatz, self.ansatz.size_key, None), self.weight
        fits = self._most_units(self.rows_of(weight))
        if asked is not None and asked > fits:
            self._refuse(asked, fits, weight)
        if fits == 0:
            self._refuse(1, fits, weight)
        units = min(8, fits) if asked is None else asked
        less = max(1, min(units, self._most_units(self.rows_of(weight - 1))))
        found = [Size(weight - 1, less), Size(weight, max(1, units // 2)), Size(weight, units)]
        return [size for n, size in enumerate(found) if size not in found[n + 1 :] and size.weight > 0]

    def _most_units(self, rows: int) -> int:
        """The largest network that so many equations determine."""
        if self.ansatz.size_key == "":
            return int(EQUATIONS_EACH * self.parameters_of(1) <= rows)
        units = 0
        while EQUATIONS_EACH * self.parameters_of(units + 1) <= rows and units < 256:
            units += 1
        return units

    def _refuse(self, asked: int, fits: int, weight: int) -> None:
        rows, kind = self.rows_of(weight), self.ansatz.kind
        count, key = self.parameters_of(asked), self.ansatz.size_key or "module"
        remedy = f"at most {fits}, or " if fits else ""
        raise NeurhoError(
            f'Key `ansatz.{key}` must leave {EQUATIONS_EACH} equations for each parameter of kind = "{kind}", but there '
            f"are {count} parameters and {rows} equations of strings of up to {weight} sites; take {remedy}a larger "
            "task.weight or task.rows."
        )

    def blank_network(self, units: int) -> nets.StringNetwork:
        """A network of some size, at its start."""
        ansatz, product, moves = self.ansatz, self.product, self.picture.symmetry.moves
        key = jax.random.fold_in(jax.random.key(self.picture.setup.config.seed), units)
        if ansatz.kind == "cumulants":
            return nets.cumulant_network(key, product, moves, units)
        if ansatz.kind == "mixture":
            return nets.mixture_network(key, product, moves, units)
        if ansatz.kind == "matrix-product":
            return nets.matrix_product_network(key, product, units)
        if ansatz.kind == "string-convolution":
            group = moves if ansatz.point_group else self._translations
            made = nets.convolution_network(key, group, product.shape[1], units, ansatz.depth)
        else:
            given: dict[str, Any] = {"sites": len(product), "local_dim": self.picture.setup.config.local_dim, "key": key}
            where = (ansatz.path, ansatz.name, ansatz.sha256, ansatz.arguments)
            made = network_of_code(*where, **given, take=nets.as_string_network)
        return nets.departing(made, product, moves, connected=ansatz.connected)

    @property
    def _translations(self) -> np.ndarray:
        moves = self.picture.symmetry.moves
        lattice = {tuple(move) for move in self.picture.setup.lattice.translations.tolist()}
        return np.array([move for move in moves.tolist() if tuple(move) in lattice])

    @cached_property
    def members(self) -> list[nets.StringNetwork]:
        """All networks at their start."""
        return [self.blank_network(size.units) for size in self.sizes]

    def equations(self, number: int, step: int) -> co.Equations:
        """The equations of a network at a step: all strings, or fresh ones."""
        weight = self.sizes[number].weight
        if self.drawn(weight):
            rng = np.random.default_rng([self.picture.setup.config.seed, number, step])
            rows = co.drawn_rows(self.picture.symmetry, weight, self.task.rows, rng)
            return co.build_equations(self.picture.terms, self.picture.symmetry, rows)
        return self._whole[weight]

    def drawn(self, weight: int) -> bool:
        """Whether there are more strings than equations may be taken."""
        counts = (co.expected_count(self.picture.symmetry, k) for k in range(1, weight + 1))
        return sum(counts) > self.task.rows

    @cached_property
    def _whole(self) -> dict[int, co.Equations]:
        terms, symmetry = self.picture.terms, self.picture.symmetry
        weights = {size.weight for size in self.sizes if not self.drawn(size.weight)}
        return {k: co.build_equations(terms, symmetry, co.all_rows(symmetry, k)) for k in weights}

    @cached_property
    def fresh(self) -> co.Equations | None:
        """Equations that no network is fitted to: of strings of one site more."""
        symmetry, k = self.picture.symmetry, self.weight + 1
        if k > symmetry.sites:
            return None
        rows = co.drawn_rows(symmetry, k, FRESH * k, np.random.default_rng(5))
        heavy = rows.strings.weights == k
        rows = co.Rows(rows.strings.take(heavy), rows.counts[heavy])
        return co.build_equations(self.picture.terms, symmetry, rows)

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak: derivatives of all rows, normal equations, and strings."""
        count = self.parameters_of(self.sizes[-1].units)
        rows = self.rows_of(self.weight)
        columns = rows * 4.0 * len(self.picture.terms.groups[-1].places) ** 0.5
        return 3e8 + 8.0 * (3 * rows * count + 4 * count**2) + 400.0 * columns

    @property
    def remedies(self) -> tuple[str, ...]:
        """What needs less memory."""
        return ("a smaller task.rows", f"fewer ansatz.{self.ansatz.size_key or 'parameters'}")

    def prepare(self) -> None:
        """Say before the run what does not fit."""
        self.picture.require_purity()
        if self.picture.with_purity:
            raise NeurhoError("Key `observables.purity` must be false for networks of correlators, but it is true.")
        _ = self.members

    def describe(self) -> dict[str, Any]:
        """Sizes."""
        count = self.parameters_of(self.sizes[-1].units)
        return {
            "permutations": len(self.picture.symmetry.moves),
            "weight": self.weight,
            "rows": self.rows_of(self.weight),
            "networks": len(self.sizes),
            "parameters": count,
        }

    def template(self) -> Walking:
        """All networks at their start."""
        start = co.search_start if self.task.kind == "stationary" else self._flow_start
        places = tuple(start(network) for network in self.members)
        none = np.zeros((len(places), self.picture.count))
        return Walking(step=0, t=0.0, dt=0.0, places=places, values=none, worst=none[0])

    def _flow_start(self, network: nets.StringNetwork) -> co.Place:
        return co.flow_start(network, 1e-3 * float(self.picture.setup.times[-1]))

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """A search: an output every few steps, until means no longer change; an evolution: one at every time."""
        if self.task.kind == "stationary":
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

    def _search(self, here: Walking, watch: Callable[[Any], None] | None) -> Iterator[Snapshot]:
        while here.step < self.task.max_steps:
            step = here.step + 1
            places = tuple(
                co.search_step(network, self.equations(number, step), self.task.metric, place)
                for number, (network, place) in enumerate(zip(self.members, here.places, strict=True))
            )
            here = here._replace(step=step, t=float(step), dt=1.0, places=places)
            if step % EVERY and step < self.task.max_steps:
                if watch is not None:
                    watch(here)
                continue
            before = here.values
            here, snapshot = self._observe(here)
            change = float(np.sqrt(self.picture.size_of(here.values[-1] - before[-1])))
            error = snapshot.diagnostics["error_estimate"]
            settled = step > 2 * EVERY and change < SETTLED * max(error, self.task.goal)
            snapshot = snapshot._replace(converged=settled and error <= self.task.goal)
            yield snapshot
            if settled:
                return
            if watch is not None:
                watch(here)

    @cached_property
    def plan(self) -> Schedule | None:
        """When coefficients change; None where none does."""
        model, times = self.picture.setup.lindbladian, self.picture.setup.times
        return model.schedule(float(times[0]), float(times[-1])) if model.is_time_dependent else None

    def _moved(self, here: Walking, t: float, watch: Callable[[Any], None] | None) -> Walking:
        """All networks at t, one after the other."""
        places = list(here.places)
        for number, network in enumerate(self.members):
            places[number] = self._walked(number, network, places[number], (here.t, t), here, watch)
        return here._replace(step=here.step + 1, t=t, dt=t - here.t, places=tuple(places))

    def _walked(
        self,
        number: int,
        network: nets.StringNetwork,
        place: co.Place,
        times: tuple[float, float],
        here: Walking,
        watch: Callable[[Any], None] | None,
    ) -> co.Place:
        now, end = times
        least, step = 1e-6 * float(self.picture.setup.times[-1]), 0
        while now < end - 1e-12:
            stop = end if self.plan is None else self.plan.stop(now, end)
            natural = place.length
            length = min(natural, stop - now)
            inside = (within(now, length, 0.0), within(now, length, 1.0)) if self.plan else (now, now + length)
            equations = self.equations(number, here.step * 10_000 + step)
            options = {"tolerance": self.task.tolerance, "least": least}
            tried = place._replace(length=length)
            moved, accepted = co.flow_step(network, equations, self.task.metric, tried, inside, **options)
            step += 1
            if not np.all(np.isfinite(moved.theta)):
                raise NumericalError(f"A network of correlators became infinite at t = {now:.4g}.")
            if accepted:
                now += length
                cut = length < 0.999 * natural  # an output, or an edge, is no reason for short steps
                place = moved._replace(length=max(moved.length, min(natural, 1.0 * natural)) if cut else moved.length)
                if watch is not None:
                    watch(here)
            else:
                place = moved
        return place

    def _values(self, number: int, place: co.Place) -> Reading:
        picture = self.picture
        strings, own = picture.measured.strings, picture.measured.number
        network = nets.with_parameters(self.members[number], place.theta)
        means = nets.string_values(network, picture.symmetry.canonical(strings))
        means[~picture.symmetry.holds(strings)] = 0.0
        named = picture.setup.readout.combine(picture.measured.matrix @ means[:own])
        smallest = co.smallest_eigenvalue(means[own:], picture.setup.lindbladian.local_dim)
        return Reading(np.concatenate([np.ravel(value) for value in named.values()]), smallest)

    def _observe(self, state: Walking) -> tuple[Walking, Snapshot]:
        picture = self.picture
        found = [self._values(number, place) for number, place in enumerate(state.places)]
        values = np.stack([reading.values for reading in found])
        spread = np.max(np.abs(values[:-1] - values[-1]), axis=0, initial=0.0)
        size = self.sizes[-1]
        if self.drawn(size.weight):  # what fresh equations still change
            spread = np.maximum(spread, np.abs(values[-1] - state.values[-1]) if state.step > EVERY else spread)
        errors = picture.errors(spread, state.worst if self.task.kind == "evolve" else 0.0)
        state = state._replace(values=values, worst=np.maximum(state.worst, spread))
        last = state.places[-1]
        rows = self.rows_of(size.weight)
        rung = co.Rung(weight=size.weight, full=size.weight, parts=(), complete=False)
        snapshot = picture.snapshot(state, found[-1], errors, rung, central=False)
        more = {"strings": float(rows), "parameters": float(len(last.theta)), "equations_left": last.left}
        if self.fresh is not None and self.task.kind == "stationary":
            network = nets.with_parameters(self.members[-1], last.theta)
            weights = self.fresh.weights(self.task.metric)
            more["equations_fresh"] = co.residual(network, self.fresh, weights)
        return state, snapshot._replace(diagnostics=snapshot.diagnostics | more)


def make(setup: Setup) -> Driver:
    """The driver of a problem by correlators: with a network of them, or by their hierarchy."""
    if not isinstance(setup.config.ansatz, StringNetwork):
        return cumulants.make(setup)
    picture = Picture(setup, make)
    co.require_terms(picture.terms, setup.lattice.sites)
    _ = picture.start, picture.measured  # what is wrong with them is said before the run
    return StringNetworks(picture)
