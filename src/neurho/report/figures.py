"""Figures of finished runs."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurho._types import CORRECTED, NeurhoError
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
    symbol,
)
from neurho.report.style import BLUE, GREY, ONE_SITE, PAULI_NAMES, STYLE, SYMBOLS, TIME, TWO_SITE

ROUNDING = 1e-15
"""Eigenvalues of S below this times the largest are zero as far as double precision can tell."""


def time_curves(series: xr.Dataset, reference: xr.Dataset | None = None, *, label: str = "exact") -> Figure:
    """Dynamics as in the paper's Fig. 2: (a) one-site means, (b) bond correlations, (c) distance from the truth."""
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, 3, width=10.2, height=3.2)
        one, two = averages(series, "site"), averages(series, "bond")
        draw_curves(axes[0, 0], series, reference, one, label)
        axes[0, 0].set_ylabel(r"$\langle\sigma^a\rangle$, site average" if one == ONE_SITE else "site average")
        draw_curves(axes[0, 1], series, reference, two, label)
        bonds = r"$\langle\sigma^a_j\sigma^a_{j+1}\rangle$, bond average"
        axes[0, 1].set_ylabel(bonds if two == TWO_SITE else "bond average")
        shown = [n for n in ("delta_rho", "trace_distance") if has_values(series, n)]
        draw_errors(axes[0, 2], series, shown or [n for n in ("delta_L", "residual") if has_values(series, n)][:1])
        if len(shown) > 1:
            axes[0, 2].set_ylabel("distance from the exact state")
        for axis, letter in zip(axes[0], "abc", strict=True):
            axis.set_xlabel(TIME)
            draw_letter(axis, letter)
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
        figure, axes = new_figure(2, 2, width=8.2, height=5.8)
        draw_magnetisation(axes[0, 0], series, reference, label, near_down=down)
        draw_errors(axes[0, 1], series, [n for n in ("delta_L",) if has_values(series, n)])
        # Near the all-down state <sz sz> is 1 and would hide the others.
        two = averages(series, "bond")
        draw_curves(axes[1, 0], series, reference, TWO_SITE[:2] if down else two, label)
        axes[1, 0].set_ylabel(r"$\langle\sigma^a_j\sigma^a_l\rangle$, bond average")
        for axis in (axes[0, 0], axes[0, 1], axes[1, 0]):
            axis.set_xlabel(TIME)
        draw_sites(axes[1, 1], last, reference, label, near_down=down)
        for axis, letter in zip(axes.flat, "abcd", strict=True):
            draw_letter(axis, letter)
    return figure


def averages(series: xr.Dataset, place: str) -> tuple[str, ...]:
    """Means over sites or bonds: of Pauli matrices where there are some, otherwise of what the problem names."""
    pauli = ONE_SITE if place == "site" else TWO_SITE
    if any(name in series for name in pauli):
        return pauli
    return tuple(str(name) for name in series.data_vars if f"{name}_{place}" in series)


def named_curves(series: xr.Dataset, reference: xr.Dataset | None = None, *, label: str = "exact") -> Figure:
    """Operators that the problem names, beside Pauli matrices: means over sites and bonds, where there are some."""
    places = [place for place in ("site", "bond") if named(series, place)]
    if not places:
        raise NeurhoError("The run has no operators named in [observables] to draw.")
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, len(places), width=3.6 * len(places), height=3.0)
        for axis, place in zip(axes[0], places, strict=True):
            draw_curves(axis, series, reference, named(series, place), label)
            axis.set_ylabel(f"{place} average")
            axis.set_xlabel(TIME)
    return figure


def named(series: xr.Dataset, place: str) -> list[str]:
    """Names of the problem's own operators on sites or bonds."""
    found = [str(name) for name in series.data_vars if f"{name}_{place}" in series]
    return [name for name in found if name.removesuffix(CORRECTED) not in PAULI_NAMES]


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
    if pauli and (named(series, "site") or named(series, "bond")):
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
    if any(has_values(series, name) for name in SYMBOLS):
        figures["diagnostics"] = diagnostics(series)
    return figures


def diagnostics(series: xr.Dataset) -> Figure:
    """Everything that tells whether to trust a run, one small panel each."""
    names = [n for n in SYMBOLS if has_values(series, n) and series[n].dims == ("t",)]
    if not names:
        raise NeurhoError("The run has no diagnostics to draw.")
    columns = min(3, len(names))
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(
            -(-len(names) // columns), columns, width=3.3 * columns, height=2.3 * -(-len(names) // columns)
        )
        for axis, name in zip(axes.flat, names, strict=False):
            draw_errors(axis, series, [name])
            axis.set_xlabel(TIME)
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
    """Curves of both (above) and their differences with error bands (below), one column for each common observable."""
    names = [n for n in (*ONE_SITE, *TWO_SITE) if has_values(series, n) and has_values(other, n)]
    if not names:
        raise NeurhoError(f"There is nothing to compare: {labels[0]} and {labels[1]} have no observable in common.")
    inside, aligned = align(series, other)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(2, len(names), width=max(2.6 * len(names), 4.0), height=4.4, sharex=True)
        for column, name in enumerate(names):
            above, below = axes[:, column]
            above.plot(series.t, series[name], color=BLUE, label=labels[0])
            draw_reference(above, other, name, GREY, labels[1])
            error = np.hypot(error_of(inside, name), error_of(aligned, name))
            difference = inside[name].values - aligned[name].values
            below.axhline(0, color=GREY, linewidth=0.8)
            below.fill_between(inside.t, difference - error, difference + error, color=BLUE, alpha=0.25, linewidth=0)
            below.plot(inside.t, difference, color=BLUE)
            below.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
            above.set_title(symbol(name), fontsize=10)
            below.set_xlabel(TIME)
        axes[0, 0].legend()
        axes[0, 0].set_ylabel("value")
        axes[1, 0].set_ylabel("difference")
    return figure


def _near_down(last: xr.Dataset) -> bool:
    return "sz" in last and float(last.sz) < -0.9
