"""Where a run is, in one record: for the live view, for plain and JSON lines, and for `neurho watch`."""

import resource
import sys
import time
from math import isfinite
from typing import TYPE_CHECKING, Any

from neurho._types import closing_steps
from neurho.cli.printing import duration, with_error

if TYPE_CHECKING:
    from rich.console import RenderableType

    from neurho.config import Config
    from neurho.observables import Snapshot

HISTORY = 120
BLOCKS = "▁▂▃▄▅▆▇█"
SHOWN = ("dt", "delta_L", "residual", "ridge", "acceptance", "r_hat", "ess")


def last_time(config: "Config") -> float:
    """The last time of a run."""
    return config.task.times[-1] if config.task.times else config.task.t_end


class Meter:
    """Keeps the latest numbers of a run and how fast it goes."""

    def __init__(self, config: "Config", rows: "list[Any]") -> None:
        self.end = last_time(config)
        task: Any = config.task
        sampled = config.sampling is not None and config.sampling.kind == "metropolis"
        self.search: int = task.max_steps if task.method == "continuation" else 0
        self.slower: int = task.refine if self.search and sampled else 1
        self.steps = self.search + closing_steps(task.average, self.search) if self.search else None
        self.at_most = config.task.kind == "stationary"
        self.began = time.monotonic()
        self.start: tuple[float, float] | None = None
        self.step_before: int | None = None
        self.main = ""
        self.history: list[float] = []
        for row in rows[-HISTORY:]:
            self._follow({name: value for name, value in row.values.items() if f"{name}_error" in row.values})
        self.status: dict[str, Any] = {"state": "compiling", "t": 0.0, "step": 0, "main": self.main}
        timed = not self.steps and isfinite(self.end)  # an exact search for a stationary state has no last time
        self.status |= {"t_end": self.end if timed else None, "steps": self.steps}
        self.status["at_most"] = self.at_most
        if rows:
            self.status |= {"t": rows[-1].t, "step": rows[-1].step}
        self.status |= {"observables": {}, "diagnostics": {}, "message": "", "history": self.history}
        self._clock()

    def _follow(self, means: "dict[str, Any]") -> None:
        names = [name for name, value in means.items() if getattr(value, "ndim", 0) == 0]
        if not self.main and names:
            self.main = "sz" if "sz" in names else names[0]
        if self.main in means:
            self.history = [*self.history, float(means[self.main])][-HISTORY:]

    def snapshot(self, snapshot: "Snapshot") -> dict[str, Any]:
        """The status after an output."""
        scalar = {n: e for n, e in snapshot.observables.items() if getattr(e.mean, "ndim", 0) == 0}
        self._follow({name: estimate.mean for name, estimate in scalar.items()})
        self.status |= {
            "observables": {name: [_number(e.mean), _number(e.error)] for name, e in scalar.items()},
            "diagnostics": {name: _number(value) for name, value in snapshot.diagnostics.items()},
            "main": self.main,
            "history": self.history,
            "message": snapshot.message or self.status["message"],
            "so_far": False,
        }
        return self.step(snapshot.t, snapshot.step)

    def glance(self, means: "dict[str, Any]") -> None:
        """What is known between two outputs, instead of the last one."""
        if not means:
            return
        self.main = self.main or ("sz" if "sz" in means else next(iter(means)))
        found = {name: [_number(e.mean), _number(e.error)] for name, e in means.items()}
        self.status |= {"observables": found, "main": self.main, "so_far": True}

    def step(self, t: float, step: int, dt: float | None = None) -> dict[str, Any]:
        """The status after a step."""
        if self.start is None and self.step_before is not None and step > self.step_before:
            self.start = (
                time.monotonic(),
                self._work(step) if self.steps else t,
            )  # the first step compiles and says nothing about the speed
        self.step_before = step if self.step_before is None else self.step_before
        self.status |= {"state": "running", "t": t, "step": step}
        if dt is not None:
            self.status["diagnostics"] = self.status["diagnostics"] | {"dt": dt}
        return self._clock()

    def _work(self, step: int) -> int:
        """What has been done until a step of a search: its last ones take `refine` times as many samples."""
        return min(step, self.search) + self.slower * max(0, step - self.search)

    def finish(self, state: str, message: str = "") -> dict[str, Any]:
        """The last status of a session: "finished" or "stopped"."""
        self.status |= {"state": state, "message": message or self.status["message"]}
        return self._clock() | {"left_seconds": None}

    def _clock(self) -> dict[str, Any]:
        now, left = time.monotonic(), None
        end, done = self.end, self.status["t"]
        if self.steps:
            end, done = self._work(self.steps), self._work(self.status["step"])
        if self.start is not None and done > self.start[1] and isfinite(end):
            left = max(0.0, (now - self.start[0]) * (end - done) / (done - self.start[1]))
        kilo = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
        self.status |= {
            "seconds": now - self.began,
            "left_seconds": left,
            "at_most": self.at_most,
            "memory_bytes": memory,
        }
        return self.status


def as_line(status: dict[str, Any], *, measured: bool = True) -> str:
    """The status in one plain line; what belongs to the last output only where it was `measured` just now."""
    if status["state"] == "compiling":
        return "Compiling and starting ..."
    parts = [_progress(status)]
    for name in ("dt", "delta_L", "residual", "ridge", "acceptance") if measured else ("dt",):
        if status["diagnostics"].get(name) is not None and (name, status["diagnostics"][name]) != ("dt", 0):
            parts.append(f"{name} {status['diagnostics'][name]:.3g}")
    so_far = status.get("so_far", False)
    if (measured or so_far) and status["main"] in status["observables"]:
        parts.append(
            f"{status['main']} {with_error(*status['observables'][status['main']])}{' so far' if so_far else ''}"
        )
    if status["left_seconds"]:
        parts.append(f"{'at most ' if status['at_most'] else ''}{duration(status['left_seconds'])} left")
    return "  ".join(parts)


def _progress(status: dict[str, Any]) -> str:
    if status["t_end"] is None:
        most = f" of at most {status['steps']}" if status["steps"] else ""
        return f"step {status['step']}{most}  t = {status['t']:.4g}"
    return f"t = {status['t']:.4g}/{status['t_end']:g}  step {status['step']}"


def as_panel(status: dict[str, Any], title: str) -> "RenderableType":
    """The status as a panel for a terminal, with a sparkline of the main observable."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 3))
    left = status["left_seconds"]
    clock = duration(status["seconds"])
    if left:
        clock += f", {'at most ' if status['at_most'] else ''}{duration(left)} left"
    table.add_row("time", _progress(status))
    table.add_row("clock", f"{clock}, memory {status['memory_bytes'] / 2**20:,.0f} MiB")
    shown = [(n, status["diagnostics"][n]) for n in SHOWN if status["diagnostics"].get(n) is not None]
    if shown:
        table.add_row("quality", "  ".join(f"{name} {value:.3g}" for name, value in shown))
    for name, (mean, error) in list(status["observables"].items())[:8]:
        curve = sparkline(status["history"]) if name == status["main"] else ""
        table.add_row(name, Text(f"{with_error(mean, error):16} {curve}"))
    if status["message"]:
        table.add_row("note", Text(status["message"], overflow="fold"))
    return Panel(table, title=f"{title}: {status['state']}", title_align="left", expand=False)


def sparkline(values: "list[float]", width: int = 40) -> str:
    """The course of a number in a row of blocks."""
    last = values[-width:]
    if not last:
        return ""
    low, high = min(last), max(last)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in last)


def _number(value: Any) -> float | None:
    number = float(value)
    return number if abs(number) < float("inf") else None
