"""Networks of one's own: any module that gives a number for the letters of a string."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neurho._types import NeurhoError, brief, require, require_whole
from neurho.correlators.networks.base import AbstractStringNetwork, parameter_vector, string_values, with_parameters
from neurho.correlators.networks.cumulants import ConnectedNetwork
from neurho.correlators.networks.means import Means, product_means
from neurho.correlators.strings import from_dense
from neurho.matrix_elements.networks.recipe import Recipe, taken_apart


class StringModule(AbstractStringNetwork):
    """A module f of the letters of all sites, made by [`from_string_module`][neurho.networks.from_string_module]."""

    parameters: dict[str, Float[Array, "..."]]
    recipe: Recipe = eqx.field(static=True)
    sites: int = eqx.field(static=True)

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """What the module says of the letters."""
        word = jnp.zeros(self.sites, jnp.int32).at[sites].max(letters)
        return jnp.asarray(self.recipe.raw(self.parameters, word)).astype(float)

    def entries(self, slots: int) -> int:
        """A guess: as many as parameters, and letters."""
        return 64 * self.sites + sum(leaf.size for leaf in self.parameters.values())


class Change(AbstractStringNetwork):
    """f(P) - f_0(P): how far `kernel` has come from its start f_0, with all derivatives of f.

    **Attributes**

    - `origin`: the parameters of f_0 as whole numbers with the same bits: they are not trained.
    """

    kernel: AbstractStringNetwork
    origin: Int[Array, " parameters"]

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """The change at one string."""
        first = with_parameters(self.kernel, jax.lax.bitcast_convert_type(self.origin, jnp.float64))
        return self.kernel.value(sites, letters) - first.value(sites, letters)

    def entries(self, slots: int) -> int:
        """Those of both."""
        return 2 * self.kernel.entries(slots)


class Departure(AbstractStringNetwork):
    """c_P = prod_j m_j(letter_j) + f(P): a product state, and what `kernel` adds."""

    means: Means
    kernel: AbstractStringNetwork

    def value(self, sites: Int[Array, " slots"], letters: Int[Array, " slots"]) -> Float[Array, ""]:
        """c_P of one string."""
        return jnp.prod(self.means(sites, letters)) + self.kernel.value(sites, letters)

    def entries(self, slots: int) -> int:
        """Those of what is added."""
        return self.kernel.entries(slots)


def departing(
    kernel: AbstractStringNetwork, product: np.ndarray, moves: np.ndarray, *, connected: bool = False
) -> Departure | ConnectedNetwork:
    """Any network made to begin in the product state `(sites, letters)`, poles included, with all its derivatives.

    What it has changed is added to c_P, or with `connected` is the cumulant of the sites of P, two or more.
    """
    bits = jax.lax.bitcast_convert_type(parameter_vector(kernel), jnp.int64)
    make = ConnectedNetwork if connected else Departure
    return make(product_means(product, moves), Change(kernel, bits))


def as_string_network(given: Any, *, sites: int, local_dim: int, name: str) -> AbstractStringNetwork:
    """What a maker has returned, as a network of correlators: one as it is, a module, or (module, parameters)."""
    if isinstance(given, AbstractStringNetwork):
        return given
    pair = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    return from_string_module(*pair, sites=sites, local_dim=local_dim, name=name)


def from_string_module(
    module: Any, parameters: Any = None, *, sites: int, local_dim: int = 2, name: str = ""
) -> StringModule:
    """A network of correlators of your own: c_P, or a part of it, as what a module returns for the letters of P.

    The module is called with `(sites,)` whole numbers: 0 for the identity, 1, 2, 3 for Pauli X, Y, Z of a spin, up to
    local_dim^2 - 1 in the order of `neurho.correlators.letters`; it returns one real number.

    ```python
    import jax.numpy as jnp
    import neurho

    bond = lambda table, word: table[word[0], word[1]]
    network = neurho.networks.from_string_module(bond, jnp.eye(4), sites=2)
    assert network.sites == 2
    ```

    **Arguments**

    - `module`: a callable `equinox.Module`; a `flax.nnx.Module`; a `flax.linen.Module`, with its variables as
      `parameters`; or a function f(parameters, word) with any pytree of arrays as `parameters`.
    - `name`: what the module is called in messages.

    **Raises** `NeurhoError`, a sentence that names the module: for what it cannot be called with, for a value of
    another shape, for NaN, for parameters that are not arrays.
    """
    require_whole(sites, "sites", 1)
    require_whole(local_dim, "local_dim", 2)
    recipe, found = taken_apart(module, parameters, name)
    network = StringModule(found, recipe, sites)
    _require_number(network)
    rng = np.random.default_rng(11)
    words = from_dense(rng.integers(0, local_dim**2, size=(64, sites)))
    finite = bool(np.all(np.isfinite(string_values(network, words))))
    require(finite, "module", "return finite numbers", f"`{recipe.name}` returns NaN or infinity")
    return network


def _require_number(network: StringModule) -> None:
    word = jnp.zeros(network.sites, jnp.int32)
    name = network.recipe.name
    try:
        found = jax.eval_shape(lambda p: network.recipe.raw(p, word), network.parameters)
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise NeurhoError(
            f"Argument `module` must take {network.sites} whole numbers, the letters of a string, but `{name}` raises "
            f"{type(error).__name__}: {first}"
        ) from error
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", np.dtype(object))
    good = shape == () and jnp.issubdtype(dtype, jnp.floating)
    returned = brief(found) if shape is None else f"an array of shape {shape} and type {dtype}"
    require(good, "module", "return one real number for the letters of a string", f"`{name}` returns {returned}")
