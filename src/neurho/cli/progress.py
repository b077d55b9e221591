"""One live line on a terminal, a plain line now and then in a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from neurho.cli.printing import duration, with_error

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.observables import Snapshot
    from neurho.records import Run

PLAIN_SECONDS, LIVE_SECONDS = 5.0, 0.1
"""Least time between two progress lines, in a file and on a terminal."""


def last_time(config: "Config") -> float:
    """The last time of a run."""
    return config.task.times[-1] if config.task.times else config.task.t_end


@contextmanager
def progress(config: "Config", run: "Run", *, quiet: bool) -> "Iterator[Callable[[Snapshot], None]]":
    """A function to call with every snapshot: one live line on a terminal, a plain line now and then in a file."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal and not quiet else None
    began, start, shown = time.monotonic(), None, None

    def report(snapshot: "Snapshot") -> None:
        nonlocal start, shown
        now, start = time.monotonic(), snapshot.t if start is None else start
        end = last_time(config)
        least = LIVE_SECONDS if live is not None else PLAIN_SECONDS
        if quiet or (shown is not None and now - shown < least and snapshot.t < end):
            return
        shown = now
        left = (now - began) * (end - snapshot.t) / (snapshot.t - start) if snapshot.t > start else None
        line = _line(snapshot, end, left, at_most=config.task.kind == "stationary")
        if live is not None:
            live.update(Text(line, overflow="ellipsis", no_wrap=True), refresh=True)
        else:
            print(line, file=sys.stderr, flush=True)

    if not quiet:
        print(
            f"Writing to {run.path}" + (f", from t = {run.rows[-1].t:g}" if run.rows else ""),
            file=sys.stderr,
            flush=True,
        )
    if live is None:
        yield report
        return
    with live:
        live.update(Text("Compiling and starting ..."), refresh=True)
        yield report


def _line(snapshot: "Snapshot", end: float, left: float | None, *, at_most: bool) -> str:
    parts = [f"t = {snapshot.t:.4g}/{end:g}", f"step {snapshot.step}"]
    for name in ("dt", "delta_L", "residual", "acceptance"):
        if name in snapshot.diagnostics:
            parts.append(f"{name} {snapshot.diagnostics[name]:.3g}")
    for name in ("sz", *snapshot.observables):
        if name in snapshot.observables:
            estimate = snapshot.observables[name]
            parts.append(f"{name} {with_error(float(estimate.mean), float(estimate.error))}")
            break
    if left is not None and left > 0:
        parts.append(f"{'at most ' if at_most else ''}{duration(left)} left")
    return "  ".join(parts)
