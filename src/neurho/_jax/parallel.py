"""All devices at work: samples are spread over them, everything else is held by each.

Functions of the core are written for one device. At the few places where an array has an axis of samples they say so
here, and XLA divides the work: `spread` for whole arrays, `map_samples` and `sum_samples` for loops over chunks. With
one device all of them do nothing. Several processes are no different: their devices are in the list. Results are those
of one device up to the order of sums.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from neurho._types import NeurhoError

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


def agreed_square(vector: Array) -> Array:
    """v.v of a vector that every device holds, the same to the last bit on all of them.

    Devices may round what each computes for itself differently (linear algebra with a number of threads of its own),
    and loops whose end they judge differently wait for each other for ever: each adds up a part of v.v.
    """
    return jnp.sum(spread(_pad(vector, jax.device_count())) ** 2)


def map_samples(one: Callable[..., PyTree[Array]], arrays: tuple[Array, ...], chunk: int) -> PyTree[Array]:
    """`one(x)` for every sample, at most `chunk` of them at the same time on each device."""
    return collect(map_spread(lambda _, *x: one(*x), (), arrays, chunk))


def map_spread(
    one: Callable[..., PyTree[Array]], common: PyTree[Array], arrays: tuple[Array, ...], chunk: int
) -> PyTree[Array]:
    """`one(common, x)` for every sample; every device keeps the values of its share.

    Each has a copy of `common` of its own: derivatives along it are added up once and not after every chunk.
    """
    samples, count = len(arrays[0]), jax.device_count()
    each = -(-samples // count)
    chunks = _even_chunks(each, chunk)
    size = -(-each // chunks)  # equal chunks: a smaller last one would be compiled apart

    def local(common: PyTree[Array], *parts: Array) -> PyTree[Array]:
        return jax.lax.map(lambda part: one(common, *part), parts, batch_size=size)

    values = _on_devices(local, tuple(_pad(a, count * chunks) for a in arrays), common)
    return jax.tree.map(lambda a: spread(a.reshape(-1, *a.shape[2:])[:samples]), values)


def sum_samples(part: Callable[..., PyTree[Array]], arrays: tuple[Array, ...], chunk: int) -> PyTree[Array]:
    """The sum of `part(x)` over chunks `x` of samples; all arrays are padded with zeros, so zeros must give zero."""
    count = jax.device_count()
    each = -(-len(arrays[0]) // count)
    chunks = _even_chunks(each, chunk)

    def local(_: tuple, *pieces: Array) -> PyTree[Array]:
        split = tuple(a.reshape(chunks, -1, *a.shape[1:]) for a in pieces)
        zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(part, *(a[0] for a in split)))
        return jax.lax.scan(lambda t, p: (jax.tree.map(jnp.add, t, part(*p)), None), zero, split)[0]

    totals = _on_devices(local, tuple(_pad(a, count * chunks) for a in arrays))
    return collect(jax.tree.map(lambda a: jnp.sum(a, axis=0), totals))


def _even_chunks(each: int, chunk: int) -> int:
    """A number of chunks of at most `chunk` samples that leaves no rest, if one below twice the least does.

    What is padded must be cut off again, and where devices share the samples they then pass some to each other.
    """
    least = -(-each // chunk)
    return next((n for n in range(least, 2 * least) if each % n == 0), least)


def _on_devices(local: Callable[..., Any], arrays: tuple[Array, ...], common: PyTree[Array] = ()) -> Any:
    """Run `local` on every device with its copy of `common` and its share of the samples.

    Results have a leading axis of devices.
    """
    count = jax.device_count()
    shares = tuple(spread(a.reshape(count, -1, *a.shape[1:])) for a in arrays)
    if count == 1:
        return jax.tree.map(lambda a: a[None], local(common, *(a[0] for a in shares)))
    copies = jax.tree.map(lambda a: spread(jnp.broadcast_to(a, (count, *a.shape))), common)
    return jax.vmap(local, spmd_axis_name=AXIS)(copies, *shares)


def _pad(array: Array, multiple: int) -> Array:
    """Repeat zeros until the first axis is a multiple of a number."""
    missing = -len(array) % multiple
    return jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)) if missing else array


def join(*, processes: int | None = None, process: int | None = None, coordinator: str | None = None) -> None:
    """Become one of several processes that work on one run; call it before anything else of JAX.

    Without arguments JAX finds them by itself under SLURM and Open MPI.

    **Arguments**

    - `processes`, `process`: how many there are, and the number of this one.
    - `coordinator`: `host:port` of process 0.

    **Raises** `NeurhoError` when the processes do not find each other.
    """
    try:
        with _standard_output_to_errors():
            jax.distributed.initialize(coordinator, processes, process)
            multihost_utils.sync_global_devices("joined")
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise NeurhoError(f"The processes of this run could not be joined: {reason}") from None


@contextmanager
def _standard_output_to_errors() -> Iterator[None]:
    """The library that connects processes says so when they first meet; standard output is for results."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def is_first() -> bool:
    """Whether this process writes the files."""
    return jax.process_index() == 0


def agree(answer: object) -> bool:
    """Whether it is true for the first process, for all; every process must ask at the same place."""
    return bool(answer) if jax.process_count() == 1 else bool(_of_first(bool(answer)))


def largest(number: int) -> int:
    """The largest number that any process gives, for all; every process must ask at the same place."""
    return number if jax.process_count() == 1 else int(np.max(multihost_utils.process_allgather(np.asarray(number))))


def share(tree: T) -> T:
    """The numbers and arrays of the first process for all, in the shape of `tree`."""
    if jax.process_count() == 1:
        return tree

    def leaf(value: Any) -> Any:
        said = _of_first(value)
        return jnp.asarray(said) if isinstance(value, jax.Array) else type(value)(said)

    return replicate(jax.tree.map(leaf, tree))


def _of_first(value: Any) -> np.ndarray:
    return np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(value)))


def replicate(tree: T) -> T:
    """The same arrays on every device of every process, from arrays that are equal in all processes.

    A program that is first called with arrays on one device, and then with its own results, is compiled twice.
    """
    if jax.device_count() == 1:
        return tree
    whole = NamedSharding(mesh(), PartitionSpec())

    def put(array: Array) -> Array:
        if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(array)))
        local = np.asarray(array)
        return jax.make_array_from_callback(local.shape, whole, lambda index: local[index])

    return jax.tree.map(lambda a: put(a) if isinstance(a, jax.Array) else a, tree)
