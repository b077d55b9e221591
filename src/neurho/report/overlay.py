"""Several runs of one problem in one figure: which curve is whose, and which verdict each has."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from neurho._types import NeurhoError, Record
from neurho.certificate import EVOLUTION
from neurho.observables.names import ONE_SITE, PAULI_NAMES
from neurho.report.compare import averaged, error_of
from neurho.report.figures import common_means
from neurho.report.panels import draw_reference, fill, has_values, new_figure, reference_style, time_label
from neurho.report.style import BLUE, GREY, ORANGE, STYLE

WIDEST = 3
"""Panels in one row."""

MOST = 6
"""Panels in one figure: the means of Pauli matrices on sites and bonds."""

LINES: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (ORANGE, "-"),
    ("#CC79A7", "-"),
    ("#56B4E9", "-"),
    ("#E69F00", "-"),
    (BLUE, ":"),
    (ORANGE, ":"),
)
"""Colour and dashes of the first run, the second, ..."""


class Shown(NamedTuple):
    """A run in a figure: what it measured, the name of its method, its verdict.

    `own` says that `error_estimate` is the error of every mean, as methods without a network give it.
    """

    series: xr.Dataset
    method: str
    verdict: str
    own: bool = False


def overlay(
    runs: Sequence[Shown], reference: xr.Dataset | None = None, *, label: str = "exact", average: float | None = None
) -> Figure:
    """The same means of several runs, one panel for each mean, with a legend of methods and verdicts.

    Bands are errors: standard errors of samples and estimates of methods that have one for every mean (dark), and what
    a network estimates to have lost, within -1..1 and as long as its curve may be believed (pale).

    **Arguments**

    - `runs`: at most seven.
    - `reference`: a dashed curve or line in every panel, called `label`.
    - `average`: None for evolutions; for stationary states the last part of the outputs to average over.

    **Raises** `NeurhoError` if the runs have no mean in common.
    """
    if len(runs) > len(LINES):
        raise NeurhoError(f"Argument `runs` must have at most {len(LINES)} runs, but it has {len(runs)}.")
    names = _shared(runs)
    times = max((run.series.t.values for run in runs), key=lambda t: t[-1])
    columns = min(WIDEST, len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(
            rows, columns, width=max(3.1 * columns, 5.0), height=2.4 * rows + 0.5 + 0.2 * len(runs)
        )
        for axis, name in zip(axes.flat, names, strict=False):
            for number, run in enumerate(runs):
                _curve(axis, run, name, number) if average is None else _point(axis, run, name, number, average)
            if reference is not None and has_values(reference, name):
                draw_reference(axis, reference, name, GREY, None, times=times)
            axis.set_title(_title(name), fontsize=10)
            axis.set_xlabel(time_label(runs[0].series) if average is None else "run")
            if average is not None:
                axis.set_xticks(range(len(runs)), [str(k + 1) for k in range(len(runs))])
                axis.margins(x=0.3, y=0.2)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
        drawn = reference if reference is not None and any(has_values(reference, name) for name in names) else None
        style = None if drawn is None else reference_style(drawn, times)
        figure.legend(handles=_entries(runs, label, style), loc="outside upper left", fontsize=9)
    return figure


def _shared(runs: Sequence[Shown]) -> list[str]:
    """Means that all runs have."""
    common = common_means(runs[0].series, runs[0].series)
    for run in runs[1:]:
        common = [name for name in common if name in common_means(run.series, run.series)]
    if not common:
        raise NeurhoError("The runs must have a mean in common to stand in one figure, but there is none.")
    return common[:MOST]


def _curve(axis: Axes, run: Shown, name: str, number: int) -> None:
    """A curve with its bands; pale where the estimate of a network says that it should no longer be believed."""
    colour, dashes = LINES[number]
    t, values, error = run.series.t.values, run.series[name].values, error_of(run.series, name)
    lost = np.zeros(len(t), dtype=bool)
    if not run.own and name in PAULI_NAMES and has_values(run.series, "error_estimate"):
        estimate = run.series["error_estimate"].values
        lost = estimate > EVOLUTION["error_estimate"].usable
        low, high = np.clip(values - estimate, -1, 1), np.clip(values + estimate, -1, 1)
        axis.fill_between(t, low, high, where=~lost, color=colour, alpha=0.12, linewidth=0, zorder=0)
    fill(axis, t, values, error, color=colour, alpha=0.3)
    style: Record = {"color": colour, "linestyle": dashes}
    axis.plot(t, np.where(lost, np.nan, values), **style)
    if np.any(lost):
        after = slice(max(int(np.argmax(lost)) - 1, 0), None)
        axis.plot(t[after], values[after], alpha=0.35, **style)


def _point(axis: Axes, run: Shown, name: str, number: int, average: float) -> None:
    last = averaged(run.series, average)
    axis.errorbar([number], last[name], error_of(last, name), color=LINES[number][0], fmt="o", markersize=4, capsize=3)


def _title(name: str) -> str:
    if name not in PAULI_NAMES:
        return name
    a = name[1]
    return rf"$\langle\sigma^{a}\rangle$" if name in ONE_SITE else rf"$\langle\sigma^{a}\sigma^{a}\rangle$ on bonds"


def _entries(runs: Sequence[Shown], label: str, style: Record | None) -> list[Artist]:
    """The legend: the reference first, then each run with its method and verdict."""
    entries: list[Artist] = []
    if style is not None:
        entries.append(Line2D([], [], color=GREY, label=f"{label} (the truth)", **style))
    for number, run in enumerate(runs):
        colour, dashes = LINES[number]
        entries.append(
            Line2D([], [], color=colour, linestyle=dashes, label=f"{run.method}; its own verdict: {run.verdict}")
        )
    known = [
        run.series.error_estimate.values for run in runs if not run.own and has_values(run.series, "error_estimate")
    ]
    if known:
        lost = any(np.any(estimate > EVOLUTION["error_estimate"].usable) for estimate in known)
        words = "bands: the errors that a run states itself"
        words += "; faint: from here on it says not to believe it" if lost else ""
        entries.append(Patch(facecolor=GREY, alpha=0.15, label=words))
    return entries
