"""Density matrices and Lindbladians in a Hermitian basis, in which both are real. NumPy only.

With Hermitian matrices B_a of one site, tr(B_a B_b) = delta_ab and B_0 = 1/sqrt(d), a density matrix of N sites is

    rho = sum_a x_(a_1 ... a_N) B_(a_1) x ... x B_(a_N),    x real,    ||x|| = ||rho||_F

and a Lindbladian a real matrix that acts on x. For spins 1/2 the B are (1, sigma^z, sigma^x, sigma^y)/sqrt(2).
"""

from functools import cache, reduce

import numpy as np

ODD = 1
"""Parity of basis matrices that connect levels whose numbers differ by an odd number."""


@cache
def hermitian_basis(dim: int) -> np.ndarray:
    """The d^2 matrices B_a, `(d^2, d, d)`: 1/sqrt(d) first, and those of even parity before those of odd parity.

    They are the generalised Gell-Mann matrices, divided so that tr(B_a B_b) = delta_ab.
    """
    diagonal = [np.eye(dim) / np.sqrt(dim)]
    for level in range(1, dim):
        entries = np.zeros(dim)
        entries[:level], entries[level] = 1.0, -level
        diagonal.append(np.diag(entries) / np.sqrt(level * (level + 1)))
    pairs = [(l, m) for l in range(dim) for m in range(l + 1, dim)]
    rest = []
    for l, m in sorted(pairs, key=lambda pair: (pair[1] - pair[0]) % 2):
        for upper, lower in ((1, 1), (-1j, 1j)):
            matrix = np.zeros((dim, dim), dtype=complex)
            matrix[l, m], matrix[m, l] = upper, lower
            rest.append(matrix / np.sqrt(2))
    basis = np.array([*diagonal, *rest], dtype=complex)
    basis.flags.writeable = False
    return basis


def parities(dim: int) -> np.ndarray:
    """The parity of each B_a under rho -> U rho U, U = (-1)^level: 0 if it keeps its sign, 1 if not, `(d^2,)`."""
    signs = (-1.0) ** np.arange(dim)
    kept = np.einsum("aij,i,j,aji->a", hermitian_basis(dim), signs, signs, hermitian_basis(dim)).real
    return np.where(kept > 0, 0, ODD)


@cache
def columns(dim: int, sites: int) -> np.ndarray:
    """The matrix whose columns are the products of B_a on `sites` sites, read row by row, `(d^2k, d^2k)`."""
    one = hermitian_basis(dim)
    products = reduce(_products, [one] * sites)
    matrix = products.reshape(len(products), -1).T
    matrix.flags.writeable = False
    return matrix


def coefficients(matrix: np.ndarray, dim: int, sites: int) -> np.ndarray:
    """tr(X B_(a_1) x ... x B_(a_k)) of a matrix on k sites, shape `(d^2,) * k`; real for Hermitian X."""
    values = columns(dim, sites).T @ matrix.T.ravel()
    return values.reshape((dim**2,) * sites)


def commutator(matrix: np.ndarray, dim: int, sites: int) -> np.ndarray:
    """X -> -i [X, .] in the basis, `(d^2k, d^2k)`; real for Hermitian X."""
    eye = np.eye(len(matrix))
    return _in_basis(-1j * (np.kron(matrix, eye) - np.kron(eye, matrix.T)), dim, sites)


def dissipator(matrix: np.ndarray, dim: int, sites: int) -> np.ndarray:
    """X -> c . c^+ - (c^+ c . + . c^+ c)/2 in the basis, real."""
    eye, loss = np.eye(len(matrix)), matrix.conj().T @ matrix
    gain = np.kron(matrix, matrix.conj())
    return np.real(_in_basis(gain - (np.kron(loss, eye) + np.kron(eye, loss.T)) / 2, dim, sites))


def _in_basis(superoperator: np.ndarray, dim: int, sites: int) -> np.ndarray:
    basis = columns(dim, sites)
    return basis.conj().T @ superoperator @ basis


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All Kronecker products of matrices of two lists, those of the second faster."""
    size = a.shape[1] * b.shape[1]
    return np.einsum("aij,bkl->abikjl", a, b).reshape(-1, size, size)
