"""Matrix products of letters, along the sites in their order."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.normals import normal_array
from neurho.correlators.networks.base import AbstractStringNetwork

SPREAD = 0.2
"""Standard deviation of the entries that carry correlations."""


class MatrixProductNetwork(AbstractStringNetwork):
    """c_P = [M_1(p_1) M_2(p_2) ...]_00 / [M_1(0) M_2(0) ...]_00, for all letters, the identity included.

    **Attributes**

    - `matrices`: M, `(sites, letters, bond, bond)`.
    """

    matrices: Float[Array, "sites letters bond bond"]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P from left to right."""
        word = jnp.zeros(len(self.matrices), jnp.int32).at[sites].max(letters)
        chosen = jnp.take_along_axis(self.matrices, word[:, None, None, None], axis=1)[:, 0]
        plain = self.matrices[:, 0]
        both = jnp.stack([chosen, plain], axis=1)
        first = jnp.zeros((2, both.shape[-1])).at[:, 0].set(1.0)
        (last, _), _ = jax.lax.scan(_step, (first, 0), both)
        return last[0, 0] / last[1, 0]

    def entries(self, slots: int) -> int:
        """Two rows of matrices."""
        return 4 * self.matrices.shape[0] * self.matrices.shape[-1] ** 2


def _step(carry: tuple[Array, int], matrices: Array) -> tuple[tuple[Array, int], None]:
    return (jnp.einsum("kb,kbc->kc", carry[0], matrices), 0), None


def matrix_product_network(key: PRNGKeyArray, product: np.ndarray, bond: int) -> MatrixProductNetwork:
    """A product state `(sites, letters)`: what leads out of the first channel does not come back yet."""
    matrices = jnp.asarray(SPREAD * normal_array(key, (*product.shape, bond, bond)))
    matrices = matrices.at[:, :, 1:, 0].set(0.0).at[:, :, 0, 0].set(jnp.asarray(product))
    inner = matrices[:, 0, 1:, 1:] + 0.5 * jnp.eye(bond - 1)  # the identity carries on what began elsewhere
    return MatrixProductNetwork(matrices.at[:, 0, 1:, 1:].set(inner))
