"""Operators and Lindbladians as tables of numbers, and back: what a problem file holds of a model made in Python.

A function of time has no numbers of its own. It is written as the digest of its values, so that two problems can be
told apart, and such a table cannot be read back.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict

import numpy as np

from neurho._types import Coefficient, NeurhoError, Record
from neurho.model.lattice import Lattice
from neurho.model.operators import Jump, Lindbladian, LocalTerm, Operator

SAMPLES = 257
"""Times at which a function of time is looked at to tell it from others."""

GONE = (
    "a function of time of a model that was made in Python is not kept in a file; go on with the same call of "
    "`neurho.solve` in Python."
)

Digest = Callable[[Coefficient], str]


class TermTable(TypedDict):
    """A term: its sites, the entries of its matrix, and the digest of its coefficient, if it has one."""

    sites: Sequence[int]
    entries: Sequence[Sequence[float]]
    function: NotRequired[str | None]


class JumpTable(TypedDict):
    """A jump: the terms of its operator, its rate, and the digest of a rate that depends on time."""

    terms: Sequence[TermTable]
    rate: float
    function: NotRequired[str | None]


def digest_until(end: float) -> Digest:
    """What tells functions of time apart between 0 and `end`: a digest of their values at equally spaced times."""

    def digest(function: Coefficient) -> str:
        values = np.array([complex(function(float(t))) for t in np.linspace(0.0, end, SAMPLES)])
        return hashlib.sha256(values.tobytes()).hexdigest()[:16]

    return digest


def terms_of(operator: Operator, digest: Digest) -> list[TermTable]:
    """An operator as a list of tables with `sites`, `entries` and, where it depends on time, `function`."""
    found = []
    for term in operator.terms:
        table: TermTable = {"sites": list(map(int, term.sites)), "entries": entries_of(term.matrix)}
        if term.coefficient is not None:
            table["function"] = digest(term.coefficient)
        found.append(table)
    return found


def entries_of(matrix: np.ndarray) -> list[list[float]]:
    """The entries of a matrix that are not zero, each `[row, column, real part, imaginary part]`."""
    matrix = np.asarray(matrix, dtype=complex)
    values = ((int(a), int(b), complex(matrix[a, b])) for a, b in np.argwhere(matrix != 0))
    return [[row, column, value.real, value.imag] for row, column, value in values]


def model_of(lindbladian: Lindbladian, digest: Digest) -> Record:
    """The table [model] of a Lindbladian, of kind "matrices"."""
    jumps = []
    for jump in lindbladian.jumps:
        rate = {"function": digest(jump.rate)} if callable(jump.rate) else {"rate": float(jump.rate)}
        jumps.append(rate | {"terms": terms_of(jump.operator, digest)})
    hamiltonian = terms_of(lindbladian.hamiltonian, digest)
    return {"kind": "matrices", "local_dim": lindbladian.local_dim, "hamiltonian": hamiltonian, "jumps": jumps}


def matrix_from(entries: Sequence[Sequence[float]], size: int) -> np.ndarray:
    """A matrix `(size, size)` from its entries.

    **Raises** `NeurhoError` for an entry outside.
    """
    matrix = np.zeros((size, size), dtype=complex)
    for row, column, real, imaginary in entries:
        if max(row, column) >= size:
            raise NeurhoError(f"Key `entries` must have rows and columns below {size}, but it has {[row, column]}.")
        matrix[int(row), int(column)] = complex(real, imaginary)
    return matrix


def operator_from(terms: Sequence[TermTable], local_dim: int) -> Operator:
    """An operator from its tables.

    **Raises** `NeurhoError` for an entry outside its sites, sites that do not increase, and a function of time.
    """
    found = []
    for term in terms:
        sites = tuple(term["sites"])
        if term.get("function") is not None:
            raise NeurhoError(f"Key `function` cannot be read back: {GONE}")
        if list(sites) != sorted(set(sites)):
            raise NeurhoError(f"Key `sites` must hold increasing numbers, but it is {list(sites)}.")
        found.append(LocalTerm(sites, matrix_from(term["entries"], local_dim ** len(sites))))
    return Operator(local_dim, tuple(found))


def lindbladian_from(
    lattice: Lattice, *, hamiltonian: Sequence[TermTable] = (), jumps: Sequence[JumpTable] = (), local_dim: int = 2
) -> Lindbladian:
    """A Lindbladian from the table [model] of kind "matrices".

    **Raises** `NeurhoError` as `operator_from` and [`neurho.Lindbladian`][] do, and for rates that depend on time.
    """
    pairs = []
    for jump in jumps:
        if jump.get("function") is not None:
            raise NeurhoError(f"Key `function` cannot be read back: {GONE}")
        pairs.append(Jump(float(jump["rate"]), operator_from(jump["terms"], local_dim)))
    return Lindbladian(lattice, operator_from(hamiltonian, local_dim), pairs)
