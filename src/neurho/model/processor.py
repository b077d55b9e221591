"""Qubits of a quantum processor: relaxation, dephasing, crosstalk, drives, couplings and gates."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Required, TypedDict

import numpy as np

from neurho._types import Coefficient, NeurhoError, Numbers, Value, as_reals, require, require_keys, require_sites
from neurho.model.lattice import Lattice, require_lattice
from neurho.model.operators import (
    PAULI_X,
    PAULI_Y,
    PAULI_Z,
    SIGMA_MINUS,
    GateTable,
    Jump,
    Lindbladian,
    LocalTerm,
    Operator,
    Pulses,
    each,
    gate_terms,
    local,
    pulses_of,
    require_function,
)
from neurho.model.text import operators_on, parse_operator

COUPLINGS = {"exchange": "(sx(i) * sx(j) + sy(i) * sy(j)) / 2", "zz": "sz(i) * sz(j) / 4"}
"""Couplings of two qubits that have a name, as text."""


class DriveTable(TypedDict, total=False):
    """f(t) Omega/2 (cos phi sigma^x + sin phi sigma^y) on sites."""

    rabi: Numbers
    phase: Numbers
    pulse: Coefficient | None
    at: Sequence[int] | None


class CouplingTable(TypedDict, total=False):
    """f(t) g X_ij on pairs of sites."""

    coupling: Required[str]
    strength: Numbers
    pulse: Coefficient | None
    at: Sequence[int] | Sequence[Sequence[int]] | None


def processor(
    lattice: Lattice,
    *,
    T1: Numbers,
    T2: Numbers | None = None,
    thermal: Numbers = 0.0,
    crosstalk: Numbers = 0.0,
    detuning: Numbers = 0.0,
    drives: Sequence[DriveTable] = (),
    couplings: Sequence[CouplingTable] = (),
    gates: Sequence[GateTable] = (),
    pulses: Pulses | None = None,
) -> Lindbladian:
    """Qubits of a quantum processor, each in the frame that rotates with its drive (rotating-wave approximation):

        H = sum_j [Delta_j/2 sigma^z_j + sum_d f_d(t) Omega_dj/2 (cos phi_dj sigma^x_j + sin phi_dj sigma^y_j)]
            + sum_<jl> zeta_jl/4 sigma^z_j sigma^z_l + sum_c f_c(t) g_cjl X_jl
        jumps: sigma^-_j at rate (1 - p_j)/T1_j, sigma^+_j at p_j/T1_j, sigma^z_j at (1/T2_j - 1/(2 T1_j))/2

    Populations relax with T1 to p (excited, up), coherences decay with T2: 1/T2 = 1/(2 T1) + 1/T_phi. See Krantz et
    al., Appl. Phys. Rev. 6, 021318 (2019). The ground state of a qubit is down.

    ```python
    import neurho

    qubit = neurho.processor(neurho.chain(1), T1=2.0, T2=3.0)
    decayed = neurho.solve(qubit, "up", [0, 2.0])
    assert abs(decayed["sz"].mean - (2 * 0.36787944 - 1)) < 1e-6  # exp(-t/T1)
    ```

    **Arguments**

    - `T1`, `T2`: times > 0, one for all or one per site; T2 <= 2 T1, and 2 T1 where it is not given.
    - `thermal`: p, the excited population at rest, from 0 to 1/2; one for all or one per site.
    - `crosstalk`: zeta = E_11 - E_10 - E_01 + E_00 of pairs, in radians per unit of time; one for all or one per bond.
    - `detuning`: Delta, frequency of the qubit minus that of its drive; one for all or one per site.
    - `drives`: mappings with `rabi` (Omega) and `phase` (phi), one for all or one per site driven; `pulse`, a function
      f(t) or None for 1; `at`, a list of sites, all unless given. A pulse turns by the angle Omega times its area.
    - `couplings`: mappings with `coupling`, "exchange" for (sigma^x_i sigma^x_j + sigma^y_i sigma^y_j)/2, "zz" for
      sigma^z_i sigma^z_j/4, or any X_ij as text in i and j, "sz(i) * sx(j)"; `strength` (g), one for all or one per
      pair; `pulse`, a function f(t) or None for 1; `at`, a pair of sites or a list of pairs, the bonds unless given.
    - `gates`: mappings with `gate` (rx, ry, rz, x, y, z, sx, h, rzz, cz, cx or iswap), `at`, `angle`, `start` and
      `duration`, as `neurho.model.operators.gate_terms` takes them: pulses that turn by the angle.
    - `pulses`: functions of time that multiply `crosstalk` or `detuning`, also one per bond or site.

    **Raises** `NeurhoError` for wrong shapes, T2 > 2 T1 and populations outside [0, 1/2].
    """
    require_lattice(lattice)
    sites, bonds = lattice.sites, len(lattice.bonds)
    driven = pulses_of(pulses, {"crosstalk": (bonds, "bond"), "detuning": (sites, "site")})
    strengths, shifts = each("crosstalk", crosstalk, bonds, "bond"), each("detuning", detuning, sites, "site")
    terms = [
        LocalTerm((int(i), int(j)), zeta / 4 * np.kron(PAULI_Z, PAULI_Z), pulse)
        for (i, j), zeta, pulse in zip(np.sort(lattice.bonds, axis=1), strengths, driven["crosstalk"], strict=True)
    ]
    terms += [LocalTerm((j,), shifts[j] / 2 * PAULI_Z, driven["detuning"][j]) for j in range(sites)]
    for number, drive in enumerate(drives):
        with _inside(f"drives[{number}]"):
            require_keys(drive, DriveTable)
            terms += _drive(sites, **drive)
    for number, coupling in enumerate(couplings):
        with _inside(f"couplings[{number}]"):
            require_keys(coupling, CouplingTable)
            terms += _coupling(lattice, **coupling)
    for number, gate in enumerate(gates):
        with _inside(f"gates[{number}]"):
            terms += gate_terms(sites, gate)
    return Lindbladian(lattice, Operator(2, tuple(terms)), _noise(sites, T1, T2, thermal))


def _noise(sites: int, T1: Numbers, T2: Numbers | None, thermal: Numbers) -> list[Jump]:
    """Relaxation to the thermal population, and dephasing."""
    long, short = each("T1", T1, sites, "site"), each("T2", 2 * as_reals(T1, "T1") if T2 is None else T2, sites, "site")
    excited = each("thermal", thermal, sites, "site")
    require(np.all(long > 0), "T1", "be > 0", f"it is {T1}")
    require(np.all(short > 0), "T2", "be > 0", f"it is {T2}")
    require(np.all(short <= 2 * long * (1 + 1e-12)), "T2", "be at most 2 T1", f"it is {T2} with T1 = {T1}")
    require(np.all((excited >= 0) & (excited <= 0.5)), "thermal", "lie in [0, 1/2]", f"it is {thermal}")
    dephasing = np.maximum(1 / short - 1 / (2 * long), 0) / 2
    rates = (((1 - excited) / long, SIGMA_MINUS), (excited / long, SIGMA_MINUS.T), (dephasing, PAULI_Z))
    return [Jump(float(rate[j]), local(matrix, j)) for rate, matrix in rates for j in range(sites) if rate[j] > 0]


def _drive(
    sites: int,
    *,
    rabi: Numbers = 1.0,
    phase: Numbers = 0.0,
    pulse: Coefficient | None = None,
    at: Sequence[int] | None = None,
) -> list[LocalTerm]:
    """f(t) Omega/2 (cos phi sigma^x + sin phi sigma^y) on some sites."""
    places = list(range(sites)) if at is None else list(at)
    require_sites(places, sites, "at")
    if pulse is not None:
        require_function(pulse, "pulse")
    strengths, angles = (each(n, v, len(places), "site driven") for n, v in (("rabi", rabi), ("phase", phase)))
    return [
        LocalTerm((j,), omega / 2 * (np.cos(phi) * PAULI_X + np.sin(phi) * PAULI_Y), pulse)
        for j, omega, phi in zip(places, strengths, angles, strict=True)
    ]


def _coupling(
    lattice: Lattice,
    *,
    coupling: str,
    strength: Numbers = 1.0,
    pulse: Coefficient | None = None,
    at: Sequence[Value] | None = None,
) -> list[LocalTerm]:
    """f(t) g X_ij on some pairs."""
    known = isinstance(coupling, str) and (coupling in COUPLINGS or not coupling.strip().isidentifier())
    require(known, "coupling", f"be {', '.join(COUPLINGS)} or an operator as text", f"it is {coupling!r}")
    text = COUPLINGS.get(coupling, coupling)
    if at is None:
        found = operators_on(lattice, text, on="bonds")
    else:
        several = len(at) > 0 and all(isinstance(pair, Sequence | np.ndarray) for pair in at)
        pairs = [tuple(map(int, pair)) for pair in (at if several else [at])]
        require(all(len(pair) == 2 for pair in pairs), "at", "be a pair of sites, or a list of pairs", f"it is {at}")
        for pair in pairs:
            require_sites(pair, lattice.sites, "at")
        found = [parse_operator(text, sites={"i": i, "j": j}) for i, j in pairs]
    if pulse is not None:
        require_function(pulse, "pulse")
    for operator in found:
        wrong = operator.asymmetry()
        require(not wrong, "coupling", "be Hermitian", wrong)
    moving = [g * operator for g, operator in zip(each("strength", strength, len(found), "pair"), found, strict=True)]
    return [term for operator in moving for term in (operator if pulse is None else operator * pulse).terms]


@contextmanager
def _inside(where: str) -> Iterator[None]:
    """Say in which term something is wrong."""
    try:
        yield
    except NeurhoError as error:
        raise NeurhoError(f"In {where}: {error}") from None
