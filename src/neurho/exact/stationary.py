"""Exact stationary states: the null vector of a small dense matrix, or a Krylov fixed point."""

from typing import NamedTuple

import numpy as np

from neurho._types import NumericalError, require
from neurho.exact.bounds import numerical_range
from neurho.exact.density import require_memory
from neurho.exact.generator import ExactLindbladian
from neurho.exact.jumps import active
from neurho.exact.krylov import EffectiveInverse, arnoldi, fixed_point
from neurho.model.operators import Lindbladian, evaluate

DENSE_LABELS = 81
"""Up to this many labels d^(2N) a stationary state is the null vector of a dense matrix."""


SUSPICIOUS = 2.5e-3
"""Change of a traceless matrix by the fixed-point map, in single precision, below which it is looked at closely."""


class ExactStationary(NamedTuple):
    """A stationary state: `rho` of trace 1 and shape `(D, D)`; `residual` = ||L rho||_F / ||rho||_F; how many times L
    was applied; a sentence if other stationary states exist, or "".

    ```python
    import neurho

    found = neurho.exact.stationary_state(neurho.heisenberg(neurho.chain(2)))
    assert abs(found.rho[3, 3] - 1) < 1e-9  # all decayed
    ```
    """

    rho: np.ndarray
    residual: float
    iterations: int
    message: str


def stationary_state(
    lindbladian: Lindbladian,
    *,
    tolerance: float = 1e-10,
    vectors: int = 40,
    restarts: int = 50,
    shift: float = 1e-3,
    memory: float = 8.0,
) -> ExactStationary:
    """A density matrix with L rho = 0, to ||L rho||_F <= `tolerance` ||rho||_F or to rounding, 1e-15 ||L||.

    It is the fixed point of T = 1 + (s - L_eff)^{-1} L with L_eff rho = K rho + rho K^+, whose inverse is diagonal in
    the eigenvectors of K. Arnoldi iterations over Hermitian matrices (real scalar product) yield a Hessenberg matrix
    h, and the singular vector of h - 1 with the smallest singular value yields rho. T is similar to a quantum channel,
    so that 1 is its largest eigenvalue. Up to 81 labels, rho is the null vector of a dense matrix instead.

    ```python
    import neurho

    found = neurho.exact.stationary_state(neurho.xyz(neurho.chain(2), coupling=(0.9, 1.2, 1.0)))
    assert found.residual < 1e-10 and not found.message
    ```

    **Arguments**

    - `vectors`, `restarts`: size and number of the Krylov spaces.
    - `shift`: s, small and positive, in units of the largest rate.
    - `memory`: in GiB; the most that the arrays may take.

    **Returns** an [`neurho.exact.ExactStationary`][].

    **Raises** `NeurhoError` without jumps, with time-dependent coefficients, or when rho does not fit into `memory`;
    `NumericalError` when the residual stays above `tolerance`.
    """
    require(
        not lindbladian.is_time_dependent, "lindbladian", "not depend on time", "it has time-dependent coefficients"
    )
    require(
        active(lindbladian),
        "lindbladian",
        "have a jump operator with a positive rate",
        "without one every function of H is stationary",
    )
    require(tolerance > 0, "tolerance", "be positive", f"it is {tolerance}")
    exact = ExactLindbladian(lindbladian)
    if exact.dimension**2 <= DENSE_LABELS:
        return _null_vector(exact)
    require_memory(exact.dimension, vectors + 14, memory)
    return _krylov(exact, tolerance, vectors, restarts, shift)


def _null_vector(exact: ExactLindbladian) -> ExactStationary:
    size = exact.dimension
    units = np.eye(size**2).reshape(-1, size, size)
    dense = np.stack([exact.apply(unit).ravel() for unit in units], axis=1)
    left, values, right = np.linalg.svd(dense)
    count = max(1, int(np.sum(values <= 1e-11 * values[0])))
    # the projector onto the null space along the other eigenspaces keeps the infinite-temperature state positive
    kernel, cokernel = right[-count:].conj().T, left[:, -count:].conj().T
    flat = kernel @ np.linalg.solve(cokernel @ kernel, cokernel @ (np.eye(size) / size).ravel())
    message = (
        f"There are {count} linearly independent stationary states; this one is reached from infinite temperature."
    )
    return _result(exact, flat.reshape(size, size), size**2, message if count > 1 else "")


def _result(exact: ExactLindbladian, rho: np.ndarray, iterations: int, message: str) -> ExactStationary:
    rho = (rho + rho.conj().T) / 2
    rho = rho / np.trace(rho).real
    residual = np.linalg.norm(exact.constant.apply(rho)) / np.linalg.norm(rho)
    return ExactStationary(rho=rho, residual=float(residual), iterations=iterations, message=message)


def _krylov(exact: ExactLindbladian, tolerance: float, vectors: int, restarts: int, shift: float) -> ExactStationary:
    generator = exact.constant
    unit = max(float(evaluate(j.rate, 0.0)) for j in active(exact.lindbladian))
    solve, size = EffectiveInverse(exact.effective, shift * unit), exact.dimension
    goal = max(tolerance, 1e-15 * numerical_range(exact).norm)
    rho, applied, residual = np.eye(size, dtype=complex) / size, 0, np.inf

    def step(rho: np.ndarray) -> np.ndarray:
        return rho + solve(generator.apply(rho))

    for _ in range(restarts):
        basis, hessenberg = arnoldi(step, rho, vectors)
        applied += hessenberg.shape[1]
        rho, _ = fixed_point(basis, hessenberg)
        rho = rho / np.trace(rho).real
        residual = np.linalg.norm(generator.apply(rho)) / np.linalg.norm(rho)
        if residual <= goal:
            break
    else:
        raise NumericalError(
            f"The stationary state was not found: ||L rho||/||rho|| is {residual:.1e} after {applied} "
            "applications of L; give more `restarts` or a larger `tolerance`."
        )
    return _result(exact, rho, applied, _other_states(exact, solve, vectors))


def _other_states(exact: ExactLindbladian, solve: EffectiveInverse, vectors: int) -> str:
    """A sentence if a second stationary state shows up in one Krylov space of traceless matrices, or "".

    X -> X + L (s - L_eff)^{-1} X keeps the trace, so that a traceless fixed point is no image of the first state.
    """
    generator, size = exact.constant, exact.dimension
    unit = np.eye(size) / size

    def traceless(matrix: np.ndarray) -> np.ndarray:  # rounding would bring the first state back
        return matrix - np.trace(matrix) * unit

    random = np.random.default_rng(0).normal(size=(2, size, size))
    other = traceless(random[0] + random[0].T + 1j * (random[1] - random[1].T))
    rough = solve.rough()
    basis, hessenberg = arnoldi(lambda x: traceless(x + generator.apply(rough(x))), other, vectors)
    if fixed_point(basis, hessenberg)[1] >= SUSPICIOUS:
        return ""
    change, last = 2 * SUSPICIOUS, 1.0
    while change < last / 2:
        last = change
        basis, hessenberg = arnoldi(lambda x: traceless(x + generator.apply(solve(x))), other, vectors)
        other, change = fixed_point(basis, hessenberg)
        image = solve(other)
        if np.linalg.norm(generator.apply(image)) <= 1e-9 * np.linalg.norm(image):
            return "There is more than one stationary state (to 1e-9 in ||L rho||/||rho||); this is one of them."
    return ""
