"""The hidden-unit engine: every density matrix of the form

    log rho(x) = sum_j A[j, x_j] + sum_k log cosh(theta_k),    theta_k = beta_k + sum_j T[j, x_j, k]

with complex tables A, beta, T that an ansatz builds from its own real parameters. With

    p_k = 1/(1 + exp(2 theta_k)),  q_k = 1 - p_k = 1/(1 + exp(-2 theta_k)),  e_k = exp(2 Delta_k)

a change of labels that moves theta_k by Delta_k gives, without transcendental functions,

    rho(x')/rho(x) = exp(dA - sum_k Delta_k) prod_k (p_k + q_k e_k),      p_k -> p_k/(p_k + q_k e_k),  q_k -> q_k
    e_k/(p_k + q_k e_k).

p and q are bounded away from the zeros of cosh, each is kept to full relative accuracy, and nothing overflows however
large theta is: that is why they are cached and not z = exp(2 theta).
"""

import dataclasses
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Inexact, Int

from neurho.matrix_elements.generator import Side
from neurho.matrix_elements.networks.acceptance import HiddenModuli
from neurho.matrix_elements.networks.base import AbstractAmplitudes, Ratio
from neurho.matrix_elements.symmetry import Charge

BLOCK = 16
"""Hidden units whose factors are multiplied before the product is rescaled: safe for |2 Delta_k| up to 44."""

LANES = 4
"""Factors multiplied side by side: a single chain of products waits for every one of them."""


class HiddenCache(NamedTuple):
    """Real and imaginary parts of p and q of one configuration, each `(hidden,)`."""

    p_re: Float[Array, " hidden"]
    p_im: Float[Array, " hidden"]
    q_re: Float[Array, " hidden"]
    q_im: Float[Array, " hidden"]


class HiddenChange(NamedTuple):
    """exp(2 Delta_k), and the prefactor exp(dA - sum_k Delta_k) as a log scale and a phase."""

    e_re: Float[Array, " hidden"]
    e_im: Float[Array, " hidden"]
    log_scale: Float[Array, ""]
    phase_re: Float[Array, ""]
    phase_im: Float[Array, ""]


@jax.custom_jvp
def log_cosh(theta: Inexact[Array, "..."]) -> Inexact[Array, "..."]:
    """Log cosh(theta), finite for any |Re theta|, on some branch (only exp of sums of it has a meaning)."""
    turned = jnp.where(theta.real >= 0, theta, -theta)
    return turned + jnp.log1p(jnp.exp(-2 * turned)) - math.log(2)


@log_cosh.defjvp
def _log_cosh_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """D log cosh = tanh d theta; the derivative that JAX finds by itself costs several times as much."""
    (theta,), (change,) = primals, tangents
    up = theta.real >= 0
    small = jnp.exp(-2 * jnp.where(up, theta, -theta))
    tanh = (1 - small) / (1 + small)
    return log_cosh(theta), jnp.where(up, tanh, -tanh) * change


def outside_is_zero(charge: Charge | None, x: Int[Array, " sites"]) -> Float[Array, ""]:
    """What is added to log rho(x): 0 in the sector of charge zero, -inf outside."""
    return jnp.zeros(()) if charge is None else jnp.where(charge.of(x) == 0, 0.0, -jnp.inf)


def sum_of_rows(weights: Float[Array, "sites labels *units"], x: Int[Array, " sites"]) -> Float[Array, "*units"]:
    """sum_j weights[j, x_j], as a product with zeros and ones: indices would write out all rows before they add."""
    here = jax.nn.one_hot(x, weights.shape[1], dtype=weights.dtype).reshape(-1)
    return (here @ weights.reshape(len(here), -1)).reshape(weights.shape[2:])


class HiddenUnits(AbstractAmplitudes):
    """The tables of a hidden-unit density matrix at fixed parameters; zero outside the sector of charge zero.

    The first `one_sided` units depend on row indices only, and the last `one_sided` on column indices only.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    assert isinstance(network.amplitudes(), neurho.networks.HiddenUnits)
    ```
    """

    visible: Complex[Array, "sites labels"]
    bias: Complex[Array, " hidden"]
    weights: Complex[Array, "sites labels hidden"]
    charge: Charge | None = eqx.field(static=True, default=None)
    one_sided: int = eqx.field(static=True, default=0)

    def angles(self, x: Int[Array, " sites"]) -> Complex[Array, " hidden"]:
        """theta_k of configuration `x`."""
        return self.bias + jax.lax.complex(*(sum_of_rows(part, x) for part in (self.weights.real, self.weights.imag)))

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x)."""
        inside = outside_is_zero(self.charge, x)
        return jnp.sum(self.visible[jnp.arange(len(x)), x]) + jnp.sum(log_cosh(self.angles(x))) + inside

    def cache(self, x: Int[Array, " sites"]) -> HiddenCache:
        """P and q of every hidden unit, from the smaller of exp(2 theta) and exp(-2 theta)."""
        theta = self.angles(x)
        up = theta.real >= 0
        small = jnp.exp(-2 * jnp.where(up, theta, -theta))
        near, far = 1 / (1 + small), small / (1 + small)
        p, q = jnp.where(up, far, near), jnp.where(up, near, far)
        return HiddenCache(p_re=p.real, p_im=p.imag, q_re=q.real, q_im=q.imag)

    def prepare(self, sites: Int[Array, " k"], old: Int[Array, " k"], new: Int[Array, " k"]) -> HiddenChange:
        """The factors of one change of labels."""
        delta = jnp.sum(self.weights[sites, new] - self.weights[sites, old], axis=0)
        prefactor = jnp.sum(self.visible[sites, new] - self.visible[sites, old]) - jnp.sum(delta)
        e = jnp.exp(2 * delta)
        log_scale = prefactor.real
        if self.charge is not None:
            kept = self.charge.of(new) == self.charge.of(old)
            log_scale = jnp.where(kept, log_scale, -jnp.inf)
        return HiddenChange(
            e_re=e.real,
            e_im=e.imag,
            log_scale=log_scale,
            phase_re=jnp.cos(prefactor.imag),
            phase_im=jnp.sin(prefactor.imag),
        )

    def part(self, side: Side) -> "HiddenUnits":
        """Without the units of the other side."""
        units = self._touched(side)
        return dataclasses.replace(self, bias=self.bias[units], weights=self.weights[..., units], one_sided=0)

    def cut(self, cache: HiddenCache, side: Side) -> HiddenCache:
        """Without the units of the other side."""
        return jax.tree.map(lambda a: a[self._touched(side)], cache)

    def _touched(self, side: Side) -> slice:
        units = len(self.bias)
        begin = self.one_sided if side is Side.COLUMNS else 0
        return slice(begin, units - self.one_sided if side is Side.ROWS else units)

    def moduli(self) -> HiddenModuli:
        """Without phases, in float32."""
        visible, bias, weights = (
            jnp.concatenate([a.real, a.imag], axis=-1).astype(jnp.float32)
            for a in (self.visible[..., None], self.bias, self.weights)
        )
        none = jnp.zeros(0, jnp.float32)
        return HiddenModuli(visible=visible[..., 0], bias=bias, weights=weights, power=none, charge=self.charge)

    def ratio(self, cache: HiddenCache, change: HiddenChange) -> Ratio:
        """exp(dA - sum Delta) prod_k (p_k + q_k e_k), rescaled after every block of hidden units."""
        re = cache.p_re + cache.q_re * change.e_re - cache.q_im * change.e_im
        im = cache.p_im + cache.q_re * change.e_im + cache.q_im * change.e_re
        re, im = _product(*_product(in_blocks(re, 1), in_blocks(im, 0), axis=-2))
        exponent, shrink = _binary_scale(jnp.maximum(jnp.abs(re), jnp.abs(im)))
        re, im = _product(re * shrink, im * shrink)
        return Ratio(
            log_scale=change.log_scale + math.log(2) * jnp.sum(exponent),
            re=re * change.phase_re - im * change.phase_im,
            im=re * change.phase_im + im * change.phase_re,
        )

    def update(self, cache: HiddenCache, change: HiddenChange) -> HiddenCache:
        """P and q after the change."""
        s_re = cache.q_re * change.e_re - cache.q_im * change.e_im
        s_im = cache.q_re * change.e_im + cache.q_im * change.e_re
        f_re, f_im = cache.p_re + s_re, cache.p_im + s_im
        norm = f_re**2 + f_im**2
        f_re, f_im = f_re / norm, f_im / norm
        return HiddenCache(
            p_re=cache.p_re * f_re + cache.p_im * f_im,
            p_im=cache.p_im * f_re - cache.p_re * f_im,
            q_re=s_re * f_re + s_im * f_im,
            q_im=s_im * f_re - s_re * f_im,
        )


def in_blocks(factors: Float[Array, "... hidden"], fill: float) -> Float[Array, "... blocks rows lanes"]:
    """Split the last axis into equal blocks of lanes whose products stay finite; the last is padded with `fill`."""
    count = factors.shape[-1]
    blocks = max(1, -(-count // BLOCK))
    rows = -(-count // (blocks * LANES))
    padding = [(0, 0)] * (factors.ndim - 1) + [(0, blocks * rows * LANES - count)]
    return jnp.pad(factors, padding, constant_values=fill).reshape(*factors.shape[:-1], blocks, rows, LANES)


def _binary_scale(size: Float[Array, "..."]) -> tuple[Int[Array, "..."], Float[Array, "..."]]:
    """Two numbers, k and 2^-k, with 1 <= 2^-k size < 2, read from the bits of `size` >= 0.

    A logarithm costs as much as ten factors. k is as low as it gets where `size` is zero.
    """
    kind = jnp.finfo(size.dtype)
    exponent = jax.lax.bitcast_convert_type(size, jnp.int64 if kind.bits == 64 else jnp.int32) >> kind.nmant
    shrink = jax.lax.bitcast_convert_type((2 * kind.maxexp - 2 - exponent) << kind.nmant, size.dtype)
    return exponent - (kind.maxexp - 1), shrink


def _product(
    re: Float[Array, "..."], im: Float[Array, "..."], axis: int = -1
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The product of complex numbers along an axis, in real arithmetic (a loop compilers vectorise)."""

    def multiply(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]

    one, zero = jnp.ones((), re.dtype), jnp.zeros((), re.dtype)
    return jax.lax.reduce((re, im), (one, zero), multiply, (re.ndim + axis,))
