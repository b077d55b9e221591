"""What to measure, as Python gives it: the table [observables]."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from neurho._types import Record, brief, require
from neurho.config import PLAIN
from neurho.model.interchange.matrices import terms_of
from neurho.model.operators import Operator
from neurho.observables import Quantity, names

KEYS = frozenset(PLAIN["observables"].model_fields)
MUST = 'be names such as ["structure"], or a table such as {"n": sp(0) @ sm(0), "structure": True}'


def observables_of(given: Any, local_dim: int) -> Record:
    """The table [observables] of a problem.

    **Arguments**

    - `given`: None; names of keys to switch on; or a table, by name, of operators, lists of operators, text, and
      values of keys.

    **Raises** `NeurhoError` for what cannot be measured.
    """
    if given is None:
        return {}
    if isinstance(given, str | Quantity | Operator):
        given = [given]
    if isinstance(given, Sequence):
        for entry in given:
            require(
                isinstance(entry, str), "observables", f"{MUST}, where operators have names", f"it holds {brief(entry)}"
            )
        return dict.fromkeys(given, True)
    require(isinstance(given, Mapping), "observables", MUST, f"it is {brief(given)}")
    table: Record = {}
    for name, value in given.items():
        if name in KEYS or isinstance(value, bool):
            table[name] = value
            continue
        _require_free(name)
        place, entry = _entry(name, value, local_dim)
        table.setdefault(place, {})[name] = entry
    return table


def _entry(name: str, value: Any, local_dim: int) -> tuple[str, Any]:
    """The key of [observables] that an observable belongs to, and what stands there."""
    if isinstance(value, str):
        return ("on_bonds" if re.search(r"\bj\b", value) else "on_sites"), value
    value = value.operators if isinstance(value, Quantity) else value
    listed = [value] if isinstance(value, Operator) else value
    must = "be an Operator, a list of them, or text such as 'proj(i, 0)'"
    good = isinstance(listed, Sequence) and len(listed) > 0
    require(
        good and all(isinstance(o, Operator) for o in listed), f"observables[{name!r}]", must, f"it is {brief(value)}"
    )
    for operator in listed:
        fixed = all(term.coefficient is None for term in operator.terms)
        require(fixed, f"observables[{name!r}]", "not depend on time", "it has a coefficient f(t)")
        have = f"act on sites of {local_dim} levels, as the model does"
        require(operator.local_dim == local_dim, f"observables[{name!r}]", have, f"it has {operator.local_dim}")
    return "operators", [terms_of(o.merged(), lambda _: "") for o in listed]


def _require_free(name: Any) -> None:
    good = isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9]*", name) is not None
    require(good, "observables", "have names of letters and digits", f"one is {brief(name)}")
    require(not names.is_taken(name), "observables", "have names of their own", f"`{name}` has a meaning already")
