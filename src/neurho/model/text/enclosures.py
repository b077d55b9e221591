"""Where a function written as text can change: enclosures of its values over whole intervals of time.

Ball arithmetic: over the interval |t - m| <= h a function lies within `radius` of `centre`, its value at m. What is
enclosed cannot hide a pulse, however short, and intervals are halved only where something changes (N. Nedialkov, K.
Jackson and G. Corliss, Appl. Math. Comput. 105, 21 (1999), use the same for initial value problems).
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from neurho._types import Coefficient
from neurho.model.timescales import AREA, CHANGE, Partition, leaves, pole_near, unbounded, values_at

MOST = 2**17
"""Intervals into which the times of a run are cut, at most."""
LARGEST_POWER = 64


class Ball(NamedTuple):
    """All numbers within `radius` of `centre`, for many intervals of time at once."""

    centre: np.ndarray
    radius: np.ndarray

    def __add__(self, other: "Ball") -> "Ball":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Ball(self.centre + other.centre, self.radius + other.radius)

    def __neg__(self) -> "Ball":
        return Ball(-self.centre, self.radius)

    def __mul__(self, other: "Ball") -> "Ball":  # pyright: ignore[reportIncompatibleMethodOverride]
        a, b = np.abs(self.centre), np.abs(other.centre)
        return Ball(self.centre * other.centre, a * other.radius + b * self.radius + self.radius * other.radius)

    @property
    def real(self) -> bool:
        """Whether the numbers are real, as far as can be told from the centres."""
        return not np.any(np.imag(self.centre))


def inverse(x: Ball) -> Ball:
    """1/x: infinite where x may be 0."""
    size = np.abs(x.centre)
    return Ball(1 / x.centre, np.where(size > x.radius, x.radius / (size * (size - x.radius)), np.inf))


def exponential(x: Ball) -> Ball:
    """Exp x: |exp(c + r) - exp c| <= |exp c| (exp |r| - 1)."""
    centre = np.exp(x.centre)
    radius = np.where(x.radius == 0, 0.0, np.exp(np.real(x.centre) + x.radius) - np.abs(centre))
    return Ball(centre, np.where(np.isnan(radius), np.inf, radius))


def logarithm(x: Ball) -> Ball:
    """Log x."""
    share = x.radius / np.abs(x.centre)
    return Ball(np.log(x.centre), np.where(share < 1, -np.log1p(-np.minimum(share, 1)), np.inf))


def _wave(function: Coefficient) -> Callable[[Ball], Ball]:
    """A sine or cosine; its slope is at most cosh of the imaginary part."""

    def enclosed(x: Ball) -> Ball:
        if x.real:
            return Ball(function(x.centre), np.minimum(x.radius, 2.0))
        return Ball(function(x.centre), x.radius * np.cosh(np.abs(np.imag(x.centre)) + x.radius))

    return enclosed


def hyperbolic(x: Ball) -> Ball:
    """Tanh x; the slope of a real one is at most that at its smallest argument."""
    if x.real:
        near = np.maximum(np.abs(np.real(x.centre)) - x.radius, 0.0)
        return Ball(np.tanh(x.centre), np.minimum(x.radius / np.cosh(near) ** 2, 2.0))
    wide = inverse(exponential(Ball(2 * x.centre, 2 * x.radius)) + Ball(np.ones(1), np.zeros(1)))
    return Ball(np.tanh(x.centre), 2 * wide.radius)


def power(x: Ball, exponent: complex) -> Ball:
    """X to a constant power."""
    number = complex(exponent)
    if number.imag == 0 and number.real == round(number.real) and 0 < abs(number.real) <= LARGEST_POWER:
        result = x
        for _ in range(round(abs(number.real)) - 1):
            result = result * x
        return result if number.real > 0 else inverse(result)
    centre = x.centre.astype(complex) ** number
    radius = exponential(Ball(np.full(1, number), np.zeros(1)) * logarithm(x)).radius
    if number.imag == 0 and number.real > 0:  # what is near 0 stays near 0
        size = np.abs(x.centre)
        radius = np.fmin(radius, (size + x.radius) ** number.real + size**number.real)
    return Ball(centre, radius)


FUNCTIONS: dict[str, Callable[[Ball], Ball]] = {
    "exp": exponential,
    "sin": _wave(np.sin),
    "cos": _wave(np.cos),
    "tanh": hyperbolic,
    "sqrt": lambda x: power(x, 0.5),
}
Enclosure: TypeAlias = Callable[[Ball], Ball]


def partition(function: Coefficient, enclosed: Enclosure, t0: float, t1: float) -> Partition:
    """The leaves of a function whose values over intervals of time can be enclosed."""
    times, unseen = _cut(enclosed, t0, t1)
    values = values_at(function, times)
    if (pole := pole_near(function, times, values)) is not None:
        return unbounded(t0, t1, pole)
    found = leaves(times, values)
    return Partition(found.edges, found.hard, resolution=unseen)


def _cut(enclosed: Enclosure, t0: float, t1: float) -> tuple[np.ndarray, float]:
    """Edges and midpoints of intervals over which the function changes by little, and the longest where it may not."""
    edges = np.linspace(t0, t1, 65)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    ball = _evaluated(enclosed, middle, half)
    smallest, wide = 1e-13 * max(abs(t0), abs(t1), t1 - t0), np.zeros(0, dtype=bool)
    for _ in range(60):
        wide = _too_wide(ball, half, half > smallest)
        if not np.any(wide) or len(half) > MOST:
            break
        quarter = half[wide] / 2
        halves = np.concatenate([middle[wide] - quarter, middle[wide] + quarter])
        fresh = _evaluated(enclosed, halves, np.tile(quarter, 2))
        ball = Ball(*(np.concatenate([old[~wide], new]) for old, new in zip(ball, fresh, strict=True)))
        middle, half = np.concatenate([middle[~wide], halves]), np.concatenate([half[~wide], quarter, quarter])
        wide = np.zeros(len(half), dtype=bool)
    unseen = 2 * float(np.max(half[wide], initial=0.0))
    return np.unique(np.concatenate([[t0, t1], middle - half, middle, middle + half])).clip(t0, t1), unseen


def _too_wide(ball: Ball, half: np.ndarray, divisible: np.ndarray) -> np.ndarray:
    """Intervals with too much change: first where all may be hidden, then where it counts."""
    centre, radius = ball
    fine = np.isfinite(centre)
    steps, values = 2 * half, np.where(fine, centre, 0.0)
    away = np.abs(values - np.sum(values * steps) / np.sum(steps))
    if np.any(unknown := ~np.isfinite(radius) & divisible):
        return unknown
    radius = np.where(np.isfinite(radius), radius, 0.0)
    size = max(float(np.max(away)), 0.1 * float(np.max(radius)))
    area = max(float(np.sum(away * steps)), 0.01 * float(np.max(radius * steps)))
    return divisible & ((2 * radius > CHANGE * size) | (2 * radius * steps > AREA * area))


def _evaluated(enclosed: Enclosure, middle: np.ndarray, half: np.ndarray) -> Ball:
    with np.errstate(all="ignore"):
        centre, radius = enclosed(Ball(middle.astype(complex), half))
    centre, radius = (np.broadcast_to(a, middle.shape) for a in (centre, radius))
    return Ball(centre, np.where(np.isnan(radius), np.inf, radius))
