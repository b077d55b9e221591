"""Observables of a sweep along its keys: curves for one key, maps for two."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurho._types import NeurhoError
from neurho.observables.meanings import DRAWN, MEANINGS
from neurho.observables.names import error_name, symbol
from neurho.report.compare import error_of
from neurho.report.maps import shared_limits
from neurho.report.panels import new_figure
from neurho.report.style import BLUE, STYLE

FIRST = ("sz", "sx", "sy", "szsz", "sxsx", "sysy")


def phase_diagram(sweep: xr.Dataset, names: Sequence[str] = ()) -> Figure:
    """Stationary values, or those of the last time, of observables along one or two swept keys.

    **Arguments**

    - `sweep`: as `sweep.nc` holds it.
    - `names`: scalar observables; up to six of them unless given.

    **Raises** `NeurhoError` for more than two swept keys of more than one value.
    """
    data = sweep.isel(t=-1, drop=True) if "t" in sweep.dims else sweep
    keys = [key for key in str(sweep.attrs["swept"]).split(", ") if data.sizes[key] > 1]
    if not 1 <= len(keys) <= 2:
        raise NeurhoError(
            f"A phase diagram must have one or two swept keys, but there are {len(keys)}; select from sweep.nc."
        )
    data = data.squeeze(drop=True)
    shown = list(names) or _main(data, keys)
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(rows, columns, width=3.4 * columns, height=2.7 * rows)
        limits = shared_limits({name: data[name].values for name in shown})
        for axis, name in zip(axes.flat, shown, strict=False):
            if len(keys) == 1:
                _curve(axis, data, name, keys)
            else:
                _map(axis, data, name, keys, limits[name])
            axis.set_xlabel(keys[0])
        for axis in axes.flat[len(shown) :]:
            axis.set_visible(False)
    return figure


def _main(data: xr.Dataset, keys: Sequence[str]) -> list[str]:
    scalar = [str(n) for n in data.data_vars if set(data[n].dims) == set(keys)]
    measured = [n for n in scalar if error_name(n) in data]
    first = [n for n in FIRST if n in measured]
    rest = [n for n in measured if n not in first and n not in ("delta_L", "lindblad_norm2")]
    found = [*first, *rest][:5] + [n for n in ("delta_L",) if n in scalar]
    if not found:
        raise NeurhoError("The sweep has nothing to draw.")
    return found


def _label(name: str) -> str:
    return MEANINGS[name].symbol if name in DRAWN else symbol(name)


def _curve(axis: Axes, data: xr.Dataset, name: str, keys: Sequence[str]) -> None:
    points = data[keys[0]].values
    places = np.arange(len(points)) if points.dtype.kind not in "iuf" else points
    axis.errorbar(places, data[name].values, error_of(data, name), color=BLUE, fmt="o-", markersize=3, capsize=2)
    if places is not points:
        axis.set_xticks(places, [str(point) for point in points])
    axis.set_ylabel(_label(name))


def _map(axis: Axes, data: xr.Dataset, name: str, keys: Sequence[str], limits: tuple[float, float]) -> None:
    values = data[name].transpose(keys[1], keys[0]).values
    style = {"cmap": "viridis", "vmin": limits[0], "vmax": limits[1]}
    places = (data[keys[0]].values, data[keys[1]].values)
    mesh = axis.pcolormesh(*places, values, shading="nearest", rasterized=True, **style)
    axis.figure.colorbar(mesh, ax=axis)
    axis.set_ylabel(keys[1])
    axis.set_title(_label(name), fontsize=10)
