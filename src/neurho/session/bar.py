"""A progress bar on a terminal or in a notebook."""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from neurho.config import Config
from neurho.records import Run, Status
from neurho.session.meter import Meter, Progress
from neurho.session.wording import duration, with_error

SECONDS = 0.1
"""Least time between two changes of the bar."""

Draw: TypeAlias = Callable[[Status], None]


@contextmanager
def bar(config: Config, run: Run, *, show: bool | None) -> Iterator[Progress]:
    """What takes note of where a run is: with a bar, without, or (None) with one on a terminal or in a notebook.

    The one on a terminal goes away in the end; that in a notebook stays, complete or where the run was stopped.
    """
    meter, console = Meter(config, run.rows), Console(stderr=True, force_terminal=True if show else None)
    if not (console.is_jupyter or console.is_terminal if show is None else show):
        yield Progress(meter, run, lambda status, output: None)
        return
    changed = 0.0
    with _place(config.task.method, meter, console) as draw:

        def say(status: Status, *, output: bool) -> None:
            nonlocal changed
            if output or time.monotonic() - changed >= SECONDS:
                changed = time.monotonic()
                draw(status)

        yield Progress(meter, run, say)


def _place(method: str, meter: Meter, console: Console) -> AbstractContextManager[Draw]:
    return _notebook(method, meter) if console.is_jupyter else _terminal(method, meter, console)


@contextmanager
def _terminal(method: str, meter: Meter, console: Console) -> Iterator[Draw]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, TextColumn("{task.fields[main]}"), console=console, transient=True) as bars:
        number = bars.add_task(method, total=1.0 if _share(meter.status) is not None else None, main="")
        yield lambda status: bars.update(number, completed=_share(status) or 0.0, main=_main(status))


@contextmanager
def _notebook(method: str, meter: Meter) -> Iterator[Draw]:
    """One output of the cell, which is replaced whenever there is something new; it needs no widgets."""
    place = importlib.import_module("IPython.display").display(_Shown(method, meter.status), display_id=True)
    try:
        yield lambda status: place.update(_Shown(method, status))
    finally:
        place.update(_Shown(method, meter.status))


@dataclass(frozen=True)
class _Shown:
    """A bar as notebooks show it: in HTML, or as text where they have none."""

    method: str
    status: Status

    @property
    def _done(self) -> float | None:
        """The part that is done; a search may end before its last step."""
        return 1.0 if self.status["state"] == "finished" else _share(self.status)

    @property
    def _said(self) -> str:
        how = {"finished": "", "stopped": ", stopped"}.get(self.status["state"], " ...")
        return f"{_main(self.status)}  ({duration(self.status['seconds'])}{how})"

    def __repr__(self) -> str:
        share = "" if self._done is None else f"{self._done:4.0%}  "
        return f"{self.method}  {share}{self._said}"

    def _repr_html_(self) -> str:
        value = "" if self._done is None else f' value="{self._done:.4f}"'
        return f'{escape(self.method)} <progress max="1"{value}></progress> {escape(self._said)}'


def _share(status: Status) -> float | None:
    """The part of a run that is done, where it is known."""
    if status["t_end"]:
        return status["t"] / status["t_end"]
    return status["step"] / status["steps"] if status["steps"] else None


def _main(status: Status) -> str:
    found = status["observables"].get(status["main"])
    value = f"  {status['main']} {with_error(*found)}" if found else ""
    return f"t = {status['t']:.4g}{value}"
