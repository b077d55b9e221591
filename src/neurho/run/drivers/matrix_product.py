"""Problems of open chains and narrow strips by matrix products."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from neurho.matrix_product import Record, evolve, stationary_state
from neurho.matrix_product.evolution import FEWER
from neurho.matrix_product.generator import LineGenerator, line_generator
from neurho.matrix_product.layout import Packed, blank, pack, unpack
from neurho.matrix_product.measure import Means
from neurho.matrix_product.residual import operator_tensors
from neurho.matrix_product.state import from_arrays, to_arrays
from neurho.observables import Snapshot, State, Watch
from neurho.observables.names import PURITY, RENYI2
from neurho.run.drivers.base import Driver, Facts
from neurho.run.setup import Setup

BACK = 2
"""Ended stages of a search whose values are kept."""

LONGEST = 1e3
"""Time after which a search gives up unless the problem says otherwise, in units of 1/rate."""

CHANGES = 5
"""Changes of rho that a search keeps."""


class EvolutionState(NamedTuple):
    """Where an evolution is: the finer and the coarser run, and when each outgrew its bond (-1: not yet)."""

    step: int
    t: float
    dt: float
    fine: Packed
    coarse: Packed
    outgrown: np.ndarray


class SearchState(NamedTuple):
    """Where a search for a stationary state is.

    `values` has the values of this moment, of the last ended stages (`stages_ended` of them) and their last changes, a
    row each; `changes` the last relative changes of rho, `kept` of them.
    """

    step: int
    t: float
    dt: float
    stage: int
    outgrown: int
    state: Packed
    changes: np.ndarray
    kept: int
    values: np.ndarray
    stages_ended: int


@dataclass(frozen=True)
class MatrixProduct(Driver):
    """The method "matrix-product" with all that it needs to answer one problem."""

    setup: Setup

    @cached_property
    def generator(self) -> LineGenerator:
        """The Lindbladian on a line."""
        return line_generator(self.setup.lindbladian)

    @property
    def _settings(self) -> dict[str, Any]:
        task = self.setup.task
        return {"bond": task.bond, "cutoff": task.cutoff, "step": task.dt, "quantities": self._read}

    def _read(self, means: Means, t: float) -> dict[str, np.ndarray]:
        readout = self.setup.readout
        return readout.combine(np.array([means.operator(operator).real for operator in readout.operators]), t)

    @property
    def _searches(self) -> bool:
        return self.setup.task.kind == "stationary"

    @property
    def _sizes(self) -> tuple[int, int, int]:
        task = self.setup.task
        return self.generator.sites, self.generator.dim, task.bond

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all values by name, in order."""
        zeros = np.zeros(len(self.setup.readout.operators))
        found = {name: value.shape for name, value in self.setup.readout.combine(zeros, 0.0).items()}
        return found | {PURITY: (), RENYI2: ()}

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run: the states, two or three sites together, and the norm of L rho."""
        sites, dim, bond = self._sizes
        channels = max(max(t.shape[:2]) for t in operator_tensors(self.generator, 0.0))
        site = 8.0 * bond**2 * dim**2
        together = max([2, *(len(part.sites) for part in self.generator.parts)])
        return (
            6 * sites * site
            + 10 * dim ** (2 * together - 2) * site
            + (3 * channels**2 * site if self._searches else 0.0)
        )

    def template(self) -> State:
        """A state of the right structure, to read a checkpoint into."""
        sites, dim, bond = self._sizes
        empty = blank(sites, dim, bond)
        if not self._searches:
            coarse = blank(sites, dim, _coarser(bond))
            return EvolutionState(step=0, t=0.0, dt=0.0, fine=empty, coarse=coarse, outgrown=np.full(2, -1.0))
        size = sum(int(np.prod(shape)) for shape in self._shapes.values())
        return SearchState(
            step=0,
            t=0.0,
            dt=0.0,
            stage=0,
            outgrown=0,
            state=empty,
            changes=np.zeros(CHANGES),
            kept=0,
            values=np.zeros((BACK + 2, size)),
            stages_ended=0,
        )

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """Go on from the beginning, or from an earlier state, to the end."""
        del watch  # every step worth keeping is a snapshot
        return self._search(state) if self._searches else self._evolution(state)

    def _evolution(self, state: EvolutionState | None) -> Iterator[Snapshot]:
        times = self.setup.times
        begin: Any = self.setup.factors
        if state is not None:
            times = np.concatenate([[state.t], times[times > state.t]])
            begin = _arrays_of_evolution(state)
        step = 0 if state is None else int(state.step)
        records = evolve(self.setup.lindbladian, begin, times, **self._settings)
        for number, record in enumerate(records):
            if state is None or number > 0:
                yield _snapshot(record, self._packed_evolution(record, step + number))

    def _search(self, state: SearchState | None) -> Iterator[Snapshot]:
        task = self.setup.task
        begin: Any = None
        if state is not None:
            begin = self._arrays_of_search(state)
        elif self.setup.config.initial.kind != "random":
            begin = self.setup.factors
        settings = self._settings | {"initial": begin, "tolerance": task.tolerance}
        several = self.setup.several_states if state is None else ""
        for record in stationary_state(self.setup.lindbladian, t_max=task.t_max or LONGEST, **settings):
            message = " ".join(filter(None, (several, record.message)))
            yield _snapshot(record._replace(message=message), self._packed_search(record))
            several = ""

    def _packed_evolution(self, record: Record, step: int) -> EvolutionState:
        _, dim, bond = self._sizes
        parts = {name: from_arrays(_under(record.state, f"{name}/")) for name in ("fine", "coarse")}
        return EvolutionState(
            step=step,
            t=record.t,
            dt=record.diagnostics["dt"],
            fine=pack(parts["fine"], dim, bond),
            coarse=pack(parts["coarse"], dim, _coarser(bond)),
            outgrown=np.nan_to_num([record.state[f"{name}/outgrown"] for name in parts], nan=-1.0),
        )

    def _packed_search(self, record: Record) -> SearchState:
        _, dim, bond = self._sizes
        arrays, changes = record.state, np.zeros(CHANGES)
        kept = len(arrays["changes"])
        changes[:kept] = arrays["changes"]
        rows = [_under(arrays, f"{prefix}/") for prefix in ("values_0", "values_1", "values_2", "moves")]
        return SearchState(
            step=round(record.t),
            t=record.t,
            dt=record.diagnostics["dt"],
            stage=int(arrays["stage"]),
            outgrown=int(arrays["outgrown"]),
            state=pack(from_arrays(_under(arrays, "state/")), dim, bond),
            changes=changes,
            kept=kept,
            values=np.stack([self._flat(row) for row in rows]),
            stages_ended=sum(bool(row) for row in rows[1 : 1 + BACK]),
        )

    def _arrays_of_search(self, state: SearchState) -> dict[str, np.ndarray]:
        arrays = {f"state/{name}": a for name, a in to_arrays(unpack(state.state)).items()}
        arrays |= {"stage": np.asarray(state.stage), "t": np.asarray(state.t), "outgrown": np.asarray(state.outgrown)}
        arrays["changes"] = np.asarray(state.changes)[: int(state.kept)]
        prefixes = ["values_0", *("values_1", "values_2")[: int(state.stages_ended)]]
        names: list[str] = ["values_0", "values_1", "values_2", "moves"]
        rows = dict(zip(names, np.asarray(state.values), strict=True))
        for prefix in [*prefixes, *["moves"] * (state.t > 1)]:
            arrays |= {f"{prefix}/{name}": value for name, value in self._named(rows[prefix]).items()}
        return arrays

    def _flat(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Values by name as one row; zeros where there are none."""
        parts = [np.ravel(values.get(name, np.zeros(shape))) for name, shape in self._shapes.items()]
        return np.concatenate(parts).astype(float)

    def _named(self, row: np.ndarray) -> dict[str, np.ndarray]:
        found, start = {}, 0
        for name, shape in self._shapes.items():
            stop = start + int(np.prod(shape))
            found[name] = row[start:stop].reshape(shape)
            start = stop
        return found

    def describe(self) -> Facts:
        """Sizes, for `neurho run --check`."""
        task = self.setup.task
        return {"bond_dimension": task.bond, "parity": self.generator.keeps_parity()}


def _coarser(bond: int) -> int:
    return max(1, int(bond / FEWER))


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _arrays_of_evolution(state: EvolutionState) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name, packed, outgrown in zip(("fine", "coarse"), (state.fine, state.coarse), state.outgrown, strict=True):
        arrays |= {f"{name}/{key}": a for key, a in to_arrays(unpack(packed)).items()}
        arrays[f"{name}/outgrown"] = np.asarray(outgrown if outgrown >= 0 else np.nan)
    return arrays


def _snapshot(record: Record, state: State) -> Snapshot:
    return Snapshot(
        step=state.step,
        t=record.t,
        observables=record.observables,
        diagnostics=record.diagnostics,
        state=state,
        message=record.message,
        converged=record.converged,
    )
