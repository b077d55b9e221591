"""The matrix-product density operator in locally purified form: positive by construction."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._types import require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, Reevaluated, random_leaves
from neurho.matrix_elements.networks.hidden_units import outside_is_zero
from neurho.matrix_elements.symmetry import Charge


class MPDO(AbstractAnsatz):
    """The state of a chain whose purification is a matrix product (PRL 93, 207204; PRL 116, 237201), with complex A,

        rho(l, r) = Tr prod_j E_j(l_j, r_j),   E_j(l, r) = sum_k A_j[l, k] x A_j[r, k]*

    or, where the chain is open, v (prod_j E_j) v with v = (1, ..., 1) x (1, ..., 1) in place of the trace: a sum of
    psi(l) psi(r)* over all purifying levels k, hence Hermitian and positive semidefinite for all parameters. Sites are
    in the order of their numbers. A site costs `kraus bond^3`, or `kraus bond^5` around a ring.

    ```python
    import neurho

    network = neurho.networks.random_mpdo(0, 2, bond=3)
    assert network.tensors.shape == (2, 2, 2, 2, 3, 3)
    ```

    **Attributes**

    - `tensors`: A, `(2, cells, d, kraus, bond, bond)`, the leading axis (re, im); one cell for each site, or a single
      one that all sites share.
    - `periodic`: whether the ends are joined by a trace.
    - `charge`: a weak symmetry; rho(x) = 0 outside the sector of charge zero, which keeps rho positive.
    """

    tensors: Float[Array, "2 cells levels kraus bond bond"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    periodic: bool = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)
    charge: Charge | None = eqx.field(static=True, default=None)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) from left to right, with a scale kept apart so that nothing overflows."""
        re, im = self.tensors[:, jnp.arange(self.sites) % self.tensors.shape[1]]
        at = jnp.arange(self.sites)
        rows = jax.lax.complex(re[at, x // self.local_dim], im[at, x // self.local_dim])
        columns = jax.lax.complex(re[at, x % self.local_dim], -im[at, x % self.local_dim])
        ends = self.ends()

        def add(carried: tuple[Array, Array], site: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
            log_scale, environment = carried
            environment = jnp.einsum("kab,zac,kcd->zbd", site[0], environment, site[1])
            size = jnp.sqrt(jnp.sum(environment.real**2 + environment.imag**2))
            return (log_scale + jnp.log(size), environment / size), None

        (log_scale, last), _ = jax.lax.scan(add, (jnp.zeros((), re.dtype), ends), (rows, columns))
        return log_scale + jnp.log(jnp.sum(last * ends)) + outside_is_zero(self.charge, x)

    def ends(self) -> Complex[Array, "boundaries bond bond"]:
        """What stands at both ends: v of an open chain, or every basis matrix, whose sum closes the trace."""
        bond = self.tensors.shape[-1]
        matrices = np.eye(bond**2).reshape(-1, bond, bond) if self.periodic else np.ones((1, bond, bond))
        return jnp.asarray(matrices, dtype=complex)

    def amplitudes(self) -> Reevaluated:
        """Ratios by going through the chain again."""
        return Reevaluated(self)


def random_mpdo(
    key: PRNGKeyArray | int,
    sites: int,
    *,
    bond: int,
    kraus: int = 2,
    periodic: bool = False,
    uniform: bool = False,
    scale: float = 0.01,
    local_dim: int = 2,
    charge: Charge | None = None,
) -> MPDO:
    """A matrix-product density operator close to |+x><+x| on every site: A = delta_k0 + noise of this `scale`.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_mpdo(jax.random.key(0), 2, bond=3)
    assert network.tensors.shape == (2, 2, 2, 2, 3, 3)  # (re, im), sites, levels, kraus, bond, bond
    ```

    **Arguments**

    - `bond`, `kraus`: sizes of the matrices and number of purifying levels of a site, >= 1.
    - `periodic`: a ring. `uniform`: all sites of it share their matrices, so that rho is translation-invariant.
    - `charge`: keep only the sector of charge zero of this weak symmetry.

    **Raises** `NeurhoError` for sizes that are too small and for a uniform chain that is open.
    """
    for name, value, least in (
        ("sites", sites, 1),
        ("bond", bond, 1),
        ("kraus", kraus, 1),
        ("local_dim", local_dim, 2),
    ):
        require_whole(value, name, least)
    require(scale >= 0, "scale", "be >= 0", f"it is {scale}")
    require(periodic or not uniform, "uniform", "be False unless `periodic` is True", "it is True")
    shape = (2, 1 if uniform else sites, local_dim, kraus, bond, bond)
    noise = random_leaves(key, scale, {"tensors": shape})["tensors"]
    tensors = noise.at[0, :, :, 0].add(jnp.eye(bond))
    return MPDO(tensors=tensors, sites=sites, local_dim=local_dim, periodic=periodic, charge=charge)
