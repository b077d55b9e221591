"""Named physics: functions that return a Lindbladian on a lattice. Pauli matrices, each bond once, hbar = 1."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from neurho._types import Coefficient, NeurhoError, as_reals, require, require_rate, require_sites
from neurho.model.lattice import Lattice
from neurho.model.operators import (
    PAULI_X,
    PAULI_Y,
    PAULI_Z,
    SIGMA_MINUS,
    Jump,
    Lindbladian,
    LocalTerm,
    Operator,
    gate_terms,
    local,
    product,
    require_function,
    total,
)
from neurho.model.text import operators_on, rates_on

PAULI = (PAULI_X, PAULI_Y, PAULI_Z)


def heisenberg(
    lattice: Lattice,
    *,
    field: Any = (0.0, 0.0, 0.0),
    coupling: Any = (0.0, 0.0, 0.0),
    decay: Any = 1.0,
    pump: Any = 0.0,
    dephasing: Any = 0.0,
    pulses: Mapping[str, Coefficient] | None = None,
) -> Lindbladian:
    """The anisotropic Heisenberg model with local dissipation (Hartmann & Carleo, PRL 122, 250502, Eqs. 14, 15):

        H = sum_j sum_a B_a sigma^a_j + sum_<jl> sum_a J_a sigma^a_j sigma^a_l
        jumps: sigma^-_j at rate `decay`, sigma^+_j at rate `pump`, sigma^z_j at rate `dephasing`

    With c = sigma^z the coherence of one spin decays at 2 * `dephasing`.

    ```python
    import neurho

    model = neurho.heisenberg(neurho.chain(3), field=(0, 0, 1), coupling=(1, 1, 0.5), decay=0.2)
    assert len(model.jumps) == 3
    ```

    **Arguments**

    - `field`: B, shape `(3,)`, or `(sites, 3)` for one vector per site.
    - `coupling`: J, shape `(3,)`, or `(bonds, 3)` for one vector per bond of the lattice.
    - `decay`, `pump`, `dephasing`: numbers >= 0, or one per site.
    - `pulses`: functions f(t) by the name of what they multiply: `field`, `coupling`, one component of them as in
      `field_x`, `decay`, `pump`, `dephasing`.

    **Raises** `NeurhoError` for wrong shapes and negative rates.
    """
    fields = _per_item("field", field, lattice.sites, "site")
    couplings = _per_item("coupling", coupling, len(lattice.bonds), "bond")
    pulses = checked_pulses(pulses, DRIVEN)
    ones = [((j,), PAULI, fields[j], "field") for j in range(lattice.sites)]
    products = [np.kron(p, p) for p in PAULI]
    bonds = zip(np.sort(lattice.bonds, axis=1), couplings, strict=True)  # these products do not see the order
    twos = [((int(i), int(j)), products, strength, "coupling") for (i, j), strength in bonds]
    terms = [
        LocalTerm(sites, strength * matrix, product(pulses.get(name), pulses.get(f"{name}_{axis}")))
        for sites, matrices, strengths, name in ones + twos
        for axis, matrix, strength in zip("xyz", matrices, strengths, strict=True)
        if strength != 0
    ]
    jumps = []
    kinds = {"decay": (decay, SIGMA_MINUS), "pump": (pump, SIGMA_MINUS.T), "dephasing": (dephasing, PAULI_Z)}
    for name, (rates, matrix) in kinds.items():
        for site, rate in enumerate(_rates(name, rates, lattice.sites)):
            if rate > 0:
                jumps.append(driven_jump(float(rate), local(matrix, site), pulses.get(name)))
    return Lindbladian(lattice, Operator(2, tuple(terms)), jumps)


DRIVEN = (
    *(f"{name}{axis}" for name in ("field", "coupling") for axis in ("", "_x", "_y", "_z")),
    *("decay", "pump", "dephasing"),
)
"""What a pulse can multiply in [`heisenberg`][neurho.model.models.heisenberg]."""


def checked_pulses(pulses: Mapping[str, Coefficient] | None, known: Sequence[str]) -> dict[str, Coefficient]:
    """The same mapping, if all names are known and all entries functions."""
    for name, function in (pulses or {}).items():
        require(name in known, "pulses", f"name some of {', '.join(known)}", f"it names {name}")
        require_function(function, f"pulses[{name}]")
    return dict(pulses or {})


def driven_jump(rate: float, operator: Operator, pulse: Coefficient | None) -> Jump:
    """A jump at rate `rate` f(t): the constant goes into the operator, so that all that share f(t) are one channel."""
    return Jump(rate, operator) if pulse is None else Jump(pulse, np.sqrt(rate) * operator)


def xyz(
    lattice: Lattice,
    *,
    coupling: Any = (0.9, 1.2, 1.0),
    decay: Any = 1.0,
    pulses: Mapping[str, Coefficient] | None = None,
) -> Lindbladian:
    """The dissipative XYZ model, H = sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay sigma^-.

    Lee, Gopalakrishnan & Lukin, PRL 110, 257204 (2013). At Jx = Jy the all-down state is a dark state.

    ```python
    import neurho

    steady = neurho.stationary(neurho.xyz(neurho.chain(2), coupling=(1, 1, 1)))  # the dark state
    assert abs(steady["sz"].mean + 1) < 1e-9
    ```
    """
    return heisenberg(lattice, coupling=coupling, decay=decay, pulses=pulses)


def ising(
    lattice: Lattice,
    *,
    interaction: float = 2.0,
    transverse: float = 1.0,
    decay: Any = 1.0,
    dephasing: Any = 0.0,
    pulses: Mapping[str, Coefficient] | None = None,
) -> Lindbladian:
    """The dissipative transverse-field Ising model, H = V/4 sum_<jl> sigma^z_j sigma^z_l + g/2 sum_j sigma^x_j.

    `interaction` is V and `transverse` is g, as in Vicentini et al., PRL 122, 250503 (2019); jumps are sigma^- at rate
    `decay` and sigma^z at rate `dephasing`. `pulses` may multiply `interaction`, `transverse`, `decay` and `dephasing`.

    ```python
    import neurho

    model = neurho.ising(neurho.square(2, 2), interaction=2.0, transverse=1.0)
    assert model.hamiltonian.support == (0, 1, 2, 3)
    ```
    """
    for name, value in (("interaction", interaction), ("transverse", transverse)):
        require(isinstance(value, int | float | np.number), name, "be a real number", f"it is {value!r}")
    names = {"interaction": "coupling", "transverse": "field", "decay": "decay", "dephasing": "dephasing"}
    driven = {names[name]: function for name, function in checked_pulses(pulses, tuple(names)).items()}
    field, coupling = (transverse / 2, 0, 0), (0, 0, interaction / 4)
    return heisenberg(lattice, field=field, coupling=coupling, decay=decay, dephasing=dephasing, pulses=driven)


def dephasing_chain(
    lattice: Lattice,
    *,
    coupling: Any = (1.0, 1.0, 0.0),
    dephasing: Any = 1.0,
    pulses: Mapping[str, Coefficient] | None = None,
) -> Lindbladian:
    """Spins coupled along bonds and dephased site by site; the infinite-temperature state is stationary.

    Znidaric, J. Stat. Mech. L05002 (2010). Conserves sum_j sigma^z_j when Jx = Jy.

    ```python
    import neurho

    model = neurho.dephasing_chain(neurho.chain(3), dephasing=0.5)
    assert len(model.jumps) == 3
    ```
    """
    return heisenberg(lattice, coupling=coupling, decay=0.0, dephasing=dephasing, pulses=pulses)


def processor(
    lattice: Lattice,
    *,
    T1: Any,
    T2: Any = None,
    thermal: Any = 0.0,
    crosstalk: Any = 0.0,
    detuning: Any = 0.0,
    drives: Sequence[Mapping[str, Any]] = (),
    gates: Sequence[Mapping[str, Any]] = (),
    pulses: Mapping[str, Coefficient] | None = None,
) -> Lindbladian:
    """Qubits of a quantum processor, each in the frame that rotates with its drive (rotating-wave approximation):

        H = sum_j [Delta_j/2 sigma^z_j + sum_d f_d(t) Omega_dj/2 (cos phi_dj sigma^x_j + sin phi_dj sigma^y_j)]
            + sum_<jl> zeta_jl/4 sigma^z_j sigma^z_l
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
    - `gates`: mappings with `gate` (rx, ry, rz or cz), `at`, `angle`, `start` and `duration`, as
      `neurho.model.operators.gate_terms` takes them: pulses that turn by the angle.
    - `pulses`: functions of time that multiply `crosstalk` or `detuning`.

    **Raises** `NeurhoError` for wrong shapes, T2 > 2 T1 and populations outside [0, 1/2].
    """
    sites = lattice.sites
    long, short = _each("T1", T1, sites, "site"), _each("T2", 2 * np.asarray(T1) if T2 is None else T2, sites, "site")
    excited = _each("thermal", thermal, sites, "site")
    require(np.all(long > 0), "T1", "be > 0", f"it is {T1}")
    require(np.all(short > 0), "T2", "be > 0", f"it is {T2}")
    require(np.all(short <= 2 * long * (1 + 1e-12)), "T2", "be at most 2 T1", f"it is {T2} with T1 = {T1}")
    require(np.all((excited >= 0) & (excited <= 0.5)), "thermal", "lie in [0, 1/2]", f"it is {thermal}")
    pulses = checked_pulses(pulses, ("crosstalk", "detuning"))
    strengths = _each("crosstalk", crosstalk, len(lattice.bonds), "bond")
    shifts = _each("detuning", detuning, sites, "site")
    terms = [
        LocalTerm((int(i), int(j)), zeta / 4 * np.kron(PAULI_Z, PAULI_Z), pulses.get("crosstalk"))
        for (i, j), zeta in zip(np.sort(lattice.bonds, axis=1), strengths, strict=True)
    ]
    terms += [LocalTerm((j,), shifts[j] / 2 * PAULI_Z, pulses.get("detuning")) for j in range(sites)]
    for number, drive in enumerate(drives):
        with _inside(f"drives[{number}]"):
            terms += _drive(sites, **drive)
    for number, gate in enumerate(gates):
        with _inside(f"gates[{number}]"):
            terms += gate_terms(sites, **gate)
    dephasing = np.maximum(1 / short - 1 / (2 * long), 0) / 2
    rates = (((1 - excited) / long, SIGMA_MINUS), (excited / long, SIGMA_MINUS.T), (dephasing, PAULI_Z))
    jumps = [Jump(float(rate[j]), local(matrix, j)) for rate, matrix in rates for j in range(sites) if rate[j] > 0]
    return Lindbladian(lattice, Operator(2, tuple(terms)), jumps)


def _drive(
    sites: int, *, rabi: Any = 1.0, phase: Any = 0.0, pulse: Coefficient | None = None, at: Sequence[int] | None = None
) -> list[LocalTerm]:
    """f(t) Omega/2 (cos phi sigma^x + sin phi sigma^y) on some sites."""
    places = list(range(sites)) if at is None else list(at)
    require_sites(places, sites, "at")
    if pulse is not None:
        require_function(pulse, "pulse")
    strengths, angles = (_each(n, v, len(places), "site driven") for n, v in (("rabi", rabi), ("phase", phase)))
    return [
        LocalTerm((j,), omega / 2 * (np.cos(phi) * PAULI_X + np.sin(phi) * PAULI_Y), pulse)
        for j, omega, phi in zip(places, strengths, angles, strict=True)
    ]


def _each(name: str, value: Any, count: int, item: str) -> np.ndarray:
    """One number for each of `count` items, from one for all or one for each."""
    array = as_reals(value, name)
    but = f"its shape is {array.shape}"
    require(array.shape in ((), (count,)), name, f"be one number or {count}, one per {item}", but)
    return np.broadcast_to(array, (count,))


def _per_item(name: str, value: Any, count: int, item: str) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NeurhoError(f"Argument `{name}` must be real numbers, but it is {value!r}.") from None
    require(
        array.shape in ((3,), (count, 3)),
        name,
        f"have three entries (x, y, z), or three for each of the {count} {item}s",
        f"its shape is {array.shape}",
    )
    require(np.all(np.isfinite(array)), name, "be finite", f"it is {value}")
    return np.broadcast_to(array, (count, 3))


def _rates(name: str, value: Any, sites: int) -> np.ndarray:
    require_rate(value, name)
    rates = np.asarray(value, dtype=float)
    require(
        rates.shape in ((), (sites,)), name, f"be one number or {sites}, one per site", f"its shape is {rates.shape}"
    )
    return np.broadcast_to(rates, (sites,))


def custom(
    lattice: Lattice,
    *,
    hamiltonian: Sequence[Mapping[str, Any]] = (),
    jumps: Sequence[Mapping[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    local_dim: int = 2,
) -> Lindbladian:
    """Any local model, written as text.

    ```python
    import neurho

    model = neurho.custom(
        neurho.chain(3),
        hamiltonian=[{"on": "bonds", "operator": "J * sx(i) * sx(j)"}],
        jumps=[{"on": "sites", "operator": "sm(i)", "rate": 0.5}],
        values={"J": 1.0},
    )
    assert len(model.jumps) == 3
    ```

    **Arguments**

    - `hamiltonian`: terms `{"on": "bonds", "operator": "J * sx(i) * sx(j)"}`; `on` is `"sites"`, `"bonds"`, `"pairs"`
      or `"once"`, and `direction` or `at` choose some (see [`neurho.operators_on`][]). The sum must
      be Hermitian.
    - `jumps`: likewise, with a `rate`: a number, one for each place, or a text that may depend on time `t`.
    - `values`: numbers, lists of numbers and functions of time that the texts name.
    - `local_dim`: levels of a site, 2 for spins 1/2.

    **Raises** `NeurhoError` with the term and the character at which it goes wrong.
    """
    energy, pairs, wrong = Operator(local_dim, ()), [], []
    for number, term in enumerate(hamiltonian):
        with _noting(f"hamiltonian[{number}]", wrong):
            energy = energy + total([Operator(local_dim, ()), *_placed(lattice, term, values, local_dim)])
    for number, term in enumerate(jumps):
        with _noting(f"jumps[{number}]", wrong):
            rest = {key: value for key, value in term.items() if key != "rate"}
            where = {key: value for key, value in rest.items() if key != "operator"}
            rates = rates_on(lattice, term.get("rate", 1.0), **where, values=values)
            found = zip(rates, _placed(lattice, rest, values, local_dim, up_to_sign=True), strict=True)
            for rate, operator in found:
                if not callable(rate):
                    require_rate(rate, "rate")
                if callable(rate) or rate > 0:
                    pairs.append(Jump(rate, operator))
    if wrong:
        raise NeurhoError("\n  ".join(wrong))
    return Lindbladian(lattice, energy, pairs)


def _placed(
    lattice: Lattice, term: Mapping[str, Any], values: Any, local_dim: int, *, up_to_sign: bool = False
) -> list[Operator]:
    rest = {key: value for key, value in term.items() if key != "operator"}
    require("operator" in term, "operator", "be given as text", "it is missing")
    require(set(rest) <= {"on", "direction", "at"}, "on", "stand with direction and at only", f"there is {set(rest)}")
    more: dict[str, Any] = {"values": values, "local_dim": local_dim, "up_to_sign": up_to_sign}
    return operators_on(lattice, term["operator"], **rest, **more)


@contextmanager
def _inside(where: str) -> Iterator[None]:
    """Say in which term something is wrong."""
    try:
        yield
    except NeurhoError as error:
        raise NeurhoError(f"In {where}: {error}") from None


@contextmanager
def _noting(where: str, wrong: list[str]) -> Iterator[None]:
    """Note what is wrong in a term, and go on: the other terms may be wrong too."""
    try:
        yield
    except NeurhoError as error:
        wrong.append(f"In {where}: {error}")
