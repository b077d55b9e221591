"""Jacobians of hidden-unit networks written out: d log cosh(theta) = tanh(theta) dtheta, with theta linear in features.

Several times faster than automatic derivatives of entries one by one: exp(-2 theta) gives cosh and tanh at once, units
that see one side are worked out for 2^N levels and not for 4^N labels, and sums over translations are products of
matrices. All functions are of the parameters as arrays (a network of NumPy arrays) and of configurations x.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from cases import Array

from neurho.matrix_elements.generator import all_labels


class Logs(NamedTuple):
    """log rho `(configurations,)`, and its derivatives in the order of the network's arrays, each with any shape."""

    log_rho: Array
    slopes: Callable[[], list[Array]]


class Units(NamedTuple):
    """exp(-2 s theta) of `(configurations, units, moves)`, s the sign of Re theta, and sum log(2 cosh theta)."""

    sign: Array
    e: Array
    logs: Array

    @property
    def tanh(self) -> Array:
        return self.sign * (1 - self.e) / (1 + self.e)


def units(theta: Array) -> Units:
    sign = np.where(theta.real < 0, -1.0, 1.0)
    large = sign * theta
    e = np.exp(-2 * large)
    with np.errstate(divide="ignore"):  # an amplitude may be zero
        logs = np.sum(np.log(np.prod(1 + e, axis=1)), axis=1)
    return Units(sign, e, logs + np.sum(large.reshape(len(theta), -1), axis=1))


def over_moves(slope: Array, features: Array) -> Array:
    """sum_g slope(x, unit, g) features(x, g, f), complex and real: products of real matrices."""
    parts = np.concatenate([slope.real, slope.imag], axis=1) @ features
    half = slope.shape[1]
    return parts[:, :half] + 1j * parts[:, half:]


def moves_of(network: Any) -> Array:
    """The moves of the sites, one that moves nothing where weights are not shared."""
    moves = getattr(network, "translations", None)
    return np.arange(network.sites)[None] if moves is None else np.asarray(moves)


def spins(levels: Array) -> Array:
    return 1.0 - 2.0 * levels


class Sides(NamedTuple):
    """All sides `(2^sites, moves, sites)`, which of them configurations have, and l + r and l - r with their moves."""

    side: Array
    l: Array
    r: Array
    plus: Array
    minus: Array


def sides_of(network: Any, x: Array) -> Sides:
    side = spins(all_labels(network.sites, 2))[:, moves_of(network)]
    l, r = (part @ (2 ** np.arange(network.sites - 1, -1, -1)) for part in np.divmod(x, 2))
    return Sides(side, l, r, side[l] + side[r], side[l] - side[r])


def across(features: Array) -> Array:
    return np.moveaxis(features, 1, 2)


def eq2(network: Any, x: Sides) -> Logs:
    """`RBM` and `TiedRBM`."""
    tied, l, r = hasattr(network, "hidden_filters"), x.l, x.r
    w = network.hidden_filters if tied else network.hidden_weights
    u = network.mixing_filters if tied else network.mixing_weights
    b = network.hidden_bias[0] + 1j * network.hidden_bias[1]
    a = network.visible[0] + 1j * network.visible[1]
    pure = units(b[:, None] + (w[0] + 1j * w[1]) @ across(x.side))
    own = np.sum(x.side[:, :1], axis=2) if tied else x.side[:, 0]
    logs = pure.logs + own @ a
    mixed = units(u[0] @ across(x.plus) + 1j * (u[1] @ across(x.minus)) + 2 * network.mixing_bias[:, None])

    def slopes() -> list[Array]:
        tanh, steep = pure.tanh, mixed.tanh
        found = []
        for one in (own, tanh.sum(axis=2), over_moves(tanh, x.side)):
            here, there = one[l], one[r].conj()
            found.append(np.stack([here + there, 1j * (here - there)], axis=1))
        found.append(2 * steep.sum(axis=2))
        found.append(np.stack([over_moves(steep, x.plus), 1j * over_moves(steep, x.minus)], axis=1))
        return found

    return Logs(logs[l] + logs[r].conj() + mixed.logs, slopes)


def ndm(network: Any, x: Sides) -> Logs:
    """`NDM`: the modulus and the phase of each side, and mixing units."""
    side, l, r = x.side[:, 0], x.l, x.r
    plus, minus = x.plus[:, 0] / 2, x.minus[:, 0] / 2
    theta = [b + side @ w.T for b, w in zip(network.hidden_bias, network.hidden_weights, strict=True)]
    logs = [side @ v + np.sum(np.logaddexp(t, -t), axis=1) for v, t in zip(network.visible, theta, strict=True)]
    u, v = network.mixing_weights
    mixed = units((network.mixing_bias + plus @ u.T + 1j * (minus @ v.T))[:, :, None])

    def slopes() -> list[Array]:
        def both(one: list[Array]) -> Array:
            return np.stack([(one[0][l] + one[0][r]) / 2, 1j * (one[1][l] - one[1][r]) / 2], axis=1)

        tanh, steep = [np.tanh(t) for t in theta], mixed.tanh
        weights = [t[:, :, None] * side[:, None] for t in tanh]
        apart = np.stack([steep * plus[:, None], 1j * steep * minus[:, None]], axis=1)
        return [both([side, side]), both(tanh), both(weights), steep[:, :, 0], apart]

    return Logs((logs[0][l] + logs[0][r]) / 2 + 1j * (logs[1][l] - logs[1][r]) / 2 + mixed.logs, slopes)


class Labels(NamedTuple):
    """l + r, l r and l - r of the sites of configurations, and the same with their moves."""

    phi: Array
    moved: Array


I_ODD = np.array([1, 1, 1j])
"""Features l - r come with a factor i."""


def labels_of(network: Any, x: Array) -> Labels:
    left, right = (spins(part) for part in np.divmod(x, 2))
    phi, moves = np.stack([left + right, left * right, left - right], axis=2), moves_of(network)
    return Labels(phi, phi[:, moves].reshape(len(x), len(moves), -1))


def on_labels(network: Any, x: Labels) -> Logs:
    """`LiouvilleRBM`, of spins."""
    sites, turned = network.sites, across(x.moved)

    def angles(weights: Array) -> Array:
        flat = (weights * I_ODD).reshape(len(weights), -1)
        return flat.real @ turned + 1j * (flat.imag @ turned)

    w = network.hidden_weights[0] + 1j * network.hidden_weights[1]
    b = (network.hidden_bias[0] + 1j * network.hidden_bias[1])[:, None]
    one, other = units(b + angles(w)), units(b.conj() + angles(w.conj()))
    mixed = units(network.mixing_bias[:, None] + angles(network.mixing_weights))
    a = np.broadcast_to(network.visible * I_ODD, (sites, 3)).ravel()

    def slopes() -> list[Array]:
        def of(slope: Array) -> Array:
            return over_moves(slope, x.moved).reshape(*slope.shape[:2], sites, 3) * I_ODD

        first, second, third = one.tanh, other.tanh, mixed.tanh
        even, odd = first + second, 1j * (first - second)
        visible = x.phi * I_ODD
        return [
            visible if len(network.visible) > 1 else visible.sum(axis=1),
            np.stack([even.sum(axis=2), odd.sum(axis=2)], axis=1),
            np.stack([of(even), of(odd)], axis=1),
            third.sum(axis=2),
            of(third),
        ]

    return Logs(x.phi.reshape(len(x.phi), -1) @ a + one.logs + other.logs + mixed.logs, slopes)


class Written(NamedTuple):
    """log rho of a network and of what was made of configurations once."""

    prepared: Callable[[Any, Array], Any]
    logs: Callable[[Any, Any], Logs]


WRITTEN = {
    "RBM": Written(sides_of, eq2),
    "TiedRBM": Written(sides_of, eq2),
    "NDM": Written(sides_of, ndm),
    "LiouvilleRBM": Written(labels_of, on_labels),
}
"""By the name of the class."""
