"""From a problem file to a run: the one place where strings become objects."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import xarray as xr
from jaxtyping import Array

from neurho import exact, reference, solvers
from neurho._types import NeurhoError
from neurho.ansatz import AbstractAnsatz, density_matrix, parameter_count
from neurho.assembly import (
    METHODS,
    make_charge,
    make_lattice,
    make_lindbladian,
    make_samplers,
)
from neurho.config import Config
from neurho.estimators import CHUNK, Estimate, overlap
from neurho.evolution import Flow, follow, make_flow, relax, start
from neurho.generator import LabelMap, lindbladian_map
from neurho.implicit import Implicit
from neurho.initial import Initial, make_initial, product_matrix
from neurho.lattice import Lattice
from neurho.observables import Observables, Quantity, Snapshot, build_observables
from neurho.operators import Lindbladian
from neurho.parallel import replicate
from neurho.projected import Projected, begin_projected, follow_projected
from neurho.quantities import exact_values, named_quantities, pauli_of
from neurho.sampling import AbstractSampler
from neurho.steady import Continuation, begin, search_stationary
from neurho.symmetry import Charge

REFERENCE_DIMENSION = 2**8
"""Largest d^N for which an exact reference is computed without being asked for by `method = "exact"`."""


class ExactState(NamedTuple):
    """Where an exact run is."""

    step: int
    t: float
    rho: np.ndarray


@dataclass(frozen=True)
class Problem:
    """A validated problem with its physics built; the numerics are built when first needed."""

    config: Config
    lattice: Lattice
    lindbladian: Lindbladian

    @property
    def is_exact(self) -> bool:
        """Whether the run is the exact reference and no network."""
        return self.config.task.method == "exact"

    @property
    def is_search(self) -> bool:
        """Whether the run is an implicit search for a stationary state."""
        return self.config.task.method == "continuation"

    @property
    def is_projected(self) -> bool:
        """Whether the run is an evolution by implicit projected steps."""
        return self.config.task.method == "projected"

    @cached_property
    def times(self) -> np.ndarray:
        """Output times; a network run always begins with t = 0."""
        task = self.config.task
        if task.times is None:
            return np.linspace(0.0, task.t_end, task.points or 2)
        times = np.asarray(task.times)
        return times if times[0] == 0 else np.concatenate([[0.0], times])

    @cached_property
    def initial(self) -> Initial:
        """The network at t = 0."""
        return make_initial(self.config, self.lattice, self.generator, self.charge)

    @cached_property
    def generator(self) -> LabelMap:
        """The Lindbladian on labels."""
        return lindbladian_map(self.lindbladian)

    @cached_property
    def charge(self) -> Charge | None:
        """The weak symmetry that the network keeps."""
        return make_charge(self.config, self.generator)

    @property
    def samples(self) -> int:
        """Configurations of p(l, r) for one evaluation."""
        count = getattr(self.config.sampling, "samples", None)
        return count or self.lindbladian.local_dim ** (2 * self.lattice.sites)

    @cached_property
    def samplers(self) -> tuple[AbstractSampler, AbstractSampler]:
        """Those of p(l, r) and q(l)."""
        return make_samplers(self.config, self.lattice, self.charge)

    @property
    def observables(self) -> Observables:
        """What is measured."""
        runner = self.search if self.is_search else self.evolution if self.is_projected else self.flow
        return runner.observables

    @cached_property
    def flow(self) -> Flow:
        """Right-hand side, method, control and observables."""
        return _flow(self)

    @cached_property
    def search(self) -> Continuation:
        """The implicit search for a stationary state."""
        return _search(self)

    @cached_property
    def evolution(self) -> Projected:
        """The evolution by implicit projected steps."""
        return _evolution(self)

    @cached_property
    def named(self) -> list[Quantity]:
        """Populations and operators written as text."""
        return named_quantities(self.config, self.lattice)

    def template(self) -> Any:
        """A state of the right structure, to read a checkpoint into."""
        if self.is_exact:
            size = self.lindbladian.local_dim**self.lattice.sites
            return ExactState(step=0, t=0.0, rho=np.zeros((size, size), dtype=complex))
        return self._start()

    def _start(self) -> Any:
        """The first state, on all devices: a program that has seen another placing would be compiled again."""
        ansatz, seed = replicate(self.initial.ansatz), self.config.seed
        task: Any = self.config.task
        if self.is_search:
            return replicate(begin(self.search, ansatz, seed, dt=task.dt, damping=task.damping))
        if self.is_projected:
            return replicate(begin_projected(self.evolution, ansatz, seed, task.dt))
        return replicate(start(self.flow, ansatz, seed, task.dt or 1e-3))

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """Run from the beginning, or from an earlier state (whose snapshot is not yielded again).

        `watch` is called with the state after every step of a flow, where one is taken.
        """
        if self.is_exact:
            yield from self._exact_snapshots(state)
            return
        task: Any = self.config.task
        first = state is None
        origin = self._start() if state is None else state
        options = {"seed": self.config.seed, "first": first, "max_steps": task.max_steps, "watch": watch}
        if self.is_search:
            run = search_stationary(self.search, origin, delta_l=task.delta_L, **options)
        elif self.is_projected:
            run = follow_projected(self.evolution, origin, self.times, **options)
        elif task.kind == "stationary":
            run = relax(self.flow, origin, self.times, delta_l=task.delta_L, **options)
        else:
            run = follow(self.flow, origin, self.times, **options)
        truth = self._truth(origin.t, first=first) if self.config.observables.exact else None
        for snapshot in run:
            extra = {} if truth is None else _distances(snapshot.state.ansatz, next(truth))
            message = self._preparation(origin) if snapshot.step == 0 else snapshot.message
            yield snapshot._replace(diagnostics=snapshot.diagnostics | extra, message=message)

    def _preparation(self, state: Any) -> str:
        """What the noise of the initial state costs."""
        if self.initial.target is None:
            return ""
        lost = 1 - float(_overlap(self.samplers[0], state.ansatz, self.initial.target, state.chains))
        tilt = self.initial.tilt_loss
        return (
            f"The prepared state is not quite the product state asked for: infidelity {lost:.1e} by noise, {tilt:.1e} "
            "by tilt."
        )

    def _truth(self, t: float, *, first: bool = True) -> Iterator[np.ndarray]:
        """Exact density matrices at the output times from `t` on."""
        if self.config.task.kind == "stationary":
            rho = exact.stationary_state(self.lindbladian).rho
            while True:
                yield rho
        times = self.times if self.times[0] == 0 else np.concatenate([[0.0], self.times])
        for time, rho in zip(times, exact.evolve(self.lindbladian, self._exact_start(), times), strict=True):
            if time > t or (time == t and first):
                yield rho

    def _exact_start(self) -> np.ndarray:
        """The initial density matrix without noise, but with the tilt of the prepared one where there is a network."""
        if self.is_exact:
            if (kind := self.config.initial.kind) not in ("product", "levels"):
                raise NeurhoError(f'Key `initial.kind` must not be "{kind}" for task.method = "exact", but it is.')
            return product_matrix(self.config.initial, self.lattice.sites)
        return density_matrix(self.initial.target or self.initial.ansatz)

    def _exact_snapshots(self, state: ExactState | None) -> Iterator[Snapshot]:
        if self.config.task.kind == "stationary":
            if state is None:
                found = exact.stationary_state(self.lindbladian)
                yield self._exact_snapshot(ExactState(step=1, t=0.0, rho=found.rho), message=found.message)
            return
        begin, times = (0.0, self.times) if state is None else (state.t, self.times[self.times > state.t])
        rho0 = self._exact_start() if state is None else state.rho
        grid = times if len(times) and times[0] == begin else np.concatenate([[begin], times])
        for number, (t, rho) in enumerate(zip(grid, exact.evolve(self.lindbladian, rho0, grid), strict=True)):
            if len(grid) == len(times) or number > 0:
                step = (state.step + number) if state is not None else number
                yield self._exact_snapshot(ExactState(step=step, t=float(t), rho=rho))

    def _exact_snapshot(self, state: ExactState, message: str = "") -> Snapshot:
        asked = self.config.observables
        values = exact.expectations(
            state.rho,
            self.lindbladian,
            t=state.t,
            correlations=asked.correlations,
            structure=asked.structure,
            energy=asked.energy,
        ) | exact_values(state.rho, self.named, self.lattice.sites)
        moved = exact.ExactLindbladian(self.lindbladian).apply(state.rho, state.t)
        norm2 = float(np.linalg.norm(moved) ** 2 / np.linalg.norm(state.rho) ** 2)
        return Snapshot(
            step=state.step,
            t=state.t,
            observables={name: Estimate(mean=v, error=np.zeros_like(v)) for name, v in values.items()},
            diagnostics={"lindblad_norm2": norm2},
            state=state,
            message=message,
            converged=self.config.task.kind == "stationary",
        )

    def describe(self) -> dict[str, Any]:
        """Sizes, and an upper estimate of the memory that a run takes."""
        facts: dict[str, Any] = {
            "sites": self.lattice.sites,
            "bonds": len(self.lattice.bonds),
            "method": self.config.task.method,
        }
        if self.is_exact:
            return facts | {"memory_bytes": 16 * self.lindbladian.local_dim ** (2 * self.lattice.sites) * 60}
        count, dim = parameter_count(self.initial.ansatz), self.lindbladian.local_dim**self.lattice.sites
        sampling: Any = self.config.sampling
        if sampling.kind == "metropolis":
            facts |= {
                "samples": sampling.samples,
                "diagonal_samples": sampling.diagonal_samples,
                "chains": sampling.chains,
            }
        else:
            facts |= {"samples": dim**2, "diagonal_samples": dim}
        if not (self.is_search or self.is_projected):
            facts["solver"] = type(self.flow.tdvp.solver).__name__
        chunk = min(sampling.chunk or CHUNK, facts["samples"])
        dense = 8 * (4 * count**2 + 6 * chunk * count)
        samples = facts["samples"] * (8 * self.lattice.sites + 64) + facts["diagonal_samples"] * 8 * (
            self.observables.count + 4
        )
        return facts | {"parameters": count, "memory_bytes": int(4e8 + dense + samples)}

    def reference(self) -> xr.Dataset | None:
        """Exact curves (or values) of a small system, or values shipped for this problem, or None."""
        if (found := reference.shipped(self.config)) is not None:
            return found
        task = self.config.task
        if self.lindbladian.local_dim**self.lattice.sites > REFERENCE_DIMENSION:
            return None
        asked = {"correlations": self.config.observables.correlations, "structure": self.config.observables.structure}
        rows = [
            exact.expectations(rho, self.lindbladian, **asked) | exact_values(rho, self.named, self.lattice.sites)
            for rho in self._reference_states()
        ]
        steady = task.kind == "stationary"
        columns = {}
        for name, first in rows[0].items():
            dims = {"site": ("site",), "bond": ("bond",), "pair": ("site", "site_2")}.get(name.rpartition("_")[2], ())
            value = first if steady else np.stack([row[name] for row in rows])
            columns[name] = (dims if steady else ("t", *dims), value)
        return xr.Dataset(columns, coords={} if steady else {"t": self.times}, attrs={"source": "exact"})

    def _reference_states(self) -> Iterator[np.ndarray]:
        if self.config.task.kind == "stationary":
            yield exact.stationary_state(self.lindbladian).rho
        else:
            yield from self._truth(0.0)


@eqx.filter_jit
def _overlap(sampler: AbstractSampler, ansatz: AbstractAnsatz, target: AbstractAnsatz, chains: Array) -> Array:
    """1 - infidelity of the prepared state, from samples of its own."""
    draw, _, _ = sampler.sample(jax.random.key(0), ansatz.amplitudes(), chains)
    return overlap(ansatz, target, draw)


def build(config: Config) -> Problem:
    """Build the physics of a problem and check what only physics can check.

    **Raises** `NeurhoError` with the sentence of the argument that does not fit.
    """
    sites = make_lattice(config)
    problem = Problem(config=config, lattice=sites, lindbladian=make_lindbladian(config, sites))
    _ = problem.named  # what is wrong in a problem is said before it runs
    if not problem.is_exact:
        _ = problem.initial, problem.observables
    return problem


def _flow(problem: Problem) -> Flow:
    config = problem.config
    task: Any = config.task
    sampling: Any = config.sampling
    solver = {
        "ridge": lambda: solvers.Ridge(task.ridge),
        "cutoff": lambda: solvers.SpectralCutoff(task.cutoff),
        "cg": lambda: solvers.ConjugateGradient(task.ridge, task.cg_tolerance),
        "minsr": lambda: solvers.MinSR(task.ridge),
        "auto": lambda: solvers.automatic(
            problem.samples, parameter_count(problem.initial.ansatz), ridge=task.ridge, tolerance=task.cg_tolerance
        ),
        "snr": lambda: solvers.SignalToNoise(task.snr, task.cutoff),
    }[task.solver]()
    full, diagonal = problem.samplers
    return make_flow(
        problem.lindbladian,
        sampler=full,
        diagonal=diagonal,
        solver=solver,
        method=METHODS[task.method],
        tolerance=task.tolerance,
        dt_max=task.dt_max or math.inf,
        quantities=_quantities(problem),
        centred=task.norm == "fubini-study",
        certificate=config.observables.certificate,
        chunk=sampling.chunk or CHUNK,
    )


def _evolution(problem: Problem) -> Projected:
    task: Any = problem.config.task
    full, diagonal = problem.samplers
    chunk = getattr(problem.config.sampling, "chunk", None) or CHUNK
    return Projected(
        implicit=Implicit(generator=problem.generator, sampler=full, weight=0.5, trust=task.trust, chunk=chunk),
        observables=build_observables(_quantities(problem), diagonal, problem.lattice.sites, chunk=chunk),
        tolerance=task.tolerance,
        dt_max=task.dt_max or math.inf,
        damping=task.damping,
        iterations=task.iterations,
    )


def _search(problem: Problem) -> Continuation:
    task: Any = problem.config.task
    full, diagonal = problem.samplers
    chunk = getattr(problem.config.sampling, "chunk", None) or CHUNK
    implicit = Implicit(generator=problem.generator, sampler=full, trust=task.trust, chunk=chunk)
    final = implicit
    if not full.exact:
        more, _ = make_samplers(problem.config, problem.lattice, problem.charge, more=task.refine)
        final = dataclasses.replace(implicit, sampler=more)
    return Continuation(
        implicit=implicit,
        final=final,
        observables=build_observables(_quantities(problem), diagonal, problem.lattice.sites, chunk=chunk),
        growth=task.growth,
        dt_max=task.dt_max,
        patience=task.patience,
        average=task.average,
    )


def _quantities(problem: Problem) -> list[Quantity]:
    quantities = pauli_of(problem.config, problem.lattice) + problem.named
    if problem.config.observables.energy:
        quantities.append(Quantity("energy", (problem.lindbladian.hamiltonian,), average=True))
    return quantities


def _distances(ansatz: AbstractAnsatz, truth: np.ndarray) -> dict[str, float]:
    rho = density_matrix(ansatz)
    return {"delta_rho": exact.delta_rho(rho, truth), "trace_distance": exact.trace_distance(rho, truth)}
