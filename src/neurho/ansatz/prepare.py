"""Product states inside the paper's ansatz, exactly, and what the added noise costs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho._types import NeurhoError, require
from neurho.ansatz.rbm import RBM, random_rbm
from neurho.symmetry import Charge


class Prepared(NamedTuple):
    """An initial state and what it stands for.

    - `ansatz`, `target`: with and without noise.
    - `bloch`: the Bloch vectors `(sites, 3)` really prepared.
    - `overlap`: (Tr rho sigma)^2/(Tr rho^2 Tr sigma^2) of `target` with the state asked for, below 1 by the tilt.
    """

    ansatz: RBM
    target: RBM
    bloch: np.ndarray
    overlap: float


def product_state(
    key: PRNGKeyArray,
    bloch: Any,
    sites: int,
    *,
    hidden: int,
    mixing: int,
    noise: float = 0.01,
    tilt: float = 1e-3,
    charge: Charge | None = None,
    reach: float | None = None,
    distances: np.ndarray | None = None,
) -> Prepared:
    """A product of one-site states rho_j = (1 + r_j . sigma)/2 as an RBM with noise.

    With W = 0 and U = i theta_j on the diagonal, Eq. 2 of PRL 122, 250502 gives the one-site states

        rho_uu / rho_dd = exp(4 Re a),   arg rho_ud = 2 Im a,   |rho_ud| / sqrt(rho_uu rho_dd) = cos(2 theta).

    A pole of the Bloch sphere is the limit Re a -> infinity: where the smaller population is below `tilt`, it is
    raised to `tilt`, keeping the relative coherence (a pole is tilted towards +x).

    **Arguments**

    - `bloch`: r, shape `(3,)` or `(sites, 3)`, |r| <= 1.
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
    vectors = np.asarray(bloch, dtype=float)
    require(
        vectors.shape in ((3,), (sites, 3)),
        "bloch",
        f"have shape (3,) or ({sites}, 3)",
        f"its shape is {vectors.shape}",
    )
    require(np.all(np.isfinite(vectors)), "bloch", "be finite", f"it is {bloch}")
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
    sizes: Any = {"hidden": hidden, "mixing": mixing, "charge": charge}
    zero = random_rbm(key, sites, scale=0.0, **sizes)
    weights = np.zeros((2, mixing, sites))
    weights[1, np.arange(min(mixing, sites)), np.arange(min(mixing, sites))] = theta[:mixing]
    where = lambda r: (r.visible, r.mixing_weights)  # noqa: E731
    target = eqx.tree_at(where, zero, (jnp.asarray(visible), jnp.asarray(weights)))
    disturbance = eqx.tree_at(lambda r: r.visible, random_rbm(key, sites, scale=noise, **sizes), jnp.zeros((2, sites)))
    if reach is not None:
        disturbance = _near(disturbance, reach, distances)
    noisy = jax.tree.map(lambda a, b: a + b, target, disturbance)
    bloch = _bloch_of(visible, theta)
    norms = (1 + np.sum(vectors**2, axis=1)) * (1 + np.sum(bloch**2, axis=1))
    overlap = float(np.prod((1 + np.sum(vectors * bloch, axis=1)) ** 2 / norms))
    return Prepared(ansatz=noisy, target=target, bloch=bloch, overlap=overlap)


def _near(network: RBM, reach: float, distances: np.ndarray | None) -> RBM:
    """The network with weights that fall with the distance from places spread evenly over the sites."""
    require(reach > 0, "reach", "be > 0", f"it is {reach}")
    sites = network.sites
    between = np.abs(np.subtract.outer(np.arange(sites), np.arange(sites))) if distances is None else distances

    def envelope(units: int) -> np.ndarray:
        places = ((np.arange(units) + 0.5) * sites / max(units, 1)).astype(int)
        return np.exp(-(between[places] ** 2) / (2 * reach**2))

    weights = (network.hidden_weights, network.mixing_weights)
    near = tuple(w * jnp.asarray(envelope(w.shape[1])) for w in weights)
    return eqx.tree_at(lambda r: (r.hidden_weights, r.mixing_weights), network, near)


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
