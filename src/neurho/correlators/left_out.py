"""What a cut of cumulants leaves out: those of strings beyond it, as the equations of these strings see them.

While the cumulants k of strings that are not kept vanish, their equations hold a source s, the velocity of these
moments. Left to themselves, they would settle where L' k = -s. Both tell how far a cut state is from a state that its
own equations bear.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import lsmr

from neurho.correlators.ordered import Branch, among, branch_moments, residual


class LeftOut(NamedTuple):
    """Strings beyond those of a branch.

    - `wider`: a branch that holds both.
    - `kept`, `rest`: where the strings of the narrower one and the others stand in it.
    """

    wider: Branch
    kept: np.ndarray
    rest: np.ndarray


def left_out(branch: Branch, wider: Branch) -> LeftOut:
    """The strings of `wider` that `branch` leaves out."""
    hierarchy = wider.cumulants.hierarchy
    kept = hierarchy.places(branch.cumulants.hierarchy.strings)
    return LeftOut(wider, kept, np.setdiff1d(np.arange(hierarchy.size), kept))


def lifted(branch: Branch, wider: Branch, kept: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The unknowns of a wider branch with the cumulants of another one, and none of the strings that are new."""
    kappa = np.zeros(wider.cumulants.hierarchy.size + 1)
    kappa[kept] = branch.cumulants.cumulants(branch_moments(branch, z).c)[:-1]
    found = wider.cumulants.moments(kappa)
    fixed = [0, *branch.singles]
    found[kept[fixed]] = z[fixed]
    return found


def left_out_sizes(branch: Branch, beyond: LeftOut, z: np.ndarray, amplitude: float) -> tuple[float, float]:
    """||s|| of the source, and ||k|| of the cumulants that it would make, L' k = -s among the strings left out."""
    there = lifted(branch, beyond.wider, beyond.kept, z)
    source = residual(beyond.wider, there, amplitude)[beyond.rest]
    matrix = among(beyond.wider, there, beyond.rest)
    cumulants = lsmr(matrix, -source, atol=1e-3, btol=1e-3, maxiter=200)[0]
    return float(np.linalg.norm(source)), float(np.linalg.norm(cumulants))
