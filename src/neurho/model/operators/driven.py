"""What multiplies parts of a model: one number or function of time for all sites or bonds, or one for each."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from neurho._types import Coefficient, Numbers, as_reals, require
from neurho.model.operators.coefficients import require_function

Pulses: TypeAlias = Mapping[str, Coefficient | Sequence[Coefficient | None]]
"""Functions f(t) by the name of what they multiply, or lists of one (or None for 1) for each site or bond."""


def each(name: str, value: Numbers, count: int, item: str) -> np.ndarray:
    """One number for each of `count` items, from one for all or one for each."""
    array = as_reals(value, name)
    but = f"its shape is {array.shape}"
    require(array.shape in ((), (count,)), name, f"be one number or {count}, one per {item}", but)
    return np.broadcast_to(array, (count,))


def pulses_of(pulses: Pulses | None, known: Mapping[str, tuple[int, str]]) -> dict[str, list[Coefficient | None]]:
    """For each name in `known` (how many, of what) what multiplies each site or bond; None stands for 1.

    **Raises** `NeurhoError` for other names, for lists of another length and for what is no function of time.
    """
    found: dict[str, list[Coefficient | None]] = {name: [None] * count for name, (count, _) in known.items()}
    for name, given in (pulses or {}).items():
        require(name in known, "pulses", f"name some of {', '.join(known)}", f"it names {name}")
        (count, item), key = known[name], f"pulses[{name}]"
        if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray):
            require_function(given, key)
            found[name] = [given] * count  # pyright: ignore[reportArgumentType]
            continue
        require(len(given) == count, key, f"be one function or {count}, one per {item}", f"it has {len(given)}")
        for number, function in enumerate(given):
            if function is not None:
                require_function(function, f"{key}[{number}]")
        found[name] = list(given)
    return found
