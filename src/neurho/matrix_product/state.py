"""Matrix-product density matrices: tensors in canonical form around a centre, and gates that keep them so.

The coefficients of rho in the Hermitian basis are x_(a_1 ... a_N) = T_1[a_1] T_2[a_2] ... T_N[a_N], T_j of shape
`(left, d^2, right)`. The T left and right of the centre are isometries, so that cutting small singular values at the
centre is the best approximation in the Frobenius norm, whether or not the gates are unitary. Real NumPy arrays.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np

from neurho._types import require
from neurho.matrix_product.basis import coefficients, parities
from neurho.matrix_product.decompose import Cut, Parts, split


@dataclass(frozen=True, eq=False)
class State:
    """A matrix-product density matrix.

    - `tensors`: one for each place, `(left, d^2, right)`.
    - `charges`: the parity of every index of every bond, the two ends included; all zero where parity is not used.
    - `local`: the parity of the basis matrices of one site, `(d^2,)`, or zeros.
    - `centre`: the place of the tensor that carries the norm.
    - `discarded`: the sum of all weights cut so far, each in units of the squared norm.
    - `worst`: the largest weight cut at once for want of bond dimension (not by the cut-off) since it was set to zero.
    """

    tensors: tuple[np.ndarray, ...]
    charges: tuple[np.ndarray, ...]
    local: np.ndarray
    centre: int
    discarded: float = 0.0
    worst: float = 0.0

    @property
    def sites(self) -> int:
        """Number of places."""
        return len(self.tensors)

    @property
    def bonds(self) -> tuple[int, ...]:
        """Dimensions of the bonds between neighbouring places."""
        return tuple(t.shape[2] for t in self.tensors[:-1])

    @cached_property
    def norm(self) -> float:
        """||rho||_F."""
        return float(np.linalg.norm(self.tensors[self.centre]))


class Gate(NamedTuple):
    """A real matrix `(d^2k, d^2k)` that acts on k = 2 or 3 places from `place` on, the first the slowest index."""

    place: int
    matrix: np.ndarray


def product_state(matrices: np.ndarray, *, parity: bool) -> State:
    """The product of one-site density matrices `(sites, d, d)`, in the order of the line."""
    vectors = one_site_vectors(matrices)
    norms = np.linalg.norm(vectors, axis=1)
    units = [(v / n)[None, :, None] for v, n in zip(vectors, norms, strict=True)]
    units[-1] = units[-1] * np.prod(norms)
    local = parities(matrices.shape[1]) if parity else np.zeros(vectors.shape[1], dtype=int)
    ends = tuple(np.zeros(1, dtype=int) for _ in range(len(units) + 1))
    return State(tensors=tuple(units), charges=ends, local=local, centre=len(units) - 1)


def one_site_vectors(matrices: np.ndarray) -> np.ndarray:
    """Coefficients of one-site density matrices `(sites, d, d)`, `(sites, d^2)`."""
    return np.array([np.real(coefficients(matrix, matrices.shape[1], 1)) for matrix in matrices])


def is_even(matrices: np.ndarray) -> bool:
    """Whether one-site density matrices `(sites, d, d)` have no part of odd parity."""
    return not np.any(np.abs(one_site_vectors(matrices)[:, parities(matrices.shape[1]) == 1]) > 1e-15)


def apply(state: State, gates: Sequence[Gate], cut: Cut) -> State:
    """Apply gates one after the other, moving the centre to each; the bonds on which one acts are cut."""
    tensors, charges, centre = list(state.tensors), list(state.charges), state.centre
    discarded, worst, size = state.discarded, state.worst, len(state.local)
    for number, (left, matrix) in enumerate(gates):
        last = left + (1 if len(matrix) == size**2 else 2)
        _move(tensors, charges, state.local, centre, min(max(centre, left), last))
        following = gates[number + 1].place if number + 1 < len(gates) else None
        right = centre <= left if following is None else following >= left
        low, high = tensors[left].shape[0], tensors[last].shape[2]
        theta = tensors[left]
        for tensor in tensors[left + 1 : last + 1]:
            theta = np.tensordot(theta, tensor, 1).reshape(low, -1, tensor.shape[2])
        theta = np.matmul(matrix, theta.transpose(1, 0, 2).reshape(len(matrix), low * high))
        theta = theta.reshape(len(matrix), low, high).transpose(1, 0, 2)
        for parts in _cut(tensors, charges, state.local, theta, range(left, last), cut, right=right):
            discarded += parts.weight
            if parts.full:
                worst = max(worst, parts.weight)
        centre = last if right else left
    return State(tuple(tensors), tuple(charges), state.local, centre, discarded, worst)


def _cut(
    tensors: list[np.ndarray],
    charges: list[np.ndarray],
    local: np.ndarray,
    theta: np.ndarray,
    bonds: range,
    cut: Cut,
    *,
    right: bool,
) -> Iterator[Parts]:
    """Take `theta` `(left, labels, right)` apart at the bonds behind some places, in place; the centre ends at the
    `right` end or at the left one.
    """
    size = len(local)
    for bond in bonds if right else reversed(bonds):
        inner = [local] * (bonds[-1] - bond if right else bond - bonds[0])  # labels that stay together
        rows = reduce(_fused, [charges[bond if right else bonds[0]], local, *([] if right else inner)])
        columns = reduce(_fused, [local, *(inner if right else []), charges[bonds[-1] + 2 if right else bond + 2]])
        parts = split(theta.reshape(len(rows), len(columns)), rows, columns, charges[bond + 1], cut)
        first, second = (parts.a, parts.values[:, None] * parts.b) if right else (parts.a * parts.values, parts.b)
        tensors[bond] = first.reshape(-1, size, len(parts.values))
        tensors[bond + 1] = second.reshape(len(parts.values), size, -1)
        charges[bond + 1] = parts.charges
        theta = second if right else first
        yield parts


def _fused(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The parities of pairs of indices, the first slower."""
    return np.bitwise_xor.outer(first, second).ravel()


def moved(state: State, centre: int) -> State:
    """The same state with another centre."""
    tensors, charges = list(state.tensors), list(state.charges)
    _move(tensors, charges, state.local, state.centre, centre)
    return replace(state, tensors=tuple(tensors), charges=tuple(charges), centre=centre)


def _move(tensors: list[np.ndarray], charges: list[np.ndarray], local: np.ndarray, centre: int, target: int) -> None:
    """Move the centre, in place, by QR decompositions within each parity."""
    for j in range(centre, target):
        low, size, high = tensors[j].shape
        isometry, rest, parity = orthogonal(
            tensors[j].reshape(low * size, high), _fused(charges[j], local), charges[j + 1]
        )
        tensors[j], charges[j + 1] = isometry.reshape(low, size, -1), parity
        tensors[j + 1] = np.tensordot(rest, tensors[j + 1], 1)
    for j in range(centre, target, -1):
        low, size, high = tensors[j].shape
        isometry, rest, parity = orthogonal(
            tensors[j].reshape(low, size * high).T, _fused(local, charges[j + 1]), charges[j]
        )
        tensors[j], charges[j] = isometry.T.reshape(-1, size, high), parity
        tensors[j - 1] = np.tensordot(tensors[j - 1], rest.T, 1)


def orthogonal(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Q, R and the parities of the index between them: Q R = matrix, parity by parity."""
    if not (np.any(rows) or np.any(columns)):
        q, r = np.linalg.qr(matrix)
        return q, r, np.zeros(len(r), dtype=int)
    found, parity = [], []
    for value in (0, 1):
        i, j = np.flatnonzero(rows == value), np.flatnonzero(columns == value)
        if len(i) and len(j):
            q, r = np.linalg.qr(matrix[np.ix_(i, j)])
            found.append((i, j, q, r))
            parity += [value] * len(r)
    left, right = np.zeros((len(rows), len(parity))), np.zeros((len(parity), len(columns)))
    start = 0
    for i, j, q, r in found:
        stop = start + len(r)
        left[i, start:stop] = q
        right[start:stop, j] = r
        start = stop
    return left, right, np.array(parity, dtype=int)


def overlap(a: State, b: State) -> float:
    """tr(rho sigma)."""
    total = np.ones((1, 1))
    for x, y in zip(a.tensors, b.tensors, strict=True):
        total = np.tensordot(x, np.tensordot(total, y, 1), ((0, 1), (0, 1)))
    return float(total[0, 0])


def distance(a: State, b: State) -> float:
    """||rho - sigma||_F/||rho||_F, where it is above the rounding of norms, about 1e-8."""
    return float(np.sqrt(max(a.norm**2 - 2 * overlap(a, b) + b.norm**2, 0.0)) / a.norm)


def scaled(state: State, factor: float) -> State:
    """The state times a number, in memory as if read back: sums of the same numbers in another order may differ."""
    tensors = [np.ascontiguousarray(t) for t in state.tensors]
    tensors[state.centre] = tensors[state.centre] * factor
    return replace(state, tensors=tuple(tensors))


def to_arrays(state: State) -> dict[str, np.ndarray]:
    """The state as plain arrays by name."""
    arrays = {f"tensor_{j}": t for j, t in enumerate(state.tensors)}
    arrays |= {f"charges_{j}": q for j, q in enumerate(state.charges)}
    return arrays | {"local": state.local, "numbers": np.array([state.centre, state.discarded, state.worst])}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> State:
    """The state that `to_arrays` took apart, the same to the last bit.

    **Raises** `NeurhoError` for arrays that are none.
    """
    sites = sum(name.startswith("tensor_") for name in arrays)
    require(
        sites > 0 and {"numbers", "local"} <= set(arrays),
        "arrays",
        "be those of a matrix product",
        f"their names are {sorted(arrays)[:5]}",
    )
    centre, discarded, worst = np.asarray(arrays["numbers"])
    return State(
        tensors=tuple(np.asarray(arrays[f"tensor_{j}"]) for j in range(sites)),
        charges=tuple(np.asarray(arrays[f"charges_{j}"]) for j in range(sites + 1)),
        local=np.asarray(arrays["local"]),
        centre=int(centre),
        discarded=float(discarded),
        worst=float(worst),
    )
