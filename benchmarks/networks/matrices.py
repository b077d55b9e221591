"""Jacobians of matrix products: by purifications around a ring, by environments of every site on an open chain."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cases import Array, System
from entries import Entries, chunks, empty, entries_by, fill, flat
from spaces import Space

from neurho.matrix_elements.generator import all_labels


def beginnings(a: Array, count: int) -> list[Array]:
    """L_j `(4^j, bond, bond)` of all beginnings of j sites, up to j = `count`."""
    found = [jnp.ones((1, *a.shape[-2:]), complex)]
    for one in a[:count]:
        moved = jnp.einsum("xac,lkab->xlkcb", found[-1], one)
        found.append(jnp.einsum("xlkcb,rkcd->xlrbd", moved, one.conj()).reshape(-1, *a.shape[-2:]))
    return found


def endings(a: Array, count: int) -> list[Array]:
    """R `(4^j, bond, bond)` of all ends of j sites, up to j = `count`."""
    found = [jnp.ones((1, *a.shape[-2:]), complex)]
    for one in a[::-1][:count]:
        moved = jnp.einsum("lkab,xbd->lxkad", one, found[-1])
        found.append(jnp.einsum("lxkad,rkcd->lrxac", moved, one.conj()).reshape(-1, *a.shape[-2:]))
    return found


@jax.jit
def environments(a: Array) -> tuple[list[Array], list[Array]]:
    """L_j and R_(j+1) of every site."""
    return beginnings(a, len(a) - 1), endings(a, len(a) - 1)[::-1]


def chain_slopes(a: Array, left: list[Array], right: list[Array], x: Array) -> Array:
    """d rho(x) `(configurations, parameters)`: a at l moves L A[r]* R, a at r L A[l] R, b the same times i and -i."""
    powers = 4 ** np.arange(len(a) - 1, -1, -1)
    place, each = x @ powers, np.arange(len(x))
    found = np.zeros((len(x), 2, *a.shape), complex)
    for j, one in enumerate(a):
        l, r = np.divmod(x[:, j], 2)
        before, after = left[j][place // powers[j] // 4], right[j][place % powers[j]]
        own = before[:, None] @ one[r].conj() @ np.swapaxes(after, 1, 2)[:, None]
        other = np.swapaxes(before, 1, 2)[:, None] @ one[l] @ after[:, None]
        found[each, 0, j, l] += own
        found[each, 1, j, l] += 1j * own
        found[each, 0, j, r] += other
        found[each, 1, j, r] -= 1j * other
    return found.reshape(len(x), -1)


def of_chain(space: Space, network: Any) -> Entries:
    """Own matrices of every site between two fixed vectors: rho(x) = sum L_j(x_0 ... x_(j-1)) R_j(x_j ...), any j."""
    restore, sites, two = flat(network)[1], network.sites, space.twofold
    middle, places = sites // 2, space.x @ 4 ** np.arange(sites - 1, -1, -1)

    def tensors(vector: Array) -> Array:
        return jax.lax.complex(*restore(jnp.asarray(vector)).tensors)

    def state(left: Array, right: Array) -> Array:
        return (left.reshape(len(left), -1) @ right.reshape(len(right), -1).T).ravel()[places]

    def amplitudes(vector: Array) -> Array:
        a = tensors(vector)
        rho = state(beginnings(a, middle)[-1], endings(a, sites - middle)[-1])
        rho = rho / jax.lax.stop_gradient(jnp.max(jnp.abs(rho)))
        return jnp.concatenate([rho.real, rho.imag[two]])

    def derivatives(vector: Array, some: Array | None = None) -> tuple[Array, Array]:
        a = tensors(vector)
        a, left, right = jax.tree.map(np.asarray, (a, *environments(a)))
        chosen: Array = np.arange(len(space.x)) if some is None else some
        every = state(left[middle], right[middle - 1])
        largest, rho = np.max(np.abs(every)), every[chosen]
        double = np.flatnonzero(np.isin(chosen, two))
        matrix = empty(space, len(chosen) + len(double), len(vector))
        for here in chunks(len(chosen)):
            found = chain_slopes(a, left, right, space.x[chosen[here]])
            fill(matrix, here, double, len(chosen), found / largest)
        return np.concatenate([rho.real, rho.imag[double]]) / largest, matrix

    return entries_by(space, amplitudes, derivatives)


def purified(a: Array, rows: Array) -> Array:
    """psi(l, k) `(rows, 2^sites)` around a ring, from shared matrices."""
    bond = a.shape[-1]
    psi = jnp.broadcast_to(jnp.eye(bond, dtype=complex), (len(rows), 1, bond, bond))
    for site in range(rows.shape[1]):
        psi = jnp.einsum("lkab,lpbc->lkpac", psi, a[rows[:, site]])
        psi = psi.reshape(len(rows), -1, bond, bond)
    return jnp.einsum("lkaa->lk", psi)


def one_purified(a: Array, l: Array, k: Array) -> Array:
    """psi(l, k) of one l and k."""
    product = jnp.eye(a.shape[-1], dtype=complex)
    for site in range(len(l)):
        product = product @ a[l[site], k[site]]
    return jnp.trace(product)


@jax.jit
def ring_slopes(a: Array, first: Array, levels: Array) -> tuple[Array, Array]:
    """X of all first l and all r, and psi psi^+ there."""
    psi = purified(a, levels)
    slope = jax.grad(one_purified, holomorphic=True)

    def of_row(l: Array) -> Array:
        return psi.conj() @ jax.vmap(lambda k: slope(a, l, k).ravel())(levels)

    return jax.lax.map(of_row, first), purified(a, first) @ psi.conj().T


def of_ring(space: Space, network: Any, system: System) -> Entries:
    """Shared matrices around a ring, through the purification: psi(l, k) of all l and k costs bond^3 and not bond^5.

    With X(l, r) = sum_k dpsi(l, k) psi(r, k)* and A = a + i b, drho/da = X(l, r) + X(r, l)* and drho/db = i [X(l, r) -
    X(r, l)*]: l goes through one of all translations of the levels of a side, since X(g l, g r) = X(l, r).
    """
    restore, two, sides = flat(network)[1], space.twofold, all_labels(system.sites, 2)
    rows, place, back = _turned(sides, system.moves)
    first, levels = jnp.asarray(rows), jnp.asarray(sides)
    swapped = space.x // 2 + 2 * (space.x % 2)
    pairs = [_places(x, place, back, system.moves) for x in (space.x, swapped)]

    def tensors(vector: Array) -> Array:
        return jax.lax.complex(*restore(jnp.asarray(vector)).tensors[:, 0])

    def amplitudes(vector: Array) -> Array:
        a = tensors(vector)
        rho = purified(a, first) @ purified(a, levels).conj().T
        rho = rho / jax.lax.stop_gradient(jnp.max(jnp.abs(rho)))
        found = rho[pairs[0]]
        return jnp.concatenate([found.real, found.imag[two]])

    def derivatives(vector: Array) -> tuple[Array, Array]:
        slope, rho = (np.asarray(found) for found in ring_slopes(tensors(vector), first, levels))
        largest = np.max(np.abs(rho))
        here, there = slope[pairs[0]] / largest, slope[pairs[1]].conj() / largest
        v = rho[pairs[0]] / largest
        matrix: Array = np.concatenate([here + there, 1j * (here - there)], axis=1)
        return np.concatenate([v.real, v.imag[two]]), np.concatenate([matrix.real, matrix.imag[two]])

    return entries_by(space, amplitudes, derivatives)


def _turned(sides: Array, moves: Array) -> tuple[Array, Array, Array]:
    """The sides that stand for all their translations, for each side the place among them, and the move there."""
    powers = 2 ** np.arange(sides.shape[1] - 1, -1, -1)
    moved = np.stack([sides[:, move] @ powers for move in moves])
    least = moved.min(axis=0)
    kept, place = np.unique(least, return_inverse=True)
    return sides[kept], place, moved.argmin(axis=0)


def _places(x: Array, place: Array, back: Array, moves: Array) -> Any:
    """Places of configurations in a matrix (first l, all r)."""
    powers = 2 ** np.arange(x.shape[1] - 1, -1, -1)
    l, r = np.divmod(x, 2)
    number = l @ powers
    moved = np.take_along_axis(r, moves[back[number]], axis=1)
    return place[number], moved @ powers
