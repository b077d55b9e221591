"""Nonlinear least squares: damped Gauss-Newton steps by conjugate gradients with products J d and J^T u.

J is a matrix where rows are given one by one, which costs a derivative of each, once; else it is never formed.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from neurho._jax.compiling import program

SMALL = 1e-3
"""Share of the first gradient, in size, at which conjugate gradients end."""

LARGEST = 1e6
"""Damping at which a search gives up."""

Residual = Callable[[PyTree, PyTree], Float[Array, " entries"]]
"""r of the parameters (a pytree of real arrays) and of what does not move."""


Row = Callable[[PyTree, PyTree, PyTree], Float[Array, ""]]
"""One entry of r of the parameters, of what belongs to this entry, and of what all share."""

BATCH = 128
"""Rows that are worked on at once."""


class Fit(NamedTuple):
    """The best parameters, their sum of squares, and the damping with which a similar search may begin."""

    parameters: PyTree
    cost: float
    damping: float


def least_squares(
    residual: Residual,
    parameters: PyTree,
    data: PyTree,
    *,
    steps: int,
    row: Row | None = None,
    inner: int = 60,
    worth: float = 0.1,
    goal: float = 0.0,
    damping: float = 1e-3,
) -> Fit:
    """The least |r|^2 from a start. A step d minimises |r + J d|^2 + damping tau d.d, tau the mean entry of diag J^T J.

    **Arguments**

    - `residual`, `data`: r(parameters, data); the same function is compiled once.
    - `row`: the entries one by one, where they have derivatives of their own: `data` is then (what belongs to each,
      with a leading axis, what all share).
    - `steps`: attempted steps at most; `inner`: conjugate-gradient iterations of each.
    - `worth`: ends when a step lowers the cost by less than this share; `goal`: or when the cost is so small.
    - `damping`: of the first step; three times smaller after one that does what J says, ten times larger after one that
      does not lower the cost (Levenberg-Marquardt).
    """
    cost = np.inf
    for _ in range(steps):
        moved, before, after, predicted = _attempt(residual, row, parameters, data, jnp.asarray(damping, float), inner)
        before, after, predicted = float(before), float(after), float(predicted)
        cost = before
        if not after < before:
            damping *= 10
            if before <= goal or damping > LARGEST or not predicted > worth * before:
                break
            continue
        parameters, cost = moved, after
        if before - after > 0.7 * predicted:
            damping /= 3
        if after <= goal or before - after < worth * before:
            break
    return Fit(parameters, cost, max(damping, 1e-12))


@program
def _attempt(
    residual: Residual, row: Row | None, parameters: PyTree, data: PyTree, damping: Array, inner: int
) -> tuple[PyTree, ...]:
    """Parameters after one step, the cost before and after it, and by how much it should fall."""
    vector, restore = ravel_pytree(parameters)

    def r_of(v: Array) -> Array:
        return residual(restore(v), data)

    if row is None:
        r, push = jax.linearize(r_of, vector)
        transposed = jax.linear_transpose(push, vector)

        def pull(u: Array) -> Array:
            return transposed(u)[0]

    else:
        own, shared = data
        one = jax.value_and_grad(lambda v, each: row(restore(v), each, shared))
        r, matrix = jax.lax.map(lambda each: one(vector, each), own, batch_size=BATCH)

        def push(d: Array) -> Array:
            return matrix @ d

        def pull(u: Array) -> Array:
            return u @ matrix

    signs = jax.random.rademacher(jax.random.key(0), (4, len(r)), r.dtype)
    tau = jnp.mean(jax.lax.map(lambda z: jnp.mean(pull(z) ** 2), signs)) + jnp.finfo(r.dtype).tiny
    step = _conjugate_gradients(lambda d: pull(push(d)) + damping * tau * d, -pull(r), inner)
    expected = jnp.sum(r**2) - jnp.sum((r + push(step)) ** 2)
    return restore(vector + step), jnp.sum(r**2), jnp.sum(r_of(vector + step) ** 2), expected


def _conjugate_gradients(apply: Callable[[Array], Array], b: Array, iterations: int) -> Array:
    """The x of A x = b, A symmetric and positive, from x = 0."""

    def body(at: tuple[Array, ...]) -> tuple[Array, ...]:
        count, x, left, search, size = at
        turned = apply(search)
        length = size / jnp.sum(search * turned)
        left = left - length * turned
        smaller = jnp.sum(left**2)
        return count + 1, x + length * search, left, left + smaller / size * search, smaller

    def goes_on(at: tuple[Array, ...]) -> Array:
        return (at[0] < iterations) & (at[4] > SMALL**2 * jnp.sum(b**2)) & (at[4] > 0)

    return jax.lax.while_loop(goes_on, body, (jnp.asarray(0), jnp.zeros_like(b), b, b, jnp.sum(b**2)))[1]
