"""The least-squares problem min ||A v - b|| of the time-dependent variational principle.

Rows of A are sqrt(w) (O_k(x) - <O_k>) (real and imaginary parts of every sample stacked), b is sqrt(w) (L_loc(x) -
<L_loc>):

    S = A^T A = Re <O_k* O_p> - Re <O_k>* <O_p>,     f = A^T b = Re <O_k* L_loc> - Re <O_k>* <L_loc>          (Eqs.
    9-11)

in the Fubini-Study norm; without centring in the plain Hilbert-Schmidt norm of the unnormalised rho. S can be formed,
in memory
parameters^2 + chunk x parameters, or only applied to vectors, by derivatives of log rho along and against a direction.
"""

from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from neurho.ansatz.base import AbstractAnsatz, log_derivatives, parameter_count, parameters
from neurho.estimators import CHUNK

Vector = Float[Array, " parameters"]


class Metric(eqx.Module):
    """The least-squares problem of one set of samples.

    - `x`, `weight`, `local`: configurations `(samples, sites)`, weights (sum 1) and local values of the Lindbladian.
    - `mean`: <O>, `(2, parameters)`; `local_mean`: <L_loc>; both zero without centring.
    - `force`: f; `norm`: ||b||^2.
    """

    ansatz: AbstractAnsatz
    x: Int[Array, "samples sites"]
    weight: Float[Array, " samples"]
    local: Complex[Array, " samples"]
    mean: Float[Array, "2 parameters"]
    local_mean: Complex[Array, ""]
    force: Vector
    norm: Float[Array, ""]
    chunk: int = eqx.field(static=True)
    exact: bool = eqx.field(static=True)

    @classmethod
    def build(
        cls,
        ansatz: AbstractAnsatz,
        x: Int[Array, "samples sites"],
        weight: Float[Array, " samples"],
        local: Complex[Array, " samples"],
        *,
        centred: bool = True,
        exact: bool = False,
        chunk: int = CHUNK,
    ) -> Self:
        """Everything but S: one pass forwards and three backwards through log rho. `exact` sums carry no noise."""
        local_mean = jnp.sum(weight * local)
        _, backward = jax.vjp(_log_amplitudes(ansatz, x), parameters(ansatz)[0])
        zero = jnp.zeros_like(weight)
        pulled = (jnp.stack([weight, zero], 1), jnp.stack([zero, weight], 1), _stack(weight * local))
        mean_re, mean_im, force = (backward(cotangent)[0] for cotangent in pulled)
        norm = jnp.sum(weight * jnp.abs(local) ** 2)
        if ansatz.hermitian:
            # (l, r) and (r, l) are equally likely and contribute complex conjugates: imaginary parts average to zero.
            mean_im, local_mean = jnp.zeros_like(mean_im), local_mean.real.astype(complex)
        mean = jnp.stack([mean_re, mean_im])
        if centred:
            force = force - mean_re * local_mean.real - mean_im * local_mean.imag
            norm = norm - jnp.abs(local_mean) ** 2
        else:
            mean, local_mean = jnp.zeros_like(mean), jnp.zeros_like(local_mean)
        return cls(
            ansatz=ansatz,
            x=x,
            weight=weight,
            local=local,
            mean=mean,
            local_mean=local_mean,
            force=force,
            norm=norm,
            chunk=chunk,
            exact=exact,
        )

    def product(self) -> Callable[[Vector], Vector]:
        """The map v -> S v without forming S; linearises log rho once, in memory samples x hidden units."""
        _, forward = jax.linearize(_log_amplitudes(self.ansatz, self.x), parameters(self.ansatz)[0])
        backward = jax.linear_transpose(forward, self.force)

        def apply(v: Vector) -> Vector:
            along = forward(v) - self.mean @ v
            return backward(self.weight[:, None] * along)[0] - self.mean.T @ (self.weight @ along)

        return apply

    def matrix(self) -> Float[Array, "parameters parameters"]:
        """S, accumulated over chunks of samples."""
        count = parameter_count(self.ansatz)

        def add(s: Array, part: tuple[Array, Array]) -> tuple[Array, None]:
            o = jax.vmap(lambda x: log_derivatives(self.ansatz, x))(part[0])
            rows = (jnp.sqrt(part[1])[:, None, None] * o).reshape(-1, count)
            return s + rows.T @ rows, None

        s, _ = jax.lax.scan(add, jnp.zeros((count, count)), sample_chunks((self.x, self.weight), self.chunk))
        return s - self.mean.T @ self.mean

    def trace(self) -> Float[Array, ""]:
        """Tr S without forming S, estimated from ||A z||^2 for 8 fixed random vectors of signs (Hutchinson): a scale,
        good to 10 %.
        """
        signs = jax.random.rademacher(jax.random.key(0), (8, len(self.force)), dtype=float)
        return jnp.mean(jax.vmap(self.length)(signs) ** 2)

    def force_variance(self, basis: Float[Array, "parameters modes"]) -> Float[Array, " modes"]:
        """Variance of the Monte Carlo estimate of basis^T f, as if samples were independent (Kish weights)."""
        f, mean = basis.T @ self.force, self.mean @ basis

        def add(total: Array, part: tuple[Array, Array, Array]) -> tuple[Array, None]:
            x, w, b = part
            o = jax.vmap(lambda x: log_derivatives(self.ansatz, x))(x) @ basis - mean
            b = b - self.local_mean
            force = o[:, 0] * b.real[:, None] + o[:, 1] * b.imag[:, None]
            return total + jnp.sum((w[:, None] * (force - f)) ** 2, axis=0), None

        parts = sample_chunks((self.x, self.weight, self.local), self.chunk)
        return jax.lax.scan(add, jnp.zeros(basis.shape[1]), parts)[0]

    def residual(self, v: Vector, s_v: Vector) -> Float[Array, ""]:
        """r^2 = ||A v - b||^2/||b||^2: 0 if the network can follow the equation of motion, 1 if not at all."""
        return (self.norm - 2 * self.force @ v + v @ s_v) / jnp.where(self.norm > 0, self.norm, 1)

    @eqx.filter_jit
    def length(self, v: Vector) -> Float[Array, ""]:
        """sqrt(v^T S v), the change of rho along v: in the Fubini-Study norm an angle in radians."""
        along = jax.jvp(_log_amplitudes(self.ansatz, self.x), (parameters(self.ansatz)[0],), (v,))[1] - self.mean @ v
        return jnp.sqrt(jnp.sum(self.weight[:, None] * along**2))


def _log_amplitudes(
    ansatz: AbstractAnsatz, x: Int[Array, "samples sites"]
) -> Callable[[Vector], Float[Array, "samples 2"]]:
    """Real and imaginary part of log rho of all samples, as a function of the parameters."""
    _, restore = parameters(ansatz)
    return lambda vector: _stack(jax.vmap(restore(vector).log_amplitude)(x))


def _stack(values: Complex[Array, " samples"]) -> Float[Array, "samples 2"]:
    return jnp.stack([values.real, values.imag], axis=1)


def sample_chunks(arrays: tuple[Array, ...], chunk: int) -> Any:
    """Split the sample axis into equal chunks, padded with samples of weight zero."""
    samples = len(arrays[0])
    count = -(-samples // min(chunk, samples))
    size = -(-samples // count)
    return tuple(
        jnp.pad(a, [(0, count * size - samples)] + [(0, 0)] * (a.ndim - 1)).reshape(count, size, *a.shape[1:])
        for a in arrays
    )
