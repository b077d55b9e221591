"""Matrix products that move in time: steps of a splitting, and how far they can be trusted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from neurho.matrix_product.decompose import Cut
from neurho.matrix_product.splitting import Splitting
from neurho.matrix_product.state import State, apply

REACH = 0.4
"""Steps are chosen so that step times the largest norm of L on one pair is at most this: about 1e-6 in local means."""

LOST = 1e-10
"""A weight cut at once for want of bond dimension that is worth a sentence: 1e-5 in amplitude."""


NARROW = 128
"""Up to this bond dimension matrices are so small that one thread is the fastest."""


LOOKS = 33
"""Equally spaced times at which the norm of a moving L is looked at."""


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class Settings(NamedTuple):
    """How exact a flow is: the cut of bonds, and the longest step."""

    cut: Cut
    step: float

    def coarser(self, fewer: float, longer: float) -> "Settings":
        """The same with fewer singular values, ten times the cut-off and longer steps: a result is compared with it."""
        cut = Cut(bond=max(1, int(self.cut.bond / fewer)), cutoff=min(1e-4, self.cut.cutoff * 10))
        return Settings(cut=cut, step=self.step * longer)


@dataclass(eq=False)
class Flow:
    """exp(L t) with given settings; `outgrown` is when the bond first was too small."""

    splitting: Splitting
    settings: Settings
    outgrown: float | None = None

    def run(self, state: State, t0: float, t1: float) -> State:
        """The state at t1 from that at t0."""
        # Threads that wait for each other at every small matrix cost more than they save.
        with _blas().limit(limits=1 if self.settings.cut.bond <= NARROW else None, user_api="blas"):
            return self._run(state, t0, t1)

    def _run(self, state: State, t0: float, t1: float) -> State:
        model = self.splitting.generator.model
        now = t0
        for stop in (*model.stops(t0, t1), t1):
            number = max(1, int(np.ceil((stop - now) / self.settings.step * (1 - 1e-9))))
            dt = (stop - now) / number
            if dt == 0:
                continue
            for k in range(number):
                state = self._step(state, now + k * dt, dt)
            now = stop
        return state

    def _step(self, state: State, t: float, dt: float) -> State:
        cut = self.settings.cut
        state = replace(state, worst=0.0)
        for gates in self.splitting.gates(t, dt):
            behind = state.centre > (len(state.tensors) - 1) / 2
            state = apply(state, gates[::-1] if behind else gates, cut)
        if state.worst > max(self.settings.cut.cutoff, LOST) and self.outgrown is None:
            self.outgrown = t + dt
        return state


def automatic_step(splitting: Splitting, times: np.ndarray) -> float:
    """The longest step: REACH over the largest norm of L on one pair, at many times and wherever a pulse changes."""
    first, last, generator = float(times[0]), float(times[-1]), splitting.generator
    looked = np.array([first])
    if generator.moving:
        marks = np.array(generator.model.stops(first, last))
        looked = np.concatenate([np.linspace(first, last, LOOKS), marks, (marks[1:] + marks[:-1]) / 2])
    norm = max(splitting.norm(float(t)) for t in looked)
    return REACH / norm if norm > 0 else max(last - first, 1.0)


def intervals(times: np.ndarray) -> Iterator[tuple[float, float]]:
    """Neighbouring times."""
    yield from zip(map(float, times[:-1]), map(float, times[1:]), strict=True)
