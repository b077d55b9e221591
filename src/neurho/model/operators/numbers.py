"""Coefficients at random times, in numbers whose exponents have no bounds: no Gaussian is ever zero there.

What text says is evaluated as it stands. Pulses and Python functions, whose inside cannot be seen, have random values:
each shape its own, and Python functions as their values at many times suggest.
"""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import mpmath
import numpy as np

from neurho._types import Coefficient, Value
from neurho.model.operators.coefficients import evaluate, leaves, value_in
from neurho.model.pulses import Pulse

SAMPLES = 9
"""Random times at which coefficients are compared."""

FEWEST = 3
"""Samples or values of a function that are needed to tell anything."""

PROBES = (0.0, *np.geomspace(1e-4, 100.0, 61).tolist())
"""Times at which Python functions are looked at, to see which are complex and which belong together."""

LARGEST = 10_000
"""Largest binary exponent of an argument."""

ALIKE = 1e-9
"""Relative difference up to which numbers count as the same."""


class Sampled(NamedTuple):
    """Values of a function at random times, None where it has none or is lost in rounding; whether it looks real."""

    values: list[Value]
    real: bool

    @property
    def known(self) -> bool:
        """Whether there are enough values to compare."""
        return sum(v is not None for v in self.values) >= FEWEST


def opaque_functions(functions: Iterable[Coefficient | None]) -> list[Coefficient]:
    """The Python functions in coefficients; shapes of [`neurho.model.pulses`][] are known to be real."""
    found = dict.fromkeys(leaf for f in functions if f is not None for leaf in leaves(f))
    return [f for f in found if not isinstance(f, Pulse)]


def samples_of(functions: Sequence[Coefficient | None]) -> list[Sampled]:
    """Every function at the same random times with the same random values of what cannot be seen."""
    source, probed = random.Random(7), {f: _probed(f) for f in opaque_functions(functions)}
    with mpmath.workdps(40):
        draws = [(mpmath.mpf(10) ** source.uniform(-3, 3), _Hidden(probed, source)) for _ in range(SAMPLES)]
        return [_sampled(f, draws) for f in functions]


def _sampled(function: Coefficient | None, draws: list[tuple[Value, "_Hidden"]]) -> Sampled:
    values = []
    for t, hidden in draws:
        try:
            value = value_in(function, NUMBERS, t, hidden)
            values.append(None if value == 0 or not mpmath.isfinite(value) else mpmath.mpmathify(value))
        except (OverflowError, ZeroDivisionError, ValueError):
            values.append(None)
    return Sampled(values, not any(isinstance(v, mpmath.mpc) and v.imag != 0 for v in values))


class _Numbers:
    """Functions of numbers of mpmath.

    What is too large raises `OverflowError`; powers of negative numbers raise `ValueError` where floats give NaN.
    """

    one = mpmath.mpf(1)

    def sqrt(self, x: Value) -> Value:
        return mpmath.sqrt(_positive(_bounded(x)))

    def power(self, a: Value, b: Value) -> Value:
        whole = not isinstance(b, mpmath.mpc | complex) and mpmath.isint(b)
        return mpmath.power(_bounded(a) if whole else _positive(_bounded(a)), _bounded(b))

    def __getattr__(self, name: str) -> Value:
        function = getattr(mpmath, name)
        return lambda x: function(_bounded(x))


def _bounded(x: Value) -> Value:
    if x != 0 and mpmath.mag(x) > LARGEST:
        raise OverflowError
    return x


def _positive(x: Value) -> Value:
    if not isinstance(x, mpmath.mpc | complex) and x < 0:
        raise ValueError
    return x


NUMBERS = _Numbers()


class _Hidden:
    """Random values of functions: multiples of one another where their values are, those never seen all alike."""

    def __init__(self, probed: dict[Coefficient, np.ndarray], source: random.Random) -> None:
        self.probed, self.source = probed, source
        self.values: dict[Coefficient, Value] = {}
        self.unseen = mpmath.mpf(source.uniform(0.5, 2))

    def __call__(self, function: Coefficient) -> Value:
        if function not in self.values:
            self.values[function] = self._new(function)
        return self.values[function]

    def _new(self, function: Coefficient) -> Value:
        real, imag = (mpmath.mpf(self.source.uniform(0.5, 2)) for _ in range(2))
        seen = self.probed.get(function)
        if seen is None:
            return real
        if not np.any(seen[np.isfinite(seen)]):
            return self.unseen
        for other, value in self.values.items():
            before = self.probed.get(other)
            if before is None:
                continue
            for known, number in ((before, value), (before.conj(), value.conjugate())):
                if (factor := _constant_ratio(seen, known)) is not None:
                    return number * mpmath.mpmathify(factor)
        return real + 1j * imag if np.any(np.abs(np.imag(seen)) > ALIKE * np.abs(seen)) else real


def _probed(function: Coefficient) -> np.ndarray:
    """Values of a function at the probes, NaN where it has none."""
    values = np.full(len(PROBES), np.nan, complex)
    for n, t in enumerate(PROBES):
        try:
            with np.errstate(all="ignore"):
                values[n] = complex(evaluate(function, t))
        except Exception:  # a user's function may fail anywhere; it will say so where it is needed
            continue
    return values


def _constant_ratio(values: np.ndarray, others: np.ndarray) -> complex | float | None:
    """The number c with values = c others, if at least three non-zero ones say so."""
    known = np.isfinite(values) & np.isfinite(others)
    alive = known & (others != 0)
    if np.sum(alive) < FEWEST or np.any(values[known & ~alive] != 0):
        return None
    ratios = values[alive] / others[alive]
    if ratios[0] == 0 or np.any(np.abs(ratios - ratios[0]) > ALIKE * np.abs(ratios[0])):
        return None
    return ratios[0].real if ratios[0].imag == 0 else complex(ratios[0])
