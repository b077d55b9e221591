"""How near states and gates of a few sites come to ideal ones."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from neurho._types import NeurhoError, as_matrix, require
from neurho.exact.density import require_shape
from neurho.exact.dynamics import evolve
from neurho.model.lattice import chain
from neurho.model.operators import Lindbladian, Operator, gates_unitary


def state_fidelity(rho: Any, sigma: Any) -> float:
    """The Uhlmann fidelity F = (tr sqrt(sqrt(rho) sigma sqrt(rho)))^2, from 0 to 1; <psi|rho|psi> if one is pure.

    The square, as in Jozsa, J. Mod. Opt. 41, 2315 (1994); `qutip.fidelity` is its root.

    ```python
    import neurho

    mixed = neurho.exact.product_state("mixed", 2)
    assert abs(neurho.exact.state_fidelity(mixed, [1, 0, 0, 0]) - 1 / 4) < 1e-12
    ```

    **Arguments**

    - `rho`, `sigma`: density matrices `(D, D)` or vectors `(D,)` of pure states, normalised or not, also of QuTiP.
      Between mixed states an error e of an eigenvalue near zero moves F by sqrt(e).

    **Raises** `NeurhoError` for what is no state, and for two states of different sizes.
    """
    one, other = _state(rho, "rho"), _state(sigma, "sigma")
    require(len(one) == len(other), "sigma", f"be a state of {len(one)} levels", f"it has {len(other)}")
    if one.ndim == 1 and other.ndim == 1:
        return float(np.abs(np.vdot(one, other)) ** 2)
    if one.ndim == 1 or other.ndim == 1:
        psi, matrix = (one, other) if one.ndim == 1 else (other, one)
        return float(np.vdot(psi, matrix @ psi).real)
    left, right = _root(one), _root(other)
    return float(np.sum(np.linalg.svd(left.conj().T @ right, compute_uv=False)) ** 2)


def process_fidelity(
    lindbladian: Lindbladian,
    gate: Any,
    time: float | Sequence[float],
    *,
    tolerance: float = 1e-8,
    memory: float = 8.0,
) -> float:
    """The entanglement fidelity F = <Phi| (U^+ x 1) (E x 1)(|Phi><Phi|) (U x 1) |Phi> of an evolution E with a gate U.

    |Phi> = sum_n |n>|n>/sqrt(D) entangles the system with a copy of it that stays as it is (Schumacher, Phys. Rev. A
    54, 2614 (1996)); without noise and errors F = 1. The copy doubles the sites: N <= 5 spins.

    ```python
    import neurho

    qubit = neurho.processor(neurho.chain(1), T1=2.0)  # amplitude damping: F = (1 + exp(-t/(2 T1)))^2/4
    found = neurho.exact.process_fidelity(qubit, [[1, 0], [0, 1]], 1.0)
    assert abs(found - (1 + 0.7788007831) ** 2 / 4) < 1e-7
    ```

    **Arguments**

    - `gate`: U, a unitary matrix `(D, D)`, also of QuTiP, an `Operator`, or a list of gates as [`neurho.processor`][]
      takes them, of which `start` says the order and `duration` nothing.
    - `time`: t, from 0 to t, or (t_0, t).
    - `tolerance`, `memory`: as [`neurho.exact.evolve`][].

    **Raises** `NeurhoError` if an argument does not fit, or for a matrix that is not unitary.
    """
    sites, size = lindbladian.sites, lindbladian.local_dim**lindbladian.sites
    unitary = _unitary(gate, lindbladian)
    times = np.atleast_1d(np.asarray(time, dtype=float))
    times = np.concatenate([[0.0], times]) if len(times) == 1 else times
    require(times.shape == (2,), "time", "be one time or a pair", f"it is {time}")
    doubled = Lindbladian(chain(2 * sites), lindbladian.hamiltonian, lindbladian.jumps)
    entangled = np.eye(size).ravel() / np.sqrt(size)
    start = np.outer(entangled, entangled)
    *_, rho = evolve(doubled, start, times, tolerance=tolerance, memory=memory)
    return state_fidelity(rho, unitary.ravel() / np.sqrt(size))


def average_gate_fidelity(
    lindbladian: Lindbladian,
    gate: Any,
    time: float | Sequence[float],
    *,
    tolerance: float = 1e-8,
    memory: float = 8.0,
) -> float:
    """The mean of <psi|U^+ E(|psi><psi|) U|psi> over all pure states psi of all D levels, F = (D F_pro + 1)/(D + 1).

    F_pro is the [process fidelity][neurho.exact.process_fidelity]; Nielsen, Phys. Lett. A 303, 249 (2002). Arguments as
    there.

    ```python
    import numpy as np
    import neurho

    flip = [{"gate": "x", "at": [0], "duration": 0.02}]
    qubit = neurho.processor(neurho.chain(1), T1=60.0, T2=40.0, gates=flip)  # times in microseconds
    error = 1 - neurho.exact.average_gate_fidelity(qubit, flip, 0.02)
    assert np.isclose(error, 0.02 / 6 * (1 / 60 + 2 / 40), rtol=2e-3)  # t/6 (1/T1 + 2/T2)
    ```
    """
    size = lindbladian.local_dim**lindbladian.sites
    found = process_fidelity(lindbladian, gate, time, tolerance=tolerance, memory=memory)
    return (size * found + 1) / (size + 1)


def _state(state: Any, name: str) -> np.ndarray:
    """A normalised vector, or a Hermitian matrix of trace one."""
    if hasattr(state, "full") and hasattr(state, "dims"):
        state = state.full().ravel() if 1 in state.shape else state.full()
    array: Any = np.zeros(0)
    with suppress(TypeError, ValueError):
        array = np.array(state, dtype=complex)
    square = array.ndim == 2 and array.shape[0] == array.shape[1]
    if not array.size or not (array.ndim == 1 or square) or not np.all(np.isfinite(array)):
        raise NeurhoError(f"Argument `{name}` must be a vector or a density matrix, but it is {f'{state!r}':.80}.")
    if array.ndim == 1:
        norm = np.linalg.norm(array)
        require(norm > 0, name, "not be zero", "it is")
        return array / norm
    same = np.allclose(array, array.conj().T, rtol=0, atol=1e-10 * np.max(np.abs(array)))
    require(same, name, "be Hermitian", "it differs from its adjoint")
    trace = np.trace(array).real
    require(trace > 0, name, "have a trace > 0", f"it is {trace:g}")
    return (array + array.conj().T) / (2 * trace)


def _root(rho: np.ndarray) -> np.ndarray:
    """A with A A^+ = rho, `(D, rank)`; eigenvalues that are zero but for rounding are left out."""
    values, vectors = np.linalg.eigh(rho)
    kept = values > len(rho) * np.finfo(float).eps * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def _unitary(gate: Any, lindbladian: Lindbladian) -> np.ndarray:
    """The matrix of a gate on all sites."""
    sites, size = lindbladian.sites, lindbladian.local_dim**lindbladian.sites
    if isinstance(gate, Operator):
        require(gate.local_dim == lindbladian.local_dim, "gate", "act on sites of the model", "it does not")
        matrix = gate.to_sparse(sites).toarray()
    elif isinstance(gate, Sequence) and all(isinstance(one, Mapping) for one in gate):
        require(lindbladian.local_dim == 2, "gate", "be a matrix unless sites have two levels", "it is a list of gates")
        matrix = gates_unitary(gate, sites)
    else:
        full: Any = getattr(gate, "full", lambda: gate)
        matrix = as_matrix(full(), "gate")
        require_shape(matrix, size, "gate")
    off = float(np.max(np.abs(matrix @ matrix.conj().T - np.eye(size))))
    require(off < 1e-8, "gate", "be unitary", f"U U^+ differs from 1 by {off:.1e}")
    return matrix
