"""Explicit Runge-Kutta steps from tableaux, with step control in the norm of the metric. Knows no physics.

The right-hand side is any function `(key, t, y, chains) -> rates` with `rates.velocity`, `rates.chains` and
`rates.metric.length(v)`; it is compiled once and serves every method, while the loop around it is Python.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from neurho._jax.scalars import Scalar
from neurho._types import NumericalError, require
from neurho.model.timescales import within


class Tableau(NamedTuple):
    """Coefficients of an explicit Runge-Kutta method.

    `a[i]` has the `i` coefficients of stage `i`; `error` = b - b_embedded, or None for a method without an embedded
    one; `order` is that of the solution, `error_order` the power of dt with which the error estimate of one step falls.

    ```python
    import neurho

    midpoint = neurho.methods.Tableau(a=((), (0.5,)), b=(0.0, 1.0), c=(0.0, 0.5), order=2)
    assert sum(midpoint.b) == 1 and midpoint.error is None
    ```
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    error: tuple[float, ...] | None = None
    error_order: int = 0


EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), order=1)
MIDPOINT = Tableau(a=((), (0.5,)), b=(0.0, 1.0), c=(0.0, 0.5), order=2)
HEUN = Tableau(a=((), (1.0,)), b=(0.5, 0.5), c=(0.0, 1.0), order=2)
HEUN_EULER = HEUN._replace(error=(-0.5, 0.5), error_order=2)
RK4 = Tableau(
    a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), b=(1 / 6, 1 / 3, 1 / 3, 1 / 6), c=(0.0, 0.5, 0.5, 1.0), order=4
)


# Those of diffrax, whose import takes nearly as long as that of JAX; a test compares them.
BOSH3 = Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    order=3,
    error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    error_order=3,
)
_LAST = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
DOPRI5 = Tableau(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _LAST,
    ),
    b=(*_LAST, 0.0),
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    order=5,
    error=(71 / 86400, 0.0, -142 / 50085, 71 / 2880, -5751 / 169600, 44 / 1575, -1 / 60),
    error_order=5,
)


class Step(NamedTuple):
    """A tried step: the new point, the chains, the error vector (None if not known), and the rates at the start."""

    y: Float[Array, " parameters"]
    chains: PyTree
    error: Float[Array, " parameters"] | None
    rates: PyTree


Rhs = Callable[[PRNGKeyArray, Scalar, Array, PyTree], PyTree]


def runge_kutta_step(
    tableau: Tableau, rhs: Rhs, key: PRNGKeyArray, t: float, dt: float, y: Array, chains: PyTree
) -> Step:
    """One step of an explicit method.

    All stages draw with the same key from the same chains: their differences, which make the error estimate, are then
    free of most of the sampling noise (common random numbers). Times of stages lie inside the step, so that one which
    ends at the edge of a pulse sees nothing of what comes after.
    """
    stages: list[Array] = []
    first, rates = None, None
    for row, c in zip(tableau.a, tableau.c, strict=True):
        point = y + dt * _combine(row, stages) if row else y
        rates = rhs(key, within(t, dt, c), point, chains)
        first = rates if first is None else first
        stages.append(rates.velocity)
    chains = rates.chains if rates is not None else chains
    error = None if tableau.error is None else dt * _combine(tableau.error, stages)
    return Step(y=y + dt * _combine(tableau.b, stages), chains=chains, error=error, rates=first)


def doubled_step(tableau: Tableau, rhs: Rhs, key: PRNGKeyArray, t: float, dt: float, y: Array, chains: PyTree) -> Step:
    """Two half steps, with the difference to one whole step as the error: the paper's adaptive second-order scheme."""
    whole = runge_kutta_step(tableau, rhs, jax.random.fold_in(key, 0), t, dt, y, chains)
    half = runge_kutta_step(tableau, rhs, jax.random.fold_in(key, 1), t, dt / 2, y, whole.chains)
    rest = runge_kutta_step(tableau, rhs, jax.random.fold_in(key, 2), t + dt / 2, dt / 2, half.y, half.chains)
    error = (rest.y - whole.y) / (2**tableau.order - 1)
    return Step(y=rest.y, chains=rest.chains, error=error, rates=whole.rates)


def _combine(coefficients: tuple[float, ...], stages: list[Array]) -> Array:
    return sum((c * k for c, k in zip(coefficients, stages, strict=True) if c != 0), jnp.zeros_like(stages[0]))


class Method(NamedTuple):
    """A tableau, and whether errors come from step doubling instead of an embedded method.

    ```python
    import neurho

    paper = neurho.methods.Method(neurho.methods.HEUN, doubling=True)  # errors from steps of half the length
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), method=paper)
    assert flow.method is paper
    ```
    """

    tableau: Tableau
    doubling: bool = False

    @property
    def adaptive(self) -> bool:
        """Whether the method estimates its error."""
        return self.doubling or self.tableau.error is not None

    @property
    def error_order(self) -> int:
        """The power of dt with which the error estimate of one step falls."""
        return self.tableau.order + 1 if self.doubling else self.tableau.error_order

    def step(self, rhs: Rhs, key: PRNGKeyArray, t: float, dt: float, y: Array, chains: PyTree) -> Step:
        """Try one step."""
        take = doubled_step if self.doubling else runge_kutta_step
        return take(self.tableau, rhs, key, t, dt, y, chains)


class StepControl(NamedTuple):
    """Accept a step whose error, sqrt(e^T S e), is below `tolerance`, and choose the next one.

    In the Fubini-Study norm that error is an angle in radians between density matrices. `tolerance=None` keeps dt
    fixed. The next step is dt safety (tolerance/error)^(1/order), within the factors 0.2 and 3 and below `dt_max`.
    A step below `dt_min` ends the run; runs shorter than 1 take it as a share of their length, whatever their units.

    ```python
    import neurho

    control = neurho.methods.StepControl(tolerance=1e-3, dt_max=0.1)
    assert control.over(0.01).dt_min < 1e-10  # a share of a short run
    ```
    """

    tolerance: float | None = None
    dt_max: float = float("inf")
    dt_min: float = 1e-9
    safety: float = 0.9

    def over(self, duration: float) -> "StepControl":
        """The same for a run that lasts so long."""
        return self._replace(dt_min=self.dt_min * min(1.0, duration)) if duration > 0 else self

    def judge(self, method: Method, step: Step, dt: float) -> tuple[bool, float]:
        """Whether to accept, and the next dt."""
        if self.tolerance is None:
            return True, dt
        require(
            step.error is not None,
            "method",
            "estimate its error when a tolerance is given",
            "it has no embedded method",
        )
        size = float(step.rates.metric.length(step.error))
        if not np.isfinite(size):
            return False, dt * 0.2
        factor = self.safety * (self.tolerance / max(size, 1e-300)) ** (1 / method.error_order)
        return size <= self.tolerance, min(dt * min(max(factor, 0.2), 3.0), self.dt_max)


def advance(
    method: Method,
    control: StepControl,
    rhs: Rhs,
    key: PRNGKeyArray,
    t: float,
    t_stop: float,
    dt: float,
    y: Array,
    chains: PyTree,
) -> tuple[Step, float, float]:
    """One accepted step of at most `dt` that does not pass `t_stop`.

    **Returns** the step, the time it reached and the dt to try next. Attempts draw with `fold_in(key, attempt)`, so
    the result does not depend on history.

    **Raises** `NumericalError` when the step becomes NaN or dt falls below `dt_min`.
    """
    trial = dt
    for attempt in range(50):
        # A sliver left before t_stop is joined to this step rather than stepped on its own.
        last = t + trial * (1 + 1e-9) >= t_stop
        length = t_stop - t if last else trial
        step = method.step(rhs, jax.random.fold_in(key, attempt), t, length, y, chains)
        accepted, proposed = control.judge(method, step, length)
        if accepted:
            if not bool(jnp.all(jnp.isfinite(step.y))):
                raise NumericalError(
                    f"The parameters became NaN or infinite in the step from t = {t:.6g} with dt = {length:.3g}: "
                    "take a smaller dt or tolerance, a larger ridge, or more samples."
                )
            # A step cut short by t_stop says nothing against the dt it was cut from.
            fixed = control.tolerance is None or length < trial
            return step, t_stop if last else t + length, max(trial, proposed) if fixed else proposed
        trial = proposed
        if trial < control.dt_min:
            break
    raise NumericalError(
        f"The step size fell below {control.dt_min:.1e} at t = {t:.6g}: the error of a step stays above the tolerance; "
        "take a larger tolerance, a larger ridge, or more samples."
    )
