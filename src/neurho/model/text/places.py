"""One text on many places: every site, every bond, every pair, or once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from neurho._types import Coefficient, NeurhoError, Value, require
from neurho.model.lattice import Lattice
from neurho.model.operators import Operator, require_function
from neurho.model.text.coefficients import Moving, Scalar
from neurho.model.text.reader import CONSTANTS, FUNCTIONS, OPERATORS, Scope, Values, parse, read_number, read_operator

PLACES = ("sites", "bonds", "pairs", "once")
"""Where a text is put: on each site `i`, each bond or pair `i`, `j`, or once, with sites given by number."""

RESERVED = frozenset({"i", "j", "distance", *CONSTANTS, *FUNCTIONS, *OPERATORS})


class Place(NamedTuple):
    """What `i` and `j` stand for, how far they are apart, and whether their order says something."""

    sites: dict[str, int]
    distance: float | None = None
    directed: bool = True


def operators_on(
    lattice: Lattice,
    text: str,
    *,
    on: str = "sites",
    direction: int | None = None,
    at: Sequence[int] | None = None,
    values: Values | None = None,
    local_dim: int = 2,
    up_to_sign: bool = False,
) -> list[Operator]:
    """The operator of a text on every place of a lattice, in order.

    On bonds `i` and `j` are in the order of `Lattice.bonds`: `sz(i) * sx(j)` on a ring is sz_j sx_{j+1} for every j.

    ```python
    import neurho

    hopping = neurho.operators_on(neurho.chain(4), "sp(i) * sm(j) + sm(i) * sp(j)", on="bonds")
    assert [operator.support for operator in hopping] == [(0, 1), (1, 2), (2, 3)]
    ```

    **Arguments**

    - `on`: `"sites"` (`i`), `"bonds"` (`i`, `j`), `"pairs"` (all `i` < `j`, and `distance` on open lattices) or
      `"once"`.
    - `direction`: only bonds along this lattice vector; `at`: only these sites.
    - `values`: see [`neurho.parse_operator`][]; a list with one entry for each place stands for its entry.
    - `up_to_sign`: the sign does not matter, as that of a jump operator.

    **Raises** `NeurhoError` with the character at which the text goes wrong, and for an operator that changes when i
    and j are exchanged on a bond without a direction (`Lattice.directed`).
    """
    tree, places = parse(text), find_places(lattice, on, direction=direction, at=at)
    found = []
    for place, scope in zip(places, _scopes(lattice, places, on, values, local_dim), strict=True):
        operator = read_operator(tree, text, scope)
        if not place.directed:
            other = read_operator(tree, text, _exchanged(scope))
            same = _vanishes(operator - other) or (up_to_sign and _vanishes(operator + other))
            _require_symmetric(same, "operator", text, place)
        found.append(operator)
    return found


def _alike(value: Scalar, other: Scalar) -> bool:
    """Whether rates are the same: functions of time if they are written alike."""
    if isinstance(value, Moving) or isinstance(other, Moving):
        return value == other
    return abs(value - other) <= 1e-12 * abs(value)


def _exchanged(scope: Scope) -> Scope:
    sites = scope.sites or {}
    return replace(scope, sites={"i": sites["j"], "j": sites["i"]})


def _vanishes(operator: Operator) -> bool:
    size = max((np.max(np.abs(term.matrix)) for term in operator.terms), default=0.0)
    return all(np.max(np.abs(term.matrix)) <= 1e-12 * size for term in operator.merged().terms)


def _require_symmetric(same: object, name: str, text: str, place: Place) -> None:
    must = (
        "be the same with i and j exchanged on a bond without direction (multi_edges gives a periodic direction of "
        "length 2 one bond for each way; pairs of sites and directed graphs keep their order)"
    )
    require(same, name, must, f"`{text}` is not on {tuple(place.sites.values())}")


def rates_on(
    lattice: Lattice,
    rate: str | float | Coefficient | Sequence[float | Coefficient] | np.ndarray,
    *,
    on: str = "sites",
    direction: int | None = None,
    at: Sequence[int] | None = None,
    values: Values | None = None,
) -> list[Coefficient | float]:
    """Rates on every place: one number, one for each place, or a text that may depend on time."""
    places = find_places(lattice, on, direction=direction, at=at)
    if not isinstance(rate, str):
        several: Value = rate
        if callable(rate) or np.ndim(several) == 0:
            return [several] * len(places)
        must = f"have one entry for each of the {len(places)} {on}"
        require(len(several) == len(places), "rate", must, f"it has {len(several)}")
        return list(several)
    tree, found = parse(rate), []
    for place, scope in zip(places, _scopes(lattice, places, on, values, 2), strict=True):
        value = _real(read_number(tree, rate, scope), rate)
        if not place.directed:
            other = read_number(tree, rate, _exchanged(scope))
            _require_symmetric(_alike(value, other), "rate", rate, place)
        found.append(value)
    return found


def _real(value: Scalar, text: str) -> Moving | float:
    """A rate; what depends on time is looked at whenever it is evaluated."""
    if isinstance(value, complex):
        raise NeurhoError(f"The rate `{text}` must be real, but it is {value:.6g}.")
    return value


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
        require(len(set(map(int, chosen))) == len(chosen), "at", "name each site once", f"it is {list(chosen)}")
        return [Place({"i": int(j)}) for j in chosen]
    if on == "pairs":
        return [
            Place({"i": i, "j": j}, distance=_distance(lattice, i, j)) for i, j in combinations(range(lattice.sites), 2)
        ]
    directions = lattice.bond_directions
    chosen = directions == (directions if direction is None else direction)
    require(
        direction is None or np.any(chosen), "direction", "be one along which there are bonds", f"it is {direction}"
    )
    pairs = zip(lattice.bonds[chosen], lattice.directed[chosen], strict=True)
    return [Place({"i": int(i), "j": int(j)}, directed=bool(directed)) for (i, j), directed in pairs]


def _distance(lattice: Lattice, i: int, j: int) -> float | None:
    """The distance in lattice constants; None where positions say nothing about it (rings, graphs)."""
    if any(lattice.periodic) or lattice.name == "edges":
        return None
    return float(np.linalg.norm(lattice.positions[i] - lattice.positions[j]))


def _elsewhere(lattice: Lattice, on: str, place: Place) -> dict[str, str]:
    """What to say of names that stand for something on other places."""
    found = {} if place.distance is not None else {"distance": _why_no_distance(lattice, on)}
    for name, places in {"i": 'on = "sites", "bonds" and "pairs"', "j": 'on = "bonds" and "pairs"'}.items():
        if name not in place.sites:
            found[name] = f"is known with {places} only"
    return found


def _why_no_distance(lattice: Lattice, on: str) -> str:
    """What to say where `distance` is not known."""
    if on != "pairs":
        return 'is known with on = "pairs" only'
    kind = "was made from edges" if lattice.name == "edges" else "is periodic, where there are several ways around"
    return f"is known on open lattices only, but this one {kind}; write it with i and j, as in `sin(pi*(j-i)/8)`"


def _scopes(
    lattice: Lattice, places: Sequence[Place], on: str, values: Values | None, local_dim: int
) -> Iterator[Scope]:
    given = values or {}
    for name, value in given.items():
        require(
            isinstance(name, str) and name.isidentifier() and name not in RESERVED,
            "values",
            "be named by words that mean nothing else",
            f"one is called `{name}`",
        )
        if isinstance(value, Sequence) and any(map(callable, value)):
            for number, one in enumerate(value):
                _require_value(one, f"values[{name!r}][{number}]", dimensions=0)
        else:
            _require_value(value, f"values[{name!r}]", dimensions=1)
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
            elsewhere=_elsewhere(lattice, on, place),
        )


def _require_value(value: object, name: str, *, dimensions: int) -> None:
    """A number, a list of them with one dimension, or a function of time."""
    if callable(value):
        require_function(value, name)
        return
    try:
        array = np.asarray(value)
        good = array.ndim <= dimensions and array.dtype.kind in "iufc" and bool(np.all(np.isfinite(array)))
    except (TypeError, ValueError):
        good = False
    require(good, name, "be a finite number, a list of them or a function of time", f"it is {value!r}"[:80])
