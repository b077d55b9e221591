"""The real vector of a network, and its Jacobian: the derivatives of every entry, for the cost of one gradient."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from cases import Array
from hidden import WRITTEN, Logs, Written
from jax.flatten_util import ravel_pytree
from spaces import Space

from neurho import outcomes

BATCH = 256
"""Entries that are worked on at once."""

CHUNK = 4096
"""The same, where derivatives are written out."""

LARGE = 6e7
"""Jacobians with more entries are kept in single precision."""


class Entries(NamedTuple):
    """What a search needs of a network: functions of the vector of its parameters.

    - `values`: v, unnormalised. `derivatives`: v and dv/dalpha `(entries, parameters)`, or only those rows of them that
      belong to some configurations. `pull`: u.dv/dalpha for a vector u.
    """

    space: Space
    values: Callable[[Array], Array]
    derivatives: Callable[..., tuple[Array, Array]]
    pull: Callable[[Array, Array], Array]


def flat(network: Any) -> tuple[Array, Callable[[Any], Any]]:
    """The parameters as one vector, and the network of such a vector."""
    leaves, rest = eqx.partition(network, eqx.is_inexact_array)
    vector, restore = ravel_pytree(leaves)
    return np.asarray(vector), lambda v: eqx.combine(restore(v), rest)


def by_entry(space: Space, network: Any) -> Entries:
    """By log rho(x) of one configuration after the other, as networks on labels give it."""
    leaves, rest = eqx.partition(network, eqx.is_inexact_array)
    restore = ravel_pytree(leaves)[1]
    x, two = jnp.asarray(space.x), space.twofold

    def parts(leaves: Any, one: Any) -> Any:
        log_rho = eqx.combine(leaves, rest).log_amplitude(one)
        return jnp.stack([log_rho.real, log_rho.imag])

    @jax.jit
    def logs(vector: Any, x: Any) -> Any:
        found = jax.lax.map(partial(parts, restore(vector)), x, batch_size=BATCH)
        return jax.lax.complex(found[:, 0], found[:, 1])

    def amplitudes(vector: Any) -> Any:
        found = logs(vector, x)
        rho = jnp.exp(found - jax.lax.stop_gradient(jnp.max(found.real)))
        return jnp.concatenate([rho.real, rho.imag[two]])

    @partial(jax.jit, static_argnums=3)
    def rows(vector: Any, x: Any, shift: Any, dtype: Any) -> Any:
        leaves = restore(vector)

        def row(one: Any) -> Any:
            found, pull = jax.vjp(lambda l: parts(l, one), leaves)
            re, im = (ravel_pytree(pull(unit)[0])[0] for unit in jnp.eye(2))
            a, b = jnp.exp(found[0] - shift) * jnp.cos(found[1]), jnp.exp(found[0] - shift) * jnp.sin(found[1])
            return jnp.stack([a, b]), jnp.stack([a * re - b * im, a * im + b * re]).astype(dtype)

        return jax.lax.map(row, x, batch_size=BATCH)

    def derivatives(vector: Array, some: Array | None = None) -> tuple[Array, Array]:
        vector = jnp.asarray(vector)
        large = len(space.trace) * len(vector) > LARGE
        here = x if some is None else x[jnp.asarray(some)]
        found = rows(vector, here, jnp.max(logs(vector, here).real), jnp.float32 if large else jnp.float64)
        double = two if some is None else np.flatnonzero(np.isin(some, two))
        v, matrix = (np.concatenate([part[:, 0], part[double, 1]]) for part in map(np.asarray, found))
        return v, matrix

    found = entries_by(space, amplitudes, derivatives)
    written = WRITTEN.get(type(network).__name__)
    return found if written is None else _written(found, lambda v: eqx.combine(restore(jnp.asarray(v)), rest), written)


def chunks(count: int) -> list[slice]:
    """Parts of so many configurations."""
    return [slice(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]


def empty(space: Space, rows: int, columns: int) -> Array:
    """A Jacobian that is to be filled."""
    return np.empty((rows, columns), np.float32 if len(space.trace) * columns > LARGE else np.float64)


def fill(matrix: Array, here: slice, double: Array, count: int, found: Array) -> None:
    """Derivatives of the configurations `here`: real parts first, imaginary parts of `double` behind all `count`."""
    matrix[here] = found.real
    inside = np.flatnonzero((double >= here.start) & (double < here.stop))
    matrix[count + inside] = found.imag[double[inside] - here.start]


def _written(slow: Entries, restore: Callable[[Array], Any], written: Written) -> Entries:
    """The same with values and derivatives written out."""
    space, two = slow.space, slow.space.twofold
    kept: list[Any] = []

    def parts(vector: Array, some: Array | None) -> Iterator[tuple[slice, Logs]]:
        network = jax.tree.map(np.asarray, restore(vector))
        x = space.x if some is None else space.x[some]
        if some is None and not kept:
            kept.extend(written.prepared(network, x[here]) for here in chunks(len(x)))
        for number, here in enumerate(chunks(len(x))):
            yield here, written.logs(network, kept[number] if some is None else written.prepared(network, x[here]))

    def values(vector: Array) -> Array:
        with np.errstate(all="ignore"):  # a step may be too long
            logs: Array = np.concatenate([part.log_rho for _, part in parts(vector, None)])
            rho: Array = np.exp(logs - np.max(logs.real))
        return np.concatenate([rho.real, rho.imag[two]])

    def derivatives(vector: Array, some: Array | None = None) -> tuple[Array, Array]:
        count = len(space.x) if some is None else len(some)
        double = two if some is None else np.flatnonzero(np.isin(some, two))
        rho: Array = np.empty(count, complex)
        matrix = empty(space, count + len(double), len(vector))
        shift = None
        for here, part in parts(vector, some):
            shift = np.max(part.log_rho.real) if shift is None else shift
            rho[here] = np.exp(part.log_rho - shift)
            slopes = np.concatenate([slope.reshape(len(slope), -1) for slope in part.slopes()], axis=1)
            fill(matrix, here, double, count, slopes * rho[here][:, None])
        return np.concatenate([rho.real, rho.imag[double]]), matrix

    return slow._replace(values=values, derivatives=derivatives)


def entries_by(space: Space, amplitudes: Callable[[Any], Any], derivatives: Any) -> Entries:
    values = jax.jit(amplitudes)
    pull = jax.jit(lambda v, u: jax.vjp(amplitudes, v)[1](u)[0])
    return Entries(
        space=space,
        values=lambda v: np.asarray(values(jnp.asarray(v))),
        derivatives=derivatives,
        pull=lambda v, u: np.asarray(pull(jnp.asarray(v), jnp.asarray(u))),
    )


def by_outcome(space: Space, network: Any) -> Entries:
    """Probabilities of outcomes: all of them through their common beginnings, derivatives one by one."""
    leaves, rest = eqx.partition(network, eqx.is_inexact_array)
    restore = ravel_pytree(leaves)[1]
    x = jnp.asarray(space.x)

    def amplitudes(vector: Any) -> Any:
        return jnp.exp(outcomes.all_log_probabilities(eqx.combine(restore(vector), rest)))

    @jax.jit
    def rows(vector: Any) -> Any:
        leaves = restore(vector)

        def row(one: Any) -> Any:
            log_p, slope = jax.value_and_grad(lambda l: eqx.combine(l, rest).log_probability(one))(leaves)
            p = jnp.exp(log_p)
            return p, (p * ravel_pytree(slope)[0]).astype(jnp.float32)

        return jax.lax.map(row, x, batch_size=BATCH)

    def derivatives(vector: Array) -> tuple[Array, Array]:
        v, matrix = rows(jnp.asarray(vector))
        return np.asarray(v), np.asarray(matrix)

    return entries_by(space, amplitudes, derivatives)
