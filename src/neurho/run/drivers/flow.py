"""The explicit flow of networks: the time-dependent variational principle with Runge-Kutta steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from neurho._types import NeurhoError
from neurho.dynamics.flow import Flow, RunState, follow, make_flow, relax, start
from neurho.matrix_elements.estimation.observables import Observables
from neurho.matrix_elements.networks import AbstractAnsatz, parameter_count
from neurho.matrix_elements.tdvp import solvers
from neurho.matrix_elements.tdvp.crossvalidation import MAX_PARAMETERS, CrossValidated
from neurho.matrix_elements.tdvp.solvers import AbstractSolver
from neurho.observables import Snapshot
from neurho.run import memory
from neurho.run.assembly import METHODS
from neurho.run.drivers.base import Facts
from neurho.run.drivers.network import NetworkDriver
from neurho.run.memory import Sizes


@dataclass(frozen=True)
class FlowDriver(NetworkDriver):
    """Evolution by the flow, or a stationary state as its end (see [`neurho.dynamics.flow`][])."""

    @cached_property
    def flow(self) -> Flow:
        """Right-hand side, method, control and observables."""
        setup, task = self.setup, self.setup.task
        full, diagonal = self.samplers
        return make_flow(
            setup.lindbladian,
            generator=setup.generator,
            sampler=full,
            diagonal=diagonal,
            solver=self.solver,
            method=METHODS[task.method],
            tolerance=task.tolerance,
            dt_max=task.dt_max or math.inf,
            quantities=self.quantities,
            purity=setup.config.observables.purity,
            centred=task.norm == "fubini-study",
            metric=task.metric,
            certificate=setup.config.observables.certificate,
            chunk=self.chunk,
        )

    @property
    def observables(self) -> Observables:
        """What is measured."""
        return self.flow.observables

    @cached_property
    def solver(self) -> AbstractSolver:
        """What solves S v = f."""
        task, count = self.setup.task, parameter_count(self.initial.ansatz)
        match task.solver:
            case "ridge":
                return solvers.Ridge(task.ridge)
            case "cutoff":
                return solvers.SpectralCutoff(task.cutoff)
            case "cg":
                return solvers.ConjugateGradient(task.ridge, task.cg_tolerance)
            case "minsr":
                return solvers.MinSR(task.ridge)
            case "snr":
                return solvers.SignalToNoise(task.snr, task.cutoff)
            case "cross-validated":
                return self._cross_validated(count)
            case _:
                return solvers.automatic(self.samples, count, ridge=task.ridge, tolerance=task.cg_tolerance)

    def _cross_validated(self, count: int) -> CrossValidated:
        if count > MAX_PARAMETERS:
            raise NeurhoError(
                f'Key `task.solver` must be "cg", "minsr" or "auto" for more than {MAX_PARAMETERS} parameters, but it '
                f'is "cross-validated" with {count}.'
            )
        sampling = self.setup.config.sampling
        if sampling is not None and sampling.kind == "metropolis" and sampling.chains < 2:
            raise NeurhoError('Key `sampling.chains` must be at least 2 for solver "cross-validated", but it is 1.')
        return CrossValidated()

    def begin(self, ansatz: AbstractAnsatz) -> RunState:
        """The state before the first step."""
        error = 0.0 if self.setup.task.kind == "evolve" else None
        return start(self.flow, ansatz, self.setup.config.seed, self.setup.task.dt or 1e-3, error=error)

    def run(self, state: RunState, **options: Any) -> Iterator[Snapshot]:
        """Snapshots at the output times; a stationary task ends at its goal."""
        if self.setup.task.kind == "stationary":
            return relax(self.flow, state, self.setup.times, delta_l=self.setup.task.delta_L, **options)
        return follow(self.flow, state, self.setup.times, **options)

    def need(self, sizes: Sizes) -> float:
        """Bytes at the peak of a run of these sizes."""
        need = memory.of_flow(sizes, self.solver)
        fits = getattr(self.setup.config.initial, "fit", 0) > 0
        return max(need, memory.of_implicit(sizes, search=False)) if fits else need

    @property
    def remedies(self) -> Sequence[str]:
        """What needs less memory."""
        iterative = isinstance(self.solver, solvers.ConjugateGradient)
        return (*super().remedies, *(() if iterative else ('task.solver = "cg"',)))

    def describe(self) -> Facts:
        """Samples, parameters and the solver."""
        return {"solver": type(self.solver).__name__, **super().describe()}
