"""Public functions keep to their signatures: arguments and results are compared with the hints when a call succeeds.

Not before the call, where `NeurhoError` says in a sentence what is wrong with an argument: a call that is refused says
nothing of its hints. One that is not refused says that the function takes what it was given, and then its hints must.
"""

import functools
import importlib
import inspect
import pkgutil
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_type_hints

import numpy as np
from beartype import BeartypeConf, FrozenDict
from beartype.door import TypeHint
from beartype.roar import BeartypeException

import neurho
from neurho import _types

NAMES = {**vars(_types), "Sequence": Sequence}
"""What hints in quotation marks speak of, in whatever module they stand."""


NUMBERS = BeartypeConf(
    hint_overrides=FrozenDict(
        {
            int: int | np.integer,
            float: float | int | np.floating | np.integer,
            complex: complex | float | int | np.number,
        }
    )
)
"""Numbers of NumPy are numbers, and whole ones are real."""

# Rooms whose tests have been looked at; all of them with NEURHO_SIGNATURES=all.
ROOMS = ("config", "dynamics", "exact", "house", "model", "observables", "records", "report", "sweep", "systems")


class Switch:
    """Whether signatures are looked at just now."""

    on = False


class SignatureError(TypeError):
    """A public function took or gave something that its hints do not allow."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which compares what it took and gave with its hints."""
    hints = {name: hint for name, given in _hints(function).items() if (hint := _known(given)) is not None}
    signature = inspect.signature(function)
    many = {p.name: p.kind for p in signature.parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    single = {name: hint for name, hint in hints.items() if name not in many and name != "return"}
    result = hints.get("return")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        if not Switch.on:
            return found
        given = signature.bind(*args, **kwargs).arguments
        for name, hint in single.items():
            if name in given and not hint.is_bearable(given[name], conf=NUMBERS):
                raise SignatureError(f"{function.__qualname__} took {name} = {given[name]!r}, no {hint.hint}")
        if result is not None and not result.is_bearable(found, conf=NUMBERS):
            raise SignatureError(f"{function.__qualname__} gave {found!r}, no {result.hint}")
        return found

    return call


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, localns=NAMES)
    except NameError:  # names that only type checkers import
        return {}


def _known(hint: Any) -> TypeHint | None:
    """A hint as beartype knows it; None for one that it does not."""
    try:
        known = TypeHint(hint)
        known.is_bearable(None, conf=NUMBERS)
    except (BeartypeException, TypeError):
        return None
    return known


def public() -> Iterator[types.FunctionType]:
    """Functions that users call: those of `neurho`, its namespaces and its rooms."""
    rooms = [importlib.import_module(m.name) for m in pkgutil.iter_modules(neurho.__path__, "neurho.")]
    for room in [neurho, *(room for room in rooms if room.__name__ not in ("neurho.cli", "neurho._jax"))]:
        for name in getattr(room, "__all__", ()):
            found = getattr(room, name)
            # What a decorator has made, such as a context manager, gives something else than its hints say.
            if isinstance(found, types.FunctionType) and not hasattr(found, "__wrapped__"):
                yield found


def check_all() -> int:
    """Put checked functions wherever the public ones are in neurho; their number."""
    instead = {id(function): (function, checked(function)) for function in public()}
    for name, module in list(sys.modules.items()):
        if name == "neurho" or name.startswith("neurho."):
            for attribute, value in list(vars(module).items()):
                if id(value) in instead:
                    setattr(module, attribute, instead[id(value)][1])
    return len(instead)
