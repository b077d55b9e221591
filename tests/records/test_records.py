"""The run directory: what it holds, that nothing is ever half written, and that resuming changes nothing."""

import errno
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neurho import records
from neurho._types import NeurhoError, NumericalError
from walks import Estimate, Snapshot, numbers

SITES, BONDS = 4, np.array([[0, 1], [1, 2], [2, 3]])


def walk(state=None, *, steps=10, seed=3, rich=False):
    """A random walk whose every step depends only on (seed, step), as the program's own runs do."""
    if state is None:
        state = {"step": 0, "x": np.zeros(SITES)}
        yield snapshot(state, rich=rich)
    while state["step"] < steps:
        step = state["step"] + 1
        state = {"step": step, "x": state["x"] + np.random.default_rng([seed, step]).normal(size=SITES)}
        yield snapshot(state, rich=rich)


def snapshot(state, *, rich=False, **changes):
    x, step = state["x"], state["step"]
    pairs = np.outer(x, x)
    observables = {"sz": Estimate(np.mean(x), 0.1), "sz_site": Estimate(x, np.full(SITES, 0.2))}
    if rich:
        observables |= {
            "szsz": Estimate(np.mean(x[:-1] * x[1:]), 0.1),
            "szsz_bond": Estimate(x[:-1] * x[1:], np.zeros(3)),
            "szsz_pair": Estimate(pairs, 0 * pairs),
        }
    diagnostics = {"delta_L": 1.0 / (1 + step), "delta_L_error": 0.01, "lindblad_norm2": 0.5, "dt": 0.1}
    if step > 0:
        diagnostics["residual"] = 0.25
    message = f"the chains mix slowly, R-hat = 1.{step}" if step in (3, 4) else ""
    return Snapshot(step, 0.1 * step, observables, diagnostics, state, message)._replace(**changes)


TEMPLATE = {"step": 0, "x": np.zeros(SITES)}
PROBLEM = "seed = 3\n"


def create(path, **options):
    return records.create(path, PROBLEM, fingerprint="f00d", seed=3, bonds=BONDS, **options)


def reopen(path, fingerprint="f00d"):
    return records.reopen(path, fingerprint=fingerprint, bonds=BONDS)


def filled(path, count=5, *, saves=1, rich=False, **options):
    """A run of `count` steps, saved after each of the last `saves`."""
    run = create(path, **options)
    for item in walk(steps=count, rich=rich):
        run.record(item)
        if item.step > count - saves:
            run.save()
    return run


def test_series_opens_plainly_and_describes_itself(tmp_path):
    filled(tmp_path / "run", rich=True)
    with xr.open_dataset(tmp_path / "run" / "series.nc") as data:
        assert data.sz.dims == data.sz_error.dims == ("t",)
        assert data.sz_site.dims == data.sz_site_error.dims == ("t", "site")
        assert data.szsz_bond.dims == ("t", "bond")
        assert data.szsz_pair.dims == ("t", "site", "site_2")
        np.testing.assert_array_equal(np.stack([data.bond_a, data.bond_b], axis=1), BONDS)
        np.testing.assert_allclose(data.t, 0.1 * np.arange(6))
        np.testing.assert_array_equal(data.step, np.arange(6))
        assert (data.t.attrs["units"], data.delta_L.attrs["units"], data.wall_seconds.attrs["units"]) == (
            "1/gamma",
            "gamma",
            "s",
        )
        assert data.sz_error.attrs["long_name"] == "standard error of <sigma^z> averaged over sites"
        assert data.attrs["fingerprint"] == "f00d"
        # absent at step 0, there afterwards
        assert np.isnan(data.residual[0])
        assert np.all(data.residual[1:] == 0.25)
        last = list(walk(steps=5, rich=True))[-1]
        np.testing.assert_array_equal(data.sz_site[-1], last.observables["sz_site"].mean)
        assert np.all(np.diff(data.wall_seconds) >= 0)


def test_every_variable_has_units_and_a_name(tmp_path):
    data = filled(tmp_path / "run", rich=True).series()
    for name, variable in data.variables.items():
        assert variable.attrs["long_name"], name
        assert variable.attrs["units"], name


def test_a_unit_of_time_stands_in_place_of_gamma(tmp_path):
    problem = 'seed = 3\nmodel = { kind = "processor", unit = "us", T1 = 1.0 }\n'
    run = records.create(tmp_path / "run", problem, fingerprint="f00d", seed=3, bonds=BONDS)
    run.record(next(walk()))
    run.save()
    data = records.read_series(tmp_path / "run")
    assert data.attrs["time_unit"] == "us"
    units = [data[name].attrs["units"] for name in ("t", "dt", "delta_L", "lindblad_norm2", "wall_seconds", "sz")]
    assert units == ["us", "us", "1/us", "1/us^2", "s", "1"]


def test_provenance_and_problem(tmp_path):
    filled(tmp_path / "run")
    facts = records.read_provenance(tmp_path / "run")
    assert (facts["seed"], facts["fingerprint"]) == (3, "f00d")
    assert {"neurho", "jax", "jaxlib", "numpy"} <= set(facts["sessions"][0]["versions"])
    assert {"python", "platform", "devices", "started"} <= set(facts["sessions"][0])
    assert records.read_problem(tmp_path / "run") == PROBLEM
    reopen(tmp_path / "run")
    assert len(records.read_provenance(tmp_path / "run")["sessions"]) == 2


@pytest.mark.parametrize("saved", [0, 4, 10])
def test_interrupted_and_resumed_run_is_the_same_run(tmp_path, saved):
    whole = filled(tmp_path / "whole", 10, rich=True)
    run = create(tmp_path / "cut")
    for item in walk(steps=10, rich=True):
        if item.step > saved:
            break
        run.record(item)
    run.save()
    again = reopen(tmp_path / "cut")
    for item in walk(again.restore(TEMPLATE), steps=10, rich=True):
        again.record(item)
    again.finish(converged=True)
    xr.testing.assert_identical(whole.series().drop_vars("wall_seconds"), numbers(tmp_path / "cut"))
    assert np.all(np.diff(records.read_series(tmp_path / "cut").wall_seconds) >= 0)
    assert records.read_summary(tmp_path / "cut")["messages"] == ["t = 0.3: the chains mix slowly, R-hat = 1.3"]


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
    run = create(tmp_path / "run")
    items = list(walk(steps=6))
    for item in items[:4]:
        run.record(item)
    run.save()
    kept = numbers(tmp_path / "run")
    for item in items[4:]:
        run.record(item)
    run.save()
    # as if the machine had stopped between the series and its checkpoint
    (tmp_path / "run" / "checkpoints" / "00000007.eqx").unlink()
    again = reopen(tmp_path / "run")
    state = again.restore(TEMPLATE)
    assert state["step"] == 3
    assert len(again.rows) == 4
    xr.testing.assert_identical(again.series().drop_vars("wall_seconds"), kept)


def test_wall_seconds_go_on_where_they_stopped(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = create(tmp_path / "run")
    items = list(walk(steps=2))
    now[0] += 7
    run.record(items[0])
    run.save()
    now[0] = 5.0
    again = reopen(tmp_path / "run")
    again.restore(TEMPLATE)
    now[0] += 2
    again.record(items[1])
    assert again.series().wall_seconds.values.tolist() == [7.0, 9.0]


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    filled(tmp_path / "run", 6, saves=4, keep=3)
    names = sorted(file.name for file in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["00000005.eqx", "00000006.eqx", "00000007.eqx"]
    header = json.loads((tmp_path / "run" / "checkpoints" / names[-1]).read_bytes().partition(b"\n")[0])
    assert (header["fingerprint"], header["step"], header["t"]) == ("f00d", 6, 0.1 * 6)


def test_a_crash_between_write_and_replace_leaves_the_old_file(tmp_path, monkeypatch):
    run = filled(tmp_path / "run", 3)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    run.record(snapshot({"step": 4, "x": np.ones(SITES)}))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            run.save()
    after = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert after == before
    assert reopen(tmp_path / "run").restore(TEMPLATE)["step"] == 3


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full: `.*series.nc` could not be written"),
        (errno.EACCES, "series.nc` cannot be written: Perm"),
    ],
)
def test_disk_errors_are_one_sentence_and_lose_nothing(tmp_path, monkeypatch, number, sentence):
    run = filled(tmp_path / "run", 3)
    run.record(snapshot({"step": 4, "x": np.ones(SITES)}))

    def refuse(_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(NeurhoError, match=sentence):
            run.save()
    assert not list((tmp_path / "run").glob(".*.part"))
    assert len(records.read_series(tmp_path / "run").t) == 4
    run.save()  # there is room again
    assert len(records.read_series(tmp_path / "run").t) == 5


def test_read_only_place(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NeurhoError, match="run` cannot be written: Permission denied"):
        create(tmp_path / "run")


def test_nothing_is_overwritten(tmp_path):
    filled(tmp_path / "run", 1)
    with pytest.raises(NeurhoError, match="must be new or empty, but it holds files; go on with `neurho resume"):
        create(tmp_path / "run")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NeurhoError, match="must be a directory, but it is a file"):
        create(tmp_path / "file")


def test_what_is_not_a_run(tmp_path):
    with pytest.raises(NeurhoError, match="There is no run directory"):
        records.read_series(tmp_path / "none")
    with pytest.raises(NeurhoError, match="is not a run directory: it has no problem"):
        reopen(tmp_path)
    create(tmp_path / "new")
    with pytest.raises(NeurhoError, match=r"has no series\.nc yet"):
        records.read_series(tmp_path / "new")
    assert records.read_summary(tmp_path / "new") is None
    assert reopen(tmp_path / "new").restore(TEMPLATE) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_stops_the_run_with_its_cause_and_keeps_the_last_good_state(tmp_path, bad):
    run = filled(tmp_path / "run", 3)
    good = snapshot({"step": 4, "x": np.ones(SITES)})
    with pytest.raises(NumericalError, match=r"stopped at t = 0.4 \(step 4\): observable `sz` is NaN or infinite"):
        run.record(good._replace(observables={"sz": Estimate(bad, 0.1)}))
    with pytest.raises(NumericalError, match="`delta_L` is"):
        run.record(good._replace(diagnostics={"delta_L": bad}))
    run.save()
    assert len(records.read_series(tmp_path / "run").t) == 4
    assert reopen(tmp_path / "run").restore(TEMPLATE)["step"] == 3


def test_nan_in_the_state_stops_the_run(tmp_path):
    run = create(tmp_path / "run")
    good = snapshot({"step": 0, "x": np.ones(SITES)})
    with pytest.raises(NumericalError, match="the state contains NaN"):
        run.record(good._replace(state={"step": 0, "x": np.array([0, np.nan])}))
    run.record(good._replace(diagnostics={"r_hat": np.nan}))  # undefined for one sample, and nothing to stop for


def test_checkpoint_of_another_problem(tmp_path):
    filled(tmp_path / "run", 2)
    with pytest.raises(
        NeurhoError, match="belongs to another problem: the checkpoint has fingerprint f00d, the problem beef"
    ):
        reopen(tmp_path / "run", "beef").restore(TEMPLATE)


def test_state_of_another_shape(tmp_path):
    filled(tmp_path / "run", 2)
    with pytest.raises(NeurhoError, match="does not fit this program"):
        reopen(tmp_path / "run").restore({"step": 0, "x": np.zeros(SITES + 1)})


def test_truncated_checkpoint_gives_way_to_the_one_before(tmp_path):
    filled(tmp_path / "run", 4, saves=2)
    older, newest = sorted((tmp_path / "run" / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-7])
    run = reopen(tmp_path / "run")
    assert run.restore(TEMPLATE)["step"] == 3
    assert any("00000005.eqx` is truncated or damaged" in message for message in run.messages)
    older.write_bytes(b"")
    with pytest.raises(NeurhoError, match=r"00000005\.eqx` is truncated or damaged"):
        reopen(tmp_path / "run").restore(TEMPLATE)


def test_truncated_series(tmp_path):
    filled(tmp_path / "run", 2)
    file = tmp_path / "run" / "series.nc"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(NeurhoError, match=r"series\.nc` is damaged or not a netCDF file"):
        reopen(tmp_path / "run")


def test_series_of_another_run(tmp_path):
    filled(tmp_path / "long", 5)
    filled(tmp_path / "short", 2)
    (tmp_path / "long" / "series.nc").write_bytes((tmp_path / "short" / "series.nc").read_bytes())
    with pytest.raises(NeurhoError, match="does not belong to checkpoint"):
        reopen(tmp_path / "long").restore(TEMPLATE)


def test_summary_of_the_last_row(tmp_path):
    run = filled(tmp_path / "run", 5, rich=True)
    result = run.finish(converged=True)
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == result
    last = list(walk(steps=5))[-1]
    assert result["observables"]["sz"] == {"mean": last.observables["sz"].mean, "error": 0.1}
    assert set(result["observables"]) == {"sz", "szsz"}
    assert result["delta_L"] == last.diagnostics["delta_L"]
    assert (result["lindblad_norm2"], result["converged"], result["step"]) == (0.5, True, 5)
    assert result["messages"] == ["t = 0.3: the chains mix slowly, R-hat = 1.3"]
    assert result["delta_L_error"] == 0.01
    assert result["wall_seconds"] >= 0
    assert "sz_error" not in result


def test_a_remark_is_in_the_summary_and_not_in_the_next(tmp_path):
    run = filled(tmp_path / "run", 2)
    assert run.finish(converged=False, remark="Stopped by hand.")["messages"] == ["Stopped by hand."]
    again = reopen(tmp_path / "run")
    again.restore(TEMPLATE)
    assert again.finish(converged=True)["messages"] == []


def test_summary_of_an_empty_run(tmp_path):
    result = create(tmp_path / "run").finish(converged=False)
    assert (result["observables"], result["t"], result["converged"]) == ({}, None, False)


def test_time_average_covers_the_truth():
    """Of independent and of correlated (AR(1)) data the error must not be too small, nor absurdly large."""
    rng = np.random.default_rng(0)
    pulls = {0.0: [], 0.8: []}
    for phi, found in pulls.items():
        for _ in range(300):
            noise = rng.normal(size=256)
            series = np.zeros(256)
            for k in range(1, 256):
                series[k] = phi * series[k - 1] + np.sqrt(1 - phi**2) * noise[k]
            mean, error = records.time_average(series, np.ones(256))
            found.append(mean / error)
    # The largest blocking error is on the safe side: at most the nominal rate outside two sigma, and not absurdly wide.
    for phi, found in pulls.items():
        outside = np.mean(np.abs(found) > 2)
        assert outside < 0.09, phi
        assert 0.5 < np.std(found) < 1.15, phi


def test_time_average_without_errors_is_the_last_value():
    assert records.time_average(np.array([3.0, 2.0, 1.0]), np.zeros(3)) == (1.0, 0.0)
    assert records.time_average(np.array([1.0, 3.0]), np.full(2, 0.2)) == (2.0, pytest.approx(0.2 / np.sqrt(2)))


def test_average_takes_the_last_part(tmp_path):
    run = filled(tmp_path / "run", 9)
    result = run.finish(converged=True, average=0.3)
    data = run.series()
    assert result["averaged"] == 3
    assert result["observables"]["sz"]["mean"] == pytest.approx(float(data.sz[-3:].mean()))
    assert result["delta_L"] == pytest.approx(float(data.delta_L[-3:].mean()))
