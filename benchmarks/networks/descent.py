"""Least squares of networks: Levenberg-Marquardt steps with the whole Jacobian, and L-BFGS to compare with.

The residual is r = B v/n - b, with v the entries of the network and B a linear map: for fits n = tr rho, B the norm and
b = B sigma, for searches n = ||D rho||, B = D L and b = 0, D the norm.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from cases import Array
from entries import Entries
from scipy import linalg, optimize
from spaces import Linear, Space

FLOOR = 1e-6
"""Damping, in mean diagonal entries of J^T J, with which is asked what a step could still gain."""

FLAT = 0.02
"""A search has converged where the linear model promises to lower the cost by less than this share."""

SHARE = 0.12
"""Of the time of a row that each start has before the best one goes on."""

MOST = 1e8
"""Damping at which no step is left that helps."""


MANY = 40_000
"""Vectors with more entries have J^T J estimated in fits."""

PART = 6000
"""Configurations that it is then estimated from, besides populations: half of them the heaviest, half drawn."""


class Problem(NamedTuple):
    """B, b and n = |D v| of the linear map `norm`; without one n is the trace t.v."""

    entries: Entries
    map: Linear
    target: Array
    norm: Linear | None

    @property
    def space(self) -> Space:
        return self.entries.space

    def size(self, v: Array) -> tuple[float, Array]:
        """N and dn/dv."""
        if self.norm is None:
            return float(self.space.trace @ v), self.space.trace
        moved = self.norm.apply(v)
        n = float(np.linalg.norm(moved))
        return n, self.norm.transposed(moved) / n

    def residual(self, v: Array) -> Array:
        found = self.map.apply(v) / self.size(v)[0]
        return found if self.target is None else found - self.target

    def cost(self, vector: Array) -> float:
        with np.errstate(all="ignore"):
            found = float(np.sum(self.residual(self.entries.values(vector)) ** 2))
        return found if np.isfinite(found) else np.inf

    @property
    def sampled(self) -> bool:
        """Whether J^T J comes from a random part of the blocks of B, in a quarter of the time; gradients are exact."""
        return self.norm is None and self.space.block is not None and len(self.space.trace) > MANY

    def normal(self, vector: Array, number: int = 0) -> tuple[float, Array, Array]:
        """|r|^2, J^T r and J^T J."""
        if self.sampled:
            cost, slope = self.gradient(vector)
            return cost, slope / 2, self.estimate(vector, number)
        v, matrix = self.entries.derivatives(vector)
        n, slope = self.size(v)
        r, state = self.residual(v), self.map.apply(v) / n
        g, h = normal_of(self.map.apply(matrix), r, state, slope.astype(matrix.dtype) @ matrix)
        return float(r @ r), g / n, h / n / n

    def part(self, number: int) -> tuple[Array, Array]:
        """Configurations of all populations, of the blocks that weigh most in b, and of random others; and the weights
        of these, with which they stand for all that are left out.
        """
        block, two, half = self.space.block, self.space.twofold, PART // 2
        _, place, sizes = np.unique(block, return_inverse=True, return_counts=True)
        weight: Array = self.target[: len(block)] ** 2
        weight[two] += self.target[len(block) :] ** 2
        heavy = np.bincount(place, weight)
        heavy[0] = np.inf
        order = np.argsort(-heavy, kind="stable")
        certain = np.cumsum(sizes[order]) <= half + sizes[0]
        rest = np.random.default_rng(number).permutation(order[~certain])
        drawn = rest[np.cumsum(sizes[rest]) <= half]
        more = np.where(np.isin(place, order[certain]), 1.0, np.sqrt(sizes[rest].sum() / max(1, sizes[drawn].sum())))
        some = np.flatnonzero(np.isin(place, [*order[certain], *drawn]))
        return some, more[some]

    def estimate(self, vector: Array, number: int) -> Array:
        """J^T J from a part of the configurations."""
        space, (some, more) = self.space, self.part(number)
        padded = np.concatenate([some, np.full(PART + np.sum(space.block == 0) - len(some), some[0])])
        v, matrix = self.entries.derivatives(vector, padded)
        double = np.isin(some, space.twofold)
        imaginary = np.searchsorted(space.twofold, some[double])
        inside = np.concatenate([np.arange(len(some)), len(padded) + np.arange(len(imaginary))])
        v, matrix = v[inside], matrix[inside]
        index, more = np.concatenate([some, len(space.x) + imaginary]), np.concatenate([more, more[double]])
        here = self.map.matrix[index][:, index].astype(matrix.dtype)
        n, slope = float(space.trace[index] @ v), space.trace[index].astype(matrix.dtype)
        moved, state = here @ matrix, here @ v.astype(matrix.dtype) / n
        moved *= more.astype(matrix.dtype)[:, None]
        return normal_of(moved, state, more * state, slope @ matrix)[1] / n / n

    def gradient(self, vector: Array) -> tuple[float, Array]:
        """|r|^2 and its gradient, for L-BFGS."""
        v = self.entries.values(vector)
        n, slope = self.size(v)
        r = self.residual(v)
        u = self.map.transposed(r) / n
        u = u - slope * (u @ v) / n
        return float(r @ r), 2 * self.entries.pull(vector, u)


def normal_of(moved: Array, r: Array, state: Array, slope: Array) -> tuple[Array, Array]:
    """J^T r and J^T J of J = moved - state slope^T, where v/n moves by (dv - v dn/n)/n."""
    along = np.asarray(state.astype(moved.dtype) @ moved, float)
    slope = np.asarray(slope, float)
    g = np.asarray(r.astype(moved.dtype) @ moved, float) - float(r @ state) * slope
    mixed = np.outer(along, slope)
    h = np.asarray(moved.T @ moved, float) - mixed - mixed.T + float(state @ state) * np.outer(slope, slope)
    return g, h


class Search(NamedTuple):
    """Where a search is: parameters, cost, the damping that it goes on with, and by which share of the cost a
    Gauss-Newton step could lower it.
    """

    vector: Array
    cost: float
    left: float = np.inf
    damping: float = 1e-3
    steps: int = 0

    @property
    def converged(self) -> bool:
        return self.left < FLAT


def damped_step(h: Array, g: Array, damping: float) -> Array:
    """-(H + damping mean(diag H))^-1 g, with more damping where rounding left H indefinite."""
    mean, diagonal = np.trace(h) / len(h), np.arange(len(h))
    while damping < MOST and np.isfinite(mean) and mean > 0:
        damped = h.copy()
        damped[diagonal, diagonal] += damping * mean
        try:
            return -linalg.cho_solve(linalg.cho_factor(damped, overwrite_a=True, check_finite=False), g)
        except linalg.LinAlgError:
            damping = 10 * max(damping, 1e-9)
    return np.zeros_like(g)


def newton(problem: Problem, search: Search, ended: Callable[[], bool]) -> Search:
    """Levenberg-Marquardt steps (damping after Nielsen) until converged, `ended` or no step is left that helps."""
    vector, damping, growth, steps = search.vector, search.damping, 2.0, search.steps
    while True:
        cost, g, h = problem.normal(vector, steps)
        longest = damped_step(h, g, FLOOR)
        left = min(1.0, -float(g @ longest) / cost) if np.any(longest) else np.inf  # no step: not finite, or flat
        if left < FLAT or left == np.inf or ended():
            return Search(vector, cost, left, damping, steps)
        while damping < MOST:
            d = damped_step(h, g, damping)
            predicted = -float(2 * g @ d + d @ (h @ d))
            after = problem.cost(vector + d)
            gain = (cost - after) / predicted if predicted > 0 else 0.0
            if gain > 1e-3:
                damping, growth = damping * max(1 / 5, 1 - (2 * min(gain, 1.0) - 1) ** 3), 2.0
                vector, steps = vector + d, steps + 1
                break
            damping, growth = damping * growth, 2 * growth
            if ended():
                return Search(vector, cost, left, damping, steps)
        else:
            return Search(vector, cost, left, 1e-2, steps)


def quasi_newton(problem: Problem, search: Search, ended: Callable[[], bool]) -> Search:
    """L-BFGS (SciPy), and what a Gauss-Newton step could still gain at its end."""

    def watch(intermediate_result: optimize.OptimizeResult) -> None:
        del intermediate_result
        if ended():
            raise StopIteration

    options = {"maxiter": 100_000, "maxfun": 200_000, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-10}
    found = optimize.minimize(
        problem.gradient, search.vector, jac=True, method="L-BFGS-B", callback=watch, options=options
    )
    return Search(found.x, float(found.fun), np.nan, search.damping, search.steps + found.nit)


METHODS = {"newton": newton, "lbfgs": quasi_newton}


class Found(NamedTuple):
    """The best of several searches; `costs` are those that all of them ended with."""

    search: Search
    costs: list[float]
    seconds: float


def least(
    problem: Problem, starts: list[Array], seconds: float, method: str = "newton", spare: Sequence[Array] = ()
) -> Found:
    """Every start for a share of the time, the best of them to its end, then the others, and `spare` ones, with the
    time that is left.
    """
    began = time.process_time()
    move = METHODS[method]

    def until(limit: float) -> Callable[[], bool]:
        return lambda: time.process_time() - began > limit

    searches: list[Search] = []
    for vector in starts:
        now = time.process_time() - began
        limit = now + SHARE * seconds if len(starts) > 1 else seconds
        searches.append(move(problem, Search(vector, problem.cost(vector)), until(limit)))
    order = sorted(range(len(searches)), key=lambda n: searches[n].cost)
    for vector in spare if not until(seconds)() else ():
        order.append(len(searches))
        searches.append(Search(vector, problem.cost(vector)))
    for number in order:
        if not searches[number].converged and not until(seconds)():
            searches[number] = move(problem, searches[number], until(seconds))
    best = min(searches, key=lambda one: one.cost)
    return Found(best, sorted(one.cost for one in searches), time.process_time() - began)
