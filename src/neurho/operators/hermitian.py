"""Whether a sum of terms with coefficients f_n(t) is Hermitian at all times.

X(t) = sum_n f_n(t) X_n is Hermitian if for every entry (a, b) of the matrix on every support

    sum_n [X_n]_ab f_n - [X_n]_ba^* f_n^* = 0.

Looking at a few times does not decide it: a pulse may be zero there. Coefficients are therefore sorted into classes of
functions that are multiples of one another or of one another's conjugate, g and g^* of each class are taken for
independent (for one where g is real up to a phase), and the factors of both must vanish class by class. Pulses and
Python functions have random values in this; what is written as text is evaluated at random times in numbers whose
exponents have no bounds, so that no Gaussian is ever zero.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import mpmath
import numpy as np

from neurho._types import Coefficient, NeurhoError
from neurho.operators.coefficients import evaluate, shown, value_at, value_in
from neurho.pulses import Pulse

SAMPLES = 5
"""Random times at which coefficients are compared."""

PROBES = (0.0, *np.geomspace(1e-4, 100.0, 61).tolist())
"""Times at which Python functions are looked at, to see which are complex and which belong together."""

LARGEST = 10_000
"""Largest binary exponent of an argument of exp and its like."""

ALIKE = 1e-9


class Conditions(NamedTuple):
    """`rows` (conditions, 2 m) for m functions, sum_n rows[n] f_n + rows[m + n] f_n^* = 0; their `supports`."""

    functions: tuple[Coefficient | None, ...]
    rows: np.ndarray
    supports: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class HermitianAt:
    """Refuses a Hamiltonian that is not Hermitian at a time that was reached: Python functions show no more than their
    values.
    """

    conditions: Conditions

    def __call__(self, t: float) -> None:
        """**Raises** `NeurhoError` with the time."""
        values = np.array([value_at(f, t) for f in self.conditions.functions])
        summands = self.conditions.rows * np.concatenate([values, values.conj()])
        wrong = np.abs(summands.sum(axis=1)) > ALIKE * np.abs(summands).sum(axis=1)
        if np.any(wrong):
            where = self.conditions.supports[int(np.argmax(wrong))]
            raise NeurhoError(
                "Argument `hamiltonian` must be Hermitian at all times, but at t = "
                f"{t:g} the sum of its terms on sites {where} differs from its adjoint."
            )


def conditions_of(terms: Sequence[Any], tolerance: float) -> Conditions:
    """What the coefficients of terms must obey; conditions that constants obey by themselves are left out."""
    functions = list(dict.fromkeys(term.coefficient for term in terms))
    places = {f: n for n, f in enumerate(functions)}
    sums: dict[tuple[int, ...], dict[int, np.ndarray]] = {}
    for term in terms:
        matrices = sums.setdefault(term.sites, {})
        n = places[term.coefficient]
        matrices[n] = matrices[n] + term.matrix if n in matrices else term.matrix
    scale = max((float(np.max(np.abs(m))) for part in sums.values() for m in part.values()), default=0.0)
    rows, supports, m = [np.zeros((0, 2 * len(functions)), complex)], [], len(functions)
    for support, part in sums.items():
        size = len(next(iter(part.values()))) ** 2
        block = np.zeros((size, 2 * m), complex)
        for n, matrix in part.items():
            block[:, n], block[:, m + n] = matrix.ravel(), -matrix.conj().T.ravel()
            if functions[n] is None:  # f = f^* = 1
                block[:, n], block[:, m + n] = block[:, n] + block[:, m + n], 0
        kept = block[np.max(np.abs(block), axis=1) > tolerance * scale]
        if len(kept):
            rows.append(np.unique(kept, axis=0))
            supports += [support] * len(rows[-1])
    return Conditions(tuple(functions), np.concatenate(rows), tuple(supports))


def broken(conditions: Conditions) -> str:
    """Where conditions cannot hold at all times, in words, or ""."""
    if not len(conditions.rows):
        return ""
    functions, count = conditions.functions, len(conditions.functions)
    used = [n for n in range(count) if np.any(conditions.rows[:, [n, count + n]])]
    samples = _samples([functions[n] for n in used])
    classes = _classes(samples)
    for row, support in zip(conditions.rows, conditions.supports, strict=True):
        pairs = [(row[n], row[count + n]) for n in used]
        if not _vanishes(pairs, classes) and not _cancels(pairs, samples):
            moving = [n for n, pair in zip(used, pairs, strict=True) if any(pair) and functions[n] is not None]
            names = dict.fromkeys(shown(functions[n]) for n in moving)
            with_ = f" with coefficient{'s'[: len(names) != 1]} {', '.join(f'`{n}`' for n in names)}" if names else ""
            return f"the sum of its terms on sites {support}{with_} differs from its adjoint"[:300]
    return ""


def opaque_functions(functions: Sequence[Coefficient | None]) -> list[Coefficient]:
    """The Python functions in coefficients; shapes of [`neurho.pulses`][] are known to be real."""
    found: dict[Coefficient, None] = {}

    def note(function: Coefficient) -> Any:
        found[function] = None
        return mpmath.mpf(1)

    for function in functions:
        _try_value(function, mpmath.mpf("0.7"), note)
    return [f for f in found if not isinstance(f, Pulse)]


def _bounded(x: Any) -> Any:
    if x != 0 and mpmath.mag(x) > LARGEST:
        raise OverflowError
    return x


class _Numbers:
    """Functions of numbers with exponents of any size; what would be larger still raises `OverflowError`."""

    one = mpmath.mpf(1)

    def __getattr__(self, name: str) -> Any:
        function = getattr(mpmath, name)
        return lambda *arguments: function(*map(_bounded, arguments))


NUMBERS = _Numbers()


class _Class(NamedTuple):
    """Functions c g, or c g^*: their places with c and whether it is g^*; `phase` is g^*/g where that is constant."""

    members: dict[int, tuple[complex, bool]]
    phase: complex | None


class _Sampled(NamedTuple):
    """Values of a function at random times, or None where one is lost; whether it looks real."""

    values: list[Any] | None
    real: bool


def _samples(functions: Sequence[Coefficient | None]) -> list[_Sampled]:
    """Every function at random times, with random values of what cannot be seen."""
    source, hidden = random.Random(7), _Hidden(functions)
    with mpmath.workdps(40):
        draws = [(mpmath.mpf(10) ** source.uniform(-3, 3), hidden.draw(source)) for _ in range(SAMPLES)]
        return [_sampled(f, draws) for f in functions]


def _sampled(function: Coefficient | None, draws: list[Any]) -> _Sampled:
    values = [_try_value(function, t, known.__getitem__) for t, known in draws]
    real = not any(isinstance(v, mpmath.mpc) and v.imag != 0 for v in values)
    lost = any(v is None or v == 0 or not mpmath.isfinite(v) for v in values)
    return _Sampled(None if lost else [mpmath.mpmathify(v) for v in values], real)


def _try_value(function: Coefficient | None, t: Any, opaque: Any) -> Any:
    try:
        return value_in(function, NUMBERS, t, opaque)
    except (OverflowError, ZeroDivisionError, ValueError):
        return None


class _Hidden:
    """Python functions and pulses: which are multiples of which, as far as their values tell."""

    def __init__(self, functions: Sequence[Coefficient | None]) -> None:
        found: dict[Coefficient, None] = {}

        def note(function: Coefficient) -> Any:
            found[function] = None
            return mpmath.mpf(1)

        for function in functions:
            _try_value(function, mpmath.mpf("0.7"), note)
        self.seen = {f: None if isinstance(f, Pulse) else _probed(f) for f in found}

    def draw(self, source: random.Random) -> dict[Coefficient, Any]:
        """Random values of all."""
        values: dict[Coefficient, Any] = {}
        for function, seen in self.seen.items():
            values[function] = self._from_earlier(seen, values)
            if values[function] is None:
                real, imag = (mpmath.mpf(source.uniform(0.5, 2)) for _ in range(2))
                is_complex = seen is not None and bool(np.any(np.abs(np.imag(seen)) > ALIKE * np.abs(seen)))
                values[function] = real + 1j * imag if is_complex else real
        return values

    def _from_earlier(self, seen: np.ndarray | None, values: dict[Coefficient, Any]) -> Any:
        if seen is None:
            return None
        for other, value in values.items():
            before = self.seen[other]
            if before is None:
                continue
            for known, number in ((before, value), (before.conj(), value.conjugate())):
                if (factor := _constant_ratio(seen, known)) is not None:
                    return number * mpmath.mpmathify(factor)
        return None


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
    if np.sum(alive) < 3 or np.any(values[known & ~alive] != 0):
        return None
    ratios = values[alive] / others[alive]
    if ratios[0] == 0 or np.any(np.abs(ratios - ratios[0]) > ALIKE * np.abs(ratios[0])):
        return None
    return ratios[0].real if ratios[0].imag == 0 else complex(ratios[0])


def _ratio(values: list[Any], others: list[Any]) -> complex | None:
    """The number c with values = c others at all samples, or None."""
    ratios = [a / b for a, b in zip(values, others, strict=True)]
    return complex(ratios[0]) if all(abs(r - ratios[0]) <= ALIKE * abs(ratios[0]) for r in ratios) else None


def _classes(samples: list[_Sampled]) -> list[_Class]:
    found: list[tuple[list[Any], _Class]] = []
    lost: list[_Class] = []
    for n, (values, real) in enumerate(samples):
        if values is None:
            lost.append(_Class({n: (1.0, False)}, 1.0 if real else None))
        elif not any(_joined(class_, n, values, first) for first, class_ in found):
            phase = _ratio([g.conjugate() for g in values], values)
            found.append((values, _Class({n: (1.0, False)}, phase)))
    return [class_ for _, class_ in found] + lost


def _joined(class_: _Class, n: int, values: list[Any], first: list[Any]) -> bool:
    """Whether function n is a multiple of the first of a class, or of its conjugate; it then is a member."""
    for conjugated in (False, True):
        if (factor := _ratio(values, [g.conjugate() if conjugated else g for g in first])) is not None:
            class_.members[n] = (factor, conjugated)
            return True
    return False


def _vanishes(pairs: list[tuple[complex, complex]], classes: list[_Class]) -> bool:
    """Whether sum_n p_n f_n + q_n f_n^* vanishes class by class."""
    for class_ in classes:
        factors, size = [0j, 0j], 0.0
        for n, (c, conjugated) in class_.members.items():
            p, q = pairs[n][0] * c, pairs[n][1] * np.conj(c)
            factors[conjugated] += p
            factors[not conjugated] += q
            size += abs(p) + abs(q)
        rest = abs(factors[0] + factors[1] * class_.phase) if class_.phase is not None else max(map(abs, factors))
        if rest > ALIKE * size:
            return False
    return True


def _cancels(pairs: list[tuple[complex, complex]], samples: list[_Sampled]) -> bool:
    """Whether a sum vanishes at all samples although its classes do not, as in exp(i t) = cos t + i sin t; only where
    all summands are of one order, so that none is too small to be seen.
    """
    used = [(p, q, values) for (p, q), (values, _) in zip(pairs, samples, strict=True) if p or q]
    if any(values is None for *_, values in used):
        return False
    for s in range(SAMPLES):
        parts = [c * v for p, q, g in used if g for c, v in ((p, g[s]), (q, g[s].conjugate())) if c]
        sizes = [abs(part) for part in parts]
        if abs(mpmath.fsum(parts)) > ALIKE * max(sizes) or min(sizes) < 1e-6 * max(sizes):
            return False
    return True
