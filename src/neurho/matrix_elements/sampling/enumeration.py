"""All configurations with exact weights: a sampler like any other, without statistical error."""

from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neurho._types import require, require_whole
from neurho.matrix_elements.generator import all_labels, place_values
from neurho.matrix_elements.networks.base import AbstractAmplitudes
from neurho.matrix_elements.sampling.base import AbstractSampler, Draw, DrawInfo
from neurho.matrix_elements.symmetry import Charge

MAX_CONFIGURATIONS = 4**7
"""Of those that are worked on: one for all that symmetries make equal."""

MAX_LABELS = 4**9
"""Of those that are gone through once, to find these."""


class Enumeration(AbstractSampler):
    """Every configuration x with weight |rho(x)|^power / sum |rho|^power; power 2 for p(l, r), 1 for q(l).

    `multiplicity` counts how many configurations one stands for: those that `moves` of the sites make of it, and of a
    `hermitian` density matrix their mirror images (r, l).
    """

    configurations: Int[Array, "configurations sites"]
    multiplicity: Float[Array, " configurations"]
    power: float = eqx.field(static=True)
    moves: Int[Array, "moves sites"] | None = None
    hermitian: bool = eqx.field(static=True, default=False)
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
    sites: int,
    local_dim: int = 2,
    *,
    hermitian: bool = False,
    charge: Charge | None = None,
    translations: np.ndarray | None = None,
) -> Enumeration:
    """The exact p(l, r) = |rho|^2 over all d^(2 sites) configurations.

    With `hermitian` only one of (l, r) and (r, l) is visited and counts twice: half the work for a Hermitian ansatz,
    whose local values and log-derivatives at the two are complex conjugates. With `charge` only the sector of charge
    zero is visited. With `translations`, rows of moved sites as the `translations` or `symmetries` of a
    [`neurho.Lattice`][], only one of each set that they carry into each other: for an ansatz and a Lindbladian that are
    invariant.

    ```python
    import neurho

    sampler = neurho.samplers.enumerate_all(2)
    assert sampler.configurations.shape == (16, 2)
    ```

    **Raises** `NeurhoError` above 4^9 configurations, or above 4^7 that are left.
    """
    require_whole(sites, "sites", 1)
    require_whole(local_dim, "local_dim", 2)
    tied = translations is not None
    limit, spins = (MAX_LABELS, "9 spins") if tied else (MAX_CONFIGURATIONS, "7 spins, or 9 with `translations`")
    require(
        local_dim ** (2 * sites) <= limit,
        "sites",
        f"give at most {limit} configurations for enumeration ({spins}); use metropolis sampling beyond",
        f"{sites} sites of dimension {local_dim} give {local_dim}^{2 * sites}",
    )
    labels = all_labels(sites, local_dim**2)
    if charge is not None:
        labels = labels[np.asarray(charge.of(jnp.asarray(labels))) == 0]
    moves = np.asarray(translations) if tied else np.arange(sites)[None]
    first, _ = representatives(labels, local_dim, moves, hermitian=hermitian)
    kept, multiplicity = np.unique(first, return_counts=True)
    require(
        len(kept) <= MAX_CONFIGURATIONS,
        "sites",
        f"leave at most {MAX_CONFIGURATIONS} configurations for enumeration; use metropolis sampling beyond",
        f"{sites} sites of dimension {local_dim} leave {len(kept)}",
    )
    configurations = np.stack(np.unravel_index(kept, (local_dim**2,) * sites), axis=1).astype(np.int32)
    return Enumeration(
        configurations=jnp.asarray(configurations),
        multiplicity=jnp.asarray(multiplicity, dtype=float),
        power=2.0,
        moves=jnp.asarray(moves, dtype=jnp.int32),
        hermitian=hermitian,
    )


def representatives(
    labels: Int[np.ndarray, "configurations sites"],
    local_dim: int,
    moves: Int[np.ndarray, "moves sites"],
    *,
    hermitian: bool,
) -> tuple[Int[np.ndarray, " configurations"], Bool[np.ndarray, " configurations"]]:
    """For each configuration the place of the one that stands for it, of all that are equal the first in order, and
    whether that one is equal to its mirror image only.
    """
    powers = place_values(labels.shape[1], local_dim**2)
    plain = reduce(np.minimum, (labels[:, move] @ powers for move in moves))
    if not hermitian:
        return plain, np.zeros(len(labels), bool)
    image = mirrored(labels, local_dim)
    other = reduce(np.minimum, (image[:, move] @ powers for move in moves))
    return np.minimum(plain, other), other < plain


def mirrored(labels: Int[np.ndarray, "... sites"], local_dim: int) -> Int[np.ndarray, "... sites"]:
    """The labels of (r, l) in place of (l, r)."""
    return labels // local_dim + local_dim * (labels % local_dim)


def enumerate_diagonal(sites: int, local_dim: int = 2) -> Enumeration:
    """The exact q(l) = rho(l, l) over all d^sites diagonal configurations.

    ```python
    import neurho

    sampler = neurho.samplers.enumerate_diagonal(3)
    assert sampler.configurations.shape == (8, 3)
    ```
    """
    require_whole(sites, "sites", 1)
    require_whole(local_dim, "local_dim", 2)
    count = local_dim**sites
    require(
        count <= MAX_CONFIGURATIONS,
        "sites",
        f"give at most {MAX_CONFIGURATIONS} diagonal configurations",
        f"it gives {count}",
    )
    diagonal = all_labels(sites, local_dim) * np.int32(local_dim + 1)
    return Enumeration(configurations=jnp.asarray(diagonal), multiplicity=jnp.ones(len(diagonal)), power=1.0)
