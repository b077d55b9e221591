"""The loop through output times that all methods with steps share."""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np

from neurho.dynamics.snapshots import remarked, require_steps
from neurho.model.timescales import Schedule
from neurho.observables import Snapshot


class Moving(Protocol):
    """What the loop reads of a state."""

    @property
    def step(self) -> int:
        """Accepted steps so far."""
        ...

    @property
    def t(self) -> float:
        """Time in units of 1/gamma."""
        ...


State = TypeVar("State", bound=Moving)


def march(
    state: State,
    times: Sequence[float] | np.ndarray,
    *,
    advance: Callable[[State, float], State],
    measure: Callable[[State, float], Snapshot],
    plan: Schedule,
    first: bool = True,
    max_steps: int | None = None,
    watch: Callable[[State], None] | None = None,
    advice: str = "a larger tolerance",
    reached: Callable[[float, float], bool] = operator.ge,
) -> Iterator[Snapshot]:
    """Move `state` through `times` by `advance`, never past a stop of `plan`, and yield `measure(state, time)` at each.

    A method defines `advance(state, stop)`, one accepted step that ends at `stop` at the latest, and `measure`, whose
    snapshot holds the state to go on from. Explicit and implicit methods differ in these only.

    **Arguments**

    - `times`: ascending; those before `state.t` are skipped, one equal to it is measured only if `first`.
    - `plan`: where coefficients of the model jump or bend.
    - `max_steps`: stop with a `NumericalError` after so many steps, which advises `advice`.
    - `watch`: called with the state after every step that leads to no output; a run goes on from any of these states
      as from that of a snapshot.
    - `reached(t, target)`: whether a time is there.
    """
    for target in map(float, times):
        if target < state.t or (target == state.t and not first):
            continue
        while not reached(state.t, target):
            require_steps(state.step, max_steps, state.t, target, advice=advice)
            state = advance(state, plan.stop(state.t, target))
            if watch is not None and not reached(state.t, target):  # at `target` the snapshot holds the state
                watch(state)
        snapshot = remarked(measure(state, target), plan.assumed if state.step == 0 else "")
        state = snapshot.state
        yield snapshot


def span(state: Moving, times: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """From where to where a run goes."""
    return (min(state.t, *times), max(times)) if len(times) else (state.t, state.t)
