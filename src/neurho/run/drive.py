"""What depends on time in a problem: its pulses, rates that must not become negative, and the energy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurho._types import Coefficient, NeurhoError, Record
from neurho.config import Config
from neurho.model import pulses
from neurho.model.operators import Lindbladian, LocalTerm, Operator, rate_at, shown, value_at
from neurho.model.text import rates_on
from neurho.model.timescales import schedule
from neurho.observables import Estimate, Quantity
from neurho.observables.names import ENERGY
from neurho.observables.readout import PART

CHECKS = 1000
"""Equally spaced times, besides those of the output, at which rates are looked at."""


def make_pulses(config: Config) -> dict[str, Coefficient]:
    """The pulses of a problem by name.

    **Raises** `NeurhoError` with the path of a pulse that does not fit.
    """
    found: dict[str, Coefficient] = {}
    for name, table in config.pulses.items():
        try:
            make = getattr(pulses, table.kind)
            found[name] = make(**table.model_dump(exclude={"kind", "file"}, exclude_none=True))
        except NeurhoError as error:
            raise NeurhoError(f"In [pulses.{name}]: {error}") from None
    return found


def with_pulses(config: Config, given: Record) -> Record:
    """The arguments of a model with functions of time in place of the names of pulses."""
    made = make_pulses(config)
    result = dict(given)
    if config.model.kind == "matrices":
        return result
    if config.model.kind == "custom":
        values = moving_values(config, made)
        if both := sorted(set(values) & set(made)):
            raise NeurhoError(f"Key `pulses.{both[0]}` must have a name of its own, but model.values has it too.")
        return result | {"values": values | made}
    result["pulses"] = {key: _named(name, made) for key, name in given.get("pulses", {}).items()}
    for key in ("drives", "couplings"):
        if key in given:
            result[key] = [one | ({"pulse": made[one["pulse"]]} if "pulse" in one else {}) for one in given[key]]
    return result


def _named(name: str | Sequence[str], made: Mapping[str, Coefficient]) -> Any:
    """The pulse of a name, or a list of them with None for ""."""
    return made[name] if isinstance(name, str) else [made[one] if one else None for one in name]


def moving_values(config: Config, made: Mapping[str, Coefficient]) -> Record:
    """The values of a model in texts, with functions of time in place of the names of pulses."""
    given: Record = getattr(config.model, "values", {})
    return {
        name: [made[one] if isinstance(one, str) else one for one in value] if isinstance(value, tuple) else value
        for name, value in given.items()
    }


def require_drive(config: Config, lindbladian: Lindbladian, times: np.ndarray) -> None:
    """Refuse rates that are negative, complex or not finite, and coefficients that are not finite, at an output time
    or at one of many times between, and those that grow without bound anywhere.

    **Raises** `NeurhoError` with the path of the key.
    """
    between = np.linspace(times[0], times[-1], CHECKS)
    rates = _rates(config, lindbladian)
    operators = [lindbladian.hamiltonian, *(jump.operator for jump in lindbladian.jumps)]
    coefficients = {term.coefficient for operator in operators for term in operator.terms}
    for t in map(float, (*times, *between)):
        for key, rate in rates:
            try:
                rate_at(rate, t, key)
            except NeurhoError as error:
                raise NeurhoError(str(error).replace("Argument", "Key", 1)) from None
        for coefficient in coefficients:
            value_at(coefficient, t, "model")
    for key, rate in rates:
        for _, t in schedule([rate], times[0], times[-1]).poles:
            raise NeurhoError(
                f"Key `{key}` must be a finite real number >= 0 at all times, but `{shown(rate)}` has no bound at "
                f"t = {t:g}."
            )
    _ = lindbladian.schedule(float(times[0]), float(times[-1]))


def _rates(config: Config, lindbladian: Lindbladian) -> list[tuple[str, Coefficient]]:
    """Rates that depend on time, with their keys."""
    if config.model.kind == "matrices":
        return [(f"jumps[{n}].rate", jump.rate) for n, jump in enumerate(lindbladian.jumps) if callable(jump.rate)]
    made, lattice = make_pulses(config), lindbladian.lattice
    rates: list[tuple[str, Coefficient]] = []
    if config.model.kind == "custom":
        for number, jump in enumerate(config.model.jumps):
            where = {"on": jump.on, "direction": jump.direction, "at": jump.at}
            values = moving_values(config, made) | made
            found = {rate for rate in rates_on(lattice, jump.rate, **where, values=values) if callable(rate)}
            rates += [(f"model.jumps[{number}].rate", rate) for rate in found]
    else:
        keys = ("decay", "pump", "dephasing")
        named: Record = getattr(config.model, "pulses", {})
        for key in (key for key in keys if key in named):
            several = _named(named[key], made)
            listed = several if isinstance(several, list) else [several]
            rates += [(f"model.pulses.{key}", pulse) for pulse in listed if pulse is not None]
    return rates


def energy_parts(hamiltonian: Operator) -> tuple[list[Quantity], list[Coefficient]]:
    """Hermitian operators X_n and functions g_n with H(t) = sum_n g_n(t) X_n in the mean.

    Terms with one coefficient f make A; <H> is real, so that its part is Re f <A + A^+>/2 - Im f <A - A^+>/(2i).
    """
    sums: dict[Coefficient | None, tuple[LocalTerm, ...]] = {}
    for term in hamiltonian.terms:
        bare = LocalTerm(term.sites, term.matrix)
        sums[term.coefficient] = (*sums.get(term.coefficient, ()), bare)
    quantities, weights = [], []
    for function, terms in sums.items():
        part = Operator(hamiltonian.local_dim, terms)
        for operator, weight in (
            (0.5 * (part + part.adjoint()), _Real(function, 1.0)),
            (-0.5j * (part - part.adjoint()), _Real(function, 1j)),
        ):
            if operator.merged().terms:
                quantities.append(Quantity(f"{PART}{len(quantities)}", (operator.merged(),), average=True))
                weights.append(weight)
    return quantities, weights


def with_energy(observables: Mapping[str, Estimate], weights: Sequence[Coefficient], t: float) -> dict[str, Estimate]:
    """Observables with the energy in place of its parts; its error is the sum of theirs, an upper bound."""
    result = {name: value for name, value in observables.items() if not name.startswith(PART)}
    parts = [observables[f"{PART}{number}"] for number in range(len(weights))]
    factors = [float(weight(t)) for weight in weights]
    mean = sum(f * float(part.mean) for f, part in zip(factors, parts, strict=True))
    error = sum(abs(f) * float(part.error) for f, part in zip(factors, parts, strict=True))
    return result | {ENERGY: Estimate(mean=np.asarray(mean), error=np.asarray(error))}


class _Real:
    """Re f(t), or -Im f(t) with `unit` = 1j."""

    def __init__(self, function: Coefficient | None, unit: complex) -> None:
        self.function, self.unit = function, unit

    def __call__(self, t: float) -> float:
        return (self.unit * value_at(self.function, t)).real
