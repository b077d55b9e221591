"""Stationary states by long evolution in stages of growing bond dimension and shrinking steps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurho._types import require
from neurho.matrix_product.decompose import Cut
from neurho.matrix_product.evolution import check_settings
from neurho.matrix_product.flow import Flow, Settings, automatic_step
from neurho.matrix_product.generator import LineGenerator, line_generator
from neurho.matrix_product.record import (
    Reader,
    Record,
    diagnostics_of,
    estimates_of,
    means_of,
    measured,
    one_site_matrices,
    reading,
    spreads,
    start,
)
from neurho.matrix_product.residual import residual
from neurho.matrix_product.splitting import Splitting
from neurho.matrix_product.state import State, distance, from_arrays, scaled, to_arrays
from neurho.model.operators import Lindbladian, evaluate
from neurho.observables import Quantity

GROWTH = 1.5
"""By how much the bond dimension grows, and the step shrinks, from one stage to the next."""

SMALLEST_BOND = 8
"""Bond dimension of the first stage."""

LONGEST = 4.0
"""The steps of early stages are at most this much longer than those of the last."""

STALLED = 0.8
"""A change that falls by less than this factor is no longer relaxation but the noise of cutting."""

PATIENCE = 3
"""Intervals in a row that must be stalled for a stage to end."""


@dataclass
class _Search:
    """Where a search stands: the stage, the time, the last changes of rho, and means of ended stages, oldest first."""

    state: State
    stage: int = 0
    t: float = 0.0
    changes: list[float] = field(default_factory=list)
    moves: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    ended: list[dict[str, np.ndarray]] = field(default_factory=list)
    outgrown: bool = False


def stationary_state(
    model: Lindbladian,
    *,
    quantities: Sequence[Quantity] | Reader | None = None,
    initial: np.ndarray | Mapping[str, np.ndarray] | None = None,
    bond: int = 64,
    cutoff: float = 1e-16,
    step: float | None = None,
    tolerance: float = 1e-6,
    t_max: float = 1e3,
) -> Iterator[Record]:
    """A state with L rho = 0 of an open chain or narrow strip, as the end of a long evolution.

    Stages: bond dimensions from 8 up to `bond`, each 1.5 times the one before, with steps that shrink and cut-offs that
    fall alike. A stage ends when rho changes by less than its tolerance in one unit of time, or when the change no
    longer falls. The error of a mean is its difference between the last two stages (more where these differences fall
    slowly from stage to stage) and what is left to relax, extrapolated as a geometric series.

    ```python
    import numpy as np
    import neurho

    model = neurho.xyz(neurho.chain(2), coupling=(1, 1, 1))
    *_, last = neurho.matrix_product.stationary_state(model, tolerance=1e-4)
    assert last.converged
    ```

    **Arguments**

    - `quantities`: what to measure, or a function that reads named values from means at time t; populations of all
      sites unless given.
    - `initial`: where to start: one-site density matrices `(sites, d, d)`, infinite temperature unless given; or the
      `state` of a record, to go on.
    - `bond`, `cutoff`, `step`: of the last stage, as for [`neurho.matrix_product.evolve`][].
    - `tolerance`: the largest relative change of rho (Frobenius norm) in one unit of time at the end.
    - `t_max`: the most time in all, in units of 1/rate.

    **Returns** an iterator over [`neurho.matrix_product.Record`][], one for each unit of time; the last has `converged`
    and the residual.

    **Raises** `NeurhoError` where L depends on time or has no dissipation, and as [`neurho.matrix_product.evolve`][].
    """
    require(not model.is_time_dependent, "model", "not depend on time", "it has time-dependent coefficients")
    require(
        any(evaluate(jump.rate, 0.0) > 0 and jump.operator.terms for jump in model.jumps),
        "model",
        "have a jump operator with a positive rate",
        "without one every function of H is stationary",
    )
    check_settings(bond, cutoff, step)
    require(0 < tolerance < 1, "tolerance", "lie between 0 and 1", f"it is {tolerance}")
    require(t_max > 0, "t_max", "be > 0", f"it is {t_max}")
    generator = line_generator(model)
    splitting = Splitting(generator)
    stages = stages_of(Settings(Cut(int(bond), cutoff), step or automatic_step(splitting, np.zeros(1))))
    read = reading(quantities, generator)
    flows = [Flow(splitting, settings) for settings in stages]
    return _records(generator, read, flows, _begin(initial, generator), tolerance, t_max)


def stages_of(last: Settings) -> list[Settings]:
    """The settings of all stages, the last ones last."""
    stages = [last]
    while stages[-1].cut.bond > SMALLEST_BOND:
        finer = stages[-1]
        coarser = finer.coarser(GROWTH, GROWTH)
        stages.append(coarser._replace(step=min(coarser.step, LONGEST * last.step)))
    return stages[::-1] if len(stages) > 1 else [last.coarser(GROWTH, GROWTH), last]


def _begin(initial: Any, generator: LineGenerator) -> _Search:
    if isinstance(initial, Mapping):
        return _restored(initial)
    if initial is None:
        initial = np.broadcast_to(np.eye(generator.dim) / generator.dim, (generator.sites, *(generator.dim,) * 2))
    return _Search(start(one_site_matrices(initial, generator), generator))


def _records(
    generator: LineGenerator,
    read: Reader,
    flows: Sequence[Flow],
    search: _Search,
    tolerance: float,
    t_max: float,
) -> Iterator[Record]:
    last, done = len(flows) - 1, False
    while not done:
        if _ended(search, tolerance, last):
            if search.stage == last:
                return
            search.ended = [*search.ended, search.values][-2:]
            search.stage, search.changes, search.outgrown = search.stage + 1, [], False
        flow = flows[search.stage]
        trace = _advance(search, flow, generator, read)
        converged = search.stage == last and _ended(search, tolerance, last)
        done = converged or search.t >= t_max - 0.5
        numbers = diagnostics_of(search.state, trace, flow.settings) | {"change": search.changes[-1]}
        if done:
            numbers["lindblad_norm2"] = residual(search.state, generator) ** 2
        yield Record(
            t=search.t,
            observables=estimates_of(search.values, _errors(search)),
            diagnostics=numbers,
            state=_kept(search),
            message=_message(search, flow, tolerance, converged=converged, final=search.stage == last) if done else "",
            converged=converged,
        )


def _ended(search: _Search, tolerance: float, last: int) -> bool:
    """Whether rho changes by less than the goal of its stage, or no longer relaxes."""
    if not search.changes:
        return False
    return search.changes[-1] <= tolerance * 10.0 ** min(last - search.stage, 3) or _stalled(search.changes)


def _advance(search: _Search, flow: Flow, generator: LineGenerator, read: Reader) -> float:
    """One unit of time; the trace before it is divided out."""
    before = search.state
    state = flow.run(before, search.t, search.t + 1)
    means = means_of(state, generator)
    state = scaled(state, 1 / means.trace)
    values = measured(state, means, read, 0.0)
    search.moves = {name: values[name] - search.values[name] for name in values if name in search.values}
    search.values, search.state = values, state
    search.changes = [*search.changes, distance(state, before)][-PATIENCE - 2 :]
    search.outgrown = search.outgrown or flow.outgrown is not None
    search.t += 1
    return means.trace


def _stalled(changes: Sequence[float]) -> bool:
    """Whether the change has not fallen to STALLED of what it was, several times in a row."""
    if len(changes) <= PATIENCE + 1:
        return False
    return all(b > STALLED * a for a, b in zip(changes[-PATIENCE - 1 : -1], changes[-PATIENCE:], strict=True))


def _errors(search: _Search) -> dict[str, np.ndarray]:
    """The error of each mean, from the stages and from what is left to relax; in the first stage the mean itself."""
    ratio, slow = _ratio(search.changes), _slowness(search)
    before = search.ended[-1] if search.ended else {}
    stages = spreads({name: value - before.get(name, 0.0) for name, value in search.values.items()})
    moves = spreads({name: search.moves.get(name, 0 * value) for name, value in search.values.items()})
    return {name: slow * stages[name] + moves[name] * ratio / (1 - ratio) for name in stages}


def _ratio(changes: Sequence[float]) -> float:
    """By which factor the change falls from one unit of time to the next, at most 0.95."""
    return min(0.95, changes[-1] / max(changes[-2], 1e-300)) if len(changes) > 1 else 0.95


def _slowness(search: _Search) -> float:
    """What remains beyond the last stage in units of its difference from the one before.

    With differences that fall by a factor r from stage to stage it is r/(1 - r), r at least 0.6 and at most 0.8.
    """
    r = 0.6
    if len(search.ended) > 1:
        last, before = _distance(search.values, search.ended[-1]), _distance(search.ended[-1], search.ended[-2])
        r = float(np.clip(last / max(before, 1e-300), 0.6, 0.8))
    return r / (1 - r)


def _distance(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(float(np.sum((a[name] - b[name]) ** 2)) for name in a)))


def _message(search: _Search, flow: Flow, tolerance: float, *, converged: bool, final: bool) -> str:
    parts, change = [], search.changes[-1]
    if not converged:
        parts.append(
            f"The state still changes by {change:.1e} of itself in one unit of time at t = {search.t:g}; give more "
            "time."
        )
    elif change > tolerance:
        parts.append(
            f"The state stopped relaxing at a change of {change:.1e} in one unit of time (asked for {tolerance:.0e}): "
            f"the noise of cutting at bond = {flow.settings.cut.bond}, or a slow decay."
        )
    if search.outgrown and final:
        parts.append(
            f"The operator entanglement outgrows bond = {flow.settings.cut.bond}; the errors say how much that "
            "matters, and a larger bond dimension would do."
        )
    return " ".join(parts)


def _kept(search: _Search) -> dict[str, np.ndarray]:
    """The search as plain arrays."""
    arrays = {f"state/{key}": array for key, array in to_arrays(search.state).items()}
    arrays |= {"stage": np.asarray(search.stage), "t": np.asarray(search.t), "changes": np.asarray(search.changes)}
    arrays["outgrown"] = np.asarray(search.outgrown)
    for number, values in enumerate([*search.ended[-2:], search.values]):
        back = min(len(search.ended), 2) - number
        arrays |= {f"values_{back}/{name}": np.asarray(value) for name, value in values.items()}
    return arrays | {f"moves/{name}": np.asarray(value) for name, value in search.moves.items()}


def _restored(arrays: Mapping[str, np.ndarray]) -> _Search:
    def under(prefix: str) -> dict[str, np.ndarray]:
        return {key.removeprefix(prefix): np.asarray(a) for key, a in arrays.items() if key.startswith(prefix)}

    return _Search(
        state=from_arrays(under("state/")),
        stage=int(arrays["stage"]),
        t=float(arrays["t"]),
        changes=[float(c) for c in arrays["changes"]],
        outgrown=bool(arrays["outgrown"]),
        moves=under("moves/"),
        values=under("values_0/"),
        ended=[values for back in (2, 1) if (values := under(f"values_{back}/"))],
    )
