"""Functions of time that come from text: trees of a few operations, equal if they are written alike."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from neurho._types import Coefficient
from neurho.expressions import enclosures
from neurho.expressions.enclosures import Ball
from neurho.timescales import Partition, partitions_of, probe

FUNCTIONS: dict[str, str] = {"sqrt": "sqrt", "exp": "exp", "sin": "sin", "cos": "cos", "tanh": "tanh"}
"""Functions of one number, as NumPy calls them."""

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


@dataclass(frozen=True)
class Moving:
    """A number that depends on time: `name` is "t", a function of one number, "real", a binary operation or "call",
    whose argument is a function of time.
    """

    name: str
    arguments: tuple["complex | Moving | Coefficient", ...] = ()

    def __call__(self, t: Any) -> Any:
        """The value at time t, traced by JAX where t is."""
        if self.name == "t":
            return t
        if self.name == "call":
            return self.arguments[0](t)  # pyright: ignore[reportCallIssue]
        values: list[Any] = [a(t) if isinstance(a, Moving) else a for a in self.arguments]
        if self.name in _BINARY:
            return _BINARY[self.name](*values)
        library: Any = jnp if isinstance(t, jax.Array) else np
        return library.real(values[0]) if self.name == "real" else getattr(library, FUNCTIONS[self.name])(values[0])

    def partitions(self, t0: float, t1: float) -> tuple[Partition, ...]:
        """The leaves of its summands, each enclosed over whole intervals of time; pulses in it know their own."""
        if self.name == "call":
            return partitions_of(self.arguments[0], t0, t1)
        parts = [a for a in self.arguments if isinstance(a, Moving)]
        inside = _has_calls(self)
        if self.name in "+-" or (inside and self.name in ("*", "real")):
            return tuple(p for part in parts for p in part.partitions(t0, t1))
        if not inside:
            return (enclosures.partition(self, lambda ball: _enclosed(self, ball), t0, t1),)
        known = tuple(p for part in parts for p in part.partitions(t0, t1))
        near = [np.linspace(a, b, 9) for p in known for a, b in pairwise(p.edges)]
        return (*known, probe(self, t0, t1, np.concatenate([*near, [t0]])))


def _has_calls(part: Any) -> bool:
    return isinstance(part, Moving) and (part.name == "call" or any(map(_has_calls, part.arguments)))


def _enclosed(part: Any, t: Ball) -> Ball:
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


def called(function: Coefficient) -> Moving:
    """A function of time as part of expressions."""
    return function if isinstance(function, Moving) else Moving("call", (function,))


Scalar: TypeAlias = complex | Moving


def combine(name: str, *arguments: Scalar) -> Scalar:
    """The result of an operation: a number where all arguments are numbers, otherwise a function of time.

    **Raises** `ZeroDivisionError` or `OverflowError`, as numbers do.
    """
    if any(isinstance(a, Moving) for a in arguments):
        return Moving(name, arguments)
    if name in _BINARY:
        return _tidy(_BINARY[name](*arguments))
    value: complex = complex(arguments[0])  # pyright: ignore[reportArgumentType, reportCallIssue]
    with np.errstate(all="ignore"):
        return _tidy(getattr(np, FUNCTIONS[name])(value if value.imag or value.real < 0 else value.real))


def real_part(value: Scalar) -> Scalar:
    """The real part of a number or function, for rates."""
    return Moving("real", (value,)) if isinstance(value, Moving) else complex(value).real


def _tidy(value: Any) -> complex:
    """A float where the imaginary part is zero; integers never, so that no power takes forever."""
    number = complex(value)
    return number if number.imag else number.real
