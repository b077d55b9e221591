"""Wave functions that decay, and jump where their norm has fallen to a random threshold.

Between jumps psi' = -i H_eff psi; |psi|^2 falls. It jumps when |psi|^2 = r, r uniform on (0, 1]; then c_j psi with
probability proportional to gamma_j |c_j psi|^2, divided by its norm, and a new r. Dalibard, Castin & Molmer, Phys. Rev.
Lett. 68, 580 (1992); Dum, Zoller & Ritsch, Phys. Rev. A 45, 4879 (1992). No step is first order: within a step psi is
known at every time, and the time of a jump is found to the tolerance of the propagation.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho.trajectories.moves import Vector, add, select, square, zeros_like
from neurho.trajectories.propagation import Basis
from neurho.trajectories.readings import Readings
from neurho.trajectories.system import System

Lanes = Float[Array, " lanes"]

SEARCH = 40
"""Times tried within a step at most for a jump."""


class Walk(NamedTuple):
    """Trajectories side by side, every one at its own time.

    - `norm`: <psi|psi>; `threshold`: where it jumps next; `sector`: its parity, +1 or -1.
    - `trajectory`, `event`: which trajectory, and how many jumps it has had, from which random numbers follow.
    """

    psi: Vector
    norm: Lanes
    threshold: Lanes
    t: Lanes
    sector: Lanes
    trajectory: Int[Array, " lanes"]
    event: Int[Array, " lanes"]


def uniforms(
    key: PRNGKeyArray, trajectory: Int[Array, " lanes"], event: Int[Array, " lanes"]
) -> Float[Array, "2 lanes"]:
    """Two random numbers in (0, 1] for an event of every trajectory."""

    def draw(number: Array, count: Array) -> Array:
        return 1 - jax.random.uniform(jax.random.fold_in(jax.random.fold_in(key, number), count), (2,), dtype=float)

    return jax.vmap(draw)(trajectory, event).T


@eqx.filter_jit
def advance(
    system: System, readings: Readings, key: PRNGKeyArray, walk: Walk, times: Float[Array, " times"]
) -> tuple[Walk, Float[Array, "times operators lanes"]]:
    """Follow all trajectories to the last of `times`, and read the means of operators at each.

    A trajectory that has reached one time goes on to the next while others are still behind.
    """
    lanes = walk.t.shape[0]
    values = jnp.zeros((len(times), readings.count, lanes), walk.psi[0].dtype)

    def behind(carry: tuple[Walk, Array, Array]) -> Array:
        return jnp.any(carry[1] < len(times))

    def go(carry: tuple[Walk, Array, Array]) -> tuple[Walk, Array, Array]:
        walk, place, values = carry
        busy = place < len(times)
        target = jnp.where(busy, times[jnp.minimum(place, len(times) - 1)], walk.t)
        walk = _step(system, key, walk, target)
        arrived = busy & (walk.t >= target)

        def read(values: Array) -> Array:
            found = readings(walk.psi, walk.sector) / walk.norm.astype(walk.psi[0].dtype)
            row, lane = jnp.where(arrived, place, len(times)), jnp.arange(lanes)
            return values.at[row, :, lane].set(found.T, mode="drop")

        values = jax.lax.cond(jnp.any(arrived), read, lambda values: values, values)
        return walk, place + arrived, values

    walk, _, values = jax.lax.while_loop(behind, go, (walk, jnp.zeros(lanes, int), values))
    return walk, values


def _step(system: System, key: PRNGKeyArray, walk: Walk, target: Lanes) -> Walk:
    """Every lane to its target, to the end of a step or to its next jump, whichever comes first."""
    left = target - walk.t
    h = jnp.minimum(system.propagation.limit(walk.t), left)
    last, moving = h >= left, left > 0
    basis = system.propagation.basis(walk.psi, walk.sector, walk.t, h)
    s, psi, norm, jumps = _to_crossing(system, walk, basis, h)
    jumps = jumps & moving
    t = jnp.where(last & ~jumps, target, walk.t + s)
    kept = walk._replace(
        psi=select(moving, psi, walk.psi), norm=jnp.where(moving, norm, walk.norm), t=jnp.where(moving, t, walk.t)
    )
    return jax.lax.cond(jnp.any(jumps), lambda w: _jump(system, key, w, jumps), lambda w: w, kept)


class _Search(NamedTuple):
    """Where the norm crosses the threshold: between `low` and `high`, (time, ln norm - ln threshold, slope) each."""

    s: Lanes
    low: tuple[Lanes, Lanes, Lanes]
    high: tuple[Lanes, Lanes, Lanes]
    psi: Vector
    norm: Lanes
    done: Array
    tries: Int[Array, ""]


def _to_crossing(system: System, walk: Walk, basis: Basis, h: Lanes) -> tuple[Lanes, Vector, Lanes, Array]:
    """The vector at the end of the step, or where |psi|^2 = r: time, vector, norm, and whether it crosses."""
    goal = jnp.log(walk.threshold)

    def slope(psi: Vector, norm: Lanes, s: Lanes) -> Lanes:
        return -system.loss.expect(psi, walk.sector, walk.t + s).astype(float) / norm

    def at(s: Lanes) -> tuple[Vector, Lanes, Lanes]:
        psi = system.propagation.at(walk.psi, basis, s, h)
        norm = square(psi).astype(float)
        return psi, norm, jnp.log(norm) - goal

    def unfinished(search: _Search) -> Array:
        return jnp.any(~search.done) & (search.tries < SEARCH)

    def again(search: _Search) -> _Search:
        s = jnp.where(search.done, search.s, _propose(search))
        psi, norm, above = at(s)
        point, high = (s, above, slope(psi, norm, s)), above <= 0
        width = search.high[0] - search.low[0]
        return _Search(
            s=s,
            low=tuple(jnp.where(high | search.done, a, b) for a, b in zip(search.low, point, strict=True)),  # pyright: ignore[reportArgumentType]
            high=tuple(jnp.where(high & ~search.done, b, a) for a, b in zip(search.high, point, strict=True)),  # pyright: ignore[reportArgumentType]
            psi=psi,
            norm=norm,
            done=search.done | (jnp.abs(above) <= 3 * system.tolerance) | (width <= 1e-12 * h),
            tries=search.tries + 1,
        )

    psi, norm, above = at(h)
    crosses = above <= 0
    zero = jnp.zeros_like(h)
    search = _Search(
        s=h,
        low=(zero, jnp.log(walk.norm) - goal, slope(walk.psi, walk.norm, zero)),
        high=(h, above, slope(psi, norm, h)),
        psi=psi,
        norm=norm,
        done=~crosses,
        tries=jnp.zeros((), int),
    )
    search = jax.lax.while_loop(unfinished, again, search)
    return search.s, search.psi, search.norm, crosses


def _propose(search: _Search) -> Lanes:
    """The zero of the cubic through both ends with their slopes; every fourth time the middle, which never fails."""
    (a, fa, ga), (b, fb, gb) = search.low, search.high
    width = b - a
    ga, gb = ga * width, gb * width

    def cubic(x: Lanes) -> Lanes:
        return fa + x * (ga + x * (3 * (fb - fa) - 2 * ga - gb + x * (ga + gb - 2 * (fb - fa))))

    def halve(_: Array, ends: tuple[Lanes, Lanes]) -> tuple[Lanes, Lanes]:
        middle = (ends[0] + ends[1]) / 2
        right = cubic(middle) > 0
        return jnp.where(right, middle, ends[0]), jnp.where(right, ends[1], middle)

    ends = jax.lax.fori_loop(0, 44, halve, (jnp.zeros_like(a), jnp.ones_like(a)))
    share = jnp.where(search.tries % 4 == 3, 0.5, (ends[0] + ends[1]) / 2)
    return a + width * jnp.clip(share, 0.0, 1.0)


def _jump(system: System, key: PRNGKeyArray, walk: Walk, jumps: Array) -> Walk:
    """Choose a channel for each lane that jumps, apply it, and draw the next threshold."""
    weights = jnp.stack([c.weight(walk.psi, walk.sector, walk.t) for c in system.channels]).astype(float)
    reached = jnp.cumsum(weights, axis=0)
    event = walk.event + jumps
    threshold, choice = uniforms(key, walk.trajectory, event)
    channel = jnp.minimum(jnp.sum(reached < choice * reached[-1], axis=0), len(system.channels) - 1)
    # A state that nothing leaves may reach its threshold by rounding alone: it draws another one and stays.
    real = jumps & (reached[-1] > 1e-9 * walk.norm)
    psi = zeros_like(walk.psi)
    for number, c in enumerate(system.channels):
        found = c.apply(walk.psi, walk.sector, walk.t)
        psi = add(psi, select(channel == number, found, zeros_like(found)))
    changes = jnp.array([c.change for c in system.channels])[channel] == 1
    psi = select(real, psi, walk.psi)
    norm = jnp.sqrt(square(psi))
    return walk._replace(
        psi=select(jumps, (psi[0] / norm, psi[1] / norm), walk.psi),
        norm=jnp.where(jumps, 1.0, walk.norm),
        threshold=jnp.where(jumps, threshold, walk.threshold),
        sector=jnp.where(real & changes, -walk.sector, walk.sector),
        event=event,
    )
