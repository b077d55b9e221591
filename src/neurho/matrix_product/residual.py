"""||L rho||/||rho|| of a matrix product, from L as a matrix-product operator. NumPy only."""

import numpy as np

from neurho.matrix_product.generator import LineGenerator
from neurho.matrix_product.state import State

SMALL = 1e-13
"""Operator-Schmidt values below this times the largest are dropped."""


def residual(state: State, generator: LineGenerator, t: float = 0.0) -> float:
    """||L rho||_F / ||rho||_F, exact for the state as it is, at the cost of bond^3 times the square of that of L.

    The terms of L that begin, are under way and have ended are the channels of a finite automaton, one tensor per
    place; L rho has these channels times the bonds of rho as its bonds, and its norm is contracted from the left.
    """
    total: np.ndarray | None = None
    for tensor, operator in zip(state.tensors, operator_tensors(generator, t), strict=True):
        if total is None:
            total = np.ones((1, 1, 1, 1))
        total = _onward(total, tensor, operator)
    assert total is not None
    return float(np.sqrt(max(total[0, 0, 0, 0], 0.0)) / state.norm)


def _onward(total: np.ndarray, tensor: np.ndarray, operator: np.ndarray) -> np.ndarray:
    """The overlap `(bond, channel, channel, bond)` of L rho with itself, one place further right.

    Axes: a, w bond of rho and channel of the first factor, v, b of the second, p, q labels of the place.
    """
    half = np.tensordot(total, tensor, (3, 0))  # a w v p b
    half = np.tensordot(half, operator, ((2, 3), (0, 3)))  # a w b v q
    half = np.tensordot(half, operator, ((1, 4), (0, 2)))  # a b v w p
    half = np.tensordot(tensor, half, ((0, 1), (0, 4)))  # a b v w
    return half.transpose(0, 3, 2, 1)


def operator_tensors(generator: LineGenerator, t: float) -> list[np.ndarray]:
    """L as a matrix-product operator: tensors `(left, right, out, in)` on the d^2 coefficients of each place."""
    sites, size = generator.sites, generator.dim**2
    widths = [2] * (sites + 1)
    entries: list[list[tuple[int, int, np.ndarray]]] = [[] for _ in range(sites)]
    eye = np.eye(size)
    for p in range(sites):  # channel 0: nothing yet, channel 1: done
        entries[p] += [(0, 0, eye), (1, 1, eye)]
    for part in generator.parts:
        matrix = part.at(t)
        if len(part.sites) == 1:
            entries[part.sites[0]].append((0, 1, matrix))
            continue
        left, right = part.sites
        for first, second in _factors(matrix, size):
            channel = [widths[p] for p in range(left + 1, right + 1)]
            for p in range(left + 1, right + 1):
                widths[p] += 1
            entries[left].append((0, channel[0], first))
            for p in range(left + 1, right):
                entries[p].append((channel[p - left - 1], channel[p - left], eye))
            entries[right].append((channel[-1], 1, second))
    tensors = []
    for p in range(sites):
        tensor = np.zeros((widths[p], widths[p + 1], size, size))
        for a, b, matrix in entries[p]:
            tensor[a, b] += matrix
        tensors.append(tensor)
    tensors[0], tensors[-1] = tensors[0][:1], tensors[-1][:, 1:2]
    return tensors


def _factors(matrix: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A matrix on two places as a sum of products."""
    table = matrix.reshape((size,) * 4).transpose(0, 2, 1, 3).reshape(size**2, size**2)
    u, values, v = np.linalg.svd(table)
    kept = values > SMALL * max(values[0], 1e-300)
    roots = np.sqrt(values[kept])
    return [
        ((root * a).reshape(size, size), (root * b).reshape(size, size))
        for root, a, b in zip(roots, u.T[kept], v[kept], strict=True)
    ]
