"""Arnoldi iterations over Hermitian matrices and the inverse of the effective part of L."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sparse

DEFECTIVE = 1e6
"""Condition number of the eigenvectors of K from which K is perturbed."""

MOST_BLOCKS = 32
"""Blocks of K that are kept apart, at most: many small ones are quicker together."""

Map: TypeAlias = Callable[[np.ndarray], np.ndarray]


class _Block(NamedTuple):
    """One block of K: which rows it is in, its eigenvalues, its eigenvectors and their inverse."""

    rows: np.ndarray
    values: np.ndarray
    right: np.ndarray
    left: np.ndarray

    def cast(self, kind: type) -> "_Block":
        return self._replace(right=self.right.astype(kind), left=self.left.astype(kind))


class EffectiveInverse:
    """The map X -> (s - L_eff)^{-1} X on Hermitian matrices, in the eigenvectors of K, block by block of K.

    A symmetry of K makes it block-diagonal; blocks of X that are zero cost nothing. A near-defective K is lifted by
    small random losses and energies, which only changes the preconditioner.
    """

    def __init__(self, effective: sparse.csr_array, shift: float) -> None:
        self.shift = shift
        count, labels = sparse.csgraph.connected_components(abs(effective), directed=False)
        rows = [np.flatnonzero(labels == n) for n in range(count)]
        scale = float(abs(effective).sum(axis=0).max())
        self.blocks = (
            [_diagonalised(effective[r][:, r].toarray(), r, scale) for r in rows] if count <= MOST_BLOCKS else []
        )
        if not self.blocks:
            self.blocks = [_diagonalised(effective.toarray(), np.arange(len(labels)), scale)]

    def rough(self) -> "EffectiveInverse":
        """The same in single precision: half the work."""
        found = object.__new__(EffectiveInverse)
        found.shift, found.blocks = self.shift, [block.cast(np.complex64) for block in self.blocks]
        return found

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """X for a Hermitian matrix, `(D, D)`."""
        if len(self.blocks) == 1:
            out = self._solve(self.blocks[0], self.blocks[0], matrix)
            return (out + out.conj().T) / 2
        out = np.zeros_like(matrix)
        for n, a in enumerate(self.blocks):
            for b in self.blocks[: n + 1]:
                part = matrix[np.ix_(a.rows, b.rows)]
                if not np.any(part):
                    continue
                found = self._solve(a, b, part)
                if a is b:
                    found = (found + found.conj().T) / 2
                else:
                    out[np.ix_(b.rows, a.rows)] = found.conj().T
                out[np.ix_(a.rows, b.rows)] = found
        return out

    def _solve(self, a: _Block, b: _Block, part: np.ndarray) -> np.ndarray:
        inner = a.left @ part.astype(a.left.dtype, copy=False) @ b.left.conj().T
        inner /= self.shift - a.values[:, None] - b.values.conj()[None, :]
        return a.right @ inner @ b.right.conj().T


def _diagonalised(block: np.ndarray, rows: np.ndarray, scale: float) -> _Block:
    random, size = np.random.default_rng(0), len(block)
    noise = np.diag(-random.uniform(0.5, 1.0, size) + 1j * random.normal(size=size))
    for lift in (0.0, 1e-9, 1e-7, 1e-5):
        values, right = np.linalg.eig(block + lift * scale * noise)
        if np.linalg.cond(right) < DEFECTIVE:
            break
    return _Block(rows, values, right, np.linalg.inv(right))


def arnoldi(step: Map, start: np.ndarray, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis (real scalar product Re tr A^+ B) of a Krylov space and its Hessenberg matrix `(m + 1, m)`."""
    size = len(start)
    basis, hessenberg = np.empty((vectors + 1, 2 * size**2)), np.zeros((vectors + 1, vectors))
    basis[0] = _as_vector(start) / np.linalg.norm(start)
    for n in range(vectors):
        new = _as_vector(step(_as_matrix(basis[n], size)))
        length = np.linalg.norm(new)
        for _ in range(2):  # twice is enough, and once where little was taken away
            before = np.linalg.norm(new)
            overlap = basis[: n + 1] @ new
            new -= overlap @ basis[: n + 1]
            hessenberg[: n + 1, n] += overlap
            if np.linalg.norm(new) > 0.7 * before:
                break
        hessenberg[n + 1, n] = np.linalg.norm(new)
        if hessenberg[n + 1, n] <= (1e-14 if n == 0 else 1e-10) * length:  # from here on only rounding
            return basis[: n + 2], hessenberg[: n + 2, : n + 1]
        basis[n + 1] = new / hessenberg[n + 1, n]
    return basis, hessenberg


def fixed_point(basis: np.ndarray, hessenberg: np.ndarray) -> tuple[np.ndarray, float]:
    """The matrix in a Krylov space that its map changes least, and the relative change.

    Of several fixed points the one closest to the first basis vector: the others came in by rounding.
    """
    used = hessenberg.shape[1]
    _, values, right = np.linalg.svd(hessenberg - np.eye(used + 1, used))
    fixed = right[values <= max(values[-1], 1e-9)]
    return _as_matrix((fixed[:, 0] @ fixed) @ basis[:used], round(np.sqrt(basis.shape[1] / 2))), float(values[-1])


def _as_vector(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix).view(float).ravel()


def _as_matrix(vector: np.ndarray, size: int) -> np.ndarray:
    return np.ascontiguousarray(vector).view(complex).reshape(size, size)
