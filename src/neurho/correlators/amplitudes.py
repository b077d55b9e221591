"""Solutions of the equations of an ordered branch by their amplitudes a, and which of them stands for the state.

Exact even means and mu do not depend on a. Where cumulants are cut, a is chosen so that little is left out: halfway
between where the source of cumulants beyond the cut is least and where the cumulants are that it would make; half of
how values differ between these two is an error. Of cumulants of two sites the second alone counts, since their source
has its least value next to the mean-field state, whatever the correlations.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from neurho._types import NumericalError
from neurho.correlators.left_out import LeftOut, left_out, left_out_sizes, lifted
from neurho.correlators.ordered import Branch, Order, jacobian, residual

FIRST, STEP, LEAST = 0.95, 0.03, 0.3
"""Amplitudes relative to the mean-field state: the first, steps down from it, and the last that counts as order."""

RATE = 0.3
"""How much shorter than the one before a step by old factors must be, for these not to be taken again."""


class Point(NamedTuple):
    """A solution at some amplitude, and how it changes with it."""

    z: np.ndarray
    tangent: np.ndarray


class Solution(NamedTuple):
    """The unknowns at the amplitude that is chosen, where source and cumulants left out are least, and at the first.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    parts = [co.all_strings(order.symmetry, weight) for weight in (1, 2, 3)]
    branch, wider = (co.ordered_branch(terms, order, parts[:k]) for k in (2, 3))
    found = co.ordered_state(branch, order, None, wider)
    assert 0 < found.z[0] < found.first[0]  # mu, slower than at the first amplitude
    ```
    """

    z: np.ndarray
    others: tuple[np.ndarray, np.ndarray]
    first: np.ndarray


def ordered_state(branch: Branch, order: Order, before: tuple[Branch, np.ndarray] | None, wider: Branch) -> Solution:
    """The unknowns z at the amplitude that is chosen as said above, and at others that tell its error.

    - `before`: a branch of fewer strings and its z at the first amplitude.
    - `wider`: a branch of more strings, which are those left out.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    parts = [co.all_strings(order.symmetry, weight) for weight in (1, 2, 3)]
    branch, wider = (co.ordered_branch(terms, order, parts[:k]) for k in (2, 3))
    found = neurho.correlators.ordered_state(branch, order, None, wider)
    sx = co.branch_moments(branch, found.z).means[0, 1]
    assert order.means[0, 1] < sx < 0  # less order than mean field has
    ```

    **Raises** `NumericalError` if there are none.
    """
    path = _Path(branch, left_out(branch, wider))
    path.follow(_guess(branch, order, before))
    source, cumulants = path.least(0), path.least(1)
    if branch.cumulants.hierarchy.strings.weights.max() == 2:
        source = cumulants
    first = path.points[FIRST].z
    others = (path.at(source).z, path.at(cumulants).z)
    return Solution(z=path.at(0.5 * (source + cumulants)).z, others=others, first=first)


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
    """Solutions of a branch by their amplitudes, and how large what they leave out is."""

    def __init__(self, branch: Branch, beyond: LeftOut) -> None:
        self.newton = _Newton(branch)
        self.beyond = beyond
        self.points: dict[float, Point] = {}
        self.sizes: list[tuple[float, float]] = []

    def follow(self, guess: np.ndarray) -> None:
        """Go down until both sizes of what is left out grow.

        **Raises** `NumericalError` if there is no such part of the path.
        """
        here = FIRST
        self.points[here] = self.newton.point(guess, here)
        if self.points[here].z[0] <= 0 or self.points[here].tangent[0] <= 0:
            raise NumericalError(
                "Cumulants of an ordered state have no stationary values next to the mean-field state."
            )
        self.sizes.append(self._sizes(here))
        grow = False
        while not grow:
            here -= STEP
            if here < LEAST:
                raise NumericalError("Cumulants of an ordered state lose their order.")
            self.at(here)
            self.sizes.append(self._sizes(here))
            grow = all(below > above for above, below in zip(*self.sizes[-2:], strict=True))

    def at(self, amplitude: float) -> Point:
        """The solution at an amplitude, from the nearest one."""
        if amplitude not in self.points:
            near = min(self.points, key=lambda other: abs(other - amplitude))
            guess = self.points[near].z + (amplitude - near) * self.points[near].tangent
            self.points[amplitude] = self.newton.point(guess, amplitude)
        return self.points[amplitude]

    def least(self, which: int) -> float:
        """The amplitude at which one of the sizes is least, by a parabola through its squares; the first, or below."""
        squares = np.array(self.sizes)[:, which] ** 2
        k = int(np.argmin(squares))
        if k == 0:
            return FIRST
        above, here, below = squares[k - 1 : k + 2]
        return FIRST - STEP * (k + 0.5 * (above - below) / (above - 2 * here + below))

    def _sizes(self, amplitude: float) -> tuple[float, float]:
        return left_out_sizes(self.newton.branch, self.beyond, self.points[amplitude].z, amplitude)


def _guess(branch: Branch, order: Order, before: tuple[Branch, np.ndarray] | None) -> np.ndarray:
    """The mean-field state with its odd means at the first amplitude, or the state with fewer strings, whose cumulants
    stay as they are.
    """
    hierarchy = branch.cumulants.hierarchy
    if before is not None:
        earlier, known = before
        return lifted(earlier, branch, hierarchy.places(earlier.cumulants.hierarchy.strings), known)
    z, used = np.zeros(hierarchy.size), hierarchy.singles > 0
    z[hierarchy.singles[used]] = np.where(order.sign == 1, FIRST * order.means, order.means)[used]
    return z
