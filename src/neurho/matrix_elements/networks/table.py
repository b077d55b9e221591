"""The exact ansatz: one complex number for every entry of rho. For small systems, as an oracle."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from neurho._types import NeurhoError, Numbers, require, require_whole
from neurho.matrix_elements.generator import place_values, to_table
from neurho.matrix_elements.networks.base import AbstractAnsatz, Reevaluated

MAX_CONFIGURATIONS = 4**6

FLOOR = 1e-12
"""What stands for zero, as a share of the largest entry."""


class Table(AbstractAnsatz):
    """rho(x) = elements[x]: every density matrix, exactly (neither Hermitian nor positive by itself).

    The entries themselves are the parameters and not their logarithms: S is then a multiple of the identity, and an
    entry may leave or reach zero as fast as any other changes.

    `elements` has shape `(2, d^(2 sites))`: real and imaginary parts of rho.

    ```python
    import numpy as np
    import neurho

    rho = neurho.exact.product_state("+y", 1)
    table = neurho.networks.Table(np.stack([rho.ravel().real, rho.ravel().imag]), sites=1, local_dim=2)
    assert np.allclose(neurho.networks.density_matrix(table), rho)
    ```
    """

    elements: Float[Array, "2 configurations"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=False)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Look up rho(x)."""
        dim = self.local_dim**2
        index = jnp.sum(x * jnp.asarray(place_values(self.sites, dim)))
        return jnp.log(jax.lax.complex(self.elements[0, index], self.elements[1, index]))

    def amplitudes(self) -> Reevaluated:
        """Ratios by two look-ups."""
        return Reevaluated(self)


def table_from_matrix(rho: Numbers, *, sites: int, local_dim: int = 2, floor: float = FLOOR) -> Table:
    """The table of a density matrix `(d^sites, d^sites)`; entries below `floor` times the largest are raised to it.

    ```python
    import numpy as np
    import neurho

    rho = neurho.exact.product_state("neel", 2)
    table = neurho.networks.table_from_matrix(rho, sites=2)
    assert np.allclose(neurho.networks.density_matrix(table), rho)
    ```

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
    rho = getattr(rho, "full", lambda: rho)()  # of QuTiP
    side = local_dim**sites
    require(np.shape(rho) == (side, side), "rho", f"have shape ({side}, {side})", f"its shape is {np.shape(rho)}")
    entries = to_table(rho, sites, local_dim)
    if not np.all(np.isfinite(entries)):
        raise NeurhoError("Argument `rho` must be finite, but it contains NaN or infinity.")
    least = floor * np.max(np.abs(entries))
    raised = np.asarray(np.where(np.abs(entries) < least, least * np.exp(1j * np.angle(entries)), entries))
    return Table(elements=jnp.asarray(np.stack([np.real(raised), np.imag(raised)])), sites=sites, local_dim=local_dim)
