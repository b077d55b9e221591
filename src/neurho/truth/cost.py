"""What a reference costs, roughly: seconds from measured ones, memory as predicted for the run."""

from typing import Any, NamedTuple

import numpy as np

from neurho.run.problem import Problem

STARTING, COMPILING = 2.0, 8.0
"""Seconds for building, and for compiling trajectories."""

EXACT = 1.0
"""Seconds of 8 spins: of a stationary state, of a unit of time, or of a hundred outputs."""

TRAJECTORY = 0.55 / 0.5 / 48 / 2**16
"""Seconds of a trajectory per unit of time, bond or site, and amplitude: 4x4 XYZ torus (`docs/trajectories.md`)."""

SITE_OF_PRODUCT = 0.24
"""Seconds of a site of a matrix product per unit of time at bond dimension 32 (`docs/matrix_product.md`)."""

RELAXING = 10.0
"""Units of time in which a chain finds its stationary state."""

STRING = 5e-4
"""Seconds of a string of correlators, of 3x3 sites."""


class Cost(NamedTuple):
    """Rough seconds and bytes; `most`: the run ends after so many seconds in any case."""

    seconds: float
    bytes: float
    most: bool = False


def cost_of(problem: Problem) -> Cost:
    """The cost of a run without a network, within a factor of about five."""
    task: Any = problem.config.task
    kind, sites, dim = task.kind, problem.lattice.sites, problem.lindbladian.local_dim
    span = float(problem.times[-1]) if kind == "evolve" else RELAXING
    levels, most = float(dim) ** sites, False
    if task.method == "exact":
        work = span + len(problem.times) / 100 if kind == "evolve" else 1.0
        seconds = EXACT * work * (levels / 2**8) ** 2.5
    elif task.method == "trajectories":
        kept = problem.describe()  # amplitudes of one momentum are those of one of twice as many blocks with parity
        size = (len(problem.lattice.bonds) + sites) * levels / kept["momenta"] / (2 if kept["momenta"] > 1 else 1)
        seconds = TRAJECTORY * size * span * (task.trajectories or np.inf)
        most = seconds >= task.seconds
        seconds = COMPILING + min(seconds, task.seconds)
    elif task.method == "matrix-product":
        bond = min(task.bond, dim ** (2 * (sites // 2)))
        seconds = SITE_OF_PRODUCT * sites * span * (bond / 32) ** 2 * (dim / 2) ** 4
    else:
        seconds = STRING * problem.describe()["strings"]
    return Cost(STARTING + float(seconds), problem.peak_bytes, most)
