"""The paper's ansatz: a complex restricted Boltzmann machine, Hermitian and positive by construction."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._types import Record, require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, random_leaves
from neurho.matrix_elements.networks.hidden_units import HiddenUnits, log_cosh, outside_is_zero
from neurho.matrix_elements.symmetry import Charge


def level_features(local_dim: int) -> np.ndarray:
    """Orthogonal contrasts of the d levels of a site, `(d, d-1)`: +1, -1 for d = 2, discrete cosines otherwise."""
    level, order = np.arange(local_dim)[:, None], np.arange(1, local_dim)[None]
    features = np.sqrt(2) * np.cos(np.pi * order * (level + 0.5) / local_dim)
    return np.round(features) if local_dim == 2 else features


class RBM(AbstractAnsatz):
    """The density matrix of Hartmann & Carleo, PRL 122, 250502, Eq. 2, with l_j, r_j = +-1:

        log rho(l, r) = sum_j (a_j l_j + a_j* r_j) + sum_k [log cosh(b_k + W_k.l) + log cosh(b_k* + W_k*.r)]
                      + sum_p log cosh(2 Re c_p + U_p.l + U_p*.r)

    Hermitian and positive semidefinite for all parameters. The leading axis 2 of complex parameters is (re, im). For
    d > 2 each site has d-1 features in place of +-1 (see
    [`level_features`][neurho.matrix_elements.networks.rbm.level_features]).

    ```python
    import neurho

    network = neurho.networks.random_rbm(0, 2, hidden=2, mixing=2)
    assert network.visible.shape == (2, 2) and network.mixing_bias.shape == (2,)
    ```

    **Attributes** (`features` = sites (d-1), `hidden` = M, `mixing` = Mtilde)

    - `visible`: a, `(2, features)`.
    - `hidden_bias`, `hidden_weights`: b `(2, hidden)`, W `(2, hidden, features)`.
    - `mixing_bias`, `mixing_weights`: Re c `(mixing,)` (Im c drops out), U `(2, mixing, features)`.
    - `charge`: a weak symmetry; rho(x) = 0 outside the sector of charge zero, which keeps rho positive.
    """

    visible: Float[Array, "2 features"]
    hidden_bias: Float[Array, "2 hidden"]
    hidden_weights: Float[Array, "2 hidden features"]
    mixing_bias: Float[Array, " mixing"]
    mixing_weights: Float[Array, "2 mixing features"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)
    charge: Charge | None = eqx.field(static=True, default=None)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) by matrix-vector products with l and r."""
        features = jnp.asarray(level_features(self.local_dim), self.visible.dtype)
        left, right = features[x // self.local_dim].ravel(), features[x % self.local_dim].ravel()
        plus, minus = left + right, left - right
        # Real arithmetic throughout: U.l + U*.r = Re U.(l + r) + i Im U.(l - r), and likewise for a.
        (a_re, a_im), (b_re, b_im), (w_re, w_im) = self.visible, self.hidden_bias, self.hidden_weights
        u_re, u_im = self.mixing_weights
        mixed = jax.lax.complex(2 * self.mixing_bias + u_re @ plus, u_im @ minus)
        rows = jax.lax.complex(b_re + w_re @ left, b_im + w_im @ left)
        columns = jax.lax.complex(b_re + w_re @ right, -(b_im + w_im @ right))
        hidden = jnp.sum(log_cosh(jnp.concatenate([rows, columns, mixed])))
        return jax.lax.complex(a_re @ plus, a_im @ minus) + hidden + outside_is_zero(self.charge, x)

    def amplitudes(self) -> HiddenUnits:
        """The tables of the 2M + Mtilde hidden units."""
        d = self.local_dim
        features = jnp.asarray(level_features(d))
        left, right = features[np.arange(d * d) // d], features[np.arange(d * d) % d]
        a, b, w, u = (
            jax.lax.complex(*v) for v in (self.visible, self.hidden_bias, self.hidden_weights, self.mixing_weights)
        )

        def table(weights: Array, side: Array) -> Array:
            """(units, features) and (labels, d-1) to (sites, labels, units)."""
            return jnp.einsum("kjf,lf->jlk", weights.reshape(len(weights), self.sites, d - 1), side.astype(complex))

        weights = [table(w, left), table(u, left) + table(u.conj(), right), table(w.conj(), right)]
        visible = table(a[None], left) + table(a[None].conj(), right)
        return HiddenUnits(
            visible=visible[:, :, 0],
            bias=jnp.concatenate([b, 2 * self.mixing_bias.astype(complex), b.conj()]),
            weights=jnp.concatenate(weights, axis=2),
            charge=self.charge,
            one_sided=len(b),
        )


def random_rbm(
    key: PRNGKeyArray | int,
    sites: int,
    *,
    hidden: int,
    mixing: int,
    scale: float = 0.01,
    local_dim: int = 2,
    charge: Charge | None = None,
) -> RBM:
    """An RBM whose parameters are normal numbers of standard deviation `scale`: close to |+x><+x| on every site.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    assert network.sites == 2
    ```

    **Arguments**

    - `hidden`, `mixing`: numbers M and Mtilde of hidden and mixing units, >= 0.
    - `charge`: keep only the sector of charge zero of this weak symmetry.

    **Raises** `NeurhoError` for negative sizes.
    """
    leaves = normal_leaves(key, sites, hidden=hidden, mixing=mixing, scale=scale, local_dim=local_dim)
    return RBM(**leaves, sites=sites, local_dim=local_dim, charge=charge)


def require_units(**units: object) -> None:
    """Check numbers of hidden units."""
    for name, count in units.items():
        require_whole(count, name)


def normal_leaves(
    key: PRNGKeyArray | int, sites: int, *, hidden: int, mixing: int, scale: float, local_dim: int
) -> Record:
    """Normal numbers of standard deviation `scale` in the shapes that the RBM and the NDM share."""
    require_units(hidden=hidden, mixing=mixing)
    require_whole(sites, "sites", 1)
    require_whole(local_dim, "local_dim", 2)
    require(scale >= 0, "scale", "be >= 0", f"it is {scale}")
    features = sites * (local_dim - 1)
    shapes = {
        "visible": (2, features),
        "hidden_bias": (2, hidden),
        "hidden_weights": (2, hidden, features),
        "mixing_bias": (mixing,),
        "mixing_weights": (2, mixing, features),
    }
    return random_leaves(key, scale, shapes)
