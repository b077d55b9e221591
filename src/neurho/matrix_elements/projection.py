"""Implicit projected steps: from rho_0 at time t to the network rho that minimises

    F = min_g || (1 - w dt L) rho - (1 + g) (1 + (1 - w) dt L) rho_0 ||^2 / ||rho||^2 / (1 + w dt)^2 + (u g)^2

by Gauss-Newton on samples of rho. w = 1 is backward Euler (with growing dt the way to stationary states), w = 1/2 is
Crank-Nicolson (second order, for dynamics). With u = w dt/(1 + w dt) the row of a sample is

    R(x) = (1 - u) - u L_loc(x) + (1 + g) h(x),    h(x) = -[(1 - u) + (1/w - 1) u L_loc,0(x)] rho_0(x)/rho(x)
    G(x) = (1 - u) (O(x) - Obar) - u (M(x) - Obar L_loc(x)),                  Obar = Re <O>,

where rho_0 and rho have the same norm. g frees the scale, which the network cannot and need not know; at long dt,
where a large g could pass any eigenvector of L for a stationary state, (u g)^2 holds it back.

One iteration is the least-squares problem min_{delta, g} <|R + G delta|^2> + (u g)^2 + damping: a linearly implicit
step of the time-dependent variational principle, whose length the stiff directions do not limit. The noise of the
samples enters only through what the network cannot represent: where R = 0 can be reached, every sample says so.

All norms, Obar = Re <rho, rho O>/<rho, rho> included, are those of Hilbert and Schmidt, or depolarised ones
([`neurho.matrix_elements.estimation.depolarised`][]) where all configurations are summed.
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._jax.compiling import program, rehearse
from neurho._jax.parallel import spread, sum_samples
from neurho._jax.scalars import Scalar
from neurho.matrix_elements.distinct import at_each, condense
from neurho.matrix_elements.estimation.depolarised import Depolarised, parts
from neurho.matrix_elements.estimation.derivatives import LocalDerivatives
from neurho.matrix_elements.estimation.estimators import CHUNK, estimate, lindblad_values, local_values
from neurho.matrix_elements.generator import LabelMap
from neurho.matrix_elements.networks import AbstractAnsatz, log_amplitudes, parameters
from neurho.matrix_elements.sampling import AbstractSampler, Draw, Tuning, Worth, blank_draw, draw_samples, tuned
from neurho.matrix_elements.tdvp.equation import Certificate, certificate_of, rehearse_local
from neurho.matrix_elements.tdvp.metric import length, symmetric, upper_product
from neurho.observables import Estimate

BATCH = 16
"""Samples whose derivatives are computed together: few enough that their tables stay in the cache."""


class Probe(NamedTuple):
    """Samples of a state and what they say about it.

    - `local`: L_loc at the samples; `misfit`: F with respect to rho_0.
    - `motion`: ||L rho||^2/||rho||^2 in the norm of the problem, unlike that of the certificate.
    """

    draw: Draw
    local: Complex[Array, "draws chains"]
    misfit: Estimate
    chains: Int[Array, "chains sites"]
    certificate: Certificate
    motion: Float[Array, ""]

    @property
    def worth(self) -> Worth:
        """What the samples were worth."""
        count, found = self.draw.weight.size, self.certificate
        return Worth(float(found.acceptance), float(found.ess) / count, float(found.norm2_ess) / count)


class Correction(NamedTuple):
    """A Gauss-Newton correction of the parameters.

    - `length`: sqrt(delta^T S delta) before the trust region cut it, an angle in radians.
    - `misfit`, `predicted`: F on the samples now, and what the linear model expects of the full correction.
    """

    delta: Float[Array, " parameters"]
    length: Float[Array, ""]
    misfit: Float[Array, ""]
    predicted: Float[Array, ""]


class Implicit(eqx.Module):
    """The least-squares problem of implicit steps.

    - `generator`, `sampler`, `chunk`: as in [`TDVP`][neurho.matrix_elements.tdvp.equation.TDVP].
    - `weight`: w in [1/2, 1].
    - `trust`: longest correction in the metric, in radians.
    - `norm`: a depolarised one, or None for that of Hilbert and Schmidt. Certificates stay in the latter.
    """

    generator: LabelMap
    sampler: AbstractSampler
    weight: float = eqx.field(static=True, default=1.0)
    trust: float = 0.1
    chunk: int = eqx.field(static=True, default=CHUNK)
    norm: Depolarised | None = None

    def tuned(self, tuning: Tuning) -> "Implicit":
        """The same problem with samples at another exponent and blur."""
        return dataclasses.replace(self, sampler=tuned(self.sampler, tuning))

    def _at(self, t: Scalar) -> "Implicit":
        """The same problem with the generator at one time: its coefficients are no part of compiled programs."""
        return dataclasses.replace(self, generator=self.generator.at_time(t))

    def probe(
        self, key: PRNGKeyArray, t: Scalar, dt: Scalar, ansatz: AbstractAnsatz, origin: AbstractAnsatz, chains: Array
    ) -> Probe:
        """Fresh samples of `ansatz` and its misfit as the state a step `dt` after `origin`, with `t` between them."""
        draw, chains, info = draw_samples(self.sampler, key, ansatz, chains)
        x = draw.x.reshape(-1, draw.x.shape[-1])
        now = self._at(t)
        local = lindblad_values(ansatz, now.generator, t, x, self.chunk).reshape(draw.weight.shape)
        certificate = certificate_of(local, draw, exact=self.sampler.exact, local_dim=self.generator.local_dim)
        return Probe(
            draw=draw,
            local=local,
            misfit=now._misfit(dt, ansatz, origin, draw, local),
            chains=chains,
            certificate=certificate._replace(acceptance=info.acceptance),
            motion=certificate.lindblad_norm2.mean if self.norm is None else now._motion(ansatz, x, local),
        )

    @program
    def _motion(self, ansatz: AbstractAnsatz, x: Array, local: Array) -> Float[Array, ""]:
        """||L rho||^2/||rho||^2 in the depolarised norm."""
        return jnp.sum(self._seen(ansatz, x, local.reshape(-1, 1)) ** 2)

    def rehearse(self, t: Scalar, dt: Scalar, damping: Scalar, ansatz: AbstractAnsatz) -> None:
        """Have the programs of a step compiled that come after the samples."""
        if (draw := blank_draw(self.sampler)) is None:
            return
        now = self._at(t)
        local = rehearse_local(now.generator, self.sampler, t, ansatz, draw, self.chunk)
        rehearse(Implicit._misfit, now, dt, ansatz, ansatz, draw, local)
        rehearse(Implicit._correct, now, dt, damping, ansatz, ansatz, draw, local)

    @program
    def _misfit(self, dt: Scalar, ansatz: AbstractAnsatz, origin: AbstractAnsatz, draw: Draw, local: Array) -> Estimate:
        """F with respect to `origin`, with the best scale."""
        x, weight, local = draw.x.reshape(-1, draw.x.shape[-1]), draw.weight.reshape(-1), local.reshape(-1)
        row, column = self._rows(dt, ansatz, origin, x, weight, local)
        u = self._share(dt)
        if self.norm is not None:
            h, r = self._seen(ansatz, x, jnp.stack([column, row], axis=1))
            g = -(h @ r) / (h @ h + u**2)
            return Estimate(mean=jnp.sum((r + g * h) ** 2) + (u * g) ** 2, error=jnp.zeros(()))
        size = jnp.sum(weight * jnp.abs(column) ** 2) + u**2
        g = -jnp.sum(weight * (column.conj() * row).real) / size
        squares = (jnp.abs(row + g * column) ** 2 + (u * g) ** 2).reshape(draw.weight.shape)
        return estimate(squares, draw, exact=self.sampler.exact)

    def _seen(self, ansatz: AbstractAnsatz, x: Array, values: Complex[Array, "samples columns"]) -> Array:
        """Functions of all configurations as vectors `(columns, rows)` whose products are those of the norm."""
        assert self.norm is not None
        rows = self.norm(log_amplitudes(ansatz, x), parts(values))
        return rows.reshape(-1, rows.shape[-1]).T

    def correct(
        self, t: Scalar, dt: Scalar, damping: Scalar, ansatz: AbstractAnsatz, origin: AbstractAnsatz, probe: Probe
    ) -> Correction:
        """One Gauss-Newton correction of `ansatz` from its own samples."""
        return self._at(t)._correct(dt, damping, ansatz, origin, probe.draw, probe.local)

    @program
    def _correct(
        self,
        dt: Scalar,
        damping: Scalar,
        ansatz: AbstractAnsatz,
        origin: AbstractAnsatz,
        draw: Draw,
        local: Array,
    ) -> Correction:
        samples = (draw.x.reshape(-1, draw.x.shape[-1]), draw.weight.reshape(-1), local.reshape(-1))
        x, weight, local = condense(ansatz.local_dim**2, *samples)
        row, column = self._rows(dt, ansatz, origin, x, weight, local)
        mean = self._mean_derivative(ansatz, x, weight)
        gram = self._gram(dt, ansatz, x, weight, mean, row, column)
        count = len(mean)
        normal, force, misfit = _without_scale(gram, count, self._share(dt))
        shift = damping * jnp.trace(normal) / count
        delta = -jsl.cho_solve(jsl.cho_factor(normal + shift * jnp.eye(count), lower=True), force)
        turned = self._length(ansatz, x, weight, mean, delta)
        return Correction(
            delta=delta * jnp.minimum(1.0, self.trust / jnp.maximum(turned, 1e-300)),
            length=turned,
            misfit=misfit,
            predicted=misfit + 2 * force @ delta + delta @ normal @ delta,
        )

    def _share(self, dt: Scalar) -> Scalar:
        """U = w dt/(1 + w dt)."""
        return 1 / (1 + 1 / (self.weight * dt))

    def _rows(
        self,
        dt: Scalar,
        ansatz: AbstractAnsatz,
        origin: AbstractAnsatz,
        x: Array,
        weight: Array,
        local: Array,
    ) -> tuple[Complex[Array, " samples"], Complex[Array, " samples"]]:
        """R at g = 0, and h."""
        u = self._share(dt)
        log_ratio = at_each(lambda x: log_amplitudes(origin, x) - log_amplitudes(ansatz, x), x, ansatz.local_dim**2)
        ratio = jnp.exp(log_ratio - jnp.max(log_ratio.real))
        if self.norm is None:
            ratio = ratio / jnp.sqrt(jnp.sum(weight * jnp.abs(ratio) ** 2))
        else:
            ratio = ratio / self.norm.size(log_amplitudes(ansatz, x), ratio)
        before = jnp.full(len(x), 1 - u, dtype=complex)
        if self.weight < 1:
            earlier = local_values(origin.amplitudes(), self.generator, x, chunk=self.chunk)[:, 0]
            before = before + (1 / self.weight - 1) * u * earlier
        column = -before * ratio
        return (1 - u) - u * local + column, column

    def _mean_derivative(self, ansatz: AbstractAnsatz, x: Array, weight: Array) -> Float[Array, " parameters"]:
        """Obar."""
        if (norm := self.norm) is None:
            return mean_derivative(ansatz, x, weight)
        vector, restore = parameters(ansatz)
        return jax.grad(lambda v: norm.log_norm(log_amplitudes(restore(v), x)))(vector)

    def _length(self, ansatz: AbstractAnsatz, x: Array, weight: Array, mean: Array, delta: Array) -> Float[Array, ""]:
        """sqrt(delta^T S delta)."""
        if self.norm is None:
            return length(ansatz, x, weight, jnp.stack([mean, jnp.zeros_like(mean)]), delta)
        vector, restore = parameters(ansatz)
        here, along = jax.jvp(lambda v: log_amplitudes(restore(v), x), (vector,), (delta,))
        return self.norm.size(here, along - mean @ delta)

    def _gram(
        self, dt: Scalar, ansatz: AbstractAnsatz, x: Array, weight: Array, mean: Array, row: Array, column: Array
    ) -> Float[Array, "columns columns"]:
        """<[G h R]^T [G h R]>, accumulated over chunks; all rows at once where the norm mixes configurations."""
        u = self._share(dt)
        derivatives = LocalDerivatives.build(ansatz, self.generator)

        def rows(x: Array, row: Array, column: Array) -> Float[Array, "samples 2 columns"]:
            d = jax.lax.map(derivatives, x, batch_size=min(BATCH, len(x)))
            g = (1 - u) * d.o - u * (d.moved - parts(d.local)[:, :, None] * mean)
            g = g.at[:, 0].add(-(1 - u) * mean)
            return jnp.concatenate([g, parts(jnp.stack([column, row], axis=1))], axis=2)

        def part(x: Array, w: Array, row: Array, column: Array) -> Array:
            weighted = jnp.sqrt(w)[:, None, None] * rows(x, row, column)
            return upper_product(weighted.reshape(-1, weighted.shape[-1]))

        if self.norm is None:
            return symmetric(sum_samples(part, (x, weight, row, column), self.chunk))
        seen = self.norm(log_amplitudes(ansatz, x), rows(x, row, column))
        return symmetric(upper_product(seen.reshape(-1, seen.shape[-1])))


def mean_derivative(ansatz: AbstractAnsatz, x: Array, weight: Array) -> Float[Array, " parameters"]:
    """Re <O>, by one pass backwards through log rho."""
    vector, restore = parameters(ansatz)
    return jax.grad(lambda v: jnp.sum(weight * jax.vmap(restore(v).log_amplitude)(spread(x)).real))(vector)


def _without_scale(gram: Float[Array, "columns columns"], count: int, u: Scalar) -> tuple[Array, Array, Array]:
    """Normal matrix, gradient and F after the scale g has been eliminated."""
    h = gram[count, :]
    reduced = gram - jnp.outer(h, h) / (h[count] + u**2)
    return reduced[:count, :count], reduced[:count, -1], reduced[-1, -1]
