"""Runs: the flow in real time, and towards a stationary state by the same flow. Plain generators of snapshots.

`evolve` and `stationary_state` take physics; `follow` and `relax` take a finished [`Flow`][neurho.dynamics.flow.Flow].
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.scalars import Scalar
from neurho._types import Keys, Record, default_chains, require, require_positive, require_whole
from neurho.dynamics.arguments import (
    as_method,
    as_quantities,
    as_times,
    network_on,
    require_control,
    require_lindbladian,
    require_numerics,
    require_options,
    require_steps_of,
)
from neurho.dynamics.integrate import BOSH3, Method, Step, StepControl, Tableau, advance
from neurho.dynamics.march import march, span
from neurho.dynamics.snapshots import take
from neurho.matrix_elements.estimation.defect import Defects
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.estimation.estimators import CHUNK
from neurho.matrix_elements.estimation.observables import Observables, build_observables
from neurho.matrix_elements.generator import LabelMap, lindbladian_map
from neurho.matrix_elements.networks import AbstractAnsatz, Prepared, PreparedLevels, parameter_count, parameters
from neurho.matrix_elements.networks.module import names_module
from neurho.matrix_elements.sampling import (
    AbstractSampler,
    Blurred,
    enumerate_all,
    enumerate_diagonal,
    metropolis,
    metropolis_diagonal,
    start_chains,
)
from neurho.matrix_elements.tdvp.equation import TDVP, Rates
from neurho.matrix_elements.tdvp.solvers import AbstractSolver, Ridge
from neurho.model.operators import Lindbladian
from neurho.model.timescales import within
from neurho.observables import Quantity, Snapshot, pauli_quantities

LOSSES = 1000
"""Number of the key, besides those of attempts, by which the losses of a step are sampled."""

LEAP = 10.0
"""How many tolerances of one step rho may go astray by what is not linear in the step."""

SHORTER = 0.25
"""Factor of the length of a step that is taken again."""

TRIES = 12

SAFE_EXPONENT, SAFE_BLUR = 1.0, 0.3
"""Of samples of an evolution: chains at |rho|^2 do not see what decay feeds out of a pole, and hardly move there."""


class RunState(NamedTuple):
    """All that a run needs to go on: the parameters, both sets of chains, where it is and the dt to try next.

    `velocity` is the last one, from which iterative solvers start; zero or None where nothing is known. `error` is an
    estimate of the relative error of rho in the Hilbert-Schmidt norm, None where there is nothing to follow:

        error(t) = error(0) + sum over steps of r ||L rho||_c/||rho|| dt + sqrt(e^T S e)

    with the relative residual r^2 and the centred norm ||L rho||_c^2/||rho||^2 = <|L_loc|^2> - |<L_loc>|^2, whose
    product is the squared speed at which rho leaves the exact flow, and the integration error e of the step. Where
    samples that the step has not seen ([`neurho.matrix_elements.estimation.defect`][]) say more, that counts. `local`
    adds up the defects of one- and two-site reduced density matrices, an estimate of the error of means there.
    """

    ansatz: AbstractAnsatz
    chains: Int[Array, "chains sites"]
    diagonal_chains: Int[Array, "chains sites"]
    step: int
    t: float
    dt: float
    velocity: Float[Array, " parameters"] | None = None
    error: float | None = None
    local: float = 0.0


class Flow(NamedTuple):
    """How to move: the right-hand side, the method of integration with its control, and what to measure.

    ```python
    import neurho

    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), tolerance=1e-4)
    assert flow.control.tolerance == 1e-4 and flow.method.adaptive
    ```
    """

    tdvp: TDVP
    method: Method
    control: StepControl
    observables: Observables
    certificate: bool = True
    defects: Defects | None = None


def start(
    flow: Flow, ansatz: AbstractAnsatz, seed: int, dt: float, t0: float = 0.0, *, error: float | None = 0.0
) -> RunState:
    """The state before the first step, with chains after their warm-up; `error` is that of the prepared state."""

    def meanwhile() -> None:
        flow.observables.rehearse(ansatz)
        flow.tdvp.rehearse(jnp.asarray(t0, dtype=float), ansatz)

    chains, diagonal_chains = start_chains(seed, flow.tdvp.sampler, flow.observables.sampler, ansatz, meanwhile)
    return RunState(
        ansatz=ansatz,
        chains=chains,
        diagonal_chains=diagonal_chains,
        step=0,
        t=float(t0),
        dt=float(dt),
        velocity=jax.device_put(np.zeros(parameter_count(ansatz))),
        error=error,
    )


@names_module
def follow(
    flow: Flow,
    state: RunState,
    times: Sequence[float] | np.ndarray,
    *,
    seed: int,
    first: bool = True,
    max_steps: int | None = None,
    watch: Callable[[RunState], None] | None = None,
) -> Iterator[Snapshot]:
    """Move `state` through `times` and yield a snapshot at each.

    Keys are `fold_in(seed, step, attempt, stage)`: a run continued from any snapshot's state gives the same numbers,
    bit for bit, as one that was never stopped.

    **Arguments**

    - `times`, `first`, `max_steps`, `watch`: as [`neurho.dynamics.march.march`][] takes them.

    **Raises** `NumericalError` when parameters or measured numbers become NaN.
    """
    root = jax.random.key(seed)
    _, restore = parameters(state.ansatz)
    residual = ridge = float("nan")
    begin, end = span(state, times)
    plan, control = flow.tdvp.generator.schedule(begin, end), flow.control.over(float(end - begin))

    def rhs(key: PRNGKeyArray, t: Scalar, y: Array, memory: tuple[Array, Array]) -> Rates:
        chains, velocity = memory
        rates = flow.tdvp(key, jnp.asarray(t, dtype=float), restore(y), chains, velocity)
        return rates._replace(chains=(rates.chains, rates.velocity))

    def one(state: RunState, stop: float) -> RunState:
        nonlocal residual, ridge
        key = jax.random.fold_in(jax.random.fold_in(root, 1), state.step)
        y, _ = parameters(state.ansatz)
        memory, length, attempt = (state.chains, state.velocity), state.dt, 0
        while True:
            again = jax.random.fold_in(key, LOSSES + attempt) if attempt else key
            step, t, dt = advance(flow.method, control, rhs, again, state.t, stop, length, y, memory)
            after, taken = restore(step.y), t - state.t
            lost, leap = _losses(flow, state, step, after, taken, jax.random.fold_in(key, LOSSES))
            if control.tolerance is None or leap <= LEAP * control.tolerance or attempt == TRIES:
                break
            length, attempt = SHORTER * taken, attempt + 1
        if attempt:  # what made this step short is not over with it
            dt = min(dt, taken / SHORTER**0.5)
        chains, velocity = step.chains
        residual = float(step.rates.residual)
        ridge = math.nan if step.rates.ridge is None else float(step.rates.ridge)
        moved = state._replace(ansatz=after, chains=chains, step=state.step + 1, t=t, dt=dt, velocity=velocity)
        return moved._replace(**lost)

    def seen(state: RunState, target: float) -> Snapshot:
        del target
        key = jax.random.fold_in(jax.random.fold_in(root, 2), state.step)
        return measure(flow, state, key, {"residual": residual, "ridge": ridge})

    yield from march(
        state,
        times,
        advance=one,
        measure=seen,
        plan=plan,
        first=first,
        max_steps=max_steps,
        watch=watch,
        advice="a larger dt or tolerance",
    )


def _losses(
    flow: Flow, state: RunState, step: Step, after: AbstractAnsatz, dt: float, key: PRNGKeyArray
) -> tuple[Record, float]:
    """What is new in the state by what a step of length `dt` from it loses: what the network cannot follow, and the
    error of integration, on the samples of the step or on others, whichever is worse. And by how much rho has leapt
    astray, beyond all that is linear in the step.

    Next to a pole parameters move entries of rho by factors. A step may then turn rho around while its error, in the
    metric of either end, is small: the entries that it moves have hardly any weight there.
    """
    if state.error is None:
        return {}, 0.0
    rates = step.rates
    lost = math.sqrt(max(float(rates.residual), 0.0) * float(rates.metric.norm)) * dt
    lost += 0.0 if step.error is None else float(rates.metric.length(step.error))
    if flow.defects is None:
        return {"error": state.error + lost}, 0.0
    error = jnp.zeros_like(rates.velocity) if step.error is None else step.error
    found = flow.defects.of_flow(
        key,
        within(state.t, dt, 0.0),
        jnp.asarray(dt, dtype=float),
        state.ansatz,
        jnp.stack([rates.velocity, error]),
        (state.chains, state.diagonal_chains),
    )
    jump = flow.defects.jump(
        jax.random.fold_in(key, 3),
        state.t + dt / 2,
        jnp.asarray(dt, dtype=float),
        state.ansatz,
        after,
        found.diagonal_chains,
    )
    new = {
        "error": state.error + float(np.nanmax([lost, found.whole])),
        "local": state.local + max(found.local, jump),
        "diagonal_chains": found.diagonal_chains,
    }
    return new, jump - found.local


def relax(
    flow: Flow,
    state: RunState,
    times: Sequence[float] | np.ndarray,
    *,
    seed: int,
    delta_l: float,
    first: bool = True,
    max_steps: int | None = None,
    watch: Callable[[RunState], None] | None = None,
) -> Iterator[Snapshot]:
    """Follow the flow until delta_L <= `delta_l` (the paper's way to a stationary state) or the last of `times`.

    The snapshot that reaches the goal has `converged = True` and is the last.
    """
    require(delta_l > 0, "delta_l", "be > 0", f"it is {delta_l}")
    require(flow.certificate, "flow", "measure the certificate, which holds delta_L", "it does not")
    for snapshot in follow(flow, state, times, seed=seed, first=first, max_steps=max_steps, watch=watch):
        converged = snapshot.step > 0 and snapshot.diagnostics["delta_L"] <= delta_l
        yield snapshot._replace(converged=converged)
        if converged:
            return


def make_flow(
    lindbladian: Lindbladian,
    *,
    generator: LabelMap | None = None,
    samples: int | None = None,
    chains: int | None = None,
    sampler: AbstractSampler | None = None,
    diagonal: AbstractSampler | None = None,
    solver: AbstractSolver | None = None,
    method: Method | Tableau | None = None,
    tolerance: float | None = 1e-3,
    dt_max: float = math.inf,
    quantities: Sequence[Quantity] | Keys | None = None,
    centred: bool = True,
    metric: float = 1.0,
    certificate: bool = True,
    hermitian: bool = False,
    purity: bool = False,
    chunk: int = CHUNK,
) -> Flow:
    """Put a flow together from physics, with defaults for the rest.

    ```python
    import neurho

    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(4)), samples=512, solver=neurho.solvers.Ridge(1e-4))
    assert not flow.tdvp.sampler.exact
    ```

    **Arguments**

    - `generator`: the Lindbladian on labels, where it is there already.
    - `samples`: kept configurations per evaluation for both chains (Metropolis; those of p(l, r) run at |rho| and are
      blurred, see `SAFE_EXPONENT`); None sums over all configurations.
    - `chains`: a divisor of `samples`; see `neurho._types.default_chains` unless given.
    - `sampler`, `diagonal`: samplers of p(l, r) and q(l) to use instead.
    - `solver`: [`neurho.matrix_elements.tdvp.solvers.Ridge`][] with its default unless given.
    - `method`, `tolerance`: the Bogacki-Shampine pair at 1e-3 unless given; `tolerance=None` keeps dt fixed.
    - `quantities`: what to measure, or a table of Hermitian operators by name, measured as their mean; one-site and
      bond means of Pauli matrices for spins unless given.
    - `centred`: Fubini-Study norm (True) or the plain norm.
    - `metric`: lambda of the depolarised norm (see `neurho.matrix_elements.estimation.depolarised`) in which the
      network follows d rho/dt, with errors of steps and residuals; 1 for the Hilbert-Schmidt norm. Others need sums
      over all configurations. Certificates and `error_estimate` stay in the Hilbert-Schmidt norm.
    - `hermitian`: the ansatz is Hermitian, and sums over all configurations may take half of them.
    - `purity`: also estimate purity and Renyi-2 entropy with every snapshot.
    - `certificate`: measure delta_L and ||L rho||^2/||rho||^2 with every snapshot.
    """
    require_lindbladian(lindbladian)
    require_numerics(solver, sampler, diagonal, samples=samples, chains=chains, chunk=chunk)
    require_control(tolerance, dt_max)
    sites, dim = lindbladian.lattice, lindbladian.local_dim
    require(chains is None or samples is not None, "chains", "stand beside samples", "there are no samples")
    if samples is None:
        sampler, diagonal = (
            sampler or enumerate_all(sites.sites, dim, hermitian=hermitian),
            diagonal or enumerate_diagonal(sites.sites, dim),
        )
    else:
        sizes: Record = {"samples": samples, "chains": chains or default_chains(samples), "local_dim": dim}
        sampler = sampler or Blurred(chain=metropolis(sites, exponent=SAFE_EXPONENT, **sizes), fraction=SAFE_BLUR)
        diagonal = diagonal or metropolis_diagonal(sites, **sizes)
    if quantities is None:
        require(dim == 2, "quantities", f"be given for sites of dimension {dim}", "it is missing")
        quantities = pauli_quantities(sites)
    moves = generator or lindbladian_map(lindbladian)
    norm = None if metric == 1 else Depolarised.build(metric, sampler, dim)
    method = as_method(method or Method(BOSH3), tolerance)
    return Flow(
        tdvp=TDVP(
            generator=moves,
            sampler=sampler,
            solver=solver or Ridge(),
            centred=centred,
            chunk=chunk,
            norm=norm,
        ),
        method=method,
        control=StepControl(tolerance=tolerance, dt_max=dt_max),
        observables=build_observables(as_quantities(quantities), diagonal, sites.sites, chunk=chunk, purity=purity),
        certificate=certificate,
        defects=Defects.build(sites, moves, sampler, diagonal, chunk=chunk, sums=norm is not None)
        if certificate
        else None,
    )


def evolve(
    lindbladian: Lindbladian,
    ansatz: AbstractAnsatz | Prepared | PreparedLevels,
    times: Sequence[float] | np.ndarray,
    *,
    dt: float = 1e-3,
    seed: int = 0,
    **options: Any,
) -> Iterator[Snapshot]:
    """The time evolution of `ansatz` from `times[0]`, with a snapshot at each of `times`.

    ```python
    import jax
    import numpy as np
    import neurho

    jax.config.update("jax_enable_x64", True)

    model = neurho.heisenberg(neurho.chain(2), field=(1.0, 0.0, 0.0), decay=0.5)
    start = neurho.networks.product_state(jax.random.key(0), "+y", 2, hidden=2, mixing=2)
    *_, last = neurho.methods.evolve(model, start, [0.0, 0.02], dt=0.01)
    assert np.isclose(last.observables["sy"].mean, 1, atol=0.02)
    ```

    **Arguments**

    - `ansatz`: a network, or a state that [`neurho.networks.product_state`][] or [`neurho.networks.level_state`][] has
      prepared.
    - `dt`: the first step, or every step with `tolerance=None`, in units of 1/gamma.
    - `options`: those of [`neurho.methods.make_flow`][].

    **Raises** `NeurhoError` for arguments that do not fit, `NumericalError` when the run becomes NaN.
    """
    network, times = network_on(lindbladian, ansatz), as_times(times)
    require_steps_of(dt, seed)
    require_options(options, make_flow)
    options.setdefault("hermitian", network.hermitian)
    flow = make_flow(lindbladian, **options)
    return follow(flow, start(flow, network, seed, dt, times[0]), times, seed=seed)


def stationary_state(
    lindbladian: Lindbladian,
    ansatz: AbstractAnsatz | Prepared | PreparedLevels,
    *,
    t_max: float,
    delta_l: float = 1e-2,
    points: int = 101,
    dt: float = 1e-3,
    seed: int = 0,
    **options: Any,
) -> Iterator[Snapshot]:
    """Follow the flow to a stationary state: until delta_L <= `delta_l`, at most to `t_max`; the last snapshot is the
    result.

    Delta_L is measured at `points` equally spaced times. Other arguments as [`neurho.methods.evolve`][].

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    model = neurho.heisenberg(neurho.chain(2), field=(1.0, 0.0, 0.0), decay=0.5)
    start = neurho.networks.product_state(jax.random.key(0), "+y", 2, hidden=2, mixing=2)
    *_, last = neurho.methods.stationary_state(model, start, t_max=0.02, points=2, dt=0.01)
    assert not last.converged  # the time was too short
    ```
    """
    network = network_on(lindbladian, ansatz)
    require_steps_of(dt, seed)
    require_positive(t_max, "t_max")
    require_positive(delta_l, "delta_l")
    require_whole(points, "points", 2)
    require_options(options, make_flow)
    options.setdefault("hermitian", network.hermitian)
    flow = make_flow(lindbladian, **options)
    times = np.linspace(0, t_max, points)
    return relax(flow, start(flow, network, seed, dt, error=None), times, seed=seed, delta_l=delta_l)


def measure(flow: Flow, state: RunState, key: PRNGKeyArray, last: Mapping[str, float] | None = None) -> Snapshot:
    """All observables and the certificate of a state, from fresh samples; `last` says how the last step went."""
    measured, diagonal_chains = flow.observables(jax.random.fold_in(key, 0), state.ansatz, state.diagonal_chains)
    certificate = None
    if flow.certificate:
        t = jnp.asarray(state.t, dtype=float)
        certificate = flow.tdvp.certify(jax.random.fold_in(key, 1), t, state.ansatz, state.chains)
    return take(
        flow.observables,
        measured,
        certificate,
        state._replace(diagonal_chains=diagonal_chains),
        {**(last or {}), "dt": state.dt}
        | ({} if state.error is None else {"error_estimate": state.error})
        | ({} if state.error is None or flow.defects is None else {"error_local": state.local}),
        exact=flow.tdvp.sampler.exact,
    )
