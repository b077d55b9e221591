"""The Lindbladian applied to a dense density matrix, without ever making a superoperator."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import eigsh

from neurho._types import Coefficient
from neurho.exact.density import require_shape
from neurho.operators import Jump, Lindbladian, LocalTerm, Operator, embed, evaluate, rate_at, value_at

LARGEST_SUPPORT = 512
"""Largest number of rows of a jump on its own sites that is looked at for its structure."""

_Block: TypeAlias = tuple[int | slice, ...]


class _Moves(NamedTuple):
    """A jump c rho c^+ as moves of blocks: `shape` splits rows and columns at the sites of c; (to, from, factor)."""

    shape: tuple[int, ...]
    moves: tuple[tuple[_Block, _Block, complex], ...]


class Generator(NamedTuple):
    """L at one time: K; all diagonal jumps as one weight per entry of rho; block moves; products c rho c^+."""

    effective: sparse.csr_array
    weights: np.ndarray | None
    moves: tuple[_Moves, ...]
    products: tuple[tuple[float, sparse.csr_array], ...]

    def apply(self, rho: np.ndarray) -> np.ndarray:
        """L rho for a Hermitian rho: K rho + (K rho)^+ saves the second product."""
        out = self.effective @ rho
        out += out.conj().T
        if self.weights is not None:
            out += self.weights * rho
        for shape, moves in self.moves:
            source, target = rho.reshape(shape), out.reshape(shape)
            for to, origin, factor in moves:
                target[to] += factor * source[origin]
        for rate, jump in self.products:
            out += rate * (jump @ np.ascontiguousarray((jump @ rho).conj().T))
        return out


@dataclass(frozen=True, eq=False)
class ExactLindbladian:
    """A Lindbladian that acts on density matrices of shape `(D, D)`, D = d^N.

    **Arguments**

    - `lindbladian`: Hamiltonian, jumps and rates; coefficients may depend on time.
    """

    lindbladian: Lindbladian

    @property
    def dimension(self) -> int:
        """D = d^N, the number of rows of rho."""
        return self.lindbladian.local_dim**self.lindbladian.sites

    def apply(self, rho: np.ndarray, t: float = 0.0) -> np.ndarray:
        """L rho at time t for any matrix rho of shape `(D, D)`, Hermitian or not."""
        require_shape(rho, self.dimension)
        generator = self.at(t)
        out = generator.apply((rho + rho.conj().T) / 2)
        rest = (rho - rho.conj().T) / 2j
        return out + 1j * generator.apply(rest) if np.any(rest) else out

    def at(self, t: float) -> Generator:
        """The generator with coefficients and rates at time t; what is constant is built once."""
        model = self.lindbladian
        if not model.is_time_dependent:
            return self._constant
        if model.hermitian_at is not None:
            model.hermitian_at(t)
        moving = [
            (rate_at(model.jumps[number].rate, t, f"jumps[{number}].rate"), _at_time(parts, t, f"jumps[{number}]"))
            for number, parts in self._moving_jumps.items()
        ]
        effective = self._constant.effective - _loss(moving, self.dimension)
        if self._driven:
            effective = effective - 1j * _at_time(self._driven, t, "hamiltonian")
        return self._constant._replace(
            effective=effective.tocsr(), products=(*self._constant.products, *(p for p in moving if p[0] > 0))
        )

    @cached_property
    def _driven(self) -> "_Parts":
        """The Hamiltonian as far as it depends on time."""
        terms = self.lindbladian.hamiltonian.terms
        moving = Operator(self.lindbladian.local_dim, tuple(h for h in terms if h.coefficient is not None))
        return _by_coefficient(moving, self.lindbladian.sites)

    @cached_property
    def _moving_jumps(self) -> dict[int, "_Parts"]:
        """Jumps that depend on time, by their number."""
        jumps = enumerate(self.lindbladian.jumps)
        return {n: _by_coefficient(j.operator, self.lindbladian.sites) for n, j in jumps if _is_moving(j)}

    @cached_property
    def _constant(self) -> Generator:
        """All that does not depend on time."""
        model, dim = self.lindbladian, self.lindbladian.local_dim
        fixed = Operator(dim, tuple(h for h in model.hamiltonian.terms if h.coefficient is None))
        jumps = active(model)
        full = [(float(evaluate(j.rate, 0.0)), j.operator.to_sparse(model.sites)) for j in jumps]
        weights: np.ndarray | None = None
        moves, products = [], []
        for jump, (rate, matrix) in zip(jumps, full, strict=True):
            if dim ** len(jump.operator.support) > LARGEST_SUPPORT:
                products.append((rate, matrix))
                continue
            small = _on_support(jump.operator)
            count = np.count_nonzero(small) / len(small)
            if count <= 1 and np.array_equal(small, np.diag(np.diag(small))):
                diagonal = matrix.diagonal()
                weights = (0.0 if weights is None else weights) + rate * np.outer(diagonal, diagonal.conj())
            elif count**2 <= 2 * count + 2:
                moves.append(_block_moves(rate, small, jump.operator.support, model.sites, dim))
            else:
                products.append((rate, matrix))
        effective = -1j * fixed.to_sparse(model.sites) - _loss(full, self.dimension)
        return Generator(effective.tocsr(), weights, tuple(moves), tuple(products))


_Parts: TypeAlias = tuple[tuple[Coefficient | None, sparse.csr_array], ...]


def _by_coefficient(operator: Operator, sites: int) -> _Parts:
    """The sparse matrix that belongs to each coefficient of an operator; their sum with f(t) is the operator."""
    terms: dict[Coefficient | None, tuple[LocalTerm, ...]] = {}
    for term in operator.terms:
        terms[term.coefficient] = (*terms.get(term.coefficient, ()), LocalTerm(term.sites, term.matrix))
    return tuple((f, Operator(operator.local_dim, part).to_sparse(sites)) for f, part in terms.items())


def _at_time(parts: _Parts, t: float, name: str) -> sparse.csr_array:
    """The operator at time t; `name` says in messages what it is."""
    (first, total), *rest = parts
    total = value_at(first, t, name) * total
    for function, matrix in rest:
        total = total + value_at(function, t, name) * matrix
    return total


def _is_moving(jump: Jump) -> bool:
    return callable(jump.rate) or any(term.coefficient is not None for term in jump.operator.terms)


def active(model: Lindbladian) -> list[Jump]:
    """The jumps that do not depend on time and do something."""
    return [j for j in model.jumps if not _is_moving(j) and evaluate(j.rate, 0.0) > 0 and j.operator.terms]


def _on_support(operator: Operator) -> np.ndarray:
    """The matrix of a constant operator on its own sites."""
    support = operator.support
    return np.sum([embed(term, support, operator.local_dim) for term in operator.terms], axis=0)


def _loss(jumps: Sequence[tuple[float, sparse.csr_array]], dimension: int) -> sparse.csr_array:
    """1/2 sum_j gamma_j c_j^+ c_j."""
    total = sparse.csr_array((dimension, dimension), dtype=complex)
    for rate, jump in jumps:
        total = total + (rate / 2) * (jump.conj().T @ jump)
    return total.tocsr()


def _block_moves(rate: float, matrix: np.ndarray, support: tuple[int, ...], sites: int, dim: int) -> _Moves:
    """The moves of gamma c rho c^+ for a matrix c on a few sites."""
    cuts = [-1, *support, sites]
    gaps = [dim ** (b - a - 1) for a, b in pairwise(cuts)]
    shape = [gaps[0], *[n for gap in gaps[1:] for n in (dim, gap)]]

    def half(number: int) -> list[int | slice]:
        digits = np.unravel_index(number, (dim,) * len(support))
        return [slice(None), *[part for digit in digits for part in (int(digit), slice(None))]]

    entries = [(int(to), int(origin), matrix[to, origin]) for to, origin in np.argwhere(matrix)]
    moves = [
        ((*half(to), *half(to_column)), (*half(origin), *half(column)), complex(rate * x * np.conj(y)))
        for to, origin, x in entries
        for to_column, column, y in entries
    ]
    return _Moves((*shape, *shape), tuple(moves))


def norm_bound(exact: ExactLindbladian) -> float:
    """An upper bound of ||L||: the width of the spectrum of H plus 2 sum_j gamma_j ||c_j||^2."""
    model = exact.lindbladian
    hamiltonian = model.hamiltonian.to_sparse(model.sites)
    width = 0.0
    if exact.dimension <= 64:
        width = np.ptp(np.linalg.eigvalsh(hamiltonian.toarray()))
    elif hamiltonian.count_nonzero():
        start = np.random.default_rng(0).normal(size=exact.dimension)
        low, high = (
            eigsh(hamiltonian, k=1, which=end, tol=1e-3, v0=start, return_eigenvectors=False)[0]  # pyright: ignore[reportArgumentType]
            for end in ("SA", "LA")
        )
        width = high - low
    losses = [evaluate(j.rate, 0.0) * _norm(j.operator) ** 2 for j in active(model)]
    return float(1.01 * width + 2 * sum(losses))


def _norm(operator: Operator) -> float:
    """The norm of a constant operator, or an upper bound on many sites: the sum of those of its terms."""
    few = operator.local_dim ** len(operator.support) <= LARGEST_SUPPORT
    return float(
        sum(np.linalg.norm(m, 2) for m in ([_on_support(operator)] if few else [t.matrix for t in operator.terms]))
    )
