"""exp(-i H_eff s) psi for all s up to a longest step: a few vectors u_k, and functions w_k(s) with psi(s) = sum w_k u_k.

Once the vectors are known, psi at any time within the step costs one sum, which is what finding a jump needs.

- Constant generators: Chebyshev polynomials of X = (H_eff - c)/R,
      exp(-i H_eff s) = exp(-i c s) sum_k (2 - delta_k0) (-i)^k J_k(R s) T_k(X),
  Tal-Ezer & Kosloff, J. Chem. Phys. 81, 3967 (1984). c is the middle of the spectrum, R its half width.
- Coefficients that depend on time: the Taylor series of psi itself. Over a step f(t + sigma h) is a polynomial in
  sigma through its values at Chebyshev nodes, f = sum_q f_q sigma^q, and
      (k + 1) u_{k+1} = -i h sum_q sum_n f_{n,q} X_n u_{k-q},    w_k = sigma^k.
"""

from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Complex, Float

from neurho.trajectories.moves import Moves, Vector
from neurho.trajectories.sums import Sum, at_times, times

NODES = 8
"""Values of a coefficient by which it is interpolated over a step."""

Lanes: TypeAlias = Float[Array, " lanes"]


class Chebyshev(eqx.Module):
    """Propagation by a constant generator: moves of X, half width R, and the loss -2 Im c in the middle."""

    scaled: Moves
    radius: float = eqx.field(static=True)
    loss: float = eqx.field(static=True)
    order: int = eqx.field(static=True)
    longest: float = eqx.field(static=True)

    def limit(self, t: Lanes) -> Lanes:
        """The longest step from t on."""
        return jnp.full_like(t, self.longest)

    def basis(self, psi: Vector, sector: Lanes, t: Lanes, h: Lanes) -> Float[Array, "terms 2 D lanes"]:
        """T_k(X) psi for k = 1, 2, ..."""
        del t, h
        first = jnp.arange(self.order) == 0
        factors = (jnp.where(first, 1, 2).astype(psi.dtype), jnp.where(first, 0, 1).astype(psi.dtype))

        def step(carry: tuple[Vector, Vector], factor: tuple[Array, Array]) -> tuple[tuple[Vector, Vector], Vector]:
            old, now = carry
            new = factor[0] * self.scaled.apply(now, sector) - factor[1] * old
            return (now, new), new

        return jax.lax.scan(step, (psi, psi), factors)[1]

    def weights(self, s: Lanes, h: Lanes) -> Complex[Array, "terms lanes"]:
        """w_k(s) for k = 0, 1, ..."""
        del h
        k = np.arange(self.order + 1)
        phases = np.where(k == 0, 1, 2) * np.array([1, -1j, -1, 1j])[k % 4]
        bessel = bessel_j(self.order, self.radius * s)
        return phases[:, None] * bessel * jnp.exp(-self.loss / 2 * s)


class Taylor(eqx.Module):
    """Propagation by a generator that depends on time, between `stops`, by steps of at most `lengths` after each."""

    effective: Sum
    stops: Float[Array, " stops"]
    lengths: Float[Array, " stops"]
    order: int = eqx.field(static=True)

    def limit(self, t: Lanes) -> Lanes:
        """The longest step from t on: no step passes a stop."""
        place = jnp.clip(jnp.searchsorted(self.stops, t, side="right") - 1, 0, len(self.stops) - 1)
        after = jnp.append(self.stops, jnp.inf)[place + 1]
        return jnp.minimum(self.lengths[place], after - t)

    def basis(self, psi: Vector, sector: Lanes, t: Lanes, h: Lanes) -> Float[Array, "terms 2 D lanes"]:
        """Coefficients u_1, u_2, ... of (s/h)^k."""
        matrix, nodes = interpolation()
        at = t[None] + nodes[:, None] * h[None]
        moving = [
            None if f is None else jnp.einsum("qn,nl->ql", matrix, at_times(f, at)) for f in self.effective.functions
        ]
        series = jnp.zeros((self.order + NODES, *psi.shape), psi.dtype).at[NODES - 1].set(psi)

        def step(k: Array, series: Array) -> Array:
            recent = jax.lax.dynamic_slice_in_dim(series, k, NODES)  # u_{k-7} ... u_k
            total = jnp.zeros_like(psi)
            for part, values in zip(self.effective.parts, moving, strict=True):
                mixed = recent[-1] if values is None else _mix(values[::-1], recent)
                total = total + part.apply(mixed, sector)
            new = times(-1j * h / (k + 1), total)
            return jax.lax.dynamic_update_index_in_dim(series, new, k + NODES, 0)

        return jax.lax.fori_loop(0, self.order, step, series)[NODES:]

    def weights(self, s: Lanes, h: Lanes) -> Complex[Array, "terms lanes"]:
        """(s/h)^k for k = 0, 1, ..."""
        share = jnp.where(h > 0, s / jnp.where(h > 0, h, 1), 0)
        return (share[None] ** jnp.arange(self.order + 1)[:, None]).astype(complex)


Propagation: TypeAlias = Chebyshev | Taylor


def combine(psi: Vector, basis: Float[Array, "terms 2 D lanes"], weights: Complex[Array, "more lanes"]) -> Vector:
    """sum_k w_k u_k with u_0 = psi."""

    def add(total: Vector, pair: tuple[Array, Array]) -> tuple[Vector, None]:
        vector, weight = pair
        return total + times(weight, vector), None

    return jax.lax.scan(add, times(weights[0], psi), (basis, weights[1:]), unroll=4)[0]


def bessel_j(order: int, x: Float[Array, " lanes"]) -> Float[Array, "terms lanes"]:
    """J_0(x) ... J_order(x) by the trapezoidal rule for their integral over one period: exact up to J_(points - k)."""
    points = 2 * order + 24
    angle = 2 * np.pi * np.arange(points) / points
    k = np.arange(order + 1)[:, None]
    waves = jnp.exp(1j * x[None] * np.sin(angle)[:, None])
    return ((np.exp(-1j * k * angle) / points) @ waves).real


def chebyshev_order(reach: float, width: float, tolerance: float) -> int:
    """Terms that exp(-i X reach) needs where X has eigenvalues in [-1, 1] x [-width, width] i.

    ||T_k|| <= 2 rho^k on the ellipse through the corners; rho is the sum of its half axes.
    """
    corner = (abs(1j * width) + abs(2 + 1j * width)) / 2
    rho = corner + np.sqrt(max(corner**2 - 1, 0.0))
    k = np.arange(400)
    rest = np.cumsum((2 * np.abs(scipy.special.jv(k, reach)) * rho**k)[::-1])[::-1]
    return max(int(np.argmax(rest <= tolerance)), 2)


def taylor_order(reach: float, tolerance: float) -> int:
    """Terms of the series of exp(reach) up to a tolerance."""
    term, order = reach, 1
    while term > tolerance:
        order += 1
        term *= reach / order
    return max(order, NODES)


def interpolation() -> tuple[np.ndarray, np.ndarray]:
    """The matrix from values at nodes within (0, 1) to coefficients of a polynomial, and the nodes.

    The nodes lie inside, so that a step that ends at an edge of a pulse does not see what comes after.
    """
    nodes = (1 + np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2
    return np.linalg.inv(np.vander(nodes, increasing=True)), nodes


def _mix(values: Complex[Array, "nodes lanes"], recent: Float[Array, "nodes 2 D lanes"]) -> Vector:
    """sum_q f_q u_{k-q}."""
    total: Any = jnp.zeros_like(recent[0])
    for value, vector in zip(values, recent, strict=True):
        total = total + times(value, vector)
    return total
