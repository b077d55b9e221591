"""Trajectories on many workers: the numbers of one process, in order, whoever does what and whatever is lost."""

import concurrent.futures

import equinox as eqx
import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from neurho import cli, config, models, records
from neurho import trajectories as tr
from neurho._types import NeurhoError
from neurho.model import lattice
from neurho.model.operators import sz
from neurho.run.problem import build
from neurho.trajectories.batches import Batches

KEY = jax.random.key(3)
XYZ = models.xyz(lattice.chain(2))
SEEN = tr.observed({"z": sz(0), "zz": [sz(0) @ sz(1)]})

PROBLEM = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "xyz"
coupling = [0.9, 1.2, 1.0]
[initial]
bloch = "up"
[task]
kind = "evolve"
t = 0.5
points = 2
method = "trajectories"
trajectories = 300
"""


def evolution(lanes=8):
    ends = tr.Ends(trajectories=30)
    return tr.make_evolution(XYZ, (0, 0, 0.4), [0.0, 1.0], SEEN, key=KEY, ends=ends, lanes=lanes)


def search():
    return tr.make_stationary(XYZ, SEEN, key=KEY, ends=tr.Ends(trajectories=256), t_end=24.0, spacing=0.5)


def hopping():
    """Of one momentum each."""
    ring = models.xyz(lattice.chain(4, periodic=True))
    ends = tr.Ends(trajectories=5)
    return tr.make_evolution(ring, (0, 0, 1.0), [0.0, 1.0], SEEN, key=KEY, ends=ends, momentum=True)


def last(run, *, client=None, state=None):
    """The arrays of the last state; seconds are those of a clock."""
    *_, state = run.states(state, client)
    return [part for part in jax.tree.leaves(state) if np.ndim(part)]


def assert_same(one, other):
    assert eqx.tree_equal(one, other), "not the same to the last bit"


class Pool:
    """What is used of a client, by threads that take the youngest task first; `broken` tasks are lost."""

    def __init__(self, broken=()):
        self.broken, self.submitted, self.cancelled = broken, [], []

    def nthreads(self):
        return {"a": 1, "b": 1}

    def scatter(self, run, *, broadcast, hash):
        assert broadcast
        assert not hash
        if isinstance(run.engine, Batches):
            parts = jax.tree.leaves((run.engine.system, run.engine.readings))
            assert not any(isinstance(part, jax.Array) for part in parts)
        return run

    def submit(self, work, run, task, *, pure):
        assert not pure
        future, number = concurrent.futures.Future(), len(self.submitted)
        self.submitted.append((future, work, run, task))
        if number in self.broken:
            future.set_exception(ConnectionError("the worker is gone"))
        elif number % 2:  # an even one is done after the odd one that follows
            for other, *call in reversed(self.submitted[-2:]):
                if not other.done():
                    other.set_result(call[0](*call[1:]))
        else:
            later, call = future, (work, run, task)
            future.result = lambda: later._result if later.done() else call[0](*call[1:])
        return future

    def cancel(self, futures):
        self.cancelled += futures


@pytest.mark.parametrize("make", [evolution, search, hopping])
def test_groups_are_taken_in_order(make):
    pool = Pool()
    assert_same(last(make(), client=pool), last(make()))
    assert len(pool.submitted) >= 4


def test_what_is_lost_is_said_and_the_rest_is_kept():
    found, run = [], evolution().states(client=Pool(broken=[2]))
    with pytest.raises(NeurhoError, match="The cluster has lost a group of trajectories: ConnectionError"):
        found.extend(run)
    assert [state.done for state in found] == [8, 16]
    assert_same(last(evolution(), state=found[-1]), last(evolution()))


def test_a_goal_leaves_the_rest_undone():
    pool, ends = Pool(), tr.Ends(trajectories=10000, goal=("z", 0.3))
    run = tr.make_evolution(XYZ, (0, 0, 0.4), [0.0, 1.0], SEEN, key=KEY, ends=ends, lanes=8)
    *_, state = run.states(None, pool)
    assert state.done < 100
    assert len(pool.submitted) <= state.step + 2 * 2
    assert len(pool.cancelled) == len(pool.submitted) - state.step


@pytest.mark.parametrize("kind", ["evolve", "stationary"])
def test_progress_has_means_with_errors(kind):
    """What a run says while it goes ends with what it finds; errors come with the second trajectory."""
    text = PROBLEM if kind == "evolve" else PROBLEM.replace("t = 0.5\npoints = 2", "t_max = 16").replace("evolve", kind)
    built, seen = build(config.loads(text)), []
    *_, last = built.snapshots(watch=lambda state: seen.append((built.glance(state), state)))
    assert built.glance(last.state)["sz"].mean == last.observables["sz"].mean
    assert 0 < built.glance(last.state)["sz"].error == last.observables["sz"].error
    assert "sz_site" not in seen[-1][0]
    assert np.isfinite(seen[0][0]["sz"].error)


def test_other_methods_have_no_use_for_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.toml").write_text(PROBLEM.replace("trajectories = 300\n", "").replace("trajectories", "exact"))
    result = CliRunner().invoke(cli.app, ["run", "walk.toml", "--workers", "2"])
    assert 'of task.method = "trajectories" only, but it is "exact"' in str(result.exception)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # dask warns of what is stopped at its work
def test_two_processes_find_what_one_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.toml").write_text(PROBLEM)
    runner, series = CliRunner(), []
    for out, *more in (["one"], ["two", "--workers", "2"]):
        result = runner.invoke(cli.app, ["run", "walk.toml", "--out", out, "-q", *more])
        assert result.exit_code == 0, result.output
        series.append(records.read_series(tmp_path / out).drop_vars("wall_seconds"))
    for name in map(str, series[0].variables):  # to rounding: tests may have set up JAX otherwise in this process
        np.testing.assert_allclose(series[0][name].values, series[1][name].values, rtol=0, atol=1e-14, err_msg=name)
    assert float(series[0].sz_error[-1]) > 0
