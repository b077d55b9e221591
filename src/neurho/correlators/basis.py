"""Operator strings: the letters that one site can carry, and local terms of the Lindbladian between them.

rho = d^-N sum_P c_P P,   c_P = Tr(P rho),   P = B_{p_1} x B_{p_2} x ...,   Tr(B_a B_b) = d delta_ab,  B_0 = 1

so that all c_P are real, c of the identity is the trace, and for spins 1/2 the letters 1, 2, 3 are Pauli X, Y, Z.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import combinations

import numpy as np

from neurho._types import Coefficient
from neurho.matrix_elements.generator import lindbladian_terms
from neurho.model.operators import Lindbladian, Operator, evaluate


def letters(dim: int) -> np.ndarray:
    """The identity and d^2 - 1 traceless Hermitian matrices with Tr(B_a B_b) = d delta_ab, `(d^2, d, d)`.

    Pauli X, Y, Z for d = 2, generalised Gell-Mann matrices above: for each pair of levels the symmetric and the
    antisymmetric one, then the diagonal ones.

    ```python
    import neurho

    assert neurho.correlators.letters(2).shape == (4, 2, 2)  # 1, X, Y, Z
    ```
    """
    found = [np.eye(dim, dtype=complex)]
    for m, n in combinations(range(dim), 2):
        unit = np.zeros((dim, dim), dtype=complex)
        unit[m, n] = 1
        found += [np.sqrt(dim / 2) * (unit + unit.T), np.sqrt(dim / 2) * (-1j * unit + 1j * unit.T)]
    for n in range(1, dim):
        diagonal = np.zeros(dim)
        diagonal[:n], diagonal[n] = 1, -n
        found.append(np.diag(np.sqrt(dim / (n * (n + 1))) * diagonal).astype(complex))
    return np.stack(found)


def from_labels(dim: int) -> np.ndarray:
    """T of shape `(letter, label)`: c_a = sum_x T[a, x] rho_x for a matrix on one site with label x = d l + r."""
    return letters(dim).transpose(0, 2, 1).reshape(dim**2, dim**2)


def string_matrix(matrix: np.ndarray, dim: int, sites: int) -> np.ndarray:
    """A linear map on labels of a few sites, `(d^(2k), d^(2k))`, as the map of the c_P of these sites."""
    forward = from_labels(dim)
    backward = letters(dim).reshape(dim**2, dim**2).T / dim
    return reduce(np.kron, [forward] * sites) @ matrix @ reduce(np.kron, [backward] * sites)


class Channel:
    """One real coefficient of local terms: the real part of f(t), or minus its imaginary part."""

    def __init__(self, function: Coefficient | None, unit: complex = 1.0) -> None:
        self.function, self.unit = function, unit

    def __call__(self, t: float) -> float:
        """The coefficient at time t."""
        return float((self.unit * complex(evaluate(self.function, t))).real)


def real_terms(lindbladian: Lindbladian) -> tuple[dict[tuple[int, ...], np.ndarray], tuple[Channel, ...]]:
    """The Lindbladian as real local matrices: by support, R of shape `(channels, d^(2k), d^(2k))`, and coefficients.

    dc_P/dt = sum over supports S, channels n, letters b of  g_n(t) R_n[P_S, b] c_{P with b on S}.  The row of the
    identity vanishes, as each term preserves the trace: a string feels only the terms that touch its support.
    """
    terms, functions = lindbladian_terms(lindbladian)
    dim, count = lindbladian.local_dim, len(functions)
    merged: dict[tuple[int, ...], np.ndarray] = {}
    for term in terms:
        k = len(term.sites)
        total = merged.setdefault(term.sites, np.zeros((2 * count, dim ** (2 * k), dim ** (2 * k))))
        matrix = string_matrix(term.matrix, dim, k)
        total[2 * term.channel] += np.real(matrix)
        total[2 * term.channel + 1] += np.imag(matrix)
    scale = max((float(np.max(np.abs(m))) for m in merged.values()), default=0.0)
    used = [n for n in range(2 * count) if any(np.max(np.abs(m[n])) > 1e-14 * scale for m in merged.values())]
    # A constant channel is real: what its imaginary part adds up to is rounding.
    used = [n for n in used if functions[n // 2] is not None or n % 2 == 0]
    channels = tuple(Channel(functions[n // 2], 1j if n % 2 else 1.0) for n in used)
    return {support: _cleaned(m[used], scale) for support, m in merged.items()}, channels


def _cleaned(matrices: np.ndarray, scale: float) -> np.ndarray:
    return np.where(np.abs(matrices) > 1e-14 * scale, matrices, 0.0)


def operator_strings(operator: Operator) -> list[tuple[tuple[int, ...], tuple[int, ...], float]]:
    """A Hermitian operator X as `(sites, letters, coefficient)` of strings: <X> = sum of coefficient c_P.

    ```python
    import neurho

    found = neurho.correlators.operator_strings(neurho.sx(0) @ neurho.sz(2))
    assert found == [((0, 2), (1, 3), 1.0)]  # sites, letters, factor
    ```
    """
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    matrices = letters(operator.local_dim)
    for term in operator.terms:
        k = len(term.sites)
        tensor = term.matrix.reshape((operator.local_dim,) * (2 * k))
        for j in range(k):  # Tr_j(B_a X)/d, one site after the other; the axes of site j become one of letters
            rows, columns = j, k
            tensor = np.tensordot(matrices, tensor, axes=([2, 1], [rows, columns])) / operator.local_dim
            tensor = np.moveaxis(tensor, 0, j)
        for place in np.argwhere(np.abs(tensor) > 1e-15):
            sites = tuple(s for s, a in zip(term.sites, place, strict=True) if a)
            key = (sites, tuple(int(a) for a in place if a))
            found[key] = found.get(key, 0.0) + float(np.real(tensor[tuple(place)]))
    return [(sites, word, value) for (sites, word), value in found.items()]


def product_letters(factors: np.ndarray) -> np.ndarray:
    """Tr(B_a rho_j) of the density matrices of single sites `(sites, d, d)`, as `(sites, d^2)`.

    ```python
    import numpy as np
    import neurho

    up = np.diag([1.0, 0.0])
    assert neurho.correlators.product_letters(np.array([up, up])).tolist() == [[1, 0, 0, 1]] * 2
    ```
    """
    return np.real(np.einsum("aml,jlm->ja", letters(factors.shape[-1]), factors))


def to_correlators(rho: np.ndarray, sites: int) -> np.ndarray:
    """All c_P of a density matrix of a small system, `(d^2,) * sites`.

    ```python
    import neurho

    c = neurho.correlators.to_correlators(neurho.exact.product_state("neel", 2), 2)
    assert abs(c[3, 3] + 1) < 1e-12  # <ZZ>
    ```
    """
    dim = round(len(rho) ** (1 / sites))
    order = [axis for j in range(sites) for axis in (j, sites + j)]
    table = rho.reshape((dim,) * (2 * sites)).transpose(order).reshape((dim**2,) * sites)
    transform: Sequence[np.ndarray] = [from_labels(dim)] * sites
    for j, matrix in enumerate(transform):
        table = np.moveaxis(np.tensordot(matrix, table, axes=([1], [j])), 0, j)
    return np.real(table)


def from_correlators(table: np.ndarray) -> np.ndarray:
    """The density matrix of all c_P of a small system, `(d^2,) * sites`.

    ```python
    import numpy as np
    import neurho

    rho = neurho.exact.product_state("+x", 2)
    table = neurho.correlators.to_correlators(rho, 2)
    assert np.allclose(neurho.correlators.from_correlators(table), rho)
    ```
    """
    sites, dim = table.ndim, round(table.shape[0] ** 0.5)
    backward = letters(dim).reshape(dim**2, dim**2).T / dim
    for j in range(sites):
        table = np.moveaxis(np.tensordot(backward, table, axes=([1], [j])), 0, j)
    split = table.reshape((dim,) * (2 * sites))
    return split.transpose([*range(0, 2 * sites, 2), *range(1, 2 * sites, 2)]).reshape(dim**sites, dim**sites)
