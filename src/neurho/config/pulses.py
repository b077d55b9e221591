"""The tables [pulses.NAME]: shapes in time, and reading those that are given as a file."""

import csv
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from neurho._types import NeurhoError, Record
from neurho.config.messages import Refusal, shown
from neurho.config.values import Flag, Number, Positive, Real, Table


class _Window(Table):
    """What begins and ends."""

    start: Real = 0.0
    end: Real

    @model_validator(mode="after")
    def _ordered(self) -> "_Window":
        if self.end <= self.start:
            raise Refusal("end", f"lie after start = {self.start:g}", f"it is {self.end:g}")
        return self


class Constant(Table):
    """`value` from `start` on and before `end`, zero outside; without them always."""

    kind: Literal["constant"]
    value: Real
    start: Real | None = None
    end: Real | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Constant":
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise Refusal("end", f"lie after start = {self.start:g}", f"it is {self.end:g}")
        return self


class Ramp(_Window):
    """From `first` at `start` to `last` at `end` in a straight line, constant before and after."""

    kind: Literal["ramp"]
    first: Real
    last: Real


class Sine(Table):
    """offset + amplitude sin(frequency t + phase), in radians."""

    kind: Literal["sine"]
    amplitude: Real = 1.0
    frequency: Positive
    phase: Real = 0.0
    offset: Real = 0.0


class Gaussian(Table):
    """height exp(-(t - centre)^2 / (2 width^2))."""

    kind: Literal["gaussian"]
    height: Real = 1.0
    centre: Real
    width: Positive


class Sin2(_Window):
    """height sin^2(pi (t - start)/(end - start)) between `start` and `end`, zero outside."""

    kind: Literal["sin2"]
    height: Real = 1.0


class Tabulated(Table):
    """A curve through points, given as `times` and `values` or as a CSV file with a column for each."""

    kind: Literal["tabulated"]
    times: Annotated[tuple[Number, ...], Field(min_length=2, description="a list of at least two increasing numbers")]
    values: Annotated[tuple[Number, ...], Field(min_length=2, description="a list of numbers, one for each time")]
    smooth: Flag = False

    @model_validator(mode="after")
    def _sorted(self) -> "Tabulated":
        if len(self.values) != len(self.times):
            raise Refusal(
                "values", f"have one entry for each of the {len(self.times)} times", f"it has {len(self.values)}"
            )
        for before, after in pairwise(self.times):
            if after <= before:
                raise Refusal("times", "increase", f"{after:g} follows {before:g}")
        return self


Pulse: TypeAlias = Constant | Ramp | Sine | Gaussian | Sin2 | Tabulated


def with_tables(data: Record, folder: Path, where: str) -> Record:
    """Problem data in which every `file` of a tabulated pulse, relative to `folder`, has become its times and values.

    The numbers, not the file, are part of the problem: a run directory needs nothing from outside.

    **Raises** `NeurhoError` with the key, the file and the line that cannot be read.
    """
    pulses = data.get("pulses")
    if not isinstance(pulses, dict):
        return data
    filled = {name: _filled(name, raw, folder, where) for name, raw in pulses.items()}
    return data | {"pulses": filled}


def _filled(name: str, raw: Any, folder: Path, where: str) -> Any:
    if not isinstance(raw, Mapping) or raw.get("kind") != "tabulated" or "file" not in raw:
        return raw
    key = f"In `{where}`, key `pulses.{name}.file`"
    if both := {"times", "values"} & set(raw):
        raise NeurhoError(f"{key} must stand alone, but there is {' and '.join(sorted(both))} beside it.")
    if not isinstance(raw["file"], str):
        raise NeurhoError(f"{key} must be the name of a CSV file, but it is {shown(raw['file'])}.")
    path = folder / raw["file"]
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise NeurhoError(f"{key} must be a CSV file that can be read, but `{path}` is not.") from None
    numbers = [_numbers(line) for line in lines]
    for count, (line, row) in enumerate(zip(lines, numbers, strict=True), start=1):
        header = count == 1 and row is None and len(line) == 2
        if row is None and line and not header and not line[0].lstrip().startswith("#"):
            raise NeurhoError(f"{key} must have two numbers t, f in each line, but line {count} of `{path}` has not.")
    rows = [row for row in numbers if row is not None]
    rest = {k: v for k, v in raw.items() if k != "file"}
    return rest | {"times": [t for t, _ in rows], "values": [f for _, f in rows]}


def _numbers(line: list[str]) -> tuple[float, float] | None:
    try:
        t, f = map(float, line)
    except ValueError:
        return None
    return t, f
