"""Arnoldi iterations over Hermitian matrices and the inverse of the effective part of L."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

DEFECTIVE = 1e6
"""Condition number of the eigenvectors of K from which K is perturbed."""


Map: TypeAlias = Callable[[np.ndarray], np.ndarray]


def effective_inverse(effective: np.ndarray, shift: float) -> Map:
    """The map X -> (s - L_eff)^{-1} X on Hermitian matrices, in the eigenvectors of K.

    A near-defective K is lifted by small random losses and energies, which only changes the preconditioner.
    """
    random, scale = np.random.default_rng(0), np.linalg.norm(effective, 1)
    noise = np.diag(-random.uniform(0.5, 1.0, len(effective)) + 1j * random.normal(size=len(effective)))
    for lift in (0.0, 1e-9, 1e-7, 1e-5):
        values, right = np.linalg.eig(effective + lift * scale * noise)
        if np.linalg.cond(right) < DEFECTIVE:
            break
    left = np.linalg.inv(right)
    divisor = shift - values[:, None] - values.conj()[None, :]
    right_adjoint, left_adjoint = right.conj().T.copy(), left.conj().T.copy()

    def solve(matrix: np.ndarray) -> np.ndarray:
        inner = left @ matrix @ left_adjoint
        inner /= divisor
        out = right @ inner @ right_adjoint
        return (out + out.conj().T) / 2

    return solve


def arnoldi(step: Map, start: np.ndarray, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis (real scalar product Re tr A^+ B) of a Krylov space and its Hessenberg matrix `(m + 1, m)`."""
    size = len(start)
    basis, hessenberg = np.empty((vectors + 1, 2 * size**2)), np.zeros((vectors + 1, vectors))
    basis[0] = _as_vector(start) / np.linalg.norm(start)
    for n in range(vectors):
        new = _as_vector(step(_as_matrix(basis[n], size)))
        length = np.linalg.norm(new)
        for _ in range(2):  # twice is enough
            overlap = basis[: n + 1] @ new
            new -= overlap @ basis[: n + 1]
            hessenberg[: n + 1, n] += overlap
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
