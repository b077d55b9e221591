"""Stationary means: averages over time and trajectories after a beginning that is found, with errors by blocks."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from neurho._types import Numbers, require
from neurho.model.operators import Lindbladian, Operator
from neurho.trajectories.engine import Engine
from neurho.trajectories.ensemble import Observed, observed
from neurho.trajectories.evolution import Ends, Record
from neurho.trajectories.making import make_engine
from neurho.trajectories.spread import Client, Device, spread
from neurho.trajectories.start import site_matrices
from neurho.trajectories.statistics import Settled, settle
from neurho.trajectories.system import DOUBLE, Accuracy, loss_of, require_model, require_rates

ROUND = 16
"""Samples between two looks at the errors."""

STORED = 1024
"""Blocks that are kept of all trajectories together; when there are more, neighbours are joined."""


class StationaryState(NamedTuple):
    """Where a run is: plain arrays. `step` counts samples of every trajectory, `t` is the time of the last.

    - `walk`: all trajectories, with a leading axis of groups.
    - `sums`, `squares`: of all named values in blocks of `length` samples, `(blocks, trajectories, values)`; `filled`
      blocks are complete, and `part` samples of the next one are in.

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model, seen = neurho.xyz(neurho.chain(2)), neurho.trajectories.observed({"sz": neurho.sz(0)})
    options = {"key": jax.random.key(0), "ends": neurho.trajectories.Ends(trajectories=16)}
    state = neurho.trajectories.make_stationary(model, seen, t_end=20.0, **options).template()
    assert (state.step, state.filled, state.sums.shape[1:]) == (0, 0, (16, 1))  # trajectories, values
    ```
    """

    step: int
    t: float
    dt: float
    seconds: float
    length: int
    filled: int
    part: int
    walk: PyTree
    sums: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True, eq=False)
class StationaryRun:
    """A compiled search; made by [`make_stationary`][neurho.trajectories.averaging.make_stationary].

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model, seen = neurho.xyz(neurho.chain(2)), neurho.trajectories.observed({"sz": neurho.sz(0)})
    options = {"key": jax.random.key(0), "ends": neurho.trajectories.Ends(trajectories=16)}
    run = neurho.trajectories.make_stationary(model, seen, t_end=20.0, **options)
    assert run.trajectories == 16 and not run.is_over(run.template())
    ```
    """

    engine: Engine
    observed: Observed
    groups: int
    spacing: float
    t_end: float
    ends: Ends

    @property
    def lanes(self) -> int:
        """Trajectories of a group."""
        return self.engine.lanes

    @property
    def trajectories(self) -> int:
        """Trajectories that are followed at the same time."""
        return self.ends.trajectories

    @property
    def blocks(self) -> int:
        """Blocks that are kept of each trajectory."""
        return 2 ** int(np.clip(np.log2(STORED / self.trajectories), 4, 8))

    def template(self) -> StationaryState:
        """The state at time 0; all states have its shapes."""
        many = [self.engine.start(g * self.lanes + np.arange(self.lanes), 0.0) for g in range(self.groups)]
        walk = jax.tree.map(lambda *parts: np.stack(parts), *many)
        size = (self.blocks, self.trajectories, self.observed.size)
        return StationaryState(0, 0.0, self.spacing, 0.0, 1, 0, 0, walk, np.zeros(size), np.zeros(size))

    def states(self, state: StationaryState | None = None, client: Client = None) -> Iterator[StationaryState]:
        """The state after every round of samples, up to the end; from the beginning, or from another one.

        With `client`, a `dask.distributed.Client`, the workers of its cluster follow the groups.
        """
        now = self.template() if state is None else state
        begin, results = time.monotonic() - now.seconds, spread(self, client)
        while not self.is_over(now):
            times = self.spacing * (now.step + 1 + np.arange(ROUND))
            walks, values = [], []
            for walk, rows in results((own, times) for own in _groups(now.walk)):
                walks.append(walk)
                values.append(rows)
            rows = np.concatenate(values, axis=1)[:, : self.trajectories]
            now = _with_rows(now, rows)._replace(
                step=now.step + ROUND,
                t=float(times[-1]),
                seconds=time.monotonic() - begin,
                walk=jax.tree.map(lambda *parts: np.stack(parts), *walks),
            )
            yield now

    def is_over(self, state: StationaryState) -> bool:
        """Whether enough has been done."""
        late = state.step > 0 and state.seconds >= self.ends.seconds
        return state.t >= self.t_end or late or self.is_reached(state)

    def is_reached(self, state: StationaryState) -> bool:
        """Whether the goal is reached, with a beginning that is over and blocks that are long enough."""
        if self.ends.goal is None or state.filled < 8:
            return False
        name, error = self.ends.goal
        found = self.settled(state)
        return found.trusted and bool(np.max(found.error[self.observed.place(name)]) <= error)

    def settled(self, state: StationaryState) -> Settled:
        """Averages with errors of all named values."""
        filled = max(state.filled, 1)
        scale = state.length if state.filled else max(state.part, 1)
        means, squares = state.sums[:filled] / scale, state.squares[:filled] / scale
        return settle(means, squares, scale, self.observed.scalars)

    def burn_in(self, state: StationaryState, found: Settled) -> float:
        """The time that is left out."""
        return found.discarded * state.length * self.spacing

    def is_satisfied(self, state: StationaryState) -> bool:
        """Whether the goal is reached, or where there is none, the averages can be trusted."""
        return self.is_reached(state) if self.ends.goal is not None else self.settled(state).trusted

    @property
    def bytes(self) -> float:
        """Predicted bytes of vectors: those of all trajectories twice, and the programs that work at the same time."""
        stored = 2.0 * self.groups * self.engine.stored_bytes
        tables = 2 * 8.0 * self.blocks * self.trajectories * self.observed.size
        return stored + tables + self.engine.working_bytes

    def remark(self, state: StationaryState) -> str:
        """What is wrong with the averages, or ""."""
        found, words = self.settled(state), []
        if not found.trusted:
            words.append(
                f"The averages to t = {state.t:g} of {self.trajectories} trajectories cannot be trusted yet: the "
                "beginning is not over, or the time is too short for independent blocks; run longer."
            )
        if self.ends.goal is not None and not self.is_reached(state):
            name, error = self.ends.goal
            worst = float(np.max(found.error[self.observed.place(name)]))
            words.append(
                f"The error of {name} is {worst:.2g} after {state.seconds:.0f} s, above the goal of {error:g}; about "
                f"{state.seconds * (worst / error) ** 2:.0f} s would reach it."
            )
        return " ".join(words)

    def work(self, task: tuple[PyTree, np.ndarray], device: Device) -> tuple[PyTree, np.ndarray]:
        """A group at the next times, and all its named values, `(times, lanes, values)`."""
        walk, times = task
        moved, means = self.engine.follow(walk, times, device)
        return moved, np.stack([self.observed.flat(row, float(t)) for row, t in zip(means, times, strict=True)])

    def portable(self) -> "StationaryRun":
        """The same for another process."""
        return replace(self, engine=self.engine.portable())


def _groups(walk: PyTree) -> Iterator[PyTree]:
    """The groups of trajectories one by one."""
    return (jax.tree.map(lambda part, g=g: part[g], walk) for g in range(len(walk.t)))


def _with_rows(state: StationaryState, rows: np.ndarray) -> StationaryState:
    """More samples `(times, trajectories, values)` in the blocks."""
    sums, squares = state.sums.copy(), state.squares.copy()
    length, filled, part = state.length, state.filled, state.part
    for row in rows:
        sums[filled] += row
        squares[filled] += row**2
        part += 1
        if part == length:
            filled, part = filled + 1, 0
        if filled == len(sums):
            half = filled // 2
            for table in (sums, squares):
                table[:half] = table[0::2] + table[1::2]
                table[half:] = 0
            length, filled = 2 * length, half
    return state._replace(sums=sums, squares=squares, length=length, filled=filled, part=part)


def natural_spacing(model: Lindbladian) -> float:
    """Half the shortest lifetime of a configuration of one site."""
    loss = loss_of(model)
    largest = max(float(np.linalg.norm(term.matrix, 2)) for term in loss.terms)
    return 0.5 / largest


def make_stationary(
    model: Lindbladian,
    observed_: Observed,
    *,
    key: PRNGKeyArray,
    ends: Ends | Callable[[int], Ends],
    initial: Numbers | None = None,
    t_end: float = np.inf,
    spacing: float | None = None,
    accuracy: Accuracy = DOUBLE,
    momentum: bool | None = None,
) -> StationaryRun:
    """Check and compile a search; the arguments are those of `neurho.trajectories.stationary_state`.

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model, seen = neurho.xyz(neurho.chain(2)), neurho.trajectories.observed({"sz": neurho.sz(0)})
    options = {"key": jax.random.key(0), "ends": neurho.trajectories.Ends(trajectories=16)}
    run = neurho.trajectories.make_stationary(model, seen, t_end=20.0, **options)
    assert run.spacing == 0.5  # half the shortest lifetime
    ```

    **Raises** `NeurhoError` for what trajectories cannot do, and for arguments that do not fit.
    """
    require_model(model)
    require(not model.is_time_dependent, "model", "not depend on time", "it has time-dependent coefficients")
    require_rates(model, 0.0, 0.0)
    down = np.eye(model.local_dim)[-1]
    matrices = site_matrices(down if initial is None else initial, model.sites, model.local_dim)
    require(t_end > 0, "t_end", "be > 0", f"it is {t_end}")
    step = natural_spacing(model) if spacing is None else spacing
    require(np.isfinite(step) and step > 0, "spacing", "be > 0", f"it is {step}")
    engine = make_engine(
        model,
        matrices,
        observed_.operators,
        key=key,
        accuracy=accuracy,
        span=(0.0, np.inf, step),
        momentum=momentum,
        stationary=True,
    )
    given = ends(default_trajectories(engine.lanes)) if callable(ends) else ends
    given.check(observed_)
    limited = np.isfinite(t_end) or np.isfinite(given.seconds) or given.goal is not None
    require(limited, "t_end", "be finite where neither seconds nor a goal ends the run", "it is infinite")
    return StationaryRun(
        engine=engine,
        observed=observed_,
        groups=-(-given.trajectories // engine.lanes),
        spacing=step,
        t_end=t_end,
        ends=given,
    )


def default_trajectories(lanes: int) -> int:
    """Two groups, and 8 at least: few, because each must first settle.

    It does not ask how many processors there are: a run is the same on every machine, and resumes on another one.
    """
    return lanes * max(2, -(-8 // lanes))


def stationary_state(
    model: Lindbladian,
    *,
    observables: Mapping[str, Operator | Sequence[Operator]],
    key: PRNGKeyArray,
    initial: Numbers | None = None,
    trajectories: int | None = None,
    t_end: float = np.inf,
    seconds: float = np.inf,
    goal: tuple[str, float] | None = None,
    spacing: float | None = None,
    accuracy: Accuracy = DOUBLE,
    momentum: bool | None = None,
    state: StationaryState | None = None,
    progress: Callable[[Record], None] | None = None,
    client: Client = None,
) -> Record:
    """Means in the stationary state that is reached from a product state, by averages over time and trajectories.

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model = neurho.heisenberg(neurho.chain(1), field=(1.0, 0.0, 0.0), decay=1.0)
    seen = {"sz": neurho.sz(0)}
    record = neurho.trajectories.stationary_state(model, observables=seen, key=jax.random.key(0), t_end=50.0)
    found = record.estimates["sz"]
    assert abs(found.mean + 1 / 9) < 5 * found.error
    ```

    **Arguments**

    - `initial`: as for [`evolve`][neurho.trajectories.evolve]; all sites in their last level (down) unless given.
    - `trajectories`: followed at the same time; a few unless given.
    - `t_end`, `seconds`, `goal`: the run ends with whichever comes first; `goal` is (name, largest error).
    - `spacing`: time between samples; half the shortest lifetime of one site unless given.
    - `key`, `observables`, `accuracy`, `momentum`, `state`, `progress`, `client`: as for `evolve`.

    **Returns** a [`Record`][neurho.trajectories.evolution.Record] of values without an axis of times.

    **Raises** `NeurhoError` for more than 20 spins, a model without jumps, and arguments that do not fit.
    """
    seen = observed(observables)

    def ends(most: int) -> Ends:
        return Ends(trajectories=trajectories or most, seconds=seconds, goal=goal)

    run = make_stationary(
        model,
        seen,
        key=key,
        ends=ends,
        initial=initial,
        t_end=t_end,
        spacing=spacing,
        accuracy=accuracy,
        momentum=momentum,
    )
    now = run.template() if state is None else state

    def record(now: StationaryState) -> Record:
        found = run.settled(now)
        return Record(seen.named(found.mean, found.error), run.trajectories, now.seconds, run.remark(now), now)

    for step in run.states(now, client):
        now = step
        if progress is not None:
            progress(record(now))
    return record(now)
