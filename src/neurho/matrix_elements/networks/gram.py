"""The Gram-Hadamard density operator: positive by construction, with a deep network on each side."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._types import Record, require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, Reevaluated, as_key, random_leaves
from neurho.matrix_elements.networks.hidden_units import outside_is_zero
from neurho.matrix_elements.networks.rbm import level_features
from neurho.matrix_elements.symmetry import Charge


class GramHadamard(AbstractAnsatz):
    """The density operator of arXiv:2206.13488: entrywise products of Gram matrices of functions of one side,

        rho(l, r) = psi(l) psi(r)* prod_h sum_k chi_hk(l) chi_hk(r)*

    with log psi and chi linear in the features and in the last layer of a network of that side:

        z(l) = (l, y^depth(l)),   y^1 = tanh(b^1 + W^1 l),   y^n = tanh(b^n + W^n y^(n-1))
        log psi = v.z(l),   chi_hk = delta_k0 + c_hk + C_hk.z(l)         v, c, C complex, the layers real

    Each Gram matrix is positive semidefinite, and so are entrywise products of such matrices (Schur). The NDM is the
    case without layers in which two chi are exponentials. For d > 2 each site has d-1 features in place of +-1 (see
    [`level_features`][neurho.matrix_elements.networks.rbm.level_features]).

    ```python
    import neurho

    network = neurho.networks.random_gram(0, 2, width=2, factors=1)
    assert network.hermitian
    ```

    **Attributes** (`features` = sites (d-1), `seen` = features + width; the leading axis 2 is (re, im))

    - `first_weights`, `weights`: W^1 `(width, features)` and the others `(depth-1, width, width)`.
    - `bias`: b, `(depth, width)`.
    - `pure`: v, `(2, seen)`.
    - `gram_bias`, `gram_weights`: c `(2, factors, rank)`, C `(2, factors, rank, seen)`.
    - `charge`: a weak symmetry; rho(x) = 0 outside the sector of charge zero, which keeps rho positive.
    """

    first_weights: Float[Array, "width features"]
    weights: Float[Array, "deeper width width"]
    bias: Float[Array, "depth width"]
    pure: Float[Array, "2 seen"]
    gram_bias: Float[Array, "2 factors rank"]
    gram_weights: Float[Array, "2 factors rank seen"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)
    charge: Charge | None = eqx.field(static=True, default=None)

    def side(self, levels: Int[Array, " sites"]) -> tuple[Complex[Array, ""], Complex[Array, "factors rank"]]:
        """Log psi and chi of the levels of one side."""
        features = jnp.asarray(level_features(self.local_dim), self.pure.dtype)[levels].ravel()
        hidden = jnp.tanh(self.bias[0] + self.first_weights @ features)
        for weights, bias in zip(self.weights, self.bias[1:], strict=True):
            hidden = jnp.tanh(bias + weights @ hidden)
        seen = jnp.concatenate([features, hidden])
        re, im = self.gram_bias + self.gram_weights @ seen
        return jax.lax.complex(*(self.pure @ seen)), jax.lax.complex(re.at[:, 0].add(1.0), im)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) from both sides."""
        (row, left), (column, right) = self.side(x // self.local_dim), self.side(x % self.local_dim)
        overlaps = jnp.sum(left * right.conj(), axis=1)
        return row + column.conj() + jnp.sum(jnp.log(overlaps)) + outside_is_zero(self.charge, x)

    def amplitudes(self) -> Reevaluated:
        """Ratios by evaluating both networks again."""
        return Reevaluated(self)


def random_gram(
    key: PRNGKeyArray | int,
    sites: int,
    *,
    width: int,
    depth: int = 1,
    factors: int,
    rank: int = 2,
    scale: float = 0.01,
    local_dim: int = 2,
    charge: Charge | None = None,
) -> GramHadamard:
    """A Gram-Hadamard density operator close to |+x><+x| on every site.

    Weights of layers are normal numbers of variance 1/inputs, all other parameters of standard deviation `scale`.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_gram(jax.random.key(0), 2, width=2, factors=1)
    assert network.sites == 2
    ```

    **Arguments**

    - `width`, `depth`: units of a layer, and number of layers, >= 1.
    - `factors`, `rank`: numbers of Gram matrices and of functions in each, >= 0 and >= 1.
    - `charge`: keep only the sector of charge zero of this weak symmetry.

    **Raises** `NeurhoError` for sizes that are too small.
    """
    for name, value, least in (
        ("sites", sites, 1),
        ("width", width, 1),
        ("depth", depth, 1),
        ("factors", factors, 0),
        ("rank", rank, 1),
        ("local_dim", local_dim, 2),
    ):
        require_whole(value, name, least)
    require(scale >= 0, "scale", "be >= 0", f"it is {scale}")
    features = sites * (local_dim - 1)
    seen, layers, rest = features + width, *jax.random.split(as_key(key))
    deep: Record = random_leaves(
        layers, 1.0, {"first_weights": (width, features), "weights": (depth - 1, width, width)}
    )
    shapes = {
        "bias": (depth, width),
        "pure": (2, seen),
        "gram_bias": (2, factors, rank),
        "gram_weights": (2, factors, rank, seen),
    }
    return GramHadamard(
        first_weights=deep["first_weights"] / np.sqrt(features),
        weights=deep["weights"] / np.sqrt(width),
        **random_leaves(rest, scale, shapes),
        sites=sites,
        local_dim=local_dim,
        charge=charge,
    )
