"""Jump operators as matrices: those that depend on time, those that do not, and what they move."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sparse

from neurho._types import Coefficient
from neurho.model.operators import Jump, Lindbladian, LocalTerm, Operator, embed, evaluate

_Block: TypeAlias = tuple[int | slice, ...]


class BlockMoves(NamedTuple):
    """A jump c rho c^+ as moves of blocks: `shape` splits rows and columns at the sites of c; (to, from, factor)."""

    shape: tuple[int, ...]
    moves: tuple[tuple[_Block, _Block, complex], ...]


Weighted: TypeAlias = tuple[float, Operator, sparse.csr_array]
"""A rate, the operator and its matrix."""
Parts: TypeAlias = tuple[tuple[Coefficient | None, Operator], ...]
"""Operators by the coefficient that multiplies each."""


def by_coefficient(operator: Operator) -> Parts:
    """The operator that belongs to each coefficient f(t); their sum with f(t) is the whole."""
    terms: dict[Coefficient | None, tuple[LocalTerm, ...]] = {}
    for term in operator.terms:
        terms[term.coefficient] = (*terms.get(term.coefficient, ()), LocalTerm(term.sites, term.matrix))
    return tuple((f, Operator(operator.local_dim, part)) for f, part in terms.items())


def moves_itself(jump: Jump) -> bool:
    """Whether the operator of a jump depends on time."""
    return any(term.coefficient is not None for term in jump.operator.terms)


def is_moving(jump: Jump) -> bool:
    """Whether a jump depends on time."""
    return callable(jump.rate) or moves_itself(jump)


def active(model: Lindbladian) -> list[Jump]:
    """The jumps that do not depend on time and do something."""
    return [j for j in model.jumps if not is_moving(j) and evaluate(j.rate, 0.0) > 0 and j.operator.terms]


def on_support(operator: Operator) -> np.ndarray:
    """The matrix of a constant operator on its own sites."""
    support = operator.support
    return np.sum([embed(term, support, operator.local_dim) for term in operator.terms], axis=0)


def loss(jumps: Sequence[Weighted], dimension: int) -> sparse.csr_array:
    """1/2 sum_j gamma_j c_j^+ c_j."""
    if not jumps:
        return sparse.csr_array((dimension, dimension), dtype=complex)
    stacked = sparse.csr_array(sparse.vstack([np.sqrt(rate / 2) * jump for rate, _, jump in jumps], format="csr"))
    return (stacked.conj().T @ stacked).tocsr()


def block_moves(rate: float, matrix: np.ndarray, support: tuple[int, ...], sites: int, dim: int) -> BlockMoves:
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
    return BlockMoves((*shape, *shape), tuple(moves))
