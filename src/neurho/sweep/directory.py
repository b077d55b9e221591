"""The directory of a sweep: `sweep.json` with the grid, `points/` with one run directory each, `sweep.nc`."""

import json
from pathlib import Path
from typing import NamedTuple

from neurho._types import NeurhoError
from neurho.config import Grid
from neurho.records import is_run, read_summary, write_file

PLAN, POINTS, DATASET, FAILURES = "sweep.json", "points", "sweep.nc", "failures.json"


class Sweep(NamedTuple):
    """A sweep on disk."""

    path: Path
    grid: Grid

    def point(self, number: int) -> Path:
        """The run directory of a point."""
        return self.path / POINTS / f"{number:05d}"

    def is_done(self, number: int) -> bool:
        """Whether the run of a point has come to its end: the last time, or a stationary state or its last time."""
        directory = self.point(number)
        summary = read_summary(directory) if is_run(directory) else None
        return summary is not None and bool(summary.get("complete", summary.get("converged")))

    @property
    def open_points(self) -> list[int]:
        """Numbers of the points that are not done."""
        return [number for number in range(len(self.grid.problems)) if not self.is_done(number)]


def create(path: str | Path, grid: Grid) -> Sweep:
    """Write a new sweep, or open the one that is there if it is the same.

    **Raises** `NeurhoError` if the directory holds anything else.
    """
    path = Path(path)
    if (path / PLAN).exists():
        sweep = open_sweep(path)
        if sweep.grid != grid:
            raise NeurhoError(f"The sweep `{path}` has another grid or problem; give another directory.")
        return sweep
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise NeurhoError(f"The directory `{path}` must be new or empty, but it holds files; give another.")
    path.mkdir(parents=True, exist_ok=True)
    plan: dict[str, object] = {"axes": grid.axes, "problems": grid.problems}
    write_file(path / PLAN, (json.dumps(plan, indent=1) + "\n").encode())
    return Sweep(path, grid)


def open_sweep(path: str | Path) -> Sweep:
    """The sweep in a directory.

    **Raises** `NeurhoError` if there is none.
    """
    path = Path(path)
    file = path / PLAN
    if not file.is_file():
        raise NeurhoError(f"`{path}` is not the directory of a sweep: it has no {PLAN}.")
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
        grid = Grid(axes=dict(plan["axes"]), problems=list(plan["problems"]))
    except (ValueError, KeyError, TypeError):
        raise NeurhoError(f"`{file}` is damaged: it is not the plan of a sweep.") from None
    return Sweep(path, grid)
