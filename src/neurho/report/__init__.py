"""Figures and comparisons of finished runs, from their series alone.

Each figure function takes an `xarray.Dataset` as `series.nc` holds it, optionally a reference, and returns a
`matplotlib.figure.Figure`; nothing is written and no global state of matplotlib is touched. A reference is a dataset
with the same variable names: with a coordinate `t` it is a curve, without it a stationary state.
"""

from neurho.report.compare import Deviation, align, averaged, deviations
from neurho.report.figures import comparison, diagnostics, profile, time_curves
from neurho.report.panels import image
from neurho.report.style import BLUE, COLOURS, GREEN, GREY, ONE_SITE, ORANGE, STYLE, SYMBOLS, TIME, TWO_SITE

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ONE_SITE",
    "ORANGE",
    "STYLE",
    "SYMBOLS",
    "TIME",
    "TWO_SITE",
    "Deviation",
    "align",
    "averaged",
    "comparison",
    "deviations",
    "diagnostics",
    "image",
    "profile",
    "time_curves",
]
