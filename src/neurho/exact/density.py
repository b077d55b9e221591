"""Density matrices as dense arrays: product states, partial traces, means and distances."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from neurho._types import NeurhoError, Numbers, as_reals, require, require_sites
from neurho.model.bloch import bloch_vectors
from neurho.model.lattice import Lattice
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z, Lindbladian, Operator, value_at
from neurho.observables import pauli_quantities
from neurho.observables.names import ENERGY
from neurho.observables.readout import make_readout, with_entropy

PAULI = (PAULI_X, PAULI_Y, PAULI_Z)


def product_state(
    bloch: Sequence[float] | Sequence[Sequence[float]] | np.ndarray | str,
    sites: int | Lattice,
    *,
    memory: float = 8.0,
) -> np.ndarray:
    """The product state rho = prod_j (1 + r_j . sigma_j)/2 of spins 1/2.

    ```python
    import neurho

    rho = neurho.exact.product_state("neel", 2)
    assert rho[0b01, 0b01] == 1  # up, down
    ```

    **Arguments**

    - `bloch`: Bloch vectors of length <= 1, shape `(3,)` or `(sites, 3)`; or a name: "up", "down", "neel" (site 0 up),
      "+x", "-y" and the like, "mixed".
    - `sites`: how many, or a lattice, along whose bonds "neel" alternates.

    **Returns** shape `(2^sites, 2^sites)`.
    """
    vectors = as_reals(bloch_vectors(bloch, sites), "bloch")
    sites = sites.sites if isinstance(sites, Lattice) else sites
    require(vectors.shape in ((3,), (sites, 3)), "bloch", f"have shape (3,) or ({sites}, 3)", f"it is {vectors.shape}")
    length = np.max(np.linalg.norm(vectors, axis=-1))
    require(length <= 1 + 1e-12, "bloch", "have vectors of length <= 1", f"one has length {length}")
    require_memory(2**sites, 2, memory)
    one = [(np.eye(2) + np.tensordot(r, PAULI, axes=1)) / 2 for r in np.broadcast_to(vectors, (sites, 3))]
    return reduce(np.kron, one)


def product_of(amplitudes: Numbers, *, memory: float = 8.0) -> np.ndarray:
    """The pure product state |psi><psi|, psi = psi_1 x psi_2 x ..., from psi_j(l), `(sites, levels)`.

    ```python
    import numpy as np
    import neurho

    rho = neurho.exact.product_of(np.array([[1, 1, 0], [0, 0, 1]]))  # two sites of three levels
    assert np.isclose(rho[2, 5], 0.5)
    ```
    """
    amplitudes = np.asarray(amplitudes)
    require(amplitudes.ndim == 2, "amplitudes", "have shape (sites, levels)", f"it is {amplitudes.shape}")
    sites, levels = amplitudes.shape
    require_memory(levels**sites, 2, memory)
    psi = reduce(np.kron, [row / np.linalg.norm(row) for row in amplitudes])
    return np.outer(psi, psi.conj())


def reduced(rho: np.ndarray, keep: Sequence[int], sites: int) -> np.ndarray:
    """The partial trace over all sites but `keep`, `(d^k, d^k)`; the first of `keep` is the slowest index.

    ```python
    import numpy as np
    import neurho

    bell = np.outer([1, 0, 0, 1], [1, 0, 0, 1]) / 2
    assert np.allclose(neurho.exact.reduced(bell, [1], 2), np.eye(2) / 2)
    ```
    """
    require_sites(keep, sites, "keep")
    dim = _local_dim(rho, sites)
    cuts = [-1, *sorted(keep), sites]
    gaps = [dim ** (b - a - 1) for a, b in pairwise(cuts)]
    shape = [gaps[0], *[n for gap in gaps[1:] for n in (dim, gap)]]
    # axes: gaps are even, kept sites odd; a gap has the same label on both sides and is summed
    rows = list(range(len(shape)))
    columns = [n if n % 2 == 0 else n + len(shape) for n in rows]
    kept = [2 * int(n) + 1 for n in np.argsort(np.argsort(keep))]
    out = np.einsum(rho.reshape(*shape, *shape), rows + columns, kept + [n + len(shape) for n in kept])
    return out.reshape(dim ** len(keep), dim ** len(keep))


def expectation(rho: np.ndarray, operator: Operator, sites: int, t: float = 0.0) -> complex:
    """<X> = tr(X rho) / tr(rho), term by term from reduced density matrices.

    ```python
    import neurho

    rho = neurho.exact.product_state((0, 0, 0.5), 2)
    assert abs(neurho.exact.expectation(rho, neurho.sz(0) @ neurho.sz(1), 2) - 0.25) < 1e-15
    ```
    """
    require_shape(rho, operator.local_dim**sites)
    return _mean(rho, operator, sites, t, {})


def means(
    rho: np.ndarray, operators: Sequence[Operator], sites: int, t: float = 0.0
) -> Float[np.ndarray, " operators"]:
    """<X> of Hermitian operators; of all that stand on the same sites the partial trace is taken once."""
    known: dict[tuple[int, ...], np.ndarray] = {}
    return np.array([_mean(rho, operator, sites, t, known).real for operator in operators])


def _mean(
    rho: np.ndarray, operator: Operator, sites: int, t: float, known: dict[tuple[int, ...], np.ndarray]
) -> complex:
    """<X>; `known` keeps the reduced density matrices."""
    total = 0j
    for term in operator.terms:
        if term.sites not in known:
            known[term.sites] = reduced(rho, term.sites, sites)
        total += value_at(term.coefficient, t, "operator") * np.sum(term.matrix * known[term.sites].T)
    return complex(total / np.trace(rho))


def purity(rho: np.ndarray) -> float:
    """tr(rho^2) / tr(rho)^2 of a Hermitian matrix.

    ```python
    import neurho

    assert abs(neurho.exact.purity(neurho.exact.product_state("mixed", 3)) - 1 / 8) < 1e-15
    ```
    """
    return float(np.linalg.norm(rho) ** 2 / np.trace(rho).real ** 2)


def trace_distance(rho: np.ndarray, sigma: np.ndarray) -> float:
    """Half the trace norm of the difference of two Hermitian matrices, each divided by its trace.

    ```python
    import neurho

    up, mixed = (neurho.exact.product_state(name, 1) for name in ("up", "mixed"))
    assert abs(neurho.exact.trace_distance(up, mixed) - 1 / 2) < 1e-15
    ```
    """
    require_shape(sigma, len(rho), "sigma")
    return float(np.sum(np.abs(np.linalg.eigvalsh(rho / np.trace(rho) - sigma / np.trace(sigma)))) / 2)


def delta_rho(rho: np.ndarray, sigma: np.ndarray) -> float:
    """The relative distance ||rho - sigma||_F / ||sigma||_F, both divided by their traces; `sigma` is the exact one.

    After Hartmann & Carleo, PRL 122, 250502, Eq. 16, which measures a variational against an exact density matrix; the
    Frobenius norm and the division by ||sigma||_F are the choice made here.

    ```python
    import neurho

    up, mixed = (neurho.exact.product_state(name, 1) for name in ("up", "mixed"))
    assert abs(neurho.exact.delta_rho(mixed, up) ** 2 - 1 / 2) < 1e-15
    ```
    """
    require_shape(sigma, len(rho), "sigma")
    exact = sigma / np.trace(sigma)
    return float(np.linalg.norm(rho / np.trace(rho) - exact) / np.linalg.norm(exact))


def expectations(
    rho: np.ndarray,
    lindbladian: Lindbladian,
    *,
    t: float = 0.0,
    correlations: bool = False,
    structure: bool = False,
    momenta: bool = False,
    energy: bool = True,
) -> dict[str, np.ndarray]:
    """Means of a density matrix by name: what the sampled observables estimate.

    `sx_site` `(sites,)` and its average `sx`; `sxsx_bond` `(bonds,)` and its average `sxsx` (lattices with bonds);
    `sxsx_pair` `(sites, sites)` with `correlations`; `structure_xx` = sum_{j != l} <s_j s_l>/(N(N-1)) with
    `structure`; with `momenta` also `structure_xx_k`, the same with a factor exp(i k.(r_j - r_l)), at all
    momenta (`neurho.observables.momentum.momenta`); the same for y and z; `energy`; `purity` and `renyi2` =
    -ln(purity). Local dimensions other than 2 have only the last three.

    ```python
    import neurho

    model = neurho.xyz(neurho.chain(2))
    means = neurho.exact.expectations(neurho.exact.product_state("neel", 2), model)
    assert means["sz_site"].tolist() == [1, -1] and means["szsz"] == -1
    ```
    """
    sites = lindbladian.sites
    require_shape(rho, lindbladian.local_dim**sites)
    out = with_entropy(purity(rho))
    if energy:
        out[ENERGY] = np.asarray(expectation(rho, lindbladian.hamiltonian, sites, t).real)
    if lindbladian.local_dim != 2:
        return out
    asked = pauli_quantities(lindbladian.lattice, correlations=correlations, structure=structure, momenta=momenta)
    readout = make_readout(asked, sites)
    return out | readout.combine(means(rho, readout.operators, sites))


def _local_dim(rho: np.ndarray, sites: int) -> int:
    dim = round(len(rho) ** (1 / sites))
    require_shape(rho, dim**sites)
    return dim


def require_shape(rho: np.ndarray, dimension: int, name: str = "rho") -> None:
    """Check that a density matrix has `dimension` rows and columns."""
    require(rho.shape == (dimension, dimension), name, f"have shape ({dimension}, {dimension})", f"it is {rho.shape}")


def as_density_matrix(rho: Any, lindbladian: Lindbladian, name: str = "rho0") -> np.ndarray:
    """A Hermitian matrix of the size that a Lindbladian acts on, from an array or a Qobj of QuTiP (ket or matrix).

    **Raises** `NeurhoError` for another size, with the number of sites that it belongs to, and for what is no matrix.
    """
    if hasattr(rho, "full") and hasattr(rho, "dims"):
        rho = rho.full() if rho.shape[0] == rho.shape[1] else rho.full().ravel()
        rho = np.outer(rho, rho.conj()) if rho.ndim == 1 else rho
    try:
        array = np.array(rho, dtype=complex)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or len(array) == 0:
        raise NeurhoError(f"Argument `{name}` must be a density matrix of numbers, but it is {f'{rho!r}':.80}.")
    d, sites = lindbladian.local_dim, lindbladian.sites
    size = d**sites
    other = round(np.log(len(array)) / np.log(d))
    said = f"it is {array.shape}"
    if array.shape == (d**other, d**other):
        said += f", a state of {other} sites; the lattice has {sites}"
    require(array.shape == (size, size), name, f"have shape ({size}, {size})", said)
    require(np.all(np.isfinite(array)), name, "have finite entries", "it contains NaN or infinity")
    same = np.allclose(array, array.conj().T, rtol=0, atol=1e-10)
    require(same, name, "be Hermitian", "it differs from its adjoint")
    return array


def require_memory(dimension: int, matrices: int, memory: float) -> None:
    """Refuse what needs more than `memory` GiB."""
    need = matrices * 16 * dimension**2 / 2**30
    require(
        need <= memory,
        "memory",
        f"be at least {need:.1f} (GiB): {matrices} complex matrices of {dimension} x {dimension}",
        f"it is {memory:g}; take fewer sites or the neural ansatz",
    )
