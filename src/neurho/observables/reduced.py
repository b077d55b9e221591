"""Reduced density matrices as means of Hermitian operators: matrix units |c><a|, split into real and imaginary parts.

<a| rho_A |c> = Tr[rho |c><a|] = <(|c><a| + |a><c|)/2> + i <(|c><a| - |a><c|)/(2i)>,   a, c configurations of A
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from jaxtyping import Float

from neurho.model.operators import Operator, local
from neurho.observables.estimate import Estimate
from neurho.observables.names import REDUCED, at, parse
from neurho.observables.quantities import symmetric


def matrix_units(sites: Sequence[int], local_dim: int) -> tuple[Operator, ...]:
    """D^2 Hermitian operators on `sites`, D = d^k, in the order of a D x D matrix.

    Their means are the diagonal of the reduced density matrix, above it the real parts of its upper triangle, below it
    the imaginary parts of the upper triangle. The first of `sites` is the slowest index.
    """
    size = local_dim ** len(sites)
    operators = []
    for a, c in product(range(size), repeat=2):
        unit = np.zeros((size, size), dtype=complex)
        if a <= c:
            unit[c, a] += 0.5
            unit[a, c] += 0.5
        else:  # the element (c, a), which lies above the diagonal
            unit[a, c] += -0.5j
            unit[c, a] += 0.5j
        operators.append(local(unit, tuple(sites), local_dim=local_dim))
    return tuple(operators)


def pair_operators(pairs: Sequence[Sequence[int]], local_dim: int) -> tuple[Operator, ...]:
    """The matrix units of every pair, one pair after the other."""
    return tuple(operator for pair in pairs for operator in matrix_units(pair, local_dim))


def as_matrices(estimate: Estimate, size: int) -> dict[str, Estimate]:
    """Real and imaginary parts of reduced density matrices from means of matrix units `(*batch, pairs size^2)`."""
    mean, error = (np.reshape(part, (*np.shape(part)[:-1], -1, size, size)) for part in estimate)
    return {
        at(REDUCED, "real"): Estimate(mean=_mirror(np.triu(mean), 1), error=_mirror(np.triu(error), 1)),
        at(REDUCED, "imag"): Estimate(mean=_mirror(_above(mean), -1), error=_mirror(_above(error), 1)),
    }


def arranged(name: str, single: Estimate, sites: int, local_dim: int) -> dict[str, Estimate]:
    """What becomes of estimates of single operators, by the name of their quantity: pairs are symmetric matrices
    `(sites, sites)` with 1 on the diagonal, reduced density matrices two parts; others stay as they are.
    """
    if name == REDUCED:
        return as_matrices(single, local_dim**2)
    if parse(name).place == "pair":
        mean, error = (symmetric(np.asarray(v), sites, one) for v, one in zip(single, (1.0, 0.0), strict=True))
        return {name: Estimate(mean=mean, error=error)}
    return {name: single}


def _above(matrices: Float[np.ndarray, "*batch pairs size size"]) -> np.ndarray:
    """What is below the diagonal, put above it."""
    return np.swapaxes(np.tril(matrices, -1), -1, -2)


def _mirror(upper: Float[np.ndarray, "*batch pairs size size"], sign: int) -> np.ndarray:
    """Fill the lower triangle with `sign` times the upper one."""
    return upper + sign * np.swapaxes(np.triu(upper, 1), -1, -2)
