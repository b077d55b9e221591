"""Single panels of figures."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neurho._types import GAMMA, Record
from neurho.certificate import EVOLUTION
from neurho.observables.meanings import MEANINGS
from neurho.observables.names import PAULI_NAMES, at, corrected, error_name, measured, parse, symbol
from neurho.report.compare import error_of
from neurho.report.style import BLUE, COLOURS, CYCLE, GREEN, GREY, ORANGE, STYLE, TIME, in_unit

SOURCES = (("sz", GREEN, "network"), (corrected("sz"), ORANGE, "corrected"))
"""Where a magnetisation comes from, and how it is drawn."""

SPARSE = 40
"""Points from which on a reference is a curve, however many outputs a run has."""

DASHED: Record = {"linestyle": (0, (4, 2)), "linewidth": 1.1, "zorder": 3}
POINTS: Record = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 3.5,
    "markerfacecolor": "white",
    "zorder": 3,
}
"""How references are drawn: curves, and those that are sparse."""


def image(figure: Figure, ending: str, *, dpi: int = 200) -> bytes:
    """A figure as the bytes of a PNG, PDF or SVG file, the same for the same figure."""
    buffer = io.BytesIO()
    quiet = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending, {})
    with mpl.rc_context({**STYLE, "svg.hashsalt": "neurho"}):
        figure.savefig(buffer, format=ending, dpi=dpi, metadata=quiet)
    return buffer.getvalue()


def new_figure(
    rows: int, columns: int, *, width: float, height: float, sharex: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure with a grid of panels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex)


def draw_curves(axis: Axes, series: xr.Dataset, reference: xr.Dataset | None, names: Sequence[str], label: str) -> None:
    """Curves with error bands, dashed references and a legend."""
    drawn = [name for name in names if has_values(series, name)]
    for number, name in enumerate(drawn):
        colour = (
            COLOURS.get(name[-1], CYCLE[number % len(CYCLE)]) if name in PAULI_NAMES else CYCLE[number % len(CYCLE)]
        )
        _band(axis, series, name, colour, symbol(name))
        if name in PAULI_NAMES:
            _belief(axis, series, name, colour, end=number == 0)
        if has_values(series, corrected(name)):
            axis.plot(series.t, series[corrected(name)], color=colour, linestyle=":", linewidth=1.3)
        if reference is not None and name in reference:
            draw_reference(axis, reference, name, colour, None, times=series.t.values)
    if any(has_values(series, corrected(name)) for name in drawn):
        axis.plot([], [], color=GREY, linestyle=":", linewidth=1.3, label="corrected")
    if reference is not None and any(name in reference for name in drawn):
        axis.plot([], [], color=GREY, label=label, **reference_style(reference, series.t.values))
    if not drawn:
        _nothing(axis)
        return
    low, high = axis.get_ylim()
    short = all(name in PAULI_NAMES for name in drawn)  # in one row; longer symbols do not fit into it
    axis.set_ylim(low, high + (0.22 if short else 0.38) * (high - low))
    columns = 4 if short else 2
    axis.legend(loc="upper right", ncols=columns, columnspacing=0.8, handlelength=1.2, handletextpad=0.5)


def draw_magnetisation(
    axis: Axes, series: xr.Dataset, reference: xr.Dataset | None, label: str, *, near_down: bool
) -> None:
    """The total magnetisation, or its deviation from all-down: of the network, and corrected where that is known."""
    if not has_values(series, "sz"):
        _nothing(axis)
        return
    count, offset = series.sizes.get("site", 1), 1.0 if near_down else 0.0
    total = count * (offset + series.sz.values)
    least = np.nanmin(total) / 3 if near_down and np.nanmin(total) > 0 else None
    for name, colour, kind in SOURCES:
        if has_values(series, name):
            values, error = count * (offset + series[name].values), count * error_of(series, name)
            fill(axis, series.t.values, values, error, least=least, color=colour, alpha=0.25)
            axis.plot(series.t, values, color=colour, label=kind)
    if reference is not None and "sz" in reference:
        shifted = count * (offset + reference[["sz"]])
        shifted[error_name("sz")] = (reference.sz.dims, count * error_of(reference, "sz"))
        draw_reference(axis, shifted, "sz", GREY, label, times=series.t.values)
    if least is not None:
        axis.set_yscale("log", nonpositive="mask")
        axis.set_ylim(bottom=least)  # corrected values can cross zero before the state settles
    what = r"\sum_j\langle\sigma^z_j\rangle"
    axis.set_ylabel(rf"${count} + {what}$" if near_down else f"${what}$")
    axis.legend()


def draw_sites(axis: Axes, last: xr.Dataset, reference: xr.Dataset | None, label: str, *, near_down: bool) -> None:
    """The magnetisation of each site with error bars: in the network, and corrected where that is known."""
    if (own := at("sz", "site")) not in last:
        _draw_other_sites(axis, last, reference, label)
        return
    sites, offset = np.arange(last.sizes["site"]), 1.0 if near_down else 0.0
    if reference is not None and own in reference:
        values, error = offset + reference[own].values, error_of(reference, own)
        style: Record = {"color": GREY, "linestyle": "none", "marker": "_", "markersize": 10}
        axis.errorbar(sites, values, error if np.any(error > 0) else None, markeredgewidth=1.3, label=label, **style)
    for name, colour, kind in SOURCES:
        if (there := at(name, "site")) in last:
            style = {"fmt": "o", "markersize": 4, "capsize": 2}
            axis.errorbar(sites, offset + last[there], error_of(last, there), color=colour, label=kind, **style)
    axis.set_xlabel("site $j$")
    axis.set_ylabel(r"$1 + \langle\sigma^z_j\rangle$" if near_down else r"$\langle\sigma^z_j\rangle$")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.margins(y=0.25)
    axis.legend()


def _draw_other_sites(axis: Axes, last: xr.Dataset, reference: xr.Dataset | None, label: str) -> None:
    """Whatever was measured on each site, where there are no Pauli matrices."""
    names = [at(name, "site") for name in measured(last.data_vars, "site")]
    given = xr.Dataset() if reference is None else reference
    known = [name for name in names[: len(CYCLE)] if name in given]
    for name in known:
        style: Record = {"color": GREY, "linestyle": "none", "marker": "_", "markersize": 12}
        error, first = error_of(given, name), name == known[0]
        bars = error if np.any(error > 0) else None
        axis.errorbar(np.arange(last.sizes["site"]), given[name], bars, label=label if first else None, **style)
    for name, colour in zip(names, CYCLE, strict=False):
        sites, error = np.arange(last.sizes["site"]), error_of(last, name)
        axis.errorbar(sites, last[name], error, color=colour, fmt="o", markersize=4, capsize=2, label=parse(name).mean)
    if not names:
        _nothing(axis)
        return
    axis.set_xlabel("site $j$")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend()


def draw_errors(axis: Axes, series: xr.Dataset, names: Sequence[str]) -> None:
    """Diagnostics, on a logarithmic axis where they span decades."""
    if not names:
        _nothing(axis)
        return
    values = np.concatenate([series[name].values for name in names])
    positive = values[values > 0]
    decades = MEANINGS[names[0]].decades and len(positive) > 0 and positive.max() > 10 * positive.min()
    for name, colour in zip(names, (BLUE, ORANGE), strict=False):
        label = in_unit(MEANINGS[name].symbol, unit_of(series))
        _band(axis, series, name, colour, label, least=positive.min() / 3 if decades else None)
    if len(names) == 1:
        axis.set_ylabel(in_unit(MEANINGS[names[0]].symbol, unit_of(series)))
    else:
        axis.legend()
    if decades:
        axis.set_yscale("log", nonpositive="mask")
        axis.set_ylim(bottom=positive.min() / 3)
        return
    axis.ticklabel_format(axis="y", scilimits=(-2, 4), useMathText=True)
    if np.nanmin(values) >= 0 and names[0] not in ("r_hat", "energy"):
        axis.set_ylim(bottom=0)


def fill(
    axis: Axes, t: np.ndarray, values: np.ndarray, error: np.ndarray, *, least: float | None = None, **style: Any
) -> None:
    """A band around values; on a logarithmic axis that begins at `least`, only where the value itself is shown.

    Lower ends that the axis does not have would be joined across, and leave a hairline.
    """
    low, shown = values - error, np.isfinite(values)
    if least is not None:
        low, shown = np.maximum(low, least), shown & (values > least)
    axis.fill_between(t, low, values + error, where=shown, linewidth=0, **style)


def _band(axis: Axes, series: xr.Dataset, name: str, colour: str, label: str, *, least: float | None = None) -> None:
    known = np.isfinite(series[name].values)
    t, values, error = series.t.values[known], series[name].values[known], error_of(series, name)[known]
    if np.any(error > 0):
        fill(axis, t, values, error, least=least, color=colour, alpha=0.25)
    axis.plot(t, values, color=colour, label=label, marker="o" if len(t) == 1 else None, markersize=4)


def _belief(axis: Axes, series: xr.Dataset, name: str, colour: str, *, end: bool) -> None:
    """A pale band: the mean of a Pauli matrix plus and minus the error estimate of the evolution, within -1..1.

    It ends where the estimate is too large for the curve to be believed; with `end` a dotted line marks the place.
    """
    if not has_values(series, "error_estimate"):
        return
    values, error = series[name].values, series["error_estimate"].values
    low, high = np.clip(values - error, -1, 1), np.clip(values + error, -1, 1)
    lost = error > EVOLUTION["error_estimate"].usable
    axis.fill_between(series.t.values, low, high, where=~lost, color=colour, alpha=0.1, linewidth=0, zorder=0)
    if end and np.any(lost):
        axis.axvline(series.t.values[np.argmax(lost)], color=GREY, linestyle=":", linewidth=1.0, zorder=0)


def within(reference: xr.Dataset, times: np.ndarray) -> xr.Dataset:
    """The part of a reference that lies inside the times of a run; a stationary one is whole."""
    if "t" not in reference.dims:
        return reference
    t, slack = reference.t.values, 1e-9 * max(1.0, float(np.max(np.abs(times))))
    return reference.isel(t=np.flatnonzero((t >= times[0] - slack) & (t <= times[-1] + slack)))


def is_sparse(reference: xr.Dataset, times: np.ndarray) -> bool:
    """Whether a reference has so few points in the times of a run that lines between them would tell of more."""
    return "t" in reference.dims and 2 * within(reference, times).sizes["t"] < min(len(times), 2 * SPARSE)


def reference_style(reference: xr.Dataset, times: np.ndarray) -> Record:
    """How a reference is drawn beside a run: dashed, or as points where it is sparse."""
    return POINTS if is_sparse(reference, times) else DASHED


def draw_reference(
    axis: Axes,
    reference: xr.Dataset,
    name: str,
    colour: str,
    label: str | None = None,
    *,
    times: np.ndarray | None = None,
) -> None:
    """A dashed curve, or a line for a stationary value, in a hatched band of its errors where it has some; points with
    error bars where it is sparse beside a run of these `times`. Nothing outside them.
    """
    style, sparse = DASHED, False
    if times is not None:
        style, sparse = reference_style(reference, times), is_sparse(reference, times)
        reference = within(reference, times)
    style = style | {"color": colour, "label": label}
    values, error = reference[name].values, error_of(reference, name)
    band: Record = {"facecolor": "none", "edgecolor": colour, "hatch": "////", "linewidth": 0, "alpha": 0.5}
    if sparse:
        axis.errorbar(reference.t, values, error if np.any(error > 0) else None, capsize=2, elinewidth=1.0, **style)
    elif "t" in reference[name].dims:
        if np.any(error > 0):
            axis.fill_between(reference.t.values, values - error, values + error, **band)
        axis.plot(reference.t, values, **style)
    else:
        if error > 0:
            axis.axhspan(float(values - error), float(values + error), **band)
        axis.axhline(float(values), **style)


def draw_letter(axis: Axes, letter: str) -> None:
    """The letter of a panel."""
    axis.set_title(f"({letter})", loc="left", fontsize=10, fontweight="bold")


def _nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes, color=GREY)
    axis.set_xticks([])
    axis.set_yticks([])


def has_values(series: xr.Dataset, name: str) -> bool:
    """Whether a variable is there and not all NaN."""
    return name in series and bool(np.any(np.isfinite(series[name].values)))


def unit_of(series: xr.Dataset) -> str:
    """The unit of time of a dataset."""
    return str(series.t.attrs.get("units", GAMMA)) if "t" in series.coords else GAMMA


def time_label(series: xr.Dataset) -> str:
    """What stands below an axis of time."""
    return in_unit(TIME, unit_of(series))
