"""Means of many operators in pure states, read off the vectors without matrices."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from neurho._types import require, require_sites
from neurho.model.operators import Operator
from neurho.trajectories.moves import Moves, Vector, moves_of
from neurho.trajectories.space import Space


class Readings(eqx.Module):
    """<psi|X_n|psi> of Hermitian operators in order."""

    operators: tuple[Moves, ...]

    @property
    def count(self) -> int:
        """Number of operators."""
        return len(self.operators)

    def __call__(self, psi: Vector, sector: Float[Array, " lanes"]) -> Float[Array, "operators lanes"]:
        """Means, not divided by <psi|psi>. Operators that change parity have none in a state of one parity."""
        return jnp.stack([moves.expect(psi, sector) for moves in self.operators])


def require_operators(operators: Sequence[Operator], space: Space) -> None:
    """Refuse what cannot be read.

    **Raises** `NeurhoError` for none, and for operators that are not Hermitian, depend on time, or act elsewhere.
    """
    require(len(operators) > 0, "operators", "hold at least one operator", "it is empty")
    for operator in operators:
        require(operator.local_dim == space.local_dim, "operators", "fit the model", "the local dimensions differ")
        require_sites(operator.support, space.sites, "sites of operators")
        fixed = not any(term.coefficient for term in operator.terms)
        require(fixed, "operators", "not depend on time", "one has a coefficient f(t)")
        require(operator.is_hermitian(), "operators", "be Hermitian", "one is not")


def make_readings(operators: Sequence[Operator], space: Space, dtype: DTypeLike) -> Readings:
    """Compile operators.

    **Raises** `NeurhoError` for those that `require_operators` refuses.
    """
    require_operators(operators, space)
    return Readings(tuple(moves_of(operator, space, dtype) for operator in operators))
