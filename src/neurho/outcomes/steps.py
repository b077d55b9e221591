"""Outcomes in time: implicit steps of a network, each fitted at weighted outcomes, all of them or independent draws.

With p of the network before a step and p' after it, E = (L p)/p and weights w of sum one at outcomes a (p(a) itself at
all of them, 1/M at M draws from p), a step of length dt makes

    sum_a w(a) r(a)^2,   r = [p' - p - dt ((1 - s) L p + s L p')]/p

small by Gauss-Newton steps: s = 1/2 is the trapezoidal rule, s = 1 with dt growing the way to a stationary state. The
norm is that of chi^2: sum_a (dp(a))^2/p(a), whose square root bounds the error of a mean of O by the spread of O(a).
At draws a stationary p has E = 0 everywhere: no noise is left where the goal is reached.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.compiling import program
from neurho.matrix_elements.generator import all_labels, place_values
from neurho.outcomes.frame import FROM_LABELS
from neurho.outcomes.gauss_newton import least_squares
from neurho.outcomes.recurrent import OUTCOMES, RecurrentOutcomes, all_log_probabilities, draw
from neurho.outcomes.stationary import Rate, applied

LEAST = 1e-9
"""Probabilities below this count as this where they divide."""

FAINT = 0.1
"""Factor of the weights of the last layer of a network that is moved to a product state: near it, and no saddle."""

BATCH = 128
"""Draws that are worked on at once."""

OVERHEAD = 1e-3
"""Part of a product state that is made uniform, so that none of its probabilities vanishes, where one would."""


class Weighted(NamedTuple):
    """Outcomes `a` `(count, sites)` with weights of sum one and log p of the network they belong to; `whole` where they
    are all outcomes in order.
    """

    a: Int[Array, "count sites"]
    weights: Float[Array, " count"]
    log_p: Float[Array, " count"]
    whole: bool


class Step(NamedTuple):
    """A step: the network after it, r at outcomes that it was not fitted to, with these outcomes, the sizes of r, of
    the motion dt E, and of what the rule neglects; the damping to begin the next with.
    """

    network: RecurrentOutcomes
    left: np.ndarray
    at: Weighted
    defect: float
    motion: float
    truncation: float
    damping: float


class _Data(NamedTuple):
    at: Weighted
    velocity: Array
    rates: tuple[Rate, ...]
    dt: Array
    share: Array


def weighted(network: RecurrentOutcomes, key: PRNGKeyArray, samples: int | None) -> Weighted:
    """All outcomes of a network, or so many independent draws."""
    if samples is None:
        log_p = all_log_probabilities(network)
        p = jnp.exp(log_p)
        return Weighted(jnp.asarray(all_labels(network.sites, OUTCOMES), jnp.int32), p / jnp.sum(p), log_p, whole=True)
    a = draw(network, key, samples)
    return Weighted(a, jnp.full(samples, 1 / samples), log_probabilities(network, a), whole=False)


@program
def log_probabilities(network: RecurrentOutcomes, a: Int[Array, "count sites"]) -> Float[Array, " count"]:
    """Log p of many outcomes."""
    return jax.vmap(network.log_probability)(a)


def relative(network: RecurrentOutcomes, rates: tuple[Rate, ...], at: Weighted) -> tuple[Array, Array]:
    """p'/p and (L p')/p of a network p' at outcomes of p."""
    if at.whole:
        p = jnp.maximum(jnp.exp(at.log_p), LEAST * jnp.max(jnp.exp(at.log_p)))
        moved = jnp.exp(all_log_probabilities(network))
        return moved / p, applied(rates, moved, network.sites) / p
    one = jax.checkpoint(lambda draw: _at_one(network, rates, *draw))  # what is not kept is evaluated again
    return jax.lax.map(one, (at.a, at.log_p), batch_size=BATCH)


def _at_one(network: RecurrentOutcomes, rates: tuple[Rate, ...], a: Array, log_p: Array) -> tuple[Array, Array]:
    """The same at one outcome: log p' of all that local terms connect to it, the outcome itself once."""
    ratio, total = jnp.exp(network.log_probability(a) - log_p), jnp.zeros(())
    for size in sorted({len(rate.sites) for rate in rates}):
        some = [rate for rate in rates if len(rate.sites) == size]
        sites = jnp.asarray([rate.sites for rate in some])
        table = jnp.stack([jnp.asarray(rate.matrix) for rate in some])
        here = a[sites] @ jnp.asarray(place_values(size, OUTCOMES))
        row = table[jnp.arange(len(some)), here]
        others = jnp.asarray(all_labels(size, OUTCOMES), a.dtype)
        changed = jax.vmap(lambda s: jax.vmap(lambda b: a.at[s].set(b))(others))(sites)
        log_others = jax.vmap(jax.vmap(network.log_probability))(changed)
        total = total + jnp.sum(row * jnp.exp(log_others - log_p))
    return ratio, total


def _residual(network: RecurrentOutcomes, data: _Data) -> Array:
    ratio, moved = relative(network, data.rates, data.at)
    r = ratio - 1 - data.dt * ((1 - data.share) * data.velocity + data.share * moved)
    return jnp.sqrt(data.at.weights) * r / (1 + data.dt * data.share)


@program
def velocity(network: RecurrentOutcomes, rates: tuple[Rate, ...], at: Weighted) -> Float[Array, " count"]:
    """E = (L p)/p at outcomes of the same network."""
    return relative(network, rates, at)[1]


@program
def _left(network: RecurrentOutcomes, data: _Data) -> tuple[Array, Array]:
    """R and the change of dt E over the step."""
    ratio, moved = relative(network, data.rates, data.at)
    change = data.dt * (moved - data.velocity)
    return ratio - 1 - data.dt * data.velocity - data.share * change, change


def implicit_step(
    network: RecurrentOutcomes,
    rates: tuple[Rate, ...],
    key: PRNGKeyArray,
    dt: float,
    *,
    share: float,
    samples: int | None,
    iterations: int,
    damping: float = 1e-4,
) -> Step:
    """One implicit step (see [`neurho.outcomes.steps`][]), judged at draws that it was not fitted to.

    - `share`: s, 1/2 or 1. `samples`: draws to fit to, and as many to judge; None for sums over all outcomes.
    - `iterations`: Gauss-Newton steps at most.

    The error of the trapezoidal rule, dt^3/12 p''', is estimated as if p grew like exp(k t): with d = dt (E' - E)/2,
    about |d|^2/(3 |dt E|).
    """
    fitted, fresh = jax.random.split(key)
    length, s = jnp.asarray(dt, float), jnp.asarray(share, float)
    at = weighted(network, fitted, samples)
    data = _Data(at, velocity(network, rates, at), rates, length, s)
    found = least_squares(_residual, network, data, steps=iterations, damping=damping, goal=1e-24)
    if samples is not None:
        at = weighted(network, fresh, samples)
        data = _Data(at, velocity(network, rates, at), rates, length, s)
    left, change = (np.asarray(value) for value in _left(found.parameters, data))
    motion = _size(dt * np.asarray(data.velocity), at)
    truncation = (_size(change, at) / 2) ** 2 / (3 * motion) if motion > 0 else 0.0
    return Step(found.parameters, left, at, _size(left, at), motion, truncation, found.damping)


def _size(values: np.ndarray, at: Weighted) -> float:
    return float(np.sqrt(np.asarray(at.weights) @ values**2))


def _apart(network: RecurrentOutcomes, data: tuple[Array, Array, Array]) -> Array:
    a, log_p, weights = data
    return jnp.sqrt(weights) * (jnp.exp(jax.vmap(network.log_probability)(a) - log_p) - 1)


def at_product(
    network: RecurrentOutcomes, factors: Sequence[Any] | np.ndarray, key: PRNGKeyArray, samples: int | None
) -> tuple[RecurrentOutcomes, float]:
    """A network moved to a product state, and how far it then is from it: sqrt(sum (dp)^2/p).

    - `factors`: the density matrices of the sites `(sites, 2, 2)`.
    - `samples`: draws to fit to; None for all outcomes.
    """
    p = np.real(np.asarray(factors).reshape(network.sites, 4) @ FROM_LABELS.T)
    p = (1 - OVERHEAD) * p + OVERHEAD / 4 if np.min(p) < OVERHEAD / 4 else p
    readout = (FAINT * network.readout.weight, jnp.log(jnp.mean(jnp.asarray(p), axis=0)))
    begun = eqx.tree_at(lambda n: (n.readout.weight, n.readout.bias), network, readout)
    if samples is None:
        a = jnp.asarray(all_labels(network.sites, OUTCOMES), jnp.int32)
    else:
        keys = jax.random.split(key, network.sites)
        one = [jax.random.categorical(k, jnp.log(jnp.asarray(q)), shape=(samples,)) for k, q in zip(keys, p, strict=True)]
        a = jnp.stack(one, axis=1).astype(jnp.int32)
    log_p = jnp.sum(jnp.log(jnp.asarray(p))[jnp.arange(network.sites), a], axis=1)
    weights = jnp.exp(log_p) if samples is None else jnp.full(samples, 1 / samples)
    found = least_squares(_apart, begun, (a, log_p, weights), steps=60, worth=1e-3, goal=1e-14, damping=1e-2)
    return found.parameters, float(np.sqrt(found.cost))
