"""One text on many places: every site, every bond, every pair, or once."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from neurho._types import NeurhoError, require
from neurho.expressions.coefficients import Moving, Scalar, real_part
from neurho.expressions.reader import CONSTANTS, FUNCTIONS, OPERATORS, Scope, Values, parse, read_number, read_operator
from neurho.lattice import Lattice
from neurho.operators import Operator

PLACES = ("sites", "bonds", "pairs", "once")
"""Where a text is put: on each site `i`, each bond or pair `i`, `j`, or once, with sites given by number."""

RESERVED = frozenset({"i", "j", "distance", *CONSTANTS, *FUNCTIONS, *OPERATORS})


class Place(NamedTuple):
    """What `i` and `j` stand for, and how far they are apart."""

    sites: dict[str, int]
    distance: float | None = None


def operators_on(
    lattice: Lattice,
    text: str,
    *,
    on: str = "sites",
    direction: int | None = None,
    at: Sequence[int] | None = None,
    values: Values | None = None,
    local_dim: int = 2,
) -> list[Operator]:
    """The operator of a text on every place of a lattice, in order.

    **Arguments**

    - `on`: `"sites"` (`i`), `"bonds"` (`i`, `j`), `"pairs"` (all `i` < `j`, and `distance` on open lattices) or
      `"once"`.
    - `direction`: only bonds along this lattice vector; `at`: only these sites.
    - `values`: see [`neurho.parse_operator`][]; a list with one entry for each place stands for its entry.
    """
    tree, places = parse(text), find_places(lattice, on, direction=direction, at=at)
    return [read_operator(tree, text, scope) for scope in _scopes(lattice, places, on, values, local_dim)]


def rates_on(
    lattice: Lattice,
    rate: Any,
    *,
    on: str = "sites",
    direction: int | None = None,
    at: Sequence[int] | None = None,
    values: Values | None = None,
) -> list[Any]:
    """Rates on every place: one number, one for each place, or a text that may depend on time."""
    places = find_places(lattice, on, direction=direction, at=at)
    if not isinstance(rate, str):
        if callable(rate) or np.ndim(rate) == 0:
            return [rate] * len(places)
        require(
            len(rate) == len(places),
            "rate",
            f"have one entry for each of the {len(places)} {on}",
            f"it has {len(rate)}",
        )
        return list(rate)
    tree = parse(rate)
    found = [read_number(tree, rate, scope) for scope in _scopes(lattice, places, on, values, 2)]
    return [_real(value, rate) for value in found]


def _real(value: Scalar, text: str) -> Any:
    if isinstance(value, complex):
        raise NeurhoError(f"The rate `{text}` must be real, but it is {value:.6g}.")
    return real_part(value) if isinstance(value, Moving) else value


def find_places(
    lattice: Lattice, on: str, *, direction: int | None = None, at: Sequence[int] | None = None
) -> list[Place]:
    """The places of a kind, in the order of the lattice."""
    require(isinstance(on, str) and on in PLACES, "on", f"be one of {', '.join(PLACES)}", f"it is {on!r}")
    require(direction is None or on == "bonds", "direction", "be given only with bonds", f"it is given with {on}")
    require(at is None or on == "sites", "at", "be given only with sites", f"it is given with {on}")
    if on == "once":
        return [Place({})]
    if on == "sites":
        whole = at is None or (
            isinstance(at, Sequence | np.ndarray) and all(isinstance(j, int | np.integer) for j in at)
        )
        require(whole, "at", "be a list of sites", f"it is {at!r}")
        chosen = range(lattice.sites) if at is None else at
        inside = all(0 <= j < lattice.sites for j in chosen)
        require(inside, "at", f"lie in 0..{lattice.sites - 1}", f"it is {list(chosen)}")
        return [Place({"i": int(j)}) for j in chosen]
    if on == "pairs":
        return [
            Place({"i": i, "j": j}, distance=_distance(lattice, i, j)) for i, j in combinations(range(lattice.sites), 2)
        ]
    bonds = lattice.bonds
    if direction is not None:
        bonds = bonds[lattice.bond_directions == direction]
        require(len(bonds) > 0, "direction", "be one along which there are bonds", f"it is {direction}")
    return [Place({"i": int(i), "j": int(j)}) for i, j in bonds]


def _distance(lattice: Lattice, i: int, j: int) -> float | None:
    """The distance in lattice constants; None where positions say nothing about it (rings, graphs)."""
    if any(lattice.periodic) or lattice.name == "edges":
        return None
    return float(np.linalg.norm(lattice.positions[i] - lattice.positions[j]))


def _scopes(
    lattice: Lattice, places: Sequence[Place], on: str, values: Values | None, local_dim: int
) -> Iterator[Scope]:
    given: Mapping[str, Any] = values or {}
    for name in given:
        require(
            name.isidentifier() and name not in RESERVED,
            "values",
            "be named by words that mean nothing else",
            f"one is called `{name}`",
        )
    for number, place in enumerate(places):
        distance = {} if place.distance is None else {"distance": place.distance}
        yield Scope(
            local_dim=local_dim,
            sites=place.sites,
            values={**given, **distance},
            count=lattice.sites,
            item=number,
            items=len(places),
            what=on,
        )
