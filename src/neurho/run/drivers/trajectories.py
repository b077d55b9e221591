"""Quantum trajectories for a problem file: evolution and stationary means, up to 20 spins."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

import jax
import numpy as np

from neurho import trajectories
from neurho._jax.compiling import require_double
from neurho._types import NeurhoError, Record
from neurho.observables import Estimate, Snapshot, State, Watch
from neurho.run import memory
from neurho.run.drivers.base import Driver, Facts
from neurho.run.setup import Setup
from neurho.trajectories import (
    DOUBLE,
    SINGLE,
    Ends,
    Evolution,
    EvolutionState,
    Observed,
    StationaryRun,
    StationaryState,
)

EVERY = 8 * trajectories.ROUND
"""Samples between two rows of the series of a stationary search, at first; later rows come more rarely."""


class Ensemble(NamedTuple):
    """Where an evolution is: `run` while trajectories are added, then `row` of the output times is told one by one.

    `t` is the time of the last row, or before that the share of the work that is done times the last time.
    """

    step: int
    t: float
    dt: float
    row: int
    run: EvolutionState


@dataclass(frozen=True)
class Trajectories(Driver):
    """The driver of `task.method = "trajectories"`."""

    setup: Setup

    @cached_property
    def _observed(self) -> Observed:
        readout = self.setup.readout
        return Observed(operators=readout.operators, combine=readout.combine)

    @cached_property
    def _options(self) -> Record:
        task = self.setup.task
        return {
            "key": jax.random.key(self.setup.config.seed),
            "accuracy": SINGLE if task.precision == "single" else DOUBLE,
            "momentum": None if task.momentum == "auto" else task.momentum,
        }

    def _ends(self, count: int) -> Ends:
        task = self.setup.task
        goal = None if task.error_of is None else (task.error_of, task.error_goal)
        return Ends(trajectories=count, seconds=task.seconds or inf, goal=goal)

    @cached_property
    def _evolution(self) -> Evolution:
        task = self.setup.task
        setup, ends = self.setup, self._ends(task.trajectories or 1000)
        try:
            return trajectories.make_evolution(
                setup.lindbladian, setup.factors, setup.times, self._observed, ends=ends, **self._options
            )
        except NeurhoError as error:
            raise _in_task(error) from None

    @cached_property
    def _search(self) -> StationaryRun:
        task = self.setup.task
        given = self.setup.config.initial.kind != "random"  # what a file without [initial] has
        try:
            return trajectories.make_stationary(
                self.setup.lindbladian,
                self._observed,
                ends=self._ends(task.trajectories) if task.trajectories else self._ends,
                initial=self.setup.factors if given else None,
                t_end=task.t_end,
                **self._options,
            )
        except NeurhoError as error:
            raise _in_task(error) from None

    @property
    def _is_search(self) -> bool:
        return self.setup.task.kind == "stationary"

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        run = self._search if self._is_search else self._evolution
        return memory.LIBRARIES + memory.PROGRAMS / 2 + run.bytes

    def template(self) -> Ensemble | StationaryState:
        """A state of the right structure, to read a checkpoint into."""
        return self._search.template() if self._is_search else self._begin()

    def _begin(self) -> Ensemble:
        return Ensemble(step=0, t=0.0, dt=0.0, row=0, run=self._evolution.template())

    def describe(self) -> Facts:
        """Sizes, for `neurho run --check`."""
        run = self._search if self._is_search else self._evolution
        return {
            **run.engine.sizes,
            "trajectories": run.ends.trajectories,
            "lanes": run.lanes,
        }

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """Go on from the beginning, or from an earlier state (whose snapshot is not yielded again), to the end."""
        if self._options["accuracy"] is DOUBLE:
            require_double()
        follow = self._search_snapshots if self._is_search else self._evolution_snapshots
        yield from follow(state, watch or (lambda _: None))

    def glance(self, state: Ensemble | StationaryState) -> dict[str, Estimate]:
        """Means of single values so far, with their errors: at the last time, or from the samples there are."""
        if isinstance(state, StationaryState):
            found = self._search.settled(state)
            named = self._observed.named(found.mean, found.error)
        else:
            known = self._evolution.estimates(state.run)
            named = {name: Estimate(mean=e.mean[-1], error=e.error[-1]) for name, e in known.items()}
        return {name: e for name, e in named.items() if np.ndim(e.mean) == 0 and np.isfinite(e.error)}

    def _evolution_snapshots(self, state: Ensemble | None, watch: Watch) -> Iterator[Snapshot]:
        run, now = self._evolution, self._begin() if state is None else state
        for step in run.states(now.run, self.setup.client):
            share = min(step.done / run.ends.trajectories, 1.0)
            now = Ensemble(step=step.step, t=share * float(run.times[-1]), dt=0.0, row=0, run=step)
            watch(now)
        estimates, last = run.estimates(now.run), len(run.times) - 1
        for row in range(now.row, last + 1):
            t = float(run.times[row])
            yield Snapshot(
                step=now.run.step,
                t=t,
                observables={name: type(e)(mean=e.mean[row], error=e.error[row]) for name, e in estimates.items()},
                diagnostics={"trajectories": float(now.run.done)},
                state=Ensemble(step=now.run.step, t=t, dt=0.0, row=row + 1, run=now.run),
                message=run.remark(now.run) if row == last else "",
                converged=row == last,
            )

    def _search_snapshots(self, state: StationaryState | None, watch: Watch) -> Iterator[Snapshot]:
        run, first = self._search, state is None
        due = _row_after(0 if state is None else state.step)
        for now in run.states(state, self.setup.client):
            over = run.is_over(now)
            if not over and now.step < due:
                watch(now)
                continue
            found, due = run.settled(now), _row_after(now.step)
            words = (self.setup.several_states if first else "", run.remark(now) if over else "")
            first = False
            yield Snapshot(
                step=now.step,
                t=now.t,
                observables=self._observed.named(found.mean, found.error),
                diagnostics={
                    "trajectories": float(run.trajectories),
                    "burn_in": run.burn_in(now, found),
                    "tau_time": float(np.max(found.tau[self._observed.scalars])) * run.spacing,
                    "effective_samples": float(np.min(found.effective[self._observed.scalars])),
                },
                state=now,
                message=" ".join(filter(None, words)),
                converged=over and run.is_satisfied(now),
            )


def _row_after(step: int) -> int:
    """The sample after `step` at which the series has its next row: a tenth more than the last, `EVERY` at least."""
    row = EVERY
    while row <= step:
        row += max(EVERY, row // 10 // trajectories.ROUND * trajectories.ROUND)
    return row


def _in_task(error: NeurhoError) -> NeurhoError:
    return NeurhoError(f'With task.method = "trajectories": {error}')


def make(setup: Setup) -> Trajectories:
    """The driver for a problem; what does not fit is said at once."""
    driver = Trajectories(setup)
    _ = driver.describe()
    return driver
