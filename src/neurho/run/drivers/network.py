"""What all methods that move a network share: samples, memory, what is measured, and how the start was prepared."""

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from neurho import exact
from neurho._jax.parallel import replicate
from neurho._types import NeurhoError, given
from neurho.config import PythonModule
from neurho.matrix_elements.estimation.defect import Defects
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.estimation.estimators import CHUNK, comparison
from neurho.matrix_elements.estimation.observables import Observables, build_observables
from neurho.matrix_elements.estimation.plain_norm import PlainNorm
from neurho.matrix_elements.fitting import fitted
from neurho.matrix_elements.networks import AbstractAnsatz, density_matrix, parameter_count
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import AbstractSampler, Blurred, Enumeration, draw_samples, tuned
from neurho.matrix_elements.symmetry import Charge
from neurho.observables import Quantity, Snapshot, State, Watch
from neurho.observables.names import ENERGY
from neurho.observables.readout import as_values
from neurho.run import memory
from neurho.run.assembly import automatic, make_charge, make_samplers, units_of
from neurho.run.drive import with_energy
from neurho.run.drivers.base import Driver, Facts
from neurho.run.initial import FITTED, Initial, asked_matrix, make_initial
from neurho.run.memory import Sizes
from neurho.run.quantities import pauli_of
from neurho.run.setup import Setup
from neurho.stationary_states import corrections
from neurho.stationary_states.corrections import slowest_rate, stationary_quantities

ROWS = 6 * 16.0
"""Bytes for a configuration and parameter where a depolarised norm takes all rows at once: copies of two numbers."""

PREPARED_DIMENSION = 2**6
"""Largest d^N for which the distance of the prepared state from the one asked for is taken from density matrices."""


class Noise(NamedTuple):
    """How far noise in the parameters moves a prepared state: infidelity, and distance relative to its norm."""

    infidelity: float
    distance: float


@dataclass(frozen=True)
class NetworkDriver(Driver):
    """A network with its samplers. A method adds how to begin, how to run, and what it holds in memory."""

    setup: Setup

    @abstractmethod
    def begin(self, ansatz: AbstractAnsatz) -> Any:
        """The state before the first step, with `ansatz`, `chains`, `diagonal_chains`, `step` and `t`."""

    @abstractmethod
    def run(self, state: State, **options: Any) -> Iterator[Snapshot]:
        """Snapshots from `state` on; options are `seed`, `first`, `max_steps` and `watch`."""

    @abstractmethod
    def need(self, sizes: Sizes) -> float:
        """Bytes at the peak of a run of these sizes."""

    @property
    @abstractmethod
    def observables(self) -> Observables:
        """What is measured."""

    @property
    def implicit(self) -> Implicit:
        """The least-squares problem by which a start is fitted."""
        return Implicit(
            generator=self.setup.generator, sampler=self.samplers[0], weight=0.5, chunk=self.chunk, norm=self.norm
        )

    @cached_property
    def norm(self) -> Depolarised | None:
        """The depolarised norm that is asked for; None for that of Hilbert and Schmidt."""
        strength = getattr(self.setup.task, "metric", None) or 1.0
        return (
            None if strength == 1 else Depolarised.build(strength, self.samplers[0], self.setup.lindbladian.local_dim)
        )

    @cached_property
    def initial(self) -> Initial:
        """The network at t = 0."""
        setup = self.setup
        return make_initial(setup.config, setup.lattice, setup.generator, self.charge, trust=setup.trust)

    @cached_property
    def charge(self) -> Charge | None:
        """The weak symmetry that the network keeps."""
        return make_charge(self.setup.config, self.setup.generator)

    @property
    def samples(self) -> int:
        """Configurations of p(l, r) for one evaluation."""
        full, asked = self.samplers[0], self.setup.config.sampling
        return len(full.configurations) if isinstance(full, Enumeration) else getattr(asked, "samples", 0)

    @cached_property
    def samplers(self) -> tuple[AbstractSampler, AbstractSampler]:
        """Those of p(l, r) and q(l)."""
        return self.sampling()

    def sampling(self, more: int = 1) -> tuple[AbstractSampler, AbstractSampler]:
        """Samplers of p(l, r) and q(l) with `more` times the samples asked for."""
        hermitian = self.initial.ansatz.hermitian
        return make_samplers(self.setup.config, self.setup.lattice, self.charge, hermitian=hermitian, more=more)

    @cached_property
    def quantities(self) -> list[Quantity]:
        """What samples are asked for."""
        setup, asked = self.setup, self.setup.config.observables
        quantities = pauli_of(setup.config, setup.lattice) + setup.named
        if size := self._corrected_size:
            quantities += stationary_quantities(
                setup.lindbladian, bonds=asked.bonds, structure=asked.structure, size=size
            )
        if setup.moving_energy is not None:
            quantities += setup.moving_energy[0]
        elif asked.energy:
            quantities.append(Quantity(ENERGY, (setup.lindbladian.hamiltonian,), average=True))
        return quantities

    @property
    def _norms(self) -> str:
        """Which number is in which norm, where there are two."""
        if self.norm is None:
            return ""
        return (
            f"Residuals, misfits and tolerances are in the depolarised norm, lambda = {float(self.norm.strength):.3g}; "
            "delta_L, lindblad_norm2 and distances in the Hilbert-Schmidt norm; error_estimate is the larger of both."
        )

    @property
    def _corrected_size(self) -> int:
        """The sites of the clusters by which stationary values are corrected, or 0."""
        asked = self.setup.config.observables.corrected
        reason = ""
        if self.setup.task.kind != "stationary":
            reason = 'task.kind is not "stationary"'
        elif self.setup.lindbladian.local_dim != 2:
            reason = "the sites are not spins 1/2"
        elif self.setup.lindbladian.is_time_dependent:
            reason = "the Lindbladian depends on time"
        if asked and reason:
            raise NeurhoError(f"Key `observables.corrected` must be 0 or left out, because {reason}.")
        return 0 if reason else corrections.SIZE if asked is None else asked

    def measuring(self) -> Observables:
        """The quantities as kernels on samples of q(l)."""
        purity = self.setup.config.observables.purity
        return build_observables(
            self.quantities, self.samplers[1], self.setup.lattice.sites, chunk=self.chunk, purity=purity
        )

    def defects(self) -> Defects | None:
        """What tells the defect of a step on samples that it has not seen, where certificates are asked for."""
        if not self.setup.config.observables.certificate:
            return None
        sums = self.norm is not None
        return Defects.build(self.setup.lattice, self.setup.generator, *self.samplers, chunk=self.chunk, sums=sums)

    @cached_property
    def _sizes(self) -> Sizes:
        """What the memory of a network run follows from, with the largest chunk that it may take."""
        config, network = self.setup.config, self.setup.config.ansatz
        sampling = given(config.sampling)
        dim, refine = self.setup.lindbladian.local_dim, getattr(config.task, "refine", None)
        exact, states = sampling.kind == "enumeration", dim**self.setup.lattice.sites
        more = 1 if exact else refine or 1
        count = parameter_count(self.initial.ansatz)
        units = units_of(config, self.setup.lattice)
        return Sizes(
            parameters=count,
            units=count // (2 * self.setup.lattice.sites) if isinstance(network, PythonModule) else units,
            samples=more * self.samples,
            diagonal=states if sampling.kind == "enumeration" else more * sampling.diagonal_samples,
            operators=sum(len(shared) for shared in {id(q.operators): q.operators for q in self.quantities}.values()),
            chunk=sampling.chunk or CHUNK,
        )

    @cached_property
    def chunk(self) -> int:
        """Samples worked on at once: as asked for, or as many as fit into the memory that a run may take."""
        sampling = given(self.setup.config.sampling)
        if sampling.chunk or sampling.memory_gb is None:
            return self._sizes.chunk
        return memory.fitting_chunk(self._sizes, self.need, sampling.memory_gb * memory.GIGA)

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        sizes = self._sizes._replace(chunk=self.chunk)
        return self.need(sizes) + (0.0 if self.norm is None else ROWS * sizes.samples * sizes.parameters)

    @property
    def remedies(self) -> Sequence[str]:
        """What needs less memory."""
        return ("a smaller network", "fewer samples")

    def prepare(self) -> None:
        """The network and what is measured in it."""
        _ = self.initial, self.observables

    def template(self) -> State:
        """A state of the right structure, to read a checkpoint into."""
        return self._start()

    def _start(self, ansatz: AbstractAnsatz | None = None) -> Any:
        """The first state, on all devices: a program that has seen another placing would be compiled again."""
        return replicate(self.begin(replicate(ansatz or self.initial.ansatz)))

    def _fitted(self, origin: Any) -> Any:
        """The first state with its network moved towards the product state that it stands for."""
        corrections, target = getattr(self.setup.config.initial, "fit", 0), self.initial.target
        if not corrections or target is None:
            return origin
        key = jax.random.fold_in(jax.random.key(self.setup.config.seed), 4)
        nearest = fitted(self.implicit, origin.ansatz, target, origin.chains, key, corrections=corrections)
        return self._start(nearest)

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """Go on from the beginning, or from an earlier state, and say beside every output how far to trust it."""
        task = self.setup.task
        first, evolves = state is None, task.kind == "evolve"
        origin = self._fitted(self._start()) if state is None else state
        noise = self._cost_of_noise(origin) if first else Noise(0.0, 0.0)
        preparation = None
        if first and evolves:
            preparation = self._cost_of_preparation(origin.ansatz, noise.distance)
            origin = origin._replace(error=preparation)
        run = self.run(origin, seed=self.setup.config.seed, first=first, max_steps=task.max_steps, watch=watch)
        asked = self.setup.config.observables.reference == "exact"
        truth = self._truth(origin.t, first=first) if asked else None
        for snapshot in run:
            if self.setup.moving_energy is not None:
                observables = with_energy(snapshot.observables, self.setup.moving_energy[1], snapshot.t)
                snapshot = snapshot._replace(observables=observables)
            extra = self._plain_norm(snapshot)
            if not evolves:
                extra |= {"relaxation": self._relaxation}
            if truth is not None:
                extra |= _distances(snapshot.state.ansatz, next(truth))
            if preparation is not None and snapshot.step == 0:
                extra |= {"preparation": preparation}
            words = (self._preparation(noise.infidelity), self.setup.several_states, self._norms)
            message = " ".join(filter(None, (*(words if snapshot.step == 0 else ()), snapshot.message)))
            yield snapshot._replace(diagnostics=snapshot.diagnostics | extra, message=message)

    @cached_property
    def _relaxation(self) -> float:
        """The scale of what is near a stationary state."""
        return slowest_rate(self.setup.lindbladian)

    @cached_property
    def _plain(self) -> PlainNorm | None:
        full = self.samplers[0]
        if not isinstance(full, Blurred) or not self.setup.config.observables.certificate:
            return None
        return PlainNorm(generator=self.setup.generator, sampler=full.chain, chunk=self.chunk)

    def _plain_norm(self, snapshot: Snapshot) -> dict[str, float]:
        """||L rho||^2/||rho||^2 without blur; in a search for a stationary state only of the states that count."""
        state = snapshot.state
        if self._plain is None or getattr(state, "left", 0) < 0:
            return {}
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(self.setup.config.seed), 3), snapshot.step)
        t = jnp.asarray(snapshot.t if self.setup.task.kind == "evolve" else 0.0, dtype=float)
        plain = self._plain
        if automatic(self.setup.config).exponent:
            plain = dataclasses.replace(plain, sampler=tuned(plain.sampler, state.tuning._replace(blur=0.0)))
        found = plain(key, t, state.ansatz, state.chains)
        return {name: float(value) for name, value in as_values({"lindblad_norm2_plain": found}).items()}

    def _cost_of_noise(self, state: State) -> Noise:
        """What noise in the parameters takes from the prepared state."""
        if self.initial.target is None:
            return Noise(0.0, 0.0)
        chains = (state.chains, state.diagonal_chains)
        draws = [
            draw_samples(sampler, jax.random.key(0), state.ansatz, begin)[0]
            for sampler, begin in zip(self.samplers, chains, strict=True)
        ]
        found = comparison(state.ansatz, self.initial.target, *draws)
        return Noise(infidelity=max(0.0, 1 - float(found.overlap)), distance=float(found.distance))

    def _cost_of_preparation(self, ansatz: AbstractAnsatz, noise: float) -> float:
        """How far the network is from the state asked for, relative to the norm of that.

        Computed from both density matrices where these are small; otherwise the sum of what noise and tilt cost, an
        upper bound.
        """
        if self.setup.lindbladian.local_dim**self.setup.lattice.sites > PREPARED_DIMENSION:
            return noise + self.initial.tilt_distance
        return exact.delta_rho(density_matrix(ansatz), self.asked_matrix())

    def _preparation(self, lost: float) -> str:
        """What the noise of the initial state costs."""
        if self.initial.target is None:
            return ""
        tilt = self.initial.tilt_loss
        cause = "its fit" if given(self.setup.config.ansatz).kind in FITTED else "noise"
        return (
            f"The prepared state is not quite the product state asked for: infidelity {lost:.1e} by {cause}, "
            f"{tilt:.1e} by tilt."
        )

    def _truth(self, t: float, *, first: bool = True) -> Iterator[np.ndarray]:
        """Exact density matrices at the output times from `t` on."""
        if self.setup.task.kind == "stationary":
            rho = exact.stationary_state(self.setup.lindbladian).rho
            while True:
                yield rho
        times = self.setup.times
        for time, rho in zip(times, exact.evolve(self.setup.lindbladian, self.asked_matrix(), times), strict=True):
            if time > t or (time == t and first):
                yield rho

    def asked_matrix(self) -> np.ndarray:
        """The density matrix that the problem asks for, without noise and tilt."""
        if self.setup.config.initial.kind in ("product", "levels"):
            return self.setup.start_matrix  # without building a network
        return asked_matrix(self.setup.config, self.setup.lattice, self.setup.generator, self.initial)

    def describe(self) -> Facts:
        """Samples and parameters."""
        sampling = given(self.setup.config.sampling)
        if sampling.kind == "metropolis":
            facts = {
                "samples": sampling.samples,
                "diagonal_samples": sampling.diagonal_samples,
                "chains": sampling.chains,
            }
        else:
            dim = self.setup.lindbladian.local_dim**self.setup.lattice.sites
            facts = {"configurations": self.samples, "diagonal_configurations": dim}
        return {**facts, "parameters": parameter_count(self.initial.ansatz), "chunk": self.chunk}


def _distances(ansatz: AbstractAnsatz, truth: np.ndarray) -> dict[str, float]:
    rho = density_matrix(ansatz)
    return {
        "delta_rho": exact.delta_rho(rho, truth),
        "trace_distance": exact.trace_distance(rho, truth),
        "purity_network": exact.purity(rho),
        "purity_exact": exact.purity(truth),
        "smallest_eigenvalue": float(np.linalg.eigvalsh(rho)[0]),
    }
