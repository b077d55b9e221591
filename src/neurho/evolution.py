"""Runs: the flow in real time, and towards a stationary state by the same flow. Plain generators of snapshots."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._types import NeurhoError, NumericalError, require
from neurho.ansatz import AbstractAnsatz, parameters
from neurho.estimators import Estimate
from neurho.integrate import Method, StepControl, advance
from neurho.observables import Observables, Snapshot
from neurho.tdvp import TDVP, Certificate, Rates

R_HAT_LIMIT = 1.1
ACCEPTANCE_LIMIT = 0.002
RESIDUAL_LIMIT = 0.5


class RunState(NamedTuple):
    """All that a run needs to go on: the parameters, both sets of chains, where it is and the dt to try next."""

    ansatz: AbstractAnsatz
    chains: Int[Array, "chains sites"]
    diagonal_chains: Int[Array, "chains sites"]
    step: int
    t: float
    dt: float
    residual: float


class Flow(NamedTuple):
    """How to move: the right-hand side, the method of integration with its control, and what to measure."""

    tdvp: TDVP
    method: Method
    control: StepControl
    observables: Observables


def require_x64() -> None:
    """Raise a sentence unless JAX computes in double precision."""
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise NeurhoError(
            "neurho computes in double precision, but JAX is set to single: run `jax.config.update('jax_enable_x64', True)` first."
        )


def start(flow: Flow, ansatz: AbstractAnsatz, seed: int, dt: float, t0: float = 0.0) -> RunState:
    """The state before the first step, with chains after their warm-up."""
    require_x64()
    key = jax.random.fold_in(jax.random.key(seed), 0)
    amplitudes = ansatz.amplitudes()
    warm = jax.jit(lambda sampler, k, a: sampler.init(k, a))
    return RunState(
        ansatz=ansatz,
        chains=warm(flow.tdvp.sampler, jax.random.fold_in(key, 0), amplitudes),
        diagonal_chains=warm(flow.observables.sampler, jax.random.fold_in(key, 1), amplitudes),
        step=0,
        t=float(t0),
        dt=float(dt),
        residual=float("nan"),
    )


def evolve(
    flow: Flow, state: RunState, times: Sequence[float], *, seed: int, first: bool = True, max_steps: int | None = None
) -> Iterator[Snapshot]:
    """Move `state` through `times` and yield a snapshot at each.

    Keys are `fold_in(seed, step, attempt, stage)`: a run continued from any snapshot's state gives the same numbers, bit for bit, as one
    that was never stopped.

    **Arguments**

    - `times`: ascending; those before `state.t` are skipped, one equal to it is measured only if `first`.
    - `max_steps`: stop with a `NumericalError` after so many steps.

    **Raises** `NumericalError` when parameters or measured numbers become NaN.
    """
    require_x64()
    root = jax.random.key(seed)
    _, restore = parameters(state.ansatz)

    def rhs(key: PRNGKeyArray, t: Any, y: Array, chains: Array) -> Rates:
        return flow.tdvp(key, jnp.asarray(t, dtype=float), restore(y), chains)

    for target in times:
        if target < state.t or (target == state.t and not first):
            continue
        while state.t < target:
            require_steps(state.step, max_steps, state.t, target)
            key = jax.random.fold_in(jax.random.fold_in(root, 1), state.step)
            y, _ = parameters(state.ansatz)
            step, t, dt = advance(flow.method, flow.control, rhs, key, state.t, target, state.dt, y, state.chains)
            state = state._replace(
                ansatz=restore(step.y), chains=step.chains, step=state.step + 1, t=t, dt=dt, residual=float(step.rates.residual)
            )
        snapshot = measure(flow, state, jax.random.fold_in(jax.random.fold_in(root, 2), state.step))
        state = snapshot.state
        yield snapshot


def require_steps(step: int, max_steps: int | None, t: float, target: float) -> None:
    """Stop a run that takes more steps than it was given."""
    if max_steps is not None and step >= max_steps:
        raise NumericalError(
            f"The run stopped at t = {t:.6g} before {target:.6g}: it has taken max_steps = {max_steps} steps; give more, or a larger "
            "dt or tolerance."
        )


def relax(
    flow: Flow, state: RunState, times: Sequence[float], *, seed: int, delta_l: float, first: bool = True, max_steps: int | None = None
) -> Iterator[Snapshot]:
    """Follow the flow until delta_L <= `delta_l` (the paper's way to a stationary state) or the last of `times`.

    The snapshot that reaches the goal has `converged = True` and is the last.
    """
    require(delta_l > 0, "delta_l", "be > 0", f"it is {delta_l}")
    for snapshot in evolve(flow, state, times, seed=seed, first=first, max_steps=max_steps):
        converged = snapshot.step > 0 and snapshot.diagnostics["delta_L"] <= delta_l
        yield snapshot._replace(converged=converged)
        if converged:
            return


def measure(flow: Flow, state: RunState, key: PRNGKeyArray) -> Snapshot:
    """All observables and the certificate of a state, from fresh samples."""
    measured, diagonal_chains = flow.observables(jax.random.fold_in(key, 0), state.ansatz, state.diagonal_chains)
    certificate = flow.tdvp.certify(jax.random.fold_in(key, 1), jnp.asarray(state.t, dtype=float), state.ansatz, state.chains)
    observables = flow.observables.named(measured, state.ansatz.sites)
    diagnostics = _diagnostics(certificate, state)
    diagnostics["acceptance_diagonal"] = float(measured.acceptance)
    diagnostics["r_hat_diagonal"] = float(measured.r_hat)
    _require_finite(observables, diagnostics, state.t)
    return Snapshot(
        step=state.step,
        t=state.t,
        observables=observables,
        diagnostics={name: value for name, value in diagnostics.items() if not np.isnan(value)},
        state=state._replace(diagonal_chains=diagonal_chains),
        message=_warning(diagnostics),
    )


def _diagnostics(certificate: Certificate, state: RunState) -> dict[str, float]:
    return {
        "delta_L": float(certificate.delta_l.mean),
        "delta_L_error": float(certificate.delta_l.error),
        "lindblad_norm2": float(certificate.lindblad_norm2.mean),
        "lindblad_norm2_error": float(certificate.lindblad_norm2.error),
        "residual": state.residual,
        "acceptance": float(certificate.acceptance),
        "r_hat": float(certificate.r_hat),
        "tau": float(certificate.tau),
        "ess": float(certificate.ess),
        "dt": state.dt,
    }


def _require_finite(observables: dict[str, Estimate], diagnostics: dict[str, float], t: float) -> None:
    bad = [name for name, e in observables.items() if not np.all(np.isfinite(e.mean))]
    bad += [name for name in ("delta_L", "lindblad_norm2") if not np.isfinite(diagnostics[name])]
    if bad:
        raise NumericalError(
            f"At t = {t:.6g} {', '.join(bad)} became NaN or infinite: the state has left the range of floating-point numbers; "
            "take a smaller dt or tolerance, a larger ridge, or more samples."
        )


def _warning(diagnostics: dict[str, float]) -> str:
    warnings = []
    for name in ("r_hat", "r_hat_diagonal"):
        if diagnostics[name] > R_HAT_LIMIT:
            warnings.append(f"{name} = {diagnostics[name]:.3f} > {R_HAT_LIMIT}: the chains disagree, so use more sweeps between samples.")
    for name in ("acceptance", "acceptance_diagonal"):
        if diagnostics[name] < ACCEPTANCE_LIMIT:
            warnings.append(f"{name} = {diagnostics[name]:.2e}: the chains hardly move, so errors may be underestimated.")
    if diagnostics["residual"] > RESIDUAL_LIMIT:
        warnings.append(f"residual = {diagnostics['residual']:.2f}: the network cannot follow the equation of motion.")
    return " ".join(warnings)
