"""How figures look: fonts, colours told apart by everyone, symbols."""

from typing import Any

from neurho._types import GAMMA

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
    # Outlines, not text: where a browser lacks the font, letters such as the script L of Liouville would be boxes.
    "svg.fonttype": "path",
    "mathtext.fontset": "dejavusans",
}


# Okabe & Ito: told apart by everyone, and in print.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#444444"


COLOURS = {"x": BLUE, "y": ORANGE, "z": GREEN}


CYCLE = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", GREY)
TIME = r"time $t$ ($1/\gamma$)"
GAMMAS = {r"($1/\gamma$)": "{unit}", r"($\gamma$)": "1/{unit}", r"($\gamma^2$)": "1/{unit}$^2$"}
"""Units in labels, and what stands for them where time has a unit with a name."""


def in_unit(label: str, unit: str) -> str:
    """A label with a unit of time, such as "us", in place of 1/gamma."""
    if unit == GAMMA:
        return label
    unit = unit.replace("us", "\u03bcs")
    for gamma, named in GAMMAS.items():
        label = label.replace(gamma, f"({named.format(unit=unit)})")
    return label
