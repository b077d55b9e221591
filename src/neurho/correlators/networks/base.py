"""What a network of correlators is: a real function of an operator string, with one value for all symmetric strings."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from neurho._jax.compiling import program
from neurho.correlators.strings import Strings

CHUNK_BYTES = 2**26
"""Memory for the derivatives, and for what leads to them, of strings that are looked at together."""


class AbstractStringNetwork(eqx.Module):
    """c_P = Tr(P rho) as a function of a string P, given by its support.

    A string that is not the identity has slots `(sites, letters)`; a slot with letter 0 is padding and changes nothing.
    Parameters are all floating-point arrays. The network is called with one string of each orbit of the symmetries, so
    that it need not have them itself.
    """

    @abstractmethod
    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P of one string."""

    @abstractmethod
    def entries(self, slots: int) -> int:
        """About how many numbers one value of a string of `slots` sites goes through: it decides on chunks."""


Network = TypeVar("Network", bound=AbstractStringNetwork)


def parameter_vector(network: AbstractStringNetwork) -> Float[Array, " parameters"]:
    """All parameters in one row."""
    return ravel_pytree(eqx.filter(network, eqx.is_inexact_array))[0]


def with_parameters(network: Network, vector: Array | np.ndarray) -> Network:
    """The network with other parameters."""
    trained, rest = eqx.partition(network, eqx.is_inexact_array)
    return eqx.combine(ravel_pytree(trained)[1](jnp.asarray(vector)), rest)


def string_values(network: AbstractStringNetwork, strings: Strings) -> np.ndarray:
    """c_P of strings, `(strings,)`; 1 for the identity."""
    found = np.ones(strings.size)
    for rows, sites, letters in _chunks(network, strings, more=1):
        found[rows] = np.asarray(_values(network, sites, letters))[: len(rows)]
    found[strings.weights == 0] = 1.0
    return found


def string_derivatives(network: AbstractStringNetwork, strings: Strings) -> Iterator[tuple[np.ndarray, ...]]:
    """Part by part: which strings, their c_P and d c_P / d theta `(strings, parameters)`."""
    count = parameter_vector(network).size
    for rows, sites, letters in _chunks(network, strings, more=4, besides=count):
        values, slopes = _derivatives(network, sites, letters)
        yield rows, np.asarray(values)[: len(rows)], np.asarray(slopes)[: len(rows)]


class Slopes:
    """J = d c_P / d theta of strings, `(strings, parameters)`, as products with vectors: it is nowhere written down."""

    def __init__(self, network: AbstractStringNetwork, strings: Strings) -> None:
        self.network = network
        self.shape = (strings.size, parameter_vector(network).size)
        self._parts = list(_chunks(network, strings, more=8))

    def along(self, direction: np.ndarray) -> np.ndarray:
        """J v, `(strings,)`."""
        found = np.zeros(self.shape[0])
        for rows, sites, letters in self._parts:
            found[rows] = np.asarray(_tangents(self.network, direction, sites, letters))[: len(rows)]
        return found

    def back(self, weights: np.ndarray) -> np.ndarray:
        """J^T u, `(parameters,)`."""
        found = np.zeros(self.shape[1])
        for rows, sites, letters in self._parts:
            padded = np.pad(weights[rows], (0, len(sites) - len(rows)))
            found += np.asarray(_pulled_back(self.network, padded, sites, letters))
        return found


def _chunks(
    network: AbstractStringNetwork, strings: Strings, *, more: int, besides: int = 0
) -> Iterator[tuple[Any, ...]]:
    """Strings that are not the identity in parts of equal shape: the last is filled up with the identity."""
    alive = np.flatnonzero(strings.weights)
    slots = max(1, strings.sites.shape[1])
    strings = strings.padded(slots)
    size = CHUNK_BYTES // (8 * (more * network.entries(slots) + besides))
    size = 1 << max(3, int(np.log2(max(size, 8))))
    size = min(size, 1 << max(3, int(np.ceil(np.log2(max(len(alive), 1))))))
    for begin in range(0, len(alive), size):
        rows = alive[begin : begin + size]
        fill = ((0, size - len(rows)), (0, 0))
        yield rows, *(jnp.asarray(np.pad(np.asarray(a[rows], dtype=np.int32), fill)) for a in strings)


@program
def _values(network: AbstractStringNetwork, sites: Array, letters: Array) -> Array:
    return jax.vmap(network.value)(sites, letters)


@program
def _derivatives(network: AbstractStringNetwork, sites: Array, letters: Array) -> tuple[Array, Array]:
    trained, rest = eqx.partition(network, eqx.is_inexact_array)
    vector, unravel = ravel_pytree(trained)

    def value(theta: Array, s: Array, a: Array) -> Array:
        return eqx.combine(unravel(theta), rest).value(s, a)

    return jax.vmap(jax.value_and_grad(value), in_axes=(None, 0, 0))(vector, sites, letters)


def _vectorised(network: AbstractStringNetwork, sites: Array, letters: Array) -> tuple[Any, Any]:
    """The parameters, and the values of strings as a function of them."""
    trained, rest = eqx.partition(network, eqx.is_inexact_array)
    return trained, lambda theta: jax.vmap(eqx.combine(theta, rest).value)(sites, letters)


@program
def _tangents(network: AbstractStringNetwork, direction: Array, sites: Array, letters: Array) -> Array:
    trained, values = _vectorised(network, sites, letters)
    return jax.jvp(values, (trained,), (ravel_pytree(trained)[1](direction),))[1]


@program
def _pulled_back(network: AbstractStringNetwork, weights: Array, sites: Array, letters: Array) -> Array:
    trained, values = _vectorised(network, sites, letters)
    return ravel_pytree(jax.vjp(values, trained)[1](weights)[0])[0]
