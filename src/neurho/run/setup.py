"""From a problem file to the numerics of a run, and the memory they take: where strings become objects."""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neurho._types import Coefficient, NeurhoError
from neurho.config import WITHOUT_NETWORK, Config
from neurho.dynamics.flow import Flow, make_flow
from neurho.dynamics.projected_steps import Projected
from neurho.matrix_elements.estimation.defect import Defects
from neurho.matrix_elements.estimation.estimators import CHUNK
from neurho.matrix_elements.estimation.observables import Observables, build_observables
from neurho.matrix_elements.generator import LabelMap, lindbladian_map
from neurho.matrix_elements.networks import parameter_count
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import AbstractSampler, Enumeration
from neurho.matrix_elements.symmetry import Charge
from neurho.matrix_elements.tdvp import solvers
from neurho.matrix_elements.tdvp.crossvalidation import MAX_PARAMETERS, CrossValidated
from neurho.matrix_elements.tdvp.solvers import AbstractSolver
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian
from neurho.observables import Quantity
from neurho.observables.readout import Readout, make_readout
from neurho.run import memory
from neurho.run.assembly import (
    METHODS,
    automatic,
    make_charge,
    make_samplers,
    units_of,
)
from neurho.run.drive import energy_parts
from neurho.run.initial import Initial, make_initial, product_factors
from neurho.run.memory import Sizes
from neurho.run.quantities import named_quantities, pauli_of
from neurho.stationary import corrections as stationarity
from neurho.stationary.continuation import Continuation
from neurho.stationary.corrections import stationary_quantities
from neurho.stationary.uniqueness import several_states


@dataclass(frozen=True)
class Setup:
    """The physics and the numerics of a validated problem; the numerics are built when first needed."""

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
    def several_states(self) -> str:
        """A sentence if the stationary state that is looked for is not the only one, or ""."""
        return several_states(self.lindbladian, self.generator) if self.config.task.kind == "stationary" else ""

    @cached_property
    def charge(self) -> Charge | None:
        """The weak symmetry that the network keeps."""
        return make_charge(self.config, self.generator)

    @property
    def samples(self) -> int:
        """Configurations of p(l, r) for one evaluation."""
        full, asked = self.samplers[0], self.config.sampling
        return len(full.configurations) if isinstance(full, Enumeration) else getattr(asked, "samples", 0)

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
    def _solver(self) -> AbstractSolver:
        return _solver(self)

    @cached_property
    def _quantities(self) -> list[Quantity]:
        return _quantities(self)

    @cached_property
    def readout(self) -> Readout:
        """What is measured by methods that know every mean: Pauli means, named operators, the energy."""
        quantities, moving = pauli_of(self.config, self.lattice) + self.named, self._energy
        if moving is not None:
            return make_readout(quantities + moving[0], self.lattice.sites, moving[1])
        if self.config.observables.energy:
            quantities = [*quantities, Quantity("energy", (self.lindbladian.hamiltonian,), average=True)]
        return make_readout(quantities, self.lattice.sites)

    @cached_property
    def factors(self) -> np.ndarray:
        """The density matrices of the sites of a product start without noise or tilt, `(sites, d, d)`."""
        return product_factors(self.config, self.lattice)

    @cached_property
    def named(self) -> list[Quantity]:
        """Populations and operators written as text."""
        return named_quantities(self.config, self.lattice)

    @property
    def corrected_size(self) -> int:
        """The sites of the clusters by which stationary values are corrected, or 0."""
        asked = self.config.observables.corrected
        reason = ""
        if self.config.task.kind != "stationary":
            reason = 'task.kind is not "stationary"'
        elif self.lindbladian.local_dim != 2:
            reason = "the sites are not spins 1/2"
        elif self.lindbladian.is_time_dependent:
            reason = "the Lindbladian depends on time"
        if asked and reason:
            raise NeurhoError(f"Key `observables.corrected` must be 0 or left out, because {reason}.")
        return 0 if reason else stationarity.SIZE if asked is None else asked

    @cached_property
    def _energy(self) -> tuple[list[Quantity], list[Coefficient]] | None:
        """The parts of an energy that depends on time, with their coefficients; None where it does not, or is not asked
        for.
        """
        hamiltonian = self.lindbladian.hamiltonian
        moving = any(term.coefficient is not None for term in hamiltonian.terms)
        return energy_parts(hamiltonian) if moving and self.config.observables.energy else None

    @cached_property
    def _sizes(self) -> Sizes:
        """What the memory of a network run follows from, with the largest chunk that it may take."""
        config = self.config
        sampling: Any = config.sampling
        dim, refine = self.lindbladian.local_dim, getattr(config.task, "refine", None)
        exact = sampling.kind == "enumeration"
        more = 1 if exact else refine or 1
        return Sizes(
            parameters=parameter_count(self.initial.ansatz),
            units=units_of(config, self.lattice),
            samples=more * self.samples,
            diagonal=dim**self.lattice.sites if exact else more * sampling.diagonal_samples,
            operators=sum(len(shared) for shared in {id(q.operators): q.operators for q in self._quantities}.values()),
            chunk=sampling.chunk or CHUNK,
        )

    def _need(self, sizes: Sizes) -> float:
        if self.is_search or self.is_projected:
            return memory.of_implicit(sizes, search=self.is_search)
        need = memory.of_flow(sizes, self._solver)
        fits = getattr(self.config.initial, "fit", 0) > 0
        return max(need, memory.of_implicit(sizes, search=False)) if fits else need

    @cached_property
    def chunk(self) -> int:
        """Samples worked on at once: as asked for, or as many as fit into the memory that a run may take."""
        sampling: Any = self.config.sampling
        if sampling.chunk or sampling.memory_gb is None:
            return self._sizes.chunk
        return memory.fitting_chunk(self._sizes, self._need, sampling.memory_gb * memory.GIGA)

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        if self.is_exact:
            dim, task = self.lindbladian.local_dim**self.lattice.sites, self.config.task
            moving = self.lindbladian.is_time_dependent
            return memory.of_exact(dim, stationary=task.kind == "stationary", moving=moving)
        return self._need(self._sizes._replace(chunk=self.chunk))

    def require_memory(self) -> None:
        """Refuse a run that needs more memory than it may take or the machine has.

        **Raises** `NeurhoError` with what is needed, and what to change.
        """
        ways = ["fewer sites"] if self.config.task.method in WITHOUT_NETWORK else ["a smaller network", "fewer samples"]
        if self.config.task.method in METHODS:
            ways += ['task.solver = "cg"'] * (not isinstance(self._solver, solvers.ConjugateGradient))
        memory.require(self.peak_bytes, getattr(self.config.sampling, "memory_gb", None), ways)


def _solver(problem: Setup) -> AbstractSolver:
    task: Any = problem.config.task
    return {
        "ridge": lambda: solvers.Ridge(task.ridge),
        "cutoff": lambda: solvers.SpectralCutoff(task.cutoff),
        "cg": lambda: solvers.ConjugateGradient(task.ridge, task.cg_tolerance),
        "minsr": lambda: solvers.MinSR(task.ridge),
        "auto": lambda: solvers.automatic(
            problem.samples, parameter_count(problem.initial.ansatz), ridge=task.ridge, tolerance=task.cg_tolerance
        ),
        "snr": lambda: solvers.SignalToNoise(task.snr, task.cutoff),
        "cross-validated": lambda: _cross_validated(problem),
    }[task.solver]()


def _flow(problem: Setup) -> Flow:
    config = problem.config
    task: Any = config.task
    full, diagonal = problem.samplers
    return make_flow(
        problem.lindbladian,
        generator=problem.generator,
        sampler=full,
        diagonal=diagonal,
        solver=problem._solver,
        method=METHODS[task.method],
        tolerance=task.tolerance,
        dt_max=task.dt_max or math.inf,
        quantities=problem._quantities,
        purity=config.observables.purity,
        centred=task.norm == "fubini-study",
        certificate=config.observables.certificate,
        chunk=problem.chunk,
    )


def _cross_validated(problem: Setup) -> CrossValidated:
    count, config = parameter_count(problem.initial.ansatz), problem.config
    if count > MAX_PARAMETERS:
        raise NeurhoError(
            f'Key `task.solver` must be "cg", "minsr" or "auto" for more than {MAX_PARAMETERS} parameters, but it is '
            f'"cross-validated" with {count}.'
        )
    if config.sampling is not None and config.sampling.kind == "metropolis" and config.sampling.chains < 2:
        raise NeurhoError('Key `sampling.chains` must be at least 2 for solver "cross-validated", but it is 1.')
    return CrossValidated()


def _evolution(problem: Setup) -> Projected:
    task: Any = problem.config.task
    full, _ = problem.samplers
    return Projected(
        implicit=Implicit(generator=problem.generator, sampler=full, weight=0.5, trust=task.trust, chunk=problem.chunk),
        observables=_observables(problem),
        tolerance=task.tolerance,
        dt_max=task.dt_max or math.inf,
        damping=task.damping,
        iterations=task.iterations,
        automatic=automatic(problem.config),
        defects=_defects(problem),
    )


def _defects(problem: Setup) -> Defects | None:
    if not problem.config.observables.certificate:
        return None
    return Defects.build(problem.lattice, problem.generator, *problem.samplers, chunk=problem.chunk)


def _search(problem: Setup) -> Continuation:
    task: Any = problem.config.task
    full, _ = problem.samplers
    implicit = Implicit(generator=problem.generator, sampler=full, trust=task.trust, chunk=problem.chunk)
    final, observables = implicit, _observables(problem)
    closing = observables
    if not full.exact:
        more, diagonal = make_samplers(problem.config, problem.lattice, problem.charge, more=task.refine)
        final = dataclasses.replace(implicit, sampler=more)
        closing = dataclasses.replace(observables, sampler=diagonal)
    return Continuation(
        implicit=implicit,
        final=final,
        observables=observables,
        closing=closing,
        growth=task.growth,
        dt_max=task.dt_max,
        patience=task.patience,
        average=task.average,
        automatic=automatic(problem.config),
    )


def _observables(problem: Setup) -> Observables:
    purity, diagonal = problem.config.observables.purity, problem.samplers[1]
    return build_observables(problem._quantities, diagonal, problem.lattice.sites, chunk=problem.chunk, purity=purity)


def _quantities(problem: Setup) -> list[Quantity]:
    quantities = pauli_of(problem.config, problem.lattice) + problem.named
    if size := problem.corrected_size:
        asked = problem.config.observables
        quantities += stationary_quantities(
            problem.lindbladian, bonds=asked.bonds, structure=asked.structure, size=size
        )
    if problem._energy is not None:
        quantities += problem._energy[0]
    elif problem.config.observables.energy:
        quantities.append(Quantity("energy", (problem.lindbladian.hamiltonian,), average=True))
    return quantities
