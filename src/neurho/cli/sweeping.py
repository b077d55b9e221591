"""`neurho sweep`: a grid of problems on dask workers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurho.cli.cluster import client_of
from neurho.cli.printing import complain


def sweep_problems(
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

    def told(outcome: Any) -> None:
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


def _require_trust(grid: Any, *, trust: bool) -> None:
    """Refuse a grid whose problems run code that nobody has vouched for."""
    from neurho import config

    for problem in grid.problems:
        config.require_trust(config.loads(problem), trust=trust)
