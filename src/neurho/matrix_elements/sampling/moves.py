"""Proposals: symmetric sets of label changes on one or two sites."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from neurho.matrix_elements.symmetry import Charge
from neurho.model.lattice import Lattice


class Moves(eqx.Module):
    """For every set of `k` sites and every local configuration of their labels, the configurations that may be
    proposed.

    - `sites`: `(instances, k)`; a sweep visits them in this order.
    - `labels`: `(local, moves, k)` with `local` = d^(2k).
    - `cumulative`: `(moves,)`, cumulated proposal probabilities. Symmetric: the move back has the same probability.
    """

    sites: Int[Array, "instances k"]
    labels: Int[Array, "local moves k"]
    cumulative: Float[Array, " moves"]

    def choose(self, bits: UInt32[Array, " chains"]) -> tuple[Int[Array, " chains"], Float[Array, " chains"]]:
        """A move with its probability, and an independent number uniform in (0, 1], from 32 random bits each.

        The bits that choose the move are the leading ones; what is left of them makes the other number.
        """
        edges = jnp.round(self.cumulative.astype(float) * 2.0**32)
        starts = jnp.concatenate([jnp.zeros(1), edges[:-1]]).astype(jnp.uint32)
        widths = jnp.diff(edges, prepend=0.0)
        move = jnp.sum(bits >= starts[1:, None], axis=0, dtype=jnp.int32)
        rest = (bits - starts[move]).astype(jnp.float32) + 1
        return move, rest * (1 / widths).astype(jnp.float32)[move]


def _moves(sites: np.ndarray, labels: list, probabilities: list[float]) -> Moves:
    return Moves(
        sites=jax.device_put(sites.reshape(len(sites), -1).astype(np.int32)),
        labels=jax.device_put(np.array(labels, dtype=np.int32)),
        cumulative=jax.device_put(np.cumsum(probabilities).astype(np.float32)),
    )


def single_site_moves(sites: int, dim: int) -> Moves:
    """Change the row label of a site (probability 1/4), its column label (1/4), or both (1/2)."""
    shifts = range(1, dim)
    changes = [(s, 0) for s in shifts] + [(0, s) for s in shifts] + list(product(shifts, shifts))
    count = dim - 1
    probabilities = [0.25 / count] * (2 * count) + [0.5 / count**2] * count**2
    labels = [[[dim * ((l + a) % dim) + (r + b) % dim] for a, b in changes] for l, r in product(range(dim), repeat=2)]
    return _moves(np.arange(sites), labels, probabilities)


def pair_moves(lattice: Lattice, dim: int) -> Moves:
    """Change the row labels of both ends of a bond, or their column labels (1/2 each)."""
    shifts = list(product(range(1, dim), repeat=2))
    changes = [(a, 0, b, 0) for a, b in shifts] + [(0, a, 0, b) for a, b in shifts]
    labels = [
        [[dim * ((l + a) % dim) + (r + b) % dim, dim * ((m + c) % dim) + (s + e) % dim] for a, b, c, e in changes]
        for l, r, m, s in product(range(dim), repeat=4)
    ]
    return _moves(np.sort(lattice.bonds, axis=1), labels, [1 / len(changes)] * len(changes))


def crossed_pair_moves(lattice: Lattice, dim: int) -> Moves:
    """Change the row label of one end of a bond and the column label of the other, or all four labels of the bond.

    In a sector of a weak symmetry these do what single rows and columns do elsewhere.
    """
    shifts = list(product(range(1, dim), repeat=2))
    changes = [(a, 0, 0, b) for a, b in shifts] + [(0, a, b, 0) for a, b in shifts]
    changes += [(a, b, c, d) for a, b in shifts for c, d in shifts]
    labels = [
        [[dim * ((l + a) % dim) + (r + b) % dim, dim * ((m + c) % dim) + (s + e) % dim] for a, b, c, e in changes]
        for l, r, m, s in product(range(dim), repeat=4)
    ]
    return _moves(np.sort(lattice.bonds, axis=1), labels, [1 / len(changes)] * len(changes))


def within_sector(moves: Moves, charge: Charge) -> Moves | None:
    """The same proposals, where those that would change `charge` propose to stay; None if nothing is left.

    Still symmetric: a move and its inverse both keep the charge, or both do not.
    """
    values, k = np.asarray(charge.values), moves.sites.shape[1]
    labels, cumulative = np.asarray(moves.labels), np.asarray(moves.cumulative, dtype=float)
    old = np.array(list(product(range(len(values)), repeat=k)), dtype=np.int32)[:, None]
    change = values[labels].sum(axis=-1) - values[old].sum(axis=-1)
    breaking = change % charge.modulus != 0 if charge.modulus else change != 0
    useful = ~np.all(breaking, axis=0)
    if not np.any(useful):
        return None
    kept = np.where(breaking[..., None], old, labels)[:, useful]
    share = np.diff(cumulative, prepend=0.0)[useful]
    return _moves(np.asarray(moves.sites), kept.tolist(), list(share / share.sum()))


def diagonal_moves(sites: int, dim: int) -> Moves:
    """Change row and column label of a site together: from diagonal to diagonal."""
    diagonal = np.arange(dim) * (dim + 1)
    labels = [
        [[diagonal[(l + s) % dim]] if l == r else [dim * l + r] for s in range(1, dim)]
        for l, r in product(range(dim), repeat=2)
    ]
    return _moves(np.arange(sites), labels, [1 / (dim - 1)] * (dim - 1))


def diagonal_pair_moves(lattice: Lattice, dim: int) -> Moves:
    """Change row and column labels of both ends of a bond together."""
    diagonal = np.arange(dim) * (dim + 1)
    shifts = list(product(range(1, dim), repeat=2))
    labels = [
        [
            [diagonal[(l + a) % dim], diagonal[(m + b) % dim]] if l == r and m == s else [dim * l + r, dim * m + s]
            for a, b in shifts
        ]
        for l, r, m, s in product(range(dim), repeat=4)
    ]
    return _moves(np.sort(lattice.bonds, axis=1), labels, [1 / len(shifts)] * len(shifts))
