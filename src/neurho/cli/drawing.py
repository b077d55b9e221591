"""Figures of a run: which, from what, and where to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from neurho.config import Config
    from neurho.records import Record
    from neurho.report import Shown
    from neurho.run.problem import Problem


def source_of(reference: "xr.Dataset | None") -> str:
    """What to call a reference in a figure: the method that found it, if it says so."""
    from neurho.config import REFERENCES

    source = None if reference is None else reference.attrs.get("source")
    return source if source in REFERENCES else "reference"


def figures_of(settings: "Config", series: "xr.Dataset", truth: "xr.Dataset | None") -> "dict[str, Figure]":
    """Every figure that makes sense for a run, by name."""
    from neurho import report
    from neurho.session.loop import average_of

    shape = () if settings.lattice.kind == "edges" else settings.lattice.shape
    return report.all_figures(series, truth, label=source_of(truth), shape=shape, average=average_of(settings))


def require_same(directories: Sequence[Path], found: Sequence["Config"]) -> None:
    """Refuse runs in one figure that are not of one problem: lattice, model, task, and the state they begin with."""
    from neurho._types import NeurhoError

    first = found[0]
    for directory, settings in zip(directories[1:], found[1:], strict=True):
        starts = [getattr(one.initial, "bloch", None) for one in (first, settings)]
        evolve = first.task.kind == "evolve"
        differs = [name for name in ("lattice", "model") if getattr(first, name) != getattr(settings, name)]
        differs += ["task.kind"] if first.task.kind != settings.task.kind else []
        differs += ["initial.bloch"] if evolve and starts[0] != starts[1] else []
        if differs:
            raise NeurhoError(
                f"Runs in one figure must be of one problem, but `{directories[0]}` and `{directory}` differ in "
                f"{' and '.join(differs)}."
            )


def shown_run(settings: "Config", series: "xr.Dataset", summary: "Record") -> "Shown":
    """A run for a figure of several, with the name of its method and its verdict."""
    from neurho import report
    from neurho.config import WITHOUT_NETWORK

    method, own = settings.task.method, settings.task.method in WITHOUT_NETWORK
    if not own:
        method = f'network "{getattr(settings.ansatz, "kind", "")}" by "{method}"'
    return report.Shown(series, method, summary["verdict"], own=own)


def spectrum_of(built: "Problem", directory: Path, *, trust: bool = False) -> "dict[str, Figure]":
    """The spectrum of S at the last state of a run, from new samples."""
    import jax

    from neurho import report
    from neurho.matrix_elements.tdvp.spectrum import metric_spectrum
    from neurho.run import inheritance

    network, task = inheritance.last_network(directory, trust=trust), built.config.task
    driver: Any = built.driver  # one that has a network
    values = metric_spectrum(driver.samplers[0], network, jax.random.key(built.config.seed))
    return {"spectrum": report.spectrum(values, ridge=task.ridge, cutoff=task.cutoff)}


def endings_of(ending: str) -> tuple[str, ...]:
    """The formats that `--format` asks for."""
    if ending not in ("", "png", "pdf", "svg"):
        raise typer.BadParameter(f"it must be png, pdf or svg, but it is {ending!r}", param_hint="--format")
    return (ending,) if ending else ("png", "pdf")


def write_figures(directory: Path, figures: "Mapping[str, Figure]", endings: tuple[str, ...]) -> None:
    """Write figures into the folder `figures` of a run directory, and print where."""
    from neurho import records, report

    for name, figure in figures.items():
        for ending in endings:
            path = directory / "figures" / f"{name}.{ending}"
            records.write_file(path, report.image(figure, ending))
            print(path)
