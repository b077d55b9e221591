"""How much memory a run takes at its peak, from sizes alone. The factors were fitted to compiled programs and to runs.

A run holds the process with its libraries and compiled programs, and beside them the arrays of one program at a time:

- activations of all samples, 8.4 complex numbers for a sample and hidden unit: what derivatives of log rho along
  directions keep (<O>, f, products S v);
- five copies of the rows of a chunk of samples (O, two real numbers for a sample and parameter) while S grows;
- three copies of S while it is factorised, or all rows and A A^T, twice, for minSR;
- the values of all operators at the samples of q(l), and copies of them for errors.
"""

from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

import psutil

from neurho._types import NeurhoError
from neurho.matrix_elements.tdvp.solvers import AbstractSolver, ConjugateGradient, MinSR, Ridge

LIBRARIES = 3.2e8
"""Bytes of a process that has imported the libraries and compiled nothing."""

PROGRAMS = 7.2e8
"""Bytes with compiled programs: less than a first run, which compiles, more than one that finds them in the cache."""

SEARCH = 2.3e8
"""More in a search for a stationary state, which draws in three ways: also for the last steps, and unblurred."""

GIGA = 1e9

Need: TypeAlias = Callable[["Sizes"], float]


class Sizes(NamedTuple):
    """What the arrays of a run depend on: `units` of the network, `samples` of p, `diagonal` ones of q, `operators`
    measured one by one, and `chunk`, samples worked on at once.
    """

    parameters: int
    units: int
    samples: int
    diagonal: int
    operators: int
    chunk: int


def of_flow(sizes: Sizes, solver: AbstractSolver) -> float:
    """Bytes at the peak of a flow with this solver."""
    matrix = 8.0 * sizes.parameters**2
    if isinstance(solver, ConjugateGradient):
        solve = 0.0
    elif isinstance(solver, MinSR):
        solve = 2 * (16.0 * sizes.samples * sizes.parameters + 8.0 * (2 * sizes.samples) ** 2)
    else:
        copies = 3 if isinstance(solver, Ridge) else 6  # an eigendecomposition also holds vectors and work space
        solve = max(5 * _rows(sizes) + matrix, copies * matrix)
    return _run(sizes, solve)


def of_implicit(sizes: Sizes, *, search: bool) -> float:
    """Bytes at the peak of implicit steps: rows and normal matrix of a Gauss-Newton correction."""
    matrix = 8.0 * sizes.parameters**2
    return SEARCH * search + _run(sizes, max(5 * _rows(sizes) + 1.6 * matrix, 4 * matrix))


def of_exact(dimension: int, *, stationary: bool, moving: bool) -> float:
    """Bytes at the peak of the exact method, for density matrices of `dimension` rows; `moving`: L depends on time."""
    series = 34 if dimension > 2**10 else 54  # terms, and a few functions of time
    matrices = 58 if stationary else series if moving else 22
    outputs = 0.0 if stationary or moving else min(64 * 16.0 * dimension**2, 2.0**28)
    return LIBRARIES + 16.0 * matrices * dimension**2 + outputs


def _rows(sizes: Sizes) -> float:
    """O of one chunk."""
    return 16.0 * min(sizes.chunk, sizes.samples) * sizes.parameters


def _run(sizes: Sizes, solve: float) -> float:
    activations = 8.4 * 16 * sizes.samples * sizes.units
    measured = 3.5 * 8.0 * sizes.diagonal * sizes.operators
    return PROGRAMS + max(activations, solve, measured)


def require(need: float, budget: float | None, ways: list[str]) -> None:
    """Refuse a need, in bytes, above `sampling.memory_gb` = `budget`, or above what the machine has.

    **Raises** `NeurhoError`, one sentence that names `ways` to need less.
    """
    less = ", ".join(ways[:-1]) + (" or " if ways[1:] else "") + ways[-1]
    if budget is not None and need > budget * GIGA:
        must = f"be at least {need / GIGA:.3g}, which is about what the run needs"
        raise NeurhoError(f"Key `sampling.memory_gb` must {must}, but it is {budget:g}: raise it, or take {less}.")
    there = available()
    if need > there:
        must = f"take at most the {there / GIGA:.3g} GB that it can have on this machine"
        raise NeurhoError(f"The run must {must}, but it needs about {need / GIGA:.3g} GB: take {less}.")


def available(root: Path = Path("/")) -> float:
    """Bytes of memory that this process may take: those of the machine, or fewer in a container or under a queue.

    Linux bounds groups of processes and all their parents: `memory.max` in its second version, a folder of its own and
    `memory.limit_in_bytes` in the first. Groups of a container may be hidden from it; then the topmost one it sees
    is its own.
    """
    least = float(psutil.virtual_memory().total)
    for folder, group, file in _groups(root):
        for place in (group, *group.parents):
            with suppress(OSError, ValueError):  # no such group, no limit ("max")
                least = min(least, float((folder / place / file).read_text()))
    return least


def _groups(root: Path) -> list[tuple[Path, Path, str]]:
    """Where the limits of this process stand: folder, path of the group below it, name of the file."""
    found, mounted = [], root / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, names, path = line.split(":", 2)
            group = Path(path.lstrip("/"))
            if number == "0":
                found.append((mounted, group, "memory.max"))
            elif "memory" in names.split(","):
                found.append((mounted / "memory", group, "memory.limit_in_bytes"))
    return found


def fitting_chunk(sizes: Sizes, need: Need, budget: float) -> int:
    """The largest chunk, at most that of `sizes`, with which a run stays within `budget` bytes; 1 if none does."""
    return max(1, bisect_right(range(1, sizes.chunk + 1), budget, key=lambda c: need(sizes._replace(chunk=c))))
