"""Local operators as moves, without matrices: (X psi)(x) = sum_m D_m(x) psi(x + m).

A move m adds fixed numbers to the levels of a few sites (modulo d; for spins it flips them), which is a reversal or a
cyclic shift of axes once a vector is reshaped. D_m depends on the sites that the terms of X with this move touch, and
is kept as a small tensor that is broadcast; all terms that move nothing make one vector.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from neurho.model.operators import LocalTerm, Operator
from neurho.trajectories.space import Space

WIDEST = 6
"""Terms of one move that touch together more sites than this have their elements in one vector."""

Vector: TypeAlias = tuple[Float[Array, "D lanes"], Float[Array, "D lanes"]]
Turn: TypeAlias = tuple[tuple[int, int], ...]


class Move(eqx.Module):
    """One move with its elements D = even + sector * odd, each a pair of real and imaginary parts, or None where zero.

    - `shape`: how configurations are split, so that every site that is named has an axis.
    - `turns`: (axis, number to add to the level).
    """

    even: tuple[Array | None, Array | None]
    odd: tuple[Array | None, Array | None]
    shape: tuple[int, ...] = eqx.field(static=True)
    turns: Turn = eqx.field(static=True)

    def turned(self, part: Float[Array, "D lanes"]) -> Array:
        """psi(x + m), split."""
        split = part.reshape(*self.shape, part.shape[-1])
        flips = tuple(axis for axis, _ in self.turns if self.shape[axis] == 2)
        split = jnp.flip(split, flips) if flips else split
        for axis, step in self.turns:
            split = split if axis in flips else jnp.roll(split, -step, axis)
        return split

    def elements(self, sector: Float[Array, " lanes"]) -> tuple[Array | None, Array | None]:
        """Real and imaginary parts of D, with the axis of lanes; None where zero."""

        def of(even: Array | None, odd: Array | None) -> Array | None:
            if odd is None:
                return None if even is None else even[..., None]
            moving = odd[..., None] * sector.astype(odd.dtype)
            return moving if even is None else even[..., None] + moving

        return of(self.even[0], self.odd[0]), of(self.even[1], self.odd[1])

    def apply(self, psi: Vector, sector: Float[Array, " lanes"]) -> tuple[Array, Array]:
        """Real and imaginary parts of D(x) psi(x + m), `(D, lanes)` each."""
        real, imag = self.elements(sector)
        a, b = (self.turned(part) for part in psi)
        flat = psi[0].shape
        if real is not None and imag is not None:
            return (real * a - imag * b).reshape(flat), (real * b + imag * a).reshape(flat)
        if real is not None:
            return (real * a).reshape(flat), (real * b).reshape(flat)
        return (-imag * b).reshape(flat), (imag * a).reshape(flat)  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]


class Moves(eqx.Module):
    """A sum of moves; `space` says of which configurations."""

    moves: tuple[Move, ...]

    def apply(self, psi: Vector, sector: Float[Array, " lanes"]) -> Vector:
        """X psi; `sector` is that of X psi."""
        real, imag = zeros_like(psi)
        for move in self.moves:
            a, b = move.apply(psi, sector)
            real, imag = real + a, imag + b
        return real, imag

    def expect(self, psi: Vector, sector: Float[Array, " lanes"]) -> Float[Array, " lanes"]:
        """Re <psi|X|psi>, not divided by <psi|psi>."""
        flat, dtype = psi[0].shape, psi[0].dtype
        total = jnp.zeros(flat[-1], dtype)
        for move in self.moves:
            real, imag = move.elements(sector)
            if not move.turns:
                if real is not None:
                    weight = (psi[0] ** 2 + psi[1] ** 2).reshape(*move.shape, flat[-1])
                    total = total + total_of((real * weight).reshape(flat))
                continue
            a, b = (move.turned(part) for part in psi)
            old = [part.reshape(a.shape) for part in psi]
            found = jnp.zeros((), dtype)
            if real is not None:
                found = found + real * (old[0] * a + old[1] * b)
            if imag is not None:
                found = found + imag * (old[1] * a - old[0] * b)
            total = total + total_of(found.reshape(flat))
        return total


def total_of(values: Float[Array, "D lanes"]) -> Float[Array, " lanes"]:
    """The sum over configurations, in two stages: single precision loses less."""
    size = len(values)
    inner = 2 ** ((size.bit_length() - 1) // 2)
    if size % inner:
        return jnp.sum(values, axis=0)
    return jnp.sum(jnp.sum(values.reshape(-1, inner, values.shape[-1]), axis=0), axis=0)


def zeros_like(psi: Vector) -> Vector:
    """The zero vector."""
    return jnp.zeros_like(psi[0]), jnp.zeros_like(psi[1])


def add(psi: Vector, other: Vector) -> Vector:
    """The sum of two vectors."""
    return psi[0] + other[0], psi[1] + other[1]


def select(condition: Float[Array, " lanes"] | Array, psi: Vector, other: Vector) -> Vector:
    """Of every lane one of two vectors."""
    return jnp.where(condition, psi[0], other[0]), jnp.where(condition, psi[1], other[1])


def square(psi: Vector) -> Float[Array, " lanes"]:
    """<psi|psi>."""
    return total_of(psi[0] ** 2 + psi[1] ** 2)


class _Part(NamedTuple):
    """Elements that depend on the levels of `sites` (all of them for a whole vector), for the sectors +1 and -1."""

    sites: tuple[int, ...]
    plus: np.ndarray
    minus: np.ndarray


def moves_of(operator: Operator, space: Space, dtype: DTypeLike, *, change: int = 0) -> Moves:
    """The moves of an operator whose coefficients are left aside (taken as 1).

    Where the space is halved, elements that do not change parity by `change` are left out: their means are zero.
    """
    parts: dict[tuple[tuple[int, int], ...], list[_Part]] = defaultdict(list)
    for term in operator.terms:
        for key, part in _parts(term, space, change):
            parts[key].append(part)
    made = (_move(key, found, space, dtype) for key, found in sorted(parts.items()))
    return Moves(tuple(move for move in made if move is not None))


def _parts(term: LocalTerm, space: Space, change: int) -> Iterable[tuple[tuple[tuple[int, int], ...], _Part]]:
    """A term, move by move."""
    d, k, last = space.local_dim, len(term.sites), space.sites - 1
    rows = np.array(list(product(range(d), repeat=k)), dtype=int).reshape(d**k, k)
    powers = d ** np.arange(k - 1, -1, -1)
    for step in rows:
        elements = term.matrix[np.arange(d**k), ((rows + step) % d) @ powers]
        if not np.any(elements) or (space.halved and int(step.sum()) % 2 != change):
            continue
        free = [(j, int(s)) for j, s in zip(term.sites, step, strict=True) if s]
        key = tuple((j, s) for j, s in free if not (space.halved and j == last))
        if space.halved and last in term.sites:
            whole = [elements[space.digits(sector)[:, term.sites] @ powers] for sector in (1, -1)]
            yield key, _Part(tuple(range(space.free)), *whole)
        else:
            yield key, _Part(term.sites, elements, elements)


def _move(key: tuple[tuple[int, int], ...], parts: Sequence[_Part], space: Space, dtype: DTypeLike) -> Move | None:
    """All elements of one move added up."""
    turned = {site for site, _ in key}
    sites = tuple(sorted({j for part in parts for j in part.sites} | turned))
    small = len(sites) <= WIDEST
    if not small:
        sites = tuple(range(space.free))
    tensors = [_added([(p.sites, (p.plus, p.minus)[n]) for p in parts], sites, space) for n in (0, 1)]
    even, odd = (tensors[0] + tensors[1]) / 2, (tensors[0] - tensors[1]) / 2
    if not np.any(even) and not np.any(odd):
        return None
    named = sites if small else tuple(sorted(turned))
    cuts = [-1, *named, space.free]
    gaps = [space.local_dim ** (b - a - 1) for a, b in pairwise(cuts)]
    shape = (gaps[0], *[n for gap in gaps[1:] for n in (space.local_dim, gap)])
    fit = shape if not small else tuple(n if axis % 2 else 1 for axis, n in enumerate(shape))

    def as_pair(tensor: np.ndarray) -> tuple[Array | None, Array | None]:
        halves = [np.real(tensor), np.imag(tensor)]
        return tuple(jax.device_put(h.reshape(fit).astype(dtype)) if np.any(h) else None for h in halves)  # pyright: ignore[reportReturnType]

    turns = tuple((2 * named.index(site) + 1, step) for site, step in key)
    return Move(even=as_pair(even), odd=as_pair(odd), shape=shape, turns=turns)


def _added(parts: Sequence[tuple[tuple[int, ...], np.ndarray]], sites: tuple[int, ...], space: Space) -> np.ndarray:
    """The sum of tensors over sites of their own as one over more sites, flat: one by one, for a list of them would
    hold as many whole vectors as there are terms.
    """
    d = space.local_dim
    found = np.zeros((d,) * len(sites), dtype=complex)
    for own, tensor in parts:
        found += tensor.reshape([d if j in own else 1 for j in sites])
    return found.reshape(-1)
