"""Operators with coefficients that depend on time, sum_n f_n(t) X_n; every lane of a vector has its own clock."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Complex, Float

from neurho._types import Coefficient
from neurho.model.operators import LocalTerm, Operator
from neurho.trajectories.moves import Moves, Vector, add, moves_of, total_of, zeros_like
from neurho.trajectories.space import Space


class Sum(eqx.Module):
    """sum_n f_n(t) X_n; f = None stands for 1."""

    parts: tuple[Moves, ...]
    functions: tuple[Coefficient | None, ...] = eqx.field(static=True)

    def apply(self, psi: Vector, sector: Float[Array, " lanes"], t: Float[Array, " lanes"]) -> Vector:
        """X(t) psi, every lane at its own time."""
        total = zeros_like(psi)
        for function, part in zip(self.functions, self.parts, strict=True):
            found = part.apply(psi, sector)
            total = add(total, found if function is None else times(at_times(function, t), found))
        return total

    def expect(self, psi: Vector, sector: Float[Array, " lanes"], t: Float[Array, " lanes"]) -> Float[Array, " lanes"]:
        """Re <psi|X(t)|psi>, not divided by <psi|psi>."""
        if all(function is None for function in self.functions):
            zero = jnp.zeros(psi[0].shape[-1], psi[0].dtype)
            return sum((part.expect(psi, sector) for part in self.parts), start=zero)
        found = self.apply(psi, sector, t)
        return total_of(psi[0] * found[0] + psi[1] * found[1])


def at_times(function: Coefficient | None, t: Float[Array, "*n"]) -> Complex[Array, "*n"]:
    """The values of a coefficient at many times; it is called outside of the program, with one float at a time."""
    if function is None:
        return jnp.ones(t.shape, complex)

    def values(t: np.ndarray) -> np.ndarray:
        found = [complex(function(float(one))) for one in np.ravel(t)]
        return np.array(found, dtype=complex).reshape(np.shape(t))

    return jax.pure_callback(values, jax.ShapeDtypeStruct(t.shape, np.dtype(complex)), t)


def times(factor: Complex[Array, " lanes"], psi: Vector) -> Vector:
    """A vector times one complex number for every lane."""
    a, b = factor.real.astype(psi[0].dtype), factor.imag.astype(psi[0].dtype)
    return a * psi[0] - b * psi[1], b * psi[0] + a * psi[1]


def sum_of(operator: Operator, space: Space, dtype: DTypeLike, *, change: int = 0) -> Sum:
    """The moves of an operator, coefficient by coefficient."""
    groups = by_coefficient(operator)
    made = [(f, moves_of(part, space, dtype, change=change)) for f, part in groups.items()]
    kept = [(f, moves) for f, moves in made if moves.moves]
    return Sum(parts=tuple(m for _, m in kept), functions=tuple(f for f, _ in kept))


def by_coefficient(operator: Operator) -> dict[Coefficient | None, Operator]:
    """The parts of an operator that share a coefficient, without it."""
    groups: dict[Coefficient | None, tuple[LocalTerm, ...]] = {}
    for term in operator.merged().terms:
        groups[term.coefficient] = (*groups.get(term.coefficient, ()), LocalTerm(term.sites, term.matrix))
    return {f: Operator(operator.local_dim, terms).merged() for f, terms in groups.items()}


def norm_bound(operators: Sequence[Operator]) -> float:
    """The sum of the spectral norms of all terms, support by support."""
    return float(sum(np.linalg.norm(term.matrix, 2) for o in operators for term in o.merged().terms))
