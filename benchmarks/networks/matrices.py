"""Jacobians of matrix products: by purifications around a ring, by environments of every site on an open chain."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import Array, System
from entries import CHUNK, LARGE, Entries, entries_by, flat
from spaces import Space

from neurho.matrix_elements.generator import all_labels


def of_chain(space: Space, network: Any) -> Entries:
    """Own matrices of every site between two fixed vectors: rho(x) = sum L_j(x_0 ... x_(j-1)) R_j(x_j ...) for each j.

    With A = a + i b, X = L_j A_j[r_j]* R_(j+1) and Y = L_j A_j[l_j] R_(j+1): drho/da = X at l_j plus Y at r_j, and
    drho/db = i X at l_j minus i Y at r_j.
    """
    restore, sites, two = flat(network)[1], network.sites, space.twofold
    middle, powers = sites // 2, 4 ** np.arange(sites - 1, -1, -1)
    places = space.x @ powers

    def tensors(vector: Array) -> Array:
        re, im = restore(jnp.asarray(vector)).tensors
        return re + 1j * im

    def beginnings(a: Array, count: int) -> list[Array]:
        """L_j of all 4^j beginnings, up to j = `count`; with reversed A transposed these are R of all ends."""
        found = [jnp.ones((1, *a.shape[-2:]), complex)]
        for one in a[:count]:
            moved = jnp.einsum("xac,lkab->xlkcb", found[-1], one)
            found.append(jnp.einsum("xlkcb,rkcd->xlrbd", moved, one.conj()).reshape(-1, *a.shape[-2:]))
        return found

    def endings(a: Array, count: int) -> list[Array]:
        """R_j of all 4^(N - j) ends, the longest last."""
        found = [jnp.ones((1, *a.shape[-2:]), complex)]
        for one in a[::-1][:count]:
            moved = jnp.einsum("lkab,xbd->lxkad", one, found[-1])
            found.append(jnp.einsum("lxkad,rkcd->lrxac", moved, one.conj()).reshape(-1, *a.shape[-2:]))
        return found

    def state(left: Array, right: Array) -> Array:
        return (left.reshape(len(left), -1) @ right.reshape(len(right), -1).T).ravel()[places]

    def amplitudes(vector: Array) -> Array:
        a = tensors(vector)
        rho = state(beginnings(a, middle)[-1], endings(a, sites - middle)[-1])
        rho = rho / jax.lax.stop_gradient(jnp.max(jnp.abs(rho)))
        return jnp.concatenate([rho.real, rho.imag[two]])

    @jax.jit
    def environments(vector: Array) -> tuple[Array, list[Array], list[Array]]:
        a = tensors(vector)
        return a, beginnings(a, sites - 1), endings(a, sites - 1)[::-1]

    def slopes(vector: Array, some: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Entries and their derivatives, some at a time."""
        a, left, right = jax.tree.map(np.asarray, environments(jnp.asarray(vector)))
        rho = state(left[middle], right[middle - 1])
        largest = np.max(np.abs(rho))
        for first in range(0, len(some), CHUNK):
            here = slice(first, min(first + CHUNK, len(some)))
            x, place = space.x[some[here]], places[some[here]]
            found = np.zeros((len(x), 2, *a.shape), complex)
            each = np.arange(len(x))
            for j, one in enumerate(a):
                l, r = np.divmod(x[:, j], 2)
                before, after = left[j][place // powers[j] // 4], right[j][place % powers[j]]
                ahead = np.swapaxes(before, 1, 2)[:, None] @ one[l] @ after[:, None]
                behind = before[:, None] @ one[r].conj() @ np.swapaxes(after, 1, 2)[:, None]
                found[each, 0, j, l] += behind
                found[each, 1, j, l] += 1j * behind
                found[each, 0, j, r] += ahead
                found[each, 1, j, r] -= 1j * ahead
            yield here, rho[some[here]] / largest, found.reshape(len(x), -1) / largest

    def derivatives(vector: Array, some: Array | None = None) -> tuple[Array, Array]:
        chosen: Array = np.arange(len(space.x)) if some is None else some
        double = np.flatnonzero(np.isin(chosen, two))
        large = len(space.size) * len(vector) > LARGE
        v: Array = np.empty(len(chosen), complex)
        matrix = np.empty((len(chosen) + len(double), len(vector)), np.float32 if large else np.float64)
        for here, rho, found in slopes(vector, chosen):
            v[here], matrix[here] = rho, found.real
            inside = np.flatnonzero((double >= here.start) & (double < here.stop))
            matrix[len(chosen) + inside] = found.imag[double[inside] - here.start]
        return np.concatenate([v.real, v.imag[double]]), matrix

    return entries_by(space, amplitudes, derivatives)


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
        """Psi (rows, 2^sites)."""
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

    def derivatives(vector: Array) -> tuple[Array, Array]:
        slope, rho = (np.asarray(found) for found in slopes(jnp.asarray(vector)))
        largest = np.max(np.abs(rho))
        here, there = slope[pairs[0]] / largest, slope[pairs[1]].conj() / largest
        v, a, b = rho[pairs[0]] / largest, here + there, 1j * (here - there)
        matrix: Array = np.concatenate([a, b], axis=1)
        return np.concatenate([v.real, v.imag[two]]), np.concatenate([matrix.real, matrix.imag[two]])

    return entries_by(space, amplitudes, derivatives)


def _turned(sides: Array, moves: Array) -> tuple[Array, Array, Array]:
    """The sides that stand for all their translations, for each side the place among them, and the move there."""
    powers = 2 ** np.arange(sides.shape[1] - 1, -1, -1)
    moved = np.stack([sides[:, move] @ powers for move in moves])
    least = moved.min(axis=0)
    kept, place = np.unique(least, return_inverse=True)
    return sides[kept], place, moved.argmin(axis=0)


def _places(x: Array, sides: Array, place: Array, back: Array, moves: Any) -> Any:
    """Places of configurations in a matrix (first l, all r)."""
    powers = 2 ** np.arange(sides.shape[1] - 1, -1, -1)
    l, r = np.divmod(x, 2)
    number = l @ powers
    moved = np.take_along_axis(r, np.asarray(moves)[back[number]], axis=1)
    return place[number], moved @ powers
