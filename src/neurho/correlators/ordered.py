"""States that break a parity: cumulants of an ordered branch, whose even part is the symmetric stationary state.

With P the parity and r the slowest odd mode, L r = -mu r, each state  rho_+ = rho_ss + a r  has rho_ss as its even
part and obeys

    L rho_+ + mu (rho_+ - P rho_+ P) / 2 = 0,

exactly, whatever a. In an ordered phase mu, the rate at which order gets lost, is small, and with an amplitude a like
that of the order the cumulants of rho_+ decay with distance, which those of rho_ss, a mixture of both orders, do not.
Exact even means and mu do not depend on a. Where cumulants are cut, a is chosen so that mu does not change with it to
first order, or, where mu would get below zero on the way there from the mean-field state, so that mu = 0. How values
then differ from those where mu changes least is an error.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from scipy.optimize import brentq
from scipy.sparse import csr_array, diags_array, eye_array

from neurho._types import NumericalError
from neurho.correlators.cumulants import Cumulants, build_cumulants
from neurho.correlators.equations import StringTerms, sector_signs
from neurho.correlators.hierarchy import Hierarchy, build_hierarchy
from neurho.correlators.solving import Moments, propagate, start
from neurho.correlators.strings import Strings, Symmetry, all_strings

FIRST, STEP, LEAST = 0.95, 0.03, 0.3
"""Amplitudes relative to the mean-field state: the first, steps down from it, and the last that counts as order."""

ENOUGH = 3e-4
"""Accuracy of an amplitude; values change by about half of it."""

RATE = 0.3
"""How much shorter than the one before a step by old factors must be, for these not to be taken again."""


class Order(NamedTuple):
    """A mean-field state that breaks a parity.

    - `symmetry`: permutations and the parities that are left.
    - `means`: one-site means of the letters, `(sites, letters)`, 0 for the identity.
    - `sign`: which letters are odd, `(letters,)`.
    """

    symmetry: Symmetry
    means: np.ndarray
    sign: np.ndarray


class Branch(NamedTuple):
    """The equations of an ordered branch.

    Unknowns z: central moments c' of the strings, with one-site means in the places of strings of one site (`singles`)
    and mu in that of the identity. `direction @ z` is the amplitude, 1 for the mean-field state.
    """

    cumulants: Cumulants
    odd: np.ndarray
    singles: np.ndarray
    direction: np.ndarray


class Point(NamedTuple):
    """A solution at some amplitude, and how it changes with it."""

    z: np.ndarray
    tangent: np.ndarray


class Solution(NamedTuple):
    """The unknowns at the amplitude that is chosen, where mu changes least with it, and at the first one."""

    z: np.ndarray
    flat: np.ndarray
    first: np.ndarray


class Slope(NamedTuple):
    """A derivative: a sparse matrix, and the sum of the outer products of `left` and `right`, `(number, unknowns)`."""

    sparse: csr_array
    left: np.ndarray
    right: np.ndarray

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        return self.sparse @ v + (self.right @ v) @ self.left

    def dense(self) -> np.ndarray:
        """The whole matrix."""
        total = self.sparse.toarray()
        for column, row in zip(self.left, self.right, strict=True):
            used = np.flatnonzero(row)
            total[:, used] += np.outer(column, row[used])
        return total


def mean_field_order(terms: StringTerms, moves: np.ndarray, dim: int) -> Order:
    """The mean-field stationary state that is reached from a state alike on all sites without any parity.

    - `moves`: the permutations of sites that the Lindbladian has.

    **Raises** `NumericalError` where it has the parities.
    """
    signs = sector_signs(terms, dim)
    symmetry = Symmetry(moves, terms.letters)
    hierarchy = build_hierarchy(terms, symmetry, [all_strings(symmetry, 1)], central=True)
    letters = np.tile(np.random.default_rng(3).uniform(0.1, 0.4, terms.letters), (symmetry.sites, 1))
    letters[:, 0] = 1.0
    found = propagate(hierarchy, start(hierarchy, letters, central=True), 0.0, 60.0, tolerance=1e-5, plan=None).means
    broken = [bool(np.max(np.abs(found[:, sign == 1]), initial=0.0) > 1e-2) for sign in signs]
    if not any(broken):
        raise NumericalError(
            "Mean field has no order that breaks a parity here, which cumulants of an ordered state are for; "
            "leave task.closure out."
        )
    kept = [sign for sign, gone in zip(signs, broken, strict=True) if not gone]
    left = np.array(kept, dtype=int).reshape(-1, terms.letters)
    return Order(Symmetry(moves, terms.letters, left), found, signs[broken.index(True)])


def ordered_branch(terms: StringTerms, order: Order, parts: Sequence[Strings]) -> Branch:
    """The equations of some strings, without the identity; all strings that are part of one are among them."""
    hierarchy = build_hierarchy(terms, order.symmetry, parts, central=True)
    strings, places = hierarchy.strings, hierarchy.singles
    direction = np.zeros(hierarchy.size)
    odd_means = np.where(order.sign == 1, order.means, 0.0) * (places > 0)
    direction[places] = odd_means
    direction /= direction @ direction
    return Branch(
        cumulants=build_cumulants(hierarchy),
        odd=order.sign[strings.letters].sum(axis=1) % 2.0,
        singles=np.unique(places[places > 0]),
        direction=direction,
    )


def ordered_state(branch: Branch, order: Order, before: tuple[Branch, np.ndarray] | None) -> Solution:
    """The unknowns z at the amplitude that is chosen as said above.

    - `before`: a branch of fewer strings and its z at the first amplitude.

    **Raises** `NumericalError` if there are none.
    """
    path = _Path(branch)
    path.follow(_guess(branch, order, before))
    flat = path.flat()
    return Solution(z=path.crossing() if path.crosses else flat, flat=flat, first=path.points[FIRST].z)


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
        amplitudes = sorted(self.points)
        slopes = [float(self.points[a].tangent[0]) for a in amplitudes]
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


def branch_moments(branch: Branch, z: np.ndarray) -> Moments:
    """The moments that the unknowns are, about their own means."""
    c = z.copy()
    c[0] = 1.0
    c[branch.singles] = 0.0
    places = branch.cumulants.hierarchy.singles
    return Moments(c=c, means=np.where(places > 0, z[places], 0.0), central=True)


def mean_field_moments(branch: Branch, order: Order) -> Moments:
    """The mean-field state, without any correlation."""
    c = np.zeros(branch.cumulants.hierarchy.size)
    c[0] = 1.0
    return Moments(c=c, means=order.means, central=True)


def residual(branch: Branch, z: np.ndarray, amplitude: float) -> np.ndarray:
    """What vanishes: the velocities with the term in mu, and in the place of the identity the amplitude."""
    hierarchy, (c, _, _) = branch.cumulants.hierarchy, branch_moments(branch, z)
    moved = _moved(branch, z)
    total = moved - hierarchy.lowering(_change(branch, moved)) @ c
    total[branch.singles] = moved[branch.singles]
    total[0] = branch.direction @ z - amplitude
    return total


def jacobian(branch: Branch, z: np.ndarray) -> Slope:
    """Its derivative. The few columns of means and of mu are central differences."""
    hierarchy, (c, means, _) = branch.cumulants.hierarchy, branch_moments(branch, z)
    beyond = branch.cumulants.beyond(0.0, means) @ branch.cumulants.slope(c)
    inside = csr_array(hierarchy.matrix(0.0, means) + z[0] * _odd_part(branch, means) + beyond)
    row, column, letter = hierarchy.lower
    single = hierarchy.singles.ravel()[letter]
    used = [single == place for place in branch.singles]
    left = np.array([-np.bincount(row[u], c[column[u]], minlength=len(c)) for u in used])
    left[:, branch.singles] = 0.0
    right = inside[branch.singles].toarray()
    fixed = np.array([0, *branch.singles])
    right[:, fixed] = 0.0
    units = np.zeros((len(fixed), len(c)))
    units[np.arange(len(fixed)), fixed] = 1.0
    columns = [(residual(branch, z + 1e-5 * e, 0.0) - residual(branch, z - 1e-5 * e, 0.0)) / 2e-5 for e in units]
    free = diags_array(1.0 - units.sum(axis=0))
    sparse = csr_array((inside - hierarchy.lowering(_change(branch, _moved(branch, z)))) @ free)
    return Slope(sparse, np.concatenate([left, columns]), np.concatenate([right, units]))


def _moved(branch: Branch, z: np.ndarray) -> np.ndarray:
    """Velocities of moments about means that stand still, with the term in mu."""
    hierarchy, (c, means, _) = branch.cumulants.hierarchy, branch_moments(branch, z)
    lower = hierarchy.lowering(means)
    odd = _applied(-lower, branch.odd * _applied(lower, c, hierarchy), hierarchy)
    return branch.cumulants.velocity(0.0, c, means) + z[0] * odd


def _change(branch: Branch, moved: np.ndarray) -> np.ndarray:
    """How fast means move, `(sites, letters)`."""
    singles = branch.cumulants.hierarchy.singles
    return moved[singles] * (singles > 0)


def _applied(matrix: csr_array, c: np.ndarray, hierarchy: Hierarchy) -> np.ndarray:
    """The exponential of such a matrix as below, times a vector."""
    total = term = c
    for k in range(1, hierarchy.strings.sites.shape[1] + 1):
        term = matrix @ term / k
        total = total + term
    return total


def _odd_part(branch: Branch, means: np.ndarray) -> csr_array:
    """Of c' of rho, those of its odd part (rho - P rho P) / 2 about the same means: odd raw moments are all it has."""
    hierarchy = branch.cumulants.hierarchy
    lower = hierarchy.lowering(means)
    raw, back = (_exponential(csr_array(sign * lower), hierarchy) for sign in (1.0, -1.0))
    return csr_array(back @ diags_array(branch.odd) @ raw)


def _exponential(matrix: csr_array, hierarchy: Hierarchy) -> csr_array:
    """The exponential of a matrix that takes a letter away, whose powers vanish from some power on."""
    total = term = csr_array(eye_array(hierarchy.size))
    for k in range(1, hierarchy.strings.sites.shape[1] + 1):
        term = csr_array(term @ matrix / k)
        total = csr_array(total + term)
    return total


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
