"""A run on the command line: the loop of all runs, with what is said of it and the exit code."""

import json
import sys
from typing import TYPE_CHECKING

from neurho.cli.printing import complain, print_summary
from neurho.cli.progress import Voice, progress
from neurho.session.interrupt import Interrupted

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.observables import State
    from neurho.records import Record, Run
    from neurho.run.problem import Problem


def drive(problem: "Problem", run: "Run", state: "State | None", voice: Voice = "auto") -> None:
    """Take snapshots until the end, a signal, a limit or an error; save at intervals and in any case at the end."""
    from neurho.session.loop import follow

    again = f"go on with `neurho resume {run.path}`"
    kept = f" What was computed before is kept in {run.path}."
    with progress(problem.config, run, voice) as report:
        ending = follow(problem, run, state, report, again=again, kept=kept)
    _say_the_end(run, problem.config, ending.summary, ending.remark, voice)
    if ending.code:
        sys.exit(ending.code)


def accompany(problem: "Problem", state: "State | None") -> None:
    """Compute what `drive` does in the first process, and neither write nor say anything."""
    from neurho._types import NeurhoError
    from neurho.session.loop import OutOfTime, stop_together

    try:
        for _ in problem.snapshots(state, watch=lambda _: stop_together(late=False)):
            stop_together(late=False)
    except OutOfTime:
        return
    except Interrupted as stop:
        sys.exit(stop.code)
    except NeurhoError:
        sys.exit(1)  # the first process says why


def _say_the_end(run: "Run", config: "Config", summary: "Record", remark: str, voice: Voice) -> None:
    if voice == "json":
        print(json.dumps({"event": "end", "directory": str(run.path), **summary}), flush=True)
        return
    if remark:
        complain(remark)
    elif voice != "quiet":
        print_summary(run.path, config, summary)
