"""Operators as people write them: `0.5 sx(0) + 0.25 sz(0) sz(1)`."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurho.operators.coefficients import shown

MOST = 12
"""Summands that are written out."""

SMALL = 1e-12

_LADDER = {"": np.eye(2), "sz": np.diag([1.0, -1.0]), "sp": np.eye(2, k=1), "sm": np.eye(2, k=-1)}
_PAULI = {
    "": np.eye(2),
    "sx": np.array([[0, 1], [1, 0]]),
    "sy": np.array([[0, -1j], [1j, 0]]),
    "sz": np.diag([1.0, -1.0]),
}


def as_text(terms: Sequence[Any], local_dim: int) -> str:
    """The sum of local terms: Pauli or ladder matrices for spins 1/2 (whichever are fewer), otherwise `a`, `ad`, `n`
    where a term is one of them, and matrices with a single 1, `proj(site, k)` and `trans(site, k, l)`.
    """
    parts = (part for term in terms for part in _summands(term, local_dim))
    shown_parts = list(itertools.islice(parts, MOST + 1))
    if not shown_parts:
        return "0"
    text = "".join(shown_parts[:MOST])
    return text.removeprefix(" + ").removeprefix(" ").replace("- ", "-", text.startswith(" - ")) + (
        " + ..." if len(shown_parts) > MOST else ""
    )


def _summands(term: Any, dim: int) -> list[str]:
    """`" + 0.5 sx(0)"` and so on."""
    size = np.max(np.abs(term.matrix), initial=0.0)
    found = min((_expanded(term.matrix, len(term.sites), basis) for basis in _bases(dim)), key=len)
    drive = "" if term.coefficient is None else f" * ({shown(term.coefficient)})"
    texts = []
    for names, factor in found:
        if abs(factor) > SMALL * size:
            factors = [
                name.replace("(", f"({site}, ") if "(" in name else f"{name}({site})"
                for name, site in zip(names, term.sites, strict=True)
                if name
            ]
            texts.append(_signed(factor, " ".join(factors)) + drive)
    return texts


def _signed(factor: complex, operators: str) -> str:
    """The sign, the number unless it is 1, and the operators."""
    number = factor.real if abs(factor.imag) <= SMALL * abs(factor) else factor
    if isinstance(number, complex) and abs(number.real) <= SMALL * abs(number):
        number = 1j * number.imag
        sign, size = ("-" if number.imag < 0 else "+"), f"{abs(number.imag):.6g}j"
    elif isinstance(number, complex):
        sign, size = "+", f"({number:.6g})"
    else:
        sign, size = ("-" if number < 0 else "+"), f"{abs(number):.6g}"
    if operators and size == "1":
        return f" {sign} {operators}"
    return f" {sign} {size} {operators}".rstrip()


def _bases(dim: int) -> list[dict[str, np.ndarray]]:
    """Sets of d^2 matrices by name, orthogonal to each other."""
    if dim == 2:
        return [_PAULI, _LADDER]
    units = itertools.product(range(dim), repeat=2)
    return [{f"proj({k})" if k == l else f"trans({k}, {l})": _unit(k, l, dim) for k, l in units}]


def _unit(k: int, l: int, dim: int) -> np.ndarray:
    matrix = np.zeros((dim, dim))
    matrix[k, l] = 1.0
    return matrix


def _expanded(matrix: np.ndarray, k: int, basis: dict[str, np.ndarray]) -> list[tuple[tuple[str, ...], complex]]:
    """Products of the basis with their factors tr(B^+ X)/tr(B^+ B), without those that are zero."""
    names, stack = list(basis), np.array(list(basis.values()))
    duals = stack.conj() / np.sum(np.abs(stack) ** 2, axis=(1, 2))[:, None, None]
    dim = stack.shape[1]
    tensor = np.asarray(matrix).reshape((dim,) * (2 * k))
    for site in range(k):  # the row axis of this site is at `site` (before it stand finished labels), its column at k
        tensor = np.moveaxis(np.tensordot(tensor, duals, axes=([site, k], [1, 2])), -1, site)
    size = np.max(np.abs(tensor), initial=0.0)
    kept = np.argwhere(np.abs(tensor) > SMALL * size)
    return [(tuple(names[n] for n in place), complex(tensor[tuple(place)])) for place in kept]
