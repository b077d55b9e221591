"""Networks by implicit steps: Crank-Nicolson evolution, and the continuation to a stationary state."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from neurho.dynamics.projected_steps import Projected, ProjectedState, begin_projected, follow_projected
from neurho.matrix_elements.estimation.observables import Observables
from neurho.matrix_elements.networks import AbstractAnsatz
from neurho.matrix_elements.projection import Implicit
from neurho.observables import Snapshot
from neurho.run import memory
from neurho.run.assembly import automatic
from neurho.run.drivers.network import NetworkDriver
from neurho.run.memory import Sizes
from neurho.stationary_states.continuation import Continuation, SearchState, begin, search_stationary


@dataclass(frozen=True)
class ProjectedDriver(NetworkDriver):
    """Evolution by implicit projected steps (see [`neurho.dynamics.projected_steps`][])."""

    @cached_property
    def evolution(self) -> Projected:
        """The steps, what they measure, and their control."""
        task = self.setup.task
        return Projected(
            implicit=Implicit(
                generator=self.setup.generator,
                sampler=self.samplers[0],
                weight=0.5,
                trust=task.trust,
                chunk=self.chunk,
                norm=self.norm,
            ),
            observables=self.measuring(),
            tolerance=task.tolerance,
            dt_max=task.dt_max or math.inf,
            damping=task.damping,
            iterations=task.iterations,
            automatic=automatic(self.setup.config),
            defects=self.defects(),
        )

    @property
    def implicit(self) -> Implicit:
        """That of the steps, which is compiled once."""
        return self.evolution.implicit

    @property
    def observables(self) -> Observables:
        """What is measured."""
        return self.evolution.observables

    def begin(self, ansatz: AbstractAnsatz) -> ProjectedState:
        """The state before the first step."""
        task = self.setup.task
        return begin_projected(self.evolution, ansatz, self.setup.config.seed, task.dt)

    def run(self, state: ProjectedState, **options: Any) -> Iterator[Snapshot]:
        """Snapshots at the output times."""
        return follow_projected(self.evolution, state, self.setup.times, **options)

    def need(self, sizes: Sizes) -> float:
        """Bytes at the peak of a run of these sizes."""
        return memory.of_implicit(sizes, search=False)


@dataclass(frozen=True)
class ContinuationDriver(NetworkDriver):
    """The search for a stationary state by growing steps (see [`neurho.stationary_states.continuation`][])."""

    @cached_property
    def search(self) -> Continuation:
        """The steps, and more samples for the last of them."""
        task = self.setup.task
        full, _ = self.samplers
        implicit = Implicit(
            generator=self.setup.generator, sampler=full, trust=task.trust, chunk=self.chunk, norm=self.norm
        )
        final, observables = implicit, self.measuring()
        closing = observables
        if not full.exact:
            more, diagonal = self.sampling(more=task.refine)
            final = dataclasses.replace(implicit, sampler=more)
            closing = dataclasses.replace(observables, sampler=diagonal)
        return Continuation(
            implicit=implicit,
            final=final,
            observables=observables,
            closing=closing,
            growth=task.growth,
            dt_max=task.dt_max,
            patience=task.patience,
            average=task.average,
            automatic=automatic(self.setup.config),
        )

    @property
    def observables(self) -> Observables:
        """What is measured."""
        return self.search.observables

    def begin(self, ansatz: AbstractAnsatz) -> SearchState:
        """The state before the first step."""
        task = self.setup.task
        return begin(self.search, ansatz, self.setup.config.seed, dt=task.dt, damping=task.damping)

    def run(self, state: SearchState, **options: Any) -> Iterator[Snapshot]:
        """One snapshot for every accepted step; the last is the result."""
        task = self.setup.task
        return search_stationary(self.search, state, delta_l=task.delta_L, **options)

    def need(self, sizes: Sizes) -> float:
        """Bytes at the peak of a run of these sizes."""
        return memory.of_implicit(sizes, search=True)
