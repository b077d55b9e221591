"""All devices at work: samples are spread over them, everything else is held by each.

Functions of the core are written for one device. At the few places where an array has an axis of samples they say so
here, and XLA divides the work: `spread` for whole arrays, `map_samples` and `sum_samples` for loops over chunks. With
one device all of them do nothing. Several processes are no different: their devices are in the list. Results are those
of one device up to the order of sums.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

AXIS = "samples"
T = TypeVar("T")


@cache
def mesh() -> Mesh:
    """All devices of all processes, in a line."""
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def spread(array: Array, axis: int = 0) -> Array:
    """Divide an array over the devices along its axis of samples, if that axis can be divided evenly."""
    count = jax.device_count()
    if count == 1 or array.shape[axis] % count:
        return array
    spec = PartitionSpec(*(None,) * axis, AXIS)
    return jax.lax.with_sharding_constraint(array, NamedSharding(mesh(), spec))


def collect(tree: T) -> T:
    """Give every device the whole of every array."""
    if jax.device_count() == 1:
        return tree
    whole = NamedSharding(mesh(), PartitionSpec())
    return jax.tree.map(lambda a: jax.lax.with_sharding_constraint(a, whole), tree)


def map_samples(one: Callable[..., PyTree[Array]], arrays: tuple[Array, ...], chunk: int) -> PyTree[Array]:
    """`one(x)` for every sample, at most `chunk` of them at the same time on each device."""
    samples, count = len(arrays[0]), jax.device_count()
    padded = tuple(_pad(a, count) for a in arrays)
    size = min(chunk, len(padded[0]) // count)

    def local(*parts: Array) -> PyTree[Array]:
        return jax.lax.map(lambda part: one(*part), parts, batch_size=size)

    return jax.tree.map(lambda a: a[:samples], collect(_on_devices(local, PartitionSpec(AXIS))(*padded)))


def sum_samples(part: Callable[..., PyTree[Array]], arrays: tuple[Array, ...], chunk: int) -> PyTree[Array]:
    """The sum of `part(x)` over chunks `x` of samples; all arrays are padded with zeros, so zeros must give zero."""
    count = jax.device_count()
    each = -(-len(arrays[0]) // count)
    chunks = -(-each // min(chunk, each))
    padded = tuple(_pad(a, count * chunks) for a in arrays)

    def local(*pieces: Array) -> PyTree[Array]:
        split = tuple(a.reshape(chunks, -1, *a.shape[1:]) for a in pieces)
        zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(part, *(a[0] for a in split)))
        total, _ = jax.lax.scan(lambda t, p: (jax.tree.map(jnp.add, t, part(*p)), None), zero, split)
        return total if count == 1 else jax.lax.psum(total, AXIS)

    return _on_devices(local, PartitionSpec())(*padded)


def _on_devices(local: Callable[..., Any], result: PartitionSpec) -> Callable[..., Any]:
    """Run `local` on every device with its share of the samples."""
    if jax.device_count() == 1:
        return local
    return jax.shard_map(local, mesh=mesh(), in_specs=PartitionSpec(AXIS), out_specs=result, check_vma=False)


def _pad(array: Array, multiple: int) -> Array:
    """Repeat zeros until the first axis is a multiple of a number."""
    missing = -len(array) % multiple
    return jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array
