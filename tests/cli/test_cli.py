"""The command: what it writes, prints and answers, with a fake problem (a random walk) in place of the physics."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from neurho import cli, config, records
from neurho._types import NumericalError
from neurho.session import interrupt
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
checkpoint_seconds = 100
"""
STATIONARY = PROBLEM.replace('kind = "evolve"\nt = 1.0', 'kind = "stationary"\nt_max = 1.0').replace("exact", "bosh3")
STATIONARY += """
[ansatz]
kind = "rbm"
hidden = 1
mixing = 3
[sampling]
kind = "enumeration"
"""


class FakeProblem:
    """Ten steps of a random walk; step k depends on k alone. `pause` seconds go by in each, `nan_at` one is spoilt."""

    def __init__(self, settings, *, pause=0.0, nan_at=None):
        self.config, self.pause, self.nan_at = settings, pause, nan_at
        self.times, self.is_exact = np.linspace(0, 1, 11), False
        self.lattice = types.SimpleNamespace(bonds=np.array([[0, 1], [1, 2]]), sites=3)
        self.several_states = "There are two stationary states."

    def template(self):
        return {"step": 0, "x": np.zeros(3)}

    def require_memory(self):
        pass

    def describe(self):
        return {"parameters": 1234, "memory_bytes": 3 * 2**20}

    def reference(self):
        times = np.linspace(0, 1, 21)
        curve = xr.Dataset({"sz": ("t", np.zeros(21)), "sx": ("t", np.ones(21))}, coords={"t": times})
        return curve if self.config.task.kind == "evolve" else curve.isel(t=-1, drop=True)

    def snapshots(self, state=None, *, watch=None):
        if state is None:
            state = self.template()
            yield self.snapshot(state)
        while state["step"] < 10:
            time.sleep(self.pause)
            step = state["step"] + 1
            state = {"step": step, "x": state["x"] + np.random.default_rng([1, step]).normal(size=3)}
            yield self.snapshot(state)

    def snapshot(self, state):
        step, x = state["step"], state["x"]
        mean = np.nan if step == self.nan_at else np.mean(x)
        observables = {"sz": Estimate(mean, 0.1), "sx": Estimate(1.5, 0.0), "sz_site": Estimate(x, np.full(3, 0.1))}
        last = step == 10 and self.config.task.kind == "stationary"
        return Snapshot(step, step / 10, observables, {"delta_L": 1.0, "dt": 0.1}, state, converged=last)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with problem files, in which the fake problem is built."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.toml").write_text(PROBLEM)
    (tmp_path / "still.toml").write_text(STATIONARY)
    fake(monkeypatch)
    return tmp_path


def fake(monkeypatch, **options):
    module = types.ModuleType("neurho.run.problem")
    module.build = lambda settings, trust=False: FakeProblem(settings, **options)
    monkeypatch.setitem(sys.modules, "neurho.run.problem", module)
    truth = types.ModuleType("neurho.truth")
    truth.choose = lambda built, wanted: types.SimpleNamespace(method="walk", why="for tests", problem=None)
    truth.cost_of = truth.place_of = None  # nothing is computed
    truth.obtain = lambda owner, choice, watch, say: owner.reference()
    monkeypatch.setitem(sys.modules, "neurho.truth", truth)


def complaint(capsys, monkeypatch, *words):
    """Run the command through `main`, expecting exit code 1; the one sentence it says."""
    monkeypatch.setattr(interrupt.signals, "install", lambda: None)
    monkeypatch.setattr(sys, "argv", ["neurho", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("neurho: error: ")
    assert said.count("\n") == 1
    return said


def test_run_writes_a_whole_run_directory(place):
    output = call("run", "walk.toml").output
    run = place / "runs" / "walk-1"
    assert {p.name for p in run.iterdir()} == {
        "problem.toml",
        "provenance.json",
        "series.nc",
        "summary.json",
        "checkpoints",
        "status.json",
        ".lock",
    }
    summary = json.loads((run / "summary.json").read_text())
    assert summary["converged"] is True
    assert summary["observables"]["sx"] == {"mean": 1.5, "error": 0.0}
    assert config.load(run / "problem.toml") == config.load("walk.toml")
    assert "t = 0/1" in output
    assert "t = 1/1" in output
    assert ": complete (t = 1" in " ".join(output.split())
    call("run", "walk.toml", "--quiet")
    assert (place / "runs" / "walk-2").is_dir()


def test_quiet_is_quiet(place):
    assert call("run", "walk.toml", "--quiet").output == ""


def test_check_prints_and_writes_nothing(place):
    output = call("run", "walk.toml", "--check").output
    assert "1,234" in output
    assert "3.0 MiB" in output
    assert output.endswith("There are two stationary states.\n")
    assert not (place / "runs").exists()


def test_set_changes_the_problem(place):
    call("run", "walk.toml", "--quiet", "--out", "here", "--set", "seed=9", "output.keep=1")
    assert config.load(place / "here" / "problem.toml").seed == 9
    assert len(list((place / "here" / "checkpoints").iterdir())) == 1


def test_wall_seconds_end_a_run_cleanly_and_resume_completes_it(place, monkeypatch):
    call("run", "walk.toml", "--quiet", "--out", "whole")
    fake(monkeypatch, pause=0.1)
    result = call("run", "walk.toml", "--quiet", "--out", "cut", "--set", "output.wall_seconds=0.3")
    assert re.search(
        r"Stopped at t = 0(\.\d)? after output.wall_seconds = 0.3; go on with `neurho resume cut`", result.output
    )
    summary = records.read_summary("cut")
    assert summary["converged"] is False
    assert summary["step"] < 10
    fake(monkeypatch)
    for _ in range(10):  # the limit holds for every session, and each gets some way on
        if not records.read_summary("cut")["converged"]:
            call("resume", "cut", "--quiet")
    xr.testing.assert_identical(numbers("whole"), numbers("cut"))
    assert records.read_summary("cut")["messages"] == []
    assert "is complete" in call("resume", "cut").output


def test_stationary_run_averages_and_converges(place):
    output = call("run", "still.toml", "--out", "still").output
    summary = records.read_summary("still")
    assert (summary["converged"], summary["averaged"]) == (True, 2)
    assert "mean of the last 2 outputs" in output
    assert "is complete" in call("resume", "still").output


def test_show_prints_means_with_errors(place):
    call("run", "walk.toml", "--quiet", "--out", "run")
    output = call("show", "run").output
    mean = records.read_summary("run")["observables"]["sz"]["mean"]
    assert f"{mean:.2f}(10)" in output
    assert "heisenberg on chain, N = 3" in output
    assert call("show", "run", "run").output == 2 * output
    (place / "run" / "summary.json").unlink()
    assert "is not finished" in call("show", "run").output


def test_plot_writes_figures(place):
    call("run", "walk.toml", "--quiet", "--out", "run")
    output = call("plot", "run").output
    names = ("curves", "sites", "diagnostics")
    assert output.split() == [f"run/figures/{n}.{e}" for n in names for e in ("png", "pdf")]
    assert (place / "run" / "figures" / "curves.pdf").read_bytes().startswith(b"%PDF")
    assert call("plot", "run", "--format", "svg").output.split() == [
        "run/figures/curves.svg",
        "run/figures/sites.svg",
        "run/figures/diagnostics.svg",
    ]
    assert "must be png, pdf or svg" in call("plot", "run", "--format", "gif", code=2).output
    call("run", "still.toml", "--quiet", "--out", "still")
    assert "still/figures/profile.png" in call("plot", "still", "--format", "png").output


def test_several_runs_of_one_problem_are_drawn_together(place, capsys, monkeypatch):
    call("run", "walk.toml", "--quiet", "--out", "run")
    call("run", "walk.toml", "--quiet", "--out", "other", "--set", "seed=1")
    assert call("plot", "run", "other", "--format", "png").output.split() == ["run/figures/overlay.png"]
    call("run", "walk.toml", "--quiet", "--out", "field", "--set", "model.field=[0,0,1.0]")
    said = complaint(capsys, monkeypatch, "plot", "run", "field")
    assert "must be of one problem, but `run` and `field` differ in model" in said
    call("run", "walk.toml", "--quiet", "--out", "start", "--set", "initial.bloch=[0,0,1.0]")
    assert "differ in initial.bloch" in complaint(capsys, monkeypatch, "plot", "run", "start")


def test_report_and_cite(place):
    call("run", "walk.toml", "--quiet", "--out", "run")
    assert call("report", "run").output.split() == ["run/report.html"]
    page = (place / "run" / "report.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 3
    assert "[lattice]" in page
    call("report", "run", "--no-reference", "--out", "there.html")
    assert (place / "there.html").exists()
    assert call("cite", "run").output == call("cite", "walk.toml").output
    assert "@article{HartmannCarleo2019," in call("cite", "fig2").output


def test_compare_with_the_reference_and_with_another_run(place):
    call("run", "walk.toml", "--quiet", "--out", "run")
    output = call("compare", "run", "--format", "png").output
    largest = float(np.abs(numbers("run").sz).max())
    assert re.search(rf"sz\s+{largest:.2e}", output)
    assert re.search(r"sx\s+5.00e-01 .* - +-", output)
    assert (place / "run" / "figures" / "comparison.png").exists()
    same = call("compare", "run", "run", "--format", "png").output
    assert re.search(r"sz_site\s+0.00e\+00", same)
    series = numbers("run")
    lines = [f"{t},{z + 0.25}" for t, z in zip(series.t.values, series.sz.values, strict=True)]
    (place / "measured.csv").write_text("\n".join(["t, sz", *lines]))
    assert re.search(r"sz\s+2.50e-01", call("compare", "run", "measured.csv", "--format", "png").output)
    call("run", "still.toml", "--quiet", "--out", "still")
    assert re.search(r"sx\s+5.00e-01", call("compare", "still", "--format", "png").output)


def test_sentences(place, capsys, monkeypatch):
    say = lambda *words: complaint(capsys, monkeypatch, *words)  # noqa: E731
    assert "key `task.t` must be a finite number > 0, but it is -1" in say("run", "walk.toml", "--set", "task.t=-1")
    assert "no shipped problem `figure2`" in say("run", "figure2")
    assert "There is no run directory `none`" in say("show", "none")
    assert "`.` is not a run directory" in say("resume", ".")
    call("run", "walk.toml", "--quiet", "--out", "run")
    assert "holds files; go on with `neurho resume run` or give another" in say("run", "walk.toml", "--out", "run")
    text = (place / "run" / "problem.toml").read_text()
    (place / "run" / "problem.toml").write_text(text.replace("seed = 0", "seed = 1"))
    assert "belongs to another problem" in say("resume", "run")
    assert "must be a run of a network, but `run` is exact" in say("plot", "run", "--spectrum")
    assert "must be a run of a network, but `run` is exact" in say("export", "run")


def test_nan_is_told_and_what_was_good_is_kept(place, capsys, monkeypatch):
    fake(monkeypatch, nan_at=6)
    said = complaint(capsys, monkeypatch, "run", "walk.toml", "--quiet", "--out", "run")
    assert (
        "The run stopped at t = 0.6 (step 6): observable `sz` is NaN or infinite. What was computed before is kept"
        in said
    )
    assert numbers("run").sizes["t"] == 6
    summary = records.read_summary("run")
    assert summary["converged"] is False
    assert "NaN" in summary["messages"][-1]
    fake(monkeypatch)
    call("resume", "run", "--quiet")
    assert records.read_summary("run")["converged"] is True


def test_unexpected_errors_keep_what_is_there_and_show_themselves(place, monkeypatch):
    class Broken(FakeProblem):
        def snapshots(self, state=None, *, watch=None):
            for k, item in enumerate(super().snapshots(state, watch=watch)):
                if k == 4:
                    raise ZeroDivisionError
                yield item

    sys.modules["neurho.run.problem"].build = lambda settings, trust: Broken(settings)
    call("run", "walk.toml", "--quiet", "--out", "run", code=1)
    assert numbers("run").sizes["t"] == 4


def test_full_disk(place, capsys, monkeypatch):
    call("run", "walk.toml", "--quiet", "--out", "whole")

    def full(descriptor, sync=os.fsync, calls=[0]):  # noqa: B006
        calls[0] += 1
        if calls[0] > 8:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        said = complaint(
            capsys, monkeypatch, "run", "walk.toml", "--quiet", "--out", "run", "--set", "output.checkpoint_seconds=0"
        )
    assert "The disk is full: `run/" in said
    call("resume", "run", "--quiet")
    xr.testing.assert_identical(numbers("whole"), numbers("run"))


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_saves_everything_and_says_how_to_go_on(place, number, code, name):
    words = ("run", "walk.toml", "--quiet", "--out", "cut", "--set", "output.checkpoint_seconds=0")
    process = in_a_process(FakeProblem, *words, pause=0.3)
    deadline = time.monotonic() + 60
    while not list(place.glob("cut/checkpoints/0000000[2-9].eqx")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert re.fullmatch(rf"neurho: Stopped by {name} at t = 0\.\d, all saved; go on with `neurho resume cut`\.\n", said)
    assert records.read_summary("cut")["converged"] is False
    call("resume", "cut", "--quiet")
    call("run", "walk.toml", "--quiet", "--out", "whole")
    xr.testing.assert_identical(numbers("whole"), numbers("cut"))


def test_a_signal_while_saving_waits_until_all_is_saved():
    signals = interrupt.Signals()
    done = []

    def save():
        with signals.shield():
            signals._handle(signal.SIGINT, None)
            done.append("saved")

    with pytest.raises(cli.Interrupted) as caught:
        save()
    assert done == ["saved"]
    assert caught.value.code == 130
    with pytest.raises(cli.Interrupted):
        signals._handle(signal.SIGINT, None)


def test_several_processes_answer_a_signal_when_all_ask():
    """And a second one at once."""
    signals = interrupt.Signals()
    signals.together = True
    with signals.shield():
        signals._handle(signal.SIGTERM, None)
    assert signals.pending == signal.SIGTERM
    with pytest.raises(cli.Interrupted) as caught:
        signals._handle(signal.SIGINT, None)
    assert caught.value.code == 130


def test_help_imports_nothing_heavy():
    script = "import sys; import neurho.cli; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"jax", "xarray", "matplotlib", "scipy", "pydantic", "equinox"} & set(re.findall(r"'(\w+)'", found))


def test_show_imports_neither_jax_nor_xarray(place):
    call("run", "walk.toml", "--quiet", "--out", "run")
    script = "import sys; from neurho import cli; cli.app(['show', 'run'], standalone_mode=False); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "complete (t = 1" in found
    assert not {"jax", "xarray", "matplotlib", "equinox"} & set(found.split())


def test_problems_and_version():
    output = call("problems").output
    assert re.search(r"^fig2 +Dynamics", output, re.MULTILINE)
    assert re.match(r"neurho \d+\.\d+", call("--version").output)
    assert "Usage" in CliRunner().invoke(cli.app, []).output


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-0.12345, 0.0012, "-0.1235(12)"),
        (0.5, 0.0, "0.5"),
        (1.25, 0.0996, "1.25(10)"),
        (12.3, 1.26, "12.3(1.3)"),
        (1234.0, 56.0, "1234 +- 56"),
        (None, None, "-"),
        (0.5, float("nan"), "0.5(?)"),
    ],
)
def test_numbers_with_errors(mean, error, text):
    assert cli.with_error(mean, error) == text


def test_errors_of_numerics_keep_their_kind():
    assert issubclass(NumericalError, ValueError)
