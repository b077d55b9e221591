"""States that break a parity: cumulants of an ordered branch, whose even part is the symmetric stationary state.

With P the parity and r the slowest odd mode, L r = -mu r, each state  rho_+ = rho_ss + a r  has rho_ss as its even
part and obeys

    L rho_+ + mu (rho_+ - P rho_+ P) / 2 = 0,

exactly, whatever a. In an ordered phase mu, the rate at which order gets lost, is small, and with an amplitude a like
that of the order the cumulants of rho_+ decay with distance, which those of rho_ss, a mixture of both orders, do not.
Exact even means and mu do not depend on a. Where cumulants are cut, a is chosen so that mu does not change with it to
first order, or, where mu would get below zero on the way there from the mean-field state, so that mu = 0.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lu_factor, lu_solve
from scipy.optimize import brentq
from scipy.sparse import csr_array, diags_array, eye_array

from neurho._types import NumericalError
from neurho.correlators.cumulants import Cumulants, build_cumulants
from neurho.correlators.equations import StringTerms, invariant_moves, sector_signs
from neurho.correlators.hierarchy import Hierarchy, build_hierarchy
from neurho.correlators.solving import Moments, propagate, start
from neurho.correlators.strings import Symmetry, all_strings

FIRST, STEP, LEAST = 0.95, 0.03, 0.3
"""Amplitudes relative to the mean-field state: the first, steps down from it, and the last that counts as order."""


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


def mean_field_order(terms: StringTerms, moves: np.ndarray, dim: int) -> Order:
    """The mean-field stationary state that is reached from a state alike on all sites without any parity.

    **Raises** `NumericalError` where it has the parities.
    """
    moves, signs = invariant_moves(terms, moves), sector_signs(terms, dim)
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


def ordered_branch(terms: StringTerms, order: Order, weight: int) -> Branch:
    """The equations of all strings of up to `weight` sites."""
    parts = [all_strings(order.symmetry, k) for k in range(1, weight + 1)]
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


def ordered_state(
    branch: Branch, order: Order, before: tuple[Branch, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The unknowns z at the amplitude that is chosen as said above, and those at the first amplitude.

    - `before`: a branch of fewer strings and its z at the first amplitude.

    **Raises** `NumericalError` if there are none.
    """
    here = FIRST
    points = {here: _corrected(branch, _guess(branch, order, before), here)}
    while points[here].z[0] > 0 and points[here].tangent[0] > 0:
        above, here = here, here - STEP
        if here < LEAST:
            raise NumericalError("Cumulants of an ordered state lose their order.")
        points[here] = _corrected(branch, points[above].z - STEP * points[above].tangent, here)
    if here == FIRST:
        raise NumericalError("Cumulants of an ordered state have no stationary values next to the mean-field state.")
    crosses = points[here].z[0] <= 0

    def criterion(amplitude: float) -> float:
        if amplitude not in points:
            near = min(points, key=lambda other: abs(other - amplitude))
            guess = points[near].z + (amplitude - near) * points[near].tangent
            points[amplitude] = _corrected(branch, guess, amplitude)
        return float(points[amplitude].z[0] if crosses else points[amplitude].tangent[0])

    chosen = float(brentq(criterion, here, here + STEP, xtol=1e-4))  # pyright: ignore[reportArgumentType]
    criterion(chosen)
    return points[chosen].z, points[FIRST].z


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
    hierarchy, (c, means, _) = branch.cumulants.hierarchy, branch_moments(branch, z)
    moved = branch.cumulants.velocity(0.0, c, means) + z[0] * (_odd_part(branch, means) @ c)
    change = moved[hierarchy.singles] * (hierarchy.singles > 0)
    total = moved - hierarchy.lowering(change) @ c
    total[branch.singles] = moved[branch.singles]
    total[0] = branch.direction @ z - amplitude
    return total


def jacobian(branch: Branch, z: np.ndarray) -> np.ndarray:
    """Its derivative. The few columns of means and of mu are central differences."""
    hierarchy, (c, means, _) = branch.cumulants.hierarchy, branch_moments(branch, z)
    moved = branch.cumulants.velocity(0.0, c, means) + z[0] * (_odd_part(branch, means) @ c)
    change = moved[hierarchy.singles] * (hierarchy.singles > 0)
    inside = hierarchy.matrix(0.0, means) + z[0] * _odd_part(branch, means)
    total = (inside + branch.cumulants.beyond(0.0, means) @ branch.cumulants.slope(c)).toarray()
    singles = total[branch.singles].copy()
    row, column, letter = hierarchy.lower
    single = hierarchy.singles.ravel()[letter]
    for place, moving in zip(branch.singles, singles, strict=True):
        used = single == place
        total -= np.outer(np.bincount(row[used], c[column[used]], minlength=len(c)), moving)
    total -= hierarchy.lowering(change).toarray()
    total[branch.singles] = singles
    total[0] = branch.direction
    for place in (0, *branch.singles):
        step = np.zeros(len(z))
        step[place] = 1e-5
        total[:, place] = (residual(branch, z + step, 0.0) - residual(branch, z - step, 0.0)) / 2e-5
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
    """The mean-field state with its odd means at the first amplitude, or the state with fewer strings."""
    hierarchy = branch.cumulants.hierarchy
    z = np.zeros(hierarchy.size)
    if before is not None:
        z[hierarchy.places(before[0].cumulants.hierarchy.strings)] = before[1]
        return z
    used = hierarchy.singles > 0
    z[hierarchy.singles[used]] = np.where(order.sign == 1, FIRST * order.means, order.means)[used]
    return z


def _corrected(branch: Branch, z: np.ndarray, amplitude: float) -> Point:
    """The solution at an amplitude, by Newton's method.

    **Raises** `NumericalError` if it is not found.
    """
    for _ in range(12):
        factors = lu_factor(jacobian(branch, z), overwrite_a=True, check_finite=False)
        step = lu_solve(factors, residual(branch, z, amplitude))
        size = float(np.max(np.abs(step)))
        if not size < 2:
            break
        z = z - step * min(1.0, 0.3 / max(size, 1e-300))
        if size < 1e-6:
            unit = np.zeros(len(z))
            unit[0] = 1.0
            return Point(z, lu_solve(factors, unit))
    raise NumericalError("Cumulants of an ordered state have no stationary values that are found.")
