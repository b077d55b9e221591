"""A restricted Boltzmann machine on labels (l, r): Hermitian and with positive populations, but not always positive.

Eq. 2 of PRL 122, 250502 is a case of it. What it has more are weights between units and products l_j r_j, and units
that see rows and columns of a site with unrelated weights; in return a density matrix of this form may have
negative eigenvalues away from the exact one. Machines in Liouville space are due to Kothe & Kirton,
PRA 109, 062215 (2024).
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._types import brief, require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, Prepares, network_of, random_leaves
from neurho.matrix_elements.networks.hidden_units import HiddenUnits, log_cosh, outside_is_zero
from neurho.matrix_elements.networks.rbm import RBM, level_features, require_units
from neurho.matrix_elements.networks.translated_rbm import TiedRBM, along_moves, filters_of, require_translations
from neurho.matrix_elements.symmetry import Charge


def label_features(local_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Real functions of the labels (l, r) of a site: even ones, f(r, l) = f(l, r), and odd ones, f(r, l) = -f(l, r).

    With the features f_0 = 1, f_1, ... of levels the even ones are f_a(l) + f_a(r), f_a(l) f_a(r) and f_a(l) f_b(r) +
    f_b(l) f_a(r), the odd ones f_a(l) - f_a(r) and f_b(l) f_a(r) - f_a(l) f_b(r): l + r, l r and l - r for d = 2.
    With a constant they are a basis.

    **Returns** `(d^2, d(d+1)/2 - 1)` and `(d^2, d(d-1)/2)`.
    """
    levels = np.column_stack([np.ones(local_dim), level_features(local_dim)])
    label = np.arange(local_dim**2)
    left, right = levels[label // local_dim], levels[label % local_dim]
    pairs = [(a, b) for a in range(local_dim) for b in range(a + 1, local_dim)]
    products = {(a, b): left[:, a] * right[:, b] for a in range(local_dim) for b in range(local_dim)}
    even = [products[a, b] + products[b, a] for a, b in pairs]
    even[local_dim - 1 : local_dim - 1] = [products[a, a] for a in range(1, local_dim)]
    return np.stack(even, axis=1), np.stack([products[b, a] - products[a, b] for a, b in pairs], axis=1)


class LiouvilleRBM(AbstractAnsatz):
    """A density matrix with hidden units that see labels, d^2 - 1 functions of each: with phi_j = (even, i odd) of x_j,

        log rho(x) = sum_j a_j.phi_j + sum_k [log cosh(b_k + W_k.phi) + log cosh(b_k* + W_k*.phi)]
                   + sum_p log cosh(c_p + U_p.phi)                          a, c, U real, b, W complex

    and, where `translations` are all those of a lattice (or all its symmetries), each unit stands with all its
    translations. Hermitian for all parameters, since phi(r, l) = phi(l, r)*, with populations rho(l, l) > 0;
    eigenvalues can be negative.

    ```python
    import neurho

    network = neurho.networks.random_liouville(0, 2, hidden=2, mixing=2)
    assert network.visible.shape == (2, 3)  # even, and two odd functions of each label
    ```

    **Attributes** (`features` = d^2 - 1, `hidden`, `mixing`: units, or filters with translations)

    - `visible`: a, `(sites, features)`, or `(1, features)` with translations.
    - `hidden_bias`, `hidden_weights`: b `(2, hidden)`, W `(2, hidden, sites, features)`; the leading axis is (re, im).
    - `mixing_bias`, `mixing_weights`: c `(mixing,)`, U `(mixing, sites, features)`.
    - `translations`: `(moves, sites)`, row g maps site j to `translations[g, j]`; one row that moves nothing, or all
      translations or symmetries of a lattice. Integers, not parameters.
    - `charge`: a weak symmetry; rho(x) = 0 outside the sector of charge zero.
    """

    visible: Float[Array, "cells features"]
    hidden_bias: Float[Array, "2 hidden"]
    hidden_weights: Float[Array, "2 hidden sites features"]
    mixing_bias: Float[Array, " mixing"]
    mixing_weights: Float[Array, "mixing sites features"]
    translations: Int[Array, "moves sites"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)
    charge: Charge | None = eqx.field(static=True, default=None)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) in real arithmetic, by products of the filters with all translations of x."""
        even, odd = (jnp.asarray(table, self.visible.dtype)[x] for table in label_features(self.local_dim))
        kinds = even.shape[1]
        seen = tuple(part[self.translations].reshape(len(self.translations), -1).T for part in (even, odd))

        def along(weights: Float[Array, "units sites features"]) -> tuple[Array, Array]:
            parts = (weights[..., :kinds], weights[..., kinds:])
            first, second = (w.reshape(len(w), len(s)) @ s for w, s in zip(parts, seen, strict=True))
            return first, second

        (even_re, odd_re), (even_im, odd_im) = along(self.hidden_weights[0]), along(self.hidden_weights[1])
        b_re, b_im = self.hidden_bias[:, :, None]
        one = jax.lax.complex(b_re + even_re - odd_im, b_im + even_im + odd_re)
        other = jax.lax.complex(b_re + even_re + odd_im, odd_re - even_im - b_im)
        mixed_even, mixed_odd = along(self.mixing_weights)
        mixed = jax.lax.complex(self.mixing_bias[:, None] + mixed_even, mixed_odd)
        hidden = jnp.sum(log_cosh(jnp.concatenate([one, other, mixed])))
        a = jnp.tile(self.visible, (self.sites // len(self.visible), 1))
        visible = jax.lax.complex(jnp.sum(a[:, :kinds] * even), jnp.sum(a[:, kinds:] * odd))
        return visible + hidden + outside_is_zero(self.charge, x)

    @property
    def tied(self) -> bool:
        """Whether units share their weights with their translations."""
        return len(self.translations) > 1

    def amplitudes(self) -> HiddenUnits:
        """The tables of the 2 `hidden` + `mixing` units of the expanded network."""
        even, odd = label_features(self.local_dim)
        phi = jnp.concatenate([jnp.asarray(even, complex), 1j * jnp.asarray(odd)], axis=1)
        all_ = self.expanded()
        w, b = jax.lax.complex(*all_.hidden_weights), jax.lax.complex(*all_.hidden_bias)
        weights = jnp.concatenate([w, w.conj(), all_.mixing_weights.astype(complex)])
        return HiddenUnits(
            visible=all_.visible.astype(complex) @ phi.T,
            bias=jnp.concatenate([b, b.conj(), all_.mixing_bias.astype(complex)]),
            weights=jnp.einsum("kjf,lf->jlk", weights, phi),
            charge=self.charge,
        )

    def expanded(self) -> "LiouvilleRBM":
        """The same state without shared weights, unit by unit."""
        moves = len(self.translations)

        def moved(filters: Array) -> Array:
            units = (*filters.shape[:-3], filters.shape[-3] * moves)
            return along_moves(filters, self.translations).reshape(*units, self.sites, filters.shape[-1])

        return dataclasses.replace(
            self,
            visible=jnp.tile(self.visible, (self.sites // len(self.visible), 1)),
            hidden_bias=jnp.repeat(self.hidden_bias, moves, axis=1),
            hidden_weights=moved(self.hidden_weights),
            mixing_bias=jnp.repeat(self.mixing_bias, moves),
            mixing_weights=moved(self.mixing_weights),
            translations=jnp.arange(self.sites, dtype=self.translations.dtype)[None],
        )


def random_liouville(
    key: PRNGKeyArray | int,
    sites: int,
    *,
    hidden: int,
    mixing: int,
    scale: float = 0.01,
    local_dim: int = 2,
    translations: np.ndarray | None = None,
    charge: Charge | None = None,
) -> LiouvilleRBM:
    """A machine whose parameters are normal numbers of standard deviation `scale`: close to |+x><+x| on every site.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_liouville(jax.random.key(0), 2, hidden=2, mixing=2)
    assert network.sites == 2
    ```

    **Arguments**

    - `hidden`, `mixing`: numbers of conjugate pairs of units and of units that are their own conjugates, >= 0.
    - `translations`: `(moves, sites)`, the `translations` or the `symmetries` of a [`neurho.Lattice`][], for a state
      that they leave as it is; `hidden` and `mixing` are then multiples of the number of moves.
    - `charge`: keep only the sector of charge zero of this weak symmetry.

    **Raises** `NeurhoError` for negative sizes, and as [`neurho.networks.random_tied`][] does.
    """
    require_units(hidden=hidden, mixing=mixing)
    require_whole(sites, "sites", 1)
    require(scale >= 0, "scale", "be >= 0", f"it is {scale}")
    moves, cells = np.arange(sites)[None], sites
    if translations is not None:
        require_translations(translations)
        moves, cells = np.asarray(translations), 1
        hidden, mixing = filters_of(hidden, moves, "hidden"), filters_of(mixing, moves, "mixing")
    features = local_dim**2 - 1
    shapes = {
        "visible": (cells, features),
        "hidden_bias": (2, hidden),
        "hidden_weights": (2, hidden, sites, features),
        "mixing_bias": (mixing,),
        "mixing_weights": (mixing, sites, features),
    }
    fixed = {"sites": sites, "local_dim": local_dim, "charge": charge}
    return LiouvilleRBM(**random_leaves(key, scale, shapes), translations=jnp.asarray(moves, dtype=jnp.int32), **fixed)


def as_liouville(network: RBM | TiedRBM | Prepares) -> LiouvilleRBM:
    """The same density matrix: W.l = W.(even + odd)/2, and U.l + U*.r = Re U.even + i Im U.odd.

    ```python
    import jax
    import numpy as np
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2, scale=0.5)
    same = neurho.networks.as_liouville(network)
    assert np.allclose(neurho.networks.density_matrix(same), neurho.networks.density_matrix(network))
    ```
    """
    found: Any = network_of(network, "network")
    require(isinstance(found, RBM | TiedRBM), "network", "be an RBM", f"it is {brief(found)}")
    d, sites = found.local_dim, found.sites
    tied = isinstance(found, TiedRBM)
    even, odd = (table.shape[1] for table in label_features(d))

    def spread(of_even: Array, of_odd: Array) -> Array:
        """Weights `(..., features)` from those of f(l) + f(r) and i (f(l) - f(r)), which come first of each kind."""
        widths = [(0, 0)] * (of_even.ndim - 1)
        return jnp.concatenate(
            [jnp.pad(a, [*widths, (0, n - d + 1)]) for a, n in ((of_even, even), (of_odd, odd))], axis=-1
        )

    def split(weights: Array) -> Array:
        return weights.reshape(*weights.shape[:-1], weights.shape[-1] // (d - 1), d - 1)

    w_re, w_im = split(found.hidden_filters if tied else found.hidden_weights) / 2
    u_re, u_im = split(found.mixing_filters if tied else found.mixing_weights)
    moves = found.translations if tied else jnp.arange(sites, dtype=jnp.int32)[None]
    return LiouvilleRBM(
        visible=spread(*split(found.visible)),
        hidden_bias=found.hidden_bias,
        hidden_weights=jnp.stack([spread(w_re, w_im), spread(w_im, -w_re)]),
        mixing_bias=2 * found.mixing_bias,
        mixing_weights=spread(u_re, u_im),
        translations=moves,
        sites=sites,
        local_dim=d,
        charge=found.charge,
    )
