"""Runge-Kutta steps of order 8 for density matrices, where the Lindbladian depends on time.

The pair of Dormand and Prince with errors of orders 5 and 3 (E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary
Differential Equations I, section II.5); its coefficients are SciPy's. Steps end at edges of coefficients and are as
short as these change (see [`neurho.model.timescales`][]).
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import DOP853

from neurho._types import NumericalError
from neurho.model.timescales import Schedule, within

STAGES = 12
A, B, C = DOP853.A[:STAGES, :STAGES], DOP853.B, DOP853.C[:STAGES]
E3, E5 = DOP853.E3[:STAGES], DOP853.E5[:STAGES]
SAFETY, SMALLEST, LARGEST = 0.9, 0.2, 5.0
STRETCH = 0.91
"""Share of a stop's distance that counts: steps use up the safety where that saves one."""
Rate = Callable[[float, np.ndarray], np.ndarray]


class Integrator:
    """Moves rho from time to time, each step with an error of at most `tolerance` ||rho|| in the Frobenius norm."""

    def __init__(
        self, rate: Rate, plan: Schedule, rho: np.ndarray, t: float, tolerance: float, length: float = 0.0
    ) -> None:
        self.rate, self.plan, self.tolerance = rate, plan, tolerance
        self.rho, self.t = rho, t
        self.stages = np.empty((STAGES, 2 * rho.size))
        self.length = length

    def advance(self, target: float) -> np.ndarray:
        """The density matrix at `target`."""
        while self.t < target:
            self._step(target)
        self.rho = (self.rho + self.rho.conj().T) / 2
        return self.rho

    def _step(self, target: float) -> None:
        stop = self.plan.stop(self.t, target)
        if stop - self.t <= 1e-14 * abs(stop):  # equal parts of a stretch may add up to a little less than it
            self.t = stop
            return
        if not self.length:
            self.length = self._first(stop)
        for _ in range(100):
            parts = max(1, int(np.ceil((stop - self.t) / self.length * STRETCH)))
            dt = (stop - self.t) / parts
            if dt <= 1e-14 * abs(self.t):
                break
            new, error = self._try(dt)
            factor = SAFETY * max(error, 1e-16) ** (-1 / 8) if np.isfinite(error) else SMALLEST
            if error <= 1:
                self.rho, self.t = new, stop if parts == 1 else self.t + dt
                # A step cut short by an edge or an output says nothing against a longer one.
                grown = dt * min(factor, LARGEST)
                self.length = max(self.length, grown) if parts == 1 and factor > 1 else grown
                return
            self.length = dt * min(max(factor, SMALLEST), SAFETY)
        raise NumericalError(
            f"The integration stopped at t = {self.t:.6g}: steps became too small; some coefficient may not be finite."
        )

    def _first(self, stop: float) -> float:
        size = np.linalg.norm(self.rate(within(self.t, stop - self.t, 0.0), self.rho))
        return min(stop - self.t, 0.1 * float(np.linalg.norm(self.rho) / max(size, 1e-300)))

    def _try(self, dt: float) -> tuple[np.ndarray, float]:
        """The state after a step, and its error in units of the tolerance."""
        start = self.rho.view(float).ravel()
        for n in range(STAGES):
            point = start + dt * (A[n, :n] @ self.stages[:n]) if n else start
            rho = point.view(complex).reshape(self.rho.shape)
            self.stages[n] = self.rate(within(self.t, dt, C[n]), rho).view(float).ravel()
        five, three = (dt * float(np.linalg.norm(weights @ self.stages)) for weights in (E5, E3))
        error = five**2 / np.sqrt(five**2 + 0.01 * three**2) if five > 0 else five
        new = start + dt * (B @ self.stages)
        most = self.tolerance * float(np.linalg.norm(start))
        return new.view(complex).reshape(self.rho.shape), error / most
