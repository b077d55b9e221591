"""Shape names, argument checks in one sentence, and the one exception that users see."""

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

Value: TypeAlias = Any
"""A number or an array of numbers, of Python, NumPy, JAX or mpmath: what functions of time take and give."""

Coefficient: TypeAlias = Callable[[Value], Value]
"""A real or complex function of time, f(t), called with a float."""


@runtime_checkable
class SupportsArray(Protocol):
    """An array of NumPy, or what becomes one."""

    def __array__(self) -> np.ndarray:
        """The array."""
        ...


@runtime_checkable
class SupportsFull(Protocol):
    """A state or an operator of QuTiP."""

    def full(self) -> np.ndarray:
        """The array."""
        ...


Numbers: TypeAlias = complex | Sequence[complex] | Sequence[Sequence[complex]] | SupportsArray
"""A number, a list of numbers, a list of such lists, or an array."""

Keys: TypeAlias = Mapping[str, object]
"""Values by key: a table of a problem file, or arguments of a call."""

Record: TypeAlias = dict[str, Any]
"""An object of a TOML or JSON file, such as a summary: numbers, words, lists and further objects by name."""

T = TypeVar("T")

GAMMA = "1/gamma"
"""The unit of time where none has a name."""


def closing_steps(average: float, step: int) -> int:
    """How many steps follow a search that ends at `step`, to be the part `average` of all (one if that is 1)."""
    return math.ceil(average / (1 - average) * (step + 1)) if average < 1 else 1


def default_chains(*samples: int) -> int:
    """How many chains are run where only numbers of samples are given: the most, up to 512, that divide all of them and
    leave at least 16 samples to each chain, or 4 for up to 64 chains (one chain where there is no such number).
    """
    most = min(512, *(max(count // 16, min(64, count // 4)) for count in samples))
    return next((n for n in range(most, 1, -1) if not any(count % n for count in samples)), 1)


class NeurhoError(ValueError):
    """Something a user can mend: the message is one sentence that says what, where and how.

    ```python
    import neurho

    try:
        neurho.chain(0)
    except neurho.NeurhoError as error:
        assert str(error).startswith("Argument `")
    ```
    """


class NumericalError(NeurhoError):
    """A run that met NaN, overflow or a state it cannot continue from; the message names the cause.

    ```python
    import neurho

    assert issubclass(neurho.NumericalError, neurho.NeurhoError)
    ```
    """


def given(value: T | None) -> T:
    """The value itself, of what is never None where it is asked for: a key that the method of a problem has."""
    if value is None:
        raise TypeError("What the method of this problem needs is missing.")
    return value


def require(condition: object, name: str, must: str, but: str) -> None:
    """Raise ``Argument `name` must ..., but ...`` unless `condition` holds."""
    if not condition:
        raise NeurhoError(f"Argument `{name}` must {must}, but {but}.")


def brief(value: object) -> str:
    """A value as a sentence can hold it: with its type where it is long."""
    text = value.__name__ if callable(value) and hasattr(value, "__name__") else repr(value)
    short = len(text) <= 60 and "\n" not in text
    return text if short and not isinstance(value, np.ndarray) else f"an object of type {type(value).__name__}"


def require_keys(table: object, kind: type) -> None:
    """Check that a table has the keys that a `TypedDict` must have, and none that it does not know."""
    if not isinstance(table, Mapping):
        raise NeurhoError(f"It must be a mapping of keys to values, but it is {brief(table)}.")
    known = kind.__annotations__
    for key in map(str, table):
        near = get_close_matches(key, known, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}."
        if key not in known:
            raise NeurhoError(f"There is no key `{key}`; {hint}")
    for key in known:
        if key in getattr(kind, "__required_keys__", ()) and key not in table:
            raise NeurhoError(f"The key `{key}` is missing.")


def require_whole(value: object, name: str, least: int = 0) -> None:
    """Check that a size is a whole number of at least `least`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    require(whole, name, f"be a whole number >= {least}", f"it is {brief(value)}")


def require_positive(value: Value, name: str, must: str = "be a number > 0") -> None:
    """Check that a number is real and above zero; infinity is."""
    real = (isinstance(value, int | float) or hasattr(value, "dtype")) and np.ndim(value) == 0
    require(real and not np.iscomplexobj(value) and value > 0, name, must, f"it is {brief(value)}")


def require_sites(sites: Sequence[int], count: int, name: str = "sites") -> None:
    """Check that `sites` are distinct and lie in 0..count-1."""
    listed = isinstance(sites, Sequence | np.ndarray | range) and not isinstance(sites, str)
    whole = listed and all(isinstance(j, int | np.integer) and not isinstance(j, bool) for j in sites)
    require(whole, name, "be a list of whole numbers", f"it is {brief(sites)}")
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


def as_real(value: object, name: str) -> float:
    """One finite real number, or one sentence that says why not."""
    array = as_reals(value, name)
    require(array.ndim == 0, name, "be one number", f"it is {value!r}")
    return float(array)


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
