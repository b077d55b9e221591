"""Which pulse multiplies what."""

from collections.abc import Iterator
from typing import Any

from neurho.config.messages import Refusal, shown
from neurho.config.processor import Processor
from neurho.config.pulses import Tabulated
from neurho.config.tables import Dephasing, Heisenberg, Ising, Xyz
from neurho.config.values import Table

AXES = ("", "_x", "_y", "_z")
DRIVEN: dict[type[Table], tuple[str, ...]] = {
    Heisenberg: (*(f"{k}{a}" for k in ("field", "coupling") for a in AXES), "decay", "pump", "dephasing"),
    Xyz: (*(f"coupling{a}" for a in AXES), "decay"),
    Ising: ("interaction", "transverse", "decay", "dephasing"),
    Dephasing: (*(f"coupling{a}" for a in AXES), "dephasing"),
    Processor: ("crosstalk", "detuning"),
}
"""What a pulse can multiply."""


def check_pulses(config: Any) -> Iterator[Refusal]:
    """Pulses that a model names are there, and multiply something."""
    known = DRIVEN.get(type(config.model), ())
    for key in getattr(config.model, "pulses", {}):
        if key not in known:
            yield Refusal(f"model.pulses.{key}", f"be left out: a pulse multiplies {', '.join(known)}", "it is there")
    for key, name in _used(config.model).items():
        if name not in config.pulses:
            there = ", ".join(config.pulses) or "none is there"
            yield Refusal(key, f"name a table [pulses.NAME] ({there})", f"it is {shown(name)}")
    for name, pulse in config.pulses.items():
        if isinstance(pulse, Tabulated) and config.task.kind == "evolve":
            first, last, end = pulse.times[0], pulse.times[-1], config.task.t_end
            if first > 0 or last < end * (1 - 1e-9):
                yield Refusal(f"pulses.{name}.times", f"cover 0..task.t = {end:g}", f"it covers {first:g}..{last:g}")
    if getattr(config.model, "gates", ()) and config.task.kind == "stationary":
        yield Refusal("model.gates", 'be left out for task.kind = "stationary"', "it is there")
    if config.pulses and config.task.kind == "stationary":
        yield Refusal("pulses", 'be left out for task.kind = "stationary"', "it is there")


def _used(model: Any) -> dict[str, str]:
    """The names of pulses in a model, by the key that holds them."""
    used: dict[str, str] = {}
    for table in ("pulses", "values"):
        for key, value in getattr(model, table, {}).items():
            listed = {f"[{n}]": one for n, one in enumerate(value)} if isinstance(value, tuple) else {"": value}
            used |= {f"model.{table}.{key}{n}": one for n, one in listed.items() if isinstance(one, str) and one}
    for table in ("drives", "couplings"):
        for number, entry in enumerate(getattr(model, table, ())):
            if entry.pulse is not None:
                used[f"model.{table}[{number}].pulse"] = entry.pulse
    return used
