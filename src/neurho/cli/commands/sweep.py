"""`neurho sweep`: a grid of problems on dask workers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurho._types import Record
from neurho.cli.cluster import client_of
from neurho.cli.opened import free_directory
from neurho.cli.options import Plainly, Quiet, Trust
from neurho.cli.printing import complain

if TYPE_CHECKING:
    from neurho.config import Grid


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
    from neurho.config import problem_name

    directory = out if out is not None else free_directory(f"{problem_name(problem)}-sweep")
    options: Record = {
        "scheduler": scheduler,
        "workers": workers,
        "retries": retries,
        "trust": trust,
        "quiet": quiet,
    }
    if _sweep_problems(problem, [*(changes or ()), *(plainly or ())], directory, **options):
        raise typer.Exit(1)


def _sweep_problems(
    problem: str,
    changes: Sequence[str],
    out: Path,
    *,
    scheduler: str,
    workers: int,
    retries: int,
    trust: bool,
    quiet: bool,
) -> int:
    """Run a grid, or go on with one; the number of points that failed."""
    from neurho import config, records, report, sweep

    if (Path(problem) / "sweep.json").is_file():
        if changes:
            complain("error: A sweep that goes on must not be changed, but there is `--set`.")
            return 1
        plan = sweep.open_sweep(problem)
        _require_trust(plan.grid, trust=trust)
    else:
        grid = config.grid(problem, changes)
        _require_trust(grid, trust=trust)  # before anything is written
        plan = sweep.create(out, grid)
    total, waiting = len(plan.grid.problems), len(plan.open_points)
    counted = {"done": total - waiting, "failed": 0}

    def told(outcome: sweep.Outcome) -> None:
        counted[outcome.state] += 1
        if outcome.sentence:
            complain(f"point {outcome.number:05d} failed: {outcome.sentence}")
        if not quiet:
            failed = f", {counted['failed']} failed" if counted["failed"] else ""
            print(f"{counted['done']} of {total} points done{failed}", file=sys.stderr, flush=True)

    if waiting:
        with records.locked(plan.path), client_of(scheduler, min(workers, waiting)) as client:
            if not quiet:
                where = scheduler or f"{min(workers, waiting)} local workers"
                print(f"{waiting} of {total} points to run on {where}", file=sys.stderr, flush=True)
            sweep.run_sweep(plan, client, retries=retries, trust=trust, told=told)
    data = sweep.collect(plan)
    print(plan.path / "sweep.nc")
    if 1 <= sum(len(values) > 1 for values in plan.grid.axes.values()) <= 2:
        figure = report.phase_diagram(data)
        for ending in ("png", "pdf"):
            records.write_file(plan.path / "figures" / f"phase.{ending}", report.image(figure, ending))
            print(plan.path / "figures" / f"phase.{ending}")
    return counted["failed"]


def _require_trust(grid: "Grid", *, trust: bool) -> None:
    """Refuse a grid whose problems run code that nobody has vouched for."""
    from neurho import config

    for problem in grid.problems:
        config.require_trust(config.loads(problem), trust=trust)
