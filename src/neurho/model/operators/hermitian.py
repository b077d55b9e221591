"""Whether a sum of terms with coefficients f_n(t) is Hermitian at all times.

X(t) = sum_n f_n(t) X_n is Hermitian if for every entry (a, b) of the matrix on every support

    sum_n [X_n]_ab f_n - [X_n]_ba^* f_n^* = 0.

Looking at a few times does not decide it: a pulse may be zero there. Coefficients are therefore sorted into classes of
functions that are multiples of one another or of one another's conjugate, as far as their values at random times tell;
g and g^* of each class are taken for independent (for one where g is real up to a phase), and the factors of both must
vanish class by class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import mpmath
import numpy as np

from neurho._types import Coefficient, NeurhoError, Value
from neurho.model.operators.coefficients import Term, shown, value_at
from neurho.model.operators.numbers import ALIKE, FEWEST, SAMPLES, Sampled, samples_of


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

    def __call__(self, t: float, known: Mapping[Coefficient | None, complex] = MappingProxyType({})) -> None:
        """`known` values of functions at time t are not asked for again.

        **Raises** `NeurhoError` with the time.
        """
        values = [known[f] if f in known else value_at(f, t) for f in self.conditions.functions]
        if self._real is not None:
            wrong = [abs(values[n].imag) > ALIKE * abs(values[n]) for n in self._real]
            if True not in wrong:
                return
        summands = self.conditions.rows * np.concatenate([values, np.conj(values)])
        wrong = np.abs(summands.sum(axis=1)) > ALIKE * np.abs(summands).sum(axis=1)
        if np.any(wrong):
            where = self.conditions.supports[int(np.argmax(wrong))]
            raise NeurhoError(
                "Argument `hamiltonian` must be Hermitian at all times, but at t = "
                f"{t:g} the sum of its terms on sites {where} differs from its adjoint."
            )

    @cached_property
    def _real(self) -> tuple[int, ...] | None:
        """The functions that must be real, if that is all that the conditions say: each is c (f - f^*) = 0."""
        rows, count = self.conditions.rows, len(self.conditions.functions)
        alone = np.sum(rows != 0, axis=1) == 2
        if not np.all(alone) or np.any(rows[:, :count] != -rows[:, count:]):
            return None
        return tuple(int(n) for n in np.flatnonzero(np.any(rows[:, :count] != 0, axis=0)))


def conditions_of(terms: Sequence[Term], tolerance: float) -> Conditions:
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
    samples = samples_of([functions[n] for n in used])
    classes = _classes(samples)
    for row, support in zip(conditions.rows, conditions.supports, strict=True):
        pairs = [(row[n], row[count + n]) for n in used]
        if not _vanishes(pairs, classes) and not _cancels(pairs, samples):
            moving = [n for n, pair in zip(used, pairs, strict=True) if any(pair) and functions[n] is not None]
            names = dict.fromkeys(shown(functions[n]) for n in moving)
            with_ = f" with coefficient{'s'[: len(names) != 1]} {', '.join(f'`{n}`' for n in names)}" if names else ""
            return f"the sum of its terms on sites {support}{with_} differs from its adjoint"[:300]
    return ""


class _Class(NamedTuple):
    """Functions c g, or c g^*: their places with c and whether it is g^*; `phase` is g^*/g where that is constant."""

    members: dict[int, tuple[complex, bool]]
    phase: complex | None


def _ratio(values: list[Value], others: list[Value]) -> complex | None:
    """The number c with values = c others at all samples at which both are known, or None."""
    both = [(a, b) for a, b in zip(values, others, strict=True) if a is not None and b is not None]
    if len(both) < FEWEST:
        return None
    first, *rest = both
    ratio = first[0] / first[1]
    constant = all(abs(a / b - ratio) <= ALIKE * abs(ratio) for a, b in rest) and abs(mpmath.log(abs(ratio))) < 600
    return complex(ratio) if constant else None


def _conjugated(values: list[Value]) -> list[Value]:
    return [None if v is None else v.conjugate() for v in values]


def _classes(samples: list[Sampled]) -> list[_Class]:
    found: list[tuple[tuple[float, float], list[Value], _Class]] = []
    lost: list[_Class] = []
    for n, sampled in enumerate(samples):
        if not sampled.known:
            lost.append(_Class({n: (1.0, False)}, 1.0 if sampled.real else None))
            continue
        values, mark = sampled.values, _mark(sampled.values)
        alike = ((first, class_) for other, first, class_ in found if _near(mark, other))
        if not any(_joined(class_, n, values, first) for first, class_ in alike):
            found.append((mark, values, _Class({n: (1.0, False)}, _ratio(_conjugated(values), values))))
    return [class_ for *_, class_ in found] + lost


def _near(mark: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-6 * max(1.0, abs(a)) for a, b in zip(mark, other, strict=True))


def _mark(values: list[Value]) -> tuple[float, float]:
    """The same for all multiples of a function and of its conjugate: rules most pairs of functions out quickly."""
    first, second, *_ = (v for v in values if v is not None)
    ratio = second / first
    size = mpmath.log(abs(ratio))
    return float(max(min(size, 1e300), -1e300)), float(abs(mpmath.arg(ratio)))


def _joined(class_: _Class, n: int, values: list[Value], first: list[Value]) -> bool:
    """Whether function n is a multiple of the first of a class, or of its conjugate; it then is a member."""
    for conjugated in (False, True):
        if (factor := _ratio(values, _conjugated(first) if conjugated else first)) is not None:
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


def _cancels(pairs: list[tuple[complex, complex]], samples: list[Sampled]) -> bool:
    """Whether a sum vanishes at all samples although its classes do not, as in exp(i t) = cos t + i sin t; only where
    all summands are of one order, so that none is too small to be seen.
    """
    used = [(p, q, sampled.values) for (p, q), sampled in zip(pairs, samples, strict=True) if p or q]
    known = [s for s in range(SAMPLES) if all(values[s] is not None for *_, values in used)]
    for s in known:
        parts = [c * v for p, q, g in used for c, v in ((p, g[s]), (q, g[s].conjugate())) if c]
        sizes = [abs(part) for part in parts]
        if abs(mpmath.fsum(parts)) > ALIKE * max(sizes) or min(sizes) < 1e-6 * max(sizes):
            return False
    return len(known) >= FEWEST
