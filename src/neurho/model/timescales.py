"""When coefficients change: where integrators must stop, and how long a step may be in between.

The times of a run are cut into *leaves* in which a coefficient changes by little. A step is at most twice as long as
any leaf that it touches, and ends at every edge where the value or its slope jumps. A pulse is then seen however short
it is, and each step sees a smooth function: order and error estimate of a method hold across edges too.

A coefficient that knows where it changes has a method `partitions(t0, t1)`, as those of [`neurho.model.pulses`][] and
those written as text do; one that is made of others has `factors`. Any other function is looked at on a grid.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from neurho._types import Coefficient, Value

PROBES = 2**14
"""Intervals of the grid on which functions are looked at that do not know when they change."""
CHANGE, AREA = 0.5, 0.005
"""A leaf may hold this share of the largest change of a coefficient, and its change times its length this share of the
area under the coefficient: the first for what integrators see of a pulse, the second for its tails.
"""
REACH = 2.0
"""How much longer than a leaf a step may be that touches it."""
JUMP = 1 / 8
"""Share of the largest change that counts as a jump where it happens between two neighbouring numbers."""
POWERS = 10.0 ** -np.arange(9, 14)
"""Distances from a pole at which it is looked for, in units of the scale of time."""
CORNER = 1e-2
"""A table may leave straight lines by this share of its range between two stops."""


@dataclass(frozen=True, eq=False)
class Partition:
    """The leaves of one coefficient: `edges` ascending, `hard` where value or slope jump; `longest` step anywhere.

    `resolution` is the length below which changes may have gone unseen, 0 where nothing can; `pole` a time at which the
    coefficient grows without bound.
    """

    edges: np.ndarray
    hard: np.ndarray
    longest: float = np.inf
    resolution: float = 0.0
    pole: float | None = None

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.diff(self.edges)

    def stop(self, t: float, target: float) -> float:
        """The latest time, at most `target`, to which a step from t may go."""
        edges, lengths = self.edges, self._lengths
        limit = min(target, t + self.longest)
        k = int(np.searchsorted(edges, t + _slack(t), side="right"))
        if 0 < k < len(edges):
            limit = min(limit, max(float(edges[k]), t + REACH * lengths[k - 1]))
        while k < len(edges) and edges[k] < limit - _slack(limit):
            edge = float(edges[k])
            if self.hard[k]:
                return edge
            if k < len(lengths):
                limit = min(limit, max(edge, t + REACH * lengths[k]))
            k += 1
        return limit


@dataclass(frozen=True, eq=False)
class Schedule:
    """The leaves of all coefficients of a model, and those that grow without bound, each with a time."""

    partitions: tuple[Partition, ...] = field(repr=False)
    poles: tuple[tuple[Coefficient, float], ...] = ()

    def stop(self, t: float, target: float) -> float:
        """The latest time, at most `target`, to which a step from t may go."""
        return min((p.stop(t, target) for p in self.partitions), default=target)

    def stops(self, t0: float, t1: float) -> tuple[float, ...]:
        """Times in (t0, t1) that cut it into steps as long as they may be, ascending."""
        found, t = [], t0
        while (t := self.stop(t, t1)) < t1:
            found.append(t)
        return tuple(found)

    @property
    def assumed(self) -> str:
        """A sentence on what was assumed of functions that do not say when they change, or ""."""
        found = max((p.resolution for p in self.partitions), default=0.0)
        if not found:
            return ""
        return (
            f"Functions of time were looked at every {found:.2g} units of time: a pulse shorter than that can be "
            "missed; `neurho.model.pulses.function(f, breaks=..., width=...)` says when a function changes."
        )


def schedule(coefficients: Iterable[object], t0: float, t1: float) -> Schedule:
    """When some of the coefficients change between t0 and t1; None and numbers do not."""
    atoms = dict.fromkeys(_atoms(coefficients))
    if not t1 > t0:
        return Schedule(())
    found = {f: partitions_of(f, float(t0), float(t1)) for f in atoms}
    poles = tuple((f, p.pole) for f, several in found.items() for p in several if p.pole is not None)
    return Schedule(tuple(p for several in found.values() for p in several), poles)


def partitions_of(function: Coefficient, t0: float, t1: float) -> tuple[Partition, ...]:
    """The leaves of one coefficient: those that it knows, or those that its values on a grid show."""
    known = getattr(function, "partitions", None)
    if known is not None:
        return known(t0, t1)
    return (probe(function, t0, t1),) if callable(function) else ()


def within(t: float, dt: float, share: float) -> float:
    """The time t + `share` dt of a stage, kept inside the open interval from t to t + dt.

    At the ends of a step coefficients are taken from inside it, so that a step that ends or begins at an edge sees one
    side of it.
    """
    end = t + dt
    nudge = max(1e-13 * abs(dt), _slack(t), _slack(end))
    return min(max(t + share * dt, t + nudge), end - nudge) if dt > 2 * nudge else t + dt / 2


def probe(function: Coefficient, t0: float, t1: float, near: Sequence[float] | np.ndarray = ()) -> Partition:
    """The leaves of any function, from a grid that is refined where neighbouring values differ.

    **Arguments**

    - `near`: times to look at besides.
    """
    inside = np.asarray(near, dtype=float)
    times = np.union1d(np.linspace(t0, t1, PROBES + 1), inside[(inside > t0) & (inside < t1)])
    values = values_at(function, times)
    for _ in range(60):
        wide = _jumps(times, values) & (np.diff(times) > 2 * _slack(times[1:]))
        if not np.any(wide) or np.sum(wide) > PROBES // 2:
            break
        middle = (times[:-1][wide] + times[1:][wide]) / 2
        order = np.argsort(times := np.concatenate([times, middle]), kind="stable")
        values, times = np.concatenate([values, values_at(function, middle)])[order], times[order]
    if (pole := pole_near(function, times, values)) is not None:
        return unbounded(t0, t1, pole)
    sharp = _jumps(times, values) & (np.diff(times) <= 1e-12 * (t1 - t0) + 2 * _slack(times[1:]))
    hard = np.concatenate([[False], sharp])
    found = leaves(times, values, hard)
    return Partition(found.edges, found.hard, resolution=(t1 - t0) / PROBES)


def unbounded(t0: float, t1: float, pole: float) -> Partition:
    """What is left to say of a coefficient with a pole."""
    return Partition(np.array([t0, t1]), np.zeros(2, dtype=bool), pole=pole)


def pole_near(function: Coefficient, times: np.ndarray, values: np.ndarray) -> float | None:
    """A time inside at which a function grows without bound, or None, from values that show all changes.

    Towards it |f| at least doubles with every tenth of the distance, from 1e-9 to 1e-13 of the scale of time: as any
    power does that a pole or root has, and no pulse of a width that floats can tell.
    """
    if len(times) < 3:
        return None
    place, scale = 1 + int(np.argmax(np.abs(values[1:-1]))), max(abs(times[0]), abs(times[-1]))
    for beside in (place - 1, place + 1):
        if 0 < beside < len(times) - 1 and np.any(np.isinf(_raw(function, times[[beside]]))):
            return float(times[beside])
    peak = _highest(function, times[place - 1], times[place + 1], scale)
    for side in (-1, 1):
        near = peak + side * scale * POWERS
        found = np.abs(values_at(function, near[(near > times[0]) & (near < times[-1])]))
        if len(found) == len(POWERS) and found[0] > 0 and np.all(found[1:] / 2 >= found[:-1]):
            return peak
    return None


def _highest(function: Coefficient, low: float, high: float, scale: float) -> float:
    """Where |f| is largest between two times, as closely as floats of this scale tell; a pole may lie midway between
    two equal values, so that they do not show it.
    """
    finest = np.spacing(scale)
    while True:
        points = np.linspace(low, high, 1025)
        best = int(np.argmax(np.abs(values_at(function, points))))
        if high - low <= 1024 * finest:
            return float(points[best])
        low, high = points[max(best - 1, 0)], points[min(best + 1, 1024)]
        middle, half = (low + high) / 2, max((high - low) / 2, 500 * finest)
        low, high = middle - half, middle + half


def leaves(times: np.ndarray, values: np.ndarray, hard: np.ndarray | None = None) -> Partition:
    """Leaves from values at ascending times that show all changes; `hard` ones always end a leaf."""
    hard = np.zeros(len(times), dtype=bool) if hard is None else hard
    keep = hard | np.concatenate([[True], (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:]), [True]])
    times, values, hard = times[keep], values[keep], hard[keep]
    size, area = _size(times, values)
    values = values if np.any(np.imag(values)) else np.real(values)
    edges, count = [0], 32
    while (start := edges[-1]) < len(times) - 1:
        edges.append(_leaf_end(times, values, hard, start, (CHANGE * size, AREA * area), count))
        count = max(32, 2 * (edges[-1] - start))  # the next is about as long
    return Partition(times[edges], hard[edges])


def _leaf_end(
    times: np.ndarray, values: np.ndarray, hard: np.ndarray, start: int, most: tuple[float, float], count: int
) -> int:
    """The number of the last point of the leaf that begins at `start`: a hard one, or before too much changes.

    `count` points are looked at first.
    """
    while True:
        stop = min(start + count, len(times))
        part, jumps = values[start:stop], np.flatnonzero(hard[start + 1 : stop])
        part = (
            part[: jumps[0] + 1] if len(jumps) else part
        )  # what lies just before a jump belongs to the leaf before it
        spread = _running_range(np.real(part))
        if np.iscomplexobj(part):
            spread = np.maximum(spread, _running_range(np.imag(part)))
        full = (spread > most[0]) | (spread * (times[start : start + len(part)] - times[start]) > most[1])
        if np.any(full):
            return start + max(1, int(np.argmax(full)) - 1)
        if len(jumps):
            return start + int(jumps[0]) + 1
        if stop == len(times):
            return stop - 1
        count *= 4


def _running_range(x: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(x) - np.minimum.accumulate(x)


def straight(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Numbers of those points of a table between which it keeps to straight lines, up to `CORNER` of its range.

    The cone of slopes from the last point that was kept narrows with each further one (J. Sklansky and V. Gonzalez,
    Pattern Recognition 12, 327 (1980)).
    """
    slack = CORNER * float(np.ptp(values))
    kept, low, high = [0], -np.inf, np.inf
    for n in range(1, len(times)):
        run, rise = times[n] - times[kept[-1]], values[n] - values[kept[-1]]
        if not low <= rise / run <= high:
            kept.append(n - 1)
            run, rise = times[n] - times[n - 1], values[n] - values[n - 1]
            low, high = -np.inf, np.inf
        low, high = max(low, (rise - slack) / run), min(high, (rise + slack) / run)
    return np.array([*kept, len(times) - 1])


def values_at(function: Coefficient, times: np.ndarray) -> np.ndarray:
    """Values of a function at many times, at once where it can take them so; infinities and NaN become 0."""
    found = _raw(function, times)
    return np.where(np.isfinite(found), found, 0.0)


def _raw(function: Coefficient, times: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        try:
            found = np.asarray(function(times), dtype=complex)
            every = max(1, len(times) // 8)
            good = found.shape == times.shape
            good = good and np.allclose(found[::every], list(_each(function, times[::every])), equal_nan=True)
        except Exception:  # whatever a user's function says to an array, it is asked again time by time
            good, found = False, np.zeros(0)
        return found if good else np.array(list(_each(function, times)), dtype=complex)


def _each(function: Coefficient, times: np.ndarray) -> Iterator[complex]:
    for t in times:
        try:
            yield complex(function(float(t)))
        except ZeroDivisionError:
            yield complex("nan")
        except OverflowError:
            yield complex("inf")


def _atoms(coefficients: Iterable[object]) -> Iterator[Coefficient]:
    for f in coefficients:
        factors = getattr(f, "factors", None)
        if factors is not None:
            yield from _atoms(factors)
        elif callable(f):
            yield f


def _slack(t: Value) -> Value:
    """Times closer than this are one."""
    return 1e-14 * np.abs(t)


def _size(times: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The largest distance from the mean, and the area between the function and its mean."""
    with np.errstate(over="ignore", invalid="ignore"):  # near a pole
        steps, middle = np.diff(times), (values[1:] + values[:-1]) / 2
        away = np.abs(values - np.sum(middle * steps) / np.sum(steps))
        return float(np.max(away)), float(np.sum((away[1:] + away[:-1]) / 2 * steps))


def _jumps(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    size = _size(times, values)[0]
    return np.abs(np.diff(values)) > JUMP * size if size > 0 else np.zeros(len(times) - 1, dtype=bool)
