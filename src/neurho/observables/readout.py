"""What quantities make of the means of their operators, for methods that know every mean: a linear map by name."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurho._types import Coefficient
from neurho.model.operators import Operator
from neurho.observables import Estimate, Quantity, fingerprint
from neurho.observables.names import ENERGY, PURITY, RENYI2, error_name
from neurho.observables.reduced import arranged

PART = "energy of part "
"""How quantities are called that add up to the energy; no observable of a problem can have such a name."""


class Readout(NamedTuple):
    """Quantities whose operators stand once in a list, as [`make_readout`][neurho.observables.readout.make_readout]
    gives.

    - `operators`: the distinct Hermitian operators, in order; a method gives the mean of each.
    - `places`: for each quantity, where its operators stand in that list.
    - `energy`: coefficients g_n(t) of the parts of an energy that depends on time.
    """

    quantities: tuple[Quantity, ...]
    operators: tuple[Operator, ...]
    places: tuple[np.ndarray, ...]
    sites: int
    energy: tuple[Coefficient, ...] = ()

    def combine(self, means: Float[np.ndarray, "*batch operators"], t: float = 0.0) -> dict[str, np.ndarray]:
        """Values by name, each `(*batch, *shape)`: linear in the means, so that it serves single samples, too.

        Pairs become symmetric `(sites, sites)` matrices with 1 on the diagonal.
        """
        batch, found = means.shape[:-1], {}
        for quantity, place in zip(self.quantities, self.places, strict=True):
            own = means[..., place]
            if quantity.weights is not None:
                shape = quantity.weights.shape[:-1]
                flat = own @ quantity.weights.reshape(math.prod(shape), -1).T
                found[quantity.name] = flat.reshape(*batch, *shape)
            else:
                found |= values_of(quantity, own, self.sites)
        return self._with_energy(found, t) if self.energy else found

    def _with_energy(self, found: Mapping[str, np.ndarray], t: float) -> dict[str, np.ndarray]:
        """The energy in place of its parts."""
        kept = {name: value for name, value in found.items() if not name.startswith(PART)}
        parts = [float(g(t)) * found[f"{PART}{number}"] for number, g in enumerate(self.energy)]
        return kept | {ENERGY: np.sum(parts, axis=0)}


def values_of(quantity: Quantity, means: Float[np.ndarray, "*batch operators"], sites: int) -> dict[str, np.ndarray]:
    """Values by name of a quantity that is no linear combination, from exact means of its operators."""
    if quantity.average:
        return {quantity.name: np.asarray(means.mean(axis=-1))}
    single = Estimate(mean=means, error=np.zeros_like(means))
    local_dim = quantity.operators[0].local_dim if quantity.operators else 0
    return {name: np.asarray(e.mean) for name, e in arranged(quantity.name, single, sites, local_dim).items()}


def with_entropy(purity: float | np.ndarray) -> dict[str, np.ndarray]:
    """Purity and Renyi-2 entropy -ln(purity) in nats, by name."""
    return {PURITY: np.asarray(purity), RENYI2: np.asarray(-np.log(purity))}


def exactly(values: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Values without errors."""
    return {name: Estimate(mean=value, error=np.zeros(np.shape(value))) for name, value in values.items()}


def as_values(estimates: Mapping[str, Estimate]) -> dict[str, np.ndarray]:
    """Means and errors by name, as a series holds them."""
    values: dict[str, np.ndarray] = {}
    for name, (mean, error) in estimates.items():
        values[name] = np.asarray(mean, dtype=float)
        values[error_name(name)] = np.broadcast_to(np.asarray(error, dtype=float), values[name].shape)
    return values


def make_readout(quantities: Sequence[Quantity], sites: int, energy: Sequence[Coefficient] = ()) -> Readout:
    """The readout of quantities; operators that stand in several of them are measured once."""
    operators: list[Operator] = []
    known: dict[int, int] = {}
    places = []
    for quantity in quantities:
        place = np.empty(len(quantity.operators), dtype=int)
        for number, operator in enumerate(quantity.operators):
            key = fingerprint(operator)
            if key not in known:
                known[key] = len(operators)
                operators.append(operator)
            place[number] = known[key]
        places.append(place)
    return Readout(
        quantities=tuple(quantities),
        operators=tuple(operators),
        places=tuple(places),
        sites=sites,
        energy=tuple(energy),
    )
