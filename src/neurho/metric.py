"""The least-squares problem min ||A v - b|| of the time-dependent variational principle, as its normal equations.

Rows of A are sqrt(w) (O_k(x) - <O_k>) (real and imaginary parts of every sample stacked), b is sqrt(w) (L_loc(x) - <L_loc>):

    S = A^T A = Re <O_k* O_p> - Re <O_k>* <O_p>,     f = A^T b = Re <O_k* L_loc> - Re <O_k>* <L_loc>          (Eqs. 9-11)

in the Fubini-Study norm; without centring in the plain Hilbert-Schmidt norm of the unnormalised rho. S is accumulated over
chunks of samples, so memory grows with parameters^2 + chunk x parameters only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from neurho.ansatz.base import AbstractAnsatz, log_derivatives, parameter_count
from neurho.estimators import CHUNK


class Metric(NamedTuple):
    """The normal equations S v = f, and what residuals and signal-to-noise ratios need besides.

    `ansatz`, `x`, `weight` and `local` are the samples they came from, `(samples, ...)`; `mean` is <O>, `(2, parameters)` and
    `local_mean` <L_loc>, zeros without centring; `norm` is ||b||^2.
    """

    s: Float[Array, "parameters parameters"]
    f: Float[Array, " parameters"]
    norm: Float[Array, ""]
    mean: Float[Array, "2 parameters"]
    local_mean: Complex[Array, ""]
    ansatz: AbstractAnsatz
    x: Int[Array, "samples sites"]
    weight: Float[Array, " samples"]
    local: Complex[Array, " samples"]

    def residual(self, v: Float[Array, " parameters"]) -> Float[Array, ""]:
        """r^2 = ||A v - b||^2/||b||^2: 0 if the network can follow the equation of motion, 1 if not at all."""
        return (self.norm - 2 * self.f @ v + v @ self.s @ v) / jnp.where(self.norm > 0, self.norm, 1)


def build_metric(
    ansatz: AbstractAnsatz,
    x: Int[Array, "samples sites"],
    weight: Float[Array, " samples"],
    local: Complex[Array, " samples"],
    *,
    centred: bool,
    chunk: int = CHUNK,
) -> Metric:
    """Accumulate S, f and ||b||^2 from samples, their weights (sum 1) and their local values of the Lindbladian."""
    count = parameter_count(ansatz)

    def add(total: tuple[Array, ...], part: tuple[Array, Array, Array]) -> tuple[tuple[Array, ...], None]:
        s, f, mean = total
        x, w, b = part
        o = jax.vmap(lambda x: log_derivatives(ansatz, x))(x)
        flat = (jnp.sqrt(w)[:, None, None] * o).reshape(-1, count)
        right = jnp.stack([w * b.real, w * b.imag], axis=1)
        return (s + flat.T @ flat, f + jnp.einsum("nk,nkp->p", right, o), mean + jnp.einsum("n,nkp->kp", w, o)), None

    zeros = (jnp.zeros((count, count)), jnp.zeros(count), jnp.zeros((2, count)))
    parts = _chunks((x, weight, local), chunk)
    (s, f, mean), _ = jax.lax.scan(add, zeros, parts)
    norm, local_mean = jnp.sum(weight * jnp.abs(local) ** 2), jnp.sum(weight * local)
    if centred:
        s = s - mean.T @ mean
        f = f - mean[0] * local_mean.real - mean[1] * local_mean.imag
        norm = norm - jnp.abs(local_mean) ** 2
    else:
        mean, local_mean = jnp.zeros_like(mean), jnp.zeros_like(local_mean)
    return Metric(
        s=s, f=f, norm=norm, mean=mean, local_mean=local_mean, ansatz=ansatz, x=x, weight=weight, local=local
    )


def force_variance(metric: Metric, basis: Float[Array, "parameters modes"], *, chunk: int = CHUNK) -> Float[Array, " modes"]:
    """Variance of the Monte Carlo estimate of basis^T f, as if samples were independent (Kish weights)."""
    f = basis.T @ metric.f

    def add(total: Array, part: tuple[Array, Array, Array]) -> tuple[Array, None]:
        x, w, b = part
        o = (jax.vmap(lambda x: log_derivatives(metric.ansatz, x))(x) - metric.mean) @ basis
        b = b - metric.local_mean
        force = o[:, 0] * b.real[:, None] + o[:, 1] * b.imag[:, None]
        return total + jnp.sum((w[:, None] * (force - f)) ** 2, axis=0), None

    parts = _chunks((metric.x, metric.weight, metric.local), chunk)
    return jax.lax.scan(add, jnp.zeros(basis.shape[1]), parts)[0]


def _chunks(arrays: tuple[Array, Array, Array], chunk: int) -> tuple[Array, ...]:
    """Split the sample axis into equal chunks, padded with samples of weight zero."""
    samples = len(arrays[0])
    count = -(-samples // min(chunk, samples))
    size = -(-samples // count)
    return tuple(
        jnp.pad(a, [(0, count * size - samples)] + [(0, 0)] * (a.ndim - 1)).reshape(count, size, *a.shape[1:]) for a in arrays
    )
