"""Taking snapshots until the end, a signal, a limit or an error."""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from neurho.cli.interrupt import Interrupted, signals
from neurho.cli.printing import complain, print_summary
from neurho.cli.progress import last_time, progress

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.observables import Snapshot
    from neurho.records import Run


def drive(problem: Any, run: "Run", state: Any, *, quiet: bool) -> None:
    """Take snapshots until the end, a signal, a limit or an error; save at intervals and in any case at the end."""
    from neurho._types import NeurhoError

    limit, remark, last = problem.config.output.wall_seconds, "", None
    began, code = time.monotonic(), 0
    again = f"go on with `neurho resume {run.path}`"
    try:
        for last in _recorded(problem, run, state, quiet=quiet):
            if limit is not None and time.monotonic() - began >= limit and not _reached_goal(problem.config, run, last):
                remark = f"Stopped at t = {last.t:g} after output.wall_seconds = {limit:g}; {again}."
                break
        signals.ignore()
    except Interrupted as stop:
        signals.ignore()
        code, remark = stop.code, f"Stopped by {stop.name} at {_place(run)}, all saved; {again}."
    except NeurhoError as error:
        signals.ignore()
        _save_what_is_there(run, str(error))
        kept = f" What was computed before is kept in {run.path}." if run.rows else ""
        raise type(error)(f"{error}{kept}") from None
    except BaseException:
        signals.ignore()
        _save_what_is_there(run, "The run ended with an unexpected error.")
        raise
    if not remark and not _reached_goal(problem.config, run, last) and problem.config.task.kind == "stationary":
        run.note(
            f"delta_L has not fallen below task.delta_L = {problem.config.task.delta_L:g}: the state is not stationary."
        )
    summary = run.finish(
        converged=not remark and _reached_goal(problem.config, run, last),
        average=average_of(problem.config),
        remark=remark,
    )
    if not quiet and not remark:
        print_summary(run.path, problem.config, summary)
    if remark:
        complain(remark)
    if code:
        sys.exit(code)


def _recorded(problem: Any, run: "Run", state: Any, *, quiet: bool) -> Iterator["Snapshot"]:
    interval, saved = problem.config.output.checkpoint_seconds, None
    with progress(problem.config, run, quiet=quiet) as report:
        for snapshot in problem.snapshots(state):
            with signals.shield():
                run.record(snapshot)
                if saved is None or time.monotonic() - saved >= interval:
                    run.save()
                    saved = time.monotonic()
                report(snapshot)
            yield snapshot


def _save_what_is_there(run: "Run", remark: str) -> None:
    from neurho._types import NeurhoError

    with suppress(NeurhoError):  # the first error is the one to tell, and the last checkpoint is on disk
        run.finish(converged=False, remark=remark)


def _reached_goal(config: "Config", run: "Run", last: "Snapshot | None") -> bool:
    if not run.rows:
        return False
    if config.task.kind == "stationary":
        return last is not None and last.converged
    return run.rows[-1].t >= last_time(config) * (1 - 1e-9)


def _place(run: "Run") -> str:
    return f"t = {run.rows[-1].t:g}" if run.rows else "the start"


def average_of(config: "Config") -> float | None:
    """The part of the series that results are averaged over, or None for the last row."""
    return config.task.average if config.task.kind == "stationary" else None
