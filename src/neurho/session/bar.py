"""A progress bar on a terminal or in a notebook."""

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from neurho.config import Config
from neurho.records import Run, Status
from neurho.session.meter import Meter, Progress
from neurho.session.wording import with_error

SECONDS = 0.1
"""Least time between two changes of the bar."""


@contextmanager
def bar(config: Config, run: Run, *, show: bool | None) -> Iterator[Progress]:
    """What takes note of where a run is: with a bar, without, or (None) with one on a terminal or in a notebook."""
    meter, console = Meter(config, run.rows), Console(stderr=True, force_terminal=True if show else None)
    if not (_can_show(console) if show is None else show):
        yield Progress(meter, run, lambda status, output: None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, TextColumn("{task.fields[main]}"), console=console, transient=True) as bars:
        number = bars.add_task(config.task.method, total=1.0 if _share(meter.status) is not None else None, main="")
        changed = 0.0

        def say(status: Status, *, output: bool) -> None:
            nonlocal changed
            if output or time.monotonic() - changed >= SECONDS:
                changed = time.monotonic()
                bars.update(number, completed=_share(status) or 0.0, main=_main(status))

        yield Progress(meter, run, say)


def _can_show(console: Console) -> bool:
    """Whether there is someone who sees a bar; a notebook needs ipywidgets for one that moves."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal


def _share(status: Status) -> float | None:
    """The part of a run that is done, where it is known."""
    if status["t_end"]:
        return status["t"] / status["t_end"]
    return status["step"] / status["steps"] if status["steps"] else None


def _main(status: Status) -> str:
    found = status["observables"].get(status["main"])
    value = f"  {status['main']} {with_error(*found)}" if found else ""
    return f"t = {status['t']:.4g}{value}"
