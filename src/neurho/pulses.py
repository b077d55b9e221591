"""Pulse shapes: functions f(t) that multiply terms of a Hamiltonian or rates.

Any Python function of time is a coefficient; these know besides when they change, `marks(t0, t1)`, so that
no integrator steps over a short pulse or across an edge. Times are in the units of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from neurho._types import as_reals, require

PARTS = 16
"""Steps that a pulse is given at least."""

MOST_KNOTS = 64
"""Knots of a table at which integrators stop, at most; more are thinned out evenly."""


@dataclass(frozen=True)
class Constant:
    """`value` for start <= t < end, zero outside."""

    value: float
    start: float
    end: float

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        return self.value * _inside(t, self.start, self.end)

    def marks(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) at which integrators stop."""
        return _between((self.start, self.end), t0, t1)


@dataclass(frozen=True)
class Ramp:
    """Linear from `first` at `start` to `last` at `end`, constant before and after."""

    first: float
    last: float
    start: float
    end: float

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        share = (t - self.start) / (self.end - self.start)
        return self.first + (self.last - self.first) * _library(t).clip(share, 0.0, 1.0)

    def marks(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) at which integrators stop."""
        return _between((self.start, self.end), t0, t1)


@dataclass(frozen=True)
class Sine:
    """offset + amplitude sin(frequency t + phase), `frequency` in radians per unit of time."""

    amplitude: float
    frequency: float
    phase: float
    offset: float

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        return self.offset + self.amplitude * _library(t).sin(self.frequency * t + self.phase)

    def marks(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) at which integrators stop: sixteen in a period."""
        step = 2 * np.pi / PARTS / abs(self.frequency)
        return _between(step * np.arange(np.floor(t0 / step), t1 / step + 1), t0, t1)


@dataclass(frozen=True)
class Gaussian:
    """height exp(-(t - centre)^2 / (2 width^2)); its area is height width sqrt(2 pi)."""

    height: float
    centre: float
    width: float

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        return self.height * _library(t).exp(-(((t - self.centre) / self.width) ** 2) / 2)

    def marks(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) at which integrators stop: every half width, to four widths from the centre."""
        return _between(self.centre + self.width * np.linspace(-4, 4, PARTS + 1), t0, t1)


@dataclass(frozen=True)
class Sin2:
    """height sin^2(pi (t - start)/(end - start)) for start < t < end, zero outside; area height (end - start)/2."""

    height: float
    start: float
    end: float

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        share = _library(t).clip((t - self.start) / (self.end - self.start), 0.0, 1.0)
        return self.height * _library(t).sin(np.pi * share) ** 2

    def marks(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) at which integrators stop: sixteenths of the pulse."""
        return _between(np.linspace(self.start, self.end, PARTS + 1), t0, t1)


@dataclass(frozen=True)
class Tabulated:
    """Piecewise polynomials through a table; the first and last value hold before and after it.

    `coefficients[k]` are those of (t - times[k])^3, ^2, ^1, ^0 between times[k] and times[k + 1].
    """

    times: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...] = field(repr=False)

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        library = _library(t)
        knots, coefficients = self._arrays
        times = library.asarray(knots)
        inside = library.clip(t, self.times[0], self.times[-1])
        piece = library.clip(library.searchsorted(times, inside, side="right") - 1, 0, len(self.times) - 2)
        c, past = library.asarray(coefficients)[piece], inside - times[piece]
        return ((c[..., 0] * past + c[..., 1]) * past + c[..., 2]) * past + c[..., 3]

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and coefficients: tuples of many numbers take long to become arrays."""
        return np.asarray(self.times), np.asarray(self.coefficients)

    def marks(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) at which integrators stop: the knots, or some of very many."""
        return _between(self.times[:: -(-len(self.times) // MOST_KNOTS)], t0, t1)


Pulse: TypeAlias = Constant | Ramp | Sine | Gaussian | Sin2 | Tabulated


def constant(value: float, *, start: float = -np.inf, end: float = np.inf) -> Constant:
    """`value` from `start` on and before `end`, zero outside.

    **Raises** `NeurhoError` unless start < end.
    """
    _require_reals(value=value, **{n: t for n, t in {"start": start, "end": end}.items() if t not in (-np.inf, np.inf)})
    require(start < end, "end", "lie after `start`", f"start = {start:g}, end = {end:g}")
    return Constant(float(value), float(start), float(end))


def ramp(first: float, last: float, *, start: float = 0.0, end: float) -> Ramp:
    """Linear from `first` at `start` to `last` at `end`, constant before and after.

    **Raises** `NeurhoError` unless start < end.
    """
    _require_reals(first=first, last=last, start=start, end=end)
    require(start < end, "end", "lie after `start`", f"start = {start:g}, end = {end:g}")
    return Ramp(float(first), float(last), float(start), float(end))


def sine(amplitude: float, *, frequency: float, phase: float = 0.0, offset: float = 0.0) -> Sine:
    """Offset + amplitude sin(frequency t + phase); `frequency` in radians per unit of time, not zero."""
    _require_reals(amplitude=amplitude, frequency=frequency, phase=phase, offset=offset)
    require(frequency != 0, "frequency", "not be zero", "it is; take a constant")
    return Sine(float(amplitude), float(frequency), float(phase), float(offset))


def gaussian(height: float, *, centre: float, width: float) -> Gaussian:
    """Height exp(-(t - centre)^2 / (2 width^2)), width > 0; its area is height width sqrt(2 pi)."""
    _require_reals(height=height, centre=centre, width=width)
    require(width > 0, "width", "be > 0", f"it is {width:g}")
    return Gaussian(float(height), float(centre), float(width))


def sin2(height: float, *, start: float = 0.0, end: float) -> Sin2:
    """Height sin^2(pi (t - start)/(end - start)) between `start` and `end`, zero outside; area height (end - start)/2.

    **Raises** `NeurhoError` unless start < end.
    """
    _require_reals(height=height, start=start, end=end)
    require(start < end, "end", "lie after `start`", f"start = {start:g}, end = {end:g}")
    return Sin2(float(height), float(start), float(end))


def tabulated(times: Sequence[float], values: Sequence[float], *, smooth: bool = False) -> Tabulated:
    """The function through points of a table.

    **Arguments**

    - `times`: at least two, increasing; `values`: one for each. Before and after the table the end values hold.
    - `smooth`: straight lines between the points, or cubic polynomials with a continuous slope that overshoot nowhere
      (Fritsch & Butland, SIAM J. Sci. Stat. Comput. 5, 300 (1984)).

    **Raises** `NeurhoError` for a table that is not sorted, too short or uneven.
    """
    t, v = as_reals(times, "times"), as_reals(values, "values")
    require(t.ndim == 1 and len(t) >= 2, "times", "be at least two numbers", f"its shape is {t.shape}")
    require(np.all(np.diff(t) > 0), "times", "increase", "it does not")
    require(v.shape == t.shape, "values", f"have one entry for each of the {len(t)} times", f"its shape is {v.shape}")
    slopes = np.diff(v) / np.diff(t)
    pieces = np.stack([0 * slopes, 0 * slopes, slopes, v[:-1]], axis=1)
    if smooth:
        pieces = scipy.interpolate.PchipInterpolator(t, v).c.T
    return Tabulated(tuple(map(float, t)), tuple(tuple(map(float, row)) for row in pieces))


def _library(t: Any) -> Any:
    return jnp if isinstance(t, jax.Array) else np


def _inside(t: Any, start: float, end: float) -> Any:
    return _library(t).where((t >= start) & (t < end), 1.0, 0.0)


def _between(times: Any, t0: float, t1: float) -> tuple[float, ...]:
    return tuple(float(t) for t in times if t0 < t < t1)


def _require_reals(**values: Any) -> None:
    for name, value in values.items():
        require(as_reals(value, name).ndim == 0, name, "be one number", f"it is {value!r}")
