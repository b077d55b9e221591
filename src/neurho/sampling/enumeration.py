"""All configurations with exact weights: a sampler like any other, without statistical error."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._types import require
from neurho.ansatz.base import AbstractAmplitudes
from neurho.generator import all_labels
from neurho.sampling.base import AbstractSampler, Draw, DrawInfo
from neurho.symmetry import Charge

MAX_CONFIGURATIONS = 4**7


class Enumeration(AbstractSampler):
    """Every configuration x with weight |rho(x)|^power / sum |rho|^power; power 2 for p(l, r), 1 for q(l).

    `multiplicity` counts how many configurations one stands for.
    """

    configurations: Int[Array, "configurations sites"]
    multiplicity: Float[Array, " configurations"]
    power: float = eqx.field(static=True)
    exact: bool = eqx.field(static=True, default=True)

    def init(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes) -> Int[Array, "0 sites"]:
        """No chains."""
        del key, amplitudes
        return self.configurations[:0]

    def sample(
        self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, chains: Int[Array, "0 sites"]
    ) -> tuple[Draw, Int[Array, "0 sites"], DrawInfo]:
        """All configurations."""
        del key
        log_rho = jax.vmap(amplitudes.log_amplitude)(self.configurations).real
        weight = jax.nn.softmax(self.power * log_rho + jnp.log(self.multiplicity))
        return Draw(x=self.configurations[None], weight=weight[None]), chains, DrawInfo(acceptance=jnp.ones(()))


def enumerate_all(
    sites: int, local_dim: int = 2, *, hermitian: bool = False, charge: Charge | None = None
) -> Enumeration:
    """The exact p(l, r) = |rho|^2 over all d^(2 sites) configurations.

    With `hermitian` only one of (l, r) and (r, l) is visited and counts twice: half the work for a Hermitian ansatz,
    whose local values and log-derivatives at the two are complex conjugates. With `charge` only the sector of charge
    zero is visited.

    **Raises** `NeurhoError` above 4^7 configurations.
    """
    count = local_dim ** (2 * sites)
    require(
        count <= MAX_CONFIGURATIONS,
        "sites",
        f"give at most {MAX_CONFIGURATIONS} configurations for enumeration (7 spins); use metropolis sampling beyond",
        f"{sites} sites of dimension {local_dim} give {local_dim}^{2 * sites}",
    )
    labels = all_labels(sites, local_dim**2)
    mirrored = labels // local_dim + local_dim * (labels % local_dim)
    order = np.ravel_multi_index(tuple(mirrored.T), (local_dim**2,) * sites) - np.arange(count)
    multiplicity = np.where(order == 0, 1.0, 2.0) if hermitian else np.ones(count)
    keep = order >= 0 if hermitian else np.ones(count, dtype=bool)
    if charge is not None:
        keep &= np.asarray(charge.of(jnp.asarray(labels))) == 0
    return Enumeration(
        configurations=jnp.asarray(labels[keep]), multiplicity=jnp.asarray(multiplicity[keep]), power=2.0
    )


def enumerate_diagonal(sites: int, local_dim: int = 2) -> Enumeration:
    """The exact q(l) = rho(l, l) over all d^sites diagonal configurations."""
    count = local_dim**sites
    require(
        count <= MAX_CONFIGURATIONS,
        "sites",
        f"give at most {MAX_CONFIGURATIONS} diagonal configurations",
        f"it gives {count}",
    )
    diagonal = all_labels(sites, local_dim) * np.int32(local_dim + 1)
    return Enumeration(configurations=jnp.asarray(diagonal), multiplicity=jnp.ones(len(diagonal)), power=1.0)
