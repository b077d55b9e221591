"""Tables that make up a Lindbladian: maps on rho as a vector, and -i (X - X^+)."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sparse

BLOCK = 128
"""Rows and columns of a matrix that are transposed together: few enough to stay in the cache."""


def superoperator(pairs: Iterable[tuple[float, Any, Any]], size: int) -> sparse.csr_array:
    """The table of rho -> sum_n f_n A_n rho B_n^+ on rho as a vector, row after row."""
    rows, columns, data = ([np.zeros(0, dtype=kind)] for kind in (np.int64, np.int64, complex))
    for factor, left, right in pairs:
        a, b = left.tocoo(), right.tocoo()
        rows.append(np.add.outer(size * a.row.astype(np.int64), b.row).ravel())
        columns.append(np.add.outer(size * a.col.astype(np.int64), b.col).ravel())
        data.append(factor * np.outer(a.data, b.data.conj()).ravel())
    found = sparse.coo_array(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), shape=(size**2, size**2)
    ).tocsr()
    found.eliminate_zeros()
    return compact(found)


def compact(table: Any) -> sparse.csr_array:
    """The same with short indices where they do: products read them as they read the entries."""
    if max(table.nnz, *table.shape) < 2**31:
        table.indices, table.indptr = table.indices.astype(np.int32), table.indptr.astype(np.int32)
    return table


@cache
def unpacking(size: int) -> sparse.csr_array:
    """Columns: an orthonormal basis of Hermitian matrices, row after row, `(size^2, size^2)`.

    Column i size + j is (E_ij + E_ji)/sqrt(2) for i < j, i (E_ij - E_ji)/sqrt(2) for i > j, and E_ii.
    """
    column: Any = np.arange(size**2)
    i, j = column // size, column % size
    mirrored, diagonal, upper = j * size + i, i == j, i < j
    own = np.where(diagonal, 1.0, np.where(upper, 1.0, 1j) * np.sqrt(0.5))
    other = np.where(diagonal, 0.0, own.conj())
    entries = (np.concatenate([own, other]), (np.concatenate([column, mirrored]), np.concatenate([column, column])))
    found = sparse.coo_array(entries, shape=(size**2,) * 2).tocsr()
    found.eliminate_zeros()
    return compact(found)


def packed(rho: np.ndarray) -> np.ndarray:
    """The real coefficients of a Hermitian matrix in the basis of `unpacking`, `(D^2,)`."""
    table = np.where(_above(len(rho)), np.real(rho), np.imag(rho)) * np.sqrt(2)
    np.fill_diagonal(table, np.real(rho.diagonal()))
    return table.ravel()


def unpacked(vector: np.ndarray, size: int) -> np.ndarray:
    """The Hermitian matrix that has these coefficients."""
    return (unpacking(size) @ vector).reshape(size, size)


@cache
def _above(size: int) -> np.ndarray:
    return np.triu(np.ones((size, size), dtype=bool))


def turned(x: np.ndarray) -> np.ndarray:
    """-i (X - X^+)."""
    out, size = np.empty_like(x), len(x)
    for i in range(0, size, BLOCK):
        for j in range(0, i + 1, BLOCK):
            a, b = x[i : i + BLOCK, j : j + BLOCK], x[j : j + BLOCK, i : i + BLOCK].T
            block = out[i : i + BLOCK, j : j + BLOCK]
            np.add(np.imag(a), np.imag(b), out=np.real(block))
            np.subtract(np.real(b), np.real(a), out=np.imag(block))
            if i != j:
                out[j : j + BLOCK, i : i + BLOCK] = block.conj().T
    return out
