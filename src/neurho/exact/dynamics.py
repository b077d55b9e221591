"""Exact time evolution: Taylor series of exp(L dt), or Runge-Kutta where L depends on time."""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy

from neurho._types import NumericalError, require
from neurho.exact.density import require_memory, require_shape
from neurho.exact.generator import ExactLindbladian, Generator, norm_bound
from neurho.operators import Lindbladian

TAYLOR_NORM = 4.0
"""Largest ||L|| dt of one Taylor step: rounding grows as exp(||L|| dt), here to 1e-14."""


def evolve(
    lindbladian: Lindbladian,
    rho0: np.ndarray,
    times: Sequence[float] | np.ndarray,
    *,
    tolerance: float = 1e-12,
    memory: float = 8.0,
) -> Iterator[np.ndarray]:
    """Density matrices at `times`, from `rho0` at `times[0]`, exact to about `tolerance` in the Frobenius norm.

    Constant generators: the Taylor series of exp(L dt), steps ||L|| dt <= 4. Time-dependent ones: the Runge-Kutta
    pair DOP853 of order 8 with `tolerance` per step (not below 1e-13).

    **Arguments**

    - `rho0`: Hermitian, shape `(D, D)`.
    - `times`: increasing, in units of 1/rate.
    - `memory`: in GiB; the most that the arrays may take.

    **Raises** `NeurhoError` if an argument does not fit.
    """
    exact = ExactLindbladian(lindbladian)
    times_ = np.asarray(times, dtype=float)
    require(times_.ndim == 1 and len(times_) > 0, "times", "be at least one time", f"its shape is {times_.shape}")
    require(
        np.all(np.isfinite(times_)) and np.all(np.diff(times_) >= 0),
        "times",
        "be finite and not decrease",
        f"it is {times}",
    )
    require(1e-15 <= tolerance < 1, "tolerance", "lie in [1e-15, 1)", f"it is {tolerance}")
    require_memory(exact.dimension, 24 if lindbladian.is_time_dependent else 8, memory)
    rho = np.array(rho0, dtype=complex)
    require_shape(rho, exact.dimension, "rho0")
    require(np.allclose(rho, rho.conj().T, rtol=0, atol=1e-10), "rho0", "be Hermitian", "it differs from its adjoint")
    rho = (rho + rho.conj().T) / 2
    return (
        _runge_kutta(exact, rho, times_, tolerance)
        if lindbladian.is_time_dependent
        else _taylor(exact, rho, times_, tolerance)
    )


def _taylor(exact: ExactLindbladian, rho: np.ndarray, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    generator = exact.at(0.0)
    norm = norm_bound(exact)
    yield rho
    for dt in np.diff(times):
        steps = max(1, int(np.ceil(norm * dt / TAYLOR_NORM)))
        cutoff = max(tolerance * dt / (times[-1] - times[0] + 1e-300) / steps, 1e-17)
        for _ in range(steps if dt > 0 else 0):
            rho = _taylor_step(generator, rho, dt / steps, cutoff)
        yield rho


def _taylor_step(generator: Generator, rho: np.ndarray, dt: float, cutoff: float) -> np.ndarray:
    term, total = rho, rho.copy()
    for order in range(1, 200):
        term = generator.apply(term)
        term *= dt / order
        total += term
        size = np.linalg.norm(term)
        if size <= cutoff * np.linalg.norm(total):
            return total
        if not np.isfinite(size):
            break
    raise NumericalError(
        "The Taylor series of exp(L dt) did not converge; the Lindbladian has entries that are too large."
    )


def _runge_kutta(exact: ExactLindbladian, rho: np.ndarray, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    shape, scale = rho.shape, float(np.linalg.norm(rho)) / len(rho)

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        return exact.at(t).apply(y.reshape(shape)).ravel()

    relative, last, now = max(tolerance, 1e-13), None, float(times[0])
    yield rho
    for target in map(float, times[1:]):
        # Marks are stops as outputs are, so that no step passes over a pulse.
        for stop in (*exact.lindbladian.marks(now, target), target):
            first = None if last is None else min(last, stop - now) or None
            solver = scipy.integrate.DOP853(
                rate, now, rho.ravel(), stop, rtol=relative, atol=relative * scale, first_step=first
            )
            while solver.status == "running":
                message = solver.step()
                if solver.status == "failed":
                    raise NumericalError(f"The integration stopped at t = {solver.t}: {message}")
                last = max(last or 0.0, solver.h_abs)  # the last step of an interval is cut short
            rho, now = solver.y.reshape(shape), stop
            rho = (rho + rho.conj().T) / 2
        yield rho
