"""What quantities make of the means of their operators, for methods that know every mean: a linear map by name."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurho._types import Coefficient
from neurho.model.operators import Operator
from neurho.observables import Estimate, Quantity, fingerprint, symmetric
from neurho.observables.reduced import REDUCED, as_matrices
from neurho.run.drive import PART


class Readout(NamedTuple):
    """Quantities whose operators stand once in a list; made by [`make_readout`][neurho.observables.readout.make_readout].

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
            elif quantity.average:
                found[quantity.name] = own.mean(axis=-1)
            elif quantity.name == REDUCED:
                size = quantity.operators[0].local_dim ** 2
                rows = own.reshape(math.prod(batch), -1)
                parts = [as_matrices(Estimate(mean=row, error=np.zeros_like(row)), size) for row in rows]
                for name in parts[0]:
                    stacked = np.stack([part[name].mean for part in parts])
                    found[name] = stacked.reshape(*batch, *stacked.shape[1:])
            elif quantity.name.endswith("_pair"):
                rows = own.reshape(math.prod(batch), -1)
                found[quantity.name] = np.stack([symmetric(row, self.sites, 1.0) for row in rows]).reshape(
                    *batch, self.sites, self.sites
                )
            else:
                found[quantity.name] = own
        return self._with_energy(found, t) if self.energy else found

    def _with_energy(self, found: Mapping[str, np.ndarray], t: float) -> dict[str, np.ndarray]:
        """The energy in place of its parts."""
        kept = {name: value for name, value in found.items() if not name.startswith(PART)}
        parts = [float(g(t)) * found[f"{PART}{number}"] for number, g in enumerate(self.energy)]
        return kept | {"energy": np.sum(parts, axis=0)}


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
