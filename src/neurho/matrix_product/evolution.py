"""Dynamics of matrix-product density matrices with error bars, from a finer and a coarser run side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurho._types import Numbers, require
from neurho.matrix_product.decompose import Cut
from neurho.matrix_product.flow import Flow, Settings, automatic_step, intervals
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
from neurho.matrix_product.splitting import Splitting
from neurho.matrix_product.state import State, distance, from_arrays, scaled, to_arrays
from neurho.model.operators import Lindbladian
from neurho.observables import Quantity

FEWER = 2.0
"""By how much the run that gives the errors has a smaller bond dimension."""

LONGER = 1.5
"""By how much its steps are longer."""


@dataclass(eq=False)
class _Run:
    """One of the two runs."""

    flow: Flow
    state: State
    trace: float = 1.0

    def to(self, t0: float, t1: float, generator: LineGenerator, read: Reader) -> dict[str, np.ndarray]:
        """Move from t0 to t1, divide by the trace, and measure."""
        means = means_of(self.state, generator)
        if t1 > t0:
            self.state = self.flow.run(self.state, t0, t1)
            means = means_of(self.state, generator)
            self.state = scaled(self.state, 1 / means.trace)
        self.trace = means.trace
        return measured(self.state, means, read, t1)


def evolve(
    model: Lindbladian,
    initial: np.ndarray | Sequence[Numbers] | Mapping[str, np.ndarray],
    times: Sequence[float] | np.ndarray,
    *,
    quantities: Sequence[Quantity] | Reader | None = None,
    bond: int = 64,
    cutoff: float = 1e-14,
    step: float | None = None,
) -> Iterator[Record]:
    """rho(t) of an open chain or narrow strip at `times`, by time-evolving block decimation of fourth order.

        d rho/dt = L rho,    rho(t + dt) = prod over layers of exp(w_n dt L_layer) rho + O(dt^5)

    (Zwolak & Vidal, PRL 93, 207205 (2004)). A second run with half the bond dimension, ten times the cut-off and
    1.5 times the step moves along: the error of a mean is the difference of the two.

    ```python
    import numpy as np
    import neurho

    up = np.broadcast_to(np.diag([1.0, 0.0]), (3, 2, 2))
    *_, last = neurho.matrix_product.evolve(neurho.xyz(neurho.chain(3), coupling=(0, 0, 1)), up, [0.0, 0.5])
    assert np.allclose(last.observables["p0_site"].mean, np.exp(-0.5), atol=1e-6)
    ```

    **Arguments**

    - `initial`: one-site density matrices `(sites, d, d)` of a product state at times[0], or the `state` of a record.
    - `times`: not decreasing, in units of 1/rate.
    - `quantities`: what to measure, or a function that reads named values from means at time t; populations of all
      sites unless given.
    - `bond`: the largest bond dimension.
    - `cutoff`: the largest weight cut from a bond at once, in units of the squared norm, where `bond` allows it.
    - `step`: the longest step; unless given 0.4 divided by the norm of L on one pair of sites.

    **Returns** an iterator over [`neurho.matrix_product.Record`][], one for each time. `message` says from what time on
    the bond dimension was too small.

    **Raises** `NeurhoError` for lattices and terms that are no chain or narrow strip and starts that are no product.
    """
    generator, at = line_generator(model), checked_times(times)
    check_settings(bond, cutoff, step)
    read = reading(quantities, generator)
    splitting = Splitting(generator)
    fine = Settings(Cut(bond=int(bond), cutoff=cutoff), step or automatic_step(splitting, at))
    runs = _runs(initial, generator, splitting, fine)
    return _records(generator, read, runs, at)


def _runs(initial: Any, generator: LineGenerator, splitting: Splitting, fine: Settings) -> list[_Run]:
    flows = [Flow(splitting, settings) for settings in (fine, fine.coarser(FEWER, LONGER))]
    if not isinstance(initial, Mapping):
        state = start(one_site_matrices(initial, generator), generator)
        return [_Run(flow, state) for flow in flows]
    for name, flow in zip(("fine", "coarse"), flows, strict=True):
        outgrown = float(np.asarray(initial.get(f"{name}/outgrown", np.nan)))
        flow.outgrown = None if np.isnan(outgrown) else outgrown
    return [
        _Run(flow, from_arrays({key.removeprefix(f"{name}/"): a for key, a in initial.items() if key.startswith(name)}))
        for name, flow in zip(("fine", "coarse"), flows, strict=True)
    ]


def _records(generator: LineGenerator, read: Reader, runs: Sequence[_Run], times: np.ndarray) -> Iterator[Record]:
    for t0, t1 in intervals(np.array([times[0], *times])):
        values, other = (run.to(t0, t1, generator, read) for run in runs)
        errors = spreads({name: values[name] - other[name] for name in values})
        fine = runs[0]
        state = {}
        for name, run in zip(("fine", "coarse"), runs, strict=True):
            state |= {f"{name}/{key}": array for key, array in to_arrays(run.state).items()}
            state[f"{name}/outgrown"] = np.asarray(np.nan if run.flow.outgrown is None else run.flow.outgrown)
        yield Record(
            t=t1,
            observables=estimates_of(values, errors),
            diagnostics=diagnostics_of(fine.state, fine.trace, fine.flow.settings)
            | {"error_estimate": distance(fine.state, runs[1].state)},
            state=state,
            message=_message(fine.flow),
        )


def _message(flow: Flow) -> str:
    if flow.outgrown is None:
        return ""
    cut = flow.settings.cut
    return (
        f"From t = {flow.outgrown:.4g} on the operator entanglement outgrows bond = {cut.bond}; the errors say how "
        "much that matters, and a larger bond dimension would do."
    )


def checked_times(times: Any) -> np.ndarray:
    """Times as an array, finite and not decreasing."""
    at = np.asarray(times, dtype=float)
    require(at.ndim == 1 and len(at) > 0, "times", "be at least one time", f"its shape is {at.shape}")
    require(
        np.all(np.isfinite(at)) and np.all(np.diff(at) >= 0), "times", "be finite and not decrease", f"it is {times}"
    )
    return at


def check_settings(bond: Any, cutoff: float, step: float | None) -> None:
    """Refuse settings that make no sense."""
    require(isinstance(bond, int | np.integer) and bond >= 2, "bond", "be a whole number >= 2", f"it is {bond!r}")
    require(0 <= cutoff < 1e-2, "cutoff", "lie in [0, 0.01)", f"it is {cutoff}")
    require(step is None or (np.isfinite(step) and step > 0), "step", "be > 0", f"it is {step}")
