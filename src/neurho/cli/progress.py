"""What a run says while it goes: a live panel on a terminal, plain lines in a file, JSON lines for programs."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from neurho.cli.status import as_line, as_panel

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.records import Run, Status
    from neurho.session.meter import Progress, Say

PLAIN_SECONDS, LIVE_SECONDS = 5.0, 0.2
"""Least time between two lines in a file, and two changes of a terminal."""

Voice: TypeAlias = Literal["auto", "quiet", "json"]


@contextmanager
def progress(config: "Config", run: "Run", voice: Voice) -> "Iterator[Progress]":
    """The right way to speak for a terminal, a file or a program."""
    from neurho.session.meter import Meter, Progress

    meter = Meter(config, run.rows)
    if voice == "quiet":
        yield Progress(meter, run, lambda status, output: None)
    elif voice == "json":
        yield Progress(meter, run, _json_lines(str(run.path)))
    else:
        from rich.console import Console

        console = Console(stderr=True)
        _tell(f"Writing to {run.path}" + (f", from t = {run.rows[-1].t:g}" if run.rows else ""))
        if not console.is_terminal:
            _tell(as_line(meter.status))
            yield Progress(meter, run, _plain(meter.end))
            return
        from rich.live import Live

        with Live(console=console, auto_refresh=False, transient=True) as live:
            say = _limited(LIVE_SECONDS, lambda status: live.update(as_panel(status, str(run.path)), refresh=True))
            live.update(as_panel(meter.status, str(run.path)), refresh=True)
            yield Progress(meter, run, say)


def _plain(end: float) -> "Say":
    """A line every few seconds, and in any case at the end."""
    spoken: list[float] = []

    def say(status: "Status", output: bool) -> None:
        last = output and status["t"] >= end
        if last or not spoken or time.monotonic() - spoken[0] >= PLAIN_SECONDS:
            spoken[:] = [time.monotonic()]
            _tell(as_line(status, measured=output))

    return say


def _json_lines(directory: str) -> "Say":
    """One line for each output, on standard output."""
    print(json.dumps({"event": "start", "directory": directory}), flush=True)

    def say(status: "Status", output: bool) -> None:
        if output:
            rest = {key: value for key, value in status.items() if key not in ("history", "main")}
            print(json.dumps({"event": "output", **rest}), flush=True)

    return say


def _limited(seconds: float, show: Callable[["Status"], None]) -> "Say":
    spoken = [0.0]

    def say(status: "Status", output: bool) -> None:
        del output
        if time.monotonic() - spoken[0] >= seconds:
            spoken[0] = time.monotonic()
            show(status)

    return say


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
