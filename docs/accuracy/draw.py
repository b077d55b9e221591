"""The two figures of docs/accuracy.md, from goals.csv and reach.csv: `python docs/accuracy/draw.py`.

goals.csv has the goal and the error reached for each case and method, reach.csv the time to which a goal was met. The
column `page` says which page has the number and how to repeat it.
"""

import csv
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from neurho.report import BLUE, GREEN, GREY, ORANGE, STYLE, image
from neurho.report.panels import new_figure

HERE = Path(__file__).parent
COLOURS = {"Eq. 2": ORANGE, "labels": GREEN, "labels with translations": "#56B4E9", "correlators": BLUE}
LEAST = 1e-5
"""Ratios of error and goal below this are drawn as arrows at the edge."""


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table."""
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


def unique(values: list[str]) -> list[str]:
    """Each value once, in order."""
    return list(dict.fromkeys(values))


def pretty(case: str) -> str:
    """The name of a case with its symbols."""
    symbols = {"m_z": "$m_z$", "m_x": "$m_x$", "delta_L": r"$\delta_L$", "S^xx(0)": "$S^{xx}(0)$", "Jy": "$J_y$"}
    for plain, symbol in symbols.items():
        case = case.replace(plain, symbol)
    return case


def goals() -> Figure:
    """Error over goal of each case, one point for each method; left of the line the goal is reached."""
    data = rows("goals.csv")
    cases = unique([f"{row['case']}: {row['quantity']}" for row in data])
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, 1, width=8.2, height=0.32 * len(cases) + 1.0)
        axis = axes[0, 0]
        for method in unique([row["method"] for row in data]):
            own = [row for row in data if row["method"] == method]
            places = [cases.index(f"{row['case']}: {row['quantity']}") for row in own]
            ratios = [max(float(row["error"]) / float(row["goal"]), LEAST) for row in own]
            axis.plot(ratios, places, "o", color=COLOURS[method], markersize=5.5, label=method)
            further = [place for place, ratio in zip(places, ratios, strict=True) if ratio == LEAST]
            axis.plot([0.75 * LEAST] * len(further), further, "<", color=COLOURS[method], markersize=4)
        axis.axvspan(LEAST / 2, 1, color=GREY, alpha=0.06, linewidth=0)
        axis.axvline(1, color=GREY, linewidth=0.9)
        axis.set_xscale("log")
        axis.set_xlim(LEAST / 2, 10)
        axis.set_yticks(range(len(cases)), [pretty(case) for case in cases])
        axis.set_ylim(len(cases) - 0.5, -0.5)
        axis.grid(axis="y", linewidth=0.4, alpha=0.5)
        axis.set_xlabel("error / goal (shaded: reached)")
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def reach() -> Figure:
    """The time to which m_z met its goal, one bar for each start and method."""
    data = rows("reach.csv")
    starts, methods = unique([row["start"] for row in data]), unique([row["method"] for row in data])
    height = 0.8 / len(methods)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(1, 1, width=7.0, height=3.4)
        axis = axes[0, 0]
        for number, method in enumerate(methods):
            own = {row["start"]: float(row["reached"]) for row in data if row["method"] == method}
            places = [k + (number - (len(methods) - 1) / 2) * height for k in range(len(starts))]
            style: dict[str, Any] = {"color": COLOURS[method], "label": method}
            axis.barh(places, [own[start] for start in starts], 0.85 * height, **style)
        limits = {row["start"]: (float(row["t"]), row["goal"]) for row in data}
        for k, start in enumerate(starts):
            axis.plot([limits[start][0]] * 2, [k - 0.45, k + 0.45], color=GREY, linewidth=1.2)
        axis.set_yticks(range(len(starts)), [f"{start}\n(within {limits[start][1]})" for start in starts])
        axis.invert_yaxis()
        axis.set_xlabel(r"time $t$ ($1/\gamma$) to which $\langle\sigma^z\rangle$ is good; line: how far was asked for")
        figure.legend(loc="outside upper center", ncols=4)
    return figure


if __name__ == "__main__":
    for name, figure in {"goals": goals(), "reach": reach()}.items():
        (HERE.parent / "figures" / f"{name}.png").write_bytes(image(figure, "png", dpi=120))
