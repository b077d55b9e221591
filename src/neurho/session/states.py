"""Initial states as Python gives them, by name, Bloch vector, level, vector, matrix or result: the table [initial]."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurho._types import NeurhoError, Record, brief, require
from neurho.model.bloch import NAMED_STATES, bloch_vector
from neurho.model.interchange.matrices import entries_of
from neurho.model.lattice import Lattice
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z
from neurho.run.initial import require_state
from neurho.session.result import Result

ENTRIES = 4096
"""Most entries that are not zero of a density matrix that is no product: a problem file holds them."""

ROUNDING = 1e-12
"""Largest entry of the difference between a density matrix and a product that counts as rounding."""

MUST = (
    f"be one of {', '.join(NAMED_STATES)}, a Bloch vector, a list of them with one for each site, a state vector or "
    "density matrix, a table with the keys of [initial], or the result of another run"
)


def initial_of(given: Any, lattice: Lattice, local_dim: int, *, kept: bool) -> Record:
    """The table [initial] of a problem.

    **Arguments**

    - `kept`: whether the run that begins here is kept in a directory, so that it must not rest on one that is not.

    **Raises** `NeurhoError` for what is no state of this lattice.
    """
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, Result):
        return {"kind": "state", "run": str(_directory(given, kept=kept))}
    given = given.full() if hasattr(given, "full") else given  # an object of QuTiP
    if isinstance(given, str):
        require(given in NAMED_STATES, "initial", MUST, f"it is {given!r}")
        return _named(given, lattice, local_dim)
    if isinstance(given, Sequence) and any(isinstance(entry, str) for entry in given):
        return {"kind": "product", "bloch": _of_sites(given, lattice, local_dim)}
    return _of_array(given, lattice, local_dim)


def _directory(result: Result, *, kept: bool) -> Path:
    must = "be a result that is kept, of a call with `out`, for a run that is kept itself"
    require(not kept or result.path is not None, "initial", must, "it is one without")
    return result.directory


def _named(name: str, lattice: Lattice, local_dim: int) -> Record:
    """A product state by its name."""
    if name == "mixed" and local_dim > 2:
        return {"kind": "levels", "populations": [1.0 / local_dim] * local_dim, "mixed": True}
    if local_dim > 2:
        require(
            name in ("up", "down"), "initial", f'be "up", "down" or "mixed" for {local_dim} levels', f'it is "{name}"'
        )
        return _levels([0 if name == "up" else local_dim - 1] * lattice.sites, local_dim)
    return {"kind": "product", "bloch": name}


def _of_sites(given: Sequence[Any], lattice: Lattice, local_dim: int) -> list[list[float]]:
    """Bloch vectors from names or vectors, one for each site."""
    require(local_dim == 2, "initial", f"hold levels or vectors for sites of {local_dim} levels", "it holds names")
    require(
        len(given) == lattice.sites, "initial", f"have {lattice.sites} entries, one per site", f"it has {len(given)}"
    )
    found = []
    for entry in given:
        if isinstance(entry, str):
            require(entry in NAMED_STATES and entry != "neel", "initial", MUST, f"an entry is {entry!r}")
        good = isinstance(entry, str) or (np.shape(entry) == (3,) and np.isrealobj(entry))
        require(good, "initial", "hold names and Bloch vectors of three numbers", f"it has {brief(entry)}")
        found.append((bloch_vector(entry) if isinstance(entry, str) else np.asarray(entry, dtype=float)).tolist())
    return found


def _of_array(given: Any, lattice: Lattice, local_dim: int) -> Record:
    """Numbers: Bloch vectors, levels, a state vector or a density matrix."""
    try:
        array = np.asarray(given)
        good = array.dtype.kind in "iufc" and bool(np.all(np.isfinite(array)))
    except (TypeError, ValueError):
        good, array = False, np.zeros(())
    require(good, "initial", MUST, f"it is {brief(given)}")
    sites, size = lattice.sites, local_dim**lattice.sites
    real, whole = array.dtype.kind in "iuf", array.dtype.kind in "iu"
    if local_dim == 2 and real and array.shape in ((3,), (sites, 3)):
        return {"kind": "product", "bloch": array.astype(float).tolist()}
    if whole and array.shape in ((), (sites,)) and array.shape != (size,):
        return _levels(np.broadcast_to(array, (sites,)), local_dim)
    if array.shape in ((size,), (size, 1)):
        norm = float(np.linalg.norm(array))
        require(abs(norm - 1) < 1e-9, "initial", "be a state vector of norm 1", f"its norm is {norm:.6g}")
        return _of_matrix(np.outer(array, np.conj(array)), sites, local_dim)
    if array.shape == (size, size):
        return _of_matrix(array.astype(complex), sites, local_dim)
    shapes = f"(3,) or ({sites}, 3) for Bloch vectors, " if local_dim == 2 else ""
    must = f"have the shape {shapes}({size},) for a vector or ({size}, {size}) for a density matrix"
    raise NeurhoError(f"Argument `initial` must {must}, but its shape is {array.shape}.")


def _levels(levels: np.ndarray | Sequence[int], local_dim: int) -> Record:
    """One level for each site."""
    require(
        all(0 <= level < local_dim for level in levels),
        "initial",
        f"hold levels from 0 to {local_dim - 1}",
        f"it has {max(levels, key=abs)}",
    )
    if local_dim == 2:
        return {"kind": "product", "bloch": [[0.0, 0.0, 1.0 - 2.0 * int(level)] for level in levels]}
    return {"kind": "levels", "populations": np.eye(local_dim)[list(levels)].tolist()}


def _of_matrix(rho: np.ndarray, sites: int, local_dim: int) -> Record:
    """A density matrix: the product that it is, or its entries."""
    require_state(rho, "Argument `initial`")
    factors = _factors(rho, sites, local_dim)
    product = np.ones((1, 1))
    for factor in factors:
        product = np.kron(product, factor)
    if np.max(np.abs(product - rho)) <= ROUNDING and (table := _of_factors(factors, local_dim)) is not None:
        return table
    entries = entries_of(rho)
    must = f"be a product or have at most {ENTRIES} entries that are not zero, which a problem file can hold"
    require(len(entries) <= ENTRIES, "initial", must, f"it has {len(entries)}")
    return {"kind": "matrix", "entries": entries}


def _factors(rho: np.ndarray, sites: int, local_dim: int) -> list[np.ndarray]:
    """The density matrices of single sites."""
    found = []
    for site in range(sites):
        before, after = local_dim**site, local_dim ** (sites - site - 1)
        found.append(np.einsum("aibajb->ij", rho.reshape(2 * (before, local_dim, after))))
    return found


def _of_factors(factors: Sequence[np.ndarray], local_dim: int) -> Record | None:
    """The table of a product; None where the tables of product states do not hold it."""
    if local_dim == 2:
        paulis = (PAULI_X, PAULI_Y, PAULI_Z)
        vectors = np.array([[np.trace(p @ factor).real for p in paulis] for factor in factors])
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1.0)  # of rounding
        return {"kind": "product", "bloch": (vectors / lengths).tolist()}
    populations = [np.real(np.diag(factor)).clip(0.0).tolist() for factor in factors]
    if all(np.max(np.abs(factor - np.diag(np.diag(factor)))) <= ROUNDING for factor in factors):
        return {"kind": "levels", "populations": populations, "mixed": True}
    if all(abs(np.trace(factor @ factor) - 1) <= ROUNDING for factor in factors):
        phases = [np.angle(factor[:, int(np.argmax(np.real(np.diag(factor))))]).tolist() for factor in factors]
        return {"kind": "levels", "populations": populations, "phases": phases}
    return None
