"""Small systems: sums over samples as sums over configurations.

Where there are fewer configurations than samples, most samples are copies of others. What each of them takes is then
worked out once for every configuration, and estimates are the same up to the order of sums.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from neurho.generator import all_labels

COPIES = 2
"""From so many samples for a configuration on, sums over configurations take less."""


def configurations(sites: int, label_dim: int) -> Int[Array, "configurations sites"]:
    """All of them, in the order of [`places`][neurho.condense.places]."""
    return jnp.asarray(all_labels(sites, label_dim))


def places(x: Int[Array, "samples sites"], label_dim: int) -> Int[Array, " samples"] | None:
    """Which of all configurations every sample is; None with fewer than `COPIES` for one."""
    return _places(x, label_dim) if COPIES * label_dim ** x.shape[1] <= len(x) else None


def sums(
    label_dim: int, x: Int[Array, "samples sites"], values: Shaped[Array, " samples"]
) -> Shaped[Array, " configurations"]:
    """For every configuration the sum of the values of its samples."""
    return jax.ops.segment_sum(values, _places(x, label_dim), label_dim ** x.shape[1])


def condense(
    label_dim: int,
    x: Int[Array, "samples sites"],
    weight: Float[Array, " samples"],
    *values: Shaped[Array, " samples"],
) -> tuple[Array, ...]:
    """All configurations with the sums of the weights of their samples, and `values`, which are functions of x.

    Values of configurations without samples are zero, as their weights are. The arguments come back as they are where
    there are fewer than `COPIES` samples for a configuration.
    """
    place = places(x, label_dim)
    if place is None:
        return x, weight, *values
    every = configurations(x.shape[1], label_dim)
    kept = (jnp.zeros(len(every), v.dtype).at[place].set(v) for v in values)
    return every, sums(label_dim, x, weight), *kept


def _places(x: Int[Array, "samples sites"], label_dim: int) -> Int[Array, " samples"]:
    return x @ jnp.asarray([label_dim**k for k in reversed(range(x.shape[1]))], dtype=x.dtype)
