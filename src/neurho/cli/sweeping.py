"""`neurho sweep`: a grid of problems on dask workers."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
        with records.locked(plan.path), _client(scheduler, min(workers, waiting)) as client:
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


@contextmanager
def _client(scheduler: str, workers: int) -> Iterator[Any]:
    """A client of the given scheduler, or of a cluster of processes on this machine."""
    from neurho._types import NeurhoError

    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise NeurhoError("Sweeps need dask.distributed: install it with `pip install neurho[sweep]`.") from None
    if scheduler:
        try:
            client = Client(scheduler, timeout=20)
        except (OSError, TimeoutError, ValueError) as error:
            raise NeurhoError(f"There is no dask scheduler at `{scheduler}`: {error}.") from None
        with client:
            yield client
        return
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,  # pyright: ignore[reportArgumentType]
        Client(cluster) as client,
    ):
        yield client
