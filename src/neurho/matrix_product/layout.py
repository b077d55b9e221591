"""Matrix products in arrays whose shapes do not change while bonds grow: for checkpoints."""

from typing import NamedTuple

import numpy as np

from neurho.matrix_product.state import State


class Packed(NamedTuple):
    """A state, filled up with zeros.

    - `tensors`: `(sites, bond, d^2, bond)`.
    - `charges`: `(sites + 1, bond)`.
    - `bonds`: the dimensions in use, `(sites + 1,)`.
    - `local`: `(d^2,)`.
    - `numbers`: centre, weight discarded, worst cut.
    """

    tensors: np.ndarray
    charges: np.ndarray
    bonds: np.ndarray
    local: np.ndarray
    numbers: np.ndarray


def blank(sites: int, dim: int, bond: int) -> Packed:
    """A state of the right shapes with nothing in it."""
    return Packed(
        tensors=np.zeros((sites, bond, dim**2, bond)),
        charges=np.zeros((sites + 1, bond), dtype=np.int64),
        bonds=np.zeros(sites + 1, dtype=np.int64),
        local=np.zeros(dim**2, dtype=np.int64),
        numbers=np.zeros(3),
    )


def pack(state: State, dim: int, bond: int) -> Packed:
    """A state whose bonds are at most `bond` wide."""
    packed = blank(state.sites, dim, bond)
    for place, tensor in enumerate(state.tensors):
        left, _, right = tensor.shape
        packed.tensors[place, :left, :, :right] = tensor
    for place, charges in enumerate(state.charges):
        packed.charges[place, : len(charges)] = charges
        packed.bonds[place] = len(charges)
    packed.local[:] = state.local
    packed.numbers[:] = (state.centre, state.discarded, state.worst)
    return packed


def unpack(packed: Packed) -> State:
    """The state that `pack` filled up, the same to the last bit."""
    bonds = np.asarray(packed.bonds)
    centre, discarded, worst = np.asarray(packed.numbers)
    tensors = [
        np.ascontiguousarray(np.asarray(tensor)[: bonds[place], :, : bonds[place + 1]])
        for place, tensor in enumerate(packed.tensors)
    ]
    return State(
        tensors=tuple(tensors),
        charges=tuple(np.array(row[:length]) for row, length in zip(packed.charges, bonds, strict=True)),
        local=np.array(packed.local),
        centre=int(centre),
        discarded=float(discarded),
        worst=float(worst),
    )
