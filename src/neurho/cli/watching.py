"""`neurho watch`: a run seen from another terminal, from its files alone."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from neurho.cli.status import as_line, as_panel

if TYPE_CHECKING:
    from neurho.records import Status

QUIET_SECONDS = 30.0
"""A status that is older than this may belong to a process that is gone."""


def watch_run(directory: Path, *, once: bool, interval: float) -> bool:
    """Show the status of a run until it ends; False if its process has gone without a word."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if once or not console.is_terminal:
        return _in_lines(directory, once=once, interval=interval)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            status, ended = _look(directory)
            live.update(as_panel(status, str(directory)), refresh=True)
            if ended:
                return status["state"] != "gone"
            time.sleep(interval)


def _in_lines(directory: Path, *, once: bool, interval: float) -> bool:
    said = ""
    while True:
        status, ended = _look(directory)
        line = f"{status['state']}: {as_line(status)}"
        if line != said:
            print(line, flush=True)
            said = line
        if ended or once:
            return status["state"] != "gone"
        time.sleep(interval)


def _look(directory: Path) -> "tuple[Status, bool]":
    """The status now, and whether it is the last."""
    from neurho import records
    from neurho._types import NeurhoError

    status = records.read_status(directory)
    if status is None:
        if not records.is_locked(directory):
            raise NeurhoError(f"The run `{directory}` says nothing: it has not been started, or by an older version.")
        return {**_EMPTY}, False
    if status["state"] in ("finished", "stopped"):
        return status, not records.is_locked(directory)
    age = time.time() - (directory / records.STATUS).stat().st_mtime
    gone = age > QUIET_SECONDS and not records.is_locked(directory)
    return ({**status, "state": "gone", "left_seconds": None}, True) if gone else (status, False)


_EMPTY: "Status" = {
    "state": "compiling",
    "t": 0.0,
    "t_end": 1.0,
    "steps": None,
    "step": 0,
    "main": "",
    "observables": {},
    "diagnostics": {},
    "message": "",
    "history": [],
    "seconds": 0.0,
    "left_seconds": None,
    "at_most": False,
    "memory_bytes": 0,
}


def say_gone(directory: Path) -> None:
    """What to do when a process has gone without a word."""
    print(f"neurho: The process has gone; go on with `neurho resume {directory}`.", file=sys.stderr)
