"""One dataset of all points of a sweep."""

from math import prod

import numpy as np
import xarray as xr

from neurho import config, records
from neurho._types import NeurhoError, Record
from neurho.report import averaged
from neurho.sweep.directory import DATASET, Sweep


def collect(sweep: Sweep) -> xr.Dataset:
    """All points along the swept keys, written to `sweep.nc`.

    Evolutions keep `t`; of stationary runs there are averages over the last part, with errors. `done` says which points
    are complete, `converged` which have reached their goal. Points that are not there are NaN.

    **Raises** `NeurhoError` if no point has a series yet.
    """
    found = {number: data for number in range(len(sweep.grid.problems)) if (data := _point(sweep, number)) is not None}
    if not found:
        raise NeurhoError(f"The sweep `{sweep.path}` has no results yet.")
    names = list(sweep.grid.axes)
    widest = max(found.values(), key=lambda data: data.sizes.get("t", 0))
    columns: Record = {}
    for name in map(str, widest.data_vars):
        dims, shape = widest[name].dims, widest[name].shape
        values = np.full((len(sweep.grid.problems), *shape), np.nan)
        for number, data in found.items():
            if name in data:
                part = data[name].values
                if part.shape == shape:
                    values[number] = part
                elif part.shape[1:] == shape[1:]:  # an evolution that has not come to its end
                    values[number, : len(part)] = part
        columns[name] = ((*names, *dims), values.reshape(*sweep.grid.shape, *shape), widest[name].attrs)
    for name, flags in _flags(sweep).items():
        columns[name] = (tuple(names), flags.reshape(sweep.grid.shape), {})
    coordinates = {**widest.coords, **{name: (name, values) for name, values in sweep.grid.axes.items()}}
    data = xr.Dataset(columns, coords=coordinates, attrs={"title": "neurho sweep", "swept": ", ".join(names)})
    records.write_file(sweep.path / DATASET, bytes(data.to_netcdf(engine="h5netcdf")))
    return data


def _flags(sweep: Sweep) -> dict[str, np.ndarray]:
    count = prod(sweep.grid.shape)
    done, converged = np.zeros(count, dtype=np.int8), np.zeros(count, dtype=np.int8)
    for number in range(count):
        done[number] = sweep.is_done(number)
        if done[number]:
            summary = records.read_summary(sweep.point(number)) or {}
            converged[number] = bool(summary.get("converged"))
    return {"done": done, "converged": converged}


def _point(sweep: Sweep, number: int) -> xr.Dataset | None:
    directory = sweep.point(number)
    if not records.is_run(directory) or not (directory / records.SERIES).exists():
        return None
    series = records.read_series(directory)
    task = config.loads(sweep.grid.problems[number]).task
    if task.kind != "stationary":
        return series
    last = averaged(series, task.average)
    for name in ("delta_L", "lindblad_norm2", "residual"):
        if name in series:
            last[name] = float(series[name][-1])
    return last
