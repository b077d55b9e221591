"""Shape names, argument checks in one sentence, and the one exception that users see."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

Coefficient: TypeAlias = Callable[[Any], Any]
"""A real or complex function of time, f(t), called with a float."""

CORRECTED = "_corrected"
"""Ends the names of stationary values that the equation of motion has corrected."""


def closing_steps(average: float, step: int) -> int:
    """How many steps follow a search that ends at `step`, to be the part `average` of all (one if that is 1)."""
    return math.ceil(average / (1 - average) * (step + 1)) if average < 1 else 1


class NeurhoError(ValueError):
    """Something a user can mend: the message is one sentence that says what, where and how."""


class NumericalError(NeurhoError):
    """A run that met NaN, overflow or a state it cannot continue from; the message names the cause."""


def require(condition: object, name: str, must: str, but: str) -> None:
    """Raise ``Argument `name` must ..., but ...`` unless `condition` holds."""
    if not condition:
        raise NeurhoError(f"Argument `{name}` must {must}, but {but}.")


def require_sites(sites: Sequence[int], count: int, name: str = "sites") -> None:
    """Check that `sites` are distinct and lie in 0..count-1."""
    require(
        all(0 <= j < count for j in sites),
        name,
        f"lie in 0..{count - 1} on a lattice of {count} sites",
        f"it is {tuple(sites)}",
    )
    require(len(set(sites)) == len(sites), name, "be distinct", f"it is {tuple(sites)}")


def require_rate(rate: object, name: str) -> None:
    """Check that a constant rate is finite, real and not negative."""
    values = np.asarray(rate)
    require(
        values.dtype.kind in "iuf" and np.all(np.isfinite(values)) and np.all(values >= 0),
        name,
        "be a finite real number >= 0",
        f"it is {rate}",
    )


def as_reals(value: object, name: str) -> np.ndarray:
    """An array of finite real numbers, or one sentence that says why not."""
    try:
        array = np.asarray(value)
        good = array.dtype.kind in "iuf" and np.all(np.isfinite(array))
    except (TypeError, ValueError):
        good, array = False, np.zeros(0)
    require(good, name, "be finite real numbers", f"it is {value!r}"[:80])
    return array.astype(float)


def as_matrix(matrix: object, name: str = "matrix") -> np.ndarray:
    """A finite square complex matrix, or one sentence that says why not."""
    try:
        array = np.array(matrix, dtype=complex)
    except (TypeError, ValueError):
        raise NeurhoError(f"Argument `{name}` must be a square matrix of numbers, but it is {matrix!r}.") from None
    require(
        array.ndim == 2 and array.shape[0] == array.shape[1], name, "be a square matrix", f"its shape is {array.shape}"
    )
    require(np.all(np.isfinite(array)), name, "have finite entries", "it contains NaN or infinity")
    return array
