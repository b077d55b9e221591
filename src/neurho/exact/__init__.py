"""Exact dynamics and stationary states of small systems, matrix-free. NumPy and SciPy only.

A density matrix is an array of shape `(D, D)`, D = d^N, rows and columns numbered with site 0 slowest. With
K = -i H - 1/2 sum_j gamma_j c_j^+ c_j the master equation reads (hbar = 1)

    L rho = K rho + rho K^+ + sum_j gamma_j c_j rho c_j^+

and nothing larger than a few dozen arrays of the size of rho is ever made.
"""

from neurho.exact.correlation import correlation
from neurho.exact.density import (
    PAULI,
    delta_rho,
    expectation,
    expectations,
    product_of,
    product_state,
    purity,
    reduced,
    trace_distance,
)
from neurho.exact.dynamics import Place, evolve, follow
from neurho.exact.fidelity import average_gate_fidelity, process_fidelity, state_fidelity
from neurho.exact.generator import ExactLindbladian
from neurho.exact.stationary import ExactStationary, stationary_state
from neurho.model.operators import gates_unitary

__all__ = [
    "PAULI",
    "ExactLindbladian",
    "ExactStationary",
    "Place",
    "average_gate_fidelity",
    "correlation",
    "delta_rho",
    "evolve",
    "expectation",
    "expectations",
    "follow",
    "gates_unitary",
    "process_fidelity",
    "product_of",
    "product_state",
    "purity",
    "reduced",
    "state_fidelity",
    "stationary_state",
    "trace_distance",
]
