"""The real vector of a network, and its Jacobian: the derivatives of every entry, for the cost of one gradient."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from cases import System
from hidden import WRITTEN, Logs, Written
from jax.flatten_util import ravel_pytree
from spaces import Space

from neurho import outcomes
from neurho.matrix_elements.generator import all_labels

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
    values: Callable[[np.ndarray], np.ndarray]
    derivatives: Callable[..., tuple[np.ndarray, np.ndarray]]
    pull: Callable[[np.ndarray, np.ndarray], np.ndarray]


def flat(network: Any) -> tuple[np.ndarray, Callable[[Any], Any]]:
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

    def derivatives(vector: np.ndarray, some: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        vector = jnp.asarray(vector)
        large = len(space.size) * len(vector) > LARGE
        here = x if some is None else x[jnp.asarray(some)]
        found = rows(vector, here, jnp.max(logs(vector, here).real), jnp.float32 if large else jnp.float64)
        double = two if some is None else np.flatnonzero(np.isin(some, two))
        v, matrix = (np.concatenate([part[:, 0], part[double, 1]]) for part in map(np.asarray, found))
        return v, matrix

    found = _entries(space, amplitudes, derivatives)
    written = WRITTEN.get(type(network).__name__)
    return found if written is None else _written(found, lambda v: eqx.combine(restore(jnp.asarray(v)), rest), written)


def _written(slow: Entries, restore: Callable[[np.ndarray], Any], written: Written) -> Entries:
    """The same with values and derivatives written out."""
    space, two = slow.space, slow.space.twofold
    kept: list[tuple[slice, Any]] = []

    def prepared(network: Any, x: np.ndarray) -> list[tuple[slice, Any]]:
        chunks = [slice(first, min(first + CHUNK, len(x))) for first in range(0, len(x), CHUNK)]
        return [(here, written.prepared(network, x[here])) for here in chunks]

    def parts(vector: np.ndarray, some: np.ndarray | None) -> Iterator[tuple[slice, Logs]]:
        network = jax.tree.map(np.asarray, restore(vector))
        if some is None and not kept:
            kept.extend(prepared(network, space.x))
        for here, x in kept if some is None else prepared(network, space.x[some]):
            yield here, written.logs(network, x)

    def values(vector: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # a step may be too long
            logs = np.concatenate([part.log_rho for _, part in parts(vector, None)])
            rho = np.exp(logs - np.max(logs.real))
        return np.concatenate([rho.real, rho.imag[two]])

    def derivatives(vector: np.ndarray, some: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        x, double = (space.x, two) if some is None else (some, np.flatnonzero(np.isin(some, two)))
        large = len(space.size) * len(vector) > LARGE
        rho = np.empty(len(x), complex)
        matrix = np.empty((len(x) + len(double), len(vector)), np.float32 if large else np.float64)
        shift = None
        for here, part in parts(vector, some):
            shift = np.max(part.log_rho.real) if shift is None else shift
            rho[here] = np.exp(part.log_rho - shift)
            slopes = np.concatenate([slope.reshape(len(slope), -1) for slope in part.slopes()], axis=1)
            slopes *= rho[here][:, None]
            matrix[here] = slopes.real
            inside = np.flatnonzero((double >= here.start) & (double < here.stop))
            matrix[len(x) + inside] = slopes.imag[double[inside] - here.start]
        return np.concatenate([rho.real, rho.imag[double]]), matrix

    return slow._replace(values=values, derivatives=derivatives)


def _entries(space: Space, amplitudes: Callable[[Any], Any], derivatives: Any) -> Entries:
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

    def derivatives(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        v, matrix = rows(jnp.asarray(vector))
        return np.asarray(v), np.asarray(matrix)

    return _entries(space, amplitudes, derivatives)


def of_ring(space: Space, network: Any, system: System) -> Entries:
    """Shared matrices around a ring, through the purification: psi(l, k) of all l and k costs bond^3 and not bond^5.

    With X(l, r) = sum_k dpsi(l, k) psi(r, k)* and A = a + i b, drho/da = X(l, r) + X(r, l)* and drho/db = i [X(l, r) -
    X(r, l)*]: l goes through one of all translations of the levels of a side, since X(g l, g r) = X(l, r).
    """
    sites, bond = system.sites, network.tensors.shape[-1]
    restore = flat(network)[1]
    sides = all_labels(sites, 2)
    first, place, back = _turned(sides, np.asarray(system.moves))
    pairs = [
        _places(side, sides, place, back, system.moves) for side in (space.x, space.x[:, :] // 2 + 2 * (space.x % 2))
    ]
    two, levels = space.twofold, jnp.asarray(all_labels(sites, 2))

    def tensors(vector: Any) -> Any:
        return jax.lax.complex(*restore(vector).tensors[:, 0])

    def purified(a: Any, rows: Any) -> Any:
        """psi (rows, 2^sites)."""
        psi = jnp.broadcast_to(jnp.eye(bond, dtype=complex), (len(rows), 1, bond, bond))
        for site in range(sites):
            psi = jnp.einsum("lkab,lpbc->lkpac", psi, a[rows[:, site]])
            psi = psi.reshape(len(rows), -1, bond, bond)
        return jnp.einsum("lkaa->lk", psi)

    def amplitudes(vector: Any) -> Any:
        a = tensors(vector)
        rho = purified(a, jnp.asarray(first)) @ purified(a, levels).conj().T
        rho = rho / jax.lax.stop_gradient(jnp.max(jnp.abs(rho)))
        found = rho[pairs[0]]
        return jnp.concatenate([found.real, found.imag[two]])

    def one(a: Any, l: Any, k: Any) -> Any:
        product = jnp.eye(bond, dtype=complex)
        for site in range(sites):
            product = product @ a[l[site], k[site]]
        return jnp.trace(product)

    @jax.jit
    def slopes(vector: Any) -> Any:
        """X of all first l, all r, and psi psi^+ there."""
        a = tensors(vector)
        psi = purified(a, levels)
        slope = jax.grad(one, holomorphic=True)

        def of_row(l: Any) -> Any:
            own = jax.vmap(lambda k: slope(a, l, k).ravel())(levels)
            return psi.conj() @ own

        return jax.lax.map(of_row, jnp.asarray(first)), purified(a, jnp.asarray(first)) @ psi.conj().T

    def derivatives(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope, rho = (np.asarray(found) for found in slopes(jnp.asarray(vector)))
        largest = np.max(np.abs(rho))
        here, there = slope[pairs[0]] / largest, slope[pairs[1]].conj() / largest
        v, a, b = rho[pairs[0]] / largest, here + there, 1j * (here - there)
        matrix = np.concatenate([a, b], axis=1)
        return np.concatenate([v.real, v.imag[two]]), np.concatenate([matrix.real, matrix.imag[two]])

    return _entries(space, amplitudes, derivatives)


def _turned(sides: np.ndarray, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sides that stand for all their translations, for each side the place among them, and the move there."""
    powers = 2 ** np.arange(sides.shape[1] - 1, -1, -1)
    moved = np.stack([sides[:, move] @ powers for move in moves])
    least = moved.min(axis=0)
    kept, place = np.unique(least, return_inverse=True)
    return sides[kept], place, moved.argmin(axis=0)


def _places(x: np.ndarray, sides: np.ndarray, place: np.ndarray, back: np.ndarray, moves: Any) -> Any:
    """Places of configurations in a matrix (first l, all r)."""
    powers = 2 ** np.arange(sides.shape[1] - 1, -1, -1)
    l, r = np.divmod(x, 2)
    number = l @ powers
    moved = np.take_along_axis(r, np.asarray(moves)[back[number]], axis=1)
    return place[number], moved @ powers
