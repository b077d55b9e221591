"""From a lattice to a line: the order in which a matrix product runs through the sites, and what does not fit."""

import numpy as np

from neurho._types import NeurhoError
from neurho.model.lattice import Lattice

WIDEST = 4
"""Sites across the widest strip."""

FARTHEST = 2 * WIDEST - 1
"""Largest distance along the line of two sites that a term connects: that of a snake through the widest strip."""

INSTEAD = "trajectories reach 20 sites of any lattice, a neural density matrix more"


def line(lattice: Lattice) -> np.ndarray:
    """The sites in the order of the matrix product, `(sites,)`: as numbered for chains, a snake through a strip.

    ```python
    import neurho

    assert neurho.matrix_product.line(neurho.square(3, 2)).tolist() == [0, 1, 3, 2, 4, 5]
    ```

    **Raises** `NeurhoError` for periodic lattices and for strips wider than 4 sites.
    """
    if any(p and length > 2 for p, length in zip(lattice.periodic, lattice.shape, strict=True)):
        raise NeurhoError(
            f"A matrix product needs an open chain or strip, but the lattice ({lattice.name}) is periodic; open it, or "
            f"take another method: {INSTEAD}."
        )
    if lattice.sites < 2:
        raise NeurhoError("A matrix product needs at least two sites, but there is one; take the exact solution.")
    if len(lattice.shape) == 1:
        return np.arange(lattice.sites)
    if min(lattice.shape) > WIDEST or len(lattice.shape) > 2:
        raise NeurhoError(
            f"A matrix product needs a strip at most {WIDEST} sites wide, but the lattice is "
            f"{' x '.join(map(str, lattice.shape))}; {INSTEAD}."
        )
    numbers = np.arange(lattice.sites).reshape(lattice.shape)
    rungs = numbers if len(numbers) >= len(numbers.T) else numbers.T
    return np.concatenate([rung[::-1] if number % 2 else rung for number, rung in enumerate(rungs)])


def positions(order: np.ndarray) -> np.ndarray:
    """Where each site stands on the line, `(sites,)`."""
    return np.argsort(order)
