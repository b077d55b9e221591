"""Heat maps: sites along time, sites of a two-dimensional lattice, correlations of all pairs."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neurho._types import NeurhoError
from neurho.report.compare import error_of
from neurho.report.panels import has_values, new_figure, symbol
from neurho.report.style import STYLE, TIME

WIDEST = 4
"""Panels in one row."""


def space_time(series: xr.Dataset, names: Sequence[str]) -> Figure:
    """Means of each site along time, one panel for each of `names` (the variables `NAME_site`)."""
    return _panels(names, lambda axis, name: _space_time(axis, series, name), height=2.6)


def lattice_map(last: xr.Dataset, names: Sequence[str], shape: Sequence[int]) -> Figure:
    """Means of each site in place, on a lattice of `shape` (rows, columns), from a dataset without `t`.

    The number in each cell is the mean; below it, smaller, the standard error.
    """

    def draw(axis: Axes, name: str) -> None:
        values = last[f"{name}_site"].values.reshape(tuple(shape))
        errors = last[f"{name}_site_error"].values.reshape(tuple(shape)) if f"{name}_site_error" in last else None
        _matrix(axis, values, centred=False)
        axis.set_xlabel("column")
        axis.set_ylabel("row")
        if values.size <= 36:
            _write(axis, values, errors)

    return _panels(names, draw, height=2.9)


def correlation_map(last: xr.Dataset, names: Sequence[str]) -> Figure:
    """Connected correlations <s_j s_l> - <s_j><s_l> of all pairs, without the diagonal, from a dataset without `t`."""

    def draw(axis: Axes, name: str) -> None:
        one = last[f"{name[: len(name) // 2]}_site"].values
        values = last[f"{name}_pair"].values - np.outer(one, one)
        np.fill_diagonal(values, np.nan)
        _matrix(axis, values, centred=True)
        axis.set_xlabel("site $l$")
        axis.set_ylabel("site $j$")

    return _panels(names, draw, height=2.9)


def structure_map(last: xr.Dataset, names: Sequence[str]) -> Figure:
    """Structure factors S^aa(k) from a dataset without `t`: a curve for a chain, a map in two dimensions.

    The axes are the phases k.a in (-pi, pi] along the lattice vectors, in units of pi.
    """

    def draw(axis: Axes, name: str) -> None:
        values = last[name]
        if values.ndim == 1:
            k, error = _centred(values.k.values), error_of(last, name)
            order = np.argsort(k)
            axis.errorbar(k[order], values.values[order], error[order], fmt="o-", markersize=3)
            axis.set_xlabel(r"$k/\pi$")
            return
        rows, columns = (_centred(values[d].values) for d in values.dims)
        picture = values.values[np.ix_(np.argsort(rows), np.argsort(columns))]
        mesh = axis.pcolormesh(np.sort(columns), np.sort(rows), picture, shading="nearest", cmap="viridis")
        axis.figure.colorbar(mesh, ax=axis)
        axis.set_xlabel(r"$k_2/\pi$")
        axis.set_ylabel(r"$k_1/\pi$")

    return _panels(names, draw, height=2.9, title=lambda name: rf"$S^{{{name.split('_')[1]}}}(k)$")


def _centred(k: np.ndarray) -> np.ndarray:
    """Phases in (-pi, pi], in units of pi."""
    turns = k / np.pi
    return np.where(turns > 1 + 1e-9, turns - 2, turns)


def structure_names(series: xr.Dataset) -> list[str]:
    """Structure factors that were measured at all momenta."""
    names = [str(n) for n in series.data_vars if str(n).startswith("structure_") and str(n).endswith("_k")]
    return [name for name in names if has_values(series, name)]


def site_names(series: xr.Dataset) -> list[str]:
    """Names X for which `X_site` was measured; Pauli matrices first."""
    found = [str(n).removesuffix("_site") for n in series.data_vars if str(n).endswith("_site")]
    return [name for name in found if has_values(series, f"{name}_site")]


def pair_names(series: xr.Dataset) -> list[str]:
    """Names of two-point functions of all pairs with their one-point functions."""
    found = [str(n).removesuffix("_pair") for n in series.data_vars if str(n).endswith("_pair")]
    return [name for name in found if f"{name[: len(name) // 2]}_site" in series]


def _panels(names: Sequence[str], draw: Any, *, height: float, title: Callable[[str], str] = symbol) -> Figure:
    if not names:
        raise NeurhoError("The run has nothing to draw on a map.")
    columns = min(WIDEST, len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(rows, columns, width=3.1 * columns, height=height * rows)
        for axis, name in zip(axes.flat, names, strict=False):
            draw(axis, name)
            axis.set_title(title(name), fontsize=10)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
    return figure


def _space_time(axis: Axes, series: xr.Dataset, name: str) -> None:
    values = series[f"{name}_site"].values
    t, sites = series.t.values, np.arange(values.shape[1])
    if len(t) < 2:
        axis.plot(sites, values[0], "o")
        axis.set_xlabel("site $j$")
        return
    mesh = axis.pcolormesh(t, sites, values.T, shading="nearest", cmap="viridis", rasterized=values.size > 20000)
    axis.figure.colorbar(mesh, ax=axis)
    axis.set_xlabel(TIME)
    axis.set_ylabel("site $j$")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))


def _matrix(axis: Axes, values: np.ndarray, *, centred: bool) -> None:
    known = values[np.isfinite(values)]
    largest = float(np.max(np.abs(known))) if len(known) and np.any(known) else 1.0
    limits: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest} if centred else {"cmap": "viridis"}
    picture = axis.imshow(values, **limits)
    axis.figure.colorbar(picture, cax=axis.inset_axes((1.05, 0, 0.05, 1)))  # as high as the map, whatever its shape
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(integer=True))


def _write(axis: Axes, values: np.ndarray, errors: np.ndarray | None) -> None:
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < middle else "black"
        error = f"\n±{errors[row, column]:.0e}" if errors is not None and errors[row, column] > 0 else ""
        axis.text(column, row, f"{value:.2f}{error}", ha="center", va="center", fontsize=6.5, color=colour)
