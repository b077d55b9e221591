"""Least squares of networks: Levenberg-Marquardt steps with the whole Jacobian, and L-BFGS to compare with.

The residual is r = B v/n - b, with v the entries of the network, n = tr rho or ||rho||, B a linear map: for fits the
norm and b = B sigma, for searches the Lindbladian and b = 0.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from entries import Entries
from scipy import linalg, optimize
from spaces import Linear, Space

FLOOR = 1e-6
"""Damping, in mean diagonal entries of J^T J, with which is asked what a step could still gain."""

FLAT = 0.02
"""A search has converged where the linear model promises to lower the cost by less than this share."""

MOST = 1e8


class Problem(NamedTuple):
    """B, n and b; n is the trace t.v or, without `trace`, the norm of v."""

    entries: Entries
    map: Linear
    target: np.ndarray | None
    trace: bool

    @property
    def space(self) -> Space:
        return self.entries.space

    def size(self, v: np.ndarray) -> tuple[float, np.ndarray]:
        """n and dn/dv."""
        if self.trace:
            return float(self.space.trace @ v), self.space.trace
        n = float(np.sqrt(np.sum(self.space.size * v**2)))
        return n, self.space.size * v / n

    def residual(self, v: np.ndarray) -> np.ndarray:
        found = self.map.apply(v) / self.size(v)[0]
        return found if self.target is None else found - self.target

    def cost(self, vector: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            found = float(np.sum(self.residual(self.entries.values(vector)) ** 2))
        return found if np.isfinite(found) else np.inf

    def normal(self, vector: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """|r|^2, J^T r and J^T J."""
        v, matrix = self.entries.derivatives(vector)
        n, slope = self.size(v)
        r = self.residual(v)
        moved = self.map.apply(matrix)
        moved -= np.outer((self.map.apply(v) / n).astype(moved.dtype), slope.astype(matrix.dtype) @ matrix)
        moved /= n
        return float(r @ r), np.asarray(r.astype(moved.dtype) @ moved, float), np.asarray(moved.T @ moved, float)

    def gradient(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """|r|^2 and its gradient, for L-BFGS."""
        v = self.entries.values(vector)
        n, slope = self.size(v)
        r = self.residual(v)
        u = self.map.transposed(r) / n
        u = u - slope * (u @ v) / n
        return float(r @ r), 2 * self.entries.pull(vector, u)


class Search(NamedTuple):
    """Where a search is: parameters, cost, the damping that it goes on with, and by which share of the cost a
    Gauss-Newton step could lower it.
    """

    vector: np.ndarray
    cost: float
    left: float = np.inf
    damping: float = 1e-2
    steps: int = 0

    @property
    def converged(self) -> bool:
        return self.left < FLAT


def damped_step(h: np.ndarray, g: np.ndarray, damping: float) -> np.ndarray:
    """-(H + damping mean(diag H))^-1 g, with more damping where rounding left H indefinite."""
    mean, diagonal = np.trace(h) / len(h), np.arange(len(h))
    while True:
        damped = h.copy()
        damped[diagonal, diagonal] += damping * mean
        try:
            return -linalg.cho_solve(linalg.cho_factor(damped, overwrite_a=True, check_finite=False), g)
        except linalg.LinAlgError:
            damping = 10 * max(damping, 1e-9)


def newton(problem: Problem, search: Search, ended: Callable[[], bool]) -> Search:
    """Levenberg-Marquardt steps (damping after Nielsen) until converged, `ended` or no step is left that helps."""
    vector, damping, growth, steps = search.vector, search.damping, 2.0, search.steps
    while True:
        cost, g, h = problem.normal(vector)
        left = min(1.0, -float(g @ damped_step(h, g, FLOOR)) / cost)
        if left < FLAT or ended():
            return Search(vector, cost, left, damping, steps)
        while damping < MOST:
            d = damped_step(h, g, damping)
            predicted = -float(2 * g @ d + d @ (h @ d))
            after = problem.cost(vector + d)
            gain = (cost - after) / predicted
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
    problem: Problem, starts: list[np.ndarray], seconds: float, method: str = "newton", share: float = 0.12
) -> Found:
    """Every start for a share of the time, the best of them until it has converged, then the others with what is left."""
    began = time.process_time()
    move = METHODS[method]

    def until(limit: float) -> Callable[[], bool]:
        return lambda: time.process_time() - began > limit

    searches: list[Search] = []
    for vector in starts:
        now = time.process_time() - began
        searches.append(move(problem, Search(vector, problem.cost(vector)), until(now + share * seconds)))
    for number in sorted(range(len(searches)), key=lambda n: searches[n].cost):
        if not searches[number].converged and not until(seconds)():
            searches[number] = move(problem, searches[number], until(seconds))
    best = min(searches, key=lambda one: one.cost)
    return Found(best, sorted(one.cost for one in searches), time.process_time() - began)
