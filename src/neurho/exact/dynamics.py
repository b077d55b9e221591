"""Exact time evolution: polynomials of a constant L, or power series in time where L depends on it."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from neurho._types import NeurhoError, Numbers, SupportsFull, require
from neurho.exact.bounds import numerical_range
from neurho.exact.density import as_density_matrix, require_memory
from neurho.exact.faber import ellipse, expand
from neurho.exact.generator import ExactLindbladian
from neurho.exact.series import arrays, step
from neurho.model.operators import Lindbladian

ROOM, TOGETHER = 64, 2**28
"""Outputs of one expansion at most, and the bytes that they may take together."""


class Place(NamedTuple):
    """Where an evolution goes on from with the numbers of one that never stopped: t, rho there, and the length of the
    next step (0 where it is not known yet, or where there are none).

    ```python
    import neurho

    pair = neurho.xyz(neurho.chain(2))
    (_, _, place), *_ = neurho.exact.follow(pair, neurho.exact.product_state("up", 2), [0.0, 1.0])
    assert isinstance(place, neurho.exact.Place) and place.t == 0 and place.rho[0, 0] == 1
    ```
    """

    t: float
    rho: np.ndarray
    length: float = 0.0


def evolve(
    lindbladian: Lindbladian,
    rho0: Numbers | SupportsFull,
    times: Sequence[float] | np.ndarray,
    *,
    tolerance: float = 1e-8,
    memory: float = 8.0,
) -> Iterator[np.ndarray]:
    """Density matrices at `times`, from `rho0` at `times[0]`, exact to about `tolerance` in the Frobenius norm.

    Constant generators: Faber polynomials of L, with at most `tolerance` left out in the whole evolution.
    Time-dependent ones: power series in time (`neurho.exact.series`) with `tolerance` ||rho|| per step (not below
    1e-13); steps end at edges of coefficients and follow their time scales ([`neurho.model.timescales`][]). A Python
    function that does not say when it changes is looked at 2^14 times: see [`neurho.model.pulses.function`][].

    ```python
    import numpy as np
    import neurho

    decay = neurho.heisenberg(neurho.chain(1), decay=1.0)
    *_, rho = neurho.exact.evolve(decay, neurho.exact.product_state("up", 1), [0.0, 2.0])
    assert np.isclose(rho[0, 0], np.exp(-2.0))
    ```

    **Arguments**

    - `rho0`: Hermitian, shape `(D, D)`, or a Qobj of QuTiP: a density matrix, or a ket |psi> for |psi><psi|.
    - `times`: increasing, in units of 1/rate.
    - `memory`: in GiB; the most that the arrays may take.

    **Raises** `NeurhoError` if an argument does not fit.
    """
    return (rho for _, rho, _ in follow(lindbladian, rho0, times, tolerance=tolerance, memory=memory))


def follow(
    lindbladian: Lindbladian,
    rho0: Numbers | SupportsFull,
    times: Sequence[float] | np.ndarray,
    *,
    place: Place | None = None,
    tolerance: float = 1e-8,
    memory: float = 8.0,
) -> Iterator[tuple[float, np.ndarray, Place]]:
    """Each of `times`, the density matrix there, and where to go on from; arguments as in [`neurho.exact.evolve`][].

    ```python
    import numpy as np
    import neurho

    decay = neurho.heisenberg(neurho.chain(1), decay=1.0)
    up = neurho.exact.product_state("up", 1)
    (_, _, begin), (t, rho, _) = neurho.exact.follow(decay, up, [0.0, 1.0])
    ((_, again, _),) = neurho.exact.follow(decay, up, [0.0, 1.0], place=begin)
    assert np.array_equal(rho, again)
    ```

    - `place`: of an earlier call with the same times; what comes after it is given again, bit for bit.
    """
    exact = ExactLindbladian(lindbladian)
    times_ = np.asarray(times, dtype=float)
    require(times_.ndim == 1 and len(times_) > 0, "times", "be at least one time", f"its shape is {times_.shape}")
    if not (np.all(np.isfinite(times_)) and np.all(np.diff(times_) >= 0)):
        raise NeurhoError(f"Argument `times` must be finite and not decrease, but it is {times}.")
    require(1e-15 <= tolerance < 1, "tolerance", "lie in [1e-15, 1)", f"it is {tolerance}")
    require_memory(exact.dimension, arrays(exact) if lindbladian.is_time_dependent else 22, memory)
    rho = as_density_matrix(rho0, lindbladian)
    rho = (rho + rho.conj().T) / 2
    move = _moving if lindbladian.is_time_dependent else _constant
    if place is not None:
        return move(exact, place, times_[times_ > place.t], times_, tolerance)
    begin = Place(float(times_[0]), rho)
    return itertools.chain([(begin.t, rho, begin)], move(exact, begin, times_[1:], times_, tolerance))


def _constant(
    exact: ExactLindbladian, place: Place, times: np.ndarray, whole: np.ndarray, tolerance: float
) -> Iterator[tuple[float, np.ndarray, Place]]:
    """Windows as long as one expansion may be, each with all the outputs that lie in it, as far as there is room."""
    shape = ellipse(numerical_range(exact))
    generator = exact.constant.scaled(shape.centre, shape.capacity, exact.dimension)
    room = max(1, min(ROOM, int(TOGETHER / place.rho.nbytes)))
    n, total = 0, whole[-1] - whole[0] + 1e-300
    while n < len(times):
        now, rho = place.t, place.rho
        many = int(np.searchsorted(times[n : n + room], now + shape.longest, side="right"))
        if many == 0:
            parts = int(np.ceil((times[n] - now) / shape.longest))
            stops = np.array([now + (times[n] - now) / parts])
        else:
            stops = times[n : n + many]
        share = (stops[-1] - now) / total
        for t, state in zip(stops, expand(generator, shape, rho, stops - now, tolerance * share), strict=True):
            rho = state
            if many:
                yield float(t), state, place
        place, n = Place(float(stops[-1]), rho), n + many


def _moving(
    exact: ExactLindbladian, place: Place, times: np.ndarray, whole: np.ndarray, tolerance: float
) -> Iterator[tuple[float, np.ndarray, Place]]:
    """Power series, each with all the outputs that lie in its step."""
    plan, n = exact.lindbladian.schedule(float(whole[0]), float(whole[-1])), 0
    while n < len(times):
        t, rho, length = place
        series = step(exact, plan, t, rho, length, float(whole[-1]), max(tolerance, 1e-13))
        while n < len(times) and times[n] <= series.stop:
            yield float(times[n]), series.at(float(times[n])), place
            n += 1
        place = Place(series.stop, series.at(series.stop), series.following)
