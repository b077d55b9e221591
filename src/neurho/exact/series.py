"""Power series in time for density matrices, where the Lindbladian depends on time.

Between t and t + h, with s = (t' - t)/h and L = L_0 + sum_k g_k L_k, the functions are polynomials as closely as asked,
g_k = sum_m g_km s^m, and rho = sum_n rho_n s^n with

    (n + 1) rho_(n+1) = h (L_0 rho_n + sum_k L_k sum_m g_km rho_(n-m)),

a product with L_0 and one with each L_k a term, about 5 terms for each unit of h ||L||. All outputs between t and t + h
are sums of the same terms. Where the terms are not small enough at the last order, the step ends at that s at which
they are (A. Jorba and M. Zou, Experimental Mathematics 14, 99 (2005)).
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.chebyshev import cheb2poly

from neurho._types import NumericalError
from neurho.exact.generator import ExactLindbladian, Generator, applied
from neurho.exact.tables import packed, unpacked
from neurho.model.timescales import Schedule, within

ORDERS, FEW = 40, 20
"""Terms of a series, and those of large matrices, for which memory is short."""
LARGE = 2**10
"""Rows of rho above which memory is short."""
NODES, DEGREE = 24, 16
"""Times within a step at which functions are taken, and the largest degree of their polynomials."""
STRETCHES = 6.0
"""How much longer a step may be than the shortest stretch of it in which a function changes by little."""
LONGEST = 60.0
"""Largest product of a step and the bound of ||L||."""
SHARE = 0.1
"""Share of the tolerance that the terms left out may have, and as much again what the polynomials leave out."""
GROWTH = 3.0
"""How much longer the next step may be."""
STEEPEST = 1e4
"""Coefficients of a polynomial may be this much larger than its values."""
ROUNDING = 1e-13
"""What polynomials may leave out in any case, in units of the largest value."""
NEARLY = 0.8
"""Share of the way to the next stop that is stretched to it, so that no short step is left."""
STOPPED = "The integration stopped at t = {t:.6g}: {why}."
TOGETHER = 2**26
"""Bytes of sums over terms that are made at once."""


class Series(NamedTuple):
    """rho(t + s length) = sum_n `terms`[n] s^n for 0 <= s <= (stop - t)/length; `following` is the next length.

    Terms are complex matrices `(size, size)` in pairs of real numbers, or packed.
    """

    t: float
    length: float
    stop: float
    terms: np.ndarray
    size: int
    following: float

    def at(self, t: float) -> np.ndarray:
        """The density matrix at a time between t and `stop`."""
        s = min(1.0, (t - self.t) / self.length)
        flat = s ** np.arange(len(self.terms)) @ self.terms
        if len(flat) == self.size**2:
            return unpacked(flat, self.size)
        rho = flat.view(complex).reshape(self.size, self.size)
        return (rho + rho.conj().T) / 2


def orders(dimension: int) -> int:
    """Terms of a series."""
    return ORDERS if dimension <= LARGE else FEW


def arrays(exact: ExactLindbladian) -> int:
    """Matrices of the size of rho that a step holds at once."""
    return orders(exact.dimension) + 10 + min(exact.count, 1 + TOGETHER // (16 * exact.dimension**2))


def step(
    exact: ExactLindbladian, plan: Schedule, t: float, rho: np.ndarray, length: float, target: float, tolerance: float
) -> Series:
    """A series from rho at t as far as it is exact to `tolerance` ||rho|| in the Frobenius norm.

    **Arguments**

    - `length`: of the step, where nothing forbids it; 0 if nothing is known.
    - `target`: the time at which to end in any case.
    """
    limit, goal = farthest(plan, t, target), SHARE * tolerance
    asked = min(length or np.inf, limit - t)
    fit = _fitted(exact, t, limit - t if asked > NEARLY * (limit - t) else asked, goal)
    terms, sizes = _terms(exact, rho, fit, goal)
    last = max(sizes[-2:])
    if not np.isfinite(last):
        raise NumericalError(STOPPED.format(t=t, why="the density matrix is not finite"))
    share = min(1.0, (goal * sizes[0] / last) ** (1 / (len(sizes) - 1))) if last > 0 else 1.0
    if share < 1:
        return Series(t, fit.length, t + share * fit.length, terms, len(rho), share * fit.length)
    cut_short = fit.length == limit - t  # says nothing against a longer step
    following = max(length, GROWTH * fit.length) if cut_short else GROWTH * fit.length
    return Series(t, fit.length, limit if cut_short else t + fit.length, terms, len(rho), following)


def farthest(plan: Schedule, t: float, target: float) -> float:
    """The latest time, at most `target`, to which a step from t may go: no edge lies within, and every stretch in which
    functions change by little has its share of nodes. What rounding leaves before `target` is no step of its own.
    """
    last = target
    for partition in plan.partitions:
        later = partition.edges[partition.hard & (partition.edges > t + 1e-14 * abs(t))]
        target = min(target, float(later[0])) if len(later) else target
    end = plan.stop(t, target)
    shortest = end - t
    while end < target:
        further = plan.stop(end, target)
        shortest = min(shortest, further - end)
        if further - t > STRETCHES * shortest:
            break
        end = further
    return last if end > last - 1e-13 * abs(last) else end


class _Fit(NamedTuple):
    """A step with the polynomials of its functions in s, of the `channels` in use; `backwards` has the highest power
    first, `(channels, degree + 1)`.
    """

    length: float
    channels: list[int]
    backwards: np.ndarray


def _fitted(exact: ExactLindbladian, t: float, length: float, goal: float) -> _Fit:
    """The longest step, at most `length`, in which polynomials are as close to all functions as asked.

    **Raises** `NumericalError` if there is none.
    """
    while length > 1e-14 * abs(t):
        times = [within(t, length, float(share)) for share in _nodes()]
        values = np.array([exact.weights(now) for now in times]).T
        largest = np.abs(values).max(axis=1)
        used = [k for k, size in enumerate(largest) if size > 0]
        bounds = np.array([exact.channel(k).bound for k in used])
        bound = exact.constant.bound + float(bounds @ largest[used])
        if not np.isfinite(bound):
            break
        if bound * length > LONGEST:
            length = min(0.99 * length, LONGEST / bound)
            continue
        close = np.maximum(goal / (length * len(used) * bounds + 1e-300), ROUNDING * largest[used])
        rows = _polynomials(values[used], close)
        if rows is not None:
            return _Fit(length, used, np.ascontiguousarray(rows[:, ::-1]))
        length /= 2
    raise NumericalError(STOPPED.format(t=t, why="steps became too small; some coefficient may not be finite"))


def _polynomials(values: np.ndarray, close: np.ndarray) -> np.ndarray | None:
    """Coefficients of s^m, `(functions, degree + 1)`, from values at the nodes `(functions, nodes)`; None where a
    degree above the largest would be needed to leave out less than `close`.
    """
    found = values @ _transform()
    left = np.cumsum(np.abs(found)[:, ::-1], axis=1)[:, ::-1]  # what is left out below each order
    degrees = np.sum(left > close[:, None], axis=1)
    degree = int(np.max(degrees, initial=0))
    if degree > DEGREE:
        return None
    found = np.where(np.arange(degree + 1) <= degrees[:, None], found[:, : degree + 1], 0.0)
    rows = found @ _monomials()[: degree + 1, : degree + 1]
    steep = np.abs(rows).max(axis=1, initial=0.0) > STEEPEST * np.abs(values).max(axis=1, initial=0.0)
    return None if np.any(steep) else rows


def _terms(exact: ExactLindbladian, rho: np.ndarray, fit: _Fit, goal: float) -> tuple[np.ndarray, list[float]]:
    """The terms of rho and their norms, until two are below `goal` ||rho||."""
    most, degree = orders(exact.dimension), fit.backwards.shape[1] - 1
    table = exact.joined(tuple(fit.channels))
    start = rho.view(float).ravel() if table is None else packed(rho)
    terms = np.empty((most + 1, len(start)))
    terms[0] = start
    sizes = [_norm(start)]
    for n in range(most):
        if table is None:
            new = applied(_parts(exact, fit, terms, n)).view(float).ravel()
        else:
            new = table @ np.concatenate([terms[n], *_sums(fit, terms, n)])
        np.multiply(new, fit.length / (n + 1), out=terms[n + 1])
        sizes.append(_norm(terms[n + 1]))
        if n > degree and max(sizes[-2:]) <= goal * sizes[0]:
            return terms[: n + 2], sizes
    return terms, sizes


def _norm(vector: np.ndarray) -> float:
    return float(np.sqrt(vector @ vector))


def _sums(fit: _Fit, terms: np.ndarray, n: int) -> Iterator[np.ndarray]:
    """The vectors sum_m g_km rho_(n-m), many at once as far as there is room."""
    first = max(0, n + 1 - fit.backwards.shape[1])
    together = max(1, TOGETHER // terms[n].nbytes)
    for start in range(0, len(fit.channels), together):
        yield from fit.backwards[start : start + together, first - n - 1 :] @ terms[first : n + 1]


def _parts(exact: ExactLindbladian, fit: _Fit, terms: np.ndarray, n: int) -> Iterator[tuple[Generator, np.ndarray]]:
    """L_0 with rho_n, and every L_k in use with sum_m g_km rho_(n-m)."""
    shape = (exact.dimension,) * 2
    yield exact.constant, terms[n].view(complex).reshape(shape)
    for k, total in zip(fit.channels, _sums(fit, terms, n), strict=True):
        yield exact.channel(k), total.view(complex).reshape(shape)


@cache
def _nodes() -> np.ndarray:
    """Chebyshev nodes in (0, 1)."""
    return (1 + np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2


@cache
def _transform() -> np.ndarray:
    """From values at the nodes to coefficients of Chebyshev polynomials, `(nodes, orders)`."""
    angles = np.pi * (np.arange(NODES) + 0.5) / NODES
    table = 2 / NODES * np.cos(np.outer(angles, np.arange(NODES)))
    table[:, 0] /= 2
    return table


@cache
def _monomials() -> np.ndarray:
    """Rows: the coefficients of T_m(2 s - 1) in powers of s."""
    table, inner = np.zeros((DEGREE + 1, DEGREE + 1)), Polynomial([-1.0, 2.0])
    for m in range(DEGREE + 1):
        table[m, : m + 1] = Polynomial(cheb2poly(np.eye(m + 1)[m]))(inner).coef
    return table
