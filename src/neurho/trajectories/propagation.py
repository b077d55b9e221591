"""exp(-i H_eff s) psi for all s in a step: a few vectors u_k and functions w_k(s) with psi(s) = sum_k w_k(s) u_k.

Once the vectors are known, psi at any time within the step costs one sum, which is what finding a jump needs.

- Constant generators: Chebyshev polynomials of X = (H_eff - c)/R,
      exp(-i H_eff s) = exp(-i c s) sum_k (2 - delta_k0) (-i)^k J_k(R s) T_k(X),
  Tal-Ezer & Kosloff, J. Chem. Phys. 81, 3967 (1984). c is the middle of the spectrum, R its half width.
- Coefficients that depend on time: the Taylor series of psi itself. Over a step f(t + sigma h) is a polynomial in
  sigma through its values at Chebyshev nodes, f = sum_q f_q sigma^q, and
      (k + 1) u_{k+1} = -i h sum_q sum_n f_{n,q} X_n u_{k-q},    w_k = sigma^k.
"""

from collections.abc import Sequence
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Complex, Float

from neurho.trajectories.moves import Moves, Vector, add, zeros_like
from neurho.trajectories.sums import Sum, at_times, times

NODES = 8
"""Values of a coefficient by which it is interpolated over a step."""

Lanes: TypeAlias = Float[Array, " lanes"]
Basis: TypeAlias = tuple[Float[Array, "terms D lanes"], Float[Array, "terms D lanes"]]


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

    def basis(self, psi: Vector, sector: Lanes, t: Lanes, h: Lanes) -> Basis:
        """T_k(X) psi for k = 1, 2, ..."""
        del t, h
        first = jnp.arange(self.order) == 0
        dtype = psi[0].dtype
        factors = (jnp.where(first, 1, 2).astype(dtype), jnp.where(first, 0, 1).astype(dtype))

        def step(carry: tuple[Vector, Vector], factor: tuple[Array, Array]) -> tuple[tuple[Vector, Vector], Vector]:
            old, now = carry
            found = self.scaled.apply(now, sector)
            new = tuple(factor[0] * x - factor[1] * y for x, y in zip(found, old, strict=True))
            return (now, new), new  # pyright: ignore[reportReturnType]

        return jax.lax.scan(step, (psi, psi), factors)[1]

    def at(self, psi: Vector, basis: Basis, s: Lanes, h: Lanes) -> Vector:
        """psi(s)."""
        del h
        k = np.arange(self.order + 1)
        # (-i)^k is real or imaginary: the sign goes with the weight, the imaginary unit into the sum
        factors = np.where(k == 0, 1, 2) * np.array([1, -1, -1, 1])[k % 4]
        weights = jnp.asarray(factors[:, None]) * bessel_j(self.order, self.radius * s) * jnp.exp(-self.loss / 2 * s)
        return combine(psi, basis, weights, quarter=True)


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

    def basis(self, psi: Vector, sector: Lanes, t: Lanes, h: Lanes) -> Basis:
        """Coefficients u_1, u_2, ... of (s/h)^k."""
        matrix, nodes = interpolation()
        at = t[None] + nodes[:, None] * h[None]
        moving = [
            None if f is None else jnp.einsum("qn,nl->ql", matrix, at_times(f, at)) for f in self.effective.functions
        ]
        begin = [jnp.zeros((self.order + NODES, *part.shape), part.dtype).at[NODES - 1].set(part) for part in psi]

        def step(k: Array, series: Basis) -> Basis:
            recent = [jax.lax.dynamic_slice_in_dim(part, k, NODES) for part in series]  # u_{k-7} ... u_k
            total = zeros_like(psi)
            for part, values in zip(self.effective.parts, moving, strict=True):
                mixed = (recent[0][-1], recent[1][-1]) if values is None else _mix(values[::-1], recent)
                total = add(total, part.apply(mixed, sector))
            new = times(-1j * h / (k + 1), total)
            put = [jax.lax.dynamic_update_index_in_dim(a, b, k + NODES, 0) for a, b in zip(series, new, strict=True)]
            return put[0], put[1]

        series = jax.lax.fori_loop(0, self.order, step, (begin[0], begin[1]))
        return series[0][NODES:], series[1][NODES:]

    def at(self, psi: Vector, basis: Basis, s: Lanes, h: Lanes) -> Vector:
        """psi(s)."""
        share = jnp.where(h > 0, s / jnp.where(h > 0, h, 1), 0)
        return combine(psi, basis, share[None] ** jnp.arange(self.order + 1)[:, None], quarter=False)


Propagation: TypeAlias = Chebyshev | Taylor


def combine(psi: Vector, basis: Basis, weights: Float[Array, "more lanes"], *, quarter: bool) -> Vector:
    """sum_k w_k u_k with u_0 = psi and real w; with `quarter` those of odd k are multiplied by i.

    Written out, XLA makes one loop of it, four times faster than a scan.
    """
    w = weights.astype(psi[0].dtype)
    real, imag = w[0] * psi[0], w[0] * psi[1]
    for k in range(1, len(w)):
        a, b = basis[0][k - 1], basis[1][k - 1]
        real, imag = (real - w[k] * b, imag + w[k] * a) if quarter and k % 2 else (real + w[k] * a, imag + w[k] * b)
    return real, imag


def bessel_j(order: int, x: Float[Array, " lanes"]) -> Float[Array, "terms lanes"]:
    """J_0(x) ... J_order(x) by the trapezoidal rule for their integral over one period: exact up to J_(points - k)."""
    points = 2 * order + 24
    angle = 2 * np.pi * np.arange(points) / points
    k = np.arange(order + 1)[:, None]
    waves = jnp.exp(1j * x[None] * np.sin(angle)[:, None])
    return jnp.real(jnp.asarray(np.exp(-1j * k * angle) / points) @ waves)


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


def _mix(values: Complex[Array, "nodes lanes"], recent: Sequence[Float[Array, "nodes D lanes"]]) -> Vector:
    """sum_q f_q u_{k-q}."""
    total = zeros_like((recent[0][0], recent[1][0]))
    for number, value in enumerate(values):
        total = add(total, times(value, (recent[0][number], recent[1][number])))
    return total
