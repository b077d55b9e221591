"""Pulse shapes: functions f(t) that multiply terms of a Hamiltonian or rates.

Any Python function of time is a coefficient; these know besides when they change, `partitions(t0, t1)`
(see [`neurho.model.timescales`][]), so that no integrator steps over a short pulse or across an edge. Times are in the
units of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from neurho._types import Coefficient, Value, as_real, as_reals, require
from neurho.model.timescales import CORNER, Partition, leaves, probe, straight

TAILS = 8.0
"""Widths from its centre beyond which a Gaussian counts as constant, 1e-14 of its height."""

MOST_PROBES = 2**20
"""Times at which a function is looked at, at most."""


@dataclass(frozen=True)
class Constant:
    """`value` for start <= t < end, zero outside."""

    value: float
    start: float
    end: float

    def __call__(self, t: Value) -> Value:
        """The value at time t, traced by JAX where t is."""
        return self.value * _inside(t, self.start, self.end)

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Integrators stop at both ends."""
        return (_stops((self.start, self.end), t0, t1),)


@dataclass(frozen=True)
class Ramp:
    """Linear from `first` at `start` to `last` at `end`, constant before and after."""

    first: float
    last: float
    start: float
    end: float

    def __call__(self, t: Value) -> Value:
        """The value at time t, traced by JAX where t is."""
        share = (t - self.start) / (self.end - self.start)
        return self.first + (self.last - self.first) * _library(t).clip(share, 0.0, 1.0)

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Integrators stop at both ends."""
        return (_stops((self.start, self.end), t0, t1),)


@dataclass(frozen=True)
class Sine:
    """offset + amplitude sin(frequency t + phase), `frequency` in radians per unit of time."""

    amplitude: float
    frequency: float
    phase: float
    offset: float

    def __call__(self, t: Value) -> Value:
        """The value at time t, traced by JAX where t is."""
        return self.offset + self.amplitude * _library(t).sin(self.frequency * t + self.phase)

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Steps of at most a radian."""
        return (Partition(np.array([t0, t1]), np.zeros(2, dtype=bool), longest=1 / abs(self.frequency)),)


@dataclass(frozen=True)
class Gaussian:
    """height exp(-(t - centre)^2 / (2 width^2)); its area is height width sqrt(2 pi)."""

    height: float
    centre: float
    width: float

    def __call__(self, t: Value) -> Value:
        """The value at time t, traced by JAX where t is."""
        return self.height * _library(t).exp(-(((t - self.centre) / self.width) ** 2) / 2)

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Steps of about half a width near the centre, one step for each tail."""
        return (_sampled(self, self.centre + self.width * np.linspace(-TAILS, TAILS, 129), t0, t1),)


@dataclass(frozen=True)
class Sin2:
    """height sin^2(pi (t - start)/(end - start)) for start < t < end, zero outside; area height (end - start)/2."""

    height: float
    start: float
    end: float

    def __call__(self, t: Value) -> Value:
        """The value at time t, traced by JAX where t is."""
        share = _library(t).clip((t - self.start) / (self.end - self.start), 0.0, 1.0)
        return self.height * _library(t).sin(np.pi * share) ** 2

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Integrators stop at both ends; steps of about an eighth of the pulse in between."""
        times = np.linspace(self.start, self.end, 65)
        return _sampled(self, times, t0, t1), _stops((self.start, self.end), t0, t1)


@dataclass(frozen=True)
class Tabulated:
    """Piecewise polynomials through a table; the first and last value hold before and after it.

    `coefficients[k]` are those of (t - times[k])^3, ^2, ^1, ^0 between times[k] and times[k + 1].
    """

    times: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...] = field(repr=False)

    def __call__(self, t: Value) -> Value:
        """The value at time t, traced by JAX where t is."""
        library = _library(t)
        times, coefficients = map(library.asarray, self._arrays)
        inside = library.clip(t, self.times[0], self.times[-1])
        piece = library.clip(library.searchsorted(times, inside, side="right") - 1, 0, len(self.times) - 2)
        c, past = coefficients[piece], inside - times[piece]
        return ((c[..., 0] * past + c[..., 1]) * past + c[..., 2]) * past + c[..., 3]

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and coefficients: tuples of many numbers take long to become arrays."""
        return np.asarray(self.times), np.asarray(self.coefficients)

    @cached_property
    def _hash(self) -> int:
        return hash((self.times, self.coefficients))

    def __hash__(self) -> int:
        return self._hash  # that of ten thousand rows, once

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Leaves end at the knots between which the table keeps to straight lines, to 1 % of its range.

        Integrators stop where the slope changes by more than that from one interval of the table to the next.
        """
        times, pieces = self._arrays
        values = np.append(pieces[:, 3], self(self.times[-1]))
        slopes = np.concatenate([[0.0], np.diff(values) / np.diff(times), [0.0]])
        gaps = np.diff(times)
        apart = np.minimum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1]))
        corners = np.abs(np.diff(slopes)) * apart > CORNER * np.ptp(values)
        knots = np.union1d(straight(times, values), np.flatnonzero(corners))
        inside = knots[(times[knots] > t0) & (times[knots] < t1)]
        edges = np.concatenate([[t0], times[inside], [t1]])
        return (Partition(edges, np.concatenate([[False], corners[inside], [False]])),)


@dataclass(frozen=True, eq=False)
class Function:
    """Any function of time that says when it changes."""

    function: Coefficient
    breaks: tuple[float, ...]
    width: float | None

    def __call__(self, t: Value) -> Value:
        """The value at time t."""
        return self.function(t)

    def __str__(self) -> str:
        return str(getattr(self.function, "__name__", "function"))

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """Leaves from values at least every eighth of `width`; integrators stop at `breaks`."""
        near = np.zeros(0)
        if self.width is not None:
            count = int(np.ceil(8 * (t1 - t0) / self.width))
            require(
                count <= MOST_PROBES, "width", f"be at least {8 * (t1 - t0) / MOST_PROBES:.3g}", f"it is {self.width:g}"
            )
            near = np.linspace(t0, t1, count + 1)
        found = probe(self.function, t0, t1, near)
        resolution = 0.0 if self.breaks or self.width is not None else found.resolution
        return replace(found, resolution=resolution), _stops(self.breaks, t0, t1)


Pulse: TypeAlias = Constant | Ramp | Sine | Gaussian | Sin2 | Tabulated | Function


def function(f: Coefficient, *, breaks: Sequence[float] = (), width: float | None = None) -> Function:
    """A function of time together with when it changes, for those that a look at 2^14 equally spaced times may miss.

    ```python
    import numpy as np
    import neurho

    narrow = neurho.pulses.function(lambda t: np.exp(-(((t - 0.3) / 1e-6) ** 2)), width=1e-6)
    model = neurho.heisenberg(neurho.chain(2), field=(1, 0, 0), pulses={"field_x": narrow})
    assert model.is_time_dependent
    ```

    **Arguments**

    - `f`: any function of one number.
    - `breaks`: times at which it or its slope jumps; no step crosses one.
    - `width`: the shortest time over which it changes; it is looked at eight times in every such time.

    **Raises** `NeurhoError` for what is no function, and for times that are not numbers.
    """
    require(callable(f), "f", "be a function of time", f"it is {f!r}")
    times = as_reals(breaks, "breaks") if len(breaks) else np.zeros(0)
    require(times.ndim == 1, "breaks", "be a list of times", f"its shape is {times.shape}")
    if width is not None:
        _require_reals(width=width)
        require(width > 0, "width", "be > 0", f"it is {width:g}")
    return Function(f, tuple(map(float, np.sort(times))), None if width is None else float(width))


def constant(value: float, *, start: float = -np.inf, end: float = np.inf) -> Constant:
    """`value` from `start` on and before `end`, zero outside.

    ```python
    import neurho

    on = neurho.pulses.constant(2.0, start=1.0, end=3.0)
    assert [float(on(t)) for t in (0.5, 1.0, 3.0)] == [0, 2, 0]
    ```

    **Raises** `NeurhoError` unless start < end.
    """
    _require_reals(value=value, **{n: t for n, t in {"start": start, "end": end}.items() if t not in (-np.inf, np.inf)})
    require(start < end, "end", "lie after `start`", f"start = {start:g}, end = {end:g}")
    return Constant(float(value), float(start), float(end))


def ramp(first: float, last: float, *, start: float = 0.0, end: float) -> Ramp:
    """Linear from `first` at `start` to `last` at `end`, constant before and after.

    ```python
    import neurho

    slope = neurho.pulses.ramp(0.0, 1.0, end=4.0)
    assert [float(slope(t)) for t in (-1.0, 1.0, 9.0)] == [0, 0.25, 1]
    ```

    **Raises** `NeurhoError` unless start < end.
    """
    _require_reals(first=first, last=last, start=start, end=end)
    require(start < end, "end", "lie after `start`", f"start = {start:g}, end = {end:g}")
    return Ramp(float(first), float(last), float(start), float(end))


def sine(amplitude: float, *, frequency: float, phase: float = 0.0, offset: float = 0.0) -> Sine:
    """Offset + amplitude sin(frequency t + phase); `frequency` in radians per unit of time, not zero.

    ```python
    import numpy as np
    import neurho

    drive = neurho.pulses.sine(2.0, frequency=np.pi, offset=1.0)
    assert np.isclose(drive(0.5), 3.0)
    ```
    """
    _require_reals(amplitude=amplitude, frequency=frequency, phase=phase, offset=offset)
    require(frequency != 0, "frequency", "not be zero", "it is; take a constant")
    return Sine(float(amplitude), float(frequency), float(phase), float(offset))


def gaussian(height: float, *, centre: float, width: float) -> Gaussian:
    """Height exp(-(t - centre)^2 / (2 width^2)), width > 0; its area is height width sqrt(2 pi).

    ```python
    import numpy as np
    import neurho

    kick = neurho.pulses.gaussian(3.0, centre=0.5, width=0.1)
    assert np.isclose(kick(0.6), 3 * np.exp(-1 / 2))
    ```
    """
    _require_reals(height=height, centre=centre, width=width)
    require(width > 0, "width", "be > 0", f"it is {width:g}")
    return Gaussian(float(height), float(centre), float(width))


def sin2(height: float, *, start: float = 0.0, end: float) -> Sin2:
    """Height sin^2(pi (t - start)/(end - start)) between `start` and `end`, zero outside; area height (end - start)/2.

    ```python
    import neurho

    flip = neurho.pulses.sin2(2.0, end=1.0)  # of area 1
    assert abs(flip(0.5) - 2.0) < 1e-15 and flip(1.5) < 1e-15
    ```

    **Raises** `NeurhoError` unless start < end.
    """
    _require_reals(height=height, start=start, end=end)
    require(start < end, "end", "lie after `start`", f"start = {start:g}, end = {end:g}")
    return Sin2(float(height), float(start), float(end))


def tabulated(times: Sequence[float], values: Sequence[float], *, smooth: bool = False) -> Tabulated:
    """The function through points of a table.

    ```python
    import neurho

    measured = neurho.pulses.tabulated([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    assert measured(0.5) == 0.5
    ```

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


def _library(t: Value) -> ModuleType:
    return jnp if isinstance(t, jax.Array) else np


def _inside(t: Value, start: float, end: float) -> Value:
    return _library(t).where((t >= start) & (t < end), 1.0, 0.0)


def _stops(times: Sequence[float], t0: float, t1: float) -> Partition:
    """Nothing but times at which integrators stop."""
    inside = [t for t in times if t0 < t < t1]
    hard = [False, *(True for _ in inside), False]
    return Partition(np.array([t0, *inside, t1]), np.array(hard))


def _sampled(pulse: Coefficient, times: np.ndarray, t0: float, t1: float) -> Partition:
    """Leaves from values at times that show all changes of a pulse."""
    times = np.union1d(times[(times > t0) & (times < t1)], [t0, t1])
    return leaves(times, np.asarray(pulse(times), dtype=complex))


def _require_reals(**values: object) -> None:
    for name, value in values.items():
        as_real(value, name)
