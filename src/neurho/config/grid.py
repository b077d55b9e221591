"""Grids of problems: `--set model.field.2=0:10:21` is twenty-one of them."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neurho._types import Keys, NeurhoError
from neurho.config.files import dumps, load

MOST = 100_000
"""Largest number of points of a grid."""


class Grid(NamedTuple):
    """Values of the swept keys, in order, and one resolved problem (as TOML) for each point, the last key fastest."""

    axes: dict[str, list[Any]]
    problems: list[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each key."""
        return tuple(len(values) for values in self.axes.values())


def grid(source: str | Path, changes: Iterable[str]) -> Grid:
    """All problems of a grid, each checked before any of them runs.

    **Arguments**

    - `source`: a TOML file or the name of a shipped problem.
    - `changes`: texts as for `--set`. `KEY=first:last:number` sweeps equally spaced values, `KEY=a,b,c` these values;
      anything else changes all problems alike.

    **Raises** `NeurhoError` for a grid without a swept key, and for the first point that is no good problem.
    """
    axes: dict[str, list[Any]] = {}
    constant: list[str] = []
    for change in changes:
        key, equals, text = (part.strip() for part in change.partition("="))
        values = _values(text, change) if equals else None
        if values is None:
            constant.append(change)
        elif key in axes:
            raise NeurhoError(f"Key `{key}` must be swept once, but it is swept twice.")
        else:
            axes[key] = values
    if not axes:
        raise NeurhoError("A sweep must have a swept key, as in `--set model.field.2=0:10:21`, but it has none.")
    if np.prod([float(len(values)) for values in axes.values()]) > MOST:
        raise NeurhoError(f"A sweep must have at most {MOST:,} points, but it has more.")
    points = itertools.product(*axes.values())
    problems = [dumps(load(source, [*constant, *_changes(dict(zip(axes, point, strict=True)))])) for point in points]
    return Grid(axes=axes, problems=problems)


def _changes(point: Keys) -> list[str]:
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in point.items()]


def _values(text: str, change: str) -> list[Any] | None:
    """The values of a swept key, or None if the text is one value."""
    if text[:1] in ('"', "'", "[", "{"):
        return None
    if text.count(":") == 2:
        try:
            first, last, number = (float(part) for part in text.split(":"))
        except ValueError:
            return None
        if not (number.is_integer() and 1 <= number <= MOST and np.isfinite(first) and np.isfinite(last)):
            must = f"be first:last:number with a number of points from 1 to {MOST:,}"
            raise NeurhoError(f"A sweep must {must}, but it is `{change}`.")
        return _whole(np.linspace(first, last, int(number)).tolist(), text)
    if "," in text:
        return [_number(part.strip()) for part in text.split(",")]
    return None


def _whole(values: list[float], text: str) -> list[Any]:
    """Whole numbers where first and last are written so and the steps are whole: for sizes and seeds."""
    plain = not any(c in text for c in ".eE")
    return [int(v) for v in values] if plain and all(v.is_integer() for v in values) else values


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
