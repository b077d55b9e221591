"""Outcomes in time: implicit steps of a network, each fitted at weighted outcomes, all of them or independent draws.

With p of the network before a step and p' after it, E = (L p)/p and weights w of sum one at outcomes a (p(a) itself at
all of them, 1/M at M draws from p), a step of length dt makes

    sum_a w(a) r(a)^2,   r = [p' - p - dt ((1 - s) L p + s L p')]/p

small by Gauss-Newton steps: s = 1/2 is the trapezoidal rule, s = 1 with dt growing the way to a stationary state.
Where coefficients depend on time, L p is taken at the beginning of a step and L p' at its end. The norm is that of
chi^2: sum_a (dp(a))^2/p(a), whose square root bounds the error of a mean of O by the spread of O(a). At draws a
stationary p has E = 0 everywhere: no noise is left where the goal is reached.
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


class _Here(NamedTuple):
    """What belongs to an outcome: itself, its weight, log p and E."""

    a: Array
    weight: Array
    log_p: Array
    velocity: Array


class _Rule(NamedTuple):
    """What all outcomes share."""

    rates: tuple[Rate, ...]
    dt: Array
    share: Array
    whole: bool


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


def relative(
    network: RecurrentOutcomes, rates: tuple[Rate, ...], a: Array, log_p: Array, *, whole: bool
) -> tuple[Array, Array]:
    """p'/p and (L p')/p of a network p' at outcomes of p; `whole` where they are all outcomes in order."""
    if whole:
        p = jnp.maximum(jnp.exp(log_p), LEAST * jnp.max(jnp.exp(log_p)))
        moved = jnp.exp(all_log_probabilities(network))
        return moved / p, applied(rates, moved, network.sites) / p
    return jax.lax.map(lambda draw: _at_one(network, rates, *draw), (a, log_p), batch_size=BATCH)


def _at_one(network: RecurrentOutcomes, rates: tuple[Rate, ...], a: Array, log_p: Array) -> tuple[Array, Array]:
    """The same at one outcome: log p' of all that local terms connect to it."""
    sizes = sorted({len(rate.sites) for rate in rates})
    parts = [_moved(network, [rate for rate in rates if len(rate.sites) == size], a, log_p) for size in sizes]
    return jnp.exp(network.log_probability(a) - log_p), jnp.sum(jnp.stack(parts))


def _moved(network: RecurrentOutcomes, rates: list[Rate], a: Array, log_p: Array) -> Array:
    """(L p')(a)/p(a) of terms on the same number of sites."""
    size = len(rates[0].sites)
    sites = jnp.asarray([rate.sites for rate in rates])
    table = jnp.stack([jnp.asarray(rate.matrix) for rate in rates])
    row = table[jnp.arange(len(rates)), a[sites] @ jnp.asarray(place_values(size, OUTCOMES))]
    others = jnp.asarray(all_labels(size, OUTCOMES), a.dtype)
    changed = jax.vmap(lambda where: jax.vmap(lambda b: a.at[where].set(b))(others))(sites)
    log_others = jax.vmap(jax.vmap(network.log_probability))(changed)
    return jnp.sum(row * jnp.exp(log_others - log_p))


def _misses(ratio: Array, moved: Array, here: _Here, rule: _Rule) -> Array:
    r = ratio - 1 - rule.dt * ((1 - rule.share) * here.velocity + rule.share * moved)
    return jnp.sqrt(here.weight) * r / (1 + rule.dt * rule.share)


def _residual(network: RecurrentOutcomes, data: tuple[_Here, _Rule]) -> Array:
    here, rule = data
    return _misses(*relative(network, rule.rates, here.a, here.log_p, whole=rule.whole), here, rule)


def _row(network: RecurrentOutcomes, here: _Here, rule: _Rule) -> Array:
    return _misses(*_at_one(network, rule.rates, here.a, here.log_p), here, rule)


@program
def velocity(network: RecurrentOutcomes, rates: tuple[Rate, ...], at: Weighted) -> Float[Array, " count"]:
    """E = (L p)/p at outcomes of the same network."""
    return relative(network, rates, at.a, at.log_p, whole=at.whole)[1]


@program
def _left(network: RecurrentOutcomes, data: tuple[_Here, _Rule]) -> tuple[Array, Array, Array]:
    """R, the change d of dt E over the step, and L d where all outcomes are known."""
    here, rule = data
    ratio, moved = relative(network, rule.rates, here.a, here.log_p, whole=rule.whole)
    change = rule.dt * (moved - here.velocity)
    p = jnp.exp(here.log_p)
    turned = applied(rule.rates, change * p, network.sites) / p if rule.whole else jnp.full_like(p, jnp.nan)
    return ratio - 1 - rule.dt * here.velocity - rule.share * change, change, turned


@program
def _driven(
    origin: RecurrentOutcomes, network: RecurrentOutcomes, middle: tuple[Rate, ...], data: tuple[_Here, _Rule]
) -> Array:
    """dt^2 (2 L' p' + L'' p)/p: 4 [(L_begin - L_middle) p + (L_end - L_middle) p']/p."""
    here, rule = data
    parts = ((network, rule.rates), (network, middle), (origin, middle))
    late, between, before = (relative(one, r, here.a, here.log_p, whole=rule.whole)[1] for one, r in parts)
    return 4 * (here.velocity - before + late - between)


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
    earlier: tuple[tuple[Rate, ...], tuple[Rate, ...]] | None = None,
) -> Step:
    """One implicit step (see [`neurho.outcomes.steps`][]), judged at draws that it was not fitted to.

    - `rates`: of the end of the step. `earlier`: those of its beginning and its middle, where they are others.
    - `share`: s, 1/2 or 1. `samples`: draws to fit to, and as many to judge; None for sums over all outcomes.
    - `iterations`: Gauss-Newton steps at most.

    The error of the trapezoidal rule is dt^3/12 p''' = dt/12 [L d + dt^2 (2 L' p' + L'' p)] with d = dt (E' - E) and
    the derivatives of L from its values at the beginning, the middle and the end. At draws, where L d is not known, it
    is estimated as if p'' grew as fast as p': |d|^2/(12 |dt E|), and doubled.
    """
    fitted, fresh = jax.random.split(key)
    begin, middle = earlier or (rates, rates)
    rule = _Rule(rates, jnp.asarray(dt, float), jnp.asarray(share, float), whole=samples is None)

    def drawn(key: PRNGKeyArray) -> tuple[Weighted, tuple[_Here, _Rule]]:
        at = weighted(network, key, samples)
        return at, (_Here(at.a, at.weights, at.log_p, velocity(network, begin, at)), rule)

    at, data = drawn(fitted)
    row = None if rule.whole else _row
    found = least_squares(_residual, network, data, row=row, steps=iterations, damping=damping, goal=1e-24)
    if not rule.whole:
        at, data = drawn(fresh)
    left, change, turned = (np.asarray(value) for value in _left(found.parameters, data))
    driven = np.zeros_like(left) if earlier is None else np.asarray(_driven(network, found.parameters, middle, data))
    motion = _size(dt * np.asarray(data[0].velocity), at)
    if rule.whole:
        truncation = dt / 12 * _size(turned + driven, at)
    else:
        growing = _size(change, at) ** 2 / (6 * motion) if motion > 0 else 0.0
        truncation = dt / 12 * _size(driven, at) + growing
    return Step(found.parameters, left, at, _size(left, at), motion, truncation, found.damping)


def _size(values: np.ndarray, at: Weighted) -> float:
    return float(np.sqrt(np.asarray(at.weights) @ values**2))


def _apart(network: RecurrentOutcomes, data: tuple[_Here, None]) -> Array:
    return jax.vmap(lambda here: _apart_at(network, here, None))(data[0])


def _apart_at(network: RecurrentOutcomes, here: _Here, _: None) -> Array:
    return jnp.sqrt(here.weight) * (jnp.exp(network.log_probability(here.a) - here.log_p) - 1)


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
        one = [
            jax.random.categorical(k, jnp.log(jnp.asarray(q)), shape=(samples,)) for k, q in zip(keys, p, strict=True)
        ]
        a = jnp.stack(one, axis=1).astype(jnp.int32)
    log_p = jnp.sum(jnp.log(jnp.asarray(p))[jnp.arange(network.sites), a], axis=1)
    weights = jnp.exp(log_p) if samples is None else jnp.full(samples, 1 / samples)
    data = (_Here(a, weights, log_p, weights), None)
    found = least_squares(_apart, begun, data, row=_apart_at, steps=60, worth=1e-3, goal=1e-14, damping=1e-2)
    return found.parameters, float(np.sqrt(found.cost))
