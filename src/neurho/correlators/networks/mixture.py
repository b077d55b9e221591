"""Mixtures of product operators."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.normals import normal_array
from neurho.correlators.networks.base import AbstractStringNetwork
from neurho.correlators.networks.means import Means, product_means

SPREAD = 0.3
"""Standard deviation by which the letters of a new term differ from those of the product."""


class MixtureNetwork(AbstractStringNetwork):
    """c_P = prod_j m_j + sum_f w_f ((1/|G|) sum_g prod_j b_f(g j, letter_j) - prod_j m_j),  1 for the identity.

    Strong up to about ten sites, and not extensive: far apart, sites stay correlated.

    **Attributes**

    - `means`: m; `weights`: w, `(terms,)`, zero for the product state; `letters`: b, `(terms, sites, letters - 1)`.
    """

    means: Means
    weights: Float[Array, " terms"]
    letters: Float[Array, "terms sites letters"]
    moves: Int[Array, "moves sites"]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P as a sum of products."""
        b = self.letters[:, self.moves[:, sites], jnp.maximum(letters, 1) - 1]
        product = jnp.prod(self.means(sites, letters))
        terms = jnp.prod(jnp.where(letters > 0, b, 1.0), axis=-1).mean(axis=-1)
        return product + self.weights @ (terms - product)

    def entries(self, slots: int) -> int:
        """All products."""
        return 2 * slots * self.letters.shape[0] * self.moves.shape[0]


def mixture_network(key: PRNGKeyArray, product: np.ndarray, moves: np.ndarray, terms: int) -> MixtureNetwork:
    """A product state `(sites, letters)` with terms near it that have no weight yet."""
    noise = SPREAD * normal_array(key, (terms, product.shape[0], product.shape[1] - 1))
    return MixtureNetwork(
        product_means(product, moves), jnp.zeros(terms), jnp.asarray(product[:, 1:] + noise), jnp.asarray(moves)
    )
