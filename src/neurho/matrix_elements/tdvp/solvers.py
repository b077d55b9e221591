"""Solvers of the normal equations S v = f: how the metric is regularised decides the accuracy of a flow."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from neurho._jax.parallel import agreed_square
from neurho._types import require, require_positive
from neurho.matrix_elements.tdvp.metric import AbstractMetric
from neurho.matrix_elements.tdvp.preconditioner import subsampled

DENSE_PARAMETERS = 256
"""Up to here a factorisation costs less than a few products with S."""

NOISE_FRACTION = 0.1

SINGLE_TOLERANCE = 1e-4
"""The least residual that conjugate gradients are asked for with products in float32, whose rounding is 1e-6."""


class Solution(NamedTuple):
    """The velocity, its residual r^2, and how many directions were kept (or how many iterations were made).

    `ridge`: the one that the solver chose, relative to the mean diagonal entry of S; None where none is chosen.
    """

    velocity: Float[Array, " parameters"]
    residual: Float[Array, ""]
    rank: Float[Array, ""]
    ridge: Float[Array, ""] | None = None


class AbstractSolver(eqx.Module):
    """Turns a least-squares problem, as a [`Metric`][neurho.matrix_elements.tdvp.metric.Metric], into a velocity."""

    @abc.abstractmethod
    def __call__(self, metric: AbstractMetric) -> Solution:
        """Solve S v = f with some regularisation."""


class Ridge(AbstractSolver):
    """v = (S + ridge tr(S)/P)^{-1} f by Cholesky. `ridge` is relative to the mean diagonal entry of S.

    `single` multiplies chunks of samples in float32 and adds them up in float64: rounding of 1e-7 against the noise.

    ```python
    import neurho

    solver = neurho.solvers.Ridge(1e-4)
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), solver=solver)
    assert flow.tdvp.solver is solver
    ```
    """

    ridge: float = 1e-3
    single: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        require_positive(self.ridge, "ridge")

    def __call__(self, metric: AbstractMetric) -> Solution:
        """One Cholesky factorisation."""
        s, count = metric.matrix(single=self.single), len(metric.force)
        shift = self.ridge * jnp.trace(s) / count
        velocity = jsl.cho_solve(jsl.cho_factor(s + shift * jnp.eye(count), lower=True), metric.force)
        return Solution(
            velocity=velocity, residual=metric.residual(velocity, s @ velocity), rank=jnp.asarray(float(count))
        )


class SpectralCutoff(AbstractSolver):
    """The pseudo-inverse of S without eigenvalues below `cutoff` times the largest.

    ```python
    import neurho

    solver = neurho.solvers.SpectralCutoff(1e-7)
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), solver=solver)
    assert flow.tdvp.solver is solver
    ```
    """

    cutoff: float = 1e-6

    def __check_init__(self) -> None:
        require(0 < self.cutoff < 1, "cutoff", "lie between 0 and 1", f"it is {self.cutoff}")

    def __call__(self, metric: AbstractMetric) -> Solution:
        """One eigendecomposition."""
        values, vectors = jnp.linalg.eigh(metric.matrix())
        keep = values > self.cutoff * values[-1]
        modes = jnp.where(keep, 1 / jnp.where(keep, values, 1), 0) * (vectors.T @ metric.force)
        return _solution(metric, values, vectors, modes, jnp.sum(keep, dtype=float))


class SignalToNoise(AbstractSolver):
    """Eigendirections of S weighted by their signal-to-noise ratio (Schmitt & Heyl, PRL 125, 100503, arXiv:1912.08828).

    Direction k, with force f_k = V_k^T f of ratio snr_k = |f_k|/sigma(f_k), enters with weight 1/(1 + (snr/snr_k)^6)
    and 1/(1 + (cutoff/(s_k/s_max))^6). For exact sums all but the cut-off is trivial.

    ```python
    import neurho

    solver = neurho.solvers.SignalToNoise(snr=3.0)
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), solver=solver)
    assert flow.tdvp.solver is solver
    ```
    """

    snr: float = 2.0
    cutoff: float = 1e-8

    def __check_init__(self) -> None:
        require_positive(self.snr, "snr")
        require(0 < self.cutoff < 1, "cutoff", "lie between 0 and 1", f"it is {self.cutoff}")

    def __call__(self, metric: AbstractMetric) -> Solution:
        """One eigendecomposition and a second pass over the samples."""
        values, vectors = jnp.linalg.eigh(metric.matrix())
        force = vectors.T @ metric.force
        noise = jnp.zeros_like(force) if metric.exact else jnp.sqrt(metric.force_variance(vectors))
        signal = jnp.abs(force) / jnp.where(noise > 0, noise, 1)
        tiny = jnp.finfo(float).tiny ** 0.1
        weight = jnp.where(noise > 0, 1 / (1 + (self.snr / jnp.maximum(signal, tiny)) ** 6), 1.0)
        relative = jnp.maximum(values / values[-1], tiny)
        weight = weight / (1 + (self.cutoff / relative) ** 6)
        return _solution(
            metric, values, vectors, weight * force / jnp.maximum(values, tiny * values[-1]), jnp.sum(weight)
        )


class ConjugateGradient(AbstractSolver):
    """v = (S + ridge tr(S)/P)^{-1} f by conjugate gradients, without forming S: for many parameters or samples.

    Preconditioned by what a few of the samples say of S (see `neurho.matrix_elements.tdvp.preconditioner`).

    Starts from `metric.guess` (the last velocity of a flow) if that is closer than zero. Stops when
    ||f - (S + shift) v|| <= `tolerance` ||f||, or after `max_iterations`. With `tolerance=None` it stops at a tenth of
    the relative noise of f, within [1e-6, 0.1]: solving on would fit noise.

    `single` multiplies with S in float32 and keeps all else in float64: twice as fast, for tolerances down to 1e-4.

    ```python
    import neurho

    solver = neurho.solvers.ConjugateGradient(ridge=1e-4)
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), solver=solver)
    assert flow.tdvp.solver is solver
    ```
    """

    ridge: float = 1e-3
    tolerance: float | None = 1e-3
    max_iterations: int = eqx.field(static=True, default=300)
    single: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        require_positive(self.ridge, "ridge")
        fits = self.tolerance is None or 0 < self.tolerance < 1
        require(fits, "tolerance", "lie between 0 and 1", f"it is {self.tolerance}")
        require(self.max_iterations >= 1, "max_iterations", "be at least 1", f"it is {self.max_iterations}")
        rough = not self.single or self.tolerance is None or self.tolerance >= SINGLE_TOLERANCE
        require(rough, "tolerance", f"be >= {SINGLE_TOLERANCE:g} in float32", f"it is {self.tolerance}")

    def __call__(self, metric: AbstractMetric) -> Solution:
        """Conjugate gradients from the guess; the number of products with S is `rank` + 1."""
        apply, force = metric.product(single=self.single), metric.force
        shift = self.ridge * metric.trace() / len(force)
        least = SINGLE_TOLERANCE if self.single else 1e-6
        tolerance = jnp.clip(NOISE_FRACTION * metric.noise, least, 0.1) if self.tolerance is None else self.tolerance
        whole = agreed_square(force)
        goal = tolerance**2 * whole

        precondition = subsampled(metric, shift, single=self.single)

        def iterate(state: tuple[Array, ...]) -> tuple[Array, ...]:
            v, s_v, r, direction, size, _, count = state
            s_direction = apply(direction)
            alpha = size / (direction @ (s_direction + shift * direction))
            r = r - alpha * (s_direction + shift * direction)
            z = precondition(r)
            new = r @ z
            moved = (v + alpha * direction, s_v + alpha * s_direction, r, z + new / size * direction)
            return *moved, new, agreed_square(r), count + 1

        def unfinished(state: tuple[Array, ...]) -> Array:
            return (state[5] > goal) & (state[6] < self.max_iterations)

        s_guess = apply(metric.guess)
        r = force - s_guess - shift * metric.guess
        left = agreed_square(r)
        closer = left < whole
        v, s_v, r = (jnp.where(closer, a, b) for a, b in ((metric.guess, 0.0), (s_guess, 0.0), (r, force)))
        z = precondition(r)
        begin = (v, s_v, r, z, r @ z, jnp.minimum(left, whole), jnp.zeros((), dtype=int))
        v, s_v, _, _, _, _, count = jax.lax.while_loop(unfinished, iterate, begin)
        return Solution(velocity=v, residual=metric.residual(v, s_v), rank=count.astype(float))


class MinSR(AbstractSolver):
    """The same v = (S + ridge tr(S)/P)^{-1} f = A^T (A A^T + ridge tr(S)/P)^{-1} b, for fewer samples than parameters.

    Its matrix has a row for the real and for the imaginary part of every sample (Chen & Heyl, arXiv:2302.01941).

    ```python
    import neurho

    solver = neurho.solvers.MinSR(1e-4)
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), solver=solver)
    assert flow.tdvp.solver is solver
    ```
    """

    ridge: float = 1e-3

    def __check_init__(self) -> None:
        require_positive(self.ridge, "ridge")

    def __call__(self, metric: AbstractMetric) -> Solution:
        """One Cholesky factorisation of A A^T."""
        rows, target = metric.rows(), metric.target()
        kernel = rows @ rows.T
        shift = self.ridge * jnp.trace(kernel) / len(metric.force)
        dual = jsl.cho_solve(jsl.cho_factor(kernel + shift * jnp.eye(len(kernel)), lower=True), target)
        velocity = rows.T @ dual
        residual = metric.residual(velocity, rows.T @ (rows @ velocity))
        return Solution(velocity=velocity, residual=residual, rank=jnp.asarray(float(len(kernel))))


def automatic(samples: int, parameters: int, *, ridge: float = 1e-3, tolerance: float | None = None) -> AbstractSolver:
    """The fastest of the solvers of (S + ridge tr(S)/P) v = f for these sizes.

    S is formed where it is small, A A^T where there are few samples; otherwise neither, with products in float32 where
    the tolerance allows them.

    ```python
    import neurho

    solver = neurho.solvers.automatic(samples=100, parameters=5000)
    assert isinstance(solver, neurho.solvers.MinSR)
    ```
    """
    if parameters <= DENSE_PARAMETERS:
        return Ridge(ridge)
    if 2 * samples <= min(parameters, DENSE_PARAMETERS):
        return MinSR(ridge)
    return ConjugateGradient(ridge, tolerance, single=tolerance is None or tolerance >= SINGLE_TOLERANCE)


def _solution(metric: AbstractMetric, values: Array, vectors: Array, modes: Array, rank: Array) -> Solution:
    """The velocity vectors @ modes, where `values` and `vectors` are those of S."""
    velocity = vectors @ modes
    return Solution(velocity=velocity, residual=metric.residual(velocity, vectors @ (values * modes)), rank=rank)
