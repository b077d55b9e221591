"""Figures and comparisons of finished runs, from their series alone.

Each figure function takes an `xarray.Dataset` as `series.nc` holds it, optionally a reference, and returns a
`matplotlib.figure.Figure`; nothing is written and no global state of matplotlib is touched. A reference is a dataset
with the same variable names: with a coordinate `t` it is a curve, without it a stationary state.
"""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.interpolate import CubicSpline

from neurho._types import NeurhoError
from neurho.records import is_observable, time_average

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.5,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "mathtext.fontset": "dejavusans",
}
# Okabe & Ito: told apart by everyone, and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#444444"
COLOURS = {"x": BLUE, "y": ORANGE, "z": GREEN}
TIME = r"time $t$ ($1/\gamma$)"
ONE_SITE = ("sx", "sy", "sz")
TWO_SITE = ("sxsx", "sysy", "szsz")
SYMBOLS = {
    "delta_L": (r"$\delta_{\mathcal{L}}$ ($\gamma$)", True),
    "lindblad_norm2": (r"$\Vert\mathcal{L}\rho\Vert^2/\Vert\rho\Vert^2$ ($\gamma^2$)", True),
    "residual": ("relative residual", False),
    "delta_rho": (r"$\delta_\rho$", False),
    "trace_distance": ("trace distance", False),
    "dt": (r"step $\mathrm{d}t$ ($1/\gamma$)", True),
    "acceptance": ("acceptance", False),
    "r_hat": (r"split $\hat{R}$", False),
    "tau": (r"$\tau$ (draws)", False),
    "ess": ("effective samples", True),
    "energy": (r"$\langle H\rangle$ ($\gamma$)", False),
    "purity": (r"$\mathrm{tr}\,\rho^2$", False),
}


class Deviation(NamedTuple):
    """How far an observable lies from another value of it, over all times and places.

    `max_sigma` and `rms_sigma` are in units of the combined standard error; None where that is zero throughout.
    """

    name: str
    value: float
    reference: float
    max: float
    at: float | None
    rms: float
    max_sigma: float | None
    rms_sigma: float | None


def time_curves(series: xr.Dataset, reference: xr.Dataset | None = None, *, label: str = "exact") -> Figure:
    """Dynamics as in the paper's Fig. 2: (a) one-site means, (b) bond correlations, (c) distance from the truth."""
    with mpl.rc_context(STYLE):
        figure, axes = _figure(1, 3, width=10.2, height=3.2)
        _curves(axes[0, 0], series, reference, ONE_SITE, label)
        axes[0, 0].set_ylabel(r"$\langle\sigma^a\rangle$, site average")
        _curves(axes[0, 1], series, reference, TWO_SITE, label)
        axes[0, 1].set_ylabel(r"$\langle\sigma^a_j\sigma^a_{j+1}\rangle$, bond average")
        shown = [n for n in ("delta_rho", "trace_distance") if _has(series, n)]
        _errors(axes[0, 2], series, shown or [n for n in ("delta_L", "residual") if _has(series, n)][:1])
        if len(shown) > 1:
            axes[0, 2].set_ylabel("distance from the exact state")
        for axis, letter in zip(axes[0], "abc", strict=True):
            axis.set_xlabel(TIME)
            _letter(axis, letter)
    return figure


def profile(
    series: xr.Dataset, reference: xr.Dataset | None = None, *, average: float = 0.2, label: str = "reference"
) -> Figure:
    """Approach to a stationary state as in the paper's Fig. 3, and the state along the lattice in the end.

    (a) total magnetisation, (b) delta_L, (c) bond correlations, (d) magnetisation of each site, averaged over the last
    part `average` of the snapshots. Near the all-down state (a) and (d) show the deviation from it.
    """
    last = averaged(series, average)
    down = _near_down(last)
    with mpl.rc_context(STYLE):
        figure, axes = _figure(2, 2, width=8.2, height=5.8)
        _magnetisation(axes[0, 0], series, reference, label, near_down=down)
        _errors(axes[0, 1], series, [n for n in ("delta_L",) if _has(series, n)])
        # Near the all-down state <sz sz> is 1 and would hide the others.
        _curves(axes[1, 0], series, reference, TWO_SITE[:2] if down else TWO_SITE, label)
        axes[1, 0].set_ylabel(r"$\langle\sigma^a_j\sigma^a_l\rangle$, bond average")
        for axis in (axes[0, 0], axes[0, 1], axes[1, 0]):
            axis.set_xlabel(TIME)
        _sites(axes[1, 1], last, reference, label, near_down=down)
        for axis, letter in zip(axes.flat, "abcd", strict=True):
            _letter(axis, letter)
    return figure


def diagnostics(series: xr.Dataset) -> Figure:
    """Everything that tells whether to trust a run, one small panel each."""
    names = [n for n in SYMBOLS if _has(series, n) and series[n].dims == ("t",)]
    if not names:
        raise NeurhoError("The run has no diagnostics to draw.")
    columns = min(3, len(names))
    with mpl.rc_context(STYLE):
        figure, axes = _figure(
            -(-len(names) // columns), columns, width=3.3 * columns, height=2.3 * -(-len(names) // columns)
        )
        for axis, name in zip(axes.flat, names, strict=False):
            _errors(axis, series, [name])
            axis.set_xlabel(TIME)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
    return figure


def comparison(series: xr.Dataset, other: xr.Dataset, *, labels: tuple[str, str] = ("run", "reference")) -> Figure:
    """Curves of both (above) and their differences with error bands (below), one column for each common observable."""
    names = [n for n in (*ONE_SITE, *TWO_SITE) if _has(series, n) and _has(other, n)]
    if not names:
        raise NeurhoError(f"There is nothing to compare: {labels[0]} and {labels[1]} have no observable in common.")
    inside, aligned = align(series, other)
    with mpl.rc_context(STYLE):
        figure, axes = _figure(2, len(names), width=max(2.6 * len(names), 4.0), height=4.4, sharex=True)
        for column, name in enumerate(names):
            above, below = axes[:, column]
            above.plot(series.t, series[name], color=BLUE, label=labels[0])
            _reference_line(above, other, name, GREY, labels[1])
            error = np.hypot(_error_of(inside, name), _error_of(aligned, name))
            difference = inside[name].values - aligned[name].values
            below.axhline(0, color=GREY, linewidth=0.8)
            below.fill_between(inside.t, difference - error, difference + error, color=BLUE, alpha=0.25, linewidth=0)
            below.plot(inside.t, difference, color=BLUE)
            below.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
            above.set_title(_symbol(name), fontsize=10)
            below.set_xlabel(TIME)
        axes[0, 0].legend()
        axes[0, 0].set_ylabel("value")
        axes[1, 0].set_ylabel("difference")
    return figure


def deviations(series: xr.Dataset, reference: xr.Dataset) -> list[Deviation]:
    """Distances of every observable that both have; `reference` is interpolated to the times of `series`.

    With a `t` in `series` all its rows count; without (see `averaged`) the values of the end.
    """
    inside, other = align(series, reference)
    found = []
    for name in map(str, inside.data_vars):
        if not is_observable(inside, name) or name not in other or inside[name].shape != other[name].shape:
            continue
        difference = inside[name].values - other[name].values
        if not np.any(np.isfinite(difference)):
            continue
        sigma = np.hypot(_error_of(inside, name), _error_of(other, name))
        ratios = np.abs(difference[sigma > 0]) / sigma[sigma > 0]
        place = np.unravel_index(np.nanargmax(np.abs(difference)), difference.shape)
        found.append(
            Deviation(
                name=name,
                value=float(inside[name].values[place]),
                reference=float(other[name].values[place]),
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

    Curves are interpolated by cubic splines, which pass through the given points; a stationary reference is repeated.

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
        n: (v.dims, _interpolate(reference.t.values, v.values, times)) for n, v in reference.items() if "t" in v.dims
    }
    return inside, xr.Dataset(columns, coords={"t": inside.t})


def averaged(series: xr.Dataset, fraction: float) -> xr.Dataset:
    """Averages over the last part of the rows, without `t`; errors as in `records.time_average`."""
    rows = series.sizes["t"]
    window = series.isel(t=slice(-max(1, round(fraction * rows)), None))
    columns: dict[str, Any] = {}
    for name in map(str, series.data_vars):
        if not is_observable(series, name):
            continue
        means = window[name].values.reshape(window.sizes["t"], -1)
        errors = window[f"{name}_error"].values.reshape(means.shape)
        pairs = np.array([time_average(m, e) for m, e in zip(means.T, errors.T, strict=True)]).reshape(-1, 2)
        shape = window[name].shape[1:]
        columns[name] = (window[name].dims[1:], pairs[:, 0].reshape(shape))
        columns[f"{name}_error"] = (window[name].dims[1:], pairs[:, 1].reshape(shape))
    return xr.Dataset(columns, coords={n: c for n, c in series.coords.items() if "t" not in c.dims})


def image(figure: Figure, ending: str, *, dpi: int = 200) -> bytes:
    """A figure as the bytes of a PNG, PDF or SVG file, the same for the same figure."""
    buffer = io.BytesIO()
    quiet = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending, {})
    with mpl.rc_context({**STYLE, "svg.hashsalt": "neurho"}):
        figure.savefig(buffer, format=ending, dpi=dpi, metadata=quiet)
    return buffer.getvalue()


# -- panels -----------------------------------------------------------------------------------------------------------


def _figure(rows: int, columns: int, *, width: float, height: float, sharex: bool = False) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex)


def _curves(axis: Axes, series: xr.Dataset, reference: xr.Dataset | None, names: Sequence[str], label: str) -> None:
    drawn = [name for name in names if _has(series, name)]
    for name in drawn:
        _band(axis, series, name, COLOURS[name[-1]], _symbol(name))
        if reference is not None and name in reference:
            _reference_line(axis, reference, name, COLOURS[name[-1]], None)
    if reference is not None and any(name in reference for name in drawn):
        axis.plot([], [], color=GREY, linestyle=(0, (4, 2)), linewidth=1.1, label=label)
    if not drawn:
        _nothing(axis)
        return
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.22 * (high - low))
    axis.legend(loc="upper right", ncols=4, columnspacing=1.0)


def _magnetisation(
    axis: Axes, series: xr.Dataset, reference: xr.Dataset | None, label: str, *, near_down: bool
) -> None:
    if not _has(series, "sz"):
        _nothing(axis)
        return
    count, offset = series.sizes.get("site", 1), 1.0 if near_down else 0.0
    total = count * (offset + series.sz.values)
    error = count * _error_of(series, "sz")
    axis.fill_between(series.t, total - error, total + error, color=GREEN, alpha=0.25, linewidth=0)
    axis.plot(series.t, total, color=GREEN, label="network")
    if reference is not None and "sz" in reference:
        shifted = count * (offset + reference[["sz"]])
        _reference_line(axis, shifted, "sz", GREY, label)
    if near_down and np.nanmin(total) > 0:
        axis.set_yscale("log")
    what = r"\sum_j\langle\sigma^z_j\rangle"
    axis.set_ylabel(rf"${count} + {what}$" if near_down else f"${what}$")
    axis.legend()


def _sites(axis: Axes, last: xr.Dataset, reference: xr.Dataset | None, label: str, *, near_down: bool) -> None:
    if "sz_site" not in last:
        _nothing(axis)
        return
    sites, offset = np.arange(last.sizes["site"]), 1.0 if near_down else 0.0
    if reference is not None and "sz_site" in reference:
        values = offset + reference.sz_site.values
        axis.plot(
            sites, values, color=GREY, linestyle="none", marker="_", markersize=10, markeredgewidth=1.3, label=label
        )
    error = _error_of(last, "sz_site")
    axis.errorbar(sites, offset + last.sz_site, error, color=GREEN, fmt="o", markersize=4, capsize=2, label="network")
    axis.set_xlabel("site $j$")
    axis.set_ylabel(r"$1 + \langle\sigma^z_j\rangle$" if near_down else r"$\langle\sigma^z_j\rangle$")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(y=0.25)
    axis.legend()


def _errors(axis: Axes, series: xr.Dataset, names: Sequence[str]) -> None:
    for name, colour in zip(names, (BLUE, ORANGE), strict=False):
        _band(axis, series, name, colour, SYMBOLS[name][0])
    if not names:
        _nothing(axis)
        return
    if len(names) == 1:
        axis.set_ylabel(SYMBOLS[names[0]][0])
    else:
        axis.legend()
    values = np.concatenate([series[name].values for name in names])
    positive = values[values > 0]
    if SYMBOLS[names[0]][1] and len(positive) and positive.max() > 10 * positive.min():
        axis.set_yscale("log")
        return
    axis.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
    if np.nanmin(values) >= 0 and names[0] not in ("r_hat", "energy"):
        axis.set_ylim(bottom=0)


def _band(axis: Axes, series: xr.Dataset, name: str, colour: str, label: str) -> None:
    known = np.isfinite(series[name].values)
    t, values, error = series.t.values[known], series[name].values[known], _error_of(series, name)[known]
    if np.any(error > 0):
        axis.fill_between(t, values - error, values + error, color=colour, alpha=0.25, linewidth=0)
    axis.plot(t, values, color=colour, label=label, marker="o" if len(t) == 1 else None, markersize=4)


def _reference_line(axis: Axes, reference: xr.Dataset, name: str, colour: str, label: str | None) -> None:
    style: dict[str, Any] = {"color": colour, "linestyle": (0, (4, 2)), "linewidth": 1.1, "label": label, "zorder": 3}
    if "t" in reference[name].dims:
        axis.plot(reference.t, reference[name], **style)
    else:
        axis.axhline(float(reference[name]), **style)


def _letter(axis: Axes, letter: str) -> None:
    axis.set_title(f"({letter})", loc="left", fontsize=10, fontweight="bold")


def _nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes, color=GREY)
    axis.set_xticks([])
    axis.set_yticks([])


def _has(series: xr.Dataset, name: str) -> bool:
    return name in series and bool(np.any(np.isfinite(series[name].values)))


def _near_down(last: xr.Dataset) -> bool:
    return "sz" in last and float(last.sz) < -0.9


def _error_of(data: xr.Dataset, name: str) -> np.ndarray:
    if f"{name}_error" in data:
        return np.nan_to_num(data[f"{name}_error"].values)
    return np.zeros(data[name].shape)


def _symbol(name: str) -> str:
    a = name[1]
    return rf"$\sigma^{a}$" if name in ONE_SITE else rf"$\sigma^{a}\sigma^{a}$"


def _interpolate(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    if np.array_equal(times, at):
        return values
    if len(times) < 4 or not np.all(np.isfinite(values)):
        flat = values.reshape(len(times), -1)
        return np.stack([np.interp(at, times, column) for column in flat.T], axis=1).reshape(len(at), *values.shape[1:])
    return CubicSpline(times, values)(at)
