"""Where the numerical range of a Lindbladian lies."""

from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import eigsh

from neurho.exact.generator import LARGEST_SUPPORT, ExactLindbladian
from neurho.exact.jumps import active, on_support
from neurho.model.operators import Operator, evaluate

LARGEST_NORM = 2**9
"""Rows of a jump on its own sites up to which its norm is computed."""


class Range(NamedTuple):
    """A rectangle around tr(X^+ L X) for all X with tr(X^+ X) = 1: `low` <= Re <= `high`, |Im| <= `width`."""

    low: float
    high: float
    width: float

    @property
    def norm(self) -> float:
        """An upper bound of ||L||, up to the factor 2 between numerical radius and norm."""
        return 2 * float(np.hypot(max(-self.low, self.high), self.width))


def numerical_range(exact: ExactLindbladian) -> Range:
    """Bounds for a constant Lindbladian: the width of the spectrum of H, and the ranges of all local dissipators."""
    model = exact.lindbladian
    low = high = 0.0
    width = 1.01 * _spectral_width(exact)
    known: dict[bytes, tuple[float, float, float]] = {}
    for jump in active(model):
        operator, rate = jump.operator, evaluate(jump.rate, 0.0)
        if operator.local_dim ** len(operator.support) > LARGEST_SUPPORT:
            ends = _collective_range(operator)
        else:
            matrix = on_support(operator)
            if (key := matrix.tobytes()) not in known:
                known[key] = _dissipator_range(matrix)
            ends = known[key]
        low, high, width = low + rate * ends[0], high + rate * ends[1], width + rate * ends[2]
    return Range(low=float(low), high=float(high), width=float(width))


def _dissipator_range(c: np.ndarray) -> tuple[float, float, float]:
    one, loss = np.eye(len(c)), c.conj().T @ c / 2
    local = np.kron(c, c.conj()) - np.kron(loss, one) - np.kron(one, loss.T)
    real = np.linalg.eigvalsh((local + local.conj().T) / 2)
    imag = np.linalg.eigvalsh((local - local.conj().T) / 2j)
    return real[0], real[-1], max(-imag[0], imag[-1])


def _collective_range(c: Operator) -> tuple[float, float, float]:
    """Bounds from ||c||, or on very many sites from the sum of the norms of the terms of c.

    |tr(X^+ c X c^+)| <= (tr(X^+ c^+ c X) + tr(X c c^+ X^+))/2 <= ||c||^2, and what is lost is real: the real part lies
    between -2 ||c||^2 and ||c c^+ - c^+ c||/2 <= ||c||^2/2.
    """
    parts = [on_support(c)] if c.local_dim ** len(c.support) <= LARGEST_NORM else [term.matrix for term in c.terms]
    square = float(sum(np.linalg.norm(part, 2) for part in parts)) ** 2
    return -2 * square, square / 2, square


def _spectral_width(exact: ExactLindbladian) -> float:
    """The largest difference of two energies."""
    hamiltonian = exact.lindbladian.hamiltonian.to_sparse(exact.lindbladian.sites)
    if not np.any(np.imag(hamiltonian.data)):
        hamiltonian = hamiltonian.real
    if exact.dimension <= 64:
        return float(np.ptp(np.linalg.eigvalsh(hamiltonian.toarray())))
    if not hamiltonian.count_nonzero():
        return 0.0
    start = np.random.default_rng(0).normal(size=exact.dimension)
    low, high = (
        eigsh(hamiltonian, k=1, which=end, tol=1e-3, v0=start, return_eigenvectors=False)[0]  # pyright: ignore[reportArgumentType]
        for end in ("SA", "LA")
    )
    return float(high - low)
