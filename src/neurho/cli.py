"""The command `neurho`: run, resume, show, plot, compare, problems.

Heavy modules are imported inside the commands, so that help and refusals come at once. Exit codes: 0; 1 with one
sentence for what a user can mend; 2 for a wrong command line; 130 and 143 after Ctrl-C and SIGTERM, with all saved.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.observables import Snapshot
    from neurho.records import Run

PLAIN_SECONDS, LIVE_SECONDS = 5.0, 0.1
"""Least time between two progress lines, in a file and on a terminal."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Neural density matrices: dynamics and stationary states of open quantum many-body systems.",
)
Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", help="Split the processor into N devices [default: 1].")
]
Cache = Annotated[bool, typer.Option(help="Keep compiled programs in the user's cache directory.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]


def main() -> None:
    """Entry point of the command: turns errors and signals into a sentence and an exit code."""
    _signals.install()
    try:
        app()
    except Interrupted as stop:
        _complain("stopped; there was nothing to save.")
        sys.exit(stop.code)
    except Exception as error:
        from neurho._types import NeurhoError

        if not isinstance(error, NeurhoError):
            raise
        _complain(f"error: {error}")
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
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run directory, new or empty [default: runs/PROBLEM-N].")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the problem, print what it needs, and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the problem, as in task.t=1.0; repeatable."),
    ] = None,
    devices: Devices = None,
    cache: Cache = True,
) -> None:
    """Run a problem."""
    from neurho import config

    _configure(devices, cache=cache)
    settings = config.load(problem, changes or ())
    if out is not None and not check:
        _refuse_used(out)
    built = _build(settings)
    if check:
        _print_facts(f"{problem} is a good problem", built.describe())
        return
    from neurho import records

    directory = out if out is not None else _free_directory(config.problem_name(problem))
    run = records.create(
        directory,
        config.dumps(settings),
        fingerprint=config.fingerprint(settings),
        seed=settings.seed,
        bonds=built.lattice.bonds,
        keep=settings.output.keep,
    )
    _drive(built, run, None, quiet=quiet)


@app.command()
def resume(
    directory: Directory,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors only.")] = False,
    devices: Devices = None,
    cache: Cache = True,
) -> None:
    """Go on with a run that was stopped."""
    from neurho import config, records

    _configure(devices, cache=cache)
    settings = _settings_of(directory)
    summary = records.read_summary(directory)
    if summary is not None and summary.get("converged") and summary["fingerprint"] == config.fingerprint(settings):
        print(f"The run {directory} is complete (t = {summary['t']:g}); there is nothing to go on with.")
        return
    built = _build(settings)
    run = records.reopen(
        directory, fingerprint=config.fingerprint(settings), bonds=built.lattice.bonds, keep=settings.output.keep
    )
    _drive(built, run, run.restore(built.template()), quiet=quiet)


@app.command()
def show(directory: Directory) -> None:
    """Print what a run found."""
    from neurho import records

    settings, series = _settings_of(directory), records.read_series(directory)
    summary = records.read_summary(directory)
    if summary is None or summary["snapshots"] != series.sizes["t"]:
        summary = records.summarise(series, average=_average(settings)) | {"converged": None, "messages": []}
    _print_summary(directory, settings, summary)


@app.command()
def plot(
    directory: Directory,
    ending: Annotated[
        str, typer.Option("--format", metavar="png|pdf|svg", help="One format [default: png and pdf].")
    ] = "",
    reference: Annotated[bool, typer.Option(help="Draw the exact or shipped reference where there is one.")] = True,
) -> None:
    """Draw the figures of a run, into its directory."""
    from neurho import records, report

    endings = _endings(ending)
    settings, series = _settings_of(directory), records.read_series(directory)
    truth = _build(settings).reference() if reference else None
    if settings.task.kind == "stationary":
        figures = {"profile": report.profile(series, truth, average=settings.task.average, label=_source(truth))}
    else:
        figures = {"curves": report.time_curves(series, truth, label=_source(truth))}
    figures["diagnostics"] = report.diagnostics(series)
    _write_figures(directory, figures, endings)


@app.command()
def compare(
    directory: Directory,
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER]", help="Another run [default: the reference].")
    ] = None,
    ending: Annotated[
        str, typer.Option("--format", metavar="png|pdf|svg", help="One format [default: png and pdf].")
    ] = "",
) -> None:
    """Compare a run with the exact solution or with another run."""
    from neurho import records, report
    from neurho._types import NeurhoError

    endings = _endings(ending)
    settings, series = _settings_of(directory), records.read_series(directory)
    truth = records.read_series(other) if other is not None else _build(settings).reference()
    if truth is None:
        raise NeurhoError(f"There is no reference for `{directory}`; give another run to compare with.")
    label = str(other) if other is not None else _source(truth)
    if settings.task.kind == "stationary":
        if "t" in truth.dims:
            truth = report.averaged(truth, settings.task.average)
        figure = report.profile(series, truth, average=settings.task.average, label=label)
        found = report.deviations(report.averaged(series, settings.task.average), truth)
    else:
        figure = report.comparison(series, truth, labels=(str(directory), label))
        found = report.deviations(series, truth)
    _print_deviations(f"{directory} compared with {label}", found)
    _write_figures(directory, {"comparison": figure}, endings)


@app.command()
def problems() -> None:
    """List the shipped problems."""
    from neurho.config import shipped

    for name, line in shipped().items():
        print(f"{name:14} {line}")


# -- running ----------------------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; `code` is the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = {signal.SIGINT: "Ctrl-C"}.get(signal.Signals(number), signal.Signals(number).name)
        self.code = 128 + number


class _Signals:
    """Raises `Interrupted` on Ctrl-C and SIGTERM, but never inside a `shield`, where something is being saved."""

    def __init__(self) -> None:
        self.pending: int | None = None
        self.shielded = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: object) -> None:
        self.pending = number
        if not self.shielded:
            raise Interrupted(number)

    @contextmanager
    def shield(self) -> Iterator[None]:
        self.shielded = True
        try:
            yield
        finally:
            self.shielded = False
        if self.pending is not None:
            raise Interrupted(self.pending)

    def ignore(self) -> None:
        """From here on the run is being closed: it is too late to stop it."""
        self.shielded = True


_signals = _Signals()


def _drive(problem: Any, run: "Run", state: Any, *, quiet: bool) -> None:
    """Take snapshots until the end, a signal, a limit or an error; save at intervals and in any case at the end."""
    from neurho._types import NeurhoError

    limit, remark, last = problem.config.output.wall_seconds, "", None
    began, code = time.monotonic(), 0
    again = f"go on with `neurho resume {run.path}`"
    try:
        for last in _recorded(problem, run, state, quiet=quiet):
            if limit is not None and time.monotonic() - began >= limit and not _reached_goal(problem.config, run, last):
                remark = f"Stopped at t = {last.t:g} after output.wall_seconds = {limit:g}; {again}."
                break
        _signals.ignore()
    except Interrupted as stop:
        _signals.ignore()
        code, remark = stop.code, f"Stopped by {stop.name} at {_place(run)}, all saved; {again}."
    except NeurhoError as error:
        _signals.ignore()
        _save_what_is_there(run, str(error))
        kept = f" What was computed before is kept in {run.path}." if run.rows else ""
        raise type(error)(f"{error}{kept}") from None
    except BaseException:
        _signals.ignore()
        _save_what_is_there(run, "The run ended with an unexpected error.")
        raise
    if not remark and not _reached_goal(problem.config, run, last) and problem.config.task.kind == "stationary":
        run.note(
            f"delta_L has not fallen below task.delta_L = {problem.config.task.delta_L:g}: the state is not stationary."
        )
    summary = run.finish(
        converged=not remark and _reached_goal(problem.config, run, last),
        average=_average(problem.config),
        remark=remark,
    )
    if not quiet and not remark:
        _print_summary(run.path, problem.config, summary)
    if remark:
        _complain(remark)
    if code:
        sys.exit(code)


def _recorded(problem: Any, run: "Run", state: Any, *, quiet: bool) -> Iterator["Snapshot"]:
    interval, saved = problem.config.output.checkpoint_seconds, None
    with _progress(problem.config, run, quiet=quiet) as report:
        for snapshot in problem.snapshots(state):
            with _signals.shield():
                run.record(snapshot)
                if saved is None or time.monotonic() - saved >= interval:
                    run.save()
                    saved = time.monotonic()
                report(snapshot)
            yield snapshot


def _save_what_is_there(run: "Run", remark: str) -> None:
    from neurho._types import NeurhoError

    with suppress(NeurhoError):  # the first error is the one to tell, and the last checkpoint is on disk
        run.finish(converged=False, remark=remark)


def _source(reference: Any) -> str:
    """What to call a reference in a figure: exact only if it says so."""
    return "exact" if reference is not None and reference.attrs.get("source") == "exact" else "reference"


def _reached_goal(config: "Config", run: "Run", last: "Snapshot | None") -> bool:
    if not run.rows:
        return False
    if config.task.kind == "stationary":
        return last is not None and last.converged
    return run.rows[-1].t >= _last_time(config) * (1 - 1e-9)


def _last_time(config: "Config") -> float:
    return config.task.times[-1] if config.task.times else config.task.t_end


def _place(run: "Run") -> str:
    return f"t = {run.rows[-1].t:g}" if run.rows else "the start"


def _configure(devices: int | None, *, cache: bool) -> None:
    """Settings that JAX reads when it is imported; a program that has imported it keeps its own."""
    from neurho.startup import configure

    if "jax" not in sys.modules or devices is not None:
        configure(devices=devices, cache=cache)


def _build(settings: "Config") -> Any:
    import jax

    # float64 is what the physics needs; the library leaves this global setting to whoever starts it.
    jax.config.update("jax_enable_x64", True)
    from neurho.problem import build

    return build(settings)


def _settings_of(directory: Path) -> "Config":
    from neurho import config, records

    return config.loads(records.read_problem(directory), where=str(directory / records.PROBLEM))


def _average(config: "Config") -> float | None:
    return config.task.average if config.task.kind == "stationary" else None


def _refuse_used(directory: Path) -> None:
    """Say at once, before anything is compiled, that the run directory is taken."""
    from neurho.records import require_unused

    require_unused(directory)


def _free_directory(name: str) -> Path:
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())


# -- progress and tables ----------------------------------------------------------------------------------------------


@contextmanager
def _progress(config: "Config", run: "Run", *, quiet: bool) -> "Iterator[Callable[[Snapshot], None]]":
    """A function to call with every snapshot: one live line on a terminal, a plain line now and then in a file."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal and not quiet else None
    began, start, shown = time.monotonic(), None, None

    def report(snapshot: "Snapshot") -> None:
        nonlocal start, shown
        now, start = time.monotonic(), snapshot.t if start is None else start
        end = _last_time(config)
        least = LIVE_SECONDS if live is not None else PLAIN_SECONDS
        if quiet or (shown is not None and now - shown < least and snapshot.t < end):
            return
        shown = now
        left = (now - began) * (end - snapshot.t) / (snapshot.t - start) if snapshot.t > start else None
        line = _line(snapshot, end, left, at_most=config.task.kind == "stationary")
        if live is not None:
            live.update(Text(line, overflow="ellipsis", no_wrap=True), refresh=True)
        else:
            print(line, file=sys.stderr, flush=True)

    if not quiet:
        print(
            f"Writing to {run.path}" + (f", from t = {run.rows[-1].t:g}" if run.rows else ""),
            file=sys.stderr,
            flush=True,
        )
    if live is None:
        yield report
        return
    with live:
        live.update(Text("Compiling and starting ..."), refresh=True)
        yield report


def _line(snapshot: "Snapshot", end: float, left: float | None, *, at_most: bool) -> str:
    parts = [f"t = {snapshot.t:.4g}/{end:g}", f"step {snapshot.step}"]
    for name in ("dt", "delta_L", "residual", "acceptance"):
        if name in snapshot.diagnostics:
            parts.append(f"{name} {snapshot.diagnostics[name]:.3g}")
    for name in ("sz", *snapshot.observables):
        if name in snapshot.observables:
            estimate = snapshot.observables[name]
            parts.append(f"{name} {with_error(float(estimate.mean), float(estimate.error))}")
            break
    if left is not None and left > 0:
        parts.append(f"{'at most ' if at_most else ''}{duration(left)} left")
    return "  ".join(parts)


def with_error(mean: float | None, error: float | None) -> str:
    """A number with the last two digits of its error in brackets, -0.1234(12); six digits if it is exact."""
    from math import floor, isfinite, log10

    if mean is None or not isfinite(mean):
        return "-"
    if error is None or not isfinite(error):
        return f"{mean:.6g}(?)"
    if error <= 0:
        return f"{mean:.6g}"
    digits = 1 - floor(log10(error))
    if round(error * 10**digits) >= 100:
        digits -= 1
    if digits <= 0 or digits > 12:
        return f"{mean:.6g} +- {error:.2g}"
    shown = round(error * 10**digits)
    return f"{mean:.{digits}f}({shown / 10**digits:.{digits}f})" if error >= 1 else f"{mean:.{digits}f}({shown})"


def duration(seconds: float) -> str:
    """A time span in the unit that a person would use."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if minutes < 100 else f"{hours:.1f} h"


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k == 0 else "right", no_wrap=True)
    return table


def _print(*things: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=120)
    for thing in things:
        console.print(thing)


def _print_facts(title: str, facts: dict[str, Any]) -> None:
    table = _table("", "")
    table.show_header = False
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _readable(name, value))
    _print(title, table)


def _readable(name: str, value: Any) -> str:
    if name.endswith("bytes"):
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{value}"


def _print_summary(directory: Path, config: "Config", summary: dict[str, Any]) -> None:
    goal = "stationary state" if config.task.kind == "stationary" else f"evolution to t = {config.task.t_end:g}"
    state = {True: "reached its goal", False: "has not reached its goal", None: "is not finished"}[summary["converged"]]
    at = (
        f"t = {summary['t']:g}, {summary['step']} steps, {duration(summary['wall_seconds'])}"
        if summary["snapshots"]
        else "no step"
    )
    _print(f"{directory}: {config.model.kind} on {config.lattice.kind}, N = {config.sites}, {goal}: {state} ({at})")
    averaged = summary["averaged"] > 1
    table = _table(
        "observable", f"mean of the last {summary['averaged']} outputs" if averaged else f"at t = {summary['t'] or 0:g}"
    )
    for name, value in summary["observables"].items():
        table.add_row(name, with_error(value["mean"], value["error"]))
    table.add_section()
    for name, value in summary.items():
        if isinstance(value, float) and name not in ("t", "wall_seconds") and not name.endswith("_error"):
            error = summary.get(f"{name}_error")
            table.add_row(name, with_error(value, error) if error else f"{value:.4g}")
    _print(table, *summary["messages"])


def _print_deviations(title: str, found: list[Any]) -> None:
    table = _table("observable", "largest", "at t", "value", "reference", "rms", "largest/sigma", "rms/sigma")
    for row in found:
        sigmas = ["-" if s is None else f"{s:.2f}" for s in (row.max_sigma, row.rms_sigma)]
        at = "-" if row.at is None else f"{row.at:.4g}"
        table.add_row(
            row.name, f"{row.max:.2e}", at, f"{row.value:.6g}", f"{row.reference:.6g}", f"{row.rms:.2e}", *sigmas
        )
    _print(title, table)


def _endings(ending: str) -> tuple[str, ...]:
    if ending not in ("", "png", "pdf", "svg"):
        raise typer.BadParameter(f"it must be png, pdf or svg, but it is {ending!r}", param_hint="--format")
    return (ending,) if ending else ("png", "pdf")


def _write_figures(directory: Path, figures: dict[str, Any], endings: tuple[str, ...]) -> None:
    from neurho import records, report

    for name, figure in figures.items():
        for ending in endings:
            path = directory / "figures" / f"{name}.{ending}"
            records.write_file(path, report.image(figure, ending))
            print(path)


def _complain(sentence: str) -> None:
    print(f"neurho: {sentence}", file=sys.stderr, flush=True)
