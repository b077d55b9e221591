"""`neurho watch`, `show`, `plot`, `report` and `compare`: what a run has found."""

from pathlib import Path
from typing import Annotated

import typer

from neurho.cli.drawing import (
    endings_of,
    figures_of,
    require_same,
    shown_run,
    source_of,
    spectrum_of,
    write_figures,
)
from neurho.cli.opened import build_problem, settings_of, summary_of
from neurho.cli.options import Directories, Directory, Ending, Reference, Spectrum, Trust
from neurho.cli.printing import print_deviations, print_summary
from neurho.cli.references import for_figures, read_other, reference_of


def watch(
    directory: Directory,
    once: Annotated[bool, typer.Option("--once", help="Print the state now, and stop.")] = False,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Watch a run from another terminal."""
    from neurho import records
    from neurho.cli.watching import say_gone, watch_run

    records.read_problem(directory)
    if not watch_run(directory, once=once, interval=interval):
        say_gone(directory)


def show(directories: Directories) -> None:
    """Print what a run found, or several, one after the other."""
    for directory in directories:
        settings = settings_of(directory)
        print_summary(directory, settings, summary_of(directory, settings))


def plot(
    directories: Directories,
    ending: Ending = "",
    reference: Reference = True,
    spectrum: Spectrum = False,
    trust: Trust = False,
) -> None:
    """Draw the figures of a run, into its directory; of several runs of one problem, one figure of all of them."""
    from neurho import records

    endings, directory = endings_of(ending), directories[0]
    if len(directories) > 1:
        if spectrum:
            raise typer.BadParameter("it is of one run", param_hint="--spectrum")
        _plot_together(directories, endings, reference=reference)
        return
    settings, series = settings_of(directory), records.read_series(directory)
    built = build_problem(settings, trust=trust) if reference or spectrum else None
    figures = figures_of(settings, series, for_figures(settings, built) if built and reference else None)
    write_figures(
        directory, figures | (spectrum_of(built, directory, trust=trust) if built and spectrum else {}), endings
    )


def _plot_together(directories: list[Path], endings: tuple[str, ...], *, reference: bool) -> None:
    """One figure of several runs, into the directory of the first."""
    from neurho import records, report
    from neurho.session.loop import average_of

    found = [settings_of(directory) for directory in directories]
    require_same(directories, found)
    runs = []
    for directory, settings in zip(directories, found, strict=True):
        series = records.read_series(directory)
        runs.append(shown_run(settings, series, summary_of(directory, settings)))
    truth = for_figures(found[0], build_problem(found[0])) if reference else None
    figure = report.overlay(runs, truth, label=source_of(truth), average=average_of(found[0]))
    write_figures(directories[0], {"overlay": figure}, endings)


def report_command(
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the page [default: DIR/report.html].")
    ] = None,
    reference: Reference = True,
    spectrum: Spectrum = False,
    trust: Trust = False,
) -> None:
    """Write one HTML page with everything about a run."""
    from neurho import records, report

    settings, series = settings_of(directory), records.read_series(directory)
    built = build_problem(settings, trust=trust) if reference or spectrum else None
    figures = figures_of(settings, series, for_figures(settings, built) if built and reference else None)
    text = report.page(
        directory.resolve().name,
        settings,
        summary_of(directory, settings),
        records.read_provenance(directory),
        records.read_problem(directory),
        figures | (spectrum_of(built, directory, trust=trust) if built and spectrum else {}),
    )
    path = out if out is not None else directory / "report.html"
    records.write_file(path, text.encode())
    print(path)


def compare(
    directory: Directory,
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[OTHER]", help="Another run or a CSV or netCDF file [default: the reference]."),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            metavar="METHOD|FILE",
            help="auto, exact, matrix-product, trajectories, correlators, or curves [default: what the problem says].",
        ),
    ] = "",
    ending: Ending = "",
    trust: Trust = False,
) -> None:
    """Compare a run with another method, another run, or curves in a file."""
    from neurho import records, report

    if other is not None and reference:
        raise typer.BadParameter("it cannot stand beside OTHER", param_hint="--reference")
    endings = endings_of(ending)
    settings, series = settings_of(directory), records.read_series(directory)
    truth = (
        reference_of(settings, build_problem(settings, trust=trust), reference) if other is None else read_other(other)
    )
    label = str(other) if other is not None else source_of(truth)
    if settings.task.kind == "stationary":
        if "t" in truth.dims:
            truth = report.averaged(truth, settings.task.average)
        figure = report.profile(series, truth, average=settings.task.average, label=label)
        found = report.deviations(report.averaged(series, settings.task.average), truth)
    else:
        figure = report.comparison(series, truth, labels=(str(directory), label))
        found = report.deviations(series, truth)
    print_deviations(f"{directory} compared with {label}", found)
    write_figures(directory, {"comparison": figure}, endings)
