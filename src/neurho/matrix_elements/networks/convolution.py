"""A group-equivariant convolutional network on labels (l, r): Hermitian and invariant, but not always positive."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._types import NeurhoError, Record, require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, Reevaluated, as_key, random_leaves
from neurho.matrix_elements.networks.hidden_units import log_cosh, outside_is_zero
from neurho.matrix_elements.networks.liouville import label_features
from neurho.matrix_elements.networks.translated_rbm import require_translations
from neurho.matrix_elements.symmetry import Charge


class GroupConvolution(AbstractAnsatz):
    """Convolutions over the translations (or all symmetries) g of a lattice, after arXiv:2401.14179, with real layers

        y^1_c(g) = tanh(b^1_c + sum_j w_c,j.phi(x_{g j}))
        y^n_c(g) = tanh(b^n_c + sum_c',u W^n_cc'(u) y^(n-1)_c'(g u))

    of phi = (even, odd) functions of the labels of a site, and complex units at the end of them (f = d^2 - 1 features):

        log rho(x) = sum_j a.phi~(x_j) + F(x) + F(x~)*,   F(x) = sum_c,g log cosh(B_c + sum_c',u V_cc'(u) y_c'(g u))

    where x~ = (r, l) and phi~ = (even, i odd). Moving x by a symmetry moves y, and the sum over g forgets it: rho is
    invariant, and Hermitian, for all parameters. Its populations are positive, its eigenvalues can be negative. The
    complex units let an amplitude pass through zero, which the exponential of a real network cannot.

    ```python
    import neurho

    ring = neurho.chain(4, periodic=True)
    network = neurho.networks.random_convolution(0, ring.translations, channels=2)
    assert network.hermitian
    ```

    **Attributes**

    - `visible`: a, `(features,)`.
    - `first_weights`, `weights`: w `(channels, sites, features)`, W `(depth-1, channels, channels, moves)`.
    - `bias`: b, `(depth, channels)`.
    - `unit_bias`, `unit_weights`: B `(2, units)`, V `(2, units, channels, moves)`, the leading axis (re, im).
    - `moves`: `(moves, sites)`, row g maps site j to `moves[g, j]`: the translations of a lattice or its symmetries.
    - `products`: `(moves, moves)`, the row of `moves` that first does u and then g, for g and u. Integers both.
    - `charge`: a weak symmetry; rho(x) = 0 outside the sector of charge zero.
    """

    visible: Float[Array, " features"]
    first_weights: Float[Array, "channels sites features"]
    weights: Float[Array, "deeper channels channels moves"]
    bias: Float[Array, "depth channels"]
    unit_bias: Float[Array, "2 units"]
    unit_weights: Float[Array, "2 units channels moves"]
    moves: Int[Array, "moves sites"]
    products: Int[Array, "moves moves"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)
    charge: Charge | None = eqx.field(static=True, default=None)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) from x and the same with rows and columns exchanged."""
        even, odd = (jnp.asarray(table, self.visible.dtype)[x] for table in label_features(self.local_dim))
        here, mirrored = (self.units(jnp.concatenate([even, sign * odd], axis=1)) for sign in (1, -1))
        a = self.visible
        visible = jax.lax.complex(jnp.sum(even @ a[: even.shape[1]]), jnp.sum(odd @ a[even.shape[1] :]))
        return visible + here + mirrored.conj() + outside_is_zero(self.charge, x)

    def units(self, phi: Float[Array, "sites features"]) -> Complex[Array, ""]:
        """F."""
        seen = phi[self.moves].reshape(len(self.moves), -1).T
        first = self.first_weights.reshape(len(self.first_weights), -1)
        channels = jnp.tanh(self.bias[0][:, None] + first @ seen)
        for weights, bias in zip(self.weights, self.bias[1:], strict=True):
            channels = jnp.tanh(bias[:, None] + self._convolved(weights, channels))
        re, im = (
            b[:, None] + self._convolved(w, channels) for b, w in zip(self.unit_bias, self.unit_weights, strict=True)
        )
        return jnp.sum(log_cosh(jax.lax.complex(re, im)))

    def _convolved(
        self, weights: Float[Array, "out channels moves"], channels: Float[Array, "channels moves"]
    ) -> Float[Array, "out moves"]:
        """sum_c,u W_dc(u) y_c(g u)."""
        ahead = channels[:, self.products.T].reshape(-1, len(self.moves))
        return weights.reshape(len(weights), -1) @ ahead

    def amplitudes(self) -> Reevaluated:
        """Ratios by evaluating the layers again."""
        return Reevaluated(self)


def random_convolution(
    key: PRNGKeyArray | int,
    moves: np.ndarray,
    *,
    channels: int,
    depth: int = 1,
    units: int | None = None,
    scale: float = 0.01,
    local_dim: int = 2,
    charge: Charge | None = None,
) -> GroupConvolution:
    """A convolutional network close to |+x><+x| on every site.

    Weights of layers are normal numbers of variance 1/inputs, all other parameters of standard deviation `scale`.

    ```python
    import jax
    import neurho

    ring = neurho.chain(4, periodic=True)
    network = neurho.networks.random_convolution(jax.random.key(0), ring.translations, channels=2)
    assert network.sites == 4
    ```

    **Arguments**

    - `moves`: `(moves, sites)`, the `translations` or the `symmetries` of a [`neurho.Lattice`][] that is periodic in
      every direction.
    - `channels`, `depth`: of the real layers, >= 1. `units`: complex units at the end, by default as many as channels.
    - `charge`: keep only the sector of charge zero of this weak symmetry.

    **Raises** `NeurhoError` for sizes that are too small and for moves that are no group that reaches all sites.
    """
    require_translations(moves)
    moves = np.unique(moves, axis=0)  # on sides of length 2 different operations are one permutation
    units = channels if units is None else units
    sizes = (("channels", channels, 1), ("depth", depth, 1), ("units", units, 1), ("local_dim", local_dim, 2))
    for name, value, least in sizes:
        require_whole(value, name, least)
    require(scale >= 0, "scale", "be >= 0", f"it is {scale}")
    (count, sites), features = np.shape(moves), local_dim**2 - 1
    layers, rest = jax.random.split(as_key(key))
    deep: Record = random_leaves(
        layers,
        1.0,
        {"first_weights": (channels, sites, features), "weights": (depth - 1, channels, channels, count)},
    )
    shapes = {
        "visible": (features,),
        "bias": (depth, channels),
        "unit_bias": (2, units),
        "unit_weights": (2, units, channels, count),
    }
    return GroupConvolution(
        first_weights=deep["first_weights"] / np.sqrt(sites * features),
        weights=deep["weights"] / np.sqrt(channels * count),
        **random_leaves(rest, scale, shapes),
        moves=jnp.asarray(moves, dtype=jnp.int32),
        products=jnp.asarray(products_of(moves), dtype=jnp.int32),
        sites=sites,
        local_dim=local_dim,
        charge=charge,
    )


def products_of(moves: np.ndarray) -> np.ndarray:
    """The multiplication table of a group of permutations: row of `moves` that is j -> moves[g, moves[u, j]].

    **Raises** `NeurhoError` if the rows are no group.
    """
    moves = np.asarray(moves)
    row = {tuple(move): number for number, move in enumerate(moves.tolist())}
    composed = moves[:, moves]
    try:
        table = [[row[tuple(move)] for move in line] for line in composed.tolist()]
    except KeyError:
        table = None
    if table is None or len(row) != len(moves):
        raise NeurhoError(
            "Argument `moves` must be a group of different permutations of the sites, as the translations or the "
            "symmetries of a lattice are, but it is not."
        )
    return np.array(table)
