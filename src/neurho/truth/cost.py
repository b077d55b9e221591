"""What a reference costs: processor seconds of one quiet core from counts of steps, and memory as predicted.

Every constant is a time that was measured on a virtual machine (AMD EPYC, 2.4 GHz); `benchmarks/costs.py` says
how far the sum of them is from what runs take.
"""

from typing import NamedTuple

import numpy as np

from neurho._types import given
from neurho.config.schema import Tasks
from neurho.exact import ExactLindbladian
from neurho.exact.bounds import numerical_range
from neurho.exact.faber import ellipse
from neurho.matrix_product.decompose import Cut
from neurho.matrix_product.flow import REACH, Settings, automatic_step
from neurho.matrix_product.generator import line_generator
from neurho.matrix_product.splitting import Splitting
from neurho.matrix_product.stationary import stages_of
from neurho.run.problem import Problem

APPLICATION, ENTRY = 4e-5, 2e-9
"""Seconds of L rho, and for each term and entry of rho."""
DRIVEN = 4.0
"""How much more an evolution costs where L depends on time."""
OUTPUT = 5e-3
"""Seconds of what is measured at one time, beside what grows with the system."""
REDUCED, TRACED = 4e-4, 1.6e-8
"""Seconds of a reduced density matrix, and for each entry of rho."""
SOLVED, CUBE = 0.1, 8.2e-8
"""Seconds of an exact stationary state, and for each cube of the rows of rho."""

GATE, CUBE_OF_BOND = 6e-4, 1.2e-8
"""Seconds of a gate on two spins, and for each cube of the bond dimension (`docs/matrix_product.md`)."""
EXPONENTIAL = 5e-4
"""Seconds of the exponential of a gate."""
COARSE = 1 / 4
"""Share of the cost of an evolution that the run for the errors takes."""
RISE = 1.7
"""Time, in units of 1/(norm of L on a pair), in which the bonds of a product state become as wide as they may be."""
UNITS = 6.5
"""Units of time of a stage of a search."""

COMPILING = 7.0
"""Seconds for compiling trajectories."""
TRAJECTORY = 0.55 / 0.5 / 48 / 2**16
"""Seconds of a trajectory per unit of time, bond or site, and amplitude: 4x4 XYZ torus (`docs/trajectories.md`)."""

STRING = 5e-4
"""Seconds of a string of correlators, of 3x3 sites."""


class Cost(NamedTuple):
    """Processor seconds and bytes; `most`: the run ends after so many seconds in any case."""

    seconds: float
    bytes: float
    most: bool = False


def cost_of(problem: Problem) -> Cost:
    """The cost of a run without a network, starting the program left out."""
    task = problem.config.task
    if task.method == "exact":
        seconds = _of_exact(problem)
    elif task.method == "matrix-product":
        seconds = _of_matrix_products(problem, task)
    elif task.method == "trajectories":
        return _of_trajectories(problem, task)
    else:
        seconds = STRING * int(problem.describe()["strings"])
    return Cost(float(seconds), problem.peak_bytes)


def _of_exact(problem: Problem) -> float:
    """Polynomials of L as many as its range asks for, and reduced density matrices at every output."""
    model, asked = problem.lindbladian, problem.config.observables
    rows, sites = float(model.local_dim) ** model.sites, model.sites
    every = asked.correlations or asked.structure or asked.momenta
    pairs = sites * (sites - 1) / 2 if every else len(problem.lattice.bonds)
    output = OUTPUT + (sites + pairs) * (REDUCED + TRACED * rows**2)
    if problem.config.task.kind == "stationary":
        return SOLVED + CUBE * rows**3 + output
    span, driven = float(problem.times[-1] - problem.times[0]), model.is_time_dependent
    shape = ellipse(numerical_range(ExactLindbladian(model)))
    applications = 2.3 * shape.capacity * span + 25 * (1 + span / shape.longest)
    terms = len(model.hamiltonian.terms) + len(model.jumps)
    return len(problem.times) * output + (DRIVEN if driven else 1) * applications * (
        APPLICATION + ENTRY * terms * rows**2
    )


def _of_matrix_products(problem: Problem, task: Tasks) -> float:
    """All gates of all steps, with bonds as wide as they may be."""
    generator, bond = line_generator(problem.lindbladian), given(task.bond)
    splitting = Splitting(generator)
    step = task.dt or automatic_step(splitting, problem.times if task.kind == "evolve" else np.zeros(1))
    if task.kind == "evolve":
        steps = float(np.sum(np.ceil(np.diff(problem.times) / step)))
        rising = (problem.times[-1] - problem.times[0]) * REACH / step / RISE
        wide = 1 - 0.5 / rising if rising > 1 else rising / 2
        return 2 * len(problem.times) * OUTPUT + steps * _step(splitting, bond) * wide * (1 + COARSE)
    stages = stages_of(Settings(Cut(bond, given(task.cutoff)), step))
    return sum(UNITS / settings.step * _step(splitting, settings.cut.bond) for settings in stages)


def _step(splitting: Splitting, bond: int) -> float:
    """Seconds of a step: each gate costs the cube of the bond on which it acts."""
    sites, size = splitting.generator.sites, splitting.generator.dim**2
    widest = [min(float(bond), float(size) ** min(p + 1, sites - p - 1)) for p in range(sites - 1)]
    layers = []
    for layer in splitting.layers:
        seconds = 0.0
        for group in layer:
            first, last = group.places[0], group.places[-1]
            cube = max(widest[p] for p in range(first, last)) ** 3 * (size / 4) ** 3
            own = GATE + CUBE_OF_BOND * cube * size ** (len(group.places) - 2)
            swaps = 2 * (group.span - len(group.places) + 1) * (GATE + CUBE_OF_BOND * cube)
            seconds += own + swaps + EXPONENTIAL * splitting.generator.moving
        layers.append(seconds)
    return sum(layers[stage.layer] for stage in splitting.stages)


def _of_trajectories(problem: Problem, task: Tasks) -> Cost:
    """Compiling, and all trajectories unless the time is up before."""
    span = float(problem.times[-1]) if task.kind == "evolve" else np.inf
    levels = float(problem.lindbladian.local_dim) ** problem.lattice.sites
    momenta = int(problem.describe()["momenta"])  # a block of momentum and parity is half as large again
    size = (len(problem.lattice.bonds) + problem.lattice.sites) * levels / momenta / (2 if momenta > 1 else 1)
    seconds = TRAJECTORY * size * span * (task.trajectories or np.inf)
    limit = np.inf if task.seconds is None else float(task.seconds)
    return Cost(COMPILING + min(seconds, limit), problem.peak_bytes, most=seconds >= limit)
