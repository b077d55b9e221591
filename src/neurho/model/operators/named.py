"""Pauli matrices, ladder operators, spins and bosons on one site."""

import numpy as np

from neurho._types import require
from neurho.model.operators.algebra import Operator, local

PAULI_X = np.array([[0, 1], [1, 0]], dtype=complex)


PAULI_Y = np.array([[0, -1j], [1j, 0]], dtype=complex)


PAULI_Z = np.array([[1, 0], [0, -1]], dtype=complex)


SIGMA_MINUS = np.array([[0, 0], [1, 0]], dtype=complex)


def sx(site: int) -> Operator:
    """Pauli matrix sigma^x on one site (not the spin operator: eigenvalues +-1).

    ```python
    import neurho

    assert (neurho.sx(0) @ neurho.sx(0)).to_sparse(1).trace() == 2
    ```
    """
    return local(PAULI_X, site)


def sy(site: int) -> Operator:
    """Pauli matrix sigma^y on one site.

    ```python
    import neurho

    assert neurho.sy(0).to_sparse(1).toarray()[1, 0] == 1j
    ```
    """
    return local(PAULI_Y, site)


def sz(site: int) -> Operator:
    """Pauli matrix sigma^z on one site; "up" is index 0 with eigenvalue +1.

    ```python
    import neurho

    assert neurho.sz(1).to_sparse(2).diagonal().real.tolist() == [1, -1, 1, -1]
    ```
    """
    return local(PAULI_Z, site)


def sm(site: int) -> Operator:
    """Lowering operator sigma^- = |down><up|.

    ```python
    import neurho

    jump = 0.5 * neurho.sm(0) @ neurho.sm(1)
    assert jump.support == (0, 1)
    ```
    """
    return local(SIGMA_MINUS, site)


def sp(site: int) -> Operator:
    """Raising operator sigma^+ = |up><down|.

    ```python
    import neurho

    n = neurho.sp(2) @ neurho.sm(2)
    assert n.is_hermitian() and n.support == (2,)
    ```
    """
    return local(SIGMA_MINUS.T, site)


def destroy(site: int, local_dim: int) -> Operator:
    """Boson annihilation operator truncated to `local_dim` levels, a|n> = sqrt(n)|n-1>; index n is the number.

    ```python
    import neurho

    a = neurho.destroy(0, 4)
    assert (a.adjoint() @ a).to_sparse(1).diagonal().real.round(12).tolist() == [0, 1, 2, 3]
    ```
    """
    return local(np.diag(np.sqrt(np.arange(1, local_dim)), 1), site, local_dim=local_dim)


def spin(site: int, axis: int, local_dim: int) -> Operator:
    """Spin operator S^a (a = 0, 1, 2 for x, y, z) of spin s = (d-1)/2; index 0 is m = +s. S = sigma/2 for d = 2.

    ```python
    import neurho

    assert neurho.spin(0, 2, 3).to_sparse(1).diagonal().real.tolist() == [1, 0, -1]
    ```
    """
    require(axis in (0, 1, 2), "axis", "be 0, 1 or 2", f"it is {axis}")
    s = (local_dim - 1) / 2
    m = s - np.arange(local_dim)
    raising = np.diag(np.sqrt(s * (s + 1) - m[1:] * (m[1:] + 1)), 1)
    return local([(raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(m)][axis], site, local_dim=local_dim)
