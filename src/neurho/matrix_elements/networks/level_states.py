"""Product states of sites with any number of levels, inside the paper's ansatz."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho._types import Numbers, as_reals, require, require_whole
from neurho.matrix_elements.networks.rbm import RBM, level_features, random_rbm


class PreparedLevels(NamedTuple):
    """An initial state and what it stands for.

    - `ansatz`, `target`: with and without noise.
    - `amplitudes`: psi_j(l) really prepared, `(sites, levels)`.
    - `overlap`: (tr rho sigma)^2/(tr rho^2 tr sigma^2) of `target` with the state asked for, below 1 by the tilt.
    """

    ansatz: RBM
    target: RBM
    amplitudes: np.ndarray
    overlap: float


def level_amplitudes(populations: Numbers, sites: int, phases: Numbers | None = None) -> np.ndarray:
    """psi_j(l) = sqrt(p_j(l)) exp(i phi_j(l)), `(sites, levels)`.

    ```python
    import numpy as np
    import neurho

    psi = neurho.networks.level_amplitudes([0.25, 0.25, 0.5], 2, [0.0, np.pi, 0.0])
    assert np.allclose(psi[0], [0.5, -0.5, 0.5**0.5])
    ```

    **Arguments**

    - `populations`: p >= 0 with sum 1, shape `(levels,)` or `(sites, levels)`; `phases`: phi, likewise, in radians.
    """
    require_whole(sites, "sites", 1)
    p = as_reals(populations, "populations")
    phi = np.zeros_like(p) if phases is None else as_reals(phases, "phases")
    for name, array in (("populations", p), ("phases", phi)):
        require(
            array.ndim == 1 or (array.ndim == 2 and len(array) == sites),
            name,
            f"have shape (levels,) or ({sites}, levels)",
            f"its shape is {array.shape}",
        )
    require(p.shape[-1] == phi.shape[-1], "phases", f"have {p.shape[-1]} levels", f"it has {phi.shape[-1]}")
    good = np.all(p >= 0) and np.allclose(p.sum(axis=-1), 1, atol=1e-6)
    require(good, "populations", "be >= 0 and add up to 1", f"it is {populations}")
    levels = p.shape[-1]
    normal = p / p.sum(axis=-1, keepdims=True)
    return np.broadcast_to(np.sqrt(normal) * np.exp(1j * phi), (sites, levels)).copy()


def level_state(
    key: PRNGKeyArray | int,
    populations: Numbers,
    sites: int,
    *,
    hidden: int,
    mixing: int,
    phases: Numbers | None = None,
    noise: float = 0.01,
    tilt: float = 1e-3,
    mixed: bool = False,
) -> PreparedLevels:
    """A pure product state, or with `mixed` a product of mixtures sum_l p_j(l) |l><l|, as an RBM with noise.

    With W = U = 0 the RBM is rho(l, r) = prod_j psi_j(l_j) psi_j(r_j)*, log psi_j = sum_f a_jf phi_f(l), where the d-1
    features phi_f and the constant are a basis: every psi without zeros is one, exactly. Populations below `tilt`
    are raised to it.

    A mixing unit with U.phi(l) = i pi/2 bit_b(l) + const on one site multiplies rho by cos(pi/2 (bit_b(l) - bit_b(r))),
    zero where levels l and r differ in binary digit b and one elsewhere: one unit for each digit of the d levels
    removes all coherences of a site, exactly. Mixtures with coherences are not in this family for d > 2.

    ```python
    import jax
    import neurho

    start = neurho.networks.level_state(jax.random.key(0), [0.25, 0.25, 0.5], 2, hidden=4, mixing=4)
    assert start.ansatz.local_dim == 3
    ```

    **Arguments**

    - `populations`, `phases`: see [`neurho.networks.level_amplitudes`][]; the number of levels is theirs.
    - `mixed`: needs `mixing` >= sites ceil(log2 d) and no `phases`.
    - `noise`: standard deviation of the normal numbers added to all parameters but `visible`.
    - `tilt`: smallest population of a level, in (0, 1/levels).

    **Raises** `NeurhoError` for populations that do not add up to 1, and for mixtures with phases or too few units.
    """
    asked = level_amplitudes(populations, sites, phases)
    levels = asked.shape[1]
    require(levels >= 2, "populations", "have at least 2 levels", f"it has {levels}")
    require(0 < tilt < 1 / levels, "tilt", f"lie between 0 and 1/{levels}", f"it is {tilt}")
    require(noise >= 0, "noise", "be >= 0", f"it is {noise}")
    raised = np.maximum(np.abs(asked) ** 2, tilt)
    raised /= raised.sum(axis=1, keepdims=True)
    logarithm = np.log(raised) / 2 + 1j * np.angle(asked)
    features = level_features(levels)
    visible = (logarithm @ features / np.sum(features**2, axis=0)).ravel()
    zero = random_rbm(key, sites, hidden=hidden, mixing=mixing, scale=0.0, local_dim=levels)
    target = eqx.tree_at(lambda r: r.visible, zero, jnp.asarray(np.stack([visible.real, visible.imag])))
    if mixed:
        require(phases is None, "phases", "be left out for a mixture, which has no coherences", f"it is {phases}")
        target = eqx.tree_at(lambda r: r.mixing_weights, target, jnp.asarray(_dephasing(levels, sites, mixing)))
    disturbance = eqx.tree_at(
        lambda r: r.visible,
        random_rbm(key, sites, hidden=hidden, mixing=mixing, scale=noise, local_dim=levels),
        jnp.zeros((2, len(visible))),
    )
    prepared = np.sqrt(raised) * np.exp(1j * np.angle(asked))
    return PreparedLevels(
        ansatz=jax.tree.map(lambda a, b: a + b, target, disturbance),
        target=target,
        amplitudes=prepared,
        overlap=_overlap(asked, prepared, mixed=mixed),
    )


def _dephasing(levels: int, sites: int, mixing: int) -> np.ndarray:
    """U, `(2, mixing, features)`, of the units that remove all coherences between levels."""
    digits = (levels - 1).bit_length()
    require(mixing >= sites * digits, "mixing", f"be at least {sites * digits} for a mixture", f"it is {mixing}")
    features = level_features(levels)
    bits = (np.arange(levels) >> np.arange(digits)[:, None]) & 1
    expanded = np.pi / 2 * bits @ features / np.sum(features**2, axis=0)
    weights = np.zeros((2, mixing, sites * (levels - 1)))
    weights[1, : sites * digits] = np.kron(np.eye(sites), expanded)
    return weights


def _overlap(asked: np.ndarray, prepared: np.ndarray, *, mixed: bool) -> float:
    """(tr rho sigma)^2 / (tr rho^2 tr sigma^2) of two products, from their amplitudes."""
    if not mixed:
        return float(np.prod(np.abs(np.sum(asked.conj() * prepared, axis=1)) ** 4))
    p, q = np.abs(asked) ** 2, np.abs(prepared) ** 2
    return float(np.prod(np.sum(p * q, axis=1) ** 2 / (np.sum(p * p, axis=1) * np.sum(q * q, axis=1))))
