"""Where a run is, in one record: for whoever shows it, and for `neurho watch` in a file."""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import SupportsFloat, TypeAlias

import numpy as np

from neurho._types import closing_steps, given
from neurho.config import Config
from neurho.observables import Estimate, Snapshot, State
from neurho.observables.names import error_name
from neurho.records import Row, Run, Status, write_status

HISTORY = 120
"""Values of the main observable that are kept."""

STATUS_SECONDS = 1.0
"""Least time between two writings of status.json."""

Say: TypeAlias = Callable[..., None]
"""Called with the status, and with `output`: whether an output has just been taken."""


def last_time(config: Config) -> float:
    """The last time of a run."""
    return config.task.times[-1] if config.task.times else config.task.t_end


class Meter:
    """Keeps the latest numbers of a run and how fast it goes."""

    def __init__(self, config: Config, rows: Sequence[Row]) -> None:
        self.end = last_time(config)
        task = config.task
        sampled = config.sampling is not None and config.sampling.kind == "metropolis"
        self.search, self.slower, self.steps = 0, 1, None
        if task.kind == "stationary" and task.method == "continuation":
            self.search = given(task.max_steps)
            self.slower = given(task.refine) if sampled else 1
            self.steps = self.search + closing_steps(task.average, self.search)
        self.at_most = task.kind == "stationary"
        self.began = time.monotonic()
        self.start: tuple[float, float] | None = None
        self.step_before: int | None = None
        self.main = ""
        self.history: list[float] = []
        for row in rows[-HISTORY:]:
            self._follow({name: value for name, value in row.values.items() if error_name(name) in row.values})
        timed = not self.steps and isfinite(self.end)  # an exact search for a stationary state has no last time
        self.status: Status = {
            "state": "compiling",
            "t": rows[-1].t if rows else 0.0,
            "step": rows[-1].step if rows else 0,
            "main": self.main,
            "t_end": self.end if timed else None,
            "steps": self.steps,
            "at_most": self.at_most,
            "observables": {},
            "diagnostics": {},
            "message": "",
            "history": self.history,
            "seconds": 0.0,
            "left_seconds": None,
            "memory_bytes": 0,
        }
        self._clock()

    def _follow(self, means: Mapping[str, np.ndarray]) -> None:
        names = [name for name, value in means.items() if getattr(value, "ndim", 0) == 0]
        if not self.main and names:
            self.main = "sz" if "sz" in names else names[0]
        if self.main in means:
            self.history = [*self.history, float(means[self.main])][-HISTORY:]

    def snapshot(self, snapshot: Snapshot) -> Status:
        """The status after an output."""
        scalar = {n: e for n, e in snapshot.observables.items() if getattr(e.mean, "ndim", 0) == 0}
        self._follow({name: np.asarray(estimate.mean) for name, estimate in scalar.items()})
        self.status.update(
            {
                "observables": {name: [_number(e.mean), _number(e.error)] for name, e in scalar.items()},
                "diagnostics": {name: _number(value) for name, value in snapshot.diagnostics.items()},
                "main": self.main,
                "history": self.history,
                "message": snapshot.message or self.status["message"],
                "so_far": False,
            }
        )
        return self.step(snapshot.t, snapshot.step)

    def glance(self, means: Mapping[str, Estimate]) -> None:
        """What is known between two outputs, instead of the last one."""
        if not means:
            return
        self.main = self.main or ("sz" if "sz" in means else next(iter(means)))
        found = {name: [_number(e.mean), _number(e.error)] for name, e in means.items()}
        self.status.update({"observables": found, "main": self.main, "so_far": True})

    def step(self, t: float, step: int, dt: float | None = None) -> Status:
        """The status after a step."""
        if self.start is None and self.step_before is not None and step > self.step_before:
            self.start = (
                time.monotonic(),
                self._work(step) if self.steps else t,
            )  # the first step compiles and says nothing about the speed
        self.step_before = step if self.step_before is None else self.step_before
        self.status.update({"state": "running", "t": t, "step": step})
        if dt is not None:
            self.status["diagnostics"] = self.status["diagnostics"] | {"dt": dt}
        return self._clock()

    def _work(self, step: int) -> int:
        """What has been done until a step of a search: its last ones take `refine` times as many samples."""
        return min(step, self.search) + self.slower * max(0, step - self.search)

    def finish(self, state: str, message: str = "") -> Status:
        """The last status of a session: "finished" or "stopped"."""
        self.status.update({"state": state, "message": message or self.status["message"]})
        return {**self._clock(), "left_seconds": None}

    def _clock(self) -> Status:
        now, left = time.monotonic(), None
        end, done = self.end, self.status["t"]
        if self.steps:
            end, done = self._work(self.steps), self._work(self.status["step"])
        if self.start is not None and done > self.start[1] and isfinite(end):
            left = max(0.0, (now - self.start[0]) * (end - done) / (done - self.start[1]))
        kilo = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo
        self.status.update(
            {
                "seconds": now - self.began,
                "left_seconds": left,
                "at_most": self.at_most,
                "memory_bytes": memory,
            }
        )
        return self.status


class Progress:
    """Takes snapshots and steps, and says of them what is due; `due` limits how often."""

    def __init__(self, meter: Meter, run: Run, say: Say) -> None:
        self.meter = meter
        self.run = run
        self.say = say
        self._written = self._looked = 0.0

    def snapshot(self, snapshot: Snapshot) -> None:
        """After an output."""
        status = self.meter.snapshot(snapshot)
        self._write(status, force=False)
        self.say(status, output=True)

    def step(self, state: State, glance: Callable[[State], Mapping[str, Estimate]] | None = None) -> None:
        """After a step between two outputs; `glance` says what is known by then."""
        if glance is not None and time.monotonic() - self._looked >= STATUS_SECONDS:
            self._looked = time.monotonic()
            self.meter.glance(glance(state))
        status = self.meter.step(state.t, state.step, state.dt)
        self._write(status, force=False)
        self.say(status, output=False)

    def finish(self, state: str, message: str = "") -> None:
        """At the end of a session."""
        self._write(self.meter.finish(state, message), force=True)

    def _write(self, status: Status, *, force: bool) -> None:
        if force or time.monotonic() - self._written >= STATUS_SECONDS:
            write_status(self.run.path, status)
            self._written = time.monotonic()


def _number(value: SupportsFloat) -> float | None:
    number = float(value)
    return number if abs(number) < float("inf") else None
