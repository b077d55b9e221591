"""Solutions of the equations of an ordered branch by their amplitudes a, and which of them stands for the state.

Exact even means and mu do not depend on a. Where cumulants are cut, a is chosen so that mu changes least with it, to
first order not at all if it can be. If mu gets below zero on the way there from the mean-field state, as the exact mu
cannot, how values differ from those where mu = 0 is an error. If no least change is found there, mu = 0 is chosen.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from scipy.optimize import brentq

from neurho._types import NumericalError
from neurho.correlators.ordered import Branch, Order, branch_moments, jacobian, residual

FIRST, STEP, LEAST = 0.95, 0.03, 0.3
"""Amplitudes relative to the mean-field state: the first, steps down from it, and the last that counts as order."""

ENOUGH = 3e-4
"""Accuracy of an amplitude; values change by about half of it."""

RATE = 0.3
"""How much shorter than the one before a step by old factors must be, for these not to be taken again."""


class Point(NamedTuple):
    """A solution at some amplitude, and how it changes with it."""

    z: np.ndarray
    tangent: np.ndarray


class Solution(NamedTuple):
    """The unknowns at the amplitude that is chosen, at the other one that may be, and at the first one.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    branch = co.ordered_branch(terms, order, [co.all_strings(order.symmetry, k) for k in (1, 2)])
    found = co.ordered_state(branch, order, None)
    assert 0 < found.z[0] < found.first[0]  # mu, slower than at the first amplitude
    ```
    """

    z: np.ndarray
    other: np.ndarray
    first: np.ndarray


def ordered_state(branch: Branch, order: Order, before: tuple[Branch, np.ndarray] | None) -> Solution:
    """The unknowns z at the amplitude that is chosen as said above, and at others that tell its error.

    - `before`: a branch of fewer strings and its z at the first amplitude.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    branch = co.ordered_branch(terms, order, [co.all_strings(order.symmetry, k) for k in (1, 2)])
    z = neurho.correlators.ordered_state(branch, order, None).z
    sx = co.branch_moments(branch, z).means[0, 1]
    assert order.means[0, 1] < sx < 0  # less order than mean field has
    ```

    **Raises** `NumericalError` if there are none.
    """
    path = _Path(branch)
    path.follow(_guess(branch, order, before))
    bends, flat = path.bends, path.flat()
    zero = path.crossing() if path.crosses else flat
    z, other = (flat, zero) if bends else (zero, flat)
    return Solution(z=z, other=other, first=path.points[FIRST].z)


class _Newton:
    """Newton's method with the factors of a derivative that was met before, as long as they help."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.factors: tuple[np.ndarray, np.ndarray] | None = None

    def point(self, z: np.ndarray, amplitude: float) -> Point:
        """The solution at an amplitude.

        **Raises** `NumericalError` if it is not found.
        """
        before = 0.0
        for _ in range(20):
            fresh = self.factors is None
            factors = self._factors(z)
            step = lu_solve(factors, residual(self.branch, z, amplitude))
            size = float(np.max(np.abs(step)))
            if not fresh and not size <= before:
                self.factors, before = None, np.inf
                continue
            if not size < 2:
                break
            z = z - step * min(1.0, 0.3 / max(size, 1e-300))
            if size < 1e-6:
                return Point(z, self._tangent(z))
            before = RATE * size
        raise NumericalError("Cumulants of an ordered state have no stationary values that are found.")

    def _factors(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.factors is None:
            self.factors = lu_factor(jacobian(self.branch, z).dense(), overwrite_a=True, check_finite=False)
        return self.factors

    def _tangent(self, z: np.ndarray) -> np.ndarray:
        slope, unit = jacobian(self.branch, z), np.zeros(len(z))
        unit[0] = 1.0
        tangent, before = lu_solve(self._factors(z), unit), np.inf
        while True:
            step = lu_solve(self._factors(z), slope @ tangent - unit)
            size = float(np.max(np.abs(step)) / np.max(np.abs(tangent)))
            if size < 1e-6:
                return tangent
            if not size < before:
                self.factors = None
                return lu_solve(self._factors(z), unit)
            tangent, before = tangent - step, RATE * size


class _Path:
    """Solutions of a branch by their amplitudes."""

    def __init__(self, branch: Branch) -> None:
        self.newton = _Newton(branch)
        self.points: dict[float, Point] = {}

    @property
    def crosses(self) -> bool:
        """Whether mu gets below zero."""
        return min(point.z[0] for point in self.points.values()) <= 0

    @property
    def bends(self) -> bool:
        """Whether mu changes least somewhere between the first amplitude and the last."""
        slopes = self._slopes
        return slopes[0] <= 0 or (slopes[0] > slopes[1] and len(slopes) > 2)

    @property
    def _slopes(self) -> list[float]:
        """How mu changes, from the smallest amplitude on."""
        return [float(self.points[a].tangent[0]) for a in sorted(self.points)]

    def follow(self, guess: np.ndarray) -> None:
        """Go down until mu rises again, or, below zero, falls faster again.

        **Raises** `NumericalError` if there is no such part of the path.
        """
        here = FIRST
        self.points[here] = self.newton.point(guess, here)
        if self.points[here].z[0] <= 0 or self.points[here].tangent[0] <= 0:
            raise NumericalError(
                "Cumulants of an ordered state have no stationary values next to the mean-field state."
            )
        while True:
            above, here = here, here - STEP
            if here < LEAST:
                raise NumericalError("Cumulants of an ordered state lose their order.")
            try:
                self.at(here)
            except NumericalError:
                if not self.crosses:
                    raise
                return  # what is beyond the crossing only tells an error
            slope = self.points[here].tangent[0]
            if slope <= 0 or (self.crosses and slope > self.points[above].tangent[0]):
                return

    def at(self, amplitude: float) -> Point:
        """The solution at an amplitude, from the nearest one."""
        if amplitude not in self.points:
            near = min(self.points, key=lambda other: abs(other - amplitude))
            guess = self.points[near].z + (amplitude - near) * self.points[near].tangent
            self.points[amplitude] = self.newton.point(guess, amplitude)
        return self.points[amplitude]

    def crossing(self) -> np.ndarray:
        """Where mu = 0."""
        below = max(a for a, point in self.points.items() if point.z[0] <= 0)
        above = min(a for a in self.points if a > below)
        return self._root(lambda a: float(self.at(a).z[0]), below, above)

    def flat(self) -> np.ndarray:
        """Where mu changes least with the amplitude, on what was followed."""
        amplitudes, slopes = sorted(self.points), self._slopes
        if slopes[0] <= 0:
            return self._root(lambda a: float(self.at(a).tangent[0]), amplitudes[0], amplitudes[1])
        if slopes[0] > slopes[1] and len(slopes) > 2:
            first, second, third = slopes[:3]
            shift = 0.5 * (first - third) / (first - 2 * second + third)  # the vertex of a parabola
            return self.at(amplitudes[1] + shift * STEP).z
        return self.points[amplitudes[int(np.argmin(slopes))]].z

    def _root(self, criterion: Callable[[float], float], low: float, high: float) -> np.ndarray:
        root = float(brentq(criterion, low, high, xtol=ENOUGH))  # pyright: ignore[reportArgumentType]
        return self.at(root).z


def _guess(branch: Branch, order: Order, before: tuple[Branch, np.ndarray] | None) -> np.ndarray:
    """The mean-field state with its odd means at the first amplitude, or the state with fewer strings, whose cumulants
    stay as they are.
    """
    hierarchy = branch.cumulants.hierarchy
    z = np.zeros(hierarchy.size)
    if before is not None:
        earlier, known = before
        places = hierarchy.places(earlier.cumulants.hierarchy.strings)
        kappa = np.zeros(hierarchy.size + 1)
        kappa[places] = earlier.cumulants.cumulants(branch_moments(earlier, known).c)[:-1]
        z = branch.cumulants.moments(kappa)
        fixed = [0, *earlier.singles]
        z[places[fixed]] = known[fixed]
        return z
    used = hierarchy.singles > 0
    z[hierarchy.singles[used]] = np.where(order.sign == 1, FIRST * order.means, order.means)[used]
    return z
