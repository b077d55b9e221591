"""A validated problem as physics: what is asked, on which lattice, and what is measured. Every method starts here."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neurho import exact
from neurho._types import Coefficient
from neurho.config import Config
from neurho.exact.density import means
from neurho.matrix_elements.generator import LabelMap, lindbladian_map
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian
from neurho.observables import Quantity
from neurho.observables.names import ENERGY
from neurho.observables.readout import Readout, make_readout, with_entropy
from neurho.run.drive import energy_parts
from neurho.run.initial import exact_start, product_factors
from neurho.run.quantities import fidelity_quantity, named_quantities, pauli_of
from neurho.stationary_states.uniqueness import several_states


@dataclass(frozen=True)
class Setup:
    """The physics of a validated problem; its parts are built when first needed.

    - `client`: a `dask.distributed.Client` whose workers share the work of trajectories; None for this process alone.
    """

    config: Config
    lattice: Lattice
    lindbladian: Lindbladian
    trust: bool = False
    """Whether code that the problem names may run."""
    client: Any = None

    @property
    def task(self) -> Any:
        """The table [task]: each method has keys of its own, and those are never None where it runs."""
        return self.config.task

    @cached_property
    def times(self) -> np.ndarray:
        """Output times; they always begin with t = 0."""
        task = self.config.task
        if task.times is None:
            return np.linspace(0.0, task.t_end, task.points or 2)
        times = np.asarray(task.times)
        return times if times[0] == 0 else np.concatenate([[0.0], times])

    @cached_property
    def generator(self) -> LabelMap:
        """The Lindbladian on labels."""
        return lindbladian_map(self.lindbladian)

    @cached_property
    def several_states(self) -> str:
        """A sentence if the stationary state that is looked for is not the only one, or ""."""
        return several_states(self.lindbladian, self.generator) if self.config.task.kind == "stationary" else ""

    @cached_property
    def named(self) -> list[Quantity]:
        """Populations, operators written as text, and the fidelity with what ideal gates do."""
        named = named_quantities(self.config, self.lattice)
        return named + fidelity_quantity(self.config, self.factors) if self.config.observables.fidelity else named

    @cached_property
    def moving_energy(self) -> tuple[list[Quantity], list[Coefficient]] | None:
        """The parts of an energy that depends on time, with their coefficients; None where it does not, or is not asked
        for.
        """
        hamiltonian = self.lindbladian.hamiltonian
        moving = any(term.coefficient is not None for term in hamiltonian.terms)
        return energy_parts(hamiltonian) if moving and self.config.observables.energy else None

    @cached_property
    def readout(self) -> Readout:
        """What is measured by methods that know every mean: Pauli means, named operators, the energy."""
        quantities, moving = pauli_of(self.config, self.lattice) + self.named, self.moving_energy
        if moving is not None:
            return make_readout(quantities + moving[0], self.lattice.sites, moving[1])
        if self.config.observables.energy:
            quantities = [*quantities, Quantity(ENERGY, (self.lindbladian.hamiltonian,), average=True)]
        return make_readout(quantities, self.lattice.sites)

    def exact_values(self, rho: np.ndarray, t: float) -> dict[str, np.ndarray]:
        """What is measured, and the purity, in a density matrix `(d^N, d^N)`."""
        found = self.readout.combine(means(rho, self.readout.operators, self.lattice.sites), t)
        return found | with_entropy(exact.purity(rho))

    @cached_property
    def factors(self) -> np.ndarray:
        """The density matrices of the sites of a product start without noise or tilt, `(sites, d, d)`."""
        return product_factors(self.config, self.lattice)

    @cached_property
    def start_matrix(self) -> np.ndarray:
        """The density matrix at t = 0 where no network stands for it, `(d^N, d^N)`.

        **Raises** `NeurhoError` for a start that is known for networks only.
        """
        return exact_start(self.config, self.lindbladian)
