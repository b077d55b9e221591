"""A problem that runs: snapshots by every method, and what they are compared with."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from neurho import exact, records, reference
from neurho._jax.parallel import replicate
from neurho._types import NeurhoError, brief
from neurho.config import WITHOUT_NETWORK, Config
from neurho.dynamics.flow import follow, relax, start
from neurho.dynamics.projected_steps import begin_projected, follow_projected
from neurho.matrix_elements.estimation.estimators import comparison
from neurho.matrix_elements.estimation.plain_norm import PlainNorm
from neurho.matrix_elements.fitting import fitted
from neurho.matrix_elements.networks import AbstractAnsatz, density_matrix, parameter_count
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import Blurred, draw_samples, tuned
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian
from neurho.observables import Estimate, Snapshot
from neurho.run.assembly import (
    automatic,
    make_lattice,
    make_lindbladian,
)
from neurho.run.drive import require_drive, with_energy
from neurho.run.drivers import DRIVERS, Driver
from neurho.run.initial import asked_matrix, product_matrix
from neurho.run.quantities import exact_values, named_quantities
from neurho.run.setup import Setup
from neurho.stationary.continuation import begin, search_stationary
from neurho.stationary.corrections import slowest_rate

REFERENCE_DIMENSION = 2**8
"""Largest d^N for which an exact reference is computed without being asked for by `method = "exact"`."""


PREPARED_DIMENSION = 2**6
"""Largest d^N for which the distance of the prepared state from the one asked for is taken from density matrices."""


class ExactState(NamedTuple):
    """Where an exact run is."""

    step: int
    t: float
    rho: np.ndarray


class Noise(NamedTuple):
    """How far noise in the parameters moves a prepared state: infidelity, and distance relative to its norm."""

    infidelity: float
    distance: float


@dataclass(frozen=True)
class Problem(Setup):
    """A validated problem, ready to run."""

    def spread_over(self, client: Any) -> "Problem":
        """The same problem, worked on by the workers of a `dask.distributed.Client`, with the same numbers.

        **Raises** `NeurhoError` for other methods than trajectories.
        """
        method = self.config.task.method
        if method != "trajectories":
            raise NeurhoError(f'Workers share the work of task.method = "trajectories" only, but it is "{method}".')
        return dataclasses.replace(self, client=client)

    @cached_property
    def driver(self) -> Driver | None:
        """The method, where it is one that answers a problem by itself."""
        make = DRIVERS.get(self.config.task.method)
        return None if make is None else make(self)

    def template(self) -> Any:
        """A state of the right structure, to read a checkpoint into."""
        if self.driver is not None:
            return self.driver.template()
        if self.is_exact:
            size = self.lindbladian.local_dim**self.lattice.sites
            return ExactState(step=0, t=0.0, rho=np.zeros((size, size), dtype=complex))
        return self._start()

    def _start(self, ansatz: AbstractAnsatz | None = None) -> Any:
        """The first state, on all devices: a program that has seen another placing would be compiled again."""
        ansatz, seed = replicate(ansatz or self.initial.ansatz), self.config.seed
        task: Any = self.config.task
        if self.is_search:
            return replicate(begin(self.search, ansatz, seed, dt=task.dt, damping=task.damping))
        if self.is_projected:
            return replicate(begin_projected(self.evolution, ansatz, seed, task.dt))
        error = 0.0 if task.kind == "evolve" else None
        return replicate(start(self.flow, ansatz, seed, task.dt or 1e-3, error=error))

    def _fitted(self, origin: Any) -> Any:
        """The first state with its network moved towards the product state that it stands for."""
        corrections, target = getattr(self.config.initial, "fit", 0), self.initial.target
        if not corrections or target is None:
            return origin
        key = jax.random.fold_in(jax.random.key(self.config.seed), 4)
        nearest = fitted(self._implicit, origin.ansatz, target, origin.chains, key, corrections=corrections)
        return self._start(nearest)

    @property
    def _implicit(self) -> Implicit:
        """The least-squares problem of implicit steps; that of the evolution, where it has one: compiled once."""
        if self.is_projected:
            return self.evolution.implicit
        return Implicit(generator=self.generator, sampler=self.samplers[0], weight=0.5, chunk=self.chunk)

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """Run from the beginning, or from an earlier state (whose snapshot is not yielded again).

        `watch` is called with the state after every step of a flow, where one is taken.
        """
        self.require_memory()
        if self.driver is not None:
            yield from self.driver.snapshots(state, watch=watch)
            return
        if self.is_exact:
            yield from self._exact_snapshots(state)
            return
        task: Any = self.config.task
        first = state is None
        origin = self._fitted(self._start()) if state is None else state
        noise = self._cost_of_noise(origin) if first else Noise(0.0, 0.0)
        preparation = None
        if first and task.kind == "evolve":
            preparation = self._cost_of_preparation(origin.ansatz, noise.distance)
            origin = origin._replace(error=preparation)
        options = {"seed": self.config.seed, "first": first, "max_steps": task.max_steps, "watch": watch}
        if self.is_search:
            run = search_stationary(self.search, origin, delta_l=task.delta_L, **options)
        elif self.is_projected:
            run = follow_projected(self.evolution, origin, self.times, **options)
        elif task.kind == "stationary":
            run = relax(self.flow, origin, self.times, delta_l=task.delta_L, **options)
        else:
            run = follow(self.flow, origin, self.times, **options)
        truth = self._truth(origin.t, first=first) if self.config.observables.reference == "exact" else None
        for snapshot in run:
            if self._energy is not None:
                observables = with_energy(snapshot.observables, self._energy[1], snapshot.t)
                snapshot = snapshot._replace(observables=observables)
            extra = self._plain_norm(snapshot)
            if task.kind == "stationary":
                extra |= {"relaxation": self._relaxation}
            if truth is not None:
                extra |= _distances(snapshot.state.ansatz, next(truth))
            if preparation is not None and snapshot.step == 0:
                extra |= {"preparation": preparation}
            first_words = (self._preparation(noise.infidelity), self.several_states) if snapshot.step == 0 else ()
            message = " ".join(filter(None, (*first_words, snapshot.message)))
            yield snapshot._replace(diagnostics=snapshot.diagnostics | extra, message=message)

    @cached_property
    def _relaxation(self) -> float:
        """The scale of what is near a stationary state."""
        return slowest_rate(self.lindbladian)

    @cached_property
    def _plain(self) -> PlainNorm | None:
        full = self.samplers[0]
        if not isinstance(full, Blurred) or not self.config.observables.certificate:
            return None
        return PlainNorm(generator=self.generator, sampler=full.chain, chunk=self.chunk)

    def _plain_norm(self, snapshot: Snapshot) -> dict[str, float]:
        """||L rho||^2/||rho||^2 without blur; in a search for a stationary state only of the states that count."""
        state = snapshot.state
        if self._plain is None or getattr(state, "left", 0) < 0:
            return {}
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(self.config.seed), 3), snapshot.step)
        t = jnp.asarray(0.0 if self.is_search else snapshot.t, dtype=float)
        plain = self._plain
        if automatic(self.config).exponent:
            plain = dataclasses.replace(plain, sampler=tuned(plain.sampler, state.tuning._replace(blur=0.0)))
        found = plain(key, t, state.ansatz, state.chains)
        return {"lindblad_norm2_plain": float(found.mean), "lindblad_norm2_plain_error": float(found.error)}

    def _cost_of_noise(self, state: Any) -> Noise:
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
        if self.lindbladian.local_dim**self.lattice.sites > PREPARED_DIMENSION:
            return noise + self.initial.tilt_distance
        asked = asked_matrix(self.config, self.lattice, self.generator, self.initial)
        return exact.delta_rho(density_matrix(ansatz), asked)

    def _preparation(self, lost: float) -> str:
        """What the noise of the initial state costs."""
        if self.initial.target is None:
            return ""
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
        """The density matrix that the problem asks for, without noise and tilt."""
        if (method := self.config.task.method) in WITHOUT_NETWORK:
            if (kind := self.config.initial.kind) not in ("product", "levels"):
                raise NeurhoError(f'Key `initial.kind` must not be "{kind}" for task.method = "{method}", but it is.')
            return product_matrix(self.config.initial, self.lattice)
        return asked_matrix(self.config, self.lattice, self.generator, self.initial)

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
                assumed = self.lindbladian.schedule(begin, self.times[-1]).assumed if step == 0 else ""
                yield self._exact_snapshot(ExactState(step=step, t=float(t), rho=rho), message=assumed)

    def _exact_snapshot(self, state: ExactState, message: str = "") -> Snapshot:
        asked = self.config.observables
        values = exact.expectations(
            state.rho,
            self.lindbladian,
            t=state.t,
            correlations=asked.correlations,
            structure=asked.structure,
            momenta=asked.momenta,
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

    def glance(self, state: Any) -> dict[str, Estimate]:
        """What a method knows between two outputs: of trajectories the means so far; of others nothing."""
        look = getattr(self.driver, "glance", None)
        return {} if look is None else look(state)

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        return super().peak_bytes if self.driver is None else self.driver.peak_bytes

    def describe(self) -> dict[str, Any]:
        """Sizes, and the predicted peak of the memory that a run takes."""
        facts: dict[str, Any] = {
            "sites": self.lattice.sites,
            "bonds": len(self.lattice.bonds),
            "method": self.config.task.method,
        }
        if self.driver is not None:
            return facts | self.driver.describe() | {"memory_bytes": int(self.peak_bytes)}
        if self.is_exact:
            return facts | {"memory_bytes": int(self.peak_bytes)}
        count, dim = parameter_count(self.initial.ansatz), self.lindbladian.local_dim**self.lattice.sites
        sampling: Any = self.config.sampling
        if sampling.kind == "metropolis":
            facts |= {
                "samples": sampling.samples,
                "diagonal_samples": sampling.diagonal_samples,
                "chains": sampling.chains,
            }
        else:
            facts |= {"configurations": self.samples, "diagonal_configurations": dim}
        if not (self.is_search or self.is_projected):
            facts["solver"] = type(self.flow.tdvp.solver).__name__
        return facts | {"parameters": count, "chunk": self.chunk, "memory_bytes": int(self.peak_bytes)}

    def reference(self) -> xr.Dataset | None:
        """Exact curves (or values) of a small system, or values shipped for this problem, or None."""
        if (found := reference.shipped(self.config)) is not None:
            return found
        task = self.config.task
        if self.lindbladian.local_dim**self.lattice.sites > REFERENCE_DIMENSION:
            return None
        asked = {key: getattr(self.config.observables, key) for key in ("correlations", "structure", "momenta")}
        rows = [
            exact.expectations(rho, self.lindbladian, t=float(t), **asked)
            | exact_values(rho, self.named, self.lattice.sites)
            for t, rho in self._reference_states()
        ]
        steady = task.kind == "stationary"
        columns = {}
        for name, first in rows[0].items():
            dims = records.dimensions(name, first.shape)
            value = first if steady else np.stack([row[name] for row in rows])
            columns[name] = (dims if steady else ("t", *dims), value)
        return xr.Dataset(columns, coords={} if steady else {"t": self.times}, attrs={"source": "exact"})

    def _reference_states(self) -> Iterator[tuple[float, np.ndarray]]:
        if self.config.task.kind == "stationary":
            yield 0.0, exact.stationary_state(self.lindbladian).rho
        else:
            yield from zip(self.times, self._truth(0.0), strict=True)


def build(config: Config) -> Problem:
    """Build the physics of a problem and check what only physics can check.

    **Raises** `NeurhoError` with the sentence of the argument that does not fit.
    """
    if not isinstance(config, Config):
        raise NeurhoError(f"Argument `config` must be a Config, as neurho.load(FILE) gives, but it is {brief(config)}.")
    sites = make_lattice(config)
    physics = _physics(config, sites)
    problem = Problem(config=config, lattice=sites, lindbladian=physics)
    if problem.lindbladian.is_time_dependent:
        if config.task.kind == "stationary":
            raise NeurhoError('Key `task.kind` must be "evolve" for a model that depends on time, but it is not.')
        if config.initial.kind == "mean-field":
            raise NeurhoError(
                'Key `initial.kind` must not be "mean-field" for a model that depends on time, but it is.'
            )
        require_drive(config, problem.lindbladian, problem.times)
    _ = problem.named  # what is wrong in a problem is said before it runs
    if problem.driver is None and not problem.is_exact:
        _ = problem.initial, problem.observables
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


def _distances(ansatz: AbstractAnsatz, truth: np.ndarray) -> dict[str, float]:
    rho = density_matrix(ansatz)
    return {
        "delta_rho": exact.delta_rho(rho, truth),
        "trace_distance": exact.trace_distance(rho, truth),
        "purity_network": exact.purity(rho),
        "purity_exact": exact.purity(truth),
        "smallest_eigenvalue": float(np.linalg.eigvalsh(rho)[0]),
    }
