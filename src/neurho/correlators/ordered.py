"""States that break a parity: cumulants of an ordered branch, whose even part is the symmetric stationary state.

With P the parity and r the slowest odd mode, L r = -mu r, each state  rho_+ = rho_ss + a r  has rho_ss as its even
part and obeys

    L rho_+ + mu (rho_+ - P rho_+ P) / 2 = 0,

exactly, whatever a. In an ordered phase mu, the rate at which order gets lost, is small, and with an amplitude a like
that of the order the cumulants of rho_+ decay with distance, which those of rho_ss, a mixture of both orders, do not.
Exact even means and mu do not depend on a.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array

from neurho._types import NumericalError
from neurho.correlators.cumulants import Cumulants, build_cumulants
from neurho.correlators.equations import StringTerms, sector_signs
from neurho.correlators.hierarchy import Hierarchy, build_hierarchy
from neurho.correlators.solving import Moments, propagate, start
from neurho.correlators.strings import Strings, Symmetry, all_strings


class Order(NamedTuple):
    """A mean-field state that breaks a parity.

    - `symmetry`: permutations and the parities that are left.
    - `means`: one-site means of the letters, `(sites, letters)`, 0 for the identity.
    - `sign`: which letters are odd, `(letters,)`.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    assert order.sign.tolist() == [0, 1, 1, 0]  # X and Y are odd
    assert len(order.symmetry.signs) == 0  # no parity is left
    ```
    """

    symmetry: Symmetry
    means: np.ndarray
    sign: np.ndarray


class Branch(NamedTuple):
    """The equations of an ordered branch.

    Unknowns z: central moments c' of the strings, with one-site means in the places of strings of one site (`singles`)
    and mu in that of the identity. `direction @ z` is the amplitude, 1 for the mean-field state.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    branch = co.ordered_branch(terms, order, [co.all_strings(order.symmetry, k) for k in (1, 2)])
    z = np.zeros(16)
    z[branch.cumulants.hierarchy.singles[0, 1:]] = order.means[0, 1:]
    assert np.isclose(branch.direction @ z, 1)  # mean field has the amplitude 1
    ```
    """

    cumulants: Cumulants
    odd: np.ndarray
    singles: np.ndarray
    direction: np.ndarray


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

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = neurho.correlators.mean_field_order(terms, torus.symmetries, dim=2)
    assert abs(order.means[0, 1]) > 0.5 and abs(order.means[0, 2]) > 0.4  # <sx> and <sy> of each site
    ```

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
    """The equations of some strings, without the identity; all strings that are part of one are among them.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    strings = [co.all_strings(order.symmetry, k) for k in (1, 2)]
    branch = neurho.correlators.ordered_branch(terms, order, strings)
    assert branch.cumulants.hierarchy.size == 16  # 1, 3 letters, and 6 words on each of 2 kinds of pairs
    ```
    """
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


def branch_moments(branch: Branch, z: np.ndarray) -> Moments:
    """The moments that the unknowns are, about their own means.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    branch = co.ordered_branch(terms, order, [co.all_strings(order.symmetry, k) for k in (1, 2)])
    z = np.zeros(16)
    z[branch.cumulants.hierarchy.singles[0, 1:]] = order.means[0, 1:]
    moments = neurho.correlators.branch_moments(branch, z)
    assert np.allclose(moments.means, order.means) and moments.c[0] == 1
    ```
    """
    c = z.copy()
    c[0] = 1.0
    c[branch.singles] = 0.0
    places = branch.cumulants.hierarchy.singles
    return Moments(c=c, means=np.where(places > 0, z[places], 0.0), central=True)


def mean_field_moments(branch: Branch, order: Order) -> Moments:
    """The mean-field state, without any correlation.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms = co.string_terms(neurho.xyz(torus))
    order = co.mean_field_order(terms, torus.symmetries, dim=2)
    branch = co.ordered_branch(terms, order, [co.all_strings(order.symmetry, k) for k in (1, 2)])
    moments = neurho.correlators.mean_field_moments(branch, order)
    assert np.array_equal(moments.means, order.means) and np.count_nonzero(moments.c) == 1
    ```
    """
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
    inside = csr_array(_linear(branch, z) + branch.cumulants.beyond(0.0, means) @ branch.cumulants.slope(c))
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


def among(branch: Branch, z: np.ndarray, some: np.ndarray) -> csr_array:
    """Its part among some strings of the most sites, on whose cumulants no closure depends."""
    change = _change(branch, _moved(branch, z))
    return csr_array((_linear(branch, z) - branch.cumulants.hierarchy.lowering(change))[some][:, some])


def _linear(branch: Branch, z: np.ndarray) -> csr_array:
    """L' with the term in mu, about means that stand still."""
    _, means, _ = branch_moments(branch, z)
    return csr_array(branch.cumulants.hierarchy.matrix(0.0, means) + z[0] * _odd_part(branch, means))


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
