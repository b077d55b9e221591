"""Gates of a quantum processor as pulses of the Hamiltonian that turn by a given angle."""

from collections.abc import Sequence

import numpy as np

from neurho._types import require, require_sites
from neurho.model.operators.algebra import LocalTerm
from neurho.model.operators.named import PAULI_X, PAULI_Y, PAULI_Z
from neurho.model.pulses import sin2

AXES = {"rx": PAULI_X, "ry": PAULI_Y, "rz": PAULI_Z}
"""What rotations of one qubit turn about."""

GATES = (*AXES, "cz")


def gate_terms(
    sites: int,
    *,
    gate: str,
    at: Sequence[int],
    duration: float,
    start: float = 0.0,
    angle: float | None = None,
) -> list[LocalTerm]:
    """The terms f(t) G of a gate, with a pulse f = (2/duration) sin^2(pi (t - start)/duration) of area one.

        rx, ry, rz:  G = angle/2 sigma^a_j, so that U = exp(-i angle/2 sigma^a), on each site of `at`
        cz:          G = angle/4 (1 + sigma^z_j)(1 + sigma^z_l) but for a constant: the phase -angle of both excited

    "Up" is excited, so that in the order (ground, excited) the axes y and z point the other way. Without noise U is
    exact for terms that commute with G; noise, crosstalk and detuning act meanwhile.

    **Arguments**

    - `sites`: of the lattice. `at`: the sites that are turned, for cz a pair.
    - `angle`: in radians; pi for cz unless given.

    **Raises** `NeurhoError` for an unknown gate, sites that are not there, a cz that is not on a pair, a duration that
    is not > 0, and a rotation without an angle.
    """
    require(gate in GATES, "gate", f"be one of {', '.join(GATES)}", f"it is {gate!r}")
    require_sites(at, sites, "at")
    require(np.isfinite(start) and np.isfinite(duration) and duration > 0, "duration", "be > 0", f"it is {duration}")
    require(gate == "cz" or angle is not None, "angle", f"be given for {gate}", "it is not there")
    turn = np.pi if angle is None else float(angle)
    require(np.isfinite(turn), "angle", "be finite", f"it is {angle}")
    pulse = sin2(2 / duration, start=start, end=start + duration)
    if gate != "cz":
        return [LocalTerm((int(j),), turn / 2 * AXES[gate], pulse) for j in at]
    require(len(at) == 2, "at", "be a pair of sites for cz", f"it has {len(at)}")
    pair = sorted(int(j) for j in at)
    both = LocalTerm((pair[0], pair[1]), turn / 4 * np.kron(PAULI_Z, PAULI_Z), pulse)
    return [both, *(LocalTerm((j,), turn / 4 * PAULI_Z, pulse) for j in pair)]
