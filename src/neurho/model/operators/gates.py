"""Gates of a quantum processor as pulses of the Hamiltonian that turn by a given angle."""

from collections.abc import Sequence
from typing import NamedTuple, Required, TypedDict

import numpy as np

from neurho._types import as_real, require, require_keys, require_sites
from neurho.model.operators.algebra import LocalTerm, Operator, local
from neurho.model.operators.named import PAULI_X, PAULI_Y, PAULI_Z
from neurho.model.pulses import sin2


class Gate(NamedTuple):
    """U = exp(-i angle G): G, the angle unless one is given (None: it must be), and whether one may be given."""

    generator: np.ndarray
    angle: float | None = None
    free: bool = True


_EXCITED = (np.eye(2) + PAULI_Z) / 2
_XX, _YY, _ZZ = (np.kron(p, p) for p in (PAULI_X, PAULI_Y, PAULI_Z))

GATES = {
    "rx": Gate(PAULI_X / 2),
    "ry": Gate(PAULI_Y / 2),
    "rz": Gate(PAULI_Z / 2),
    "x": Gate(PAULI_X / 2, np.pi, free=False),
    "y": Gate(PAULI_Y / 2, np.pi, free=False),
    "z": Gate(PAULI_Z / 2, np.pi, free=False),
    "sx": Gate(PAULI_X / 2, np.pi / 2, free=False),
    "h": Gate((PAULI_X - PAULI_Z) / np.sqrt(8), np.pi, free=False),
    "rzz": Gate(_ZZ / 2),
    "cz": Gate(np.kron(_EXCITED, _EXCITED), np.pi),
    "cx": Gate(np.kron(_EXCITED, np.eye(2) - PAULI_X) / 2, np.pi),
    "iswap": Gate((_XX + _YY) / -4, np.pi),
}
"""Gates by name; those of two sites have the first site as the slowest index."""


class GateTable(TypedDict, total=False):
    """A gate by its name, the sites that it turns, its angle in radians, and when its pulse begins and how long it is.

    An ideal gate has no duration.
    """

    gate: Required[str]
    at: Required[Sequence[int]]
    angle: float | None
    start: float
    duration: float


def gate_terms(sites: int, gate: GateTable) -> list[LocalTerm]:
    """The terms f(t) angle G of a gate, with a pulse f = (2/duration) sin^2(pi (t - start)/duration) of area one.

    | gate | U = exp(-i angle G) |
    |---|---|
    | `rx`, `ry`, `rz` | exp(-i angle/2 sigma^a) on each site of `at` |
    | `x`, `y`, `z`, `sx` | rotations by pi; `sx` by pi/2 about x |
    | `h` | Hadamard gate: down, the ground state, becomes (down + up)/sqrt 2, and up becomes (down - up)/sqrt 2 |
    | `rzz` | exp(-i angle/2 sigma^z sigma^z) on a pair |
    | `cz` | the phase -angle (pi) where both are excited |
    | `cx` | the second of the pair turns by angle (pi) about x where the first is excited |
    | `iswap` | exp(i angle/4 (sigma^x sigma^x + sigma^y sigma^y)), exchanges up down and down up with a phase i |

    "Up" is excited, so that in the order (ground, excited) the axes y and z point the other way. Without noise U is
    exact for terms that commute with G; noise, crosstalk and detuning act meanwhile.

    **Arguments**

    - `sites`: of the lattice.
    - `gate`: its name, `gate`; `at`: the sites that are turned, for gates on two sites a pair; `angle`: in radians;
      `start`, 0 unless given, and `duration`.

    **Raises** `NeurhoError` for an unknown gate, sites that are not there, no pair where there must be one, a duration
    that is not > 0, a rotation without an angle and an angle for a gate that has its own.
    """
    require_keys(gate, GateTable)
    require("duration" in gate, "duration", "be given", "it is missing")
    start, duration = as_real(gate.get("start", 0.0), "start"), as_real(gate.get("duration"), "duration")
    require(duration > 0, "duration", "be > 0", f"it is {duration}")
    pulse = sin2(2 / duration, start=start, end=start + duration)
    return [LocalTerm(t.sites, t.matrix, pulse) for part in _generators(sites, gate) for t in part.terms]


def _generators(sites: int, table: GateTable) -> list[Operator]:
    """The generators angle G of a gate on each of its sites, or on its pair."""
    gate, at, angle = table["gate"], table["at"], table.get("angle")
    require(gate in GATES, "gate", f"be one of {', '.join(GATES)}", f"it is {gate!r}")
    require_sites(at, sites, "at")
    made = GATES[gate]
    require(made.angle is not None or angle is not None, "angle", f"be given for {gate}", "it is not there")
    require(made.free or angle is None, "angle", f"be left out for {gate}", f"it is {angle}")
    turn = as_real(made.angle if angle is None else angle, "angle")
    places = [int(j) for j in at]
    if len(made.generator) == 2:
        return [local(turn * made.generator, j) for j in places]
    require(len(places) == 2, "at", f"be a pair of sites for {gate}", f"it has {len(places)}")
    return [local(turn * made.generator, places)]


def gates_unitary(gates: Sequence[GateTable], sites: int) -> np.ndarray:
    """The unitary matrix of gates without noise and duration, `(2^sites, 2^sites)`, in the order of their `start`.

    Gates that overlap in time are taken one after the other, too.

    ```python
    import numpy as np
    import neurho

    bell = neurho.exact.gates_unitary([{"gate": "h", "at": [0]}, {"gate": "cx", "at": [0, 1]}], 2) @ [0, 0, 0, 1]
    assert np.allclose(np.abs(bell) ** 2, [0.5, 0, 0, 0.5])  # from both down
    ```

    **Arguments**

    - `gates`: mappings as those of [`neurho.processor`][]; `start` and `duration` may be left out.

    **Raises** `NeurhoError` as `gate_terms` does.
    """
    unitary = np.eye(2**sites, dtype=complex)
    for gate in gates:
        require_keys(gate, GateTable)
    for gate in sorted(gates, key=lambda gate: gate.get("start", 0.0)):
        for generator in _generators(sites, gate):
            (term,) = generator.terms
            values, vectors = np.linalg.eigh(term.matrix)
            turn = (vectors * np.exp(-1j * values)) @ vectors.conj().T
            unitary = local(turn, term.sites).to_sparse(sites) @ unitary
    return unitary
