"""Product states inside the paper's ansatz, exactly, and what the added noise costs."""

from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho._jax.normals import normal_arrays
from neurho._types import NeurhoError, Numbers, Record, as_reals, require, require_whole
from neurho.matrix_elements.networks.base import as_key
from neurho.matrix_elements.networks.liouville import LiouvilleRBM
from neurho.matrix_elements.networks.rbm import RBM, random_rbm
from neurho.matrix_elements.networks.translated_rbm import TiedRBM, random_tied
from neurho.matrix_elements.symmetry import Charge
from neurho.model.bloch import bloch_vectors
from neurho.model.lattice import Lattice

Network = TypeVar("Network", RBM, TiedRBM)

UNIFORM = 1e-6
"""Largest difference between Bloch vectors of sites that count as equal."""


class Prepared(NamedTuple, Generic[Network]):
    """An initial state and what it stands for.

    - `ansatz`, `target`: with and without noise.
    - `bloch`: the Bloch vectors `(sites, 3)` really prepared.
    - `overlap`: (Tr rho sigma)^2/(Tr rho^2 Tr sigma^2) of `target` with the state asked for, below 1 by the tilt.
    """

    ansatz: Network
    target: Network
    bloch: np.ndarray
    overlap: float


def product_state(
    key: PRNGKeyArray | int,
    bloch: str | Numbers,
    sites: int | Lattice,
    *,
    hidden: int,
    mixing: int,
    noise: float = 0.01,
    tilt: float = 1e-3,
    charge: Charge | None = None,
    reach: float | None = None,
    distances: np.ndarray | None = None,
) -> Prepared[RBM]:
    """A product of one-site states rho_j = (1 + r_j . sigma)/2 as an RBM with noise.

    With W = 0 and U = i theta_j on the diagonal, Eq. 2 of PRL 122, 250502 gives the one-site states

        rho_uu / rho_dd = exp(4 Re a),   arg rho_ud = 2 Im a,   |rho_ud| / sqrt(rho_uu rho_dd) = cos(2 theta).

    A pole of the Bloch sphere is the limit Re a -> infinity: where the smaller population is below `tilt`, it is
    raised to `tilt`, keeping the relative coherence (a pole is tilted towards +x).

    ```python
    import jax
    import numpy as np
    import neurho

    start = neurho.networks.product_state(jax.random.key(0), "+y", 2, hidden=2, mixing=2, noise=0.0)
    rho = neurho.networks.density_matrix(start.ansatz)
    assert np.allclose(rho, neurho.exact.product_state("+y", 2))
    ```

    **Arguments**

    - `bloch`: r, shape `(3,)` or `(sites, 3)`, |r| <= 1; or a name: "up", "down", "neel" (site 0 up),
      "+x", "-y" and the like, "mixed".
    - `sites`: how many, or a lattice, along whose bonds "neel" alternates.
    - `hidden`, `mixing`: M and Mtilde. Mixed states need `mixing` >= `sites`.
    - `noise`: standard deviation of the normal numbers added to all parameters but `visible`: at zero the hidden
      units sit at a saddle point (d log rho/dW = tanh 0 = 0) and the flow could not use them.
    - `tilt`: smallest population of a level, in (0, 0.5).
    - `reach`: hidden unit k is given a place on the lattice, and the noise of its weights falls with the distance d
      from it as exp(-d^2/(2 reach^2)): units that begin with a neighbourhood each learn faster than units that all
      begin everywhere. None for noise without places. `distances`: `(sites, sites)`, by default those of a chain.
    - `charge`: keep only the sector of charge zero of this weak symmetry (which projects a product with coherences).

    **Raises** `NeurhoError` for vectors longer than 1 and for mixed states without enough mixing units.
    """
    bloch = bloch_vectors(bloch, sites)
    sites = sites.sites if isinstance(sites, Lattice) else sites
    require_whole(sites, "sites", 1)
    vectors = as_reals(bloch, "bloch")
    require(
        vectors.shape in ((3,), (sites, 3)),
        "bloch",
        f"have shape (3,) or ({sites}, 3)",
        f"its shape is {vectors.shape}",
    )
    require(0 < tilt < 0.5, "tilt", "lie between 0 and 0.5", f"it is {tilt}")
    require(noise >= 0, "noise", "be >= 0", f"it is {noise}")
    vectors = np.broadcast_to(vectors, (sites, 3))
    length = np.linalg.norm(vectors, axis=1)
    require(np.all(length <= 1 + 1e-12), "bloch", "have length at most 1", f"the longest is {length.max():.6g}")

    visible, theta = _one_site_parameters(vectors, tilt)
    mixed = np.abs(theta) > 1e-12
    if np.any(mixed) and mixing < sites:
        raise NeurhoError(
            f"Argument `mixing` must be at least {sites}, the number of sites, for a mixed product state (|r| < 1), "
            f"but it is {mixing}."
        )
    sizes: Record = {"hidden": hidden, "mixing": mixing, "charge": charge}
    zero = random_rbm(key, sites, scale=0.0, **sizes)
    weights = np.zeros((2, mixing, sites))
    weights[1, np.arange(min(mixing, sites)), np.arange(min(mixing, sites))] = theta[:mixing]
    where = lambda r: (r.visible, r.mixing_weights)  # noqa: E731
    target = eqx.tree_at(where, zero, jax.device_put((visible, weights)))
    disturbance = eqx.tree_at(
        lambda r: r.visible, random_rbm(key, sites, scale=noise, **sizes), jax.device_put(np.zeros((2, sites)))
    )
    if reach is not None:
        disturbance = _near(disturbance, reach, distances)
    noisy = jax.tree.map(lambda a, b: jax.device_put(np.asarray(a) + np.asarray(b)), target, disturbance)
    bloch = _bloch_of(visible, theta)
    norms = (1 + np.sum(vectors**2, axis=1)) * (1 + np.sum(bloch**2, axis=1))
    overlap = float(np.prod((1 + np.sum(vectors * bloch, axis=1)) ** 2 / norms))
    return Prepared(ansatz=noisy, target=target, bloch=bloch, overlap=overlap)


def uniform_product_state(
    key: PRNGKeyArray | int,
    bloch: str | Numbers,
    translations: np.ndarray,
    *,
    hidden: int,
    mixing: int,
    noise: float = 0.01,
    tilt: float = 1e-3,
    charge: Charge | None = None,
    reach: float | None = None,
    distances: np.ndarray | None = None,
) -> Prepared[TiedRBM]:
    """A product of equal one-site states as a translation-invariant RBM with noise.

    As in [`neurho.networks.product_state`][], with theta at site 0 of the first mixing filter, whose translations are
    one mixing unit for every site. With the point group m units stand at each: cos(2 theta) is then the m-th root.

    ```python
    import jax
    import neurho

    ring = neurho.chain(4, periodic=True)
    start = neurho.networks.uniform_product_state(jax.random.key(0), "up", ring.translations, hidden=4, mixing=4)
    assert start.ansatz.sites == 4
    ```

    **Arguments**

    - `bloch`: r, shape `(3,)`, or `(sites, 3)` with equal rows; or "up" or "down".
    - `translations`, `hidden`, `mixing`: as in [`neurho.networks.random_tied`][].
    - `noise`, `tilt`, `charge`: as in [`neurho.networks.product_state`][].
    - `reach`: the noise of a filter falls with the distance d from site 0 as exp(-d^2/(2 reach^2)). None for noise
      that is the same everywhere. `distances`: `(sites, sites)`, by default those of a chain.

    **Raises** `NeurhoError` as [`neurho.networks.product_state`][] and [`neurho.networks.random_tied`][] do, and for
    Bloch vectors that are not the same on all sites.
    """
    moves, sites = np.asarray(translations).shape
    vectors = as_reals(bloch_vectors(bloch, sites), "bloch")
    spread = float(np.max(np.ptp(vectors, axis=0), initial=0.0)) if vectors.ndim == 2 else 0.0
    require(
        spread <= UNIFORM,
        "bloch",
        "be the same on all sites for a translation-invariant network",
        f"its components differ by up to {spread:.3g}",
    )
    sizes: Record = {"hidden": hidden, "mixing": mixing, "charge": charge}
    zero = random_tied(key, translations, scale=0.0, **sizes)
    plain = product_state(key, bloch, sites, hidden=0, mixing=mixing, noise=0.0, tilt=tilt, charge=charge)
    where = lambda r: (r.visible, r.mixing_filters)  # noqa: E731
    filters = zero.mixing_filters
    if filters.shape[1]:
        theta = plain.target.mixing_weights[1, 0, 0]
        if moves > sites:
            theta = jnp.arccos(jnp.maximum(jnp.cos(2 * theta), 0) ** (sites / moves)) / 2
        filters = filters.at[1, 0, 0].set(theta)
    target = eqx.tree_at(where, zero, (plain.target.visible[:, :1], filters))
    noisy = disturbed(key, target, noise, reach=reach, distances=distances)
    return Prepared(ansatz=noisy, target=target, bloch=plain.bloch, overlap=plain.overlap)


def disturbed(
    key: PRNGKeyArray | int,
    network: TiedRBM,
    noise: float,
    *,
    reach: float | None = None,
    distances: np.ndarray | None = None,
) -> TiedRBM:
    """The network with normal numbers of standard deviation `noise` added to all parameters but `visible`."""
    require(noise >= 0, "noise", "be >= 0", f"it is {noise}")
    sites = network.sites
    envelope = np.ones(sites) if reach is None else _envelope(reach, distances, sites, np.zeros(1, dtype=int))[0]
    envelope = np.repeat(envelope, network.local_dim - 1)
    where = lambda r: (r.hidden_bias, r.mixing_bias, r.hidden_filters, r.mixing_filters)  # noqa: E731
    return eqx.tree_at(where, network, _with_noise(as_key(key), noise, where(network), (1.0, 1.0, envelope, envelope)))


def disturbed_liouville(
    key: PRNGKeyArray | int,
    network: LiouvilleRBM,
    noise: float,
    *,
    reach: float | None = None,
    distances: np.ndarray | None = None,
) -> LiouvilleRBM:
    """The same for a machine on labels; without translations its units have places spread evenly over the sites."""
    require(noise >= 0, "noise", "be >= 0", f"it is {noise}")

    def envelope(units: int) -> float | np.ndarray:
        places = np.zeros(units, dtype=int) if network.tied else _places(units, network.sites)
        return 1.0 if reach is None else _envelope(reach, distances, network.sites, places)[..., None]

    where = lambda r: (r.hidden_bias, r.mixing_bias, r.hidden_weights, r.mixing_weights)  # noqa: E731
    scales = (1.0, 1.0, envelope(network.hidden_bias.shape[1]), envelope(len(network.mixing_bias)))
    return eqx.tree_at(where, network, _with_noise(as_key(key), noise, where(network), scales))


def _with_noise(key: PRNGKeyArray, noise: float, leaves: tuple, scales: tuple) -> tuple:
    """Normal numbers of standard deviation noise scale added to each array."""
    drawn = normal_arrays(key, [leaf.shape for leaf in leaves])
    return tuple(leaf + noise * scale * one for leaf, one, scale in zip(leaves, drawn, scales, strict=True))


def _near(network: RBM, reach: float, distances: np.ndarray | None) -> RBM:
    """The network with weights that fall with the distance from places spread evenly over the sites."""
    sites = network.sites

    def envelope(units: int) -> np.ndarray:
        return _envelope(reach, distances, sites, _places(units, sites))

    weights = (network.hidden_weights, network.mixing_weights)
    near = tuple(jax.device_put(np.asarray(w) * envelope(w.shape[1])) for w in weights)
    return eqx.tree_at(lambda r: (r.hidden_weights, r.mixing_weights), network, near)


def _places(units: int, sites: int) -> np.ndarray:
    """A site for each unit, spread evenly."""
    return ((np.arange(units) + 0.5) * sites / max(units, 1)).astype(int)


def _envelope(reach: float, distances: np.ndarray | None, sites: int, places: np.ndarray) -> np.ndarray:
    """exp(-d^2/(2 reach^2)) by the distance d of every site from `places`, `(places, sites)`."""
    require(reach > 0, "reach", "be > 0", f"it is {reach}")
    between = np.abs(np.subtract.outer(np.arange(sites), np.arange(sites))) if distances is None else distances
    return np.exp(-(between[places] ** 2) / (2 * reach**2))


def _one_site_parameters(vectors: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """(re, im) of a `(2, sites)` and theta `(sites,)` from Bloch vectors."""
    up, down = (1 + vectors[:, 2]) / 2, (1 - vectors[:, 2]) / 2
    coherence = (vectors[:, 0] - 1j * vectors[:, 1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(up * down > 0, np.abs(coherence) / np.sqrt(up * down), 1.0)
    # At a pole the pure tilted state is prepared: no mixing needed, and its coherence is the stated sqrt(tilt).
    ratio = np.where(np.minimum(up, down) < tilt**2, 1.0, np.clip(ratio, 0, 1))
    up, down = np.clip(up, tilt, 1 - tilt), np.clip(down, tilt, 1 - tilt)
    visible = np.stack([np.log(up / down) / 4, np.angle(coherence) / 2])
    return visible, np.arccos(ratio) / 2


def _bloch_of(visible: np.ndarray, theta: np.ndarray) -> np.ndarray:
    z = np.tanh(2 * visible[0])
    xy = np.sqrt(1 - z**2) * np.cos(2 * theta)
    return np.stack([xy * np.cos(2 * visible[1]), -xy * np.sin(2 * visible[1]), z], axis=1)
