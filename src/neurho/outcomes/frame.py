"""The symmetric informationally complete measurement of a spin, and how outcomes and matrix elements are related.

    M_a = (1 + s_a.sigma)/4,   p(a) = Tr(M_a rho),   rho = sum_a p(a) N_a,   N_a = (1 + 3 s_a.sigma)/2

with s_a the four corners of a tetrahedron; on several sites products of these. p is real and sums to Tr rho, and

    sum_a p(a) q(a) = 4^-N sum_P 3^-|P| Tr(P rho) Tr(P sigma)

over Pauli strings P of |P| sites: the depolarised inner product with lambda = 1/3 (arXiv:2009.05580, 2104.00013).
"""

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from neurho._types import Numbers, require
from neurho.matrix_elements import generator
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z

CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
_SPIN = np.tensordot(CORNERS, np.stack([PAULI_X, PAULI_Y, PAULI_Z]), axes=1)
EFFECTS = (np.eye(2) + _SPIN) / 4
DUAL = (np.eye(2) + 3 * _SPIN) / 2

FROM_LABELS = EFFECTS.transpose(0, 2, 1).reshape(4, 4)
"""`(outcome, label)`: p(a) = sum_x FROM_LABELS[a, x] rho_x of one site with label x = 2 l + r."""
TO_LABELS = DUAL.reshape(4, 4).T
"""`(label, outcome)`: its inverse."""


def at_every_site(matrix: np.ndarray, table: Array | np.ndarray, sites: int) -> Array:
    """The product of one-site matrices `(4, 4)` with a table over all 4^sites configurations, site 0 slowest, or with
    its columns, in the numbers of the table: three sites at once.
    """
    table, shape, done = jnp.asarray(table), table.shape, 0
    while done < sites:
        k = min(3, sites - done)
        block = jnp.asarray(reduce(np.kron, [np.asarray(matrix)] * k), table.dtype)
        table = jnp.matmul(block, table.reshape(4**done, 4**k, -1))
        done += k
    return table.reshape(shape)


def from_matrix(rho: Numbers, sites: int) -> np.ndarray:
    """The probabilities of all outcomes `(4^sites,)` of a density matrix of spins, site 0 slowest.

    ```python
    import numpy as np
    import neurho

    p = neurho.outcomes.from_matrix(neurho.exact.product_state("+x", 2), 2)
    assert p.shape == (16,) and np.isclose(p.sum(), 1)
    ```
    """
    require(np.shape(rho) == (2**sites, 2**sites), "rho", f"be the matrix of {sites} spins", f"it is {np.shape(rho)}")
    return np.asarray(at_every_site(FROM_LABELS, generator.to_table(rho, sites, 2).astype(complex), sites).real)


def to_matrix(p: Array | np.ndarray, sites: int) -> np.ndarray:
    """The Hermitian matrix `(2^sites, 2^sites)` whose outcomes have these probabilities; not always positive.

    ```python
    import numpy as np
    import neurho

    rho = neurho.exact.product_state("+x", 2)
    assert np.allclose(neurho.outcomes.to_matrix(neurho.outcomes.from_matrix(rho, 2), 2), rho)
    ```
    """
    require(
        np.shape(p) == (4**sites,), "p", f"have one entry for each of the 4^{sites} outcomes", f"it is {np.shape(p)}"
    )
    return generator.to_matrix(np.asarray(at_every_site(TO_LABELS, jnp.asarray(p, complex), sites)), sites, 2)
