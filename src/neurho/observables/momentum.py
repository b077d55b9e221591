"""Momenta of a lattice and the structure factors that belong to them.

S^aa(k) = sum_{j != l} exp(i k.(r_j - r_l)) <s^a_j s^a_l> / (N (N - 1)),   real; at k = 0 the mean over pairs
"""

from itertools import combinations, product

import numpy as np
from jaxtyping import Float

from neurho._types import require
from neurho.model.lattice import Lattice


def momenta(lattice: Lattice) -> Float[np.ndarray, "*grid directions"]:
    """The phases k.a_d = 2 pi n_d/L_d by which a plane wave turns along each lattice vector a_d, n_d = 0 ... L_d - 1.

    The grid has the shape of the lattice. An open direction has the same grid: a Fourier mode there is well defined,
    but no conserved momentum.

    **Raises** `NeurhoError` for a lattice that was made from edges.
    """
    require(lattice.name != "edges", "lattice", "have lattice vectors to speak of momenta", "it was made from edges")
    steps = [2 * np.pi * np.arange(length) / length for length in lattice.shape]
    return np.array(list(product(*steps))).reshape(*lattice.shape, len(lattice.shape))


def structure_weights(lattice: Lattice) -> Float[np.ndarray, "*grid pairs"]:
    """What the two-point functions of all pairs j < l enter S(k) with: 2 cos(k.(r_j - r_l))/(N (N - 1))."""
    cells = np.array(list(product(*map(range, lattice.shape))))
    left, right = np.array(list(combinations(range(lattice.sites), 2)), dtype=int).reshape(-1, 2).T
    phases = momenta(lattice) @ (cells[left] - cells[right]).T
    return 2 * np.cos(phases) / max(lattice.sites * (lattice.sites - 1), 1)
