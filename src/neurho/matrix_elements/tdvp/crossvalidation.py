"""A ridge that chooses itself: by how well the velocity of one half of the samples explains the other half.

Samples that are held back tell noise from signal (cf. Hofmann et al., SciPost Phys. 12, 165 (2022), arXiv:2105.01054).
With S_h and f_h of the halves h = 1, 2 of the samples, v_h(ridge) = (S_h + ridge tr(S_h)/P)^{-1} f_h and

    residual(ridge) = sum_h ||A_k v_h - b_k||^2 = sum_h v_h.S_k v_h - 2 f_k.v_h + ||b_k||^2,        k the other half,

is what v leaves over on samples that it has not seen. The halves are different chains, so they are independent, and S
and f of all samples are their weighted means. The residual is flat around its minimum, where small ridges only make v
longer, and a flow less accurate. So the largest ridge is taken that comes within a tenth of the minimum.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from neurho._jax.parallel import sum_samples
from neurho._jax.scalars import Scalar
from neurho._types import require
from neurho.matrix_elements.networks import log_derivatives
from neurho.matrix_elements.tdvp.metric import AbstractMetric, Metric, symmetric, upper_product
from neurho.matrix_elements.tdvp.solvers import AbstractSolver, Solution

MAX_PARAMETERS = 4096
"""Two matrices S and their eigenvectors of so many parameters take 0.5 GB, and a minute."""


class Normal(NamedTuple):
    """S, f and ||b||^2 of some of the samples, whose weights sum to `total`."""

    matrix: Float[Array, "parameters parameters"]
    force: Float[Array, " parameters"]
    norm: Float[Array, ""]
    total: Float[Array, ""]


class CrossValidated(AbstractSolver):
    """v = (S + ridge tr(S)/P)^{-1} f with the largest ridge that explains samples held back nearly as well as any.

    ```python
    import neurho

    solver = neurho.solvers.CrossValidated()
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), solver=solver)
    assert flow.tdvp.solver is solver
    ```

    - `least`, `largest`: the ridges that are tried, relative to the mean diagonal entry of S, are `points` values
      between them, equally spaced in their logarithm. Exact sums have no noise, and take the least: still smaller
      ones make flows less accurate (docs/accuracy/regularisation.md).
    - `slack`: by which share the residual may be above its smallest value.
    """

    least: float = 1e-4
    largest: float = 1.0
    points: int = eqx.field(static=True, default=13)
    slack: float = 0.1

    def __check_init__(self) -> None:
        require(0 < self.least < self.largest, "least", "lie between 0 and `largest`", f"it is {self.least}")
        require(self.points >= 2, "points", "be at least 2", f"it is {self.points}")
        require(self.slack >= 0, "slack", "be >= 0", f"it is {self.slack}")

    def __call__(self, metric: AbstractMetric) -> Solution:
        """Two eigendecompositions and a Cholesky factorisation.

        **Raises** `NeurhoError` above 4,096 parameters, and for a single sample.
        """
        count = len(metric.force)
        require(count <= MAX_PARAMETERS, "solver", "be another one for so many parameters", f"there are {count}")
        if metric.exact or not isinstance(metric, Metric):
            matrix, ridge = metric.matrix(), jnp.asarray(self.least)
        else:
            samples = len(metric.x)
            require(samples >= 2, "samples", "be at least 2 for two halves", f"it is {samples}")
            ridges = jnp.geomspace(self.least, self.largest, self.points)
            one, two = _normal(metric, 0, samples // 2), _normal(metric, samples // 2, samples)
            lost = one.norm + two.norm + _scores(one, two, ridges) + _scores(two, one, ridges)
            ridge = _largest(lost, ridges, 1 + self.slack)
            matrix = one.total * one.matrix + two.total * two.matrix
        shift = ridge * jnp.trace(matrix) / count
        velocity = jsl.cho_solve(jsl.cho_factor(matrix + shift * jnp.eye(count), lower=True), metric.force)
        return Solution(
            velocity=velocity,
            residual=metric.residual(velocity, matrix @ velocity),
            rank=jnp.asarray(float(count)),
            ridge=ridge,
        )


def _normal(metric: Metric, start: int, stop: int) -> Normal:
    """Least squares of the samples from `start` to `stop`, centred with the means of all."""

    def part(x: Array, weight: Array, local: Array) -> Array:
        o = jax.vmap(lambda one: log_derivatives(metric.ansatz, one))(x) - metric.mean
        b = local - metric.local_mean
        rows = jnp.concatenate([o, jnp.stack([b.real, b.imag], axis=1)[:, :, None]], axis=2)
        return upper_product((jnp.sqrt(weight)[:, None, None] * rows).reshape(-1, rows.shape[-1]))

    kept = tuple(a[start:stop] for a in (metric.x, metric.weight, metric.local))
    total = jnp.sum(kept[1])
    gram = symmetric(sum_samples(part, kept, metric.chunk)) / total
    return Normal(matrix=gram[:-1, :-1], force=gram[:-1, -1], norm=gram[-1, -1], total=total)


def _scores(seen: Normal, held_back: Normal, ridges: Float[Array, " ridges"]) -> Float[Array, " ridges"]:
    """||A v - b||^2 - ||b||^2 on the samples held back, for the velocities of those seen."""
    values, vectors = jnp.linalg.eigh(seen.matrix)
    shifted = values[:, None] + ridges * jnp.mean(values)
    v = vectors @ ((vectors.T @ seen.force)[:, None] / shifted)
    return jnp.sum(v * (held_back.matrix @ v), axis=0) - 2 * held_back.force @ v


def _largest(lost: Float[Array, " ridges"], ridges: Float[Array, " ridges"], factor: Scalar) -> Float[Array, ""]:
    """The largest ridge with at most `factor` times the smallest residual.

    Interpolated: a velocity that jumped from one value of the grid to the next would look like an error of integration.
    """
    limit, last = factor * jnp.min(lost), len(ridges) - 1
    best = jnp.max(jnp.where(lost <= limit, jnp.arange(len(ridges)), 0))
    here, beyond = lost[best], lost[jnp.minimum(best + 1, last)]
    share = jnp.where(beyond > limit, (limit - here) / jnp.where(beyond > limit, beyond - here, 1), 0.0)
    return ridges[best] * (ridges[1] / ridges[0]) ** share
