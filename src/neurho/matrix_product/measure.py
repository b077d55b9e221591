"""Means in a matrix-product density matrix, from its tensors and the trace, which is a product too. NumPy only."""

import numpy as np

from neurho.matrix_product.basis import coefficients
from neurho.matrix_product.state import State
from neurho.model.operators import LocalTerm, Operator, embed, evaluate
from neurho.observables import Quantity


class Means:
    """Means <X> = tr(X rho)/tr rho of operators on few sites.

    `place[j]` is where site j stands on the line. What is asked for on the same sites is contracted once.
    """

    def __init__(self, state: State, dim: int, place: np.ndarray) -> None:
        self._tensors, self._dim, self._place = state.tensors, dim, place
        traced = [t[:, 0] * np.sqrt(dim) for t in self._tensors]
        self._traced = traced
        left, right = [np.ones(1)], [np.ones(1)]
        for matrix in traced:
            left.append(left[-1] @ matrix)
        for matrix in reversed(traced):
            right.append(matrix @ right[-1])
        self._left, self._right = left, right[::-1]
        self.trace = float(left[-1][0])
        self._found: dict[tuple[int, ...], np.ndarray] = {}
        self._rows: dict[int, list[np.ndarray]] = {}

    def operator(self, operator: Operator, t: float = 0.0) -> complex:
        """<X> at time t of its coefficients."""
        return complex(sum(complex(evaluate(term.coefficient, t)) * self._term(term) for term in operator.terms))

    def quantity(self, quantity: Quantity) -> np.ndarray:
        """The values of a quantity: one per operator, their mean, or linear combinations."""
        values = np.array([self.operator(operator).real for operator in quantity.operators])
        if quantity.weights is not None:
            return quantity.weights @ values
        return np.asarray(values.mean()) if quantity.average else values

    def _term(self, term: LocalTerm) -> complex:
        if not term.sites:
            return complex(term.matrix[0, 0])
        here = LocalTerm(tuple(int(self._place[j]) for j in term.sites), term.matrix)
        places = tuple(sorted(here.sites))
        matrix = embed(here, places, self._dim)
        table = self._correlator(places)
        return complex(np.sum(coefficients(matrix, self._dim, len(places)) * table))

    def _correlator(self, places: tuple[int, ...]) -> np.ndarray:
        """tr(B_(a_1) x ... x B_(a_k) rho)/tr rho on the places, shape `(d^2,) * k`."""
        if places in self._found:
            return self._found[places]
        if len(places) == 2:
            result = self._pair(*places)
        else:
            result = self._left[places[0]]
            for place, following in zip(places, (*places[1:], places[-1] + 1), strict=True):
                result = np.tensordot(result, self._tensors[place], 1)
                for between in range(place + 1, following):
                    result = result @ self._traced[between]
            result = result @ self._right[places[-1] + 1]
        self._found[places] = result / self.trace
        return self._found[places]

    def _pair(self, i: int, j: int) -> np.ndarray:
        """The table of two places; rows that begin at i are kept, so that all pairs cost N^2 products."""
        row = self._rows.setdefault(i, [np.tensordot(self._left[i], self._tensors[i], 1)])
        while len(row) < j - i:
            row.append(row[-1] @ self._traced[i + len(row)])
        return row[j - i - 1] @ np.tensordot(self._tensors[j], self._right[j + 1], 1)
