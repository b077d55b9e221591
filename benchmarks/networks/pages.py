"""The page of the table and its figure, from docs/networks/table.csv: nobody copies numbers by hand."""

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter
from PIL import Image

from neurho.report import GREY, STYLE, image
from neurho.report.panels import new_figure

DOCS = Path(__file__).parents[2] / "docs"
ROWS = DOCS / "networks" / "table.csv"
PAGE = DOCS / "networks" / "table.md"
PICTURE = DOCS / "figures" / "networks.png"

COLUMNS: tuple[str, ...] = (
    "system",
    "network",
    "parameters",
    "n",
    "how",
    "lambda",
    "residual",
    "others",
    "left",
    "ended",
    "steps",
    "by",
    "seconds",
    "distance",
    "trace_distance",
    "sz",
    "structure_xx",
    "smallest",
)
LAMBDAS = {"0.3333": "1/3"}
KEY = ("system", "network", "n", "how", "lambda")
SIZES = (200, 800, 3000)
SYSTEMS = {
    "xyz-3x3-1.2": "XYZ on the 3x3 torus, J = (0.9, 1.2, 1)",
    "xyz-3x3-1": "XYZ on the 3x3 torus, J = (0.9, 1, 1)",
    "ising-ring-8-g2": "Ising ring of 8, V = 2, g = 2",
    "ising-ring-8-g1": "Ising ring of 8, V = 2, g = 1",
    "chain-8-B1": "Open chain of 8, B = 1, J = (2, 0, 1)",
}
LOOKS = {
    "mpdo": ("#0072B2", "s"),
    "liouville, translations": ("#009E73", "o"),
    "convolution": ("#D55E00", "D"),
    "rbm, translations": ("#E69F00", "^"),
    "liouville": ("#66C2A5", "v"),
    "rbm": ("#F0C566", "<"),
    "ndm": ("#CC79A7", ">"),
    "gram": ("#56B4E9", "P"),
    "outcomes": ("#444444", "X"),
}
"""Colours and markers, in the order in which networks stand."""


def size_of(row: dict[str, Any]) -> int:
    """Which of the sizes that were asked for."""
    return min(SIZES, key=lambda size: abs(size - int(row["parameters"])))


def read() -> list[dict[str, str]]:
    if not ROWS.exists():
        return []
    with ROWS.open(newline="") as file:
        return list(csv.DictReader(file))


def printed(row: dict[str, Any]) -> dict[str, str]:
    """What stands in the CSV."""
    return {
        name: f"{row[name]:.4g}" if isinstance(row.get(name), float) else str(row.get(name, "")) for name in COLUMNS
    }


def write(files: Iterable[Path]) -> None:
    """Rows of runs into the CSV, where the one with the smaller residual (or the later one) stays; page and figure."""
    kept: dict[tuple[str, ...], dict[str, str]] = {}
    made = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    for row in [*read(), *(printed(one) for one in made)]:
        key = tuple(row[name] for name in KEY)
        if key not in kept or float(row["residual"] or 0) <= float(kept[key]["residual"] or "inf"):
            kept[key] = row
    names, networks = list(SYSTEMS), list(LOOKS)

    def order(row: dict[str, str]) -> tuple[Any, ...]:
        return names.index(row["system"]), row["how"], size_of(row), networks.index(row["network"]), row["lambda"]

    rows = sorted((row for row in kept.values() if row["system"] in SYSTEMS), key=order)
    with ROWS.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(rows)


def draw(rows: list[dict[str, str]]) -> None:
    """Tables between the marks of the page, and the figure."""
    text = PAGE.read_text()
    for name in SYSTEMS:
        text = filled(text, name, fits_table([row for row in rows if row["system"] == name and row["how"] == "fit"]))
    text = filled(text, "searches", search_table([row for row in rows if row["how"] != "fit"]))
    PAGE.write_text(text)
    drawn = image(picture([row for row in rows if row["how"] == "fit"]), "png", dpi=110)
    Image.open(io.BytesIO(drawn)).convert("P", palette=Image.Palette.ADAPTIVE, colors=48).save(PICTURE, optimize=True)


def filled(text: str, mark: str, table: str) -> str:
    """The text with a table between two comments."""
    begin, end = f"<!-- rows: {mark} -->", "<!-- end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{table}\n\n{end}", text)


def bounded(row: dict[str, str] | None, name: str) -> str:
    """A number, with <= in front where the clock ended the search."""
    if row is None:
        return ""
    return ("" if row["ended"] == "converged" else "≤ ") + f"{float(row[name]):.2g}"


def lines(titles: str, cells: Iterable[Iterable[str]]) -> str:
    count = titles.count("|") + 1
    return "\n".join([f"| {titles} |", "|---" * count + "|", *(f"| {' | '.join(row)} |" for row in cells)])


def fits_table(rows: list[dict[str, str]]) -> str:
    """One line for a network and size, with both norms, the closest in the norm of lambda = 1 first."""
    pairs: dict[tuple[int, str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        norm = "one" if float(row["lambda"]) == 1 else "third"
        pairs.setdefault((size_of(row), row["network"], row["parameters"]), {})[norm] = row

    def closest(item: Any) -> tuple[int, float]:
        (size, *_), both = item
        return size, float(both["one"]["distance"]) if "one" in both else float("inf")

    def cells(item: Any) -> list[str]:
        (_, network, _), both = item
        one, third = both.get("one"), both.get("third")
        some = one or third
        return [
            network,
            some["parameters"],
            bounded(one, "residual"),
            f"{float(one['trace_distance']):.2g}" if one else "",
            f"{float(one['smallest']):+.0e}" if one else "",
            bounded(third, "residual"),
            f"{float(third['sz']):+.1e}" if third else "",
            f"{float(third['structure_xx']):+.1e}" if third else "",
            " + ".join(f"{float(row['seconds']):.0f}" for row in (third, one) if row),
        ]

    titles = (
        "network | parameters | distance, λ = 1 | its trace distance | its smallest eigenvalue | "
        "distance, λ = 1/3 | its m_z | its S^xx(0) | seconds"
    )
    return lines(titles, map(cells, sorted(pairs.items(), key=closest)))


def search_table(rows: list[dict[str, str]]) -> str:
    """One line for each search."""

    def cells(row: dict[str, str]) -> list[str]:
        return [
            row["system"],
            row["network"],
            row["parameters"],
            row["how"],
            LAMBDAS.get(row["lambda"], row["lambda"]),
            bounded(row, "residual") if row["residual"] else "",
            f"{float(row['distance']):.2g}",
            f"{float(row['trace_distance']):.2g}",
            f"{float(row['sz']):+.1e}",
            f"{float(row['structure_xx']):+.1e}",
            f"{float(row['smallest']):+.0e}",
            f"{float(row['seconds']):.0f}, {row['ended']}",
        ]

    titles = (
        "system | network | parameters | search | λ | ‖Lρ‖/‖ρ‖ | distance, λ = 1 | trace distance | m_z | S^xx(0) | "
        "smallest eigenvalue | seconds"
    )
    return lines(titles, map(cells, rows))


def picture(rows: list[dict[str, str]]) -> Figure:
    """Distance against parameters, a row of panels for each norm; open markers: ended by the clock."""
    names = [name for name in SYSTEMS if any(row["system"] == name for row in rows)]
    norms = {"1": "λ = 1", "0.3333": "λ = 1/3"}
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(len(norms), len(names), width=11.0, height=5.8)
        for line, norm in enumerate(norms):
            for column, name in enumerate(names):
                axis = axes[line, column]
                for network, (colour, marker) in LOOKS.items():
                    own = [r for r in rows if (r["system"], r["network"], r["lambda"]) == (name, network, norm)]
                    own = sorted(own, key=lambda row: int(row["parameters"]))
                    places = [(int(row["parameters"]), float(row["residual"])) for row in own]
                    if places:
                        axis.plot(*zip(*places, strict=True), color=colour, linewidth=1.0)
                    for row, place in zip(own, places, strict=True):
                        face = colour if row["ended"] == "converged" else "white"
                        axis.plot(*place, marker, color=colour, markerfacecolor=face, markersize=5)
                axis.set_xscale("log")
                axis.set_xlim(130, 4500)
                axis.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
                axis.set_xticks([], minor=True)
                if axis.lines:
                    axis.set_yscale("log")
                    axis.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
                    axis.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
                if line == 0:
                    axis.set_title(SYSTEMS[name].replace(", J", "\nJ").replace(", V", "\nV").replace(", B", "\nB"))
                else:
                    axis.set_xlabel("real parameters")
                if column == 0:
                    axis.set_ylabel(f"distance, {norms[norm]}")
                axis.grid(linewidth=0.3, alpha=0.5)
        there = {row["network"] for row in rows}
        looks = [(name, *look) for name, look in LOOKS.items() if name in there]
        marks = [Line2D([], [], color=c, marker=m, linestyle="-", label=n) for n, c, m in looks]
        marks.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="", label="cut"))
        figure.legend(handles=marks, loc="outside lower center", ncols=10)
    return figure
