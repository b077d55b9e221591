"""Time evolution: means over trajectories at given times, with standard errors, and a state that can be resumed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from neurho._types import Numbers, as_reals, require
from neurho.model.operators import Lindbladian, Operator
from neurho.observables import Estimate
from neurho.trajectories.engine import Engine
from neurho.trajectories.ensemble import Observed, observed
from neurho.trajectories.making import make_engine
from neurho.trajectories.spread import Client, Device, spread
from neurho.trajectories.start import site_matrices
from neurho.trajectories.statistics import Moments, with_samples
from neurho.trajectories.system import DOUBLE, Accuracy, require_model, require_rates

FEW = 8
"""Trajectories without which no goal counts as reached: an error from fewer is a guess."""


class EvolutionState(NamedTuple):
    """Where a run is: plain arrays. `step` counts groups of trajectories, `done` trajectories, `t` is the last time.

    - `mean`, `spread`: of all named values, `(times, values)`; `seconds`: spent so far.

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model, seen = neurho.xyz(neurho.chain(2)), neurho.trajectories.observed({"sz": neurho.sz(0)})
    options = {"key": jax.random.key(0), "ends": neurho.trajectories.Ends(trajectories=16)}
    run = neurho.trajectories.make_evolution(model, [[0, 0, 1]] * 2, [0.0, 1.0], seen, **options)
    nothing = run.template()
    assert (nothing.done, nothing.mean.shape) == (0, (2, 1))  # two times, one value
    ```
    """

    step: int
    t: float
    dt: float
    done: int
    seconds: float
    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Ends:
    """When a run is over, whichever comes first.

    - `trajectories`: at most so many; `seconds`: no new trajectories are begun after so long.
    - `goal`: (name, error): the largest standard error of this named value is at most `error`.

    ```python
    import neurho

    ends = neurho.trajectories.Ends(trajectories=10_000, seconds=60.0, goal=("sz", 1e-2))
    assert ends.trajectories == 10_000
    ```
    """

    trajectories: int = 1000
    seconds: float = np.inf
    goal: tuple[str, float] | None = None

    def check(self, observed_: Observed) -> None:
        """**Raises** `NeurhoError` for numbers that cannot be."""
        require(self.trajectories >= 2, "trajectories", "be at least 2: one has no error", f"it is {self.trajectories}")
        require(self.seconds > 0, "seconds", "be > 0", f"it is {self.seconds}")
        if self.goal is not None:
            observed_.place(self.goal[0])
            require(self.goal[1] > 0, "goal", "be an error > 0", f"it is {self.goal[1]}")


@dataclass(frozen=True, eq=False)
class Evolution:
    """A compiled evolution; made by [`make_evolution`][neurho.trajectories.evolution.make_evolution].

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model, seen = neurho.xyz(neurho.chain(2)), neurho.trajectories.observed({"sz": neurho.sz(0)})
    options = {"key": jax.random.key(0), "ends": neurho.trajectories.Ends(trajectories=16)}
    run = neurho.trajectories.make_evolution(model, [[0, 0, 1]] * 2, [0.0, 1.0], seen, **options)
    assert run.times.tolist() == [0, 1] and not run.is_over(run.template())
    ```
    """

    engine: Engine
    observed: Observed
    times: np.ndarray
    ends: Ends

    @property
    def lanes(self) -> int:
        """Trajectories of a group."""
        return self.engine.lanes

    def template(self) -> EvolutionState:
        """The state before anything has been done; all states have its shapes."""
        size = (len(self.times), self.observed.size)
        return EvolutionState(0, float(self.times[-1]), 0.0, 0, 0.0, np.zeros(size), np.zeros(size))

    @property
    def bytes(self) -> float:
        """Predicted bytes of vectors and tables."""
        tables = 4 * 8.0 * self.lanes * len(self.times) * (self.observed.size + len(self.observed.operators))
        return tables + self.engine.working_bytes

    @cached_property
    def groups(self) -> int:
        """Groups of trajectories at most."""
        return -(-self.ends.trajectories // self.lanes)

    def states(self, state: EvolutionState | None = None, client: Client = None) -> Iterator[EvolutionState]:
        """The state after every group of trajectories, up to the end; from the beginning, or from another one.

        With `client`, a `dask.distributed.Client`, the workers of its cluster follow the groups.
        """
        now = self.template() if state is None else state
        begin = time.monotonic() - now.seconds
        if self.is_over(now):
            return
        for samples in spread(self, client)(range(now.step, self.groups)):
            room = self.ends.trajectories - now.done
            moments = with_samples(Moments(now.done, now.mean, now.spread), samples[:room])
            now = now._replace(
                step=now.step + 1,
                done=moments.number,
                seconds=time.monotonic() - begin,
                mean=moments.mean,
                spread=moments.spread,
            )
            yield now
            if self.is_over(now):
                return

    def is_over(self, state: EvolutionState) -> bool:
        """Whether enough has been done."""
        done = state.done >= self.ends.trajectories or (state.seconds >= self.ends.seconds and state.done >= 2)
        return done or self.is_reached(state)

    def is_reached(self, state: EvolutionState) -> bool:
        """Whether the goal is reached."""
        if self.ends.goal is None or state.done < FEW:
            return False
        name, error = self.ends.goal
        return bool(np.max(self._error(state)[:, self.observed.place(name)]) <= error)

    def remark(self, state: EvolutionState) -> str:
        """A sentence if the goal has been missed, or ""."""
        if self.ends.goal is None or self.is_reached(state):
            return ""
        name, error = self.ends.goal
        found = float(np.max(self._error(state)[:, self.observed.place(name)]))
        need = int(np.ceil(state.done * (found / error) ** 2)) if np.isfinite(found) else 0
        return (
            f"The error of {name} is {found:.2g} after {state.done} trajectories in {state.seconds:.0f} s, above the "
            f"goal of {error:g}; about {need} trajectories would reach it."
        )

    def estimates(self, state: EvolutionState) -> dict[str, Estimate]:
        """Means with standard errors by name, `(times, *shape)`."""
        return self.observed.named(state.mean, self._error(state))

    def _error(self, state: EvolutionState) -> np.ndarray:
        """Standard errors, and behind t = 0 what one more jump would change, which no trajectory has had: where jumps
        are rare all of them may be alike and wrong.
        """
        error = Moments(state.done, state.mean, state.spread).error
        largest = np.maximum(1.0, np.abs(state.mean).max(axis=0))
        unseen = np.where(self.times > self.times[0], 1 / max(state.done, 1), 0.0)
        return np.hypot(error, unseen[:, None] * largest)

    def work(self, task: int, device: Device) -> np.ndarray:
        """All named values of the group of trajectories with this number, `(lanes, times, values)`."""
        numbers = task * self.lanes + np.arange(self.lanes)
        _, means = self.engine.follow(self.engine.start(numbers, float(self.times[0])), self.times, device)
        rows = [self.observed.flat(row, float(t)) for row, t in zip(means, self.times, strict=True)]
        return np.stack(rows, axis=1)

    def portable(self) -> "Evolution":
        """The same for another process."""
        return replace(self, engine=self.engine.portable())


def make_evolution(
    model: Lindbladian,
    initial: Numbers,
    times: Sequence[float] | np.ndarray,
    observed_: Observed,
    *,
    key: PRNGKeyArray,
    ends: Ends,
    accuracy: Accuracy = DOUBLE,
    lanes: int | None = None,
    momentum: bool | None = None,
) -> Evolution:
    """Check and compile an evolution. The arguments are those of [`evolve`][neurho.trajectories.evolve].

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model, seen = neurho.xyz(neurho.chain(2)), neurho.trajectories.observed({"sz": neurho.sz(0)})
    options = {"key": jax.random.key(0), "ends": neurho.trajectories.Ends(trajectories=16)}
    run = neurho.trajectories.make_evolution(model, [[0, 0, 1]] * 2, [0.0, 1.0], seen, **options)
    assert run.groups * run.lanes >= 16 and run.bytes < 1e6
    ```

    **Raises** `NeurhoError` for what trajectories cannot do, and for arguments that do not fit.
    """
    require_model(model)
    grid = as_reals(times, "times")
    require(grid.ndim == 1 and len(grid) > 0, "times", "be at least one time", f"its shape is {grid.shape}")
    require(np.all(np.diff(grid) > 0), "times", "increase", "it does not")
    require_rates(model, float(grid[0]), float(grid[-1]))
    ends.check(observed_)
    matrices = site_matrices(initial, model.sites, model.local_dim)
    span = (float(grid[0]), float(grid[-1]), float(np.max(np.diff(grid), initial=0.0)) or 1.0)
    engine = make_engine(
        model, matrices, observed_.operators, key=key, accuracy=accuracy, span=span, lanes=lanes, momentum=momentum
    )
    return Evolution(engine=engine, observed=observed_, times=grid, ends=ends)


class Record(NamedTuple):
    """What a run has found: estimates by name, trajectories, seconds, and a sentence on a goal that was missed, or "".

    `state` continues the run: more trajectories, the same numbers as if it had never stopped.

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    options = {"observables": {"sz": neurho.sz(0)}, "key": jax.random.key(0), "trajectories": 16}
    record = neurho.trajectories.evolve(neurho.xyz(neurho.chain(1)), [[0, 0, 1]], [0.0, 1.0], **options)
    assert record.trajectories == 16 and record.estimates["sz"].error.shape == (2,)
    ```
    """

    estimates: dict[str, Estimate]
    trajectories: int
    seconds: float
    message: str
    state: PyTree


def evolve(
    model: Lindbladian,
    initial: Numbers,
    times: Sequence[float] | np.ndarray,
    *,
    observables: Mapping[str, Operator | Sequence[Operator]],
    key: PRNGKeyArray,
    trajectories: int = 1000,
    seconds: float = np.inf,
    goal: tuple[str, float] | None = None,
    accuracy: Accuracy = DOUBLE,
    momentum: bool | None = None,
    state: EvolutionState | None = None,
    progress: Callable[[Record], None] | None = None,
    client: Client = None,
) -> Record:
    """Means at `times`, from a product state at times[0], by Monte-Carlo wave functions (hbar = 1).

    ```python
    import jax
    import numpy as np
    import neurho

    jax.config.update("jax_enable_x64", True)

    decay = neurho.heisenberg(neurho.chain(1), decay=1.0)
    options = {"observables": {"sz": neurho.sz(0)}, "key": jax.random.key(0), "trajectories": 64}
    record = neurho.trajectories.evolve(decay, [[0, 0, 1]], [0.0, 1.0], **options)
    found = record.estimates["sz"]
    assert abs(found.mean[1] - (2 * np.exp(-1) - 1)) < 4 * found.error[1]
    ```

    **Arguments**

    - `initial`: density matrices, amplitudes or Bloch vectors of the single sites, see
      [`site_matrices`][neurho.trajectories.start.site_matrices]; mixed sites are drawn from their eigenvectors.
    - `observables`: Hermitian operators by name; several under one name give an array.
    - `key`: the same key gives the same trajectories, whatever the number of processors or of trajectories.
    - `trajectories`, `seconds`, `goal`: the run ends with whichever comes first; `goal` is (name, largest error).
    - `accuracy`: `DOUBLE`, or `SINGLE` with an error of 1e-6 a step.
    - `momentum`: whether wave functions have a momentum, [where there are translations](../trajectories.md#momentum);
      None: where that is faster.
    - `state`: go on from here.
    - `progress`: is called after every group of trajectories.
    - `client`: a `dask.distributed.Client`; the workers of its cluster follow the trajectories, with the same numbers.

    **Returns** a [`Record`][neurho.trajectories.evolution.Record]; estimates have shape `(times, *shape)`.

    **Raises** `NeurhoError` for more than 20 spins, a model without jumps, and arguments that do not fit.
    """
    ends = Ends(trajectories=trajectories, seconds=seconds, goal=goal)
    run = make_evolution(
        model, initial, times, observed(observables), key=key, ends=ends, accuracy=accuracy, momentum=momentum
    )
    now = run.template() if state is None else state

    def record(now: EvolutionState) -> Record:
        return Record(run.estimates(now), now.done, now.seconds, run.remark(now), now)

    for step in run.states(now, client):
        now = step
        if progress is not None:
            progress(record(now))
    return record(now)
