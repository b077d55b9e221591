"""Networks of correlators moved by least squares: implicit steps, solved by Gauss and Newton."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from neurho.correlators.networks import AbstractStringNetwork, parameter_vector, string_derivatives, string_values
from neurho.correlators.networks.base import with_parameters
from neurho.correlators.rows import Equations

MOST_DAMPING, LEAST_DAMPING = 1e6, 1e-10
"""Of Levenberg and Marquardt, in units of the diagonal of the normal equations."""


CHORDS = 2
"""Steps at most that use the derivatives of the one before."""


class Fitted(NamedTuple):
    """A network after an implicit step: with the damping that served, and |r|^2 before and after."""

    network: AbstractStringNetwork
    damping: float
    before: float
    after: float


def derivatives(network: AbstractStringNetwork, equations: Equations, matrix: csr_array) -> np.ndarray:
    """The derivative of `matrix` times the c_P of the columns, `(rows, parameters)`: never that of all c_P at once."""
    by_column = matrix.tocsc()
    slopes = np.zeros((equations.size, parameter_vector(network).size))
    for columns, _, part in string_derivatives(network, equations.columns):
        slopes += by_column[:, columns[0] : columns[-1] + 1] @ part
    return slopes


def implicit_step(
    network: AbstractStringNetwork,
    equations: Equations,
    matrix: csr_array,
    target: np.ndarray,
    damping: float,
    *,
    iterations: int = 1,
    enough: float = 0.0,
) -> Fitted:
    """Min over theta of | matrix c(theta) - target |, by a few iterations of Levenberg and Marquardt.

    A step that does not make it smaller is taken back and tried again with more damping. Derivatives serve as long as
    they still halve what can be gained; it ends where |r| falls below `enough` or by less than a hundredth.
    """
    vector = np.asarray(parameter_vector(network))

    def missing(theta: np.ndarray) -> np.ndarray:
        return matrix @ string_values(with_parameters(network, theta), equations.columns) - target

    left = missing(vector)
    first = cost = float(left @ left)
    for _ in range(iterations):
        if cost <= enough**2:
            break
        begun = cost
        slopes = derivatives(with_parameters(network, vector), equations, matrix)
        normal = slopes.T @ slopes
        scale = np.diag(normal) + 1e-8 * np.trace(normal) / len(normal) + 1e-300
        while damping < MOST_DAMPING:
            factor = cho_factor(normal + np.diag((damping + 1e-12) * scale), check_finite=False)
            moved = vector - cho_solve(factor, slopes.T @ left, check_finite=False)
            found = missing(moved)
            after = float(found @ found)
            if np.isfinite(after) and after < cost:
                gained, vector, left, cost = cost - after, moved, found, after
                damping = max(damping / 3, LEAST_DAMPING)
                for _ in range(CHORDS):
                    moved = vector - cho_solve(factor, slopes.T @ left, check_finite=False)
                    found = missing(moved)
                    after = float(found @ found)
                    if not after < cost:
                        break
                    better, vector, left, cost = cost - after, moved, found, after
                    if better < 0.25 * gained:
                        break
                    gained = better
                break
            damping *= 4
        else:
            damping = 1.0
            break
        if cost > 0.98 * begun:
            break
    return Fitted(with_parameters(network, vector), damping, first, cost)
