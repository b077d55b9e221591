"""Sparse tables that make up a Lindbladian: maps on rho as a vector, and sums whose coefficients depend on time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sparse

BLOCK = 128
"""Rows and columns of a matrix that are transposed together: few enough to stay in the cache."""


@dataclass(frozen=True, eq=False)
class Channels:
    """Matrices sum_c f_c M_c on one pattern of non-zeros; `data` has shape `(channels, non-zeros)`."""

    pattern: sparse.csr_array
    data: np.ndarray
    is_real: bool

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return len(self.data)

    @classmethod
    def build(cls, matrices: Sequence[sparse.csr_array], size: int) -> "Channels":
        """From matrices with `size` rows and columns."""
        parts = [matrix.tocoo() for matrix in matrices]
        places = [size * part.row.astype(np.int64) + part.col for part in parts]
        used = np.unique(np.concatenate(places))
        data = np.zeros((len(parts), len(used)), dtype=complex)
        for row, part, place in zip(data, parts, places, strict=True):
            np.add.at(row, np.searchsorted(used, place), part.data)
        where = (used // size, used % size)
        pattern = sparse.coo_array((np.ones(len(used)), where), shape=(size, size)).tocsr()
        return cls(pattern, data, not np.any(np.imag(data)))

    def at(
        self, values: Sequence[complex], more: sparse.csr_array | None = None
    ) -> tuple[sparse.csr_array | None, sparse.csr_array | None]:
        """Real and imaginary part of sum_c `values[c]` M_c + `more`, None where nothing is there."""
        if more is None and self.is_real and self.pattern.nnz and not any(complex(f).imag for f in values):
            return self._like(np.real(values) @ self._real), None
        total = np.asarray(values, dtype=complex) @ self.data
        if more is not None:
            whole = (self._like(total) + more).tocsr()
            return _or_none(whole.real), _or_none(whole.imag)
        real, imag = (np.ascontiguousarray(part(total)) for part in (np.real, np.imag))
        return (self._like(real) if np.any(real) else None, self._like(imag) if np.any(imag) else None)

    @cached_property
    def _real(self) -> np.ndarray:
        """The real parts, side by side in memory."""
        return np.ascontiguousarray(np.real(self.data))

    def _like(self, data: np.ndarray) -> sparse.csr_array:
        found: Any = object.__new__(type(self.pattern))  # a constructor would check all indices again
        found.__dict__.update(self.pattern.__dict__)
        found.data = data
        return found


def _or_none(matrix: sparse.csr_array) -> sparse.csr_array | None:
    return sparse.csr_array(matrix) if matrix.count_nonzero() else None


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
