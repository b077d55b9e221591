"""The commands."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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
from neurho.cli.drive import accompany, drive
from neurho.cli.printing import complain, print_deviations, print_facts, print_summary
from neurho.cli.references import for_figures, read_other, reference_of
from neurho.session.interrupt import Interrupted, signals

if TYPE_CHECKING:
    from neurho.cli.progress import Voice
    from neurho.config import Config
    from neurho.records import Run

T = TypeVar("T")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Neural density matrices: dynamics and stationary states of open quantum many-body systems.",
)


Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]

Directories = Annotated[
    list[Path], typer.Argument(metavar="DIR...", help="One run directory, or several.", show_default=False)
]

Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", help="Split the processor into N devices [default: 1].")
]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, metavar="N", help="This is one of N processes of one run.")
]
ProcessId = Annotated[
    int | None, typer.Option("--process-id", min=0, metavar="K", help="The number of this process, from 0.")
]
Coordinator = Annotated[
    str | None, typer.Option("--coordinator", metavar="HOST:PORT", help="Where process 0 listens to the others.")
]
Distributed = Annotated[
    bool, typer.Option("--distributed", help="One of several processes, which SLURM or Open MPI has started.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, metavar="N", help="Spread trajectories over N processes here.")
]
Scheduler = Annotated[
    str,
    typer.Option("--scheduler", metavar="ADDRESS", help="Spread trajectories over the workers of a dask scheduler."),
]
Cache = Annotated[bool, typer.Option(help="Keep compiled programs in the user's cache directory.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON for each output, on standard output.")]
Reference = Annotated[bool, typer.Option(help="Draw the exact or shipped reference where there is one.")]
Spectrum = Annotated[
    bool, typer.Option("--spectrum", help="Also the spectrum of S at the last state, from new samples.")
]
Trust = Annotated[bool, typer.Option("--trust", help='Run the code in the file of ansatz.kind = "python".')]
Plainly = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="The same as after --set.", show_default=False)
]
Wall = Annotated[
    str, typer.Option(metavar="TIME", help="Stop after so long with all saved: 3600, 90m, 12h [default: no limit].")
]


def main() -> None:
    """Entry point of the command: turns errors and signals into a sentence and an exit code."""
    signals.install()
    try:
        app()
    except Interrupted as stop:
        complain("stopped; there was nothing to save.")
        sys.exit(stop.code)
    except Exception as error:
        from neurho._types import NeurhoError

        if not isinstance(error, NeurhoError):
            raise
        complain(f"error: {error}")
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"neurho {installed('neurho')}")
        raise typer.Exit


@app.command("run")
def run_command(
    problem: Annotated[
        str, typer.Argument(metavar="PROBLEM", help="A TOML file or a shipped problem.", show_default=False)
    ],
    plainly: Plainly = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run directory, new or empty [default: runs/PROBLEM-N].")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the problem, print what it needs, and stop.")] = False,
    trust: Trust = False,
    quiet: Quiet = False,
    json: Json = False,
    wall: Wall = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the problem, as in task.t=1.0; repeatable."),
    ] = None,
    devices: Devices = None,
    cache: Cache = True,
    processes: Processes = None,
    process_id: ProcessId = None,
    coordinator: Coordinator = None,
    distributed: Distributed = False,
    workers: Workers = None,
    scheduler: Scheduler = "",
) -> None:
    """Run a problem."""
    from neurho import config

    _configure(devices, cache=cache)
    first = _join(processes, process_id, coordinator, distributed=distributed)
    settings = config.load(problem, [*(changes or ()), *(plainly or ())])
    config.require_trust(settings, trust=trust)
    if out is not None and not check:
        _by_first(lambda: _refuse_used(out), first=first)
    voice, text = _voice(quiet=quiet, json=json), config.dumps(settings)
    built = _build(_limited(settings, wall), trust=trust)
    _refuse_workers(built, workers, scheduler)
    if check and first:
        built.require_memory()
        print_facts(f"{problem} is a good problem", built.describe())
        if built.several_states:
            print(built.several_states)
    if check:
        return
    built.require_memory()
    from neurho import records

    with ExitStack() as held:

        def create() -> "Run":
            directory = out if out is not None else _free_directory(config.problem_name(problem))
            held.enter_context(records.locked(directory))
            return records.create(
                directory,
                text,
                fingerprint=config.fingerprint(settings),
                seed=settings.seed,
                bonds=built.lattice.bonds,
                pairs=settings.observables.pairs,
                keep=settings.output.keep,
            )

        run = _by_first(create, first=first)
        built = held.enter_context(_spread(built, workers, scheduler))
        if run is None:
            accompany(built, None)
        else:
            drive(built, run, None, voice)


@app.command()
def resume(
    directory: Directory,
    trust: Trust = False,
    quiet: Quiet = False,
    json: Json = False,
    wall: Wall = "",
    devices: Devices = None,
    cache: Cache = True,
    processes: Processes = None,
    process_id: ProcessId = None,
    coordinator: Coordinator = None,
    distributed: Distributed = False,
    workers: Workers = None,
    scheduler: Scheduler = "",
) -> None:
    """Go on with a run that was stopped."""
    from neurho import config, records
    from neurho._jax import parallel

    _configure(devices, cache=cache)
    first = _join(processes, process_id, coordinator, distributed=distributed)
    settings = _settings_of(directory)
    summary = records.read_summary(directory)
    done = summary is not None and summary.get("converged") and summary["fingerprint"] == config.fingerprint(settings)
    if parallel.agree(bool(done)):
        if first and summary is not None:
            print(f"The run {directory} is complete (t = {summary['t']:g}); there is nothing to go on with.")
        return
    config.require_trust(settings, trust=trust)
    settings, voice = _limited(settings, wall), _voice(quiet=quiet, json=json)
    built = _build(settings, trust=trust)
    _refuse_workers(built, workers, scheduler)
    with ExitStack() as held:

        def reopen() -> "tuple[Run, Any]":
            held.enter_context(records.locked(directory))
            run = records.reopen(
                directory,
                fingerprint=config.fingerprint(settings),
                bonds=built.lattice.bonds,
                pairs=settings.observables.pairs,
                keep=settings.output.keep,
            )
            return run, run.restore(built.template())

        run, state = _by_first(reopen, first=first) or (None, None)
        # What the others hold has the shape of the state, and takes its numbers.
        state = parallel.share(state if first else built.template()) if parallel.agree(state is not None) else None
        built = held.enter_context(_spread(built, workers, scheduler))
        if run is None:
            accompany(built, state)
        else:
            drive(built, run, state, voice)


@app.command()
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


@app.command()
def show(directory: Directory) -> None:
    """Print what a run found."""
    from neurho import records

    settings, series = _settings_of(directory), records.read_series(directory)
    print_summary(directory, settings, _summary_of(directory, settings, series))


@app.command()
def plot(
    directories: Directories,
    ending: Annotated[
        str, typer.Option("--format", metavar="png|pdf|svg", help="One format [default: png and pdf].")
    ] = "",
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
    settings, series = _settings_of(directory), records.read_series(directory)
    built = _build(settings, trust=trust) if reference or spectrum else None
    figures = figures_of(settings, series, for_figures(settings, built) if built and reference else None)
    write_figures(directory, figures | (spectrum_of(built, directory, trust=trust) if spectrum else {}), endings)


@app.command("report")
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

    settings, series = _settings_of(directory), records.read_series(directory)
    built = _build(settings, trust=trust) if reference or spectrum else None
    figures = figures_of(settings, series, for_figures(settings, built) if built and reference else None)
    text = report.page(
        directory.resolve().name,
        settings,
        _summary_of(directory, settings, series),
        records.read_provenance(directory),
        records.read_problem(directory),
        figures | (spectrum_of(built, directory, trust=trust) if spectrum else {}),
    )
    path = out if out is not None else directory / "report.html"
    records.write_file(path, text.encode())
    print(path)


@app.command()
def export(
    directory: Directory,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to [default: DIR/parameters.npz].")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write the parameters of a run's last state as one .npz file."""
    from neurho import records
    from neurho.run import inheritance

    _double_precision()
    path = file if file is not None else directory / "parameters.npz"
    records.save_parameters(path, inheritance.last_network(directory, trust=trust))
    print(path)


@app.command()
def cite(
    source: Annotated[
        str, typer.Argument(metavar="DIR|PROBLEM", help="A run directory or a problem.", show_default=False)
    ],
) -> None:
    """Print BibTeX of what a run rests on."""
    from neurho import config, records, report

    settings = _settings_of(Path(source)) if records.is_run(source) else config.load(source)
    print(report.bibtex(settings), end="")


@app.command()
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
    ending: Annotated[
        str, typer.Option("--format", metavar="png|pdf|svg", help="One format [default: png and pdf].")
    ] = "",
    trust: Trust = False,
) -> None:
    """Compare a run with another method, another run, or curves in a file."""
    from neurho import records, report

    if other is not None and reference:
        raise typer.BadParameter("it cannot stand beside OTHER", param_hint="--reference")
    endings = endings_of(ending)
    settings, series = _settings_of(directory), records.read_series(directory)
    truth = reference_of(settings, _build(settings, trust=trust), reference) if other is None else read_other(other)
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


@app.command()
def sweep(
    problem: Annotated[
        str,
        typer.Argument(metavar="PROBLEM|DIR", help="A problem, or a sweep to go on with.", show_default=False),
    ],
    plainly: Plainly = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUES", help="first:last:number or a,b,c sweeps a key; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="[default: runs/PROBLEM-sweep-N].")] = None,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="A dask scheduler [default: this machine].")] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 2,
    retries: Annotated[int, typer.Option(min=0, help="How often a point that fails is tried again.")] = 1,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Run a grid of problems; skip what is done, and collect one dataset."""
    from neurho.cli.sweeping import sweep_problems
    from neurho.config import problem_name

    directory = out if out is not None else _free_directory(f"{problem_name(problem)}-sweep")
    options: dict[str, Any] = {
        "scheduler": scheduler,
        "workers": workers,
        "retries": retries,
        "trust": trust,
        "quiet": quiet,
    }
    if sweep_problems(problem, [*(changes or ()), *(plainly or ())], directory, **options):
        raise typer.Exit(1)


@app.command()
def problems() -> None:
    """List the shipped problems."""
    from neurho.config import shipped

    for name, line in shipped().items():
        print(f"{name:14} {line}")


def _configure(devices: int | None, *, cache: bool) -> None:
    """Settings that JAX reads when it is imported; a program that has imported it keeps its own."""
    from neurho._jax.startup import configure

    if "jax" not in sys.modules or devices is not None:
        configure(devices=devices, cache=cache)


def _join(processes: int | None, process: int | None, coordinator: str | None, *, distributed: bool) -> bool:
    """Become one of several processes if asked to; whether this one writes and speaks."""
    one_by_one = (processes, process, coordinator)
    if not distributed and one_by_one == (None, None, None):
        return True
    if distributed and one_by_one != (None, None, None):
        raise typer.BadParameter("it finds the others by itself", param_hint="--distributed")
    if not distributed and None in one_by_one:
        raise typer.BadParameter("it needs --process-id and --coordinator beside it", param_hint="--processes")
    if processes is not None and process is not None and process >= processes:
        raise typer.BadParameter(f"it must be below {processes}, but it is {process}", param_hint="--process-id")
    from neurho._jax import parallel

    parallel.join(processes=processes, process=process, coordinator=coordinator)
    signals.together = True
    signals.install()  # JAX has taken SIGTERM for itself
    return parallel.is_first()


@contextmanager
def _spread(built: Any, workers: int | None, scheduler: str) -> Iterator[Any]:
    """The problem as it is, or worked on by the processes that were asked for."""
    if workers is None and not scheduler:
        yield built
        return
    from neurho.cli.cluster import client_of

    with client_of(scheduler, workers or 1) as client:
        yield built.spread_over(client)


def _refuse_workers(built: Any, workers: int | None, scheduler: str) -> None:
    """Say at once what no workers can share."""
    if workers is not None and scheduler:
        raise typer.BadParameter("it cannot stand beside --scheduler, which has workers", param_hint="--workers")
    if workers is not None or scheduler:
        built.spread_over(None)


def _by_first(action: Callable[[], T], *, first: bool) -> T | None:
    """What only the first process does, and gets; where it fails, all end."""
    from neurho._jax import parallel
    from neurho._types import NeurhoError

    error = result = None
    if first:
        try:
            result = action()
        except NeurhoError as raised:
            error = raised
    if parallel.agree(error is not None):
        raise error or typer.Exit(1)
    return result


def _double_precision() -> None:
    """What the physics needs; the library leaves this global setting to whoever starts it."""
    import jax

    jax.config.update("jax_enable_x64", True)


def _build(settings: "Config", *, trust: bool = False) -> Any:
    _double_precision()
    from neurho.run.problem import build

    return build(settings, trust=trust)


def _settings_of(directory: Path) -> "Config":
    from neurho import config, records

    return config.loads(records.read_problem(directory), where=str(directory / records.PROBLEM))


def _plot_together(directories: list[Path], endings: tuple[str, ...], *, reference: bool) -> None:
    """One figure of several runs, into the directory of the first."""
    from neurho import records, report
    from neurho.session.loop import average_of

    found = [_settings_of(directory) for directory in directories]
    require_same(directories, found)
    runs = []
    for directory, settings in zip(directories, found, strict=True):
        series = records.read_series(directory)
        runs.append(shown_run(settings, series, _summary_of(directory, settings, series)))
    truth = for_figures(found[0], _build(found[0])) if reference else None
    figure = report.overlay(runs, truth, label=source_of(truth), average=average_of(found[0]))
    write_figures(directories[0], {"overlay": figure}, endings)


def _summary_of(directory: Path, settings: "Config", series: Any) -> dict[str, Any]:
    """The summary of a run, or of what there is of it so far."""
    from neurho import config, records
    from neurho.session.loop import average_of

    summary = records.read_summary(directory)
    if summary is None or summary["snapshots"] != series.sizes["t"]:
        average = average_of(settings)
        found = records.judge(series, settings.task.kind, average=average, reached=None)
        rest = {"converged": None, "messages": [], "fingerprint": config.fingerprint(settings)}
        rest |= {"verdict": found.word, "reasons": list(found.reasons), "verdicts": dict(found.words)}
        rest["certificate"] = [figure._asdict() for figure in found.figures]
        return records.summarise(series, average=average) | rest
    return summary


def _voice(*, quiet: bool, json: bool) -> "Voice":
    if quiet and json:
        raise typer.BadParameter("it cannot stand beside --quiet", param_hint="--json")
    return "quiet" if quiet else "json" if json else "auto"


def _limited(settings: "Config", wall: str) -> "Config":
    """The problem with another limit of time."""
    if not wall:
        return settings
    number, unit = (wall[:-1], wall[-1]) if wall[-1:] in "smhd" else (wall, "s")
    try:
        seconds = float(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(
            f"it must be a time > 0 such as 3600, 90m or 12h, but it is {wall!r}", param_hint="--wall"
        )
    output = settings.output.model_copy(update={"wall_seconds": seconds})
    return settings.model_copy(update={"output": output})


def _refuse_used(directory: Path) -> None:
    """Say at once, before anything is compiled, that the run directory is taken."""
    from neurho.records import require_unused

    require_unused(directory)


def _free_directory(name: str) -> Path:
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
