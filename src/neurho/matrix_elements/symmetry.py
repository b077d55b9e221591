"""Weak symmetries: charges that a Lindbladian conserves on labels.

If U_phi = exp(i phi Q) commutes with the Hamiltonian and turns every jump operator into itself times a phase, then
rho -> U rho U^+ commutes with the Lindbladian and rho falls into sectors of charge sum_j (Q_l - Q_r) that never mix.
Only the sector of charge zero has a trace; a stationary state (and every state that starts there) lies in it, so
amplitudes elsewhere are zero and need not be learnt or sampled.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from neurho._types import NeurhoError
from neurho.matrix_elements.generator import Group, LabelMap, place_values


class Charge(NamedTuple):
    """The charge sum_j values[x_j] of a configuration of labels, modulo `modulus` (0: integers).

    - `name`: for messages.
    - `values`: one integer for each of the d^2 labels of a site.
    """

    name: str
    values: tuple[int, ...]
    modulus: int = 0

    def reduce(self, total: Int[Array, "..."]) -> Int[Array, "..."]:
        """A total charge, modulo the modulus."""
        return total % self.modulus if self.modulus else total

    def of(self, x: Int[Array, "... sites"]) -> Int[Array, "..."]:
        """The charges of configurations."""
        return self.reduce(jnp.sum(jnp.asarray(self.values, dtype=jnp.int32)[x], axis=-1))


def parity(dim: int = 2) -> Charge:
    """Spin parity, U = prod_j exp(i pi n_j): the numbers of raised levels of rows and columns differ by an even
    number.
    """
    return Charge("parity", tuple((l - r) % 2 for l, r in product(range(dim), repeat=2)), 2)


def number(dim: int = 2) -> Charge:
    """Particle number (magnetisation), U = exp(i phi sum_j n_j): rows and columns hold equally many particles."""
    return Charge("number", tuple(l - r for l, r in product(range(dim), repeat=2)))


def is_conserved(label_map: LabelMap, charge: Charge) -> bool:
    """Whether a map connects only configurations of equal charge."""
    return all(not np.any(_breaking(group, charge)) for group in label_map.groups)


def detect(label_map: LabelMap) -> Charge | None:
    """The finest of particle number and parity that a Lindbladian conserves, or None."""
    candidates = (number(label_map.local_dim), parity(label_map.local_dim))
    return next((charge for charge in candidates if is_conserved(label_map, charge)), None)


def strong_charge(label_map: LabelMap) -> Charge | None:
    """The finest of particle number and parity that a Lindbladian conserves in rows alone, or None.

    Rows are conserved by themselves where the operator commutes with the Hamiltonian and with every jump operator: a
    strong symmetry, with a stationary state in every sector.
    """
    levels = tuple(l for l, _ in product(range(label_map.local_dim), repeat=2))
    candidates = (Charge("the number of particles", levels), Charge("the parity of their number", levels, 2))
    return next((charge for charge in candidates if is_conserved(label_map, charge)), None)


def require_conserved(label_map: LabelMap, charge: Charge) -> None:
    """Raise a sentence unless a Lindbladian conserves `charge`."""
    for group in label_map.groups:
        breaking = np.any(_breaking(group, charge), axis=(1, 2))
        if np.any(breaking):
            sites = tuple(int(j) for j in np.asarray(group.sites)[np.argmax(breaking)])
            raise NeurhoError(
                f"Argument `symmetry` must be conserved by the Lindbladian, but its terms on sites {sites} break "
                f"{charge.name}."
            )


def require_invariant(label_map: LabelMap, translations: np.ndarray) -> None:
    """Raise a sentence unless a map, moved by any translation (row g maps site j to `translations[g, j]`), is the same.

    Terms are compared support by support; splitting a sum of terms in unequal ways counts as a difference.
    """
    matrices = dict(_by_support(label_map))
    scale = max((np.max(np.abs(m)) for m in matrices.values()), default=0.0)
    for translation in np.asarray(translations):
        for support, matrix in matrices.items():
            moved = translation[list(support)]
            order = np.argsort(moved)
            target = tuple(int(j) for j in moved[order])
            other = matrices.get(target)
            axes = [*order, *(len(support) + order), 2 * len(support)]
            if other is None or np.max(np.abs(other - matrix.transpose(axes))) > 1e-12 * scale:
                raise NeurhoError(
                    "Argument `translations` must be symmetries of the Lindbladian, but its terms on sites "
                    f"{support} and {target} differ."
                )


def _by_support(label_map: LabelMap) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Sites of every local map, ascending, and its matrix with an axis for each site: `(new..., old..., channels)`."""
    label_dim = label_map.label_dim
    for group in label_map.groups:
        count, k = group.sites.shape
        size, powers = label_dim**k, place_values(k, label_dim)
        columns = np.asarray(group.labels) @ powers
        elements, diagonal, rows = np.asarray(group.elements), np.asarray(group.diagonal), np.arange(size)
        for n in range(count):
            matrix = np.zeros((size, size, len(elements)), dtype=complex)
            # Padding points at x itself with element 0, and may do so several times.
            np.add.at(matrix, (rows[:, None], columns[n]), np.moveaxis(elements[:, n], 0, -1))
            matrix[rows, rows] += diagonal[:, n].T
            support = tuple(int(j) for j in np.asarray(group.sites)[n])
            yield support, matrix.reshape(*(label_dim,) * (2 * k), len(elements))


def _breaking(group: Group, charge: Charge) -> np.ndarray:
    """Which elements of a group change the charge, `(instances, local, moves)`."""
    label_dim, k = len(charge.values), group.sites.shape[1]
    values = np.asarray(charge.values)
    old = values[np.array(list(product(range(label_dim), repeat=k)), dtype=int).reshape(-1, k)].sum(axis=1)
    change = values[np.asarray(group.labels)].sum(axis=-1) - old[:, None]
    changed = change % charge.modulus != 0 if charge.modulus else change != 0
    return changed & np.any(np.asarray(group.elements) != 0, axis=0)
