"""The least-squares problem min ||A v - b|| of the time-dependent variational principle.

Rows of A are sqrt(w) (O_k(x) - <O_k>) (real and imaginary parts of every sample stacked), b is sqrt(w) (L_loc(x) -
<L_loc>):

    S = A^T A = Re <O_k* O_p> - Re <O_k>* <O_p>,     f = A^T b = Re <O_k* L_loc> - Re <O_k>* <L_loc>          (Eqs.
    9-11)

in the Fubini-Study norm; without centring in the plain Hilbert-Schmidt norm of the unnormalised rho. S can be formed,
in memory
parameters^2 + chunk x parameters, or only applied to vectors, by derivatives of log rho along and against a direction.
"""

import abc
from collections.abc import Callable
from itertools import pairwise
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Complex, Float, Int

from neurho._jax.compiling import program
from neurho._jax.parallel import map_samples, map_spread, spread, sum_samples
from neurho.matrix_elements.distinct import condense, distinct, sums
from neurho.matrix_elements.estimation.estimators import CHUNK
from neurho.matrix_elements.networks.base import AbstractAnsatz, log_derivatives, parameters

BLOCKS = 16
"""Parts of the samples whose scatter tells the noise of f."""

PRODUCT_FLOATS = 2**16
"""Activations of hidden units, about parameters/(2 sites) a sample, that a product with S works on together.

With fewer, cores are idle; more do not fit into the caches.
"""

SCALE_SAMPLES = 1024
"""Samples that estimate tr S."""

Vector = Float[Array, " parameters"]


class AbstractMetric(eqx.Module):
    """The least-squares problem min ||A v - b||, as solvers see it.

    - `force`: f; `noise`: its relative standard error, sigma(f)/||f||, zero for `exact` sums; `norm`: ||b||^2.
    - `guess`: a velocity to start iterations from, zero where nothing is known.
    """

    force: eqx.AbstractVar[Vector]
    noise: eqx.AbstractVar[Float[Array, ""]]
    norm: eqx.AbstractVar[Float[Array, ""]]
    guess: eqx.AbstractVar[Vector]
    exact: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def matrix(self, *, single: bool = False) -> Float[Array, "parameters parameters"]:
        """S; with `single` from products in float32."""

    @abc.abstractmethod
    def product(self, *, single: bool = False) -> Callable[[Vector], Vector]:
        """The map v -> S v."""

    @abc.abstractmethod
    def rows(self, *, single: bool = False) -> Float[Array, "rows parameters"]:
        """A, real and imaginary parts in turn."""

    @abc.abstractmethod
    def target(self) -> Float[Array, " rows"]:
        """b, in the order of `rows`."""

    @abc.abstractmethod
    def trace(self) -> Float[Array, ""]:
        """Tr S, or an estimate of it."""

    @abc.abstractmethod
    def force_variance(self, basis: Float[Array, "parameters modes"]) -> Float[Array, " modes"]:
        """Variance of the estimate of basis^T f."""

    @abc.abstractmethod
    def length(self, v: Vector) -> Float[Array, ""]:
        """sqrt(v^T S v), the change of rho along v."""

    def residual(self, v: Vector, s_v: Vector) -> Float[Array, ""]:
        """r^2 = ||A v - b||^2/||b||^2: 0 if the network can follow the equation of motion, 1 if not at all."""
        return (self.norm - 2 * self.force @ v + v @ s_v) / jnp.where(self.norm > 0, self.norm, 1)


class Metric(AbstractMetric):
    """The least-squares problem of one set of samples, in the Hilbert-Schmidt norm.

    - `x`, `weight`, `local`: configurations `(samples, sites)`, weights (sum 1) and local values of the Lindbladian.
    - `mean`: <O>, `(2, parameters)`; `local_mean`: <L_loc>; both zero without centring.
    """

    ansatz: AbstractAnsatz
    x: Int[Array, "samples sites"]
    weight: Float[Array, " samples"]
    local: Complex[Array, " samples"]
    mean: Float[Array, "2 parameters"]
    local_mean: Complex[Array, ""]
    force: Vector
    noise: Float[Array, ""]
    norm: Float[Array, ""]
    guess: Vector
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
        guess: Vector | None = None,
    ) -> Self:
        """Everything but S: one pass forwards and one backwards for each of <O> and f through log rho.

        `exact` sums carry no noise. The samples of a chain should stand together: the noise of f is read from the
        scatter of `BLOCKS` contiguous parts.
        """
        blocks = _split((x, weight, weight * local), 1 if exact else min(BLOCKS, len(x)))
        label_dim, axis = ansatz.local_dim**2, 0
        if (few := distinct(x, label_dim)) is not None:
            counted = (jax.vmap(lambda x, v: sums(label_dim, x, v))(blocks[0], v) for v in blocks[1:])
            blocks, axis = (few.x, *counted), None
        means, forces = jax.vmap(lambda *block: _pull(ansatz, *block), in_axes=(axis, 0, 0))(*blocks)
        if ansatz.hermitian:
            # (l, r) and (r, l) are equally likely and contribute complex conjugates: imaginary parts average to zero.
            means = means.at[:, 1].set(0)
        totals = jnp.sum(blocks[1], axis=1)
        locals_ = _stack(jnp.sum(blocks[2], axis=1)) * jnp.array([1.0, 0.0 if ansatz.hermitian else 1.0])
        mean, local_mean = (jnp.sum(a, axis=0) if centred else jnp.zeros_like(a[0]) for a in (means, locals_))
        force = jnp.sum(forces, axis=0) - local_mean @ mean
        # Deviations of the blocks from their share: sum_b |d_b|^2 B/(B - 1) is the variance of f (all components).
        deviations = forces - jnp.einsum("bip,i->bp", means, local_mean) - locals_ @ mean
        deviations += totals[:, None] * (local_mean @ mean - force)
        count = len(totals)
        variance = jnp.sum(deviations**2) * count / max(count - 1, 1)
        size = jnp.sum(force**2)
        return cls(
            ansatz=ansatz,
            x=x,
            weight=weight,
            local=local,
            mean=mean,
            local_mean=jax.lax.complex(*local_mean),
            force=force,
            noise=jnp.zeros(()) if exact else jnp.sqrt(variance / jnp.where(size > 0, size, 1)),
            norm=jnp.sum(weight * jnp.abs(local) ** 2) - jnp.sum(local_mean**2),
            guess=jnp.zeros_like(force) if guess is None else guess,
            chunk=chunk,
            exact=exact,
        )

    def linear(
        self, *, single: bool = False
    ) -> tuple[
        Callable[[Vector], Float[Array, "samples 2"]],
        Callable[[Float[Array, "samples 2"]], Vector],
    ]:
        """The maps v -> A v and y -> A^T y without forming A; log rho is linearised once, in memory samples x hidden
        units.

        Chunks of samples stay in the caches of the processor. `single` multiplies in float32, for networks that
        compute in the precision of their parameters: good to 1e-6 of the largest entry of S v.
        """
        kind = jnp.float32 if single else self.force.dtype
        vector, restore = parameters(_cast(self.ansatz, kind))

        chunk = max(1, PRODUCT_FLOATS * self.x.shape[-1] // len(vector))

        def logs(vector: Vector) -> Float[Array, "samples 2"]:
            return _stack(map_spread(lambda v, x: restore(v).log_amplitude(x), vector, (self.x,), chunk))

        values, forward = jax.linearize(logs, vector)
        backward = jax.linear_transpose(forward, vector)

        root = jnp.sqrt(self.weight)[:, None]

        def along(v: Vector) -> Float[Array, "samples 2"]:
            return root * (forward(v.astype(kind)) - self.mean @ v)

        def against(y: Float[Array, "samples 2"]) -> Vector:
            y = root * y
            return backward(y.astype(values.dtype))[0] - self.mean.T @ jnp.sum(y, axis=0)

        return along, against

    def product(self, *, single: bool = False) -> Callable[[Vector], Vector]:
        """The map v -> S v without forming S."""
        along, against = self.condensed().linear(single=single)
        return lambda v: against(along(v))

    def condensed(self) -> Self:
        """The same S from distinct configurations in place of samples, where there are fewer of them."""
        parts = condense(self.ansatz.local_dim**2, self.x, self.weight, self.local)
        return eqx.tree_at(lambda m: (m.x, m.weight, m.local), self, parts)

    def thinned(self, count: int) -> Self:
        """At most `count` samples, evenly spaced, in place of all; means and force stay those of all."""
        if self.exact or len(self.x) <= count:
            return self
        step = -(-len(self.x) // count)
        weight = self.weight[::step]
        parts = (self.x[::step], weight / jnp.sum(weight), self.local[::step])
        return eqx.tree_at(lambda m: (m.x, m.weight, m.local), self, parts)

    def matrix(self, *, single: bool = False) -> Float[Array, "parameters parameters"]:
        """S, accumulated over chunks of samples; `single` takes the products of each chunk in float32."""

        def part(x: Array, weight: Array) -> Array:
            rows = _rows(self.ansatz, x, weight)
            return upper_product(rows.astype(jnp.float32) if single else rows).astype(rows.dtype)

        few = self.condensed()
        return symmetric(sum_samples(part, (few.x, few.weight), self.chunk)) - self.mean.T @ self.mean

    def rows(self, *, single: bool = False) -> Float[Array, "rows parameters"]:
        """A itself, real and imaginary parts of every sample in turn: for fewer samples than parameters."""
        kind = jnp.float32 if single else self.force.dtype
        ansatz = _cast(self.ansatz, kind)
        o = map_samples(lambda x: log_derivatives(ansatz, x), (self.x,), self.chunk) - self.mean.astype(kind)
        return (jnp.sqrt(self.weight).astype(kind)[:, None, None] * o).reshape(-1, len(self.force))

    def target(self) -> Float[Array, " rows"]:
        """b, in the order of `rows`."""
        return (jnp.sqrt(self.weight)[:, None] * _stack(self.local - self.local_mean)).reshape(-1)

    def trace(self) -> Float[Array, ""]:
        """Tr S without forming S, estimated from ||A z||^2 for 8 fixed random vectors of signs (Hutchinson) and, of
        many samples, a few thousand: a scale, good to 10 %.
        """
        few = self.thinned(SCALE_SAMPLES)
        _, forward = jax.linearize(_log_amplitudes(self.ansatz, few.x), parameters(self.ansatz)[0])

        def add(total: Array, signs: Array) -> tuple[Array, None]:
            return total + jnp.sum(few.weight[:, None] * (forward(signs) - self.mean @ signs) ** 2), None

        signs = jax.random.rademacher(jax.random.key(0), (8, len(self.force)), dtype=float)
        return jax.lax.scan(add, jnp.zeros(()), signs)[0] / len(signs)

    def force_variance(self, basis: Float[Array, "parameters modes"]) -> Float[Array, " modes"]:
        """Variance of the Monte Carlo estimate of basis^T f, as if samples were independent (Kish weights)."""
        f, mean = basis.T @ self.force, self.mean @ basis

        def part(x: Array, w: Array, b: Array) -> Array:
            o = jax.vmap(lambda x: log_derivatives(self.ansatz, x))(x) @ basis - mean
            b = b - self.local_mean
            force = o[:, 0] * b.real[:, None] + o[:, 1] * b.imag[:, None]
            return jnp.sum((w[:, None] * (force - f)) ** 2, axis=0)

        return sum_samples(part, (self.x, self.weight, self.local), self.chunk)

    @program
    def length(self, v: Vector) -> Float[Array, ""]:
        """sqrt(v^T S v), the change of rho along v: in the Fubini-Study norm an angle in radians."""
        few = self.condensed()
        return length(self.ansatz, few.x, few.weight, self.mean, v)


def length(
    ansatz: AbstractAnsatz, x: Int[Array, "samples sites"], weight: Float[Array, " samples"], mean: Array, v: Vector
) -> Float[Array, ""]:
    """sqrt(v^T S v) with `mean` = <O>, `(2, parameters)`."""
    along = jax.jvp(_log_amplitudes(ansatz, spread(x)), (parameters(ansatz)[0],), (v,))[1] - mean @ v
    return jnp.sqrt(jnp.sum(weight[:, None] * along**2))


def _log_amplitudes(
    ansatz: AbstractAnsatz, x: Int[Array, "samples sites"]
) -> Callable[[Vector], Float[Array, "samples 2"]]:
    """Real and imaginary part of log rho of all samples, as a function of the parameters."""
    _, restore = parameters(ansatz)
    return lambda vector: _stack(jax.vmap(restore(vector).log_amplitude)(x))


def _cast(ansatz: AbstractAnsatz, kind: DTypeLike) -> AbstractAnsatz:
    """The same network with parameters of another precision."""
    return jax.tree.map(lambda a: a.astype(kind) if eqx.is_inexact_array(a) else a, ansatz)


def _stack(values: Complex[Array, " samples"]) -> Float[Array, "samples 2"]:
    return jnp.stack([values.real, values.imag], axis=1)


def _pull(ansatz: AbstractAnsatz, x: Array, weight: Array, weighted: Array) -> tuple[Array, Array]:
    """Sum w O `(2, parameters)` (its imaginary part only where it is not known to vanish) and sum Re O* (w L_loc)."""
    _, backward = jax.vjp(_log_amplitudes(ansatz, x), parameters(ansatz)[0])
    zero = jnp.zeros_like(weight)
    mean_re, force = backward(jnp.stack([weight, zero], 1))[0], backward(_stack(weighted))[0]
    mean_im = jnp.zeros_like(mean_re) if ansatz.hermitian else backward(jnp.stack([zero, weight], 1))[0]
    return jnp.stack([mean_re, mean_im]), force


def _rows(ansatz: AbstractAnsatz, x: Array, weight: Array) -> Float[Array, "rows parameters"]:
    """sqrt(w) O, real and imaginary parts of every sample in turn."""
    o = jax.vmap(lambda one: log_derivatives(ansatz, one))(x)
    return (jnp.sqrt(weight)[:, None, None] * o).reshape(-1, o.shape[-1])


def symmetric(upper: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The symmetric matrix with this upper triangle."""
    return jnp.triu(upper) + jnp.triu(upper, 1).T


def upper_product(rows: Float[Array, "rows n"], blocks: int = 4) -> Float[Array, "n n"]:
    """A^T A with only the blocks on and above the diagonal filled: 10/16 of the work for 4 blocks."""
    edges = [len(rows.T) * k // blocks for k in range(blocks + 1)]
    strips = [jnp.pad(rows[:, a:b].T @ rows[:, a:], ((0, 0), (a, 0))) for a, b in pairwise(edges)]
    return jnp.concatenate(strips)


def _split(arrays: tuple[Array, ...], blocks: int) -> tuple[Array, ...]:
    """Split the sample axis into equal blocks, padded with samples of weight zero, and spread them over the devices."""
    size = -(-len(arrays[0]) // blocks)
    padded = (jnp.pad(a, [(0, blocks * size - len(a))] + [(0, 0)] * (a.ndim - 1)) for a in arrays)
    return tuple(spread(a.reshape(blocks, size, *a.shape[1:])) for a in padded)
