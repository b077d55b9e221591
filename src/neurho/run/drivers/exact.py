"""The exact density matrix: the Lindbladian without approximation, for what is small."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neurho import exact
from neurho.observables import Estimate, Snapshot
from neurho.run import memory
from neurho.run.drivers.base import Driver
from neurho.run.drivers.correlators import make_correlators
from neurho.run.drivers.inherited import last_matrix
from neurho.run.quantities import exact_values
from neurho.run.setup import Setup


class ExactState(NamedTuple):
    """Where an exact run is."""

    step: int
    t: float
    rho: np.ndarray


@dataclass(frozen=True)
class ExactDriver(Driver):
    """A density matrix `(d^N, d^N)`, moved or brought to rest by [`neurho.exact`][]."""

    setup: Setup

    @property
    def _dimension(self) -> int:
        return self.setup.lindbladian.local_dim**self.setup.lattice.sites

    @property
    def _is_stationary(self) -> bool:
        return self.setup.config.task.kind == "stationary"

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        moving = self.setup.lindbladian.is_time_dependent
        return memory.of_exact(self._dimension, stationary=self._is_stationary, moving=moving)

    def template(self) -> ExactState:
        """A state of the right structure."""
        return ExactState(step=0, t=0.0, rho=np.zeros((self._dimension, self._dimension), dtype=complex))

    def asked_matrix(self) -> np.ndarray:
        """The density matrix at t = 0."""
        if self.setup.config.initial.kind == "state":
            return last_matrix(self.setup, make_correlators)
        return self.setup.start_matrix

    def describe(self) -> dict[str, Any]:
        """No sizes but those of the lattice."""
        return {}

    def snapshots(
        self, state: ExactState | None = None, *, watch: Callable[[Any], None] | None = None
    ) -> Iterator[Snapshot]:
        """The stationary state, or those at the output times; there is nothing to watch between them."""
        del watch
        if not self._is_stationary:
            yield from self._evolution(state)
        elif state is None:
            found = exact.stationary_state(self.setup.lindbladian)
            yield self._snapshot(ExactState(step=1, t=0.0, rho=found.rho), message=found.message)

    def _evolution(self, state: ExactState | None) -> Iterator[Snapshot]:
        model, times = self.setup.lindbladian, self.setup.times
        begin, times = (0.0, times) if state is None else (state.t, times[times > state.t])
        rho0 = self.asked_matrix() if state is None else state.rho
        grid = times if len(times) and times[0] == begin else np.concatenate([[begin], times])
        for number, (t, rho) in enumerate(zip(grid, exact.evolve(model, rho0, grid), strict=True)):
            if len(grid) == len(times) or number > 0:
                step = (state.step + number) if state is not None else number
                assumed = model.schedule(begin, self.setup.times[-1]).assumed if step == 0 else ""
                yield self._snapshot(ExactState(step=step, t=float(t), rho=rho), message=assumed)

    def _snapshot(self, state: ExactState, message: str) -> Snapshot:
        asked, model = self.setup.config.observables, self.setup.lindbladian
        values = exact.expectations(
            state.rho,
            model,
            t=state.t,
            correlations=asked.correlations,
            structure=asked.structure,
            momenta=asked.momenta,
            energy=asked.energy,
        ) | exact_values(state.rho, self.setup.named, self.setup.lattice.sites)
        moved = exact.ExactLindbladian(model).apply(state.rho, state.t)
        norm2 = float(np.linalg.norm(moved) ** 2 / np.linalg.norm(state.rho) ** 2)
        return Snapshot(
            step=state.step,
            t=state.t,
            observables={name: Estimate(mean=v, error=np.zeros_like(v)) for name, v in values.items()},
            diagnostics={"lindblad_norm2": norm2},
            state=state,
            message=message,
            converged=self._is_stationary,
        )
