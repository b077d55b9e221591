"""Problems of spins by the outcomes of a measurement: `task.method = "outcomes"`."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho import outcomes
from neurho._jax.compiling import require_double
from neurho._types import NeurhoError, NumericalError
from neurho.certificate import SHARE, SIGMAS
from neurho.dynamics.march import march
from neurho.model.timescales import Schedule, within
from neurho.observables import Estimate, Snapshot, State, Watch, pauli_quantities
from neurho.observables.readout import Readout, exactly, make_readout, with_entropy
from neurho.outcomes import RecurrentOutcomes
from neurho.outcomes.means import outcome_values, smallest_eigenvalue
from neurho.outcomes.stationary import MAX_SITES, Rate, rates_in_time
from neurho.outcomes.steps import Step, Weighted, at_product, implicit_step, velocity, weighted
from neurho.run import memory
from neurho.run.drivers.base import Driver, Facts
from neurho.run.setup import Setup
from neurho.stationary_states.corrections import slowest_rate

MEASURED = 16
"""Draws of an output, by those of a step."""

BINS = 64
"""Groups of draws from whose means errors are taken."""

SPREAD = 3.0
"""Largest spread of O(a) of a product of two Pauli matrices: what a change of p of size one makes of its mean."""

ATTEMPTS = 12
"""Lengths of a step that are tried, each half the one before."""

LONG = 4.0
"""Error of a step, by task.tolerance, beyond which it is tried again with half its length."""

GROWTH = 2.0
"""Factor by which steps grow at most."""

ROUNDING = 1e-9
"""Least error of a mean."""

START, MOVE, MEASURE = range(3)
"""What random keys are for."""


class EvolutionState(NamedTuple):
    """Where an evolution is.

    `lost` is the absolute value of what steps have lost in each mean, summed; `elsewhere` the sizes of r, of which
    other strings than these can later come back, and SPREAD times what the rule has neglected; `began` how far the
    network was from the state asked for.
    """

    network: RecurrentOutcomes
    step: int
    t: float
    dt: float
    damping: float
    began: float
    elsewhere: float
    lost: np.ndarray
    residual: float


class SearchState(NamedTuple):
    """Where a search is: the best network with its distance from rest, and when that last fell by a tenth."""

    network: RecurrentOutcomes
    step: int
    t: float
    dt: float
    distance: float
    least: float
    since: int
    ended: int


@dataclass(frozen=True)
class OutcomesDriver(Driver):
    """A recurrent network of outcomes, moved or brought to rest by implicit steps."""

    setup: Setup

    @property
    def _searches(self) -> bool:
        return self.setup.task.kind == "stationary"

    @property
    def _sites(self) -> int:
        return self.setup.lattice.sites

    @cached_property
    def rates_at(self) -> Callable[[float], tuple[Rate, ...]]:
        """The Lindbladian between outcomes at any time."""
        try:
            return rates_in_time(self.setup.lindbladian)
        except NeurhoError as error:
            raise NeurhoError(f'With task.method = "outcomes": {error}') from None

    @cached_property
    def rates(self) -> tuple[Rate, ...]:
        """The same at the first time, and at all where nothing depends on time."""
        return self.rates_at(float(self.setup.times[0]) if self._driven else 0.0)

    @property
    def _driven(self) -> bool:
        return self.setup.lindbladian.is_time_dependent

    @cached_property
    def _plan(self) -> Schedule:
        times = self.setup.times
        return self.setup.lindbladian.schedule(float(times[0]), float(times[-1]))

    @cached_property
    def _joined(self) -> list[tuple[int, ...]]:
        """All sites, and all pairs that a term joins."""
        pairs = {pair for rate in self.rates for pair in combinations(rate.sites, 2)}
        return [(site,) for site in range(self._sites)] + sorted(pairs)

    @cached_property
    def followed(self) -> Readout:
        """Means of one and two sites, whose losses are summed up."""
        found = pauli_quantities(self.setup.lattice, bonds=True)
        return make_readout([q for q in found if q.average], self._sites)

    def prepare(self) -> None:
        """Say what does not fit.

        **Raises** `NeurhoError` for other sites than spins, a start that is no product, more sites than sums take, and
        a purity from draws.
        """
        _ = self.rates
        if self.setup.config.initial.kind != "random":
            _ = self.setup.factors
        elif not self._searches:
            raise NeurhoError('Key `initial.kind` must be "product" for an evolution by outcomes, but it is "random".')
        if self.setup.task.samples is None and self._sites > MAX_SITES:
            raise NeurhoError(
                f"Key `task.samples` must be given for more than {MAX_SITES} sites, of which no sums over all outcomes "
                f"are taken, but it is missing for {self._sites}."
            )
        if self.setup.task.samples is not None and self.setup.config.observables.purity:
            raise NeurhoError("Key `observables.purity` must be false where task.samples is given, but it is true.")

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run: what derivatives keep of the cell at all steps."""
        hidden, samples = self.setup.task.hidden, self.setup.task.samples
        if samples is None:
            return memory.PROGRAMS + 8.0 * 4**self._sites * (12 * hidden + 40)
        connected = sum(4 ** len(rate.sites) for rate in self.rates)
        return memory.PROGRAMS + 8.0 * 128 * connected * self._sites * 12 * hidden + 8e3 * samples

    def describe(self) -> Facts:
        """Sizes, for `neurho run --check`."""
        count = sum(leaf.size for leaf in jax.tree.leaves(self._random()))
        return {"parameters": count, "samples": self.setup.task.samples or f"all {4**self._sites}"}

    def _key(self, what: int, step: int, attempt: int = 0) -> PRNGKeyArray:
        root = jax.random.fold_in(jax.random.key(self.setup.config.seed), what)
        return jax.random.fold_in(jax.random.fold_in(root, step), attempt)

    def _random(self) -> RecurrentOutcomes:
        return outcomes.random_recurrent(self._key(START, 0), self._sites, hidden=self.setup.task.hidden)

    def template(self) -> State:
        """A state of the right structure, to read a checkpoint into."""
        if self._searches:
            return SearchState(self._random(), 0, 0.0, 0.0, 0.0, 0.0, 0, 0)
        return EvolutionState(self._random(), 0, 0.0, 0.0, 0.0, 0.0, 0.0, np.zeros(len(self._names)), 0.0)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.followed.combine(np.zeros(len(self.followed.operators))))

    def _begin(self) -> tuple[RecurrentOutcomes, float]:
        if self.setup.config.initial.kind == "random":
            return self._random(), 0.0
        samples = self.setup.task.samples and MEASURED * self.setup.task.samples
        return at_product(self._random(), self.setup.factors, self._key(START, 1), samples)

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """Go on from the beginning, or from an earlier state, to the end."""
        require_double()
        return self._search(state, watch) if self._searches else self._evolution(state, watch)

    # Evolution

    def _evolution(self, state: EvolutionState | None, watch: Watch | None) -> Iterator[Snapshot]:
        first = state is None
        if state is None:
            network, began = self._begin()
            blank: EvolutionState = self.template()
            state = blank._replace(network=network, began=began, dt=self.setup.task.dt, damping=1e-4)
        yield from march(
            state,
            self.setup.times,
            advance=self._advance,
            measure=self._evolved,
            plan=self._plan,
            first=first,
            max_steps=self.setup.task.max_steps,
            watch=watch,
        )

    def _advance(self, state: EvolutionState, stop: float) -> EvolutionState:
        """One accepted step that ends at `stop` at the latest."""
        task = self.setup.task
        length = stop - state.t if state.t + state.dt * (1 + 1e-6) >= stop else state.dt
        for attempt in range(ATTEMPTS):
            begin, middle, end = self._rates_over(state.t, length)
            step = implicit_step(
                state.network,
                end,
                self._key(MOVE, state.step, attempt),
                length,
                share=0.5,
                samples=task.samples,
                iterations=task.iterations,
                damping=state.damping,
                earlier=(begin, middle) if self._driven else None,
            )
            if step.truncation <= LONG * task.tolerance:
                break
            length /= 2
        else:
            raise NumericalError(
                f"The step size fell below {length:.1e} at t = {state.t:.6g}: outcomes move faster than steps can "
                "follow, or became NaN; take a larger task.tolerance, or more task.samples."
            )
        proposed = length * min(max(0.9 * (task.tolerance / max(step.truncation, 1e-300)) ** (1 / 3), 0.3), GROWTH)
        t = stop if math.isclose(state.t + length, stop, rel_tol=1e-12) else state.t + length
        return EvolutionState(
            network=step.network,
            step=state.step + 1,
            t=t,
            dt=max(state.dt, proposed) if length < state.dt and attempt == 0 else proposed,
            damping=step.damping,
            began=state.began,
            elsewhere=state.elsewhere + step.defect + SPREAD * step.truncation,
            lost=state.lost + self._lost(step),
            residual=step.defect / step.motion if step.motion > 0 else 0.0,
        )

    def _rates_over(self, t: float, dt: float) -> list[tuple[Rate, ...]]:
        """The rates at the beginning, in the middle and at the end of a step, seen from inside it."""
        if not self._driven:
            return [self.rates] * 3
        return [self.rates_at(within(t, dt, share)) for share in (0.0, 0.5, 1.0)]

    def _lost(self, step: Step) -> np.ndarray:
        """What a step has lost in means, in the order of `_names`: sum_a w(a) O(a) r(a)."""
        a, weights = np.asarray(step.at.a), np.asarray(step.at.weights)
        means = [outcome_values(o, a) @ (weights * step.left) for o in self.followed.operators]
        return np.abs(np.array(list(self.followed.combine(np.array(means)).values())))

    def _evolved(self, state: EvolutionState, target: float) -> Snapshot:
        state = state._replace(t=target)
        found, at = self._measured(state.network, state.step, target)
        diagnostics = {"preparation": float(state.began), "residual": float(state.residual), "dt": float(state.dt)}
        diagnostics["error_local"] = float(np.max(state.lost) + state.elsewhere)
        diagnostics |= self._positivity(at, state.began + SHARE * diagnostics["error_local"])
        return Snapshot(int(state.step), target, found, diagnostics, state)

    # Search

    def _search(self, state: SearchState | None, watch: Watch | None) -> Iterator[Snapshot]:
        del watch  # every step worth keeping is a snapshot
        message = self.setup.several_states if state is None else ""
        here = self._unmoved() if state is None else state
        while not here.ended:
            snapshot = self._searched(self._nearer(here))
            here = snapshot.state
            yield snapshot._replace(message=message)
            message = ""

    def _unmoved(self) -> SearchState:
        blank: SearchState = self.template()
        return blank._replace(network=self._begin()[0], dt=self.setup.task.dt, distance=math.inf, least=math.inf)

    def _nearer(self, state: SearchState) -> SearchState:
        """One step; if it leads away, the network stays and dt shrinks."""
        step = implicit_step(
            state.network,
            self.rates,
            self._key(MOVE, state.step),
            state.dt,
            share=1.0,
            samples=self.setup.task.samples,
            iterations=self.setup.task.iterations,
        )
        distance, _ = self._rest(step.network, self._at(step.network, MOVE, state.step))
        number = state.step + 1
        if not distance <= GROWTH * state.distance:
            return state._replace(step=number, dt=state.dt / 8)
        better = distance < 0.9 * state.least
        return SearchState(
            network=step.network,
            step=number,
            t=state.t + state.dt,
            dt=min(state.dt * GROWTH, self.setup.task.dt_max),
            distance=distance,
            least=distance if better else state.least,
            since=number if better else state.since,
            ended=0,
        )

    def _at(self, network: RecurrentOutcomes, what: int, step: int) -> Weighted:
        count = self.setup.task.samples
        return weighted(network, self._key(what, step, 1), None if count is None else MEASURED * count)

    def _rest(self, network: RecurrentOutcomes, at: Weighted) -> tuple[float, float]:
        """sqrt(<E^2>) and <|E|>, E = (L p)/p, by the slowest rate: zero in a stationary state."""
        e, weights = np.asarray(velocity(network, self.rates, at)), np.asarray(at.weights)
        rate = slowest_rate(self.setup.lindbladian)
        return float(np.sqrt(weights @ e**2)) / rate, float(weights @ np.abs(e)) / rate

    def _searched(self, state: SearchState) -> Snapshot:
        found, at = self._measured(state.network, state.step, 0.0)
        distance, delta = self._rest(state.network, at)
        task = self.setup.task
        goal = task.delta_L
        reached = delta < goal and distance < 10 * goal
        stuck = state.step - state.since >= task.patience or state.step >= (task.max_steps or math.inf)
        state = state._replace(ended=int(reached or stuck))
        diagnostics = {"distance": distance, "delta_L": delta, "dt": float(state.dt)} | self._positivity(at, distance)
        return Snapshot(int(state.step), float(state.t), found, diagnostics, state, converged=reached)

    # Means

    def _measured(self, network: RecurrentOutcomes, step: int, t: float) -> tuple[dict[str, Estimate], Weighted]:
        """Means with errors, from all outcomes or from new draws, and these."""
        at, readout = self._at(network, MEASURE, step), self.setup.readout
        a, weights = np.asarray(at.a), np.asarray(at.weights)
        values = (outcome_values(operator, a, t) for operator in readout.operators)
        if at.whole:
            found = readout.combine(np.array([one @ weights for one in values]), t)
            return exactly(found) | (self._purity(weights) if self.setup.config.observables.purity else {}), at
        bins = np.array([one.reshape(BINS, -1).mean(axis=1) for one in values]).T
        found = readout.combine(bins, t)
        return {
            name: Estimate(mean=v.mean(axis=0), error=v.std(axis=0, ddof=1) / np.sqrt(BINS))
            for name, v in found.items()
        }, at

    def _positivity(self, at: Weighted, error: float) -> dict[str, float]:
        """The smallest eigenvalue of rho of one and two sites, and by how many errors it is negative: `error` of means,
        and that of draws.
        """
        smallest, spread = smallest_eigenvalue(at.a, at.weights, self._joined)
        drawn = 0.0 if at.whole else SIGMAS * spread / math.sqrt(len(at.weights))
        below = -smallest / max(math.hypot(error, drawn), ROUNDING)
        return {"smallest_eigenvalue": smallest, "negativity": max(below, 0.0)}

    def _purity(self, p: np.ndarray) -> dict[str, Estimate]:
        return exactly(with_entropy(float(np.linalg.norm(outcomes.to_matrix(p, self._sites))) ** 2))
