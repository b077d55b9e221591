"""Quantities that a problem names: populations of levels, and operators written as text."""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from neurho._types import NeurhoError, require, require_sites
from neurho.config import Config
from neurho.model.interchange.matrices import TermTable, operator_from
from neurho.model.lattice import Lattice
from neurho.model.operators import Operator, gates_unitary, local
from neurho.model.text import operators_on
from neurho.observables import Quantity, pauli_quantities
from neurho.observables.names import FIDELITY, REDUCED, at, level
from neurho.observables.reduced import pair_operators


def pauli_of(config: Config, lattice: Lattice) -> list[Quantity]:
    """Pauli matrices, for spins 1/2 only."""
    asked = config.observables
    if config.local_dim != 2:
        return []
    return pauli_quantities(
        lattice,
        bonds=asked.bonds,
        correlations=asked.correlations,
        structure=asked.structure,
        momenta=asked.momenta,
    )


def named_quantities(config: Config, lattice: Lattice) -> list[Quantity]:
    """Populations (always for more than two levels), the operators of `on_sites` and `on_bonds`, and those of reduced
    density matrices.

    `X` is the mean over all places, `X_site` or `X_bond` the value at each.

    **Raises** `NeurhoError` with the name of an operator that cannot be read or is not Hermitian.
    """
    asked, d = config.observables, config.local_dim
    values = {
        name: value
        for name, value in getattr(config.model, "values", {}).items()
        if not isinstance(value, tuple) or not any(isinstance(one, str) for one in value)
    }
    quantities: list[Quantity] = []
    wrong: list[str] = []
    if asked.populations or (asked.populations is None and d > 2):
        for number in range(d):
            projector = np.diag(np.eye(d)[number])
            quantities += _both(level(number), "site", [local(projector, j, local_dim=d) for j in range(lattice.sites)])
    for place, texts in (("site", asked.on_sites), ("bond", asked.on_bonds)):
        for name, text in texts.items():
            try:
                operators = operators_on(lattice, text, on=f"{place}s", values=values, local_dim=d)
            except NeurhoError as error:
                wrong.append(f"In observables.on_{place}s.{name}: {error}")
                continue
            if any(any(term.coefficient for term in o.terms) or not o.is_hermitian() for o in operators):
                must = "must be Hermitian and not depend on time, but it is not so"
                wrong.append(f"In observables.on_{place}s.{name}: the operator `{text}` {must}.")
            quantities += _both(name, place, operators)
    if wrong:
        raise NeurhoError("\n  ".join(wrong))
    for name, tables in asked.operators.items():
        operators = [operator_from([TermTable(**term.model_dump()) for term in terms], d) for terms in tables]
        quantities += _listed(name, operators, lattice)
    if asked.pairs:
        quantities.append(Quantity(REDUCED, pair_operators(asked.pairs, d)))
    return quantities


def fidelity_quantity(config: Config, factors: np.ndarray) -> list[Quantity]:
    """<psi|rho|psi> with psi = U psi_0 of ideal gates U and a product start by its factors, where it is asked for.

    **Raises** `NeurhoError` for a start that is mixed.
    """
    if not config.observables.fidelity:
        return []
    values, vectors = np.linalg.eigh(factors)
    if np.min(values[:, -1]) < 1 - 1e-9:
        raise NeurhoError("Key `observables.fidelity` must be false unless the start is pure, but it is true.")
    gates = [gate.model_dump() for gate in getattr(config.model, "gates", ())]
    psi = gates_unitary(gates, len(factors)) @ reduce(np.kron, vectors[:, :, -1])
    return [Quantity(FIDELITY, (local(np.outer(psi, psi.conj()), range(len(factors))),), average=True)]


def _listed(name: str, operators: Sequence[Operator], lattice: Lattice) -> list[Quantity]:
    """One operator by its name; several by their mean and one by one: of each site or bond where they lie so."""
    for operator in operators:
        require_sites(operator.support, lattice.sites, f"sites of `{name}`")
        require(operator.is_hermitian(), name, "be Hermitian, to be measured", f"{operator!r} is not"[:80])
    if len(operators) == 1:
        return [Quantity(name, tuple(operators), average=True)]
    places = {"site": [{j} for j in range(lattice.sites)], "bond": [set(map(int, bond)) for bond in lattice.bonds]}
    for place, supports in places.items():
        fits = len(supports) == len(operators)
        if fits and all(set(o.support) <= s for o, s in zip(operators, supports, strict=True)):
            return _both(name, place, operators)
    return _both(name, "each", operators)


def _both(name: str, place: str, operators: Sequence[Operator]) -> list[Quantity]:
    if not operators:
        return []
    return [Quantity(name, tuple(operators), average=True), Quantity(at(name, place), tuple(operators))]
