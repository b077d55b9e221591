"""|rho| for acceptance steps: `prepare` changes, `cache` configurations, `propose`, and `refresh` now and then.

Of a hidden-unit density matrix only the modulus is kept, in float32; phases, and units that only make phases, drop out:

    |rho(x)| = exp A(x) prod_g cosh(theta_g)^power_g prod_k |cosh(theta_k)|      theta_g real, theta_k complex.

Each unit has two numbers P : Q = 1 : exp(2 theta), P >= 0, up to a factor that is chosen when they are refreshed, so
that |P + Q| = 1. A change of labels that moves theta by Delta multiplies P by exp(-Re Delta), Q by exp(Re Delta + 2i Im
Delta), and

    |rho(x')/rho(x)| = exp(dA) prod (|P' + Q'|/|P + Q|)^power.

One logarithm of each unit costs less than products in blocks that are rescaled. P, Q and their squares stay in the
range of float32 as long as |Re theta| is below `RANGE`, however far it moves between two refreshes. (With exp(2 Delta)
on Q alone that would be half as far: what overflows is accepted, and then never left.)
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from neurho.matrix_elements.symmetry import Charge

LARGEST = 1e38
"""Logarithms of forbidden changes are cut at its negative: they must survive a product with 0."""

RANGE = 40.0
"""Single changes of Re theta are cut to this."""

TINY = 1e-38
"""Squares are kept between this and `LARGEST`: a zero of a cosh must not make infinities."""


class AbstractModuli(eqx.Module):
    """|rho| at fixed parameters. All methods take one configuration or one change; batch with `jax.vmap`."""

    @abc.abstractmethod
    def cache(self, x: Int[Array, " sites"]) -> PyTree[Array]:
        """What proposals from configuration `x` need."""

    @abc.abstractmethod
    def prepare(self, sites: Int[Array, " k"], old: Int[Array, " k"], new: Int[Array, " k"]) -> PyTree[Array]:
        """What a proposal to change the labels `old` to `new` on `sites` needs."""

    @abc.abstractmethod
    def propose(self, cache: PyTree[Array], change: PyTree[Array]) -> tuple[Float[Array, ""], PyTree[Array]]:
        """Log |rho(x')/rho(x)|, and the cache of x'."""

    @abc.abstractmethod
    def refresh(self, cache: PyTree[Array]) -> PyTree[Array]:
        """The same cache, ready for a few more changes."""


class ModuliCache(NamedTuple):
    """P and Q of all units (P is real, Q of the complex units has two parts), and sum power log |P + Q|."""

    p: Float[Array, " real"]
    q: Float[Array, " real"]
    rest: Float[Array, " hidden"]
    re: Float[Array, " hidden"]
    im: Float[Array, " hidden"]
    log: Float[Array, ""]


class HiddenModuli(AbstractModuli):
    """|rho| of hidden units: real ones to the powers `power`, and complex ones. Zero outside the sector of charge zero.

    The last axis of `bias` and `weights` holds the real units, and the real and the imaginary parts of the complex
    ones. A prepared change is one vector: the factors of P and of Q of the real units, those of P and of Q (real and
    imaginary part) of the complex ones, and the logarithm of the prefactor.
    """

    visible: Float[Array, "sites labels"]
    bias: Float[Array, " tables"]
    weights: Float[Array, "sites labels tables"]
    power: Float[Array, " real"]
    charge: Charge | None = eqx.field(static=True, default=None)

    def cache(self, x: Int[Array, " sites"]) -> ModuliCache:
        """P and Q of every unit, from the smaller of exp(2 theta) and exp(-2 theta)."""
        here = jax.nn.one_hot(x, self.weights.shape[1], dtype=self.bias.dtype).reshape(-1)
        real, re, im = self._parts(self.bias + _dot(here, self.weights.reshape(len(here), -1)))
        small, size = (jnp.exp(-2 * jnp.abs(a)) for a in (real, re))
        far = jnp.where(re > 0, 1, size)
        return self.refresh(
            ModuliCache(
                p=jnp.where(real > 0, small, 1),
                q=jnp.where(real > 0, 1, small),
                rest=jnp.where(re > 0, size, 1),
                re=far * jnp.cos(2 * im),
                im=far * jnp.sin(2 * im),
                log=jnp.zeros((), self.bias.dtype),
            )
        )

    def prepare(self, sites: Int[Array, " k"], old: Int[Array, " k"], new: Int[Array, " k"]) -> Float[Array, " change"]:
        """The factors of one change of labels."""
        real, re, im = self._parts(jnp.sum(self.weights[sites, new] - self.weights[sites, old], axis=0))
        scale = jnp.sum(self.visible[sites, new] - self.visible[sites, old])
        if self.charge is not None:
            scale = jnp.where(self.charge.of(new) == self.charge.of(old), scale, -LARGEST)
        real, re = (jnp.clip(a, -RANGE, RANGE) for a in (real, re))
        factor = jnp.exp(re)
        q = (factor * jnp.cos(2 * im), factor * jnp.sin(2 * im))
        return jnp.concatenate([jnp.exp(-real), jnp.exp(real), jnp.exp(-re), *q, scale[None]])

    def propose(self, cache: ModuliCache, change: Float[Array, " change"]) -> tuple[Float[Array, ""], ModuliCache]:
        """Five multiplications and a logarithm for each unit."""
        p, q, rest, e_re, e_im = self._factors(change)
        moved = cache._replace(
            p=cache.p * p,
            q=cache.q * q,
            rest=cache.rest * rest,
            re=cache.re * e_re - cache.im * e_im,
            im=cache.re * e_im + cache.im * e_re,
        )
        logs = jnp.sum(self.power * jnp.log(moved.p + moved.q)) + 0.5 * jnp.sum(jnp.log(_squares(moved)))
        return change[-1] + logs - cache.log, moved._replace(log=logs)

    def refresh(self, cache: ModuliCache) -> ModuliCache:
        """Make |P + Q| = 1 again."""
        real, hidden = 1 / (cache.p + cache.q), jax.lax.rsqrt(_squares(cache))
        return ModuliCache(
            p=cache.p * real,
            q=cache.q * real,
            rest=cache.rest * hidden,
            re=cache.re * hidden,
            im=cache.im * hidden,
            log=jnp.zeros_like(cache.log),
        )

    def _factors(self, change: Float[Array, "... change"]) -> list[Array]:
        """Those of P and Q of the real units, of P and of both parts of Q of the complex ones."""
        real = len(self.power)
        hidden = (change.shape[-1] - 1 - 2 * real) // 3
        sizes = (real, real, hidden, hidden, hidden)
        return jnp.split(change[..., :-1], [sum(sizes[:k]) for k in range(1, 5)], axis=-1)

    def _parts(self, values: Float[Array, " tables"]) -> tuple[Array, Array, Array]:
        """Those of the real units, and real and imaginary parts of those of the complex units."""
        real = len(self.power)
        hidden = (len(values) - real) // 2
        return values[:real], values[real : real + hidden], values[real + hidden :]


def _squares(cache: ModuliCache) -> Float[Array, " hidden"]:
    """|P + Q|^2 of the complex units."""
    return jnp.clip((cache.rest + cache.re) ** 2 + cache.im**2, TINY, LARGEST)


def _dot(a: Float[Array, " n"], b: Float[Array, "n *rest"]) -> Float[Array, " *rest"]:
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)
