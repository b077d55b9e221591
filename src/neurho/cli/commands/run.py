"""`neurho run` and `neurho resume`."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurho.cli.drive import accompany, drive
from neurho.cli.opened import build_problem, free_directory, settings_of
from neurho.cli.options import (
    Cache,
    Changes,
    Coordinator,
    Devices,
    Directory,
    Distributed,
    Json,
    Plainly,
    Processes,
    ProcessId,
    Quiet,
    Scheduler,
    Trust,
    Wall,
    Workers,
)
from neurho.cli.printing import print_facts
from neurho.cli.processes import by_first, configure_jax, join, refuse_workers, spread

if TYPE_CHECKING:
    from neurho.cli.progress import Voice
    from neurho.config import Config
    from neurho.observables import State
    from neurho.records import Run


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
    changes: Changes = None,
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

    configure_jax(devices, cache=cache)
    first = join(processes, process_id, coordinator, distributed=distributed)
    settings = config.load(problem, [*(changes or ()), *(plainly or ())])
    config.require_trust(settings, trust=trust)
    if out is not None and not check:
        by_first(lambda: _refuse_used(out), first=first)
    voice, text = _voice(quiet=quiet, json=json), config.dumps(settings)
    built = build_problem(_limited(settings, wall), trust=trust)
    refuse_workers(built, workers, scheduler)
    if check and first:
        built.require_memory()
        print_facts(f"{problem} is a good problem", built.describe())
        if built.several_states:
            print(built.several_states)
    if check:
        return
    built.require_memory()
    from neurho import records
    from neurho.session.loop import facts_of

    with ExitStack() as held:

        def create() -> "Run":
            directory = out if out is not None else free_directory(config.problem_name(problem))
            held.enter_context(records.locked(directory))
            return records.create(directory, text, seed=settings.seed, **facts_of(built))

        run = by_first(create, first=first)
        built = held.enter_context(spread(built, workers, scheduler))
        if run is None:
            accompany(built, None)
        else:
            drive(built, run, None, voice)


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
    from neurho.session.loop import facts_of

    configure_jax(devices, cache=cache)
    first = join(processes, process_id, coordinator, distributed=distributed)
    settings = settings_of(directory)
    summary = records.read_summary(directory)
    done = summary is not None and summary.get("converged") and summary["fingerprint"] == config.fingerprint(settings)
    if parallel.agree(bool(done)):
        if first and summary is not None:
            print(f"The run {directory} is complete (t = {summary['t']:g}); there is nothing to go on with.")
        return
    config.require_trust(settings, trust=trust)
    settings, voice = _limited(settings, wall), _voice(quiet=quiet, json=json)
    built = build_problem(settings, trust=trust)
    refuse_workers(built, workers, scheduler)
    with ExitStack() as held:

        def reopen() -> "tuple[Run, State | None]":
            held.enter_context(records.locked(directory))
            run = records.reopen(directory, **facts_of(built))
            return run, run.restore(built.template())

        run, state = by_first(reopen, first=first) or (None, None)
        # What the others hold has the shape of the state, and takes its numbers.
        state = parallel.share(state if first else built.template()) if parallel.agree(state is not None) else None
        built = held.enter_context(spread(built, workers, scheduler))
        if run is None:
            accompany(built, state)
        else:
            drive(built, run, state, voice)


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
