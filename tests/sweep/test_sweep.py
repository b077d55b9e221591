"""Sweeps: the grid, what is run and what is not, the dataset, and a real cluster whose worker is killed."""

import json
import os
import signal
import time

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from neurho import cli, config, exact, models, records, report, sweep
from neurho._types import NeurhoError
from neurho.model import lattice as lattices

EVOLVE = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "heisenberg"
coupling = [0.5, 0.0, 0.3]
[initial]
bloch = [1, 0, 0]
[task]
kind = "evolve"
t = 0.5
points = 3
method = "exact"
"""
STATIONARY = EVOLVE.replace('kind = "evolve"\nt = 0.5\npoints = 3', 'kind = "stationary"\nt_max = 1.0')


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.toml").write_text(EVOLVE)
    (tmp_path / "still.toml").write_text(STATIONARY)
    return tmp_path


def test_grids(place):
    found = config.grid("walk.toml", ["model.field.2=0:1:3", "seed=4,5", "task.t=0.4"])
    assert found.axes == {"model.field.2": [0.0, 0.5, 1.0], "seed": [4, 5]}
    problems = [config.loads(text) for text in found.problems]
    assert [(p.model.field[2], p.seed, p.task.t) for p in problems] == [
        (b, seed, 0.4) for b in (0.0, 0.5, 1.0) for seed in (4, 5)
    ]
    assert config.grid("walk.toml", ["lattice.shape.0=2:4:3"]).axes == {"lattice.shape.0": [2, 3, 4]}
    assert config.grid("walk.toml", ["model.kind=xyz,heisenberg", "model.coupling=[1,2,3]"]).shape == (2,)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([], "must have a swept key"),
        (["task.t=1"], "must have a swept key"),
        (["seed=1,2", "seed=3,4"], "Key `seed` must be swept once"),
        (["seed=1:2:0"], "with a number of points from 1 to 100,000, but it is `seed=1:2:0`"),
        (["seed=1:2:2.5"], "with a number of points"),
        (["seed=1:1000:1000", "task.t=1:2:1000"], "at most 100,000 points"),
        (["seed=1,-1"], "key `seed` must be a whole number >= 0, but it is -1."),
        (["model.field.7=0:1:2"], "`--set` cannot change `model.field.7`"),
        (["seed", "task.t=1,2"], "must be key=value without spaces"),
    ],
)
def test_wrong_grids(place, changes, sentence):
    with pytest.raises(NeurhoError) as caught:
        config.grid("walk.toml", changes)
    assert sentence in str(caught.value)


def test_a_point_goes_on_and_is_done_once(place):
    plan = sweep.create("grid", config.grid("walk.toml", ["model.field.2=0:1:2"]))
    assert plan.open_points == [0, 1]
    plan.point(0).mkdir(parents=True)
    (plan.point(0) / "problem.toml").write_text("half a directory")  # a worker that was killed at once
    sweep.run_point(plan.point(0), plan.grid.problems[0])
    assert plan.open_points == [1]
    assert sweep.open_sweep("grid") == plan
    assert sweep.create("grid", plan.grid) == plan
    with pytest.raises(NeurhoError, match="has another grid or problem"):
        sweep.create("grid", config.grid("walk.toml", ["seed=1,2"]))
    with pytest.raises(NeurhoError, match="must be new or empty"):
        sweep.create(place, plan.grid)
    with pytest.raises(NeurhoError, match=r"has no sweep\.json"):
        sweep.open_sweep(place)
    (place / "grid" / "sweep.json").write_text("{}")
    with pytest.raises(NeurhoError, match="is damaged"):
        sweep.open_sweep("grid")


def test_a_point_stops_in_time_and_goes_on(place):
    """The loop of all runs: the limit of time, the status, and the places of what was measured."""
    (place / "walk.toml").write_text(EVOLVE + "[observables]\npairs = [[0, 1]]\n[output]\nwall_seconds = 1e-9\n")
    plan = sweep.create("grid", config.grid("walk.toml", ["seed=0,1"]))
    problem = plan.grid.problems[0]
    stopped = sweep.run_point(plan.point(0), problem)
    assert not stopped["complete"]
    assert "after output.wall_seconds = 1e-09; run the sweep again." in stopped["messages"][-1]
    assert plan.open_points == [0, 1]
    found = sweep.run_point(plan.point(0), problem.replace("wall_seconds = 1e-09", "wall_seconds = 1000.0"))
    assert found["complete"]
    assert plan.open_points == [1]
    assert records.read_series(plan.point(0)).pair_b.values.tolist() == [1]
    assert json.loads((plan.point(0) / "status.json").read_text())["state"] == "finished"


def test_the_dataset_holds_every_point_in_its_place(place):
    plan = sweep.create("grid", config.grid("walk.toml", ["model.field.2=0:1:2", "model.decay=1,2,3"]))
    with pytest.raises(NeurhoError, match="has no results yet"):
        sweep.collect(plan)
    for number in (0, 1, 2, 4, 5):
        sweep.run_point(plan.point(number), plan.grid.problems[number])
    sweep.collect(plan)
    data = xr.load_dataset("grid/sweep.nc", engine="h5netcdf")
    assert data.sz.dims == ("model.field.2", "model.decay", "t")
    assert data.done.values.tolist() == [[1, 1, 1], [0, 1, 1]]
    model = models.heisenberg(lattices.chain(2), field=(0, 0, 1.0), coupling=(0.5, 0, 0.3), decay=3.0)
    rho = list(exact.evolve(model, exact.product_state((1, 0, 0), 2), [0, 0.25, 0.5]))[-1]
    chosen = data.sel({"model.field.2": 1.0, "model.decay": 3}).isel(t=-1)
    assert float(chosen.sz) == pytest.approx(float(exact.expectations(rho, model)["sz"]), abs=1e-10)
    assert np.all(np.isnan(data.sz.values[1, 0]))
    figure = report.phase_diagram(data, ["sz"])
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array(), data.sz.values[:, :, -1].T)
    with pytest.raises(NeurhoError, match="must have one or two swept keys"):
        report.phase_diagram(data.isel({"model.field.2": [0], "model.decay": [0]}))


def test_stationary_points_are_averages_along_the_key(place):
    plan = sweep.create("grid", config.grid("still.toml", ["model.field.0=0.5,1.0"]))
    for number in range(2):
        sweep.run_point(plan.point(number), plan.grid.problems[number])
    data = sweep.collect(plan)
    assert data.sz.dims == ("model.field.0",)
    assert data.sz_site.dims == ("model.field.0", "site")
    axis = report.phase_diagram(data, ["sz"]).axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), data.sz)
    assert axis.get_xlabel() == "model.field.0"


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # dask warns of the worker that is killed
def test_a_real_cluster_whose_worker_is_killed(place):
    """Every point must be there in the end, with the numbers of a run in this process, and one fails for good."""
    from distributed import Client, LocalCluster

    slow = EVOLVE.replace("shape = [2]", "shape = [3]").replace("points = 3", "points = 15")
    (place / "slow.toml").write_text(slow + "[output]\ncheckpoint_seconds = 0\n")
    plan = sweep.create("grid", config.grid("slow.toml", ["model.field.2=0:1:4"]))
    plan.point(3).parent.mkdir(parents=True)
    plan.point(3).write_text("a file where a directory must be")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        import threading

        told = []
        thread = threading.Thread(target=sweep.run_sweep, args=(plan, client), kwargs={"told": told.append})
        thread.start()
        wait_for(lambda: (plan.point(0) / "series.nc").exists() and (plan.point(1) / "series.nc").exists())
        victims = list(client.run(os.getpid).values())
        os.kill(victims[0], signal.SIGKILL)
        thread.join(300)
    assert not thread.is_alive()
    assert {o.number: o.state for o in told} == {0: "done", 1: "done", 2: "done", 3: "failed"}
    assert "00003" in json.loads((place / "grid" / "failures.json").read_text())
    assert plan.open_points == [3]
    sessions = [len(records.read_provenance(plan.point(n))["sessions"]) for n in range(3)]
    assert sum(sessions) == 4, "the killed point must have gone on from its checkpoint"
    for number in range(3):
        sweep.run_point(place / "here" / str(number), plan.grid.problems[number])
        one, other = (
            records.read_series(p).drop_vars("wall_seconds") for p in (plan.point(number), place / "here" / str(number))
        )
        xr.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.filterwarnings("default")
def test_the_command(place):
    words = ["sweep", "walk.toml", "--set", "model.field.2=0:1:2", "--out", "grid", "--workers", "1"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "2 of 2 points to run on 1 local workers" in result.stderr
    assert result.stdout.split() == ["grid/sweep.nc", "grid/figures/phase.png", "grid/figures/phase.pdf"]
    again = CliRunner().invoke(cli.app, ["sweep", "grid"])
    assert again.exit_code == 0
    assert "to run" not in again.stderr  # all is done, and no cluster was started


def test_a_point_without_a_network_ends_as_a_run_does(tmp_path):
    """Its values are those of the last row, and its sentence is that of its method."""
    (tmp_path / "point").mkdir()
    problem = """
    lattice = { kind = "square", shape = [3, 3], periodic = true }
    model = { kind = "xyz" }
    task = { kind = "stationary", method = "correlators", weight = 4, goal = 1e-6 }
    """
    found = sweep.run_point(tmp_path / "point", problem)
    last = records.read_series(tmp_path / "point").isel(t=-1)
    assert found["observables"]["sz"]["mean"] == float(last.sz)
    assert found["observables"]["sz"]["error"] == float(last.sz_error)
    said = " ".join(found["messages"])
    assert "The largest error has not fallen below task.goal" in said
    assert "delta_L" not in said
