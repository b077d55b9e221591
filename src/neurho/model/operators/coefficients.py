"""Functions of time that multiply operators: products, conjugates, and their values at one time. NumPy only."""

import cmath
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol, TypeAlias

import numpy as np

from neurho._types import Coefficient, NeurhoError, Value, require
from neurho.model.timescales import Schedule

SMALL = 1e-12
"""Rates may be negative or complex by this much of the largest of 1 and their size: rounding."""


class Functions(Protocol):
    """Functions of numbers of another kind than NumPy and JAX have."""

    def __getattr__(self, name: str) -> Value:
        """A function by its name in NumPy, or the number `one`."""
        ...


Library: TypeAlias = ModuleType | Functions
"""What has the functions of numbers, by their names in NumPy."""


class Term(Protocol):
    """A matrix on a few sites with its coefficient, None for 1."""

    @property
    def sites(self) -> tuple[int, ...]:
        """The first is the slowest index of the matrix."""
        ...

    @property
    def matrix(self) -> np.ndarray:
        """Shape `(d^k, d^k)`."""
        ...

    @property
    def coefficient(self) -> Coefficient | None:
        """What multiplies it."""
        ...


@dataclass(frozen=True)
class Product:
    """The product of two time-dependent coefficients."""

    left: Coefficient
    right: Coefficient

    def __call__(self, t: Value) -> Value:
        """The value at time t."""
        return self.left(t) * self.right(t)

    def __str__(self) -> str:
        return f"{shown(self.left)}*{shown(self.right)}"

    def value_in(self, library: Library, t: Value, opaque: Callable[[Coefficient], Value]) -> Value:
        """The value where `library` has the functions of numbers and `opaque` the values of other functions of time."""
        return value_in(self.left, library, t, opaque) * value_in(self.right, library, t, opaque)

    @property
    def factors(self) -> tuple[Coefficient, ...]:
        """What it is made of."""
        return self.left, self.right


@dataclass(frozen=True)
class Conjugate:
    """The complex conjugate of a time-dependent coefficient."""

    function: Coefficient

    def __call__(self, t: Value) -> Value:
        """The value at time t."""
        return np.conj(self.function(t))

    def __str__(self) -> str:
        return f"conj({shown(self.function)})"

    def value_in(self, library: Library, t: Value, opaque: Callable[[Coefficient], Value]) -> Value:
        """The value where `library` has the functions of numbers and `opaque` the values of other functions of time."""
        return value_in(self.function, library, t, opaque).conjugate()

    @property
    def factors(self) -> tuple[Coefficient, ...]:
        """What it is made of."""
        return (self.function,)


def product(left: Coefficient | None, right: Coefficient | None) -> Coefficient | None:
    """The product of two coefficients, of which None stands for 1."""
    if left is None or right is None:
        return left or right
    return Product(left, right)


def shown(function: object) -> str:
    """How messages and printed operators call a function of time."""
    plain = "__str__" not in vars(type(function))
    return str(getattr(function, "__name__", type(function).__name__ if plain else function))


def written(number: complex) -> str:
    """A number in a few digits, without parts that are zero."""
    z = complex(number)
    if not z.imag:
        return f"{z.real:.6g}"
    return f"({z:.6g})" if z.real else f"{z.imag:.6g}j"


def require_function(function: Value, name: str) -> None:
    """Check that a coefficient is a function of time alone."""
    require(callable(function), name, "be a function of time", f"it is {function!r}"[:80])
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some compiled functions do not tell
    try:
        signature.bind(0.0)
    except TypeError:
        raise NeurhoError(
            f"Argument `{name}` must be a function of time alone, f(t), but `{shown(function)}` takes {signature}."
        ) from None


def value_in(function: Coefficient | None, library: Library, t: Value, opaque: Callable[[Coefficient], Value]) -> Value:
    """The value of a coefficient in other numbers than floats: those of `library` at t, with `opaque(f)` for functions
    whose inside cannot be seen.
    """
    if function is None:
        return library.one
    inside = getattr(function, "value_in", None)
    return opaque(function) if inside is None else inside(library, t, opaque)


def leaves(function: Coefficient) -> Iterator[Coefficient]:
    """The functions in a coefficient whose inside cannot be seen."""
    if not hasattr(function, "value_in"):
        yield function
        return
    for part in vars(function).values():
        for item in part if isinstance(part, tuple) else (part,):
            if callable(item):
                yield from leaves(item)


def evaluate(coefficient: float | Coefficient | None, t: Value) -> Value:
    """The value at time t of a coefficient that may be absent (1), a number or a function."""
    if coefficient is None:
        return 1.0
    return coefficient(t) if callable(coefficient) else coefficient


def _value_or_fault(coefficient: float | Coefficient | None, t: float) -> tuple[complex, str]:
    """The value, and what is wrong with it or ""."""
    try:
        with np.errstate(all="ignore"):
            found = evaluate(coefficient, t)
    except ZeroDivisionError as error:
        return np.nan, "0/0" if str(error) == "0/0" else "infinite (it divides by zero)"
    except OverflowError:
        return np.nan, "too large"
    if isinstance(found, float | complex):  # at once: integrators ask thousands of times
        return complex(found), "" if cmath.isfinite(found) else str(found)
    value = np.asarray(found)
    if value.ndim or value.dtype.kind not in "biufc":
        return np.nan, f"no number but {found!r}"[:80]
    number = complex(value)
    return number, "" if np.isfinite(number) else str(value)


def value_at(coefficient: float | Coefficient | None, t: float, name: str = "hamiltonian") -> complex:
    """The value of a coefficient at time t.

    **Raises** `NeurhoError` unless it is one finite number; `name` says what it belongs to.
    """
    value, fault = _value_or_fault(coefficient, t)
    if fault:
        raise NeurhoError(
            f"Coefficients of `{name}` must be finite, but `{shown(coefficient)}` is {fault} at t = {t:g}."
        )
    return value


def rate_at(rate: float | Coefficient, t: float, name: str) -> float:
    """The value of a rate at time t.

    **Raises** `NeurhoError` unless it is one finite real number >= 0.
    """
    value, fault = _value_or_fault(rate, t)
    slack = SMALL * max(1.0, abs(value))
    if not fault and (abs(value.imag) > slack or value.real < -slack):
        fault = written(value if abs(value.imag) > slack else value.real)
    must = "be a finite real number >= 0"
    require(
        not fault, name, f"{must} at all times" if callable(rate) else must, f"{_subject(rate)} is {fault} at t = {t:g}"
    )
    return max(value.real, 0.0)


def require_bounded(plan: Schedule) -> Schedule:
    """The same plan.

    **Raises** `NeurhoError` with the time, if a coefficient grows without bound: steps towards it become ever shorter.
    """
    for function, t in plan.poles:
        raise NeurhoError(f"Coefficients and rates must be finite, but `{shown(function)}` has no bound at t = {t:g}.")
    return plan


def _subject(rate: object) -> str:
    return f"`{shown(rate)}`" if callable(rate) else "it"
