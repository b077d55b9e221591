"""The exact density matrix: the Lindbladian without approximation, for what is small."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neurho import exact
from neurho.observables import Snapshot, Watch
from neurho.observables.readout import exactly
from neurho.run import memory
from neurho.run.drivers import correlator_networks
from neurho.run.drivers.base import Driver, Facts
from neurho.run.drivers.inherited import last_matrix
from neurho.run.setup import Setup


class ExactState(NamedTuple):
    """Where an exact run is."""

    step: int
    t: float
    rho: np.ndarray
    place: exact.Place


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

    @property
    def begins(self) -> bool:
        """Evolutions do; a stationary state is that of the Lindbladian."""
        return not self._is_stationary

    def template(self) -> ExactState:
        """A state of the right structure."""
        zeros = np.zeros((self._dimension, self._dimension), dtype=complex)
        return ExactState(step=0, t=0.0, rho=zeros, place=exact.Place(0.0, zeros))

    def asked_matrix(self) -> np.ndarray:
        """The density matrix at t = 0."""
        if self.setup.config.initial.kind == "state":
            return last_matrix(self.setup, correlator_networks.make)
        return self.setup.start_matrix

    def describe(self) -> Facts:
        """No sizes but those of the lattice."""
        return {}

    def snapshots(self, state: ExactState | None = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """The stationary state, or those at the output times; there is nothing to watch between them."""
        del watch
        if not self._is_stationary:
            yield from self._evolution(state)
        elif state is None:
            found = exact.stationary_state(self.setup.lindbladian)
            state = ExactState(step=1, t=0.0, rho=found.rho, place=exact.Place(0.0, found.rho))
            yield self._snapshot(state, message=found.message)

    def _evolution(self, state: ExactState | None) -> Iterator[Snapshot]:
        model, times = self.setup.lindbladian, self.setup.times
        place, rho0 = (None, self.asked_matrix()) if state is None else (state.place, state.rho)
        for t, rho, here in exact.follow(model, rho0, times, place=place):
            if state is not None and t <= state.t:
                continue
            step = int(np.searchsorted(times, t))
            assumed = model.schedule(times[0], times[-1]).assumed if step == 0 else ""
            yield self._snapshot(ExactState(step=step, t=t, rho=rho, place=here), message=assumed)

    def _snapshot(self, state: ExactState, message: str) -> Snapshot:
        moved = exact.ExactLindbladian(self.setup.lindbladian).apply(state.rho, state.t)
        norm2 = float(np.linalg.norm(moved) ** 2 / np.linalg.norm(state.rho) ** 2)
        return Snapshot(
            step=state.step,
            t=state.t,
            observables=exactly(self.setup.exact_values(state.rho, state.t)),
            diagnostics={"lindblad_norm2": norm2},
            state=state,
            message=message,
            converged=self._is_stationary,
        )
