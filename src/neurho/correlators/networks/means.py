"""One-site means: what every network of correlators begins with, and what products of them are."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Means(eqx.Module):
    """Tr(B_a rho_j) of the sites, one row for each orbit of sites; 1 for the identity.

    **Attributes**

    - `table`: `(orbits, letters - 1)`.
    - `orbits`: the row of each site, `(sites,)`.
    """

    table: Float[Array, "orbits letters"]
    orbits: Int[Array, " sites"]

    def __call__(self, sites: Array, letters: Array) -> Array:
        """The mean of each slot."""
        found = self.table[self.orbits[sites], jnp.maximum(letters, 1) - 1]
        return jnp.where(letters > 0, found, 1.0)


def product_means(letters: np.ndarray, moves: np.ndarray) -> Means:
    """The means of a product state `(sites, letters)`, 1 for the identity, that the permutations `moves` leave."""
    first, orbits = np.unique(np.min(moves, axis=0), return_inverse=True)
    return Means(jnp.asarray(letters[first, 1:]), jnp.asarray(orbits.reshape(-1)))
