"""Figures of a run: which, from what, and where to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from neurho.config import Config


def source_of(reference: Any) -> str:
    """What to call a reference in a figure: the method that found it, if it says so."""
    from neurho.config import REFERENCES

    source = None if reference is None else reference.attrs.get("source")
    return source if source in REFERENCES else "reference"


def figures_of(settings: "Config", series: Any, truth: Any) -> dict[str, Any]:
    """Every figure that makes sense for a run, by name."""
    from neurho import report
    from neurho.session.loop import average_of

    shape = () if settings.lattice.kind == "edges" else settings.lattice.shape
    return report.all_figures(series, truth, label=source_of(truth), shape=shape, average=average_of(settings))


def spectrum_of(built: Any, directory: Path, *, trust: bool = False) -> dict[str, Any]:
    """The spectrum of S at the last state of a run, from new samples."""
    import jax

    from neurho import report
    from neurho.matrix_elements.tdvp.spectrum import metric_spectrum
    from neurho.run import inheritance

    network, task = inheritance.last_network(directory, trust=trust), built.config.task
    values = metric_spectrum(built.driver.samplers[0], network, jax.random.key(built.config.seed))
    return {"spectrum": report.spectrum(values, ridge=task.ridge, cutoff=task.cutoff)}


def endings_of(ending: str) -> tuple[str, ...]:
    """The formats that `--format` asks for."""
    if ending not in ("", "png", "pdf", "svg"):
        raise typer.BadParameter(f"it must be png, pdf or svg, but it is {ending!r}", param_hint="--format")
    return (ending,) if ending else ("png", "pdf")


def write_figures(directory: Path, figures: dict[str, Any], endings: tuple[str, ...]) -> None:
    """Write figures into the folder `figures` of a run directory, and print where."""
    from neurho import records, report

    for name, figure in figures.items():
        for ending in endings:
            path = directory / "figures" / f"{name}.{ending}"
            records.write_file(path, report.image(figure, ending))
            print(path)
