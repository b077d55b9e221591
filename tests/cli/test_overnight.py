"""A run left alone: killed at random moments, read while it is written, locked, limited in time, watched.

Most tests use a random walk in place of the physics, in a process of its own, so that it starts fast; the last one
kills a real network.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from neurho import cli, config, records
from neurho._types import NeurhoError
from neurho.session import meter as meters
from walks import Estimate, Snapshot, call, in_a_process, numbers

PROBLEM = """
[lattice]
kind = "chain"
shape = [3]
[model]
kind = "heisenberg"
[initial]
bloch = [1, 0, 0]
[task]
kind = "evolve"
t = 1.0
points = 11
method = "exact"
[output]
checkpoint_seconds = 0
"""


class State(NamedTuple):
    step: int
    t: float
    dt: float
    x: np.ndarray


class Walk:
    """A random walk of four steps between two outputs; step k depends on k alone and takes `pause` seconds."""

    def __init__(self, settings, pause=0.0):
        self.config, self.pause = settings, pause
        self.lattice = types.SimpleNamespace(bonds=np.zeros((0, 2), int), sites=3)

    def require_memory(self):
        """A few numbers always fit."""

    def template(self):
        return State(0, 0.0, 0.025, np.zeros(3))

    def snapshots(self, state=None, *, watch=None):
        if state is None:
            state = self.template()
            yield self.output(state)
        while state.step < 40:
            time.sleep(self.pause)
            step = state.step + 1
            x = state.x + np.random.default_rng([1, step]).normal(size=3)
            state = State(step, step / 40, 0.025, x)
            if step % 4 == 0:
                yield self.output(state)
            elif watch is not None:
                watch(state)

    def output(self, state):
        observables = {"sz": Estimate(np.mean(state.x), 0.1), "sz_site": Estimate(state.x, np.full(3, 0.1))}
        return Snapshot(state.step, state.t, observables, {"delta_L": 1.0, "dt": 0.025}, state)


def start(*words, pause=0.02):
    return in_a_process(Walk, *words, pause=pause)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def wait_for_a_checkpoint(process, seconds=60):
    """Until there is a checkpoint in `cut` that was not there before, or the process has ended."""
    before = set(Path("cut").glob("checkpoints/*.eqx"))
    wait_for(lambda: set(Path("cut").glob("checkpoints/*.eqx")) - before or process.poll() is not None, seconds)


@pytest.fixture
def processes():
    """Processes that do not outlive the test."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.toml").write_text(PROBLEM)
    module = types.ModuleType("neurho.run.problem")
    module.build = lambda settings, trust: Walk(settings)
    monkeypatch.setitem(sys.modules, "neurho.run.problem", module)
    return tmp_path


class Poller(threading.Thread):
    """Reads every file of a run directory over and over; what it cannot read is a broken file."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.broken, self.reads, self.stopped = Path(path), [], 0, threading.Event()

    def run(self):
        while not self.stopped.is_set():
            if records.is_run(self.path):
                try:
                    records.read_provenance(self.path), records.read_status(self.path), records.read_summary(self.path)
                    config.loads(records.read_problem(self.path))
                    if (self.path / "series.nc").exists():
                        self.reads += 1
                        assert records.read_series(self.path).t[0] == 0
                except Exception as error:
                    self.broken.append(repr(error))
            time.sleep(0.002)


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_gives_the_same_numbers(place, kills):
    call("run", "walk.toml", "--quiet", "--out", "whole")
    poller = Poller("cut")
    poller.start()
    moments = random.Random(7)
    process = start("run", "walk.toml", "--quiet", "--out", "cut")
    for _ in range(kills):
        wait_for_a_checkpoint(process)
        time.sleep(moments.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = start("resume", "cut", "--quiet")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    poller.stopped.set()
    poller.join()
    assert poller.broken == []
    assert poller.reads > 10
    xr.testing.assert_identical(numbers("whole"), numbers("cut"))
    assert len(records.read_provenance("cut")["sessions"]) == 1 + kills
    assert records.read_summary("cut")["converged"] is True
    assert not list(Path("cut").glob(".*.part"))


def test_a_run_goes_on_between_two_outputs(place):
    """Stopped after a step that is no output, nothing of it is lost: the checkpoint holds that step."""
    call("run", "walk.toml", "--quiet", "--out", "whole")

    class Stopping(Walk):
        def snapshots(self, state=None, *, watch=None):
            def stop_at_ten(state):
                watch(state)
                if state.step == 10:
                    raise NeurhoError("Stopped.")

            return super().snapshots(state, watch=stop_at_ten)

    sys.modules["neurho.run.problem"].build = lambda settings, trust: Stopping(settings)
    call("run", "walk.toml", "--quiet", "--out", "cut", code=1)
    assert [f.name for f in sorted(Path("cut/checkpoints").iterdir())][-1] == "00000003_000000010.eqx"
    sys.modules["neurho.run.problem"].build = lambda settings, trust: Walk(settings)
    restored = records.reopen("cut", fingerprint=config.fingerprint(config.load("walk.toml"))).restore(
        Walk(None).template()
    )
    assert (restored.step, restored.t) == (10, 0.25)
    call("resume", "cut", "--quiet")
    xr.testing.assert_identical(numbers("whole"), numbers("cut"))


def test_the_time_left_of_a_search_counts_its_last_steps(monkeypatch):
    """Ten steps of one second each; then come ceil(11/4) = 3 with four times the samples: 12 seconds."""
    problem = config.load("fig3-continuation", ["task.max_steps=10"])
    now = 0.0
    monkeypatch.setattr(meters.time, "monotonic", lambda: now)
    meter = meters.Meter(problem, [])
    for step in range(11):
        now = float(step)
        found = meter.step(0.0, step)
    assert (found["steps"], found["left_seconds"]) == (13, pytest.approx(12.0))
    now = 14.0
    assert meter.step(0.0, 11)["left_seconds"] == pytest.approx(8.0)


@pytest.mark.parametrize(("steps", "saves"), [(1, 40), (4, 11), (100, 2)])
def test_saving_by_steps(place, monkeypatch, steps, saves):
    counted = []
    original = records.Run.save

    def save(self):
        counted.append(self.rows[-1].step)
        original(self)

    monkeypatch.setattr(records.Run, "save", save)
    options = ("--set", "output.checkpoint_seconds=1000", "--set", f"output.checkpoint_steps={steps}")
    call("run", "walk.toml", "--quiet", "--out", "run", *options)
    assert saves <= len(counted) <= saves + 2


@pytest.mark.slow
def test_two_writers_are_refused(place):
    process = start("run", "walk.toml", "--quiet", "--out", "run", pause=0.3)
    wait_for(lambda: Path("run/series.nc").exists())
    try:
        assert records.is_locked("run")
        other = start("resume", "run")
        _, said = other.communicate(timeout=60)
        assert other.returncode == 1
        assert said == (
            "neurho: error: The run directory `run` is being written by another process; wait, or stop it.\n"
        )
        assert call("show", "run").output  # reading is free
    finally:
        process.kill()
        process.communicate()
    assert not records.is_locked("run")  # the lock dies with its process
    call("resume", "run", "--quiet")


def test_wall_is_an_option_of_run_and_resume(place):
    call("run", "walk.toml", "--quiet", "--out", "whole")
    sys.modules["neurho.run.problem"].build = lambda settings, trust=False: Walk(settings, pause=0.02)
    said = call("run", "walk.toml", "--quiet", "--out", "cut", "--wall", "0.1").output
    assert re.search(r"Stopped at t = 0(\.\d)? after output.wall_seconds = 0.1; go on with `neurho resume cut`", said)
    said = call("resume", "cut", "--quiet", "--wall", "0.002m").output
    assert "Stopped at" in said
    call("resume", "cut", "--quiet")
    xr.testing.assert_identical(numbers("whole"), numbers("cut"))
    assert config.load("cut/problem.toml") == config.load("walk.toml")
    for wrong in ("x", "-1", "nan", "5y"):
        assert "it must be a time > 0 such as 3600" in call("run", "walk.toml", "--wall", wrong, code=2).output


def test_json_lines(place):
    lines = [json.loads(line) for line in call("run", "walk.toml", "--json", "--out", "run").stdout.splitlines()]
    assert [line["event"] for line in lines] == ["start", *["output"] * 11, "end"]
    assert lines[0]["directory"] == "run"
    series = numbers("run")
    assert [line["t"] for line in lines[1:-1]] == pytest.approx(list(series.t.values))
    assert [line["observables"]["sz"][0] for line in lines[1:-1]] == pytest.approx(list(series.sz.values))
    assert lines[-1]["converged"] is True
    assert "--json" in call("run", "walk.toml", "--json", "--quiet", code=2).output


def test_plain_lines_begin_with_the_compiler(place):
    said = call("run", "walk.toml", "--out", "run").stderr.splitlines()
    assert said[:2] == ["Writing to run", "Compiling and starting ..."]
    assert re.match(r"t = 0/1  step 0  dt 0.025  delta_L 1  sz 0", said[2])
    assert said[-1].startswith("t = 1/1  step 40")


@pytest.mark.slow
def test_watch(place):
    process = start("run", "walk.toml", "--quiet", "--out", "run", pause=0.05)
    wait_for(lambda: Path("run/status.json").exists())
    assert re.match(r"(compiling|running): ", call("watch", "run", "--once").output)
    seen = call("watch", "run", "--interval", "0.1").output.splitlines()
    process.communicate(timeout=60)
    assert seen[-1].startswith("finished: t = 1/1  step 40")
    assert len(seen) >= 2
    assert "There is no run directory `none`" in str(CliRunner().invoke(cli.app, ["watch", "none"]).exception)


@pytest.mark.slow
def test_watch_says_that_a_process_has_gone(place):
    process = start("run", "walk.toml", "--quiet", "--out", "run", pause=0.3)
    wait_for(lambda: Path("run/status.json").exists() and json.loads(Path("run/status.json").read_text())["step"] > 0)
    process.kill()
    process.communicate()
    os.utime("run/status.json", (0, 0))
    result = call("watch", "run")
    assert result.stdout.startswith("gone: t = ")
    assert "go on with `neurho resume run`" in result.stderr


def test_the_live_panel_shows_everything(place):
    from rich.console import Console

    from neurho.cli import status

    call("run", "walk.toml", "--quiet", "--out", "run")
    text = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    text.print(status.as_panel(records.read_status("run"), "run"))
    shown = text.export_text()
    for part in ("run: finished", "t = 1/1  step 40", "delta_L 1", "memory", "sz", "▁", "█"):
        assert part in shown, part
    text.file.close()
    told = records.read_status("run")
    assert "delta_L 1" in status.as_line(told)
    assert "sz " in status.as_line(told)
    between = status.as_line(told, measured=False)  # numbers of an output do not stand beside a later time
    assert "delta_L" not in between
    assert "sz" not in between
    assert "step 40" in between
    assert status.sparkline([0, 1, 2, 3]) == "▁▃▆█"
    assert status.sparkline([]) == ""
    assert status.sparkline([2.0, 2.0]) == "▁▁"


REAL = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "heisenberg"
field = [1, 0, 2]
[ansatz]
kind = "rbm"
hidden = 1
mixing = 1
[initial]
bloch = [1, 0, 0]
[sampling]
kind = "metropolis"
samples = 64
chains = 16
[task]
kind = "evolve"
t = 0.5
points = 6
method = "bosh3"
tolerance = 1e-2
dt_max = 0.005
[output]
checkpoint_seconds = 0
"""


@pytest.mark.slow
def test_a_killed_network_gives_the_same_numbers(tmp_path, monkeypatch, processes):
    """Real physics in real processes: parameters, chains, step control and keys survive SIGKILL bit for bit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    (tmp_path / "real.toml").write_text(REAL)

    def neurho(*words):
        command = [sys.executable, "-m", "neurho.cli", *words, "--quiet"]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    whole = neurho("run", "real.toml", "--out", "whole")
    said = whole.communicate(timeout=1800)
    assert whole.returncode == 0, said
    moments = random.Random(3)
    process, killed = neurho("run", "real.toml", "--out", "cut"), 0
    for _ in range(12):
        wait_for_a_checkpoint(process, 900)
        time.sleep(moments.uniform(0, 0.5))
        killed += process.poll() is None
        process.kill()
        process.communicate()
        process = neurho("resume", "cut")
    said = process.communicate(timeout=1800)
    assert process.returncode == 0, said
    assert killed == 12  # and not over before
    xr.testing.assert_identical(numbers("whole"), numbers("cut"))
