"""Taking snapshots until the end, a signal, a limit or an error: the one loop of all runs."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from neurho._jax.parallel import agree, largest
from neurho._types import NeurhoError
from neurho.config import WITHOUT_NETWORK, Config, Stationary, Table, fingerprint
from neurho.config.string_networks import StringNetwork
from neurho.observables import Snapshot, State
from neurho.records import Record, Run
from neurho.session.interrupt import Interrupted, signals
from neurho.session.meter import Progress, last_time

if TYPE_CHECKING:
    from neurho.run.problem import Problem  # any object with a config and snapshots will do


class OutOfTime(BaseException):
    """The run has used up output.wall_seconds."""


class Ending(NamedTuple):
    """How a run ended: its summary, why it stopped early (or ""), and the exit code of a signal (or 0)."""

    summary: Record
    remark: str
    code: int


class Saver:
    """Saves a run when it is due: after so many seconds, or so many steps."""

    def __init__(self, config: Config, run: Run) -> None:
        self.output = config.output
        self.run = run
        self.began = time.monotonic()
        self.saved_at: float | None = None
        self.saved_step = 0

    def save_if_due(self, step: int) -> None:
        """Save the state that the run holds."""
        every = self.output.checkpoint_steps
        late = self.saved_at is None or time.monotonic() - self.saved_at >= self.output.checkpoint_seconds
        if late or (every is not None and step - self.saved_step >= every):
            self.run.save()
            self.saved_at, self.saved_step = time.monotonic(), step

    @property
    def out_of_time(self) -> bool:
        """Whether this session has lasted as long as it may."""
        limit = self.output.wall_seconds
        return limit is not None and time.monotonic() - self.began >= limit


def follow(
    problem: "Problem",
    run: Run,
    state: State | None,
    report: Progress,
    *,
    again: str,
    kept: str = "",
    callback: Callable[[Snapshot], object] | None = None,
    once: bool = False,
) -> Ending:
    """Take snapshots until the end, a signal, a limit or an error; save at intervals and in any case at the end.

    **Arguments**

    - `state`: to go on from, or None for the beginning.
    - `again`: how to go on with a run that was stopped, and `kept` where it is kept, in words.
    - `callback`: called with each snapshot, once it is recorded.
    - `once`: a search that ends short of its goal is complete all the same, and not tried again.

    **Raises** `NeurhoError` for what ends the run, with all saved.
    """
    remark, code, config = "", 0, problem.config
    last: list[Snapshot] = []
    try:
        _take(problem, run, state, report, last, callback)
        signals.ignore()
    except OutOfTime:
        signals.ignore()
        remark = f"Stopped at {_place(run)} after output.wall_seconds = {config.output.wall_seconds:g}; {again}."
    except (Interrupted, KeyboardInterrupt) as stop:
        signals.ignore()
        name, code = (stop.name, stop.code) if isinstance(stop, Interrupted) else ("Ctrl-C", 130)
        remark = f"Stopped by {name} at {_place(run)}, all saved; {again}."
    except NeurhoError as error:
        signals.ignore()
        _save_what_is_there(run, str(error))
        report.finish("stopped", str(error))
        raise type(error)(f"{error}{kept if run.rows else ''}") from None
    except BaseException:
        signals.ignore()
        _save_what_is_there(run, "The run ended with an unexpected error.")
        report.finish("stopped", "The run ended with an unexpected error.")
        raise
    summary = _finish(config, run, last[-1] if last else None, remark, once=once)
    report.finish("stopped" if remark else "finished", remark)
    return Ending(summary=summary, remark=remark, code=code)


def stop_together(*, late: bool) -> None:
    """End the run in all processes at the same place, if the first is late or any of them has had a signal."""
    if agree(late):
        raise OutOfTime
    if signals.together and (number := largest(signals.pending or 0)):
        raise Interrupted(number)


def _take(
    problem: "Problem",
    run: Run,
    state: State | None,
    report: Progress,
    last: list[Snapshot],
    callback: Callable[[Snapshot], object] | None,
) -> None:
    saver = Saver(problem.config, run)

    def watch(state: State) -> None:
        with signals.shield():
            run.move(state, state.step)
            report.step(state, getattr(problem, "glance", None))
            saver.save_if_due(state.step)
        stop_together(late=saver.out_of_time)

    for snapshot in problem.snapshots(state, watch=watch):
        with signals.shield():
            run.record(snapshot)
            last[:] = [snapshot]
            saver.save_if_due(snapshot.step)
            report.snapshot(snapshot)
        if callback is not None:
            callback(snapshot)
        stop_together(late=saver.out_of_time and not reached_goal(problem.config, run, snapshot))


def _finish(config: Config, run: Run, last: Snapshot | None, remark: str, *, once: bool) -> Record:
    reached = reached_goal(config, run, last)
    if (
        not remark
        and not reached
        and config.task.kind == "stationary"
        and (sentence := missed(config.task, config.ansatz))
    ):
        run.note(sentence)
    done = not remark and reached
    facts: Record = {"average": average_of(config), "kind": config.task.kind}
    return run.finish(converged=done, remark=remark, complete=once and not remark, **facts)


def missed(task: Stationary, ansatz: Table | None) -> str:
    """What a search for a stationary state has not reached; "" for trajectories, which say so themselves."""
    if task.method == "trajectories":
        return ""
    if getattr(task, "closure", None) == "cumulants":
        return f"The largest error has not fallen below task.goal = {task.goal:g}; there is no larger order to solve."
    if isinstance(ansatz, StringNetwork) and task.goal is not None:
        return (
            f"Networks of different sizes differ by more than task.goal = {task.goal:g}, which is in the errors; a "
            "larger task.weight, or a larger network, goes further."
        )
    if task.goal is not None:
        return f"The largest error has not fallen below task.goal = {task.goal:g}; a larger task.strings goes further."
    if task.method == "matrix-product":
        return f"The state is not stationary to task.tolerance = {task.tolerance:g}; a larger task.t_max goes further."
    return f"delta_L has not fallen below task.delta_L = {task.delta_L:g}: the state is not stationary."


def _save_what_is_there(run: Run, remark: str) -> None:
    with suppress(NeurhoError):  # the first error is the one to tell, and the last checkpoint is on disk
        run.finish(converged=False, remark=remark)


def reached_goal(config: Config, run: Run, last: Snapshot | None) -> bool:
    """Whether a run has come to the end of its evolution, or found the stationary state that it looked for."""
    if not run.rows:
        return False
    if config.task.kind == "stationary":
        return last is not None and last.converged
    return run.rows[-1].t >= last_time(config) * (1 - 1e-9)


def facts_of(problem: "Problem") -> Record:
    """What the record of a run is told of its problem."""
    config = problem.config
    facts: Record = {"fingerprint": fingerprint(config), "keep": config.output.keep}
    return facts | {"bonds": problem.lattice.bonds, "pairs": config.observables.pairs}


def _place(run: Run) -> str:
    return f"t = {run.rows[-1].t:g}" if run.rows else "the start"


def average_of(config: Config) -> float | None:
    """The part of the series that results are averaged over, or None for the last row."""
    task = config.task
    return task.average if task.kind == "stationary" and task.method not in WITHOUT_NETWORK else None
