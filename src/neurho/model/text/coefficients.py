"""Functions of time that come from text: trees of a few operations, equal if they are written alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from neurho._types import Coefficient, Value
from neurho.model.operators import value_in, written
from neurho.model.operators.coefficients import Library
from neurho.model.text import enclosures
from neurho.model.text.enclosures import Ball
from neurho.model.timescales import Partition, partitions_of, probe

FUNCTIONS = ("sqrt", "exp", "sin", "cos", "tanh")
"""Functions of one number, as NumPy calls them."""


def _divided(a: Value, b: Value) -> Value:
    if isinstance(b, int | float | complex) and b == 0:
        raise ZeroDivisionError("0/0" if np.all(a == 0) else "division by zero")
    return a / b


def _power(a: Value, b: Value) -> Value:
    """NaN for a negative number to a fractional power, as NumPy's square root has it."""
    if isinstance(a, int | float) and isinstance(b, int | float) and a < 0 and b != int(b):
        return math.nan
    return a**b


_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divided,
    "**": lambda a, b: a**b,
}


@dataclass(frozen=True)
class Moving:
    """A number that depends on time: `name` is "t", a function of one number, a binary operation or "call", whose
    arguments are a function of time and how the text calls it.
    """

    name: str
    arguments: tuple["complex | Moving | Coefficient | str", ...] = ()

    def __call__(self, t: Value) -> Value:
        """The value at time t.

        **Raises** `ZeroDivisionError` where it divides by zero.
        """
        return self.value_in(jnp if isinstance(t, jax.Array) else np, t, lambda function: function(t))

    def value_in(self, library: Library, t: Value, opaque: Callable[[Coefficient], Value]) -> Value:
        """The value where `library` has the functions of numbers and `opaque` the values of other functions of time."""
        if self.name == "t":
            return t
        if self.name == "call":
            return value_in(self.arguments[0], library, t, opaque)  # pyright: ignore[reportArgumentType]
        values: list[Value] = [a.value_in(library, t, opaque) if isinstance(a, Moving) else a for a in self.arguments]
        if self.name == "**":
            return _power(*values) if library in (np, jnp) else library.power(*values)
        return _BINARY[self.name](*values) if self.name in _BINARY else getattr(library, self.name)(values[0])

    def __str__(self) -> str:
        """As it could be written in a problem file."""
        if self.name == "t":
            return "t"
        if self.name == "call":
            return str(self.arguments[1])
        parts = [a if isinstance(a, Moving) else written(a) for a in self.arguments]  # pyright: ignore[reportArgumentType]
        if self.name not in _BINARY:
            return f"{self.name}({parts[0]})"
        left, right = (f"({p})" if isinstance(p, Moving) and p.name in _BINARY else str(p) for p in parts)
        return f"{left} {self.name} {right}" if self.name in "+-" else f"{left}{self.name}{right}"

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """The leaves of its summands, each enclosed over whole intervals of time; pulses in it know their own."""
        if self.name == "call":
            return partitions_of(self.arguments[0], t0, t1)  # pyright: ignore[reportArgumentType]
        parts = [a for a in self.arguments if isinstance(a, Moving)]
        inside = _has_calls(self)
        if self.name in "+-" or (inside and self.name == "*"):
            return tuple(p for part in parts for p in part.partitions(t0, t1))
        if not inside:
            return (enclosures.partition(self, lambda ball: _enclosed(self, ball), t0, t1),)
        known = tuple(p for part in parts for p in part.partitions(t0, t1))
        near = [np.linspace(a, b, 9) for p in known for a, b in pairwise(p.edges)]
        return (*known, probe(self, t0, t1, np.concatenate([*near, [t0]])))


def _has_calls(part: object) -> bool:
    return isinstance(part, Moving) and (part.name == "call" or any(map(_has_calls, part.arguments)))


def _enclosed(part: Value, t: Ball) -> Ball:
    """The values of a part without calls over intervals of time."""
    if not isinstance(part, Moving):
        return Ball(np.full(1, complex(part)), np.zeros(1))
    if part.name == "t":
        return t
    left = _enclosed(part.arguments[0], t)
    if part.name not in _BINARY:
        return enclosures.FUNCTIONS[part.name](left)
    if part.name == "**" and not isinstance(part.arguments[1], Moving):
        return enclosures.power(left, part.arguments[1])  # pyright: ignore[reportArgumentType]
    right = _enclosed(part.arguments[1], t)
    if part.name == "**":
        return enclosures.exponential(right * enclosures.logarithm(left))
    return {
        "+": left.__add__,
        "-": lambda b: left + -b,
        "*": left.__mul__,
        "/": lambda b: left * enclosures.inverse(b),
    }[part.name](right)


def called(function: Coefficient, name: str) -> Moving:
    """A function of time as part of expressions."""
    return function if isinstance(function, Moving) else Moving("call", (function, name))


Scalar: TypeAlias = complex | Moving


def combine(name: str, *arguments: Scalar) -> Scalar:
    """The result of an operation: a number where all arguments are numbers, otherwise a function of time.

    **Raises** `ZeroDivisionError` or `OverflowError`, as numbers do.
    """
    if any(isinstance(a, Moving) for a in arguments):
        return 0.0 if name == "*" and 0 in arguments else Moving(name, arguments)
    if name in _BINARY:
        return tidy(_BINARY[name](*arguments))
    value: complex = complex(arguments[0])  # pyright: ignore[reportArgumentType, reportCallIssue]
    with np.errstate(all="ignore"):
        return tidy(getattr(np, name)(value if value.imag or value.real < 0 else value.real))


def tidy(value: Value) -> complex:
    """A float where the imaginary part is zero; integers never, so that no power takes forever."""
    number = complex(value)
    return number if number.imag else number.real
