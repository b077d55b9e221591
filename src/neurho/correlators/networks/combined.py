"""Networks made of others: products, and convex sums."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from neurho._types import brief, require
from neurho.correlators.networks.base import AbstractStringNetwork


class ProductNetwork(AbstractStringNetwork):
    """c_P = prod_k c_k(P): 1 for the identity as each factor is, and a product of sites where all factors are."""

    factors: tuple[AbstractStringNetwork, ...]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P as a product."""
        return jnp.prod(jnp.stack([factor.value(sites, letters) for factor in self.factors]))

    def entries(self, slots: int) -> int:
        """Those of all factors."""
        return sum(factor.entries(slots) for factor in self.factors)


class SumNetwork(AbstractStringNetwork):
    """c_P = sum_k s_k c_k(P) with shares s_k > 0 of sum 1, a mixture of states where the terms are states.

    **Attributes**

    - `logits`: ln(s_k/s_0) of all terms but the first, `(terms - 1,)`.
    """

    terms: tuple[AbstractStringNetwork, ...]
    logits: Float[Array, " rest"]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P as a mean with shares."""
        shares = jax.nn.softmax(jnp.concatenate([jnp.zeros(1), self.logits]))
        return shares @ jnp.stack([term.value(sites, letters) for term in self.terms])

    def entries(self, slots: int) -> int:
        """Those of all terms."""
        return sum(term.entries(slots) for term in self.terms)


def multiplied(*networks: AbstractStringNetwork) -> ProductNetwork:
    """c_P = c_1(P) c_2(P) ... of networks of correlators.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho.correlators.networks import cumulant_network, matrix_product_network

    key, up = jax.random.key(0), np.tile([1.0, 0.0, 0.0, 1.0], (4, 1))
    ones = np.ones_like(up)
    cumulants, chain = cumulant_network(key, up, np.arange(4)[None], 2), matrix_product_network(key, ones, 2)
    both = neurho.networks.multiplied(cumulants, chain)
    assert len(both.factors) == 2
    ```

    **Raises** `NeurhoError` for less than two, or for what is no network of correlators.
    """
    _require_networks(networks)
    return ProductNetwork(networks)


def added(*networks: AbstractStringNetwork) -> SumNetwork:
    """c_P = s_1 c_1(P) + s_2 c_2(P) + ... of networks of correlators, s_k > 0 of sum 1 and equal at first.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho.correlators.networks import matrix_product_network, mixture_network

    key, up = jax.random.key(0), np.tile([1.0, 0.0, 0.0, 1.0], (4, 1))
    mixture, chain = mixture_network(key, up, np.arange(4)[None], 2), matrix_product_network(key, up, 2)
    both = neurho.networks.added(mixture, chain)
    assert both.logits.shape == (1,)
    ```

    **Raises** `NeurhoError` for less than two, or for what is no network of correlators.
    """
    _require_networks(networks)
    return SumNetwork(networks, jnp.zeros(len(networks) - 1))


def _require_networks(networks: tuple[AbstractStringNetwork, ...]) -> None:
    require(len(networks) > 1, "networks", "be two or more", f"there is {'one' if networks else 'none'}")
    for network in networks:
        good = isinstance(network, AbstractStringNetwork)
        require(good, "networks", "be networks of correlators (AbstractStringNetwork)", f"one is {brief(network)}")
