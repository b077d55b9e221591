"""Named physics: functions that return a Lindbladian on a lattice. Pauli matrices, each bond once, hbar = 1."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from neurho._types import NeurhoError, require, require_rate
from neurho.expressions import operators_on, rates_on
from neurho.lattice import Lattice
from neurho.operators import (
    PAULI_X,
    PAULI_Y,
    PAULI_Z,
    SIGMA_MINUS,
    Jump,
    Lindbladian,
    LocalTerm,
    Operator,
    local,
    total,
)

PAULI = (PAULI_X, PAULI_Y, PAULI_Z)


def heisenberg(
    lattice: Lattice,
    *,
    field: Any = (0.0, 0.0, 0.0),
    coupling: Any = (0.0, 0.0, 0.0),
    decay: Any = 1.0,
    pump: Any = 0.0,
    dephasing: Any = 0.0,
) -> Lindbladian:
    """The anisotropic Heisenberg model with local dissipation (Hartmann & Carleo, PRL 122, 250502, Eqs. 14, 15):

        H = sum_j sum_a B_a sigma^a_j + sum_<jl> sum_a J_a sigma^a_j sigma^a_l
        jumps: sigma^-_j at rate `decay`, sigma^+_j at rate `pump`, sigma^z_j at rate `dephasing`

    With c = sigma^z the coherence of one spin decays at 2 * `dephasing`.

    **Arguments**

    - `field`: B, shape `(3,)`, or `(sites, 3)` for one vector per site.
    - `coupling`: J, shape `(3,)`, or `(bonds, 3)` for one vector per bond of the lattice.
    - `decay`, `pump`, `dephasing`: numbers >= 0, or one per site.

    **Raises** `NeurhoError` for wrong shapes and negative rates.
    """
    fields = _per_item("field", field, lattice.sites, "site")
    couplings = _per_item("coupling", coupling, len(lattice.bonds), "bond")
    terms = [LocalTerm((j,), np.tensordot(fields[j], PAULI, axes=1)) for j in range(lattice.sites) if np.any(fields[j])]
    products = np.array([np.kron(p, p) for p in PAULI])
    for bond, strength in zip(lattice.bonds, couplings, strict=True):
        if np.any(strength):
            terms.append(LocalTerm((int(bond[0]), int(bond[1])), np.tensordot(strength, products, axes=1)))
    jumps = []
    kinds = {"decay": (decay, SIGMA_MINUS), "pump": (pump, SIGMA_MINUS.T), "dephasing": (dephasing, PAULI_Z)}
    for name, (rates, matrix) in kinds.items():
        for site, rate in enumerate(_rates(name, rates, lattice.sites)):
            if rate > 0:
                jumps.append(Jump(float(rate), local(matrix, site)))
    return Lindbladian(lattice, Operator(2, tuple(terms)), jumps)


def xyz(lattice: Lattice, *, coupling: Any = (0.9, 1.2, 1.0), decay: Any = 1.0) -> Lindbladian:
    """The dissipative XYZ model, H = sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay sigma^-.

    Lee, Gopalakrishnan & Lukin, PRL 110, 257204 (2013). At Jx = Jy the all-down state is a dark state.
    """
    return heisenberg(lattice, coupling=coupling, decay=decay)


def ising(lattice: Lattice, *, interaction: float = 2.0, transverse: float = 1.0, decay: Any = 1.0) -> Lindbladian:
    """The dissipative transverse-field Ising model, H = V/4 sum_<jl> sigma^z_j sigma^z_l + g/2 sum_j sigma^x_j.

    `interaction` is V and `transverse` is g, as in Vicentini et al., PRL 122, 250503 (2019).
    """
    for name, value in (("interaction", interaction), ("transverse", transverse)):
        require(isinstance(value, int | float | np.number), name, "be a real number", f"it is {value!r}")
    return heisenberg(lattice, field=(transverse / 2, 0, 0), coupling=(0, 0, interaction / 4), decay=decay)


def dephasing_chain(lattice: Lattice, *, coupling: Any = (1.0, 1.0, 0.0), dephasing: Any = 1.0) -> Lindbladian:
    """Spins coupled along bonds and dephased site by site; the infinite-temperature state is stationary.

    Znidaric, J. Stat. Mech. L05002 (2010). Conserves sum_j sigma^z_j when Jx = Jy.
    """
    return heisenberg(lattice, coupling=coupling, decay=0.0, dephasing=dephasing)


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

    **Arguments**

    - `hamiltonian`: terms `{"on": "bonds", "operator": "J * sx(i) * sx(j)"}`; `on` is `"sites"`, `"bonds"`, `"pairs"`
      or `"once"`, and `direction` or `at` choose some (see [`neurho.operators_on`][]). The sum must
      be Hermitian.
    - `jumps`: likewise, with a `rate`: a number, one for each place, or a text that may depend on time `t`.
    - `values`: numbers and lists of numbers that the texts name.
    - `local_dim`: levels of a site, 2 for spins 1/2.

    **Raises** `NeurhoError` with the term and the character at which it goes wrong.
    """
    energy, pairs = Operator(local_dim, ()), []
    for number, term in enumerate(hamiltonian):
        with _inside(f"hamiltonian[{number}]"):
            energy = energy + total([Operator(local_dim, ()), *_placed(lattice, term, values, local_dim)])
    for number, term in enumerate(jumps):
        with _inside(f"jumps[{number}]"):
            rest = {key: value for key, value in term.items() if key != "rate"}
            where = {key: value for key, value in rest.items() if key != "operator"}
            rates = rates_on(lattice, term.get("rate", 1.0), **where, values=values)
            found = zip(rates, _placed(lattice, rest, values, local_dim), strict=True)
            for rate, operator in found:
                if not callable(rate):
                    require_rate(rate, "rate")
                if callable(rate) or rate > 0:
                    pairs.append(Jump(rate, operator))
    return Lindbladian(lattice, energy, pairs)


def _placed(lattice: Lattice, term: Mapping[str, Any], values: Any, local_dim: int) -> list[Operator]:
    rest = {key: value for key, value in term.items() if key != "operator"}
    require("operator" in term, "operator", "be given as text", "it is missing")
    require(set(rest) <= {"on", "direction", "at"}, "on", "stand with direction and at only", f"there is {set(rest)}")
    return operators_on(lattice, term["operator"], **rest, values=values, local_dim=local_dim)


@contextmanager
def _inside(where: str) -> Iterator[None]:
    """Say in which term something is wrong."""
    try:
        yield
    except NeurhoError as error:
        raise NeurhoError(f"In {where}: {error}") from None
