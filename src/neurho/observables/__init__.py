"""What is measured, with errors, and how far it may be trusted."""

from neurho.observables.estimate import Estimate
from neurho.observables.quantities import (
    PAULI,
    Quantity,
    Snapshot,
    State,
    Watch,
    fingerprint,
    pauli_quantities,
    symmetric,
)

__all__ = [
    "PAULI",
    "Estimate",
    "Quantity",
    "Snapshot",
    "State",
    "Watch",
    "fingerprint",
    "pauli_quantities",
    "symmetric",
]
