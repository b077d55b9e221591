"""Tables that make up a Lindbladian: maps on rho as a vector, and -i (X - X^+)."""

from collections.abc import Iterable
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
    return found


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
