"""Distances between runs and references."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline

from neurho._types import NeurhoError, Record
from neurho.observables import names
from neurho.records import is_observable, time_average

ROUNDING = 1e-9
"""A standard error below this times the value comes from rounding: samples that are all the same have none."""


class Deviation(NamedTuple):
    """How far an observable lies from another value of it, over all times and places.

    `max_sigma` and `rms_sigma` are in units of the combined standard error; None where that is zero but for rounding.
    """

    name: str
    value: float
    reference: float
    max: float
    at: float | None
    rms: float
    max_sigma: float | None
    rms_sigma: float | None


def deviations(series: xr.Dataset, reference: xr.Dataset) -> list[Deviation]:
    """Distances of every observable that both have; `reference` is interpolated to the times of `series`.

    With a `t` in `series` all its rows count; without (see `averaged`) the values of the end.
    """
    inside, other = align(series, reference)
    found = []
    for name in map(str, inside.data_vars):
        plain = name if name in other else names.parse(name).plain
        if not is_observable(inside, name) or plain not in other or inside[name].shape != other[plain].shape:
            continue
        difference = inside[name].values - other[plain].values
        if not np.any(np.isfinite(difference)):
            continue
        sigma = np.hypot(error_of(inside, name), error_of(other, plain))
        known = sigma > ROUNDING * max(1.0, float(np.nanmax(np.abs(inside[name].values))))
        ratios = np.abs(difference[known]) / sigma[known]
        place = np.unravel_index(np.nanargmax(np.abs(difference)), difference.shape)
        found.append(
            Deviation(
                name=name,
                value=float(inside[name].values[place]),
                reference=float(other[plain].values[place]),
                max=float(np.abs(difference[place])),
                at=float(inside.t[place[0]]) if "t" in inside[name].dims else None,
                rms=float(np.sqrt(np.nanmean(difference**2))),
                max_sigma=float(np.nanmax(ratios)) if len(ratios) else None,
                rms_sigma=float(np.sqrt(np.nanmean(ratios**2))) if len(ratios) else None,
            )
        )
    return found


def align(series: xr.Dataset, reference: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """The part of `series` that lies inside the times of `reference`, and `reference` at those times.

    Curves are interpolated by cubic splines, which pass through the given points, errors by straight lines, which are
    never negative; a stationary reference is repeated.

    **Raises** `NeurhoError` if the two have no time in common.
    """
    if "t" not in series.dims:
        return series, reference
    if "t" not in reference.dims:
        columns = {
            n: (("t", *v.dims), np.broadcast_to(v.values, (series.sizes["t"], *v.shape))) for n, v in reference.items()
        }
        return series, xr.Dataset(columns, coords={"t": series.t})
    low, high = float(reference.t[0]), float(reference.t[-1])
    slack = 1e-9 * max(1.0, abs(high))
    inside = series.isel(t=np.flatnonzero((series.t >= low - slack) & (series.t <= high + slack)))
    if not inside.sizes["t"]:
        raise NeurhoError(f"There is nothing to compare: no time of the run lies in {low:g}..{high:g}.")
    times = np.clip(inside.t.values, low, high)
    columns = {
        n: (v.dims, _interpolate(reference.t.values, v.values, times, curved=not names.parse(str(n)).error))
        for n, v in reference.items()
        if "t" in v.dims
    }
    return inside, xr.Dataset(columns, coords={"t": inside.t})


def averaged(series: xr.Dataset, fraction: float) -> xr.Dataset:
    """Averages over the last part of the rows, without `t`; errors as in `records.time_average`."""
    rows = series.sizes["t"]
    window = series.isel(t=slice(-max(1, round(fraction * rows)), None))
    columns: Record = {}
    for name in map(str, series.data_vars):
        if not is_observable(series, name):
            continue
        means = window[name].values.reshape(window.sizes["t"], -1)
        errors = window[names.error_name(name)].values.reshape(means.shape)
        pairs = np.array([time_average(m, e) for m, e in zip(means.T, errors.T, strict=True)]).reshape(-1, 2)
        shape = window[name].shape[1:]
        columns[name] = (window[name].dims[1:], pairs[:, 0].reshape(shape))
        columns[names.error_name(name)] = (window[name].dims[1:], pairs[:, 1].reshape(shape))
    return xr.Dataset(columns, coords={n: c for n, c in series.coords.items() if "t" not in c.dims})


def error_of(data: xr.Dataset, name: str) -> np.ndarray:
    """Standard errors of a variable; zeros where it has none, or where nobody knows them (infinite ones)."""
    if names.error_name(name) in data:
        return np.nan_to_num(data[names.error_name(name)].values, posinf=0.0)
    return np.zeros(data[name].shape)


def _interpolate(times: np.ndarray, values: np.ndarray, at: np.ndarray, *, curved: bool) -> np.ndarray:
    if np.array_equal(times, at):
        return values
    if not curved or len(times) < 4 or not np.all(np.isfinite(values)):
        flat = values.reshape(len(times), -1)
        return np.stack([np.interp(at, times, column) for column in flat.T], axis=1).reshape(len(at), *values.shape[1:])
    return CubicSpline(times, values)(at)
