"""Normal numbers in arrays of any shape, by few programs.

`jax.random.normal` is compiled anew for every shape, which takes half a second of a processor: more than all else that
makes a network.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from neurho._jax.compiling import is_traced, program


def normal_arrays(key: PRNGKeyArray, shapes: Sequence[tuple[int, ...]]) -> list[Float[Array | np.ndarray, "..."]]:
    """Standard normal numbers in arrays of these shapes, for each from a key of its own: `split(key, len(shapes))`.

    One program for each number of arrays and power of four above the longest; what is drawn in excess is thrown away.
    Arrays of NumPy, as arithmetic by these compiles nothing, unless `key` is traced.
    """
    keys = jax.random.split(key, len(shapes))
    if is_traced(key):
        return [jax.random.normal(one, shape, dtype=float) for one, shape in zip(keys, shapes, strict=True)]
    return _drawn(keys, shapes)


def normal_array(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array | np.ndarray, "..."]:
    """`jax.random.normal(key, shape)`, by the same programs: one for each power of four above the number of entries."""
    if is_traced(key):
        return jax.random.normal(key, shape, dtype=float)
    return _drawn(key[None], [shape])[0]


def _drawn(keys: PRNGKeyArray, shapes: Sequence[tuple[int, ...]]) -> list[Float[Array | np.ndarray, "..."]]:
    sizes = [int(np.prod(shape, dtype=int)) for shape in shapes]
    rows = np.asarray(_rows(keys, _power_of_four(max(sizes))))
    return [row[:size].reshape(shape) for row, size, shape in zip(rows, sizes, shapes, strict=True)]


def _power_of_four(least: int) -> int:
    size = 64
    while size < least:
        size *= 4
    return size


@program
def _rows(keys: PRNGKeyArray, size: int) -> Float[Array, "count size"]:
    return jax.vmap(lambda one: jax.random.normal(one, (size,), dtype=float))(keys)
