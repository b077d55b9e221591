"""All configurations with exact weights: a sampler like any other, without statistical error."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._types import require
from neurho.ansatz.base import AbstractAmplitudes
from neurho.generator import all_labels
from neurho.sampling.base import AbstractSampler, Draw, DrawInfo

MAX_CONFIGURATIONS = 4**7


class Enumeration(AbstractSampler):
    """Every configuration x with weight |rho(x)|^power / sum |rho|^power; power 2 for p(l, r), 1 for q(l)."""

    configurations: Int[Array, "configurations sites"]
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
        weight = jax.nn.softmax(self.power * log_rho)
        return Draw(x=self.configurations[None], weight=weight[None]), chains, DrawInfo(acceptance=jnp.ones(()))


def enumerate_all(sites: int, local_dim: int = 2) -> Enumeration:
    """The exact p(l, r) = |rho|^2 over all d^(2 sites) configurations.

    **Raises** `NeurhoError` above 4^7 configurations.
    """
    count = local_dim ** (2 * sites)
    require(
        count <= MAX_CONFIGURATIONS,
        "sites",
        f"give at most {MAX_CONFIGURATIONS} configurations for enumeration (7 spins); use metropolis sampling beyond",
        f"{sites} sites of dimension {local_dim} give {local_dim}^{2 * sites}",
    )
    return Enumeration(configurations=jnp.asarray(all_labels(sites, local_dim**2)), power=2.0)


def enumerate_diagonal(sites: int, local_dim: int = 2) -> Enumeration:
    """The exact q(l) = rho(l, l) over all d^sites diagonal configurations."""
    enumerate_all(sites, local_dim)
    diagonal = all_labels(sites, local_dim) * np.int32(local_dim + 1)
    return Enumeration(configurations=jnp.asarray(diagonal), power=1.0)
