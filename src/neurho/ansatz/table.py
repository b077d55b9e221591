"""The exact ansatz: one complex logarithm for every configuration. For small systems, as an oracle."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from neurho._types import NeurhoError, require, require_whole
from neurho.ansatz.base import AbstractAnsatz, Reevaluated
from neurho.generator import place_values, to_table

MAX_CONFIGURATIONS = 4**6


class Table(AbstractAnsatz):
    """log rho(x) = entries[x]: every density matrix without zeros, exactly (neither Hermitian nor positive by itself).

    `entries` has shape `(2, d^(2 sites))`: real and imaginary parts of log rho.
    """

    entries: Float[Array, "2 configurations"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=False)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Look up log rho(x)."""
        dim = self.local_dim**2
        index = jnp.sum(x * jnp.asarray(place_values(self.sites, dim)))
        return jax.lax.complex(self.entries[0, index], self.entries[1, index])

    def amplitudes(self) -> Reevaluated:
        """Ratios by two look-ups."""
        return Reevaluated(self)


def table_from_matrix(rho: Any, *, sites: int, local_dim: int = 2, floor: float = 1e-12) -> Table:
    """The table of a density matrix `(d^sites, d^sites)`; entries below `floor` times the largest are raised to it.

    **Raises** `NeurhoError` for more than 4^6 configurations.
    """
    count = local_dim ** (2 * sites)
    require(
        count <= MAX_CONFIGURATIONS,
        "sites",
        f"give at most {MAX_CONFIGURATIONS} configurations for a table",
        f"it gives {count}",
    )
    require_whole(sites, "sites", 1)
    rho = rho.full() if hasattr(rho, "full") else rho  # of QuTiP
    side = local_dim**sites
    require(np.shape(rho) == (side, side), "rho", f"have shape ({side}, {side})", f"its shape is {np.shape(rho)}")
    entries = to_table(rho, sites, local_dim)
    if not np.all(np.isfinite(entries)):
        raise NeurhoError("Argument `rho` must be finite, but it contains NaN or infinity.")
    modulus = np.maximum(np.abs(entries), floor * np.max(np.abs(entries)))
    return Table(entries=jnp.asarray(np.stack([np.log(modulus), np.angle(entries)])), sites=sites, local_dim=local_dim)
