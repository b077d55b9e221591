"""A problem that runs: its method as a driver, its snapshots, and what they are compared with."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import xarray as xr

from neurho import exact, reference
from neurho._types import NeurhoError, brief
from neurho.config import Config, PythonModule
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian
from neurho.observables import Estimate, Snapshot, State, Watch, names
from neurho.run import memory
from neurho.run.assembly import make_lattice, make_lindbladian
from neurho.run.drive import require_drive
from neurho.run.drivers import DRIVERS, Driver
from neurho.run.drivers.base import Facts
from neurho.run.quantities import named_quantities
from neurho.run.setup import Setup

REFERENCE_DIMENSION = 2**8
"""Largest d^N for which an exact reference is computed without being asked for by `method = "exact"`."""

WITHOUT_START = "The start (`initial`) is not used: this method solves for the stationary state, and begins nowhere."


@dataclass(frozen=True)
class Problem(Setup):
    """A validated problem, ready to run; `method` makes a driver in place of the one that its file names.

    ```python
    import neurho

    problem = neurho.build(neurho.load("fig2", {"task.method": "exact", "task.t": 0.01, "task.points": 2}))
    *_, last = problem.snapshots()
    assert last.t == 0.01
    ```
    """

    method: Callable[[Setup], Driver] | None = None

    def spread_over(self, client: Any) -> "Problem":
        """The same problem, worked on by the workers of a `dask.distributed.Client`, with the same numbers.

        **Raises** `NeurhoError` for other methods than trajectories.
        """
        method = self.config.task.method
        if method != "trajectories":
            raise NeurhoError(f'Workers share the work of task.method = "trajectories" only, but it is "{method}".')
        return dataclasses.replace(self, client=client)

    @cached_property
    def driver(self) -> Driver:
        """The method."""
        return (self.method or DRIVERS[self.config.task.method])(self)

    def template(self) -> State:
        """A state of the right structure, to read a checkpoint into."""
        return self.driver.template()

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """Run from the beginning, or from an earlier state (whose snapshot is not yielded again).

        `watch` is called with the state after every step between outputs.
        """
        self.require_memory()
        rows = self.driver.snapshots(state, watch=watch)
        if state is None and self.config.initial.kind != "random" and not self.driver.begins:
            for first in islice(rows, 1):
                yield first._replace(message=f"{first.message} {WITHOUT_START}".strip())
        yield from rows

    def glance(self, state: State) -> dict[str, Estimate]:
        """What a method knows between two outputs: of trajectories the means so far; of others nothing."""
        return self.driver.glance(state)

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        return self.driver.peak_bytes

    def require_memory(self) -> None:
        """Refuse a run that needs more memory than it may take or the machine has.

        **Raises** `NeurhoError` with what is needed, and what to change.
        """
        memory.require(self.peak_bytes, getattr(self.config.sampling, "memory_gb", None), list(self.driver.remedies))

    def describe(self) -> Facts:
        """Sizes, and the predicted peak of the memory that a run takes."""
        facts: dict[str, int | str] = {
            "sites": self.lattice.sites,
            "bonds": len(self.lattice.bonds),
            "method": self.config.task.method,
        }
        return {**facts, **self.driver.describe(), "memory_bytes": int(self.peak_bytes)}

    def reference(self) -> xr.Dataset | None:
        """Exact curves (or values) of a small system, or values shipped for this problem, or None."""
        if (found := reference.shipped(self.config)) is not None:
            return found
        task = self.config.task
        if self.lindbladian.local_dim**self.lattice.sites > REFERENCE_DIMENSION:
            return None
        steady = task.kind == "stationary"
        try:
            asked = None if steady else self.driver.asked_matrix()
        except NeurhoError:  # a start that is not wholly known, as that of a run that cut its strings
            return None
        rows = [self.exact_values(rho, float(t)) for t, rho in self._reference_states(asked)]
        columns = {}
        for name, first in rows[0].items():
            axes = names.dims(name, first.ndim)
            value = first if steady else np.stack([row[name] for row in rows])
            columns[name] = (axes if steady else ("t", *axes), value)
        return xr.Dataset(columns, coords={} if steady else {"t": self.times}, attrs={"source": "exact"})

    def _reference_states(self, asked: np.ndarray | None) -> Iterator[tuple[float, np.ndarray]]:
        """Times and density matrices; `asked` is a start that only the method knows."""
        if self.config.task.kind == "stationary":
            yield 0.0, exact.stationary_state(self.lindbladian).rho
        else:
            start = self.start_matrix if asked is None else asked
            yield from zip(self.times, exact.evolve(self.lindbladian, start, self.times), strict=True)


def build(
    config: Config,
    lindbladian: Lindbladian | None = None,
    *,
    method: Callable[[Setup], Driver] | None = None,
    trust: bool = False,
) -> Problem:
    """Build the physics of a problem and check what only physics can check.

    ```python
    import neurho

    problem = neurho.build(neurho.load("fig2", ["task.method=exact", "task.t=0.1", "task.points=2"]))
    *_, last = problem.snapshots()
    assert last.t == 0.1 and problem.lindbladian.sites == 5
    ```

    With `lindbladian`, what was made in Python and `config` was written from, nothing is read from text.
    With `method`, a driver of your own answers it (see docs/extend/method.md).
    With `trust` the code that `ansatz.kind = "python"` names runs; without, such a problem can be looked at and not
    run.

    **Raises** `NeurhoError` with the sentence of the argument that does not fit.
    """
    if not isinstance(config, Config):
        raise NeurhoError(f"Argument `config` must be a Config, as neurho.load(FILE) gives, but it is {brief(config)}.")
    sites = make_lattice(config) if lindbladian is None else lindbladian.lattice
    physics = _physics(config, sites) if lindbladian is None else lindbladian
    problem = Problem(config=config, lattice=sites, lindbladian=physics, method=method, trust=trust)
    if problem.lindbladian.is_time_dependent:
        if config.task.kind == "stationary":
            raise NeurhoError('Key `task.kind` must be "evolve" for a model that depends on time, but it is not.')
        if config.initial.kind == "mean-field":
            raise NeurhoError(
                'Key `initial.kind` must not be "mean-field" for a model that depends on time, but it is.'
            )
        require_drive(config, problem.lindbladian, problem.times)
    _ = problem.named  # what is wrong in a problem is said before it runs
    if trust or not isinstance(config.ansatz, PythonModule):
        problem.driver.prepare()
    return problem


def _physics(config: Config, sites: Lattice) -> Lindbladian:
    """The Lindbladian; what is wrong in it is said together with what is wrong in the named operators."""
    try:
        return make_lindbladian(config, sites)
    except NeurhoError as error:
        wrong = [str(error)]
    try:
        named_quantities(config, sites)
    except NeurhoError as error:
        wrong.append(str(error))
    raise NeurhoError("\n  ".join(wrong))
