"""Times and frequencies with their units, "3 us" and "50 kHz", as numbers in the unit of time of the model."""

import re
from collections.abc import Mapping
from math import pi
from typing import Any

from neurho._types import Keys, Record
from neurho.config.messages import require_none, shown

EXPONENTS = {"s": 0, "ms": -3, "us": -6, "\u00b5s": -6, "\u03bcs": -6, "ns": -9, "ps": -12}
"""Units of time by their powers of ten."""
CYCLES = {"Hz": 0, "kHz": 3, "MHz": 6, "GHz": 9}
ANGLES = {"rad": 1.0, "deg": pi / 180, "pi": pi}

TIME, FREQUENCY, ANGLE = (
    'a number or a time as in "3 us" (s, ms, us, ns, ps)',
    'a number (radians per model.unit), or a frequency as in "50 kHz" (Hz, kHz, MHz, GHz: cycles) or "0.3 rad/us"',
    'a number in radians or an angle as in "90 deg" or "0.5 pi"',
)
"""What a key may hold besides numbers, as sentences say it."""

DIMENSIONS = {
    "model": {"T1": TIME, "T2": TIME, "crosstalk": FREQUENCY, "detuning": FREQUENCY},
    "model.drives": {"rabi": FREQUENCY, "phase": ANGLE},
    "model.couplings": {"strength": FREQUENCY},
    "model.gates": {"start": TIME, "duration": TIME, "angle": ANGLE},
    "pulses": {
        **dict.fromkeys(("start", "end", "centre", "width", "times"), TIME),
        "frequency": FREQUENCY,
        "phase": ANGLE,
    },
    "task": dict.fromkeys(("t", "t_max", "times", "dt", "dt_max"), TIME),
}
"""Keys that have a unit, by the table, list of tables or named tables that they stand in."""

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\W\d][^\s\d]*)\s*")


def in_units(data: Keys, where: str) -> Record:
    """Problem data with numbers in place of quantities that have a unit: times in `model.unit`, frequencies in radians
    per `model.unit`, angles in radians.

    **Raises** `NeurhoError` with one sentence for each unit that is none, and for units without `model.unit`.
    """
    given = data.get("model")
    model: Keys = given if isinstance(given, Mapping) else {}
    unit, wrong = model.get("unit"), list[str]()
    converted = dict(data)
    for path, keys in DIMENSIONS.items():
        name, _, inner = path.partition(".")
        table = converted.get(name)
        if not isinstance(table, Mapping):
            continue
        if name == "pulses":
            converted[name] = {k: _table(v, f"pulses.{k}", keys, unit, wrong) for k, v in table.items()}
        elif not inner:
            converted[name] = _table(table, name, keys, unit, wrong)
        elif isinstance(table.get(inner), list):
            entries = [_table(v, f"{path}[{n}]", keys, unit, wrong) for n, v in enumerate(table[inner])]
            converted[name] = {**table, inner: entries}
    require_none(where, wrong if unit is not None else wrong[:1])
    return converted


def _table(table: Any, path: str, keys: Mapping[str, str], unit: Any, wrong: list[str]) -> Any:
    if not isinstance(table, Mapping):
        return table
    return {k: _value(v, f"{path}.{k}", keys[k], unit, wrong) if k in keys else v for k, v in table.items()}


def _value(value: Any, path: str, kind: str, unit: Any, wrong: list[str]) -> Any:
    if isinstance(value, list):
        return [_value(entry, path, kind, unit, wrong) for entry in value]
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value  # a number, or what the schema refuses
    number, symbol = float(match[1]), match[2]
    if kind != ANGLE and unit is None:
        only = 'a number without model.unit, which model.kind = "processor" has ("s", "ms", "us" or "ns")'
        wrong.append(f"key `{path}` must be {only}, but it is {shown(value)}.")
        return number
    found = _number(number, symbol, kind, EXPONENTS.get(unit, 0) if isinstance(unit, str) else 0)
    if found is None:
        wrong.append(f"key `{path}` must be {kind}, but it is {shown(value)}.")
    return number if found is None else found


def _number(number: float, symbol: str, kind: str, unit: int) -> float | None:
    """The number in the unit of time 10^`unit` seconds, or None for a unit of another kind."""
    if kind == ANGLE:
        return number * ANGLES[symbol] if symbol in ANGLES else None
    if kind == TIME:
        return _scaled(number, EXPONENTS[symbol] - unit) if symbol in EXPONENTS else None
    over, _, time = symbol.partition("/")
    if over == "rad" and time in EXPONENTS:
        return _scaled(number, unit - EXPONENTS[time])
    return 2 * pi * _scaled(number, unit + CYCLES[symbol]) if symbol in CYCLES else None


def _scaled(number: float, power: int) -> float:
    """`number` times a power of ten; the division is exact where the result is a whole number."""
    return number * 10.0**power if power >= 0 else number / 10.0**-power
