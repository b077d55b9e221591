"""Exact time evolution: polynomials of a constant L, or Runge-Kutta of order 8 where L depends on time."""

from collections.abc import Iterator, Sequence

import numpy as np

from neurho._types import NeurhoError, require
from neurho.exact.bounds import numerical_range
from neurho.exact.density import as_density_matrix, require_memory
from neurho.exact.embedded import Integrator
from neurho.exact.faber import ellipse, expand
from neurho.exact.generator import ExactLindbladian
from neurho.model.operators import Lindbladian

ROOM, TOGETHER = 64, 2**28
"""Outputs of one expansion at most, and the bytes that they may take together."""


def evolve(
    lindbladian: Lindbladian,
    rho0: np.ndarray,
    times: Sequence[float] | np.ndarray,
    *,
    tolerance: float = 1e-8,
    memory: float = 8.0,
) -> Iterator[np.ndarray]:
    """Density matrices at `times`, from `rho0` at `times[0]`, exact to about `tolerance` in the Frobenius norm.

    Constant generators: Faber polynomials of L, with at most `tolerance` left out in the whole evolution.
    Time-dependent ones: the Runge-Kutta pair of Dormand and Prince of order 8 with `tolerance` ||rho|| per step (not
    below 1e-13); steps end at edges of coefficients and follow their time scales ([`neurho.model.timescales`][]). A
    Python function that does not say when it changes is looked at 2^14 times: see [`neurho.model.pulses.function`][].

    **Arguments**

    - `rho0`: Hermitian, shape `(D, D)`, or a Qobj of QuTiP: a density matrix, or a ket |psi> for |psi><psi|.
    - `times`: increasing, in units of 1/rate.
    - `memory`: in GiB; the most that the arrays may take.

    **Raises** `NeurhoError` if an argument does not fit.
    """
    exact = ExactLindbladian(lindbladian)
    times_ = np.asarray(times, dtype=float)
    require(times_.ndim == 1 and len(times_) > 0, "times", "be at least one time", f"its shape is {times_.shape}")
    if not (np.all(np.isfinite(times_)) and np.all(np.diff(times_) >= 0)):
        raise NeurhoError(f"Argument `times` must be finite and not decrease, but it is {times}.")
    require(1e-15 <= tolerance < 1, "tolerance", "lie in [1e-15, 1)", f"it is {tolerance}")
    require_memory(exact.dimension, 30 if lindbladian.is_time_dependent else 22, memory)
    rho = as_density_matrix(rho0, lindbladian)
    rho = (rho + rho.conj().T) / 2
    return (_moving if lindbladian.is_time_dependent else _constant)(exact, rho, times_, tolerance)


def _constant(exact: ExactLindbladian, rho: np.ndarray, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    """Windows as long as one expansion may be, each with all the outputs that lie in it, as far as there is room."""
    shape = ellipse(numerical_range(exact))
    generator = exact.at(0.0).scaled(shape.centre, shape.capacity, exact.dimension)
    room = max(1, min(ROOM, int(TOGETHER / rho.nbytes)))
    yield rho
    now, n = float(times[0]), 1
    while n < len(times):
        many = int(np.searchsorted(times[n : n + room], now + shape.longest, side="right"))
        if many == 0:
            parts = int(np.ceil((times[n] - now) / shape.longest))
            stops = np.array([now + (times[n] - now) / parts])
        else:
            stops = times[n : n + many]
        share = (stops[-1] - now) / (times[-1] - times[0] + 1e-300)
        for state in expand(generator, shape, rho, stops - now, tolerance * share):
            rho = state
            if many:
                yield state
        now, n = float(stops[-1]), n + many


def _moving(exact: ExactLindbladian, rho: np.ndarray, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    def rate(t: float, rho: np.ndarray) -> np.ndarray:
        return exact.at(t).apply(rho)

    plan = exact.lindbladian.schedule(float(times[0]), float(times[-1]))
    integrator = Integrator(rate, plan, rho, float(times[0]), max(tolerance, 1e-13))
    yield rho
    for t in times[1:]:
        yield integrator.advance(float(t))
