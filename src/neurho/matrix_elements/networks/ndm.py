"""The neural density matrix of Torlai & Melko: real networks for modulus and phase, and a complex one for mixing.

It is a hidden-unit density matrix with powers of cosh: real units to the power 1/2 (modulus) and +-i/2 (phase) beside
the complex units of the mixing part. cosh of a real number is positive, so its powers have no branches.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho.matrix_elements.generator import Side
from neurho.matrix_elements.networks.acceptance import HiddenModuli
from neurho.matrix_elements.networks.base import AbstractAmplitudes, AbstractAnsatz, Ratio
from neurho.matrix_elements.networks.hidden_units import (
    HiddenCache,
    HiddenChange,
    HiddenUnits,
    in_blocks,
    log_cosh,
    sum_of_rows,
)
from neurho.matrix_elements.networks.rbm import level_features, normal_leaves


class NDM(AbstractAnsatz):
    """The density matrix of PRL 120, 240503, Eq. 5, as in PRL 122, 250503 and `netket.models.NDM`, with l_j, r_j = +-1:

        log rho(l, r) = [G(l) + G(r)]/2 + i [F(l) - F(r)]/2 + sum_p log cosh(c_p + U_p.(l + r)/2 + i V_p.(l - r)/2)
        G(l) = a.l + sum_k log cosh(b_k + W_k.l),   F the same with parameters of its own, all of them real

    Hermitian and positive semidefinite for all parameters. The leading axis 2 is (G, F), or (U, V) of the mixing part.
    For d > 2 each site has d-1 features in place of +-1, as in [`neurho.networks.RBM`][].

    ```python
    import neurho

    network = neurho.networks.random_ndm(0, 2, hidden=2, mixing=2)
    assert network.hidden_weights.shape == (2, 2, 2)
    ```

    **Attributes** (`features` = sites (d-1), `hidden` = M, `mixing` = Mtilde)

    - `visible`: a, `(2, features)`.
    - `hidden_bias`, `hidden_weights`: b `(2, hidden)`, W `(2, hidden, features)`.
    - `mixing_bias`, `mixing_weights`: c `(mixing,)`, (U, V) `(2, mixing, features)`.
    """

    visible: Float[Array, "2 features"]
    hidden_bias: Float[Array, "2 hidden"]
    hidden_weights: Float[Array, "2 hidden features"]
    mixing_bias: Float[Array, " mixing"]
    mixing_weights: Float[Array, "2 mixing features"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) by matrix-vector products with l and r."""
        features = jnp.asarray(level_features(self.local_dim), self.visible.dtype)
        left, right = features[x // self.local_dim].ravel(), features[x % self.local_dim].ravel()

        def network(side: Array) -> Array:
            """G and F."""
            return self.visible @ side + jnp.sum(log_cosh(self.hidden_bias + self.hidden_weights @ side), axis=1)

        rows, columns = network(left), network(right)
        u, v = self.mixing_weights
        mixed = jax.lax.complex(self.mixing_bias + u @ (left + right) / 2, v @ (left - right) / 2)
        pure = jax.lax.complex(rows[0] + columns[0], rows[1] - columns[1]) / 2
        return pure + jnp.sum(log_cosh(mixed))

    def amplitudes(self) -> "PoweredUnits":
        """The tables of the 4M real and Mtilde complex hidden units."""
        d = self.local_dim
        features = jnp.asarray(level_features(d))
        left, right = features[np.arange(d * d) // d], features[np.arange(d * d) % d]

        def table(weights: Array, side: Array) -> Array:
            """(..., units, features) and (labels, d-1) to (sites, labels, ..., units)."""
            split = weights.reshape(*weights.shape[:-1], self.sites, d - 1)
            return jnp.einsum("...kjf,lf->jl...k", split, side)

        def visible(side: Array) -> Array:
            return table(self.visible[:, None], side)[..., 0] / 2

        rows, columns = table(self.hidden_weights, left), table(self.hidden_weights, right)
        mixing = table(self.mixing_weights[0], left + right), table(self.mixing_weights[1], left - right)
        plus, minus = visible(left + right)[..., 0], visible(left - right)[..., 1]
        return PoweredUnits(
            bias=self.hidden_bias[jnp.array([0, 0, 1, 1])],
            weights=jnp.stack([rows[:, :, 0], columns[:, :, 0], rows[:, :, 1], columns[:, :, 1]], axis=2),
            mixing=HiddenUnits(
                visible=jax.lax.complex(plus, minus),
                bias=self.mixing_bias.astype(complex),
                weights=jax.lax.complex(*mixing) / 2,
            ),
        )


SETS = {Side.ROWS: slice(0, None, 2), Side.COLUMNS: slice(1, None, 2), Side.BOTH: slice(None)}
"""Which sets of real units a change of one side touches."""


class PoweredCache(NamedTuple):
    """p and q of the real units, each `(sets, hidden)`, and the cache of the complex ones."""

    p: Float[Array, "sets hidden"]
    q: Float[Array, "sets hidden"]
    mixing: HiddenCache


class PoweredChange(NamedTuple):
    """exp(2 Delta) of the real units, and the change of the complex ones with the prefactors of all."""

    e: Float[Array, "sets hidden"]
    mixing: HiddenChange
    phase: Float[Array, ""]


class PoweredUnits(AbstractAmplitudes):
    """Sets of real hidden units and their powers of cosh, times hidden units of power one.

    The sets are the modulus on rows and on columns (power 1/2 each), the phase on rows (i/2) and on columns (-i/2), or
    the modulus and the phase of one `side` only.
    """

    bias: Float[Array, "sets hidden"]
    weights: Float[Array, "sites labels sets hidden"]
    mixing: HiddenUnits
    side: Side = eqx.field(static=True, default=Side.BOTH)

    def angles(self, x: Int[Array, " sites"]) -> Float[Array, "sets hidden"]:
        """Theta of the real units."""
        return self.bias + sum_of_rows(self.weights, x)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x)."""
        logs = jnp.sum(log_cosh(self.angles(x)), axis=1)
        return jax.lax.complex(*self._powers(logs)) + self.mixing.log_amplitude(x)

    def cache(self, x: Int[Array, " sites"]) -> PoweredCache:
        """P and q of every unit."""
        theta = self.angles(x)
        return PoweredCache(p=jax.nn.sigmoid(-2 * theta), q=jax.nn.sigmoid(2 * theta), mixing=self.mixing.cache(x))

    def prepare(self, sites: Int[Array, " k"], old: Int[Array, " k"], new: Int[Array, " k"]) -> PoweredChange:
        """The factors of one change of labels."""
        delta = jnp.sum(self.weights[sites, new] - self.weights[sites, old], axis=0)
        modulus, phase = self._powers(-jnp.sum(delta, axis=1))
        mixing = self.mixing.prepare(sites, old, new)
        mixing = mixing._replace(log_scale=mixing.log_scale + modulus)
        return PoweredChange(e=jnp.exp(2 * delta), mixing=mixing, phase=phase)

    def part(self, side: Side) -> "PoweredUnits":
        """Without the sets of the other side."""
        sets = SETS[side]
        return PoweredUnits(bias=self.bias[sets], weights=self.weights[:, :, sets], mixing=self.mixing, side=side)

    def cut(self, cache: PoweredCache, side: Side) -> PoweredCache:
        """Without the sets of the other side."""
        return cache._replace(p=cache.p[SETS[side]], q=cache.q[SETS[side]])

    def _powers(self, logs: Float[Array, " sets"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Logarithm of the modulus and phase of prod_g exp(logs_g)^(power_g)."""
        if self.side is Side.BOTH:
            return (logs[0] + logs[1]) / 2, (logs[2] - logs[3]) / 2
        return logs[0] / 2, logs[1] / 2 if self.side is Side.ROWS else -logs[1] / 2

    def moduli(self) -> HiddenModuli:
        """Without phases, and so without the two sets of phase units, in float32."""
        mixing = self.mixing.moduli()
        bias, weights = (
            a.reshape(*a.shape[:-2], -1).astype(jnp.float32) for a in (self.bias[:2], self.weights[:, :, :2])
        )
        return eqx.tree_at(
            lambda m: (m.bias, m.weights, m.power),
            mixing,
            (
                jnp.concatenate([bias, mixing.bias]),
                jnp.concatenate([weights, mixing.weights], axis=-1),
                jnp.full(len(bias), 0.5, jnp.float32),
            ),
        )

    def ratio(self, cache: PoweredCache, change: PoweredChange) -> Ratio:
        """Powers of prod_k (p_k + q_k e_k) of the real units, by one log for each block of them."""
        factors = in_blocks(cache.p + cache.q * change.e, 1)
        modulus, phase = self._powers(jnp.sum(jnp.log(jnp.prod(jnp.prod(factors, axis=-2), axis=-1)), axis=-1))
        ratio = self.mixing.ratio(cache.mixing, change.mixing)
        return ratio._replace(log_scale=ratio.log_scale + modulus, phase=change.phase + phase)

    def update(self, cache: PoweredCache, change: PoweredChange) -> PoweredCache:
        """P and q after the change."""
        moved = cache.q * change.e
        total = cache.p + moved
        mixing = self.mixing.update(cache.mixing, change.mixing)
        return PoweredCache(p=cache.p / total, q=moved / total, mixing=mixing)


def random_ndm(
    key: PRNGKeyArray | int, sites: int, *, hidden: int, mixing: int, scale: float = 0.01, local_dim: int = 2
) -> NDM:
    """An NDM whose parameters are normal numbers of standard deviation `scale`: close to |+x><+x| on every site.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_ndm(jax.random.key(0), 2, hidden=2, mixing=2)
    assert network.sites == 2
    ```

    **Arguments**

    - `hidden`, `mixing`: numbers M (of each of G and F) and Mtilde of hidden and mixing units, >= 0.

    **Raises** `NeurhoError` for negative sizes.
    """
    leaves = normal_leaves(key, sites, hidden=hidden, mixing=mixing, scale=scale, local_dim=local_dim)
    return NDM(**leaves, sites=sites, local_dim=local_dim)
