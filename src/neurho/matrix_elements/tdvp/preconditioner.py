"""What makes conjugate gradients short: S seen through a few of its samples.

With A_s the rows of m samples and D the diagonal of A_s^T A_s, the matrix M = A_s^T A_s + 2 D + shift has the large
directions of S + shift, which are those of nearly all samples, and their scale in the others. By Woodbury's identity

    M^-1 = E - E A_s^T (1 + A_s E A_s^T)^-1 A_s E,     E = (2 D + shift)^-1

costs a small Cholesky factor once and a product with m samples each time.
"""

from collections.abc import Callable

import jax.numpy as jnp
import jax.scipy.linalg as jsl

from neurho._jax.parallel import collect, spread
from neurho._jax.scalars import Scalar
from neurho.matrix_elements.tdvp.metric import AbstractMetric, Metric, Vector

MOST = 192
"""Samples seen at most: more take fewer iterations, each dearer."""

SHARE = 8
"""Parameters for each sample seen."""

LEAST = 512
"""Parameters below which the few samples seen make the iterations longer, not shorter."""


def subsampled(
    metric: AbstractMetric, shift: Scalar, *, count: int | None = None, single: bool = False
) -> Callable[[Vector], Vector]:
    """The map r -> M^-1 r with `count` samples; the identity for exact sums, of which no few say what all do."""
    if count is None:
        count = min(MOST, len(metric.force) // SHARE) if len(metric.force) >= LEAST else 0
    if not isinstance(metric, Metric) or metric.exact or count == 0:
        return lambda r: r
    few = metric.thinned(count)
    rows = spread(few.rows(single=single), axis=1)  # by parameters: each device adds up its share of the products
    scale = 1 / (2 * jnp.sum(rows**2, axis=0) + shift)
    kernel, scale = collect(((rows * scale.astype(rows.dtype)) @ rows.T, scale))
    one = jnp.eye(len(kernel))
    # A product with the inverse, unlike triangular solves, is no call into another library in every iteration.
    inverse = jsl.cho_solve(jsl.cho_factor(kernel.astype(one.dtype) + one, lower=True), one)
    along, against = few.linear(single=single)

    def apply(r: Vector) -> Vector:
        scaled = scale * r
        seen = inverse @ along(scaled).reshape(-1)
        return scaled - scale * against(seen.reshape(-1, 2))

    return apply
