"""The depolarised norm: inner products in which strings of many operators count less.

For density matrices with coefficients a_P, b_P of orthonormal strings P of traceless operators on |P| sites,

    <A, B>_lambda = sum_P lambda^|P| a_P* b_P,

the Hilbert-Schmidt product after a channel that depolarises each site by sqrt(lambda). On the d^2 matrix elements of a
site that channel is

    D = sqrt(lambda) 1 + (1 - sqrt(lambda))/d sum_ll' |l l><l' l'|,

so coherences are damped by sqrt(lambda) and populations are mixed, and D applied twice is the kernel of the product:
lambda for coherences, ((1 + lambda)/2, (1 - lambda)/2) for the populations of a spin. lambda = 1 is the Hilbert-Schmidt
norm; 1/3 is that of classical shadows of random local bases (Huang et al., Nat. Phys. 16, 1050, arXiv:2002.08953).

D mixes configurations, so all of them must be there: this is for exact sums.
"""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from neurho._jax.scalars import Scalar
from neurho._types import NeurhoError, require
from neurho.matrix_elements.generator import all_labels, place_values
from neurho.matrix_elements.sampling import AbstractSampler, Enumeration
from neurho.matrix_elements.sampling.enumeration import mirrored, representatives

TABLE_FLOATS = 2**20
"""Entries of tables that are worked on together: as many columns as stay in the caches of a processor."""


def depolarised(
    table: Float[Array, "configurations *columns"], strength: Scalar, sites: int, local_dim: int
) -> Float[Array, "configurations *columns"]:
    """D on every site of tables over all configurations, real or complex; `strength` is lambda."""
    shape, label_dim, root = table.shape, local_dim**2, jnp.sqrt(strength)
    population = jnp.asarray(np.eye(local_dim).reshape(1, -1, 1))
    for done in range(sites):
        one = table.reshape(label_dim**done, label_dim, -1)
        trace = jnp.sum(one[:, :: local_dim + 1], axis=1, keepdims=True)
        table = root * one + (1 - root) / local_dim * trace * population
    return table.reshape(shape)


class Depolarised(eqx.Module):
    """The depolarised norm on the configurations of an exact sum, one for all that symmetries make equal.

    - `strength`: lambda.
    - `place`: for every configuration that of its representative, in the list; beyond its end outside of the sector.
    - `sign`: -1 where that is the complex conjugate, else 1.
    - `kept`, `images`: places of the representatives, and of their mirror images, among all configurations.
    - `multiplicity`: how many configurations a representative stands for.
    """

    strength: Float[Array, ""]
    place: Int[Array, " all"]
    sign: Float[Array, " all"]
    kept: Int[Array, " configurations"]
    images: Int[Array, " configurations"]
    multiplicity: Float[Array, " configurations"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True)

    @classmethod
    def build(cls, strength: float, sampler: AbstractSampler, local_dim: int = 2) -> Self:
        """For the configurations that `sampler` goes through.

        **Raises** `NeurhoError` unless 0 < `strength` <= 1, and for a sampler that does not go through all
        configurations.
        """
        good = isinstance(strength, float | int) and 0 < strength <= 1
        require(good, "metric", "be a number > 0 and <= 1", f"it is {strength}")
        if not isinstance(sampler, Enumeration) or sampler.moves is None:
            must = "be 1 unless all configurations are summed: the depolarised norm mixes configurations"
            raise NeurhoError(f"Argument `metric` must {must}, but it is {strength} with samples.")
        x = np.asarray(sampler.configurations)
        sites, labels = x.shape[1], all_labels(x.shape[1], local_dim**2)
        kept = x @ place_values(sites, local_dim**2)
        first, turned = representatives(labels, local_dim, np.asarray(sampler.moves), hermitian=sampler.hermitian)
        place = np.minimum(np.searchsorted(kept, first), len(kept) - 1)
        return cls(
            strength=jnp.asarray(float(strength)),
            place=jnp.asarray(np.where(kept[place] == first, place, len(kept)), dtype=jnp.int32),
            sign=jnp.asarray(np.where(turned, -1.0, 1.0)),
            kept=jnp.asarray(kept, dtype=jnp.int32),
            images=jnp.asarray(mirrored(x, local_dim) @ place_values(sites, local_dim**2), dtype=jnp.int32),
            multiplicity=sampler.multiplicity,
            sites=sites,
            local_dim=local_dim,
            hermitian=sampler.hermitian,
        )

    def __call__(
        self, log_rho: Complex[Array, " configurations"], values: Float[Array, "configurations 2 columns"]
    ) -> Float[Array, "configurations 2 columns"]:
        """D (rho f)/||D rho|| for functions f of configurations, real and imaginary parts, as rows of a least-squares
        problem: sums of their products over the first two axes are Re <rho f, rho g>/<rho, rho>.
        """
        rho = jnp.exp(log_rho - self.log_norm(log_rho))
        re, im = rho.real[:, None], rho.imag[:, None]
        product = jnp.stack([re * values[:, 0] - im * values[:, 1], re * values[:, 1] + im * values[:, 0]], axis=1)
        return jnp.sqrt(self.multiplicity)[:, None, None] * self._chunked(product)

    def log_norm(self, log_rho: Complex[Array, " configurations"]) -> Float[Array, ""]:
        """Log ||D rho||, whose derivatives are Re <rho, rho O>/<rho, rho>."""
        largest = jax.lax.stop_gradient(jnp.max(log_rho.real))
        mixed = self._mixed(parts(jnp.exp(log_rho - largest))[:, :, None])
        return largest + jnp.log(jnp.sum(self.multiplicity[:, None, None] * mixed**2)) / 2

    def size(
        self, log_rho: Complex[Array, " configurations"], values: Complex[Array, " configurations"]
    ) -> Float[Array, ""]:
        """||D (rho f)||/||D rho||."""
        return jnp.sqrt(jnp.sum(self(log_rho, parts(values)[:, :, None]) ** 2))

    def _chunked(self, values: Float[Array, "configurations 2 columns"]) -> Float[Array, "configurations 2 columns"]:
        columns = values.shape[2]
        most = max(1, TABLE_FLOATS // (len(self.place) * (1 if self.hermitian else 2)))
        parts = -(-columns // most)
        if parts == 1:
            return self._mixed(values)
        size = -(-columns // parts)
        padded = jnp.pad(values, ((0, 0), (0, 0), (0, parts * size - columns)))
        split = jnp.moveaxis(padded.reshape(*values.shape[:2], parts, size), 2, 0)
        mixed = jax.lax.map(self._mixed, split)
        return jnp.moveaxis(mixed, 0, 2).reshape(*values.shape[:2], -1)[:, :, :columns]

    def _mixed(self, values: Float[Array, "configurations 2 columns"]) -> Float[Array, "configurations 2 columns"]:
        """D of tables known at the representatives, there.

        D is real and commutes with the mirror image. Of a Hermitian table the real part is even, the imaginary one odd
        under it, so their sum holds both.
        """
        padded = jnp.pad(values, ((0, 1), (0, 0), (0, 0)))
        if not self.hermitian:
            return depolarised(padded[self.place], self.strength, self.sites, self.local_dim)[self.kept]
        table = padded[self.place, 0] + self.sign[:, None] * padded[self.place, 1]
        table = depolarised(table, self.strength, self.sites, self.local_dim)
        here, there = table[self.kept], table[self.images]
        return jnp.stack([here + there, here - there], axis=1) / 2


def parts(values: Complex[Array, "configurations *columns"]) -> Float[Array, "configurations 2 *columns"]:
    """Real and imaginary parts side by side."""
    return jnp.stack([values.real, values.imag], axis=1)
