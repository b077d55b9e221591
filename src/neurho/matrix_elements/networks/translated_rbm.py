"""The translation-invariant RBM: every hidden unit stands with all its translations, and they share their weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._types import NeurhoError, brief, require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, random_leaves
from neurho.matrix_elements.networks.hidden_units import HiddenUnits, log_cosh, outside_is_zero
from neurho.matrix_elements.networks.rbm import RBM, level_features
from neurho.matrix_elements.symmetry import Charge


class TiedRBM(AbstractAnsatz):
    """Eq. 2 of PRL 122, 250502 for a state that every translation g of the lattice leaves as it is:

        log rho(l, r) = sum_j (a l_j + a* r_j)
                      + sum_f sum_g [log cosh(b_f + sum_j w_fj l_{g(j)}) + log cosh(b_f* + sum_j w_fj* r_{g(j)})]
                      + sum_p sum_g log cosh(2 Re c_p + sum_j (u_pj l_{g(j)} + u_pj* r_{g(j)}))

    It is the [`RBM`][neurho.networks.RBM] with one hidden unit for each pair of a filter and a translation, with N
    times fewer parameters. Filters are written around site 0. The leading axis 2 of complex parameters is (re, im).
    With the point group of the lattice g goes through the products of translations with rotations and reflections.

    ```python
    import neurho

    ring = neurho.chain(4, periodic=True)
    network = neurho.networks.random_tied(0, ring.translations, hidden=4, mixing=4)
    assert network.sites == 4
    ```

    **Attributes** (`features` = sites (d-1))

    - `visible`: a, `(2, d-1)`.
    - `hidden_bias`, `hidden_filters`: b `(2, alpha)`, w `(2, alpha, features)`: M = alpha moves hidden units.
    - `mixing_bias`, `mixing_filters`: Re c `(alpha_m,)`, u `(2, alpha_m, features)`: Mtilde = alpha_m moves.
    - `translations`: `(moves, sites)`, row g maps site j to `translations[g, j]`: all translations of a lattice, or all
      its symmetries; integers, not parameters.
    - `charge`: as in the RBM.
    """

    visible: Float[Array, "2 levels"]
    hidden_bias: Float[Array, "2 alpha"]
    hidden_filters: Float[Array, "2 alpha features"]
    mixing_bias: Float[Array, " alpha_m"]
    mixing_filters: Float[Array, "2 alpha_m features"]
    translations: Int[Array, "moves sites"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)
    charge: Charge | None = eqx.field(static=True, default=None)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) by products of the filters with all translations of l and r; weights are never expanded."""
        features = jnp.asarray(level_features(self.local_dim), self.visible.dtype)
        moved = x[self.translations]
        left = features[moved // self.local_dim].reshape(len(moved), -1).T
        right = features[moved % self.local_dim].reshape(len(moved), -1).T
        plus, minus = left + right, left - right
        (b_re, b_im), (w_re, w_im) = self.hidden_bias[:, :, None], self.hidden_filters
        u_re, u_im = self.mixing_filters
        mixed = jax.lax.complex(2 * self.mixing_bias[:, None] + u_re @ plus, u_im @ minus)
        rows = jax.lax.complex(b_re + w_re @ left, b_im + w_im @ left)
        columns = jax.lax.complex(b_re + w_re @ right, -(b_im + w_im @ right))
        hidden = jnp.sum(log_cosh(jnp.concatenate([rows, columns, mixed])))
        a_re, a_im = jnp.tile(self.visible, self.sites)
        visible = jax.lax.complex(a_re @ plus[:, 0], a_im @ minus[:, 0])
        return visible + hidden + outside_is_zero(self.charge, x)

    def amplitudes(self) -> HiddenUnits:
        """The tables of the expanded network."""
        return self.expanded().amplitudes()

    def expanded(self) -> RBM:
        """The same state as an RBM of `alpha moves` hidden and `alpha_m moves` mixing units, filter by filter."""
        moves = len(self.translations)

        def weights(filters: Array) -> Array:
            split = filters.reshape(2, filters.shape[1], self.sites, self.local_dim - 1)
            return along_moves(split, self.translations).reshape(2, filters.shape[1] * moves, filters.shape[2])

        return RBM(
            visible=jnp.tile(self.visible, self.sites),
            hidden_bias=jnp.repeat(self.hidden_bias, moves, axis=1),
            hidden_weights=weights(self.hidden_filters),
            mixing_bias=jnp.repeat(self.mixing_bias, moves),
            mixing_weights=weights(self.mixing_filters),
            sites=self.sites,
            local_dim=self.local_dim,
            hermitian=self.hermitian,
            charge=self.charge,
        )


@jax.custom_vjp
def along_moves(
    filters: Float[Array, "*units sites features"], translations: Int[Array, "moves sites"]
) -> Float[Array, "*units moves sites features"]:
    """Filters after every move g: unit (f, g) has at site i the weight of filter f at the site that g moves to i.

    Its derivative backwards, which is needed for every sample, is written out: a sum over moves of what lies where they
    lead. The one that JAX finds adds up numbers one by one, and takes as long as all the rest of a derivative of L rho.
    """
    return jnp.take(filters, jnp.argsort(translations, axis=1), axis=-2)


def _along_moves_and_back(filters: Array, translations: Array) -> tuple[Array, Array]:
    return along_moves(filters, translations), translations


def _summed_over_moves(translations: Array, change: Array) -> tuple[Array, None]:
    ahead = translations.reshape((1,) * (change.ndim - 3) + (*translations.shape, 1))
    return jnp.sum(jnp.take_along_axis(change, ahead, axis=-2), axis=-3), None


along_moves.defvjp(_along_moves_and_back, _summed_over_moves)


def filters_of(units: int, translations: np.ndarray, name: str) -> int:
    """The number of filters that make `units` hidden units; a sentence if they do not come out even."""
    moves, sites = np.asarray(translations).shape
    kind = "translations" if moves == sites else "symmetries"
    require_whole(units, name)
    require(units % moves == 0, name, f"be a multiple of the {moves} {kind} of the lattice", f"it is {units}")
    return units // moves


def require_translations(translations: np.ndarray) -> None:
    """Raise a sentence unless the translations carry every site to every other one."""
    moves = np.asarray(translations)
    require(
        moves.ndim == 2 and moves.dtype.kind in "iu",
        "translations",
        "be those of a lattice, as in chain(4, periodic=True).translations",
        f"it is {brief(translations)}",
    )
    reached = len(np.unique(moves[:, 0]))
    if reached != moves.shape[1]:
        raise NeurhoError(
            "A translation-invariant network needs a lattice that is periodic in every direction, but translations of "
            f"this one carry a site to {reached} of {moves.shape[1]} sites."
        )


def random_tied(
    key: PRNGKeyArray | int,
    translations: np.ndarray,
    *,
    hidden: int,
    mixing: int,
    scale: float = 0.01,
    local_dim: int = 2,
    charge: Charge | None = None,
) -> TiedRBM:
    """A translation-invariant RBM whose parameters are normal numbers of standard deviation `scale`.

    ```python
    import jax
    import neurho

    ring = neurho.chain(4, periodic=True)
    network = neurho.networks.random_tied(jax.random.key(0), ring.translations, hidden=4, mixing=4)
    assert neurho.networks.parameter_count(network) == 2 + 2 + 2 * 4 + 1 + 2 * 4  # one hidden filter, one for mixing
    ```

    **Arguments**

    - `translations`: `(moves, sites)`, the `translations` or the `symmetries` of a [`neurho.Lattice`][], which must be
      periodic in every direction.
    - `hidden`, `mixing`: numbers M and Mtilde of hidden and mixing units of the expanded network, multiples of the
      number of moves.
    - `charge`: keep only the sector of charge zero of this weak symmetry.

    **Raises** `NeurhoError` for sizes that are no multiples and for lattices that are not periodic.
    """
    require_translations(translations)
    require(scale >= 0, "scale", "be >= 0", f"it is {scale}")
    sites = np.asarray(translations).shape[1]
    alpha, alpha_m = filters_of(hidden, translations, "hidden"), filters_of(mixing, translations, "mixing")
    features = sites * (local_dim - 1)
    shapes = {
        "visible": (2, local_dim - 1),
        "hidden_bias": (2, alpha),
        "hidden_filters": (2, alpha, features),
        "mixing_bias": (alpha_m,),
        "mixing_filters": (2, alpha_m, features),
    }
    return TiedRBM(
        **random_leaves(key, scale, shapes),
        translations=jnp.asarray(translations, dtype=jnp.int32),
        sites=sites,
        local_dim=local_dim,
        charge=charge,
    )
