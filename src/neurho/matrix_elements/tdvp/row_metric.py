"""The same least-squares problem in a norm that mixes configurations: with all of its rows, for exact sums.

With D from [`neurho.matrix_elements.estimation.depolarised`][] and u = D rho/||D rho||

    A_k = D (rho O_k)/||D rho|| - u <u, .>,     b = D (rho L_loc)/||D rho|| - u <u, .>,      S = A^T A,   f = A^T b,

where the last terms, the part along rho, are there with centring: rho is then a ray, as in the Fubini-Study norm. The
memory is that of A, (configurations that are summed) x 2 x parameters.
"""

from collections.abc import Callable
from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from neurho._jax.parallel import map_samples
from neurho.matrix_elements.estimation.depolarised import Depolarised, parts
from neurho.matrix_elements.estimation.estimators import CHUNK
from neurho.matrix_elements.networks.base import AbstractAnsatz, log_amplitudes, log_derivatives
from neurho.matrix_elements.tdvp.metric import AbstractMetric, Vector, symmetric, upper_product


class RowMetric(AbstractMetric):
    """The least-squares problem of all configurations, in the depolarised norm.

    - `a`: A, `(rows, parameters)`; `b`: its right-hand side. Other fields as in
      [`AbstractMetric`][neurho.matrix_elements.tdvp.metric.AbstractMetric].
    """

    a: Float[Array, "rows parameters"]
    b: Float[Array, " rows"]
    force: Vector
    noise: Float[Array, ""]
    norm: Float[Array, ""]
    guess: Vector
    exact: bool = eqx.field(static=True, default=True)

    @classmethod
    def build(
        cls,
        ansatz: AbstractAnsatz,
        norm: Depolarised,
        x: Int[Array, "configurations sites"],
        local: Complex[Array, " configurations"],
        *,
        centred: bool = True,
        chunk: int = CHUNK,
        guess: Vector | None = None,
    ) -> Self:
        """From all configurations of `norm`, and the local values of the Lindbladian there."""
        o = map_samples(lambda one: log_derivatives(ansatz, one), (x,), chunk)
        columns = [o, parts(local)[:, :, None], parts(jnp.ones(len(x), complex))[:, :, None]]
        seen = norm(log_amplitudes(ansatz, x), jnp.concatenate(columns, axis=2))
        rows, along = seen[:, :, :-1], seen[:, :, -1]
        if centred:
            rows = without_part_along(rows, along, hermitian=norm.hermitian)
        rows = rows.reshape(-1, rows.shape[-1])
        a, b = rows[:, :-1], rows[:, -1]
        force = b @ a
        return cls(
            a=a,
            b=b,
            force=force,
            noise=jnp.zeros(()),
            norm=b @ b,
            guess=jnp.zeros_like(force) if guess is None else guess,
        )

    def matrix(self, *, single: bool = False) -> Float[Array, "parameters parameters"]:
        """S = A^T A."""
        rows = self.a.astype(jnp.float32) if single else self.a
        return symmetric(upper_product(rows)).astype(self.a.dtype)

    def product(self, *, single: bool = False) -> Callable[[Vector], Vector]:
        """The map v -> A^T (A v)."""
        rows = self.a.astype(jnp.float32) if single else self.a
        return lambda v: (rows.T @ (rows @ v.astype(rows.dtype))).astype(v.dtype)

    def rows(self, *, single: bool = False) -> Float[Array, "rows parameters"]:
        """A itself."""
        return self.a.astype(jnp.float32) if single else self.a

    def target(self) -> Float[Array, " rows"]:
        """The right-hand side b."""
        return self.b

    def trace(self) -> Float[Array, ""]:
        """Tr S."""
        return jnp.sum(self.a**2)

    def force_variance(self, basis: Float[Array, "parameters modes"]) -> Float[Array, " modes"]:
        """Zero: exact sums have no noise."""
        return jnp.zeros(basis.shape[1])

    def length(self, v: Vector) -> Float[Array, ""]:
        """||A v||."""
        return jnp.sqrt(jnp.sum((self.a @ v) ** 2))


def without_part_along(
    rows: Float[Array, "configurations 2 columns"], along: Float[Array, "configurations 2"], *, hermitian: bool
) -> Float[Array, "configurations 2 columns"]:
    """Rows without their part along a unit vector; complex multiples of it where not all is `hermitian`."""
    re, im = along[:, 0], along[:, 1]
    rows = rows - along[:, :, None] * jnp.einsum("xi,xik->k", along, rows)
    if hermitian:
        return rows
    turned = jnp.stack([-im, re], axis=1)
    return rows - turned[:, :, None] * jnp.einsum("xi,xik->k", turned, rows)
