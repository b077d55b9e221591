"""Group-equivariant convolutions over the letters of a string."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.normals import normal_array
from neurho.correlators.networks.base import AbstractStringNetwork


class ConvolutionNetwork(AbstractStringNetwork):
    """A function of letters that is the same for all strings which the moves g carry into each other:

        h_1(g) = tanh(a + sum_j W(g j, letter_j)),   h_n(g) = tanh(a_n + sum_h V_n(g^-1 h) h_{n-1}(h)),
        f = (1/|G|) sum_g u . h(g),   minus what f is of the identity.

    **Attributes**

    - `first`: W, `(channels, sites, letters - 1)`; `deeper`: V, `(layers, channels, channels, moves)`.
    - `bias`: `(1 + layers, channels)`; `last`: u, `(channels,)`.
    - `moves`: `(moves, sites)`, a group; `ratios`: the number of g^-1 h, `(moves, moves)`.
    """

    first: Float[Array, "channels sites letters"]
    deeper: Float[Array, "layers channels channels moves"]
    bias: Float[Array, "depth channels"]
    last: Float[Array, " channels"]
    moves: Int[Array, "moves sites"]
    ratios: Int[Array, "moves moves"]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """The function at a string."""
        w = self.first[:, self.moves[:, sites], jnp.maximum(letters, 1) - 1]
        felt = jnp.where(letters > 0, w, 0.0).sum(axis=-1)  # (channels, moves)
        return self._pooled(felt) - self._pooled(jnp.zeros_like(felt))

    def _pooled(self, felt: Array) -> Array:
        h = jnp.tanh(self.bias[0][:, None] + felt)
        for kernel, bias in zip(self.deeper, self.bias[1:], strict=True):
            h = jnp.tanh(bias[:, None] + jnp.einsum("cdgh,dh->cg", kernel[:, :, self.ratios], h))
        return self.last @ h.mean(axis=-1)

    def entries(self, slots: int) -> int:
        """Features before and after each layer."""
        return 8 * self.first.shape[0] * self.moves.shape[0] * (slots + len(self.bias))


def group_ratios(moves: np.ndarray) -> np.ndarray:
    """The number of g^-1 h for all pairs of a group of permutations, `(moves, moves)`."""
    known = {tuple(move): number for number, move in enumerate(np.asarray(moves).tolist())}
    inverse = np.argsort(moves, axis=1)
    return np.array([[known[tuple(back[move].tolist())] for move in np.asarray(moves)] for back in inverse])


def convolution_network(
    key: PRNGKeyArray, moves: np.ndarray, letters: int, channels: int, depth: int
) -> ConvolutionNetwork:
    """A network with normal weights, of unit variance in every layer."""
    keys = jax.random.split(key, 3)
    sites, count = moves.shape[1], len(moves)
    first = jnp.asarray(normal_array(keys[0], (channels, sites, letters - 1)))
    deeper = jnp.asarray(normal_array(keys[1], (depth - 1, channels, channels, count)) / np.sqrt(channels * count))
    last = jnp.asarray(normal_array(keys[2], (channels,)) / np.sqrt(channels))
    ratios = jnp.asarray(group_ratios(moves))
    return ConvolutionNetwork(first, deeper, jnp.zeros((depth, channels)), last, jnp.asarray(moves), ratios)
