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
        _enter(entries, widths, part.sites, _train(matrix, size))
    tensors = []
    for p in range(sites):
        tensor = np.zeros((widths[p], widths[p + 1], size, size))
        for a, b, matrix in entries[p]:
            tensor[a, b] += matrix
        tensors.append(tensor)
    tensors[0], tensors[-1] = tensors[0][:1], tensors[-1][:, 1:2]
    return tensors


def _enter(
    entries: list[list[tuple[int, int, np.ndarray]]],
    widths: list[int],
    places: tuple[int, ...],
    train: list[np.ndarray],
) -> None:
    """Channels for a product of tensors on some places, kept open by the identity on those between."""
    eye, before = np.eye(train[0].shape[2]), np.zeros(1, dtype=int)
    for number, (place, tensor) in enumerate(zip(places, train, strict=True)):
        after = np.ones(1, dtype=int)
        if number + 1 < len(places):
            after = widths[place + 1] + np.arange(tensor.shape[1])
            widths[place + 1] += len(after)
        for a, b in np.ndindex(tensor.shape[:2]):
            entries[place].append((int(before[a]), int(after[b]), tensor[a, b]))
        before = after
        for between in range(place + 1, places[number + 1] if number + 1 < len(places) else place + 1):
            after = widths[between + 1] + np.arange(len(before))
            widths[between + 1] += len(after)
            entries[between] += [(int(a), int(b), eye) for a, b in zip(before, after, strict=True)]
            before = after


def _train(matrix: np.ndarray, size: int) -> list[np.ndarray]:
    """A matrix on k places as a product of k tensors `(left, right, out, in)`."""
    count = round(np.log(len(matrix)) / np.log(size))
    order = [axis for k in range(count) for axis in (k, count + k)]
    rest, tensors, left = matrix.reshape((size,) * (2 * count)).transpose(order), [], 1
    for _ in range(count - 1):
        u, values, v = np.linalg.svd(rest.reshape(left * size**2, -1), full_matrices=False)
        kept = values > SMALL * max(values[0], 1e-300)
        roots = np.sqrt(values[kept])
        tensors.append((u[:, kept] * roots).reshape(left, size, size, -1).transpose(0, 3, 1, 2))
        rest, left = roots[:, None] * v[kept], len(roots)
    return [*tensors, rest.reshape(left, size, size, 1).transpose(0, 3, 1, 2)]
