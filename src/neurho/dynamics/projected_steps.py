"""Time evolution by implicit projected steps: Crank-Nicolson in the space of networks.

A step looks for the network closest to the Crank-Nicolson image of the state before it (see
[`neurho.matrix_elements.projection`][]) by Gauss-Newton corrections, each from fresh samples. Its length follows from
the angle phi = ||dt L rho||/||rho|| by which the state turns: in directions where L has eigenvalue lambda
Crank-Nicolson errs by |dt lambda|^3/12, of which phi^3/12 is the scale. The misfit that remains says what the network
cannot follow.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._types import NumericalError, require
from neurho.dynamics.march import march, span
from neurho.dynamics.snapshots import depolarised_part, take
from neurho.matrix_elements.estimation.defect import Defects
from neurho.matrix_elements.estimation.observables import Observables
from neurho.matrix_elements.networks import AbstractAnsatz, parameters
from neurho.matrix_elements.networks.module import names_module
from neurho.matrix_elements.projection import Implicit, Probe
from neurho.matrix_elements.sampling import Automatic, Tuning, named_tuning, retuned, start_chains, tuning_of
from neurho.observables import Snapshot

FAILED = 0.1
"""Share of ||dt L rho|| that may be left unprojected before a step is tried again with half its length."""
TOO_LONG = 2.0
"""How far the truncation error of a step may be above the tolerance before it is tried again."""
GOOD = 3e-3
"""Share of ||dt L rho|| below which a projection is good enough."""
GROWTH = 1.5
"""Largest factor by which dt grows from one step to the next."""
WORTH = 0.9
"""Iterations go on while each takes the misfit below this share of the one before."""


LOSSES = 1000
"""Number of the key, besides those of attempts, by which the losses of a step are sampled."""


class Projected(NamedTuple):
    """How to evolve.

    - `implicit`: the Crank-Nicolson problem (weight 1/2); `observables`: what to measure.
    - `tolerance`: largest phi^3/12 of a step, the scale of its truncation error relative to the norm of rho.
    - `dt_max`, `dt_min`: bounds of dt. At dt_min a step is accepted even if the network cannot follow; below
      `dt_smallest` the run ends. Runs shorter than 1 take both as shares of their length, whatever their units.
    - `damping`: of the corrections, relative to the mean diagonal entry of the normal matrix.
    - `iterations`: corrections per step at most.
    - `automatic`: whether exponent and blur of the samples are chosen from step to step.
    """

    implicit: Implicit
    observables: Observables
    tolerance: float = 3e-4
    dt_max: float = float("inf")
    dt_min: float = 1e-5
    dt_smallest: float = 1e-9
    damping: float = 1e-6
    iterations: int = 12
    automatic: Automatic = Automatic()
    defects: Defects | None = None


class ProjectedState(NamedTuple):
    """All that an evolution needs to go on: the state, chains, and where it is.

    `error` sums that of the prepared state, the misfits and the truncation errors of all steps: an estimate of the
    relative error of rho in the Hilbert-Schmidt norm (errors do not grow under a Lindbladian that contracts;
    oscillations keep them). Where samples that the step has not seen ([`neurho.matrix_elements.estimation.defect`][])
    say more, that counts; `local` adds up the defects of one- and two-site reduced density matrices.
    """

    ansatz: AbstractAnsatz
    chains: Int[Array, "chains sites"]
    diagonal_chains: Int[Array, "chains sites"]
    step: int
    t: float
    dt: float
    error: float
    misfit: float
    tuning: Tuning
    local: float = 0.0


class Trial(NamedTuple):
    """A tried step: the new state with its samples, the angle phi, the misfit (two standard errors above the smallest
    that was measured, which chance made small), and the share of the smallest in phi.
    """

    ansatz: AbstractAnsatz
    probe: Probe
    angle: float
    misfit: float
    share: float

    @property
    def truncation(self) -> float:
        """phi^3/12, the scale of the truncation error."""
        return self.angle**3 / 12


def begin_projected(
    evolution: Projected, ansatz: AbstractAnsatz, seed: int, dt: float, t0: float = 0.0
) -> ProjectedState:
    """The state before the first step, with chains after their warm-up."""
    require(dt > 0, "dt", "be > 0", f"it is {dt}")
    tuning = tuning_of(evolution.implicit.sampler)
    implicit = _implicit(evolution, tuning)

    def meanwhile() -> None:
        evolution.observables.rehearse(ansatz)
        middle, length, damping = (jnp.asarray(a, dtype=float) for a in (t0 + dt / 2, dt, evolution.damping))
        implicit.rehearse(middle, length, damping, ansatz)

    chains, diagonal_chains = start_chains(seed, implicit.sampler, evolution.observables.sampler, ansatz, meanwhile)
    return ProjectedState(
        ansatz=ansatz,
        chains=chains,
        diagonal_chains=diagonal_chains,
        step=0,
        t=float(t0),
        dt=float(dt),
        error=0.0,
        misfit=0.0,
        tuning=tuning,
    )


@names_module
def follow_projected(
    evolution: Projected,
    state: ProjectedState,
    times: Sequence[float] | np.ndarray,
    *,
    seed: int,
    first: bool = True,
    max_steps: int | None = None,
    watch: Callable[[ProjectedState], None] | None = None,
) -> Iterator[Snapshot]:
    """Move `state` through `times` and yield a snapshot at each; arguments as [`neurho.dynamics.flow.follow`][].

    **Raises** `NumericalError` when parameters or measured numbers become NaN, or dt would fall below `dt_smallest`.
    """
    root = jax.random.key(seed)
    begin, end = span(state, times)
    unit = min(1.0, float(end - begin)) or 1.0
    evolution = evolution._replace(dt_min=evolution.dt_min * unit, dt_smallest=evolution.dt_smallest * unit)
    yield from march(
        state,
        times,
        advance=lambda state, stop: _advance(evolution, state, stop, root),
        measure=lambda state, target: _snapshot(evolution, state._replace(t=target), root),
        plan=evolution.implicit.generator.schedule(begin, end),
        first=first,
        max_steps=max_steps,
        watch=watch,
        reached=_reached,
    )


def _advance(evolution: Projected, state: ProjectedState, t_stop: float, root: PRNGKeyArray) -> ProjectedState:
    """One accepted step that does not pass `t_stop`.

    Where half the length leaves the same share over, the network is the limit and not the length, which then stays.
    """
    length = _fitted(min(state.dt, evolution.dt_max), state.t, t_stop)
    key = jax.random.fold_in(jax.random.fold_in(root, 1), state.step)
    longer: tuple[Trial, float] | None = None
    for attempt in range(50):
        trial = _try(evolution, state, length, jax.random.fold_in(key, attempt))
        if np.isfinite(trial.misfit) and trial.truncation <= TOO_LONG * evolution.tolerance:
            if trial.share <= FAILED or length <= evolution.dt_min:
                return _accept(evolution, state, trial, length, key)
            if longer is not None and trial.share > 0.7 * longer[0].share:
                return _accept(evolution, state, *longer, key)
            longer = (trial, length)
        length = length / 2
        if length < evolution.dt_smallest:
            break
    raise NumericalError(
        f"The step size fell below {evolution.dt_smallest:.1e} at t = {state.t:.6g}: the network cannot follow, or its "
        "numbers became NaN; take a larger tolerance, a larger damping, or more samples."
    )


def _reached(t: float, target: float) -> bool:
    """Whether `t` is the target, up to the rounding of sums of steps."""
    return t >= target * (1 - 1e-12)


def _fitted(dt: float, t: float, t_stop: float) -> float:
    """The length of a step that does not pass `t_stop`; a sliver left before it is joined to this step."""
    return t_stop - t if t + dt * (1 + 1e-6) >= t_stop else dt


def _implicit(evolution: Projected, tuning: Tuning) -> Implicit:
    return evolution.implicit.tuned(tuning) if any(evolution.automatic) else evolution.implicit


def _accept(
    evolution: Projected, state: ProjectedState, trial: Trial, length: float, key: PRNGKeyArray
) -> ProjectedState:
    truncation = trial.truncation
    local, whole, diagonal_chains = 0.0, 0.0, state.diagonal_chains
    if evolution.defects is not None:
        middle, dt = jnp.asarray(state.t + length / 2, dtype=float), jnp.asarray(length, dtype=float)
        chains = (trial.probe.chains, diagonal_chains)
        found = evolution.defects.of_step(
            jax.random.fold_in(key, LOSSES), middle, dt, state.ansatz, trial.ansatz, chains
        )
        local, whole, diagonal_chains = found
    proposed = length * min((evolution.tolerance / max(truncation, 1e-300)) ** (1 / 3), GROWTH)
    # A step cut short by an output time says nothing against the dt it was cut from.
    cut = length < state.dt and trial.share <= FAILED
    return state._replace(
        ansatz=trial.ansatz,
        chains=trial.probe.chains,
        step=state.step + 1,
        t=state.t + length,
        dt=min(max(state.dt, proposed) if cut else proposed, evolution.dt_max),
        diagonal_chains=diagonal_chains,
        error=state.error + float(np.nanmax([trial.misfit, whole])) + truncation,
        local=state.local + local + truncation,
        misfit=trial.share,
        tuning=retuned(state.tuning, evolution.automatic, trial.probe.worth),
    )


def _try(evolution: Projected, state: ProjectedState, dt: float, key: PRNGKeyArray) -> Trial:
    """Gauss-Newton corrections with Levenberg-Marquardt damping, while they are worth it; the best state met."""
    implicit, origin = _implicit(evolution, state.tuning), state.ansatz
    middle, length = jnp.asarray(state.t + dt / 2, dtype=float), jnp.asarray(dt, dtype=float)
    probe = implicit.probe(jax.random.fold_in(key, 0), middle, length, origin, origin, state.chains)
    best, damping = (origin, probe), evolution.damping
    start = smallest = float(probe.misfit.mean)
    for iteration in range(evolution.iterations):
        ansatz, probe = best
        correction = implicit.correct(middle, length, jnp.asarray(damping, dtype=float), ansatz, origin, probe)
        vector, restore = parameters(ansatz)
        ansatz = restore(vector + correction.delta)
        probe = implicit.probe(jax.random.fold_in(key, iteration + 1), middle, length, ansatz, origin, probe.chains)
        misfit = float(probe.misfit.mean)
        if not misfit < smallest:
            damping *= 30
            continue
        worth, smallest, best = misfit < WORTH * smallest, misfit, (ansatz, probe)
        damping = max(damping / 10, evolution.damping)
        if not worth or smallest < GOOD**2 * start:
            break
    angle = start**0.5 * (1 + dt / 2)
    left = smallest**0.5 * (1 + dt / 2)
    misfit = (smallest + 2 * float(best[1].misfit.error)) ** 0.5 * (1 + dt / 2)
    return Trial(ansatz=best[0], probe=best[1], angle=angle, misfit=misfit, share=left / angle if angle > 0 else 0.0)


def _snapshot(evolution: Projected, state: ProjectedState, root: PRNGKeyArray) -> Snapshot:
    key = jax.random.fold_in(jax.random.fold_in(root, 2), state.step)
    measured, diagonal_chains = evolution.observables(jax.random.fold_in(key, 0), state.ansatz, state.diagonal_chains)
    t, dt = jnp.asarray(state.t, dtype=float), jnp.asarray(state.dt, dtype=float)
    probe = _implicit(evolution, state.tuning).probe(
        jax.random.fold_in(key, 1), t, dt, state.ansatz, state.ansatz, state.chains
    )
    return take(
        evolution.observables,
        measured,
        probe.certificate,
        state._replace(diagonal_chains=diagonal_chains),
        {"dt": state.dt, "residual": state.misfit**2, "error_estimate": state.error}
        | ({} if evolution.defects is None else {"error_local": state.local})
        | depolarised_part(evolution.implicit.norm, probe.motion)
        | named_tuning(state.tuning, evolution.automatic),
        exact=evolution.implicit.sampler.exact,
    )
