"""Heat maps: sites along time, sites of a two-dimensional lattice, correlations of all pairs."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neurho._types import NeurhoError
from neurho.observables.names import ONE_SITE, PAULI_NAMES, at, error_name, is_level, measured, one_point, parse, symbol
from neurho.report.compare import error_of
from neurho.report.panels import has_values, new_figure, time_label
from neurho.report.style import STYLE

WIDEST = 4
"""Panels in one row."""


def space_time(series: xr.Dataset, names: Sequence[str]) -> Figure:
    """Means of each site along time, one panel for each of `names` (the variables `NAME_site`)."""
    limits = shared_limits({name: series[at(name, "site")].values for name in names})
    return _panels(names, lambda axis, name: _space_time(axis, series, name, limits[name]), height=2.6)


def lattice_map(last: xr.Dataset, names: Sequence[str], shape: Sequence[int]) -> Figure:
    """Means of each site in place, on a lattice of `shape` (rows, columns), from a dataset without `t`.

    The number in each cell is the mean; below it, smaller, the standard error.
    """
    limits = shared_limits({name: last[at(name, "site")].values for name in names})

    def draw(axis: Axes, name: str) -> None:
        there = at(name, "site")
        values = last[there].values.reshape(tuple(shape))
        errors = last[error_name(there)].values.reshape(tuple(shape)) if error_name(there) in last else None
        _matrix(axis, values, limits[name], "viridis")
        axis.set_xlabel("column")
        axis.set_ylabel("row")
        if values.size <= 36:
            _write(axis, values, errors, limits[name])

    return _panels(names, draw, height=2.9)


def correlation_map(last: xr.Dataset, names: Sequence[str]) -> Figure:
    """Connected correlations <s_j s_l> - <s_j><s_l> of all pairs, without the diagonal, from a dataset without `t`."""

    def connected(name: str) -> np.ndarray:
        one = last[at(one_point(name), "site")].values
        values = last[at(name, "pair")].values - np.outer(one, one)
        np.fill_diagonal(values, np.nan)
        return values

    tables = {name: connected(name) for name in names}
    limits = shared_limits(tables)

    def draw(axis: Axes, name: str) -> None:
        largest = max(map(abs, limits[name]))
        _matrix(axis, tables[name], (-largest, largest), "RdBu_r")
        axis.set_xlabel("site $l$")
        axis.set_ylabel("site $j$")

    return _panels(names, draw, height=2.9)


def structure_map(last: xr.Dataset, names: Sequence[str]) -> Figure:
    """Structure factors S^aa(k) from a dataset without `t`: a curve for a chain, a map in two dimensions.

    The axes are the phases k.a in (-pi, pi] along the lattice vectors, in units of pi.
    """
    low, high = _limits([last[name].values for name in names])

    def draw(axis: Axes, name: str) -> None:
        values = last[name]
        if values.ndim == 1:
            k, scatter = _centred(values.k.values), error_of(last, name)
            order = np.argsort(k)
            axis.errorbar(k[order], values.values[order], scatter[order], fmt="o-", markersize=3)
            axis.set_xlabel(r"$k/\pi$")
            return
        rows, columns = (_centred(values[d].values) for d in values.dims)
        picture = values.values[np.ix_(np.argsort(rows), np.argsort(columns))]
        style = {"cmap": "viridis", "vmin": low, "vmax": high}
        mesh = axis.pcolormesh(np.sort(columns), np.sort(rows), picture, shading="nearest", rasterized=True, **style)
        axis.figure.colorbar(mesh, ax=axis)
        axis.set_xlabel(r"$k_2/\pi$")
        axis.set_ylabel(r"$k_1/\pi$")

    return _panels(names, draw, height=2.9)


def _centred(k: np.ndarray) -> np.ndarray:
    """Phases in (-pi, pi], in units of pi."""
    turns = k / np.pi
    return np.where(turns > 1 + 1e-9, turns - 2, turns)


def structure_names(series: xr.Dataset) -> list[str]:
    """Structure factors that were measured at all momenta."""
    return [name for name in map(str, series.data_vars) if parse(name).place == "k" and has_values(series, name)]


def site_names(series: xr.Dataset) -> list[str]:
    """Names X for which `X_site` was measured; Pauli matrices first."""
    return [name for name in measured(series.data_vars, "site") if has_values(series, at(name, "site"))]


def pair_names(series: xr.Dataset) -> list[str]:
    """Names of two-point functions of all pairs with their one-point functions."""
    return [name for name in measured(series.data_vars, "pair") if at(one_point(name), "site") in series]


def _panels(names: Sequence[str], draw: Callable[[Axes, str], None], *, height: float) -> Figure:
    if not names:
        raise NeurhoError("The run has nothing to draw on a map.")
    columns = min(WIDEST, len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(rows, columns, width=3.1 * columns, height=height * rows)
        for axis, name in zip(axes.flat, names, strict=False):
            draw(axis, name)
            axis.set_title(symbol(name), fontsize=10)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
    return figure


def shared_limits(values: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Least and largest value for the colours of each panel: the same for those that are compared, which are Pauli
    matrices of one kind, and populations of levels.
    """
    families: dict[str, list[str]] = {}
    for name in values:
        families.setdefault(family(name), []).append(name)
    limits = {key: _limits([values[name] for name in names]) for key, names in families.items()}
    return {name: limits[family(name)] for name in values}


def family(name: str) -> str:
    """The panels that one is compared with."""
    plain = parse(name).plain
    if plain in PAULI_NAMES:
        return "one site" if plain in ONE_SITE else "two sites"
    return "levels" if is_level(plain) else plain


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """The range of what is known; around it where it is one number, which has no range."""
    known = np.concatenate([v[np.isfinite(v)].ravel() for v in values])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    room = max(1e-12 * max(abs(low), abs(high)), 1e-12)
    return (low, high) if high - low > room else (low - room, high + room)


def _space_time(axis: Axes, series: xr.Dataset, name: str, limits: tuple[float, float]) -> None:
    values = series[at(name, "site")].values
    t, sites = series.t.values, np.arange(values.shape[1])
    if len(t) < 2:
        axis.plot(sites, values[0], "o")
        axis.set_xlabel("site $j$")
        return
    # As pixels: between the shapes of a PDF or SVG file a viewer shows white stripes.
    style = {"cmap": "viridis", "vmin": limits[0], "vmax": limits[1]}
    mesh = axis.pcolormesh(t, sites, values.T, shading="nearest", rasterized=True, **style)
    axis.figure.colorbar(mesh, ax=axis)
    axis.set_xlabel(time_label(series))
    axis.set_ylabel("site $j$")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))


def _matrix(axis: Axes, values: np.ndarray, limits: tuple[float, float], colours: str) -> None:
    picture = axis.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
    axis.figure.colorbar(picture, cax=axis.inset_axes((1.05, 0, 0.05, 1)))  # as high as the map, whatever its shape
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(integer=True))


def _write(axis: Axes, values: np.ndarray, errors: np.ndarray | None, limits: tuple[float, float]) -> None:
    middle = sum(limits) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < middle else "black"
        below = f"\n±{errors[row, column]:.0e}" if errors is not None and errors[row, column] > 0 else ""
        axis.text(column, row, f"{value:.2f}{below}", ha="center", va="center", fontsize=6.5, color=colour)
