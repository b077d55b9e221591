"""Figures of finished runs."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurho._types import NeurhoError
from neurho.observables.meanings import DRAWN
from neurho.observables.names import (
    ENERGY,
    FIDELITY,
    GLOBAL,
    ONE_SITE,
    PAULI_NAMES,
    TWO_SITE,
    measured,
    parse,
    symbol,
)
from neurho.records import is_observable
from neurho.report.compare import align, averaged, error_of
from neurho.report.maps import (
    correlation_map,
    lattice_map,
    pair_names,
    site_names,
    space_time,
    structure_map,
    structure_names,
)
from neurho.report.panels import (
    draw_curves,
    draw_errors,
    draw_letter,
    draw_magnetisation,
    draw_reference,
    draw_sites,
    has_values,
    new_figure,
    time_label,
)
from neurho.report.style import BLUE, GREY, STYLE

WIDEST = 6
"""Comparisons in one row."""
ALL_PAULI = (*ONE_SITE, *TWO_SITE)

ROUNDING = 1e-15
"""Eigenvalues of S below this times the largest are zero as far as double precision can tell."""


def time_curves(series: xr.Dataset, reference: xr.Dataset | None = None, *, label: str = "exact") -> Figure:
    """Dynamics as in the paper's Fig. 2: (a) one-site means, (b) bond correlations, (c) distance from the truth.

    What was not measured has no panel.
    """
    shown = {place: names for place in ("site", "bond") if (names := averages(series, place))}
    errors = [n for n in ("delta_rho", "trace_distance") if has_values(series, n)]
    known = errors or [n for n in ("error_estimate", "delta_L", "residual") if has_values(series, n)][:1]
    panels = max(len(shown) + bool(known), 1)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, panels, width=3.4 * max(panels, 1.5), height=3.2)
        for axis, (place, names) in zip(axes[0], shown.items(), strict=False):
            draw_curves(axis, series, reference, names, label)
            axis.set_ylabel(average_label(names, place))
        if known or not shown:
            draw_errors(axes[0, -1], series, known)
        if len(known) > 1:
            axes[0, -1].set_ylabel("distance from the exact state")
        for axis, letter in zip(axes[0], "abc", strict=False):
            axis.set_xlabel(time_label(series))
            draw_letter(axis, letter)
    return figure


def average_label(names: Sequence[str], place: str) -> str:
    """What is averaged over sites or bonds: Pauli matrices, or what the legend names."""
    if not set(names) <= PAULI_NAMES:
        return f"{place} average"
    means = {"site": r"$\langle\sigma^a_j\rangle$", "bond": r"$\langle\sigma^a_j\sigma^a_l\rangle$"}
    return f"{means[place]}, {place} average"


def profile(
    series: xr.Dataset, reference: xr.Dataset | None = None, *, average: float = 0.2, label: str = "reference"
) -> Figure:
    """Approach to a stationary state as in the paper's Fig. 3, and the state along the lattice in the end.

    (a) total magnetisation, (b) delta_L, (c) bond correlations, (d) magnetisation of each site, averaged over the last
    part `average` of the snapshots. Near the all-down state (a) and (d) show the deviation from it. Without Pauli
    matrices (a) has the means over sites that there are; what was not measured has no panel.
    """
    last = averaged(series, average)
    down = _near_down(last)
    one, two = averages(series, "site"), averages(series, "bond")
    # Near the all-down state <sz sz> is 1 and would hide the others.
    two = TWO_SITE[:2] if down and set(two) <= PAULI_NAMES else two
    draw: list[Callable[[Axes], None]] = []
    if has_values(series, "sz"):
        draw.append(lambda axis: draw_magnetisation(axis, series, reference, label, near_down=down))
    elif one:
        draw.append(lambda axis: _draw_means(axis, series, reference, one, "site", label))
    if has_values(series, "delta_L"):
        draw.append(lambda axis: draw_errors(axis, series, ["delta_L"]))
    if any(has_values(series, name) for name in two):
        draw.append(lambda axis: _draw_means(axis, series, reference, two, "bond", label))
    along_time = len(draw)
    if measured(last.data_vars, "site"):
        draw.append(lambda axis: draw_sites(axis, last, reference, label, near_down=down))
    rows = max(-(-len(draw) // 2), 1)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(rows, 2, width=8.2, height=2.9 * rows)
        for axis, task, letter in zip(axes.flat, draw, "abcd", strict=False):
            task(axis)
            draw_letter(axis, letter)
        for axis in axes.flat[:along_time]:
            axis.set_xlabel(time_label(series))
        for axis in axes.flat[len(draw) :]:
            axis.set_visible(False)
    return figure


def _draw_means(
    axis: Axes, series: xr.Dataset, reference: xr.Dataset | None, names: Sequence[str], place: str, label: str
) -> None:
    draw_curves(axis, series, reference, names, label)
    axis.set_ylabel(average_label(names, place))


def averages(series: xr.Dataset, place: str) -> tuple[str, ...]:
    """Means over sites or bonds: of Pauli matrices where there are some, otherwise of what the problem names."""
    pauli = ONE_SITE if place == "site" else TWO_SITE
    if any(has_values(series, name) for name in pauli):
        return pauli
    return tuple(name for name in measured(series.data_vars, place) if name in series)


def named_curves(series: xr.Dataset, reference: xr.Dataset | None = None, *, label: str = "exact") -> Figure:
    """Operators that the problem names, beside Pauli matrices: means over sites and bonds, and single ones, where there
    are some.
    """
    places = [place for place in ("site", "bond", "") if named(series, place)]
    if not places:
        raise NeurhoError("The run has no operators named in [observables] to draw.")
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, len(places), width=3.6 * len(places), height=3.0)
        for axis, place in zip(axes[0], places, strict=True):
            draw_curves(axis, series, reference, named(series, place), label)
            axis.set_ylabel(f"{place} average" if place else "mean")
            axis.set_xlabel(time_label(series))
    return figure


def named(series: xr.Dataset, place: str) -> list[str]:
    """Names of the problem's own operators: means over sites or bonds, or, with "", those that stand once."""
    found = [name for name in measured(series.data_vars, place) if name in series and series[name].dims == ("t",)]
    if not place:
        averaged_ones = {name for other in ("site", "bond") for name in measured(series.data_vars, other)}
        found = [n for n in found if is_observable(series, n) and n not in averaged_ones | GLOBAL | {ENERGY, FIDELITY}]
    return [name for name in found if parse(name).plain not in PAULI_NAMES]


def all_figures(
    series: xr.Dataset,
    reference: xr.Dataset | None = None,
    *,
    label: str = "exact",
    shape: Sequence[int] = (),
    average: float | None = None,
) -> dict[str, Figure]:
    """Every figure that makes sense for a run, by name, the most telling first.

    **Arguments**

    - `shape`: of a two-dimensional lattice, for maps in place.
    - `average`: None for an evolution; for a stationary state the last part of the outputs to average over.
    """
    figures: dict[str, Figure] = {}
    if average is None:
        figures["curves"] = time_curves(series, reference, label=label)
        last = series.isel(t=-1, drop=True)
    else:
        figures["profile"] = profile(series, reference, average=average, label=label)
        last = averaged(series, average)
    pauli = any(name in series for name in ONE_SITE)
    if named(series, "") or (pauli and (named(series, "site") or named(series, "bond"))):
        figures["named"] = named_curves(series, reference, label=label)
    sites = site_names(series)
    if sites and series.sizes.get("site", 1) > 1:
        figures["sites"] = space_time(series, sites)
        if len(shape) == 2:
            figures["lattice"] = lattice_map(last, sites, shape)
    if pairs := pair_names(series):
        figures["correlations"] = correlation_map(last, pairs)
    if factors := structure_names(series):
        figures["structure"] = structure_map(last, factors)
    if any(has_values(series, name) for name in DRAWN):
        figures["diagnostics"] = diagnostics(series)
    return figures


def diagnostics(series: xr.Dataset) -> Figure:
    """Everything that tells whether to trust a run, one small panel each."""
    names = [n for n in DRAWN if has_values(series, n) and series[n].dims == ("t",)]
    if not names:
        raise NeurhoError("The run has no diagnostics to draw.")
    columns = min(3, len(names))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(
            -(-len(names) // columns), columns, width=3.3 * columns, height=2.3 * -(-len(names) // columns)
        )
        for axis, name in zip(axes.flat, names, strict=False):
            draw_errors(axis, series, [name])
            axis.set_xlabel(time_label(series))
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
    return figure


def spectrum(eigenvalues: np.ndarray, *, ridge: float | None = None, cutoff: float | None = None) -> Figure:
    """Eigenvalues of the metric S, the largest first, relative to the largest: how many directions the network uses.

    **Arguments**

    - `eigenvalues`: `(parameters,)`, as `metric_spectrum` gives them.
    - `ridge`, `cutoff`: of the solver of the run (`ridge` times the mean eigenvalue); directions below the dashed line
      hardly move.
    """
    if not eigenvalues[0] > 0:
        raise NeurhoError("There is no spectrum of S to draw: all eigenvalues are zero, as for equal samples.")
    relative = eigenvalues / eigenvalues[0]
    count = len(relative)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, 1, width=4.6, height=3.2)
        axis = axes[0, 0]
        shown = relative > ROUNDING
        numbers = np.arange(1, count + 1)[shown]
        axis.plot(numbers, relative[shown], color=BLUE, marker="o", markersize=2.5, linewidth=0.8)
        axis.set_yscale("log")
        axis.set_xlim(0, count + 1)
        axis.set_xlabel("eigenvalue number $k$")
        axis.set_ylabel(r"$\lambda_k/\lambda_1$ of $S$")
        axis.set_title(f"{len(numbers)} of {count} above rounding ($10^{{-15}}$)", fontsize=9)
        lines = {"cutoff": (cutoff, 1.0), "ridge": (ridge, float(np.mean(relative)))}
        for name, (level, scale) in lines.items():
            if level is not None:
                style = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.1}
                axis.axhline(level * scale, label=f"{name} = {level:g}", **style)
                axis.legend()
    return figure


def comparison(series: xr.Dataset, other: xr.Dataset, *, labels: tuple[str, str] = ("run", "reference")) -> Figure:
    """Curves of both (above) and their differences with error bands (below), one column for each common mean."""
    names = common_means(series, other)
    if not names:
        both = [", ".join(_means(data)) or "none" for data in (series, other)]
        raise NeurhoError(
            f"There is nothing to compare: {labels[0]} and {labels[1]} have no observable in common; the first has "
            f"{both[0]}, the second {both[1]}."
        )
    inside, aligned = align(series, other)
    blocks = -(-len(names) // WIDEST)
    columns = -(-len(names) // blocks)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(2 * blocks, columns, width=max(2.6 * columns, 4.0), height=4.4 * blocks, sharex=True)
        pairs = [pair for block in range(blocks) for pair in axes[2 * block : 2 * block + 2].T]
        for above, below in pairs[len(names) :]:
            above.set_visible(False)
            below.set_visible(False)
        for (above, below), name in zip(pairs, names, strict=False):
            above.plot(series.t, series[name], color=BLUE, label=labels[0])
            draw_reference(above, other, name, GREY, labels[1], times=series.t.values)
            error = np.hypot(error_of(inside, name), error_of(aligned, name))
            difference = inside[name].values - aligned[name].values
            below.axhline(0, color=GREY, linewidth=0.8)
            below.fill_between(inside.t, difference - error, difference + error, color=BLUE, alpha=0.25, linewidth=0)
            below.plot(inside.t, difference, color=BLUE)
            below.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
            above.set_title(symbol(name), fontsize=10)
            below.set_xlabel(time_label(series))
            below.tick_params(labelbottom=True)
        axes[0, 0].legend()
        for block in range(blocks):
            axes[2 * block, 0].set_ylabel("value")
            axes[2 * block + 1, 0].set_ylabel("difference")
    return figure


def common_means(series: xr.Dataset, other: xr.Dataset) -> list[str]:
    """Means that both have, those of Pauli matrices first."""
    return [name for name in _means(series) if has_values(other, name) and other[name].dims in ((), ("t",))]


def _means(data: xr.Dataset) -> list[str]:
    """Observables that are one number at each time; of data from elsewhere all curves."""
    known = any(is_observable(data, str(name)) for name in data.data_vars)
    found = [str(n) for n in data.data_vars if data[n].dims == ("t",) and has_values(data, str(n))]
    found = [name for name in found if is_observable(data, name) or not (known or parse(name).error)]
    return sorted(found, key=lambda name: ALL_PAULI.index(name) if name in ALL_PAULI else len(ALL_PAULI))


def _near_down(last: xr.Dataset) -> bool:
    return "sz" in last and float(last.sz) < -0.9
