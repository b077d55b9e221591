"""exp(L t) rho for a constant Lindbladian by Faber polynomials.

The numerical range of L lies in an ellipse with half axes b (real) and a (imaginary) around s. Its outside is the image
of |u| > 1 under z = s + c (u + q/u), c = (a + b)/2, q = (b - a)/(a + b), and with x = (L - s)/c

    exp(L t) = sum_k A_k(t) F_k(x),   F_0 = 1,  F_1 = x,  F_2 = x F_1 - 2 q,  F_{k+1} = x F_k - q F_{k-1},

where A_k(t) are the Fourier coefficients of exp(t (s + c (u + q/u))) on |u| = 1. About (a + b) t + 20 products with L
suffice, and all times share them: W. Huisinga, L. Pesce, R. Kosloff and P. Saalfrank, J. Chem. Phys. 110, 5538 (1999).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy

from neurho._types import NumericalError
from neurho.exact.bounds import Range
from neurho.exact.generator import Generator

SPAN = 40.0
"""(a + b) t of one expansion at most: long ones waste few products."""
GROWTH = 4.0
"""Largest exponent by which exp(L t) may grow in the bound on its norm: rounding grows as much."""
BLOCK = 8
"""Polynomials that are added to the results together."""
LARGEST = 1e3
"""How much longer than rho a polynomial of L applied to it may be; within the ellipse none is above 2 (1 + sqrt 2)."""


class Ellipse(NamedTuple):
    """Centre s, capacity c and q of an ellipse around the numerical range; `high` bounds its real part."""

    centre: float
    capacity: float
    q: float
    high: float

    def coefficients(self, times: np.ndarray, cutoff: float) -> np.ndarray:
        """A_k at some times, `(times, orders)`, as many as matter: those left out add up to less than `cutoff`."""
        count = 1 << int(np.ceil(np.log2(4 * self.capacity * np.max(times) + 96)))
        u = np.exp(2j * np.pi * np.arange(count) / count)
        values = np.exp(times[:, None] * (self.centre + self.capacity * (u + self.q / u)))
        found = np.fft.fft(values, axis=1).real[:, : count // 2] / count
        rest = np.cumsum(np.max(np.abs(found), axis=0)[::-1])[::-1]
        return found[:, : max(2, int(np.sum(rest > max(cutoff, 1e-14))))]

    @property
    def longest(self) -> float:
        """The longest time of one expansion."""
        return min(SPAN / (2 * self.capacity), GROWTH / max(self.high, 1e-300))


def ellipse(bounds: Range) -> Ellipse:
    """An ellipse through the corners of a rectangle, or a little less: Crouzeix' bound holds for what is inside.

    The half axes are those of the rectangle: corners are reached by no product state, as energies and losses are
    largest in different ones; `expand` checks that nothing grows.
    """
    a, b = max(bounds.width, 1e-12 * bounds.norm), (bounds.high - bounds.low) / 2
    b = max(b, 1e-3 * a)
    return Ellipse(
        centre=(bounds.high + bounds.low) / 2, capacity=(a + b) / 2, q=(b - a) / (a + b), high=max(bounds.high, 0.0)
    )


def expand(
    generator: Generator, shape: Ellipse, rho: np.ndarray, times: np.ndarray, cutoff: float
) -> Iterator[np.ndarray]:
    """exp(L t) rho at some times after now, of which the last is at most `shape.longest`.

    **Arguments**

    - `generator`: (L - s)/c.
    - `cutoff`: the error relative to the norm of rho.
    """
    weights, limit = shape.coefficients(times, cutoff), LARGEST * np.linalg.norm(rho)
    sums, block = np.zeros((len(times), 2 * rho.size)), np.empty((BLOCK, 2 * rho.size))
    last, now = rho, rho
    for k in range(weights.shape[1]):
        if k > 0:
            new = generator.apply(now)
            if k > 1:
                scipy.linalg.blas.daxpy(_flat(last), _flat(new), a=-shape.q * (2 if k == 2 else 1))
            last, now = now, new
        block[k % BLOCK] = _flat(now)
        if (k + 1) % BLOCK == 0 or k + 1 == weights.shape[1]:
            first = k - k % BLOCK
            _accumulate(sums, weights[:, first : k + 1], block[: k + 1 - first])
            if not np.linalg.norm(now) <= limit:
                raise NumericalError(
                    "The expansion of exp(L t) in polynomials did not converge; the Lindbladian has entries that are "
                    "too large or not finite."
                )
    return (_hermitian(total.view(complex).reshape(rho.shape)) for total in sums)


def _accumulate(sums: np.ndarray, weights: np.ndarray, block: np.ndarray) -> None:
    """Sums += weights @ block, in place."""
    scipy.linalg.blas.dgemm(1.0, block.T, np.asfortranarray(weights.T), beta=1.0, c=sums.T, overwrite_c=True)


def _flat(matrix: np.ndarray) -> np.ndarray:
    return matrix.view(float).ravel()


def _hermitian(rho: np.ndarray) -> np.ndarray:
    return (rho + rho.conj().T) / 2
