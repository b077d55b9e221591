"""|rho| of small systems from a table: where there are fewer configurations than samples, each is worked out once."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from neurho.matrix_elements.distinct import COPIES
from neurho.matrix_elements.generator import all_labels, place_values
from neurho.matrix_elements.networks.acceptance import LARGEST, AbstractModuli
from neurho.matrix_elements.networks.base import AbstractAmplitudes


class Place(NamedTuple):
    """Where a configuration stands in the table, and log |rho| there."""

    place: Int[Array, ""]
    log: Float[Array, ""]


class TabulatedModuli(AbstractModuli):
    """log |rho(x)| for every x, in the order of `all_labels`; a proposal is a look into the table."""

    logs: Float[Array, " configurations"]
    sites: int = eqx.field(static=True)
    label_dim: int = eqx.field(static=True)

    def cache(self, x: Int[Array, " sites"]) -> Place:
        """The place of `x`."""
        index = jnp.sum(x * self._strides())
        return Place(index, self.logs[index])

    def prepare(self, sites: Int[Array, " k"], old: Int[Array, " k"], new: Int[Array, " k"]) -> Int[Array, ""]:
        """How far apart the two places are."""
        return jnp.sum((new - old) * self._strides()[sites])

    def propose(self, cache: Place, change: Int[Array, ""]) -> tuple[Float[Array, ""], Place]:
        """The difference of two entries, in float32 as of other moduli."""
        index = cache.place + change
        moved = Place(index, self.logs[index])
        return (moved.log - cache.log).astype(jnp.float32), moved

    def refresh(self, cache: Place) -> Place:
        """Nothing to do."""
        return cache

    def _strides(self) -> Int[Array, " sites"]:
        return jnp.asarray(place_values(self.sites, self.label_dim), dtype=jnp.int32)


def moduli_of(amplitudes: AbstractAmplitudes, sites: int, label_dim: int, *, samples: int) -> AbstractModuli:
    """Those of the network, or a table where there are `COPIES` samples or more for each of its entries."""
    if COPIES * label_dim**sites > samples:
        return amplitudes.moduli()
    every = jnp.asarray(all_labels(sites, label_dim), dtype=jnp.int32)
    logs = jax.vmap(amplitudes.log_amplitude)(every).real
    # Where rho is zero, differences must be finite.
    return TabulatedModuli(jnp.maximum(logs - jnp.max(logs), -LARGEST), sites, label_dim)
