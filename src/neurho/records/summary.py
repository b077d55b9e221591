"""What `summary.json` says: last values, or averages over the last part with their errors."""

import numpy as np
import xarray as xr

from neurho.certificate import GOOD, LIMITS, USABLE, Certificate, certify
from neurho.observables import names
from neurho.records.files import Record

NOT_OBSERVABLES = frozenset({"delta_L", "lindblad_norm2", "lindblad_norm2_plain"})
"""Diagnostics that may come with an `_error`, as observables do."""

ROUNDING = 1e-9
"""Error of a mean below which eigenvalues are not judged by it."""


def summarise(series: xr.Dataset, *, average: float | None = None) -> Record:
    """What `summary.json` says about a series: the last values, or averages over its last part.

    **Arguments**

    - `average`: None takes the last row. A fraction in (0, 1] averages over that part of the rows, the last ones (at
      least one); the error is that of `time_average`. Where all errors are zero (exact sums) the last row is
      better than any average, and is taken.
    """
    rows = series.sizes.get("t", 0)
    window = series.isel(t=slice(-max(1, round((average or 0.0) * rows)), None))
    observables = {}
    for name in map(str, series.data_vars):
        if is_observable(series, name) and series[name].dims == ("t",):
            mean, error = time_average(window[name].values, window[names.error_name(name)].values)
            observables[name] = {"mean": _finite(mean), "error": _finite(error)}
    result: Record = {"observables": observables, "t": None, "step": None, "delta_L": None}
    result |= {"lindblad_norm2": None, "wall_seconds": 0.0, "snapshots": rows, "averaged": window.sizes.get("t", 0)}
    for name in map(str, series.data_vars):
        if series[name].dims == ("t",) and name not in observables and rows:
            if str(names.parse(name)._replace(error=False)) in observables:
                continue
            values = window[name].values[-1:] if name in ("step", "wall_seconds", "dt") else window[name].values
            values = values[np.isfinite(values)]
            result[name] = float(np.mean(values)) if len(values) else None
    result["sectors"] = _sectors(window)
    if rows:
        result |= {"t": float(series.t[-1]), "step": int(series.step[-1])}
    return result


def prefer_corrected(observables: Record, word: str | None) -> Record:
    """Put corrected values in the place of plain ones where the state is good or usable.

    The plain value stays, as `network`. In a state that is neither, both stand side by side.
    """
    if word not in (GOOD, USABLE):
        return dict(observables)
    found = {}
    for name, value in observables.items():
        better = observables.get(names.corrected(name))
        if not names.parse(name).corrected:
            found[name] = value if better is None else better | {"network": value}
    return found


def judge(series: xr.Dataset, kind: str, *, average: float | None, reached: bool | None) -> Certificate:
    """The verdict on a series, from the worst numbers of the whole run (of a stationary state: of the part that results
    are averaged over, for the way there does not matter).
    """
    rows = series.sizes.get("t", 0)
    if not rows:
        return certify({}, kind, reached=reached, began=False)
    stationary = kind == "stationary"
    window = series.isel(t=slice(-max(1, round((average or 0.0) * rows)), None))
    part, errors = window if stationary else series, {}
    if _estimates_errors(series):
        measured, figures = [], _own_errors(part)
    else:
        measured, figures = [n for n in map(str, series.data_vars) if is_observable(series, n)], _worst_figures(part)
    for name in measured:
        means, scatter = part[name].values, part[names.error_name(name)].values
        if stationary and means.ndim == 1:
            means, scatter = map(np.asarray, time_average(means, scatter))
        share = scatter / np.maximum(1.0, np.abs(means))
        errors[name] = float(np.max(share, initial=0.0, where=np.isfinite(share)))
    return certify(
        figures,
        kind,
        errors=errors,
        reached=reached,
        began=int(series.step[-1]) > 0 if stationary else float(series.t[-1]) > 0,
    )


def _estimates_errors(series: xr.Dataset) -> bool:
    """Whether `error_estimate` is the largest error of means of one and two sites: methods without a network know it.

    That of networks comes with what the steps have lost.
    """
    found = set(map(str, series.data_vars))
    return "error_estimate" in found and not found & {"delta_L", "residual", "error_local"}


def _own_errors(series: xr.Dataset) -> dict[str, float]:
    """What such a method says of itself, at the worst time."""
    found, error = _worst_figures(series), series["error_estimate"].values
    for name in ("error_estimate", "preparation"):
        found.pop(name, None)
    found["error_means"] = float(np.max(error))
    if "smallest_eigenvalue" in series:
        below = -series["smallest_eigenvalue"].values / np.maximum(error, ROUNDING)
        found["negativity"] = float(np.max(below, initial=0.0, where=np.isfinite(below)))
    return found


def _worst_figures(series: xr.Dataset) -> dict[str, float]:
    """The worst value of every scalar diagnostic; of ||L rho||^2 and delta_L the mean, for they are estimates."""
    found = {}
    for name in map(str, series.data_vars):
        values = series[name].values
        if series[name].dims != ("t",) or not np.any(np.isfinite(values)):
            continue
        least = name in LIMITS and LIMITS[name].least
        found[name] = float(np.nanmin(values) if least else np.nanmax(values))
    for name in ("delta_L", "lindblad_norm2"):
        if name in found:
            found[name] = float(np.nanmean(series[name].values))
    if "error_estimate" in found:
        begun = float(series["error_estimate"].values[0])
        found["preparation"] = max(begun, found.get("preparation", 0.0))
    rate = found.get("relaxation", 1.0)
    if "delta_L" in found:
        found["delta_L"] /= rate
    if "lindblad_norm2" in found:
        found["distance"] = float(np.sqrt(found["lindblad_norm2"])) / rate
    return found


def is_observable(series: xr.Dataset, name: str) -> bool:
    """Whether a variable is a measured mean with its error, not a diagnostic."""
    return names.error_name(name) in series and name not in NOT_OBSERVABLES


def time_average(means: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Mean and standard error of successive estimates of one number.

    Two errors are computed and the larger is given: sqrt(sum of errors^2)/n, as if the estimates were independent, and
    the largest of the blocking errors std(block means)/sqrt(blocks) over block lengths 1, 2, 4, ... with at least four
    blocks, which sees correlations and drift (Flyvbjerg & Petersen, J. Chem. Phys. 91, 461 (1989)).
    """
    known = np.isfinite(means)
    means, errors = means[known], errors[known]
    if not len(means):
        return float("nan"), float("nan")
    if not np.any(errors):
        return float(means[-1]), 0.0
    estimates = [float(np.sqrt(np.sum(errors**2)) / len(means))]
    size = 1
    while len(means) // size >= 4:
        blocks = means[len(means) % size :].reshape(-1, size).mean(axis=1)
        estimates.append(float(np.std(blocks, ddof=1) / np.sqrt(len(blocks))))
        size *= 2
    return float(np.mean(means)), float(np.nanmax(estimates)) if np.any(np.isfinite(estimates)) else float("nan")


def _sectors(window: xr.Dataset) -> Record:
    """Means over the window of what the parts of configuration space carry, without those that carry nothing."""
    found: Record = {}
    for division in ("differing", "raised"):
        columns = {k: names.at(k, division) for k in ("share", "norm2", "ess") if names.at(k, division) in window}
        if not columns or not window.sizes.get("t", 0):
            continue
        means = {k: np.nanmean(window[name].values, axis=0) for k, name in columns.items()}
        used = [k for k in range(len(means["share"])) if means["share"][k] > 0]
        found[division] = [{division: k} | {n: float(v[k]) for n, v in means.items()} for k in used]
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
