"""Operators as people write them: `0.5 sx(0) + 0.25 sz(0) sz(1)`."""

import itertools
from collections.abc import Sequence
from functools import reduce

import numpy as np

from neurho.model.operators.coefficients import Term, shown, written

MOST = 12
"""Summands that are written out."""

SMALL = 1e-12

_PAULI = {
    "": np.eye(2),
    "sx": np.array([[0, 1], [1, 0]]),
    "sy": np.array([[0, -1j], [1j, 0]]),
    "sz": np.diag([1.0, -1.0]),
}
_LADDER = {"": np.eye(2), "sz": np.diag([1.0, -1.0]), "sp": np.eye(2, k=1), "sm": np.eye(2, k=-1)}


def as_text(terms: Sequence[Term], local_dim: int) -> str:
    """The sum of local terms in the names of text expressions, whichever give the fewest summands: Pauli or ladder
    matrices for spins 1/2, otherwise bosons, spins, or matrices with a single 1.
    """
    sums: dict[str, complex] = {}
    for term in terms:
        drive = "" if term.coefficient is None else f" * ({shown(term.coefficient)})"
        for names, factor in _summands(term, local_dim):
            text = " ".join(filter(None, map(_placed, names, term.sites))) + drive
            sums[text] = sums.get(text, 0.0) + factor
    parts = [_signed(factor, text) for text, factor in sums.items() if factor]
    text = " ".join(parts[:MOST] + ["+ ..."] * (len(parts) > MOST))
    return text.removeprefix("+ ").replace("- ", "-", text.startswith("- ")) or "0"


def _summands(term: Term, dim: int) -> list[tuple[tuple[str, ...], complex]]:
    """Products of named matrices and their factors, in the names that need the fewest."""
    expanded = (_expanded(term.matrix, len(term.sites), basis) for basis in _bases(dim))
    return min((parts for parts in expanded if parts is not None), key=len)


def _placed(name: str, site: int) -> str:
    """`sx(3)`, or `proj(3, 1)`."""
    return name.replace("(", f"({site}, ") if "(" in name else f"{name}({site})" if name else ""


def _signed(factor: complex, operators: str) -> str:
    """The sign, the number unless it is 1, and the operators."""
    real, imag = (0.0 if abs(part) <= SMALL * abs(factor) else part for part in (factor.real, factor.imag))
    minus = (imag or real) < 0 and not (real and imag)
    number = written(complex(-real, -imag) if minus else complex(real, imag))
    bare = operators and not operators.startswith(" ") and number == "1"
    return f"{'-' if minus else '+'} {operators if bare else f'{number} {operators.strip()}'.rstrip()}"


def _bases(dim: int) -> list[dict[str, np.ndarray]]:
    """Sets of matrices by name; the last spans all."""
    if dim == 2:
        return [_PAULI, _LADDER]
    s, one = (dim - 1) / 2, np.eye(dim)
    m = s - np.arange(dim)
    up, lower = (np.diag(v, 1) for v in (np.sqrt(s * (s + 1) - m[1:] * (m[1:] + 1)), np.sqrt(np.arange(1, dim))))
    units = itertools.product(range(dim), repeat=2)
    return [
        {"": one, "n": np.diag(np.arange(dim)), "a": lower, "ad": lower.T},
        {"": one, "Sx": (up + up.T) / 2, "Sy": (up - up.T) / 2j, "Sz": np.diag(m)},
        {"": one, "Sz": np.diag(m), "Sp": up, "Sm": up.T},
        {f"proj({k})" if k == l else f"trans({k}, {l})": _unit(k, l, dim) for k, l in units},
    ]


def _unit(k: int, l: int, dim: int) -> np.ndarray:
    matrix = np.zeros((dim, dim))
    matrix[k, l] = 1.0
    return matrix


def _expanded(matrix: np.ndarray, k: int, basis: dict[str, np.ndarray]) -> list[tuple[tuple[str, ...], complex]] | None:
    """Products of matrices of a basis with their factors, without those that are zero; None if they do not do."""
    names, stack = list(basis), np.array(list(basis.values()))
    dim = stack.shape[1]
    duals = np.linalg.pinv(stack.reshape(len(stack), dim**2).T).reshape(-1, dim, dim)
    tensor = np.asarray(matrix).reshape((dim,) * (2 * k))
    for site in range(k):  # the row axis of this site is at `site` (before it stand finished labels), its column at k
        tensor = np.moveaxis(np.tensordot(tensor, duals, axes=([site, k], [1, 2])), -1, site)
    size = np.max(np.abs(tensor), initial=0.0)
    kept = [tuple(map(int, place)) for place in np.argwhere(np.abs(tensor) > SMALL * size)]
    made = np.zeros_like(matrix, dtype=complex)
    for place in kept:
        made += tensor[place] * reduce(np.kron, [stack[n] for n in place], np.eye(1))
    if np.max(np.abs(made - matrix), initial=0.0) > 1e-9 * np.max(np.abs(matrix), initial=0.0):
        return None
    return [(tuple(names[n] for n in place), complex(tensor[place])) for place in kept]
