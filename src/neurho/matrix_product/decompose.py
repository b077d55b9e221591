"""Decompositions of matrices into two factors with few singular values between them, parity by parity. NumPy only."""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from neurho._types import NumericalError

SMALLEST = 1e-14
"""Singular values below this times the norm are rounding and always cut."""

WIDE = 64
"""Rows and columns from which on a decomposition by QR is faster than all singular values."""

SPARE = 8
"""Singular values that a decomposition by QR looks for beyond a quarter more than there were."""


ENOUGH = 0.9
"""Share of what a decomposition by QR looks for that may be kept; with more it is done again in full."""


class Cut(NamedTuple):
    """How bonds are cut: at most `bond` singular values, of which the smallest go whose squares add up to less than
    `cutoff` times the square of the norm.
    """

    bond: int
    cutoff: float


class Parts(NamedTuple):
    """A matrix as a diag(values) b: `a` with orthonormal columns, `b` with orthonormal rows; the parities `charges` of
    the index between; the `weight` cut, in units of the squared norm; whether the bond was `full`.
    """

    a: np.ndarray
    values: np.ndarray
    b: np.ndarray
    charges: np.ndarray
    weight: float
    full: bool


class _Block(NamedTuple):
    rows: np.ndarray | slice
    columns: np.ndarray | slice
    parity: int
    a: np.ndarray
    values: np.ndarray
    b: np.ndarray


def split(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray, before: np.ndarray, cut: Cut) -> Parts:
    """The best approximation with few singular values.

    **Arguments**

    - `rows`, `columns`: parities; entries that connect different ones vanish.
    - `before`: the parities of the bond as it was, whose dimension is a guess of the new one.
    """
    norm = float(np.linalg.norm(matrix))
    if not np.isfinite(norm) or norm == 0:
        raise NumericalError("The matrix product became zero or infinite; take a smaller step.")
    for guess in (True, False):
        blocks = _blocks(matrix, rows, columns, before, guess=guess)
        values = np.concatenate([block.values for block in blocks])
        kept = _kept(values, norm, cut)
        weight = max(0.0, 1 - float(np.sum((values[kept] / norm) ** 2)))
        if not guess or _wide_enough(blocks, kept):
            break
    charges = np.concatenate([np.full(len(block.values), block.parity) for block in blocks])
    if len(blocks) == 1 and isinstance(blocks[0].rows, slice):
        a, b = blocks[0].a[:, kept], blocks[0].b[kept]
    else:
        a, b = np.zeros((len(rows), len(values))), np.zeros((len(values), len(columns)))
        start = 0
        for block in blocks:
            stop = start + len(block.values)
            a[block.rows, start:stop] = block.a
            b[start:stop, block.columns] = block.b
            start = stop
        a, b = a[:, kept], b[kept]
    return Parts(a, values[kept], b, charges[kept], weight, full=bool(np.sum(kept) >= cut.bond))


def _wide_enough(blocks: list[_Block], kept: np.ndarray) -> bool:
    """Whether no block of a guess keeps nearly all that was looked for, so that more would have been kept."""
    start = 0
    for block in blocks:
        stop = start + len(block.values)
        if np.sum(kept[start:stop]) > ENOUGH * len(block.values) and len(block.values) < min(
            len(block.a), block.b.shape[1]
        ):
            return False
        start = stop
    return True


def _kept(values: np.ndarray, norm: float, cut: Cut) -> np.ndarray:
    """Which singular values stay."""
    order = np.argsort(values)
    weights = np.cumsum((values[order] / norm) ** 2)
    drop = (weights < cut.cutoff) | (values[order] < SMALLEST * norm)
    drop[: max(0, len(values) - cut.bond)] = True
    drop[-1] = False
    kept = np.zeros(len(values), dtype=bool)
    kept[order[~drop]] = True
    return kept


def _blocks(
    matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray, before: np.ndarray, *, guess: bool
) -> list[_Block]:
    if not (np.any(rows) or np.any(columns)):
        a, values, b = _decompose(matrix, len(before) if guess else None)
        return [_Block(slice(None), slice(None), 0, a, values, b)]
    found = []
    for parity in (0, 1):
        i, j = np.flatnonzero(rows == parity), np.flatnonzero(columns == parity)
        if len(i) and len(j):
            count = int(np.sum(before == parity)) if guess else None
            found.append(_Block(i, j, parity, *_decompose(matrix[np.ix_(i, j)], count)))
    return found


def _decompose(matrix: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Singular values and vectors: all, or with `count` somewhat more than that many, by QR decompositions.

    The rows of largest norm span a first guess of the right space, which one product with the matrix and its transpose
    improves, as in Unfried, Hauschild & Pollmann, PRB 107, 155133 (2023).
    """
    short = min(matrix.shape)
    look = short if count is None else count + count // 4 + SPARE
    if short < WIDE or 2 * look > short:
        return _svd(matrix)
    largest = np.argsort(np.linalg.norm(matrix, axis=1))[-look:]
    space, _ = np.linalg.qr(matrix @ matrix[largest].T)
    right, rest = np.linalg.qr(matrix.T @ space)
    left, values, mixed = _svd(rest.T)
    return space @ left, values, mixed @ right.T


def _svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        return np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:  # divide and conquer fails on rare matrices, on which QR iterations do not
        return scipy.linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
