"""Small systems: sums over samples as sums over configurations.

Where there are fewer configurations than samples, most samples are copies of others. What each of them takes is then
worked out once for every configuration, and estimates are the same up to the order of sums.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from neurho.matrix_elements.generator import all_labels, place_values

COPIES = 2
"""From so many samples for a configuration on, working with configurations takes less."""


class Distinct(NamedTuple):
    """A place for every configuration, and the place of every sample.

    What no sample is may be impossible, with log rho infinite, and stands as the first sample.
    """

    x: Int[Array, "configurations sites"]
    place: Int[Array, " samples"]


def distinct(x: Int[Array, "samples sites"], label_dim: int) -> Distinct | None:
    """The configurations that the samples are; None with fewer than `COPIES` samples for one."""
    if COPIES * label_dim ** x.shape[1] > len(x):
        return None
    every, place = jnp.asarray(all_labels(x.shape[1], label_dim)), _places(x, label_dim)
    seen = jnp.zeros(len(every), bool).at[place].set(True)
    return Distinct(x=jnp.where(seen[:, None], every, x[0]), place=place)


def at_each(
    function: Callable[[Int[Array, "configurations sites"]], Shaped[Array, "configurations *rest"]],
    x: Int[Array, "samples sites"],
    label_dim: int,
) -> Shaped[Array, "samples *rest"]:
    """`function` of every sample, called with the distinct configurations where there are fewer of them."""
    few = distinct(x, label_dim)
    return function(x) if few is None else function(few.x)[few.place]


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
    """The distinct configurations with the sums of the weights of their samples, and `values`, functions of x.

    Values of configurations without samples are zero, as their weights are. The arguments come back as they are where
    there are fewer than `COPIES` samples for a configuration.
    """
    found = distinct(x, label_dim)
    if found is None:
        return x, weight, *values
    kept = (jnp.zeros(len(found.x), v.dtype).at[found.place].set(v) for v in values)
    return found.x, sums(label_dim, x, weight), *kept


def _places(x: Int[Array, "samples sites"], label_dim: int) -> Int[Array, " samples"]:
    return x @ jnp.asarray(place_values(x.shape[1], label_dim), dtype=x.dtype)
