"""The parts of the flow of a network: right-hand side, Runge-Kutta methods, what is measured, and the flow itself."""

from neurho.dynamics.flow import Flow, evolve, make_flow, stationary_state
from neurho.dynamics.integrate import (
    BOSH3,
    DOPRI5,
    EULER,
    HEUN,
    HEUN_EULER,
    MIDPOINT,
    RK4,
    Method,
    StepControl,
    Tableau,
)
from neurho.matrix_elements.estimation.observables import reduced_density_matrix
from neurho.matrix_elements.generator import LabelMap, lindbladian_map
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.observables import Quantity, pauli_quantities
from neurho.stationary_states.corrections import stationary_quantities

__all__ = [
    "BOSH3",
    "DOPRI5",
    "EULER",
    "HEUN",
    "HEUN_EULER",
    "MIDPOINT",
    "RK4",
    "TDVP",
    "Flow",
    "LabelMap",
    "Method",
    "Quantity",
    "StepControl",
    "Tableau",
    "evolve",
    "lindbladian_map",
    "make_flow",
    "pauli_quantities",
    "reduced_density_matrix",
    "stationary_quantities",
    "stationary_state",
]
