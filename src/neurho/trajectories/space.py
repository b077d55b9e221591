"""Where state vectors live: all configurations, or those of one parity.

A vector is a pair of real arrays `(D, lanes)`, its real and imaginary parts: configurations with site 0 slowest, and
trajectories side by side on the last axis, so that whatever happens to one configuration happens to a vector register.
(Complex numbers, or one array for both parts, make XLA write loops that are three to eight times slower.)
"""

from typing import NamedTuple

import numpy as np

from neurho.model.operators import Lindbladian, Operator


class Space(NamedTuple):
    """Configurations of `sites` sites of `local_dim` levels.

    With `halved`, only those of one parity p = (-1)^(sum of levels): the level of the last site follows from those of
    the others, and a trajectory carries its parity `sector` = +1 or -1.

    ```python
    import neurho

    space = neurho.trajectories.Space(sites=3, local_dim=2, halved=True)
    assert space.dimension == 4
    assert space.digits(sector=1).tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
    ```
    """

    sites: int
    local_dim: int
    halved: bool = False

    @property
    def free(self) -> int:
        """Sites whose levels number the configurations."""
        return self.sites - self.halved

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return self.local_dim**self.free

    def digits(self, sector: int = 1) -> np.ndarray:
        """The level of every site in every configuration, `(D, sites)`."""
        powers = self.local_dim ** np.arange(self.free - 1, -1, -1)
        levels = (np.arange(self.dimension)[:, None] // powers) % self.local_dim
        if not self.halved:
            return levels
        last = (levels.sum(axis=1) + (sector < 0)) % 2
        return np.column_stack([levels, last])


def parity_change(operator: Operator) -> int | None:
    """0 if an operator of spins 1/2 conserves the parity of the number of raised levels, 1 if it flips it, else None.

    An operator that is zero conserves it.
    """
    found = set()
    for term in operator.terms:
        rows, columns = np.nonzero(term.matrix)
        found |= {int(bit) % 2 for bit in _ones(rows) + _ones(columns)}
    return None if len(found) > 1 else found.pop() if found else 0


def keeps_parity(model: Lindbladian) -> bool:
    """Whether each state of definite parity stays one: H conserves parity, every jump conserves or flips it.

    This is a weak symmetry; rho has no elements between the parities then, if it had none at first.

    ```python
    import neurho

    assert neurho.trajectories.keeps_parity(neurho.xyz(neurho.chain(3)))
    assert not neurho.trajectories.keeps_parity(neurho.ising(neurho.chain(3)))
    ```
    """
    if model.local_dim != 2 or model.sites < 2 or parity_change(model.hamiltonian) != 0:
        return False
    return all(parity_change(jump.operator) is not None for jump in model.jumps)


def _ones(numbers: np.ndarray) -> np.ndarray:
    return np.array([int(n).bit_count() for n in numbers], dtype=int)
