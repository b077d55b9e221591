"""Operators as sums of local terms, and the Lindbladian that they make: nothing here is compiled."""

from neurho.model.operators.algebra import (
    LocalTerm,
    Operator,
    embed,
    identity,
    local,
    require_same_dim,
    total,
)
from neurho.model.operators.coefficients import (
    evaluate,
    product,
    rate_at,
    require_bounded,
    require_function,
    shown,
    value_at,
    value_in,
    written,
)
from neurho.model.operators.driven import Pulses, each, pulses_of
from neurho.model.operators.gates import GATES, GateTable, gate_terms, gates_unitary
from neurho.model.operators.lindbladian import MAX_LABELS, Jump, Lindbladian, adjoint_lindbladian
from neurho.model.operators.named import PAULI_X, PAULI_Y, PAULI_Z, SIGMA_MINUS, destroy, sm, sp, spin, sx, sy, sz

__all__ = [
    "GATES",
    "MAX_LABELS",
    "PAULI_X",
    "PAULI_Y",
    "PAULI_Z",
    "SIGMA_MINUS",
    "GateTable",
    "Jump",
    "Lindbladian",
    "LocalTerm",
    "Operator",
    "Pulses",
    "adjoint_lindbladian",
    "destroy",
    "each",
    "embed",
    "evaluate",
    "gate_terms",
    "gates_unitary",
    "identity",
    "local",
    "product",
    "pulses_of",
    "rate_at",
    "require_bounded",
    "require_function",
    "require_same_dim",
    "shown",
    "sm",
    "sp",
    "spin",
    "sx",
    "sy",
    "sz",
    "total",
    "value_at",
    "value_in",
    "written",
]
