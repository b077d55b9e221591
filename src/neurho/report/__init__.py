"""Figures and comparisons of finished runs, from their series alone.

Each figure function takes an `xarray.Dataset` as `series.nc` holds it, optionally a reference, and returns a
`matplotlib.figure.Figure`; nothing is written and no global state of matplotlib is touched. A reference is a dataset
with the same variable names: with a coordinate `t` it is a curve, without it a stationary state.
"""

from neurho.report.citations import bibtex, citations
from neurho.report.compare import Deviation, align, averaged, deviations
from neurho.report.external import read_curves
from neurho.report.figures import all_figures, comparison, diagnostics, named_curves, profile, spectrum, time_curves
from neurho.report.maps import correlation_map, lattice_map, space_time, structure_map
from neurho.report.overlay import Shown, overlay
from neurho.report.page import certificate, page
from neurho.report.panels import image
from neurho.report.phase import phase_diagram
from neurho.report.style import BLUE, COLOURS, GREEN, GREY, ORANGE, STYLE, TIME

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ORANGE",
    "STYLE",
    "TIME",
    "Deviation",
    "Shown",
    "align",
    "all_figures",
    "averaged",
    "bibtex",
    "certificate",
    "citations",
    "comparison",
    "correlation_map",
    "deviations",
    "diagnostics",
    "image",
    "lattice_map",
    "named_curves",
    "overlay",
    "page",
    "phase_diagram",
    "profile",
    "read_curves",
    "space_time",
    "spectrum",
    "structure_map",
    "time_curves",
]
