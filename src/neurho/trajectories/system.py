"""A Lindbladian as Monte-Carlo wave functions need it: H_eff = H - i/2 sum_j gamma_j c_j^+ c_j, and the jumps."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from neurho._types import Coefficient, require
from neurho.model.operators import Lindbladian, Operator, evaluate, rate_at, total
from neurho.trajectories.moves import Moves, Vector, moves_of, square, total_of, zeros_like
from neurho.trajectories.propagation import (
    NODES,
    Chebyshev,
    Propagation,
    Taylor,
    chebyshev_order,
    interpolation,
    taylor_order,
)
from neurho.trajectories.space import Space, parity_change
from neurho.trajectories.sums import Sum, at_times, by_coefficient, norm_bound, sum_of

MOST_SITES = 20
"""Spins that a run may have; of other dimensions as many as have no more configurations."""

BASIS_BYTES = 4e8
"""What the vectors of one step of one group may take together: two groups at a time stay below 2 GB. It does not ask
what the machine has, for a run must resume on another one."""

LARGEST_REACH = 30.0
"""Largest R h of one step of Chebyshev polynomials."""

OVERHEAD = 4
"""What looking for a jump costs in a step, in applications of H_eff."""

TAYLOR_REACH = 3.0
"""Largest ||H_eff|| h of one step of a Taylor series."""

LANCZOS = 40

SMALL = 2**12
"""Numbers in all vectors together below which the calls cost more than the work."""


class Channel(eqx.Module):
    """A jump c at a rate; `loss` is c^+ c where it does not depend on time; `change` says if c flips parity."""

    jump: Sum
    loss: Moves | None
    rate: float | Coefficient = eqx.field(static=True)
    change: int = eqx.field(static=True)

    def weight(self, psi: Vector, sector: Array, t: Array) -> Float[Array, " lanes"]:
        """The rate at which it happens, gamma <psi|c^+ c|psi>."""
        if self.loss is not None:
            return evaluate(self.rate, 0.0) * self.loss.expect(psi, sector)
        rate = at_times(self.rate, t).real.astype(psi[0].dtype) if callable(self.rate) else self.rate
        return rate * square(self.apply(psi, sector, t))

    def apply(self, psi: Vector, sector: Array, t: Array) -> Vector:
        """The vector c psi."""
        return self.jump.apply(psi, -sector if self.change else sector, t)


class System(eqx.Module):
    """What moves a wave function: the propagation between jumps, Gamma = sum_j gamma_j c_j^+ c_j, and the jumps."""

    propagation: Propagation
    loss: Sum
    channels: tuple[Channel, ...]
    space: Space = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)

    @property
    def terms(self) -> int:
        """Applications of H_eff in one step."""
        return self.propagation.order


class Accuracy(NamedTuple):
    """The real type of vectors, and the error that is allowed of one step, relative to the norm.

    ```python
    import numpy as np
    import neurho

    accuracy = neurho.trajectories.Accuracy(dtype=np.float64, tolerance=1e-8)
    assert accuracy.tolerance > neurho.trajectories.DOUBLE.tolerance
    ```
    """

    dtype: DTypeLike
    tolerance: float


DOUBLE = Accuracy(dtype=np.float64, tolerance=1e-10)
SINGLE = Accuracy(dtype=np.float32, tolerance=1e-6)


def require_model(model: Lindbladian) -> None:
    """Refuse what trajectories cannot do.

    **Raises** `NeurhoError` for more configurations than 20 spins have, and where nothing jumps.
    """
    most = int(np.log(2.0**MOST_SITES + 0.5) / np.log(model.local_dim))
    require(
        model.sites <= most,
        "model",
        f"have at most {most} sites of {model.local_dim} levels for quantum trajectories",
        f"it has {model.sites}; take matrix products for a chain, or a network",
    )
    able = [j for j in model.jumps if j.operator.terms and (callable(j.rate) or j.rate > 0)]
    require(able, "model", "have a jump operator with a positive rate", "without one a state stays pure; take exact")


def require_rates(model: Lindbladian, t0: float, t1: float) -> None:
    """Refuse values of a model that make no sense between two times, and rates that all vanish there."""
    grid = np.unique([*np.linspace(t0, t1, 1000), *model.stops(t0, t1)])
    for t in map(float, grid if model.is_time_dependent else grid[:1]):
        model.require_values(t)
    able = [(j.rate, n) for n, j in enumerate(model.jumps) if j.operator.terms]
    largest = max(
        rate_at(r, float(t), f"jumps[{n}].rate") for r, n in able for t in (grid if callable(r) else grid[:1])
    )
    require(largest > 0, "model", "have a rate that is positive at some time", f"all vanish from {t0:g} to {t1:g}")


def loss_of(model: Lindbladian) -> Operator:
    """Gamma = sum_j gamma_j c_j^+ c_j; its coefficients are rates where these depend on time."""
    parts = [(j.operator.adjoint() @ j.operator) * j.rate for j in model.jumps if j.operator.terms]
    return total(parts).merged()


def lanes_of(space: Space, accuracy: Accuracy) -> int:
    """Trajectories side by side: a vector register, more where vectors are short, one where memory is (two or three
    would take longer than one after the other).
    """
    register = 32 // np.dtype(accuracy.dtype).itemsize
    most = min(max(register, SMALL // space.dimension), 128)
    size = 2 * np.dtype(accuracy.dtype).itemsize * space.dimension
    return int(most) if most * size * 24 <= BASIS_BYTES else 1


def make_system(
    model: Lindbladian, space: Space, accuracy: Accuracy, *, spacing: float, t0: float = 0.0, t1: float = np.inf
) -> System:
    """Compile a Lindbladian for steps of at most `spacing`, between t0 and t1 where it depends on time."""
    dtype, tolerance = accuracy
    loss = loss_of(model)
    channels = []
    for jump in model.jumps:
        if not jump.operator.terms or (not callable(jump.rate) and jump.rate == 0):
            continue
        change = (parity_change(jump.operator) or 0) if space.halved else 0
        fixed = not callable(jump.rate) and not any(t.coefficient for t in jump.operator.terms)
        square_ = moves_of(jump.operator.adjoint() @ jump.operator, space, dtype) if fixed else None
        jump_sum = sum_of(jump.operator, space, dtype, change=change)
        channels.append(Channel(jump=jump_sum, loss=square_, rate=jump.rate, change=change))
    if model.is_time_dependent:
        propagation: Propagation = _taylor(model, loss, space, accuracy, (t0, t1, spacing))
    else:
        propagation = _chebyshev(model, loss, space, accuracy, spacing)
    return System(
        propagation=propagation,
        loss=sum_of(loss, space, dtype),
        channels=tuple(channels),
        space=space,
        tolerance=tolerance,
    )


def _chebyshev(model: Lindbladian, loss: Operator, space: Space, accuracy: Accuracy, spacing: float) -> Chebyshev:
    low, high = _energies(model.hamiltonian, space)
    least, most, mean = losses(loss, space)
    radius = max(1.01 * (high - low) / 2, (most - least) / 4, 1e-3 * most, 1e-9)
    width = (most - least) / 4 / radius
    room = BASIS_BYTES / (2 * np.dtype(accuracy.dtype).itemsize * space.dimension * lanes_of(space, accuracy))
    reach, order = _best_reach(radius, width, mean / 2, spacing, accuracy.tolerance, max(room, 8))
    centre = (high + low) / 2 - 0.25j * (most + least)
    shifted = (model.hamiltonian - 0.5j * loss - centre) / radius
    return Chebyshev(
        scaled=moves_of(shifted.merged(), space, accuracy.dtype),
        radius=radius,
        loss=(most + least) / 2,
        order=order,
        longest=reach / radius,
    )


def _best_reach(
    radius: float, width: float, rate: float, spacing: float, tolerance: float, room: float
) -> tuple[float, int]:
    """R h, and terms, for least work: terms over the mean time to the next jump or the end of the step h.

    Jumps are taken to come at half the rate of the infinite-temperature state. Steps divide `spacing`.
    """
    parts, found = int(np.ceil(radius * spacing / LARGEST_REACH)) or 1, []
    while not found or radius * spacing / parts > 1:
        h = spacing / parts
        order = chebyshev_order(radius * h, width, tolerance)
        progress = -np.expm1(-rate * h) / rate if rate > 0 else h
        found.append((order > room, (order + OVERHEAD) / progress, radius * h, order))
        parts = max(parts + 1, int(1.1 * parts))
    return min(found)[2:]


def _energies(hamiltonian: Operator, space: Space) -> tuple[float, float]:
    """Bounds of the spectrum of H: from single terms, or closer ones by Lanczos vectors with their residuals."""
    terms = [np.linalg.eigvalsh(term.matrix)[[0, -1]] for term in hamiltonian.merged().terms]
    low, high = np.sum(terms, axis=0) if terms else (0.0, 0.0)
    if space.dimension <= 8 * LANCZOS or high - low < 1e-12:
        return float(low), float(high)
    moves, edges = moves_of(hamiltonian, space, np.float64), []
    for sector in (1.0, -1.0) if space.halved else (1.0,):
        alpha, beta = (np.asarray(part)[:, 0] for part in _lanczos(moves, space.dimension, jnp.asarray([sector])))
        ends = np.append(beta[:-1] < 1e-9 * (high - low), [True])  # an invariant space, or the last step
        steps = 1 + int(np.argmax(ends))
        values, vectors = scipy.linalg.eigh_tridiagonal(alpha[:steps], beta[: steps - 1])
        rest = beta[steps - 1]
        edges.append((values[0] - rest * abs(vectors[-1, 0]), values[-1] + rest * abs(vectors[-1, -1])))
    least, most = min(e[0] for e in edges), max(e[1] for e in edges)
    margin = 0.02 * (most - least)
    return max(float(low), float(least - margin)), min(float(high), float(most + margin))


@partial(jax.jit, static_argnums=1)
def _lanczos(moves: Moves, size: int, sector: Float[Array, " 1"]) -> tuple[Array, Array]:
    """Lanczos coefficients alpha and beta from a random vector, `(steps, 1)`."""
    start = jax.random.normal(jax.random.key(0), (2, size, 1))

    def step(carry: tuple[Vector, Vector, Array], _: None) -> tuple[tuple[Vector, Vector, Array], tuple[Array, Array]]:
        old, now, beta = carry
        found = moves.apply(now, sector)
        alpha = total_of(now[0] * found[0] + now[1] * found[1])
        new = tuple(x - beta * y - alpha * z for x, y, z in zip(found, old, now, strict=True))
        beta = jnp.sqrt(square(new))  # pyright: ignore[reportArgumentType]
        divided = tuple(x / jnp.where(beta > 0, beta, 1) for x in new)
        return (now, divided, beta), (alpha, beta)  # pyright: ignore[reportReturnType]

    length = jnp.sqrt(square((start[0], start[1])))
    first = (start[0] / length, start[1] / length)
    begin = (zeros_like(first), first, jnp.zeros(1))
    return jax.lax.scan(step, begin, length=LANCZOS)[1]


def losses(loss: Operator, space: Space) -> tuple[float, float, float]:
    """Least and largest eigenvalue of Gamma, or bounds, and its mean over all configurations."""
    terms = loss.merged().terms
    mean = float(sum(np.trace(t.matrix).real / len(t.matrix) for t in terms))
    if all(np.count_nonzero(t.matrix - np.diag(np.diag(t.matrix))) == 0 for t in terms):
        values = [np.asarray(m.even[0]) for m in moves_of(loss, Space(space.sites, space.local_dim), np.float64).moves]
        return (float(values[0].min()), float(values[0].max()), mean) if values else (0.0, 0.0, mean)
    return 0.0, float(sum(np.linalg.eigvalsh(t.matrix)[-1] for t in terms)), mean


def _taylor(
    model: Lindbladian, loss: Operator, space: Space, accuracy: Accuracy, span: tuple[float, float, float]
) -> Taylor:
    """Steps between marks as short as the norm of H_eff and the interpolation of its coefficients ask for."""
    effective = model.hamiltonian - 0.5j * loss
    groups = by_coefficient(effective)
    t0, t1, spacing = span
    norms = {f: norm_bound([operator]) for f, operator in groups.items()}
    stops = [t0, *model.stops(t0, t1)]
    lengths = [
        _length({f: n for f, n in norms.items() if n > 0}, a, b, spacing, accuracy.tolerance)
        for a, b in zip(stops, [*stops[1:], t1], strict=True)
    ]
    made = sum_of(effective, space, accuracy.dtype)
    order = taylor_order(TAYLOR_REACH, accuracy.tolerance) + NODES // 2
    return Taylor(
        effective=made,
        stops=jnp.asarray(stops, dtype=float),
        lengths=jnp.asarray(lengths, dtype=float),
        order=order,
    )


def _length(
    norms: dict[Coefficient | None, float], a: float, b: float, spacing: float, tolerance: float, checks: int = 33
) -> float:
    """The longest step on [a, b] with ||H_eff|| h <= 3 and coefficients that are polynomials to the tolerance."""
    matrix, nodes = interpolation()
    inside = (np.arange(checks) + 0.5) / checks
    grid = a + (b - a) * inside
    norm = sum(n * max(abs(complex(evaluate(f, float(t)))) for t in grid) for f, n in norms.items())
    h = min(spacing, b - a, TAYLOR_REACH / max(norm, 1e-300))
    for _ in range(30):
        wrong = 0.0
        for begin in np.linspace(a, b - h, min(9, 1 + int((b - a) / h))):
            for f, n in norms.items():
                if f is not None:
                    values = np.array([complex(f(float(begin + h * x))) for x in nodes])
                    true = np.array([complex(f(float(begin + h * x))) for x in inside])
                    model = np.vander(inside, NODES, increasing=True) @ (matrix @ values)
                    wrong = max(wrong, n * h * float(np.max(np.abs(model - true))))
        if wrong <= 10 * tolerance:
            break
        h /= 2
    return h
