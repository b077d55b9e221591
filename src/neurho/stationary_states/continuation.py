"""Stationary states by implicit continuation: backward Euler steps of growing length (pseudo-transient continuation).

Every step is one Gauss-Newton correction (see [`neurho.matrix_elements.projection`][]). It is kept if fresh samples of
the new state say that it brought the state closer to where the step should lead; then dt grows. Otherwise the old state
stays, dt shrinks and the damping grows. Early steps follow physical time, so the search goes where the dynamics goes;
late ones are damped Gauss-Newton steps of min ||L rho||^2/||rho||^2, in the norm of the problem. The goal, delta_L, is
one of the Hilbert-Schmidt norm.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._types import closing_steps, require
from neurho.dynamics.snapshots import depolarised_part, take
from neurho.matrix_elements.estimation.observables import Observables
from neurho.matrix_elements.networks import AbstractAnsatz, parameters
from neurho.matrix_elements.networks.module import names_module
from neurho.matrix_elements.projection import Implicit, Probe
from neurho.matrix_elements.sampling import Automatic, Tuning, named_tuning, retuned, start_chains, tuning_of
from neurho.observables import Snapshot

FINER = 0.1
"""Factor of the damping when the last steps begin."""


class Continuation(NamedTuple):
    """A search for a stationary state.

    - `implicit`: the backward Euler problem (weight 1); `observables`: what to measure.
    - `final`, `closing`: the same with more samples, for the last steps, where noise is what keeps the state from its
      best, and over which results are averaged.
    - `growth`, `dt_max`: dt grows by this factor with every accepted step, up to dt_max.
    - `damping_min`: the smallest damping, relative to the mean diagonal entry of the normal matrix.
    - `patience`: the search stagnates when ||L rho||^2/||rho||^2, in the norm of the problem, has not fallen by a tenth
      in so many accepted steps with dt >= 1, or when as many attempts in a row were rejected.
    - `average`: when the goal is reached or the search stagnates, steps go on until they are this part of all; results
      are averages over them.
    - `automatic`: whether exponent and blur of the samples are chosen from step to step.
    """

    implicit: Implicit
    final: Implicit
    observables: Observables
    closing: Observables
    growth: float = 1.2
    dt_max: float = 1e3
    damping_min: float = 1e-6
    patience: int = 15
    average: float = 0.2
    automatic: Automatic = Automatic()


class SearchState(NamedTuple):
    """All that a search needs to go on.

    `chains` are those from which the present state is to be sampled, with the key of (step, attempt) and `tuning`.
    """

    ansatz: AbstractAnsatz
    chains: Int[Array, "chains sites"]
    diagonal_chains: Int[Array, "chains sites"]
    step: int
    attempt: int
    t: float
    dt: float
    damping: float
    best: float
    since: int
    rejected: int
    left: int
    reached: bool
    tuning: Tuning


def begin(
    search: Continuation, ansatz: AbstractAnsatz, seed: int, *, dt: float = 1e-2, damping: float = 1e-3
) -> SearchState:
    """The state before the first step, with chains after their warm-up."""
    require(dt > 0, "dt", "be > 0", f"it is {dt}")
    require(damping > 0, "damping", "be > 0", f"it is {damping}")
    tuning = tuning_of(search.implicit.sampler)
    implicit = _tuned(search, tuning)

    def meanwhile() -> None:
        search.observables.rehearse(ansatz)
        implicit.rehearse(_real(0.0), _real(dt), _real(damping), ansatz)

    chains, diagonal_chains = start_chains(seed, implicit.sampler, search.observables.sampler, ansatz, meanwhile)
    return SearchState(
        ansatz=ansatz,
        chains=chains,
        diagonal_chains=diagonal_chains,
        step=0,
        attempt=0,
        t=0.0,
        dt=float(dt),
        damping=float(damping),
        best=math.inf,
        since=0,
        rejected=0,
        left=-1,
        reached=False,
        tuning=tuning,
    )


@names_module
def search_stationary(
    search: Continuation,
    state: SearchState,
    *,
    seed: int,
    delta_l: float,
    max_steps: int = 200,
    first: bool = True,
    watch: Callable[[SearchState], None] | None = None,
) -> Iterator[Snapshot]:
    """Snapshots of the states of a search, one for every accepted step; the last has `converged` set if it succeeded.

    The time of a snapshot is the sum of all dt, a pseudo-time. A search continued from any snapshot's state gives the
    same numbers, bit for bit, as one that was never stopped.

    **Arguments**

    - `delta_l`: the goal for delta_L. Because delta_L can be small by accident, sqrt(||L rho||^2/||rho||^2) must be
      below ten times the goal, and dt at least 1.
    - `watch`: called with the state after every attempt that leads to no output.
    - `max_steps`: accepted steps before the final ones.

    **Raises** `NumericalError` when parameters or measured numbers become NaN.
    """
    require(delta_l > 0, "delta_l", "be > 0", f"it is {delta_l}")
    root = jax.random.key(seed)
    probe = _probe(search, state, root)
    if first and state.step == 0:
        yield _snapshot(search, state, probe, root)
    while state.left != 0:
        ending = state.left > 0
        state, probe, moved = _attempt(search, state, probe, root)
        state = _judge(search, state, probe, moved=moved, delta_l=delta_l, max_steps=max_steps)
        if state.left > 0 and not ending:
            probe = _probe(search, state, root)
        if moved or ending:
            snapshot = _snapshot(search, state, probe, root)
            state = snapshot.state
            yield snapshot
        elif watch is not None:  # otherwise the snapshot itself is the state to go on from
            watch(state)


def _implicit(search: Continuation, state: SearchState) -> Implicit:
    return _tuned(search, state.tuning, final=state.left > 0)


def _tuned(search: Continuation, tuning: Tuning, *, final: bool = False) -> Implicit:
    implicit = search.final if final else search.implicit
    return implicit.tuned(tuning) if any(search.automatic) else implicit


def _key(root: PRNGKeyArray, step: int, attempt: int) -> PRNGKeyArray:
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(root, 1), step), attempt)


def _real(value: float) -> Array:
    return jnp.asarray(value, dtype=float)


def _probe(search: Continuation, state: SearchState, root: PRNGKeyArray) -> Probe:
    """The present state as its own origin."""
    zero, dt, key = _real(0.0), _real(state.dt), _key(root, state.step, state.attempt)
    return _implicit(search, state).probe(key, zero, dt, state.ansatz, state.ansatz, state.chains)


def _attempt(
    search: Continuation, state: SearchState, probe: Probe, root: PRNGKeyArray
) -> tuple[SearchState, Probe, bool]:
    """Try one step. A rejected one leaves the state where it is, with fresh samples."""
    state = state._replace(tuning=retuned(state.tuning, search.automatic, probe.worth))
    implicit, (vector, restore) = _implicit(search, state), parameters(state.ansatz)
    zero, dt, damping = _real(0.0), _real(state.dt), _real(state.damping)
    correction = implicit.correct(zero, dt, damping, state.ansatz, state.ansatz, probe)
    candidate = restore(vector + correction.delta)
    trial = implicit.probe(_key(root, state.step + 1, 0), zero, dt, candidate, state.ansatz, probe.chains)
    misfit, error = float(trial.misfit.mean), float(trial.misfit.error)
    if misfit <= float(correction.misfit) + 2 * error:
        moved = state._replace(
            ansatz=candidate,
            chains=probe.chains,
            step=state.step + 1,
            attempt=0,
            t=state.t + state.dt,
            dt=min(state.dt * search.growth, search.dt_max),
            damping=max(state.damping * 0.9, search.damping_min),
            rejected=0,
        )
        return moved, trial, True
    # In the end a state that stays is measured once more: that counts as a step.
    ending = state.left > 0
    stayed = state._replace(
        chains=probe.chains,
        step=state.step + int(ending),
        attempt=0 if ending else state.attempt + 1,
        t=state.t + state.dt * ending,
        dt=state.dt / 2,
        damping=min(state.damping * 4, 1.0),
        rejected=state.rejected + 1,
    )
    return stayed, _probe(search, stayed, root), False


def _judge(
    search: Continuation, state: SearchState, probe: Probe, *, moved: bool, delta_l: float, max_steps: int
) -> SearchState:
    """Whether the goal is reached or nothing gets better any more, and how many steps are left."""
    if state.left > 0:
        return state._replace(left=state.left - 1)
    certificate = probe.certificate
    norm2, motion = float(certificate.lindblad_norm2.mean), float(probe.motion)
    settled = state.dt >= 1
    if moved:
        better = motion < 0.9 * state.best or not settled
        state = state._replace(best=min(motion, state.best), since=0 if better else state.since + 1)
    reached = settled and float(certificate.delta_l.mean) <= delta_l and math.sqrt(norm2) <= 10 * delta_l
    stagnates = state.since >= search.patience or state.rejected >= search.patience
    if reached or stagnates or state.step >= max_steps:
        final = closing_steps(search.average, state.step)
        # More samples bear less damping; where they do not, rejected steps bring it back.
        damping = max(state.damping * FINER, search.damping_min)
        return state._replace(left=final, reached=reached, damping=damping)
    return state


def _snapshot(search: Continuation, state: SearchState, probe: Probe, root: PRNGKeyArray) -> Snapshot:
    key = jax.random.fold_in(jax.random.fold_in(root, 2), state.step)
    observables = search.observables if state.left < 0 else search.closing
    measured, diagonal_chains = observables(key, state.ansatz, state.diagonal_chains)
    snapshot = take(
        observables,
        measured,
        probe.certificate,
        state._replace(diagonal_chains=diagonal_chains),
        {"dt": state.dt, "damping": state.damping, "misfit": float(probe.misfit.mean)}
        | depolarised_part(search.implicit.norm, probe.motion)
        | named_tuning(state.tuning, search.automatic),
        exact=search.implicit.sampler.exact,
    )
    return snapshot._replace(converged=state.left == 0 and state.reached)
