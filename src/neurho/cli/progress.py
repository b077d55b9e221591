"""What a run says while it goes: a live panel on a terminal, plain lines in a file, JSON lines for programs."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from neurho.cli.status import Meter, as_line, as_panel

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.observables import Snapshot
    from neurho.records import Run

PLAIN_SECONDS, LIVE_SECONDS, STATUS_SECONDS = 5.0, 0.2, 1.0
"""Least time between two lines in a file, two changes of a terminal, two writings of status.json."""

Voice: TypeAlias = Literal["auto", "quiet", "json"]
Say: TypeAlias = Callable[[dict[str, Any], bool], None]


class Progress:
    """Takes snapshots and steps, and says of them what is due; `due` limits how often."""

    def __init__(self, meter: Meter, run: "Run", say: Say) -> None:
        self.meter = meter
        self.run = run
        self.say = say
        self._written = self._looked = 0.0

    def snapshot(self, snapshot: "Snapshot") -> None:
        """After an output."""
        status = self.meter.snapshot(snapshot)
        self._write(status, force=False)
        self.say(status, True)

    def step(self, state: Any, glance: "Callable[[Any], dict[str, Any]] | None" = None) -> None:
        """After a step between two outputs; `glance` says what is known by then."""
        if glance is not None and time.monotonic() - self._looked >= STATUS_SECONDS:
            self._looked = time.monotonic()
            self.meter.glance(glance(state))
        status = self.meter.step(state.t, state.step, state.dt)
        self._write(status, force=False)
        self.say(status, False)

    def finish(self, state: str, message: str = "") -> None:
        """At the end of a session."""
        self._write(self.meter.finish(state, message), force=True)

    def _write(self, status: dict[str, Any], *, force: bool) -> None:
        from neurho.records import write_status

        if force or time.monotonic() - self._written >= STATUS_SECONDS:
            write_status(self.run.path, status)
            self._written = time.monotonic()


@contextmanager
def progress(config: "Config", run: "Run", voice: Voice) -> Iterator[Progress]:
    """The right way to speak for a terminal, a file or a program."""
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


def _plain(end: float) -> Say:
    """A line every few seconds, and in any case at the end."""
    spoken: list[float] = []

    def say(status: dict[str, Any], output: bool) -> None:
        last = output and status["t"] >= end
        if last or not spoken or time.monotonic() - spoken[0] >= PLAIN_SECONDS:
            spoken[:] = [time.monotonic()]
            _tell(as_line(status, measured=output))

    return say


def _json_lines(directory: str) -> Say:
    """One line for each output, on standard output."""
    print(json.dumps({"event": "start", "directory": directory}), flush=True)

    def say(status: dict[str, Any], output: bool) -> None:
        if output:
            rest = {key: value for key, value in status.items() if key not in ("history", "main")}
            print(json.dumps({"event": "output", **rest}), flush=True)

    return say


def _limited(seconds: float, show: Callable[[dict[str, Any]], None]) -> Say:
    spoken = [0.0]

    def say(status: dict[str, Any], output: bool) -> None:
        del output
        if time.monotonic() - spoken[0] >= seconds:
            spoken[0] = time.monotonic()
            show(status)

    return say


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
