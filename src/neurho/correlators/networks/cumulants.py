"""Connected correlators: c_P as the sum over all ways to split the support into blocks."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.normals import normal_array
from neurho.correlators.networks.base import AbstractStringNetwork
from neurho.correlators.networks.means import Means, product_means

SPREAD = 0.5
"""Standard deviation of the letters of a new filter."""


@cache
def subsets(slots: int) -> np.ndarray:
    """Which slots are in each subset, `(2^slots, slots)`."""
    return (np.arange(2**slots)[:, None] >> np.arange(slots)) & 1 == 1


def moments(kappa: Array, slots: int) -> Array:
    """The moment of all slots from the cumulants of all subsets `(2^slots,)`:

    m[S] = sum over T in S with the first slot of S in T of  kappa[T] m[S - T],   m[{}] = 1.
    """
    found: list[Array] = [jnp.ones(())]
    for whole in range(1, 2**slots):
        first = whole & -whole
        parts = [part for part in range(1, whole + 1) if part & whole == part and part & first]
        rest = jnp.stack([found[whole ^ part] for part in parts])
        found.append(kappa[np.array(parts)] @ rest)
    return found[-1]


class ConnectedNetwork(AbstractStringNetwork):
    """Cumulants that something else gives: `means` of single sites, `kernel` of blocks of two sites or more.

    Extensive where the kernel vanishes between distant sites; a product state where it vanishes.
    """

    means: Means
    kernel: AbstractStringNetwork

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P as the sum over partitions of products of cumulants."""
        inside = jnp.asarray(subsets(len(sites)))
        kappa = jax.vmap(lambda part: self.kernel.value(sites, jnp.where(part, letters, 0)))(inside)
        return joined_blocks(self.means(sites, letters), kappa, letters)

    def entries(self, slots: int) -> int:
        """As many values as subsets."""
        return 2**slots * self.kernel.entries(slots)


def joined_blocks(one: Array, kappa: Array, letters: Array) -> Array:
    """c_P from one-site means `(slots,)` and the cumulants of all subsets, of which those of one site are left out."""
    slots = len(letters)
    inside = subsets(slots)
    many = jnp.asarray(inside.sum(axis=1) > 1)
    padded = jnp.any(jnp.asarray(inside) & (letters == 0), axis=1)
    kappa = jnp.where(many & ~padded, kappa, 0.0)
    return moments(kappa.at[1 << np.arange(slots)].set(one), slots)


class CumulantNetwork(AbstractStringNetwork):
    """kappa(block) = sum_f w_f sum_g prod_j b_f(g j, letter_j): a few filters over the lattice, moved by symmetries g.

    **Attributes**

    - `weights`: w, `(filters,)`; all zero is exactly the product state of `means`, and no saddle.
    - `letters`: b, `(filters, sites, letters - 1)`.
    - `moves`: `(moves, sites)`, the symmetries of model and start.
    """

    means: Means
    weights: Float[Array, " filters"]
    letters: Float[Array, "filters sites letters"]
    moves: Int[Array, "moves sites"]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P as the sum over partitions of products of cumulants."""
        slots = len(sites)
        b = self.letters[:, self.moves[:, sites], jnp.maximum(letters, 1) - 1]  # (filters, moves, slots)
        products = jnp.ones((*b.shape[:-1], 1))
        for slot in range(slots):  # bit by bit: all subsets of the slots so far, without and with this one
            products = jnp.concatenate([products, products * b[..., slot, None]], axis=-1)
        kappa = self.weights @ products.sum(axis=1)
        return joined_blocks(self.means(sites, letters), kappa, letters)

    def entries(self, slots: int) -> int:
        """Products of all subsets."""
        return 2 * 2**slots * self.letters.shape[0] * self.moves.shape[0]


def cumulant_network(key: PRNGKeyArray, product: np.ndarray, moves: np.ndarray, filters: int) -> CumulantNetwork:
    """A product state `(sites, letters)` with filters that have no weight yet."""
    shape = (filters, product.shape[0], product.shape[1] - 1)
    letters = jnp.asarray(SPREAD * normal_array(key, shape))
    return CumulantNetwork(product_means(product, moves), jnp.zeros(filters), letters, jnp.asarray(moves))
