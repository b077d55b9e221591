"""Named physics: functions that return a Lindbladian on a lattice. Pauli matrices, each bond once, hbar = 1."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import numpy as np

from neurho._types import Coefficient, NeurhoError, Numbers, require, require_keys, require_rate
from neurho.model.lattice import Lattice, require_lattice
from neurho.model.operators import (
    PAULI_X,
    PAULI_Y,
    PAULI_Z,
    SIGMA_MINUS,
    Jump,
    Lindbladian,
    LocalTerm,
    Operator,
    Pulses,
    each,
    local,
    product,
    pulses_of,
    total,
)
from neurho.model.processor import processor as processor
from neurho.model.text import operators_on, rates_on
from neurho.model.text.reader import Values

PAULI = (PAULI_X, PAULI_Y, PAULI_Z)


def heisenberg(
    lattice: Lattice,
    *,
    field: Numbers = (0.0, 0.0, 0.0),
    coupling: Numbers = (0.0, 0.0, 0.0),
    decay: Numbers = 1.0,
    pump: Numbers = 0.0,
    dephasing: Numbers = 0.0,
    pulses: Pulses | None = None,
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
      `field_x`, `decay`, `pump`, `dephasing`; or a list of functions, one (or None for 1) for each site or bond.

    **Raises** `NeurhoError` for wrong shapes and negative rates.
    """
    fields = _per_item("field", field, lattice.sites, "site")
    couplings = _per_item("coupling", coupling, len(lattice.bonds), "bond")
    driven = pulses_of(pulses, _driven(lattice, DRIVEN))
    ones = [("field", j, (j,), PAULI, fields[j]) for j in range(lattice.sites)]
    products = [np.kron(p, p) for p in PAULI]
    bonds = enumerate(zip(np.sort(lattice.bonds, axis=1), couplings, strict=True))  # the order of a pair is not seen
    twos = [("coupling", n, (int(i), int(j)), products, strength) for n, ((i, j), strength) in bonds]
    terms = [
        LocalTerm(sites, strength * matrix, product(driven[name][n], driven[f"{name}_{axis}"][n]))
        for name, n, sites, matrices, strengths in ones + twos
        for axis, matrix, strength in zip("xyz", matrices, strengths, strict=True)
        if strength != 0
    ]
    jumps = []
    kinds = {"decay": (decay, SIGMA_MINUS), "pump": (pump, SIGMA_MINUS.T), "dephasing": (dephasing, PAULI_Z)}
    for name, (rates, matrix) in kinds.items():
        for site, rate in enumerate(_rates(name, rates, lattice.sites)):
            if rate > 0:
                jumps.append(driven_jump(float(rate), local(matrix, site), driven[name][site]))
    return Lindbladian(lattice, Operator(2, tuple(terms)), jumps)


FIELDS, COUPLINGS = ([f"{name}{axis}" for axis in ("", "_x", "_y", "_z")] for name in ("field", "coupling"))
DRIVEN = (*FIELDS, *COUPLINGS, "decay", "pump", "dephasing")
"""What a pulse can multiply in [`heisenberg`][neurho.model.models.heisenberg]."""


def _driven(lattice: Lattice, names: Iterable[str]) -> dict[str, tuple[int, str]]:
    """How many sites or bonds there are for each of `names` of what a pulse multiplies."""
    require_lattice(lattice)
    sites, bonds = (lattice.sites, "site"), (len(lattice.bonds), "bond")
    return {name: bonds if name.startswith(("coupling", "interaction")) else sites for name in names}


def driven_jump(rate: float, operator: Operator, pulse: Coefficient | None) -> Jump:
    """A jump at rate `rate` f(t): the constant goes into the operator, so that all that share f(t) are one channel.

    ```python
    import neurho

    pulse = neurho.pulses.sine(0.5, frequency=2.0, offset=1.0)
    jump = neurho.models.driven_jump(0.3, neurho.sm(0), pulse)
    assert jump.rate is pulse  # and sqrt(0.3) is in the operator
    ```
    """
    return Jump(rate, operator) if pulse is None else Jump(pulse, np.sqrt(rate) * operator)


def xyz(
    lattice: Lattice,
    *,
    coupling: Numbers = (0.9, 1.2, 1.0),
    decay: Numbers = 1.0,
    pulses: Pulses | None = None,
) -> Lindbladian:
    """The dissipative XYZ model, H = sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay sigma^-.

    Lee, Gopalakrishnan & Lukin, PRL 110, 257204 (2013). At Jx = Jy the all-down state is a dark state.

    ```python
    import neurho

    steady = neurho.stationary(neurho.xyz(neurho.chain(2), coupling=(1, 1, 1)))  # the dark state
    assert abs(steady["sz"].mean + 1) < 1e-9
    ```
    """
    driven = pulses_of(pulses, _driven(lattice, (*COUPLINGS, "decay")))
    return heisenberg(lattice, coupling=coupling, decay=decay, pulses=driven)


def ising(
    lattice: Lattice,
    *,
    interaction: Numbers = 2.0,
    transverse: Numbers = 1.0,
    decay: Numbers = 1.0,
    dephasing: Numbers = 0.0,
    pulses: Pulses | None = None,
) -> Lindbladian:
    """The dissipative transverse-field Ising model, H = V/4 sum_<jl> sigma^z_j sigma^z_l + g/2 sum_j sigma^x_j.

    `interaction` is V, also one for each bond, and `transverse` is g, also one for each site, as in Vicentini et al.,
    PRL 122, 250503 (2019); jumps are sigma^- at rate `decay` and sigma^z at rate `dephasing`. `pulses` may multiply
    `interaction`, `transverse`, `decay` and `dephasing`.

    ```python
    import neurho

    model = neurho.ising(neurho.square(2, 2), interaction=2.0, transverse=1.0)
    assert model.hamiltonian.support == (0, 1, 2, 3)
    ```
    """
    require_lattice(lattice)
    bonds, fields = np.zeros((len(lattice.bonds), 3)), np.zeros((lattice.sites, 3))
    bonds[:, 2] = each("interaction", interaction, len(bonds), "bond") / 4
    fields[:, 0] = each("transverse", transverse, len(fields), "site") / 2
    names = {"interaction": "coupling", "transverse": "field", "decay": "decay", "dephasing": "dephasing"}
    driven = {names[name]: found for name, found in pulses_of(pulses, _driven(lattice, names)).items()}
    return heisenberg(lattice, field=fields, coupling=bonds, decay=decay, dephasing=dephasing, pulses=driven)


def dephasing_chain(
    lattice: Lattice,
    *,
    coupling: Numbers = (1.0, 1.0, 0.0),
    dephasing: Numbers = 1.0,
    pulses: Pulses | None = None,
) -> Lindbladian:
    """Spins coupled along bonds and dephased site by site; the infinite-temperature state is stationary.

    Znidaric, J. Stat. Mech. L05002 (2010). Conserves sum_j sigma^z_j when Jx = Jy.

    ```python
    import neurho

    model = neurho.dephasing_chain(neurho.chain(3), dephasing=0.5)
    assert len(model.jumps) == 3
    ```
    """
    driven = pulses_of(pulses, _driven(lattice, (*COUPLINGS, "dephasing")))
    return heisenberg(lattice, coupling=coupling, decay=0.0, dephasing=dephasing, pulses=driven)


def _per_item(name: str, value: Numbers, count: int, item: str) -> np.ndarray:
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


def _rates(name: str, value: Numbers, sites: int) -> np.ndarray:
    require_rate(value, name)
    rates = np.asarray(value, dtype=float)
    require(
        rates.shape in ((), (sites,)), name, f"be one number or {sites}, one per site", f"its shape is {rates.shape}"
    )
    return np.broadcast_to(rates, (sites,))


class Places(TypedDict, total=False):
    """Where terms stand, as [`neurho.operators_on`][] takes it."""

    on: str
    direction: int | None
    at: Sequence[int] | None


class TermTable(Places):
    """Terms of a Hamiltonian as text."""

    operator: str


class JumpTable(TermTable, total=False):
    """Jumps as text, and their rate."""

    rate: str | float | Coefficient | Sequence[float | Coefficient] | np.ndarray


def custom(
    lattice: Lattice,
    *,
    hamiltonian: Sequence[TermTable] = (),
    jumps: Sequence[JumpTable] = (),
    values: Values | None = None,
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
    - `values`: numbers, functions of time, and lists of both that the texts name; a list with one entry for each place
      of a term stands for its entry.
    - `local_dim`: levels of a site, 2 for spins 1/2.

    **Raises** `NeurhoError` with the term and the character at which it goes wrong.
    """
    require_lattice(lattice)
    energy, pairs, wrong = Operator(local_dim, ()), [], []
    for number, term in enumerate(hamiltonian):
        with _noting(f"hamiltonian[{number}]", wrong):
            require_keys(term, TermTable)
            energy = energy + total([Operator(local_dim, ()), *_placed(lattice, term, values, local_dim)])
    for number, term in enumerate(jumps):
        with _noting(f"jumps[{number}]", wrong):
            require_keys(term, JumpTable)
            rates = rates_on(lattice, term.get("rate", 1.0), **_where(term), values=values)
            found = zip(rates, _placed(lattice, term, values, local_dim, up_to_sign=True), strict=True)
            for rate, operator in found:
                if not callable(rate):
                    require_rate(rate, "rate")
                if callable(rate) or rate > 0:
                    pairs.append(Jump(rate, operator))
    if wrong:
        raise NeurhoError("\n  ".join(wrong))
    return Lindbladian(lattice, energy, pairs)


def _placed(
    lattice: Lattice, term: TermTable, values: Values | None, local_dim: int, *, up_to_sign: bool = False
) -> list[Operator]:
    text, where = term["operator"], _where(term)
    return operators_on(lattice, text, **where, values=values, local_dim=local_dim, up_to_sign=up_to_sign)


def _where(term: TermTable) -> Places:
    return {"on": term.get("on", "sites"), "direction": term.get("direction"), "at": term.get("at")}


@contextmanager
def _noting(where: str, wrong: list[str]) -> Iterator[None]:
    """Note what is wrong in a term, and go on: the other terms may be wrong too."""
    try:
        yield
    except NeurhoError as error:
        wrong.append(f"In {where}: {error}")
