"""The pictures of the gallery, from problem files: `python docs/gallery/draw.py [NAME ...]`, or `make gallery`.

Runs go to runs/gallery and are kept: what is there is only drawn.
"""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from neurho import records, report
from neurho.report.panels import new_figure

HERE = Path(__file__).parent
RUNS = Path("runs/gallery")
WEIGHTS = range(3, 10)
"""Cuts of the ladder: strings of up to so many of nine sites."""


def neurho(*words: str) -> None:
    """Run one command."""
    subprocess.run([sys.executable, "-m", "neurho.cli", *words], check=True)


def series_of(name: str, problem: str, *changes: str) -> xr.Dataset:
    """The series of a run, made if it is not there."""
    directory = RUNS / name
    if not (directory / records.SUMMARY).exists():
        settings = [word for change in changes for word in ("--set", change)]
        neurho("run", problem, "--quiet", "--out", str(directory), *settings)
    return records.read_series(directory)


def quench() -> Figure:
    """A quench of 16 spins on a torus by two cuts: strings of up to three sites, and of up to six."""
    wanted = [name + error for name in ("sz", "szsz", "sxsx") for error in ("", "_error")]
    cuts = {3: series_of("torus-3", "torus", "task.weight=3"), 6: series_of("torus", "torus")}
    words = {k: str((records.read_summary(RUNS / name) or {})["verdict"]) for k, name in ((3, "torus-3"), (6, "torus"))}
    return report.overlay(
        [
            report.Shown(run[wanted], f"correlators of up to {k} sites ({int(run.strings[-1]):,} strings)", words[k])
            for k, run in cuts.items()
        ]
    )


def structure() -> Figure:
    """Structure factors of a ring after a quench from the Neel state, with error bars."""
    last = series_of("structure", str(HERE / "structure.toml")).isel(t=-1, drop=True)
    return report.structure_map(last, ["structure_xx_k", "structure_zz_k"])


def processor() -> Figure:
    """Nine qubits, five microseconds after a pi/2 pulse."""
    last = series_of("processor", "processor", "task.method=correlators", "task.tolerance=1e-6").isel(t=-1, drop=True)
    return report.lattice_map(last, ["sx", "sy", "sz"], (3, 3))


def spreading() -> Figure:
    """Two excitations that spread along a chain and decay."""
    return report.space_time(series_of("spreading", str(HERE / "spreading.toml")), ["sz"])


def phases() -> Figure:
    """Stationary states of the XYZ model along two couplings."""
    directory = RUNS / "phases"
    if not (directory / "sweep.nc").exists():
        grid = ("--set", "model.coupling.0=0.6:1.4:9", "--set", "model.coupling.1=0.6:1.4:9")
        neurho("sweep", str(HERE / "phases.toml"), *grid, "--out", str(directory), "--workers", "1", "--quiet")
    figure = report.phase_diagram(xr.load_dataset(directory / "sweep.nc"), ["sz", "structure_xx", "structure_yy"])
    for axis in figure.axes[:3]:
        axis.set_xlabel("$J_x$ ($J_z = 1$)")
        axis.set_ylabel("$J_y$")
    return figure


def ladder() -> Figure:
    """The error bar of a stationary value, and its true error, as longer strings are kept."""
    exact = float(series_of("exact", str(HERE / "ladder.toml"), "task.method=exact").sz[-1])
    runs = [series_of(f"ladder-{k}", str(HERE / "ladder.toml"), f"task.weight={k}") for k in WEIGHTS]
    means, bars = (np.array([float(run[name][-1]) for run in runs]) for name in ("sz", "sz_error"))
    strings = [int(run.strings[-1]) for run in runs]
    with mpl.rc_context(report.STYLE):
        figure, axes = new_figure(1, 2, width=7.6, height=3.0)
        left, right = axes[0]
        left.errorbar(WEIGHTS, means, bars, fmt="o", markersize=4, capsize=3, color=report.BLUE, label="correlators")
        left.axhline(exact, color=report.GREY, linestyle=(0, (4, 2)), linewidth=1.1, label="exact")
        left.set_ylabel(r"$\langle\sigma^z\rangle$")
        right.semilogy(WEIGHTS, bars, "s-", markersize=4, color=report.ORANGE, label="error bar of the run")
        right.semilogy(WEIGHTS, np.abs(means - exact), "o-", markersize=4, color=report.BLUE, label="true error")
        for axis in (left, right):
            axis.set_xlabel("largest number of sites of a string $K$\n(strings kept)")
            axis.set_xticks(WEIGHTS, [f"{k}\n{count:,}" for k, count in zip(WEIGHTS, strings, strict=True)], fontsize=7)
            axis.legend()
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "quench": quench,
    "structure": structure,
    "processor": processor,
    "spreading": spreading,
    "ladder": ladder,
    "phases": phases,
}


def save(name: str, figure: Any) -> None:
    """A small PNG: 128 colours are enough for lines and maps."""
    picture = Image.open(io.BytesIO(report.image(figure, "png", dpi=130))).convert("RGB")
    picture.quantize(128).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    for asked in sys.argv[1:] or PICTURES:
        save(asked, PICTURES[asked]())
        print(HERE / f"{asked}.png")
