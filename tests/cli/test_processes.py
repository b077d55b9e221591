"""`neurho run` and `neurho resume` in two processes: the numbers of one, and one run directory.

Exact sums are enough here, and compile fast: tests/_jax/test_parallel.py has chains on several devices and processes.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neurho import records

ROOT = Path(__file__).parents[2]
PROBLEM = """
seed = 3
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "ising"
interaction = 1.0
transverse = 0.7
decay = 1.0
[ansatz]
kind = "rbm"
hidden = 1
mixing = 1
[initial]
kind = "random"
scale = 0.1
[sampling]
kind = "enumeration"
[task]
kind = "evolve"
t = 0.02
points = 3
dt = 0.01
method = "euler"
"""


def start(folder, *arguments):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "neurho.cli", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def outputs(*running):
    texts = []
    for one in running:
        out, errors = one.communicate(timeout=540)
        assert one.returncode == 0, errors
        # The library that connects the processes says so on standard error.
        texts.append((out, "\n".join(line for line in errors.splitlines() if not line.startswith("[Gloo]"))))
    return texts


def begin(folder, *arguments):
    """Both processes of one run."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    joint = ("--processes", "2", "--coordinator", address)
    return [start(folder, *arguments, *joint, "--process-id", str(k)) for k in range(2)]


def pair(folder, *arguments):
    """Both processes of one run, to the end."""
    return outputs(*begin(folder, *arguments))


@pytest.mark.slow
def test_two_processes(tmp_path):
    (tmp_path / "small.toml").write_text(PROBLEM)
    outputs(start(tmp_path, "run", "small.toml", "--out", "one", "--quiet"))
    (_, second) = pair(tmp_path, "run", "small.toml", "--out", "two", "--set", "task.t=0.02")
    assert second == ("", ""), "only the first process speaks"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "one", "small.toml", "two"]
    one, two = (records.read_series(tmp_path / name) for name in ("one", "two"))
    np.testing.assert_array_equal(one.t, two.t)
    for name in one.data_vars:
        if name not in ("wall_seconds", "step"):
            scale = np.nanmax(np.abs(one[name])) or 1.0
            np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-8 * scale, err_msg=str(name))
    again = pair(tmp_path, "resume", "two")
    assert "nothing to go on with" in again[0][0]
    assert again[1] == ("", "")


def length(folder):
    with suppress(FileNotFoundError, OSError):
        return records.read_series(folder).sizes["t"]
    return 0


@pytest.mark.slow
def test_whatever_stops_two_processes_the_numbers_stay_the_same(tmp_path):
    """Limits of time, signals to one or to both, and the death of either (of which both die)."""
    long = PROBLEM.replace("t = 0.02", "t = 10.0").replace("points = 3", "points = 101")
    (tmp_path / "long.toml").write_text(long + "[output]\ncheckpoint_steps = 20\n")
    pair(tmp_path, "run", "long.toml", "--out", "whole", "--quiet")
    (first, second) = pair(tmp_path, "run", "long.toml", "--out", "cut", "--quiet", "--wall", "12")
    assert "after output.wall_seconds = 12" in first[1]
    assert second == ("", "")
    stops = [
        ([1], signal.SIGTERM, "SIGTERM"),
        ([0, 1], signal.SIGINT, "Ctrl-C"),
        ([0], signal.SIGTERM, "SIGTERM"),
        ([1], signal.SIGKILL, ""),
        ([0], signal.SIGKILL, ""),
    ]
    for who, number, name in stops:
        before, running = length(tmp_path / "cut"), begin(tmp_path, "resume", "cut", "--quiet")
        while length(tmp_path / "cut") <= before + 1:
            assert running[0].poll() is None, "it ended by itself: make the run longer"
            time.sleep(0.1)
        for one in who:
            running[one].send_signal(number)
        said = [one.communicate(timeout=300)[1] for one in running]
        assert before < length(tmp_path / "cut") < 101
        if name:
            assert [one.returncode for one in running] == [128 + number] * 2
            assert f"Stopped by {name} at t = " in said[0]
            assert "Stopped" not in said[1]
    pair(tmp_path, "resume", "cut", "--quiet")
    whole, cut = (records.read_series(tmp_path / name).drop_vars("wall_seconds") for name in ("whole", "cut"))
    xr.testing.assert_identical(whole.drop_attrs(), cut.drop_attrs())


@pytest.mark.slow
def test_a_directory_in_use_ends_both_processes(tmp_path):
    (tmp_path / "small.toml").write_text(PROBLEM)
    outputs(start(tmp_path, "run", "small.toml", "--out", "used", "--quiet", "--wall", "1"))
    with records.locked(tmp_path / "used"):
        running = begin(tmp_path, "resume", "used")
        said = [one.communicate(timeout=300) for one in running]
    assert [one.returncode for one in running] == [1, 1]
    assert "used" in said[0][1]
    assert "Traceback" not in said[0][1] + said[1][1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--processes", "2"], "it needs --process-id and --coordinator beside it"),
        (["--distributed", "--processes", "2"], "it finds the others by itself"),
        (["--processes", "2", "--process-id", "2", "--coordinator", "localhost:1"], "it must be below 2, but it is 2"),
    ],
)
def test_flags_that_do_not_fit(arguments, sentence, tmp_path):
    from typer.testing import CliRunner

    from neurho.cli.commands import app

    (tmp_path / "small.toml").write_text(PROBLEM)
    found = CliRunner().invoke(app, ["run", str(tmp_path / "small.toml"), *arguments])
    assert found.exit_code == 2
    assert sentence in found.output.replace("│", "").replace("\n", " ")
