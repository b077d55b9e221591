"""Exact dynamics and stationary states of small systems, matrix-free. NumPy and SciPy only.

A density matrix is an array of shape `(D, D)`, D = d^N, rows and columns numbered with site 0 slowest. With
K = -i H - 1/2 sum_j gamma_j c_j^+ c_j the master equation reads (hbar = 1)

    L rho = K rho + rho K^+ + sum_j gamma_j c_j rho c_j^+

and nothing larger than a few dozen arrays of the size of rho is ever made.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sparse
from scipy.integrate import DOP853
from scipy.sparse.linalg import eigsh

from neurho._types import NumericalError, require, require_sites
from neurho.operators import PAULI_X, PAULI_Y, PAULI_Z, Jump, Lindbladian, Operator, embed, evaluate

PAULI = (PAULI_X, PAULI_Y, PAULI_Z)

DENSE_LABELS = 81
"""Up to this many labels d^(2N) a stationary state is the null vector of a dense matrix."""

TAYLOR_NORM = 4.0
"""Largest ||L|| dt of one Taylor step: rounding grows as exp(||L|| dt), here to 1e-14."""

DEFECTIVE = 1e6
"""Condition number of the eigenvectors of K from which K is perturbed."""

_Map: TypeAlias = Callable[[np.ndarray], np.ndarray]
_Block: TypeAlias = tuple[int | slice, ...]


class _Moves(NamedTuple):
    """A jump c rho c^+ as moves of blocks: `shape` splits rows and columns at the sites of c; (to, from, factor)."""

    shape: tuple[int, ...]
    moves: tuple[tuple[_Block, _Block, complex], ...]


class _Generator(NamedTuple):
    """L at one time: K; all diagonal jumps as one weight per entry of rho; block moves; products c rho c^+."""

    effective: sparse.csr_array
    weights: np.ndarray | None
    moves: tuple[_Moves, ...]
    products: tuple[tuple[float, sparse.csr_array], ...]

    def apply(self, rho: np.ndarray) -> np.ndarray:
        """L rho for a Hermitian rho: K rho + (K rho)^+ saves the second product."""
        out = self.effective @ rho
        out += out.conj().T
        if self.weights is not None:
            out += self.weights * rho
        for shape, moves in self.moves:
            source, target = rho.reshape(shape), out.reshape(shape)
            for to, origin, factor in moves:
                target[to] += factor * source[origin]
        for rate, jump in self.products:
            out += rate * (jump @ np.ascontiguousarray((jump @ rho).conj().T))
        return out


@dataclass(frozen=True, eq=False)
class ExactLindbladian:
    """A Lindbladian that acts on density matrices of shape `(D, D)`, D = d^N.

    **Arguments**

    - `lindbladian`: Hamiltonian, jumps and rates; coefficients may depend on time.
    """

    lindbladian: Lindbladian

    @property
    def dimension(self) -> int:
        """D = d^N, the number of rows of rho."""
        return self.lindbladian.local_dim**self.lindbladian.sites

    def apply(self, rho: np.ndarray, t: float = 0.0) -> np.ndarray:
        """L rho at time t for any matrix rho of shape `(D, D)`, Hermitian or not."""
        _require_shape(rho, self.dimension)
        generator = self.at(t)
        out = generator.apply((rho + rho.conj().T) / 2)
        rest = (rho - rho.conj().T) / 2j
        return out + 1j * generator.apply(rest) if np.any(rest) else out

    def at(self, t: float) -> _Generator:
        """The generator with coefficients and rates at time t; what is constant is built once."""
        model = self.lindbladian
        if not model.is_time_dependent:
            return self._constant
        moving = []
        for number, jump in enumerate(model.jumps):
            if _is_moving(jump):
                rate = evaluate(jump.rate, t)
                require(
                    np.isfinite(rate) and rate >= 0,
                    f"jumps[{number}].rate",
                    "stay finite and >= 0",
                    f"it is {rate} at t = {t}",
                )
                moving.append((float(rate), jump.operator.to_sparse(model.sites, t)))
        driven = Operator(model.local_dim, tuple(h for h in model.hamiltonian.terms if h.coefficient is not None))
        effective = self._constant.effective - 1j * driven.to_sparse(model.sites, t) - _loss(moving, self.dimension)
        return self._constant._replace(
            effective=effective.tocsr(), products=(*self._constant.products, *(p for p in moving if p[0] > 0))
        )

    @cached_property
    def _constant(self) -> _Generator:
        """All that does not depend on time."""
        model, dim = self.lindbladian, self.lindbladian.local_dim
        fixed = Operator(dim, tuple(h for h in model.hamiltonian.terms if h.coefficient is None))
        jumps = _active(model)
        full = [(float(evaluate(j.rate, 0.0)), j.operator.to_sparse(model.sites)) for j in jumps]
        weights: np.ndarray | None = None
        moves, products = [], []
        for jump, (rate, matrix) in zip(jumps, full, strict=True):
            small = _on_support(jump.operator)
            count = np.count_nonzero(small) / len(small)
            if count <= 1 and np.array_equal(small, np.diag(np.diag(small))):
                diagonal = matrix.diagonal()
                weights = (0.0 if weights is None else weights) + rate * np.outer(diagonal, diagonal.conj())
            elif count**2 <= 2 * count + 2:
                moves.append(_block_moves(rate, small, jump.operator.support, model.sites, dim))
            else:
                products.append((rate, matrix))
        effective = -1j * fixed.to_sparse(model.sites) - _loss(full, self.dimension)
        return _Generator(effective.tocsr(), weights, tuple(moves), tuple(products))


def _is_moving(jump: Jump) -> bool:
    return callable(jump.rate) or any(term.coefficient is not None for term in jump.operator.terms)


def _active(model: Lindbladian) -> list[Jump]:
    """The jumps that do not depend on time and do something."""
    return [j for j in model.jumps if not _is_moving(j) and evaluate(j.rate, 0.0) > 0 and j.operator.terms]


def _on_support(operator: Operator) -> np.ndarray:
    """The matrix of a constant operator on its own sites."""
    support = operator.support
    return np.sum([embed(term, support, operator.local_dim) for term in operator.terms], axis=0)


def _loss(jumps: Sequence[tuple[float, sparse.csr_array]], dimension: int) -> sparse.csr_array:
    """1/2 sum_j gamma_j c_j^+ c_j."""
    total = sparse.csr_array((dimension, dimension), dtype=complex)
    for rate, jump in jumps:
        total = total + (rate / 2) * (jump.conj().T @ jump)
    return total.tocsr()


def _block_moves(rate: float, matrix: np.ndarray, support: tuple[int, ...], sites: int, dim: int) -> _Moves:
    """The moves of gamma c rho c^+ for a matrix c on a few sites."""
    cuts = [-1, *support, sites]
    gaps = [dim ** (b - a - 1) for a, b in pairwise(cuts)]
    shape = [gaps[0], *[n for gap in gaps[1:] for n in (dim, gap)]]

    def half(number: int) -> list[int | slice]:
        digits = np.unravel_index(number, (dim,) * len(support))
        return [slice(None), *[part for digit in digits for part in (int(digit), slice(None))]]

    entries = [(int(to), int(origin), matrix[to, origin]) for to, origin in np.argwhere(matrix)]
    moves = [
        ((*half(to), *half(to_column)), (*half(origin), *half(column)), complex(rate * x * np.conj(y)))
        for to, origin, x in entries
        for to_column, column, y in entries
    ]
    return _Moves((*shape, *shape), tuple(moves))


def evolve(
    lindbladian: Lindbladian,
    rho0: np.ndarray,
    times: Sequence[float] | np.ndarray,
    *,
    tolerance: float = 1e-12,
    memory: float = 8.0,
) -> Iterator[np.ndarray]:
    """Density matrices at `times`, from `rho0` at `times[0]`, exact to about `tolerance` in the Frobenius norm.

    Constant generators: the Taylor series of exp(L dt), steps ||L|| dt <= 4. Time-dependent ones: the Runge-Kutta
    pair DOP853 of order 8 with `tolerance` per step (not below 1e-13).

    **Arguments**

    - `rho0`: Hermitian, shape `(D, D)`.
    - `times`: increasing, in units of 1/rate.
    - `memory`: in GiB; the most that the arrays may take.

    **Raises** `NeurhoError` if an argument does not fit.
    """
    exact = ExactLindbladian(lindbladian)
    times_ = np.asarray(times, dtype=float)
    require(times_.ndim == 1 and len(times_) > 0, "times", "be at least one time", f"its shape is {times_.shape}")
    require(
        np.all(np.isfinite(times_)) and np.all(np.diff(times_) >= 0),
        "times",
        "be finite and not decrease",
        f"it is {times}",
    )
    require(1e-15 <= tolerance < 1, "tolerance", "lie in [1e-15, 1)", f"it is {tolerance}")
    _require_memory(exact.dimension, 24 if lindbladian.is_time_dependent else 8, memory)
    rho = np.array(rho0, dtype=complex)
    _require_shape(rho, exact.dimension, "rho0")
    require(np.allclose(rho, rho.conj().T, rtol=0, atol=1e-10), "rho0", "be Hermitian", "it differs from its adjoint")
    rho = (rho + rho.conj().T) / 2
    return (
        _runge_kutta(exact, rho, times_, tolerance)
        if lindbladian.is_time_dependent
        else _taylor(exact, rho, times_, tolerance)
    )


def _taylor(exact: ExactLindbladian, rho: np.ndarray, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    generator = exact.at(0.0)
    norm = _norm_bound(exact)
    yield rho
    for dt in np.diff(times):
        steps = max(1, int(np.ceil(norm * dt / TAYLOR_NORM)))
        cutoff = max(tolerance * dt / (times[-1] - times[0] + 1e-300) / steps, 1e-17)
        for _ in range(steps if dt > 0 else 0):
            rho = _taylor_step(generator, rho, dt / steps, cutoff)
        yield rho


def _taylor_step(generator: _Generator, rho: np.ndarray, dt: float, cutoff: float) -> np.ndarray:
    term, total = rho, rho.copy()
    for order in range(1, 200):
        term = generator.apply(term)
        term *= dt / order
        total += term
        size = np.linalg.norm(term)
        if size <= cutoff * np.linalg.norm(total):
            return total
        if not np.isfinite(size):
            break
    raise NumericalError(
        "The Taylor series of exp(L dt) did not converge; the Lindbladian has entries that are too large."
    )


def _norm_bound(exact: ExactLindbladian) -> float:
    """An upper bound of ||L||: the width of the spectrum of H plus 2 sum_j gamma_j ||c_j||^2."""
    model = exact.lindbladian
    hamiltonian = model.hamiltonian.to_sparse(model.sites)
    width = 0.0
    if exact.dimension <= 64:
        width = np.ptp(np.linalg.eigvalsh(hamiltonian.toarray()))
    elif hamiltonian.count_nonzero():
        start = np.random.default_rng(0).normal(size=exact.dimension)
        low, high = (
            eigsh(hamiltonian, k=1, which=end, tol=1e-3, v0=start, return_eigenvectors=False)[0]  # pyright: ignore[reportArgumentType]
            for end in ("SA", "LA")
        )
        width = high - low
    losses = [evaluate(j.rate, 0.0) * np.linalg.norm(_on_support(j.operator), 2) ** 2 for j in _active(model)]
    return float(1.01 * width + 2 * sum(losses))


def _runge_kutta(exact: ExactLindbladian, rho: np.ndarray, times: np.ndarray, tolerance: float) -> Iterator[np.ndarray]:
    shape, scale = rho.shape, float(np.linalg.norm(rho)) / len(rho)

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        return exact.at(t).apply(y.reshape(shape)).ravel()

    relative, last, message = max(tolerance, 1e-13), None, None
    yield rho
    for t0, t1 in pairwise(times):
        first = None if last is None else min(last, t1 - t0) or None
        solver = DOP853(rate, t0, rho.ravel(), t1, rtol=relative, atol=relative * scale, first_step=first)
        while solver.status == "running":
            message = solver.step()
            last = max(last or 0.0, solver.h_abs)  # the last step of an interval is cut short
        if solver.status == "failed":
            raise NumericalError(f"The integration stopped at t = {solver.t}: {message}")
        rho = solver.y.reshape(shape)
        rho = (rho + rho.conj().T) / 2
        yield rho


class ExactStationary(NamedTuple):
    """A stationary state: `rho` of trace 1 and shape `(D, D)`; `residual` = ||L rho||_F / ||rho||_F; how many times L
    was applied; a sentence if other stationary states exist, or "".
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
        _active(lindbladian),
        "lindbladian",
        "have a jump operator with a positive rate",
        "without one every function of H is stationary",
    )
    require(tolerance > 0, "tolerance", "be positive", f"it is {tolerance}")
    exact = ExactLindbladian(lindbladian)
    if exact.dimension**2 <= DENSE_LABELS:
        return _null_vector(exact)
    _require_memory(exact.dimension, vectors + 14, memory)
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
    residual = np.linalg.norm(exact.at(0.0).apply(rho)) / np.linalg.norm(rho)
    return ExactStationary(rho=rho, residual=float(residual), iterations=iterations, message=message)


def _krylov(exact: ExactLindbladian, tolerance: float, vectors: int, restarts: int, shift: float) -> ExactStationary:
    generator = exact.at(0.0)
    unit = max(float(evaluate(j.rate, 0.0)) for j in _active(exact.lindbladian))
    solve, size = _effective_inverse(generator.effective.toarray(), shift * unit), exact.dimension
    goal = max(tolerance, 1e-15 * _norm_bound(exact))
    rho, applied, residual = np.eye(size, dtype=complex) / size, 0, np.inf

    def step(rho: np.ndarray) -> np.ndarray:
        return rho + solve(generator.apply(rho))

    for _ in range(restarts):
        basis, hessenberg = _arnoldi(step, rho, vectors)
        applied += hessenberg.shape[1]
        rho, _ = _fixed_point(basis, hessenberg)
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


def _other_states(exact: ExactLindbladian, solve: _Map, vectors: int) -> str:
    """A sentence if a second stationary state shows up in one Krylov space of traceless matrices, or "".

    X -> X + L (s - L_eff)^{-1} X keeps the trace, so that a traceless fixed point is no image of the first state.
    """
    generator, size = exact.at(0.0), exact.dimension
    unit = np.eye(size) / size

    def traceless(matrix: np.ndarray) -> np.ndarray:  # rounding would bring the first state back
        return matrix - np.trace(matrix) * unit

    random = np.random.default_rng(0).normal(size=(2, size, size))
    other = traceless(random[0] + random[0].T + 1j * (random[1] - random[1].T))
    change, last = 5e-3, 1.0
    while change < last / 2:
        last = change
        basis, hessenberg = _arnoldi(lambda x: traceless(x + generator.apply(solve(x))), other, vectors)
        other, change = _fixed_point(basis, hessenberg)
        image = solve(other)
        if np.linalg.norm(generator.apply(image)) <= 1e-9 * np.linalg.norm(image):
            return "There is more than one stationary state (to 1e-9 in ||L rho||/||rho||); this is one of them."
    return ""


def _effective_inverse(effective: np.ndarray, shift: float) -> _Map:
    """The map X -> (s - L_eff)^{-1} X on Hermitian matrices, in the eigenvectors of K.

    A near-defective K is lifted by small random losses and energies, which only changes the preconditioner.
    """
    random, scale = np.random.default_rng(0), np.linalg.norm(effective, 1)
    noise = np.diag(-random.uniform(0.5, 1.0, len(effective)) + 1j * random.normal(size=len(effective)))
    for lift in (0.0, 1e-9, 1e-7, 1e-5):
        values, right = np.linalg.eig(effective + lift * scale * noise)
        if np.linalg.cond(right) < DEFECTIVE:
            break
    left = np.linalg.inv(right)
    divisor = shift - values[:, None] - values.conj()[None, :]
    right_adjoint, left_adjoint = right.conj().T.copy(), left.conj().T.copy()

    def solve(matrix: np.ndarray) -> np.ndarray:
        inner = left @ matrix @ left_adjoint
        inner /= divisor
        out = right @ inner @ right_adjoint
        return (out + out.conj().T) / 2

    return solve


def _arnoldi(step: _Map, start: np.ndarray, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis (real scalar product Re tr A^+ B) of a Krylov space and its Hessenberg matrix `(m + 1, m)`."""
    size = len(start)
    basis, hessenberg = np.empty((vectors + 1, 2 * size**2)), np.zeros((vectors + 1, vectors))
    basis[0] = _as_vector(start) / np.linalg.norm(start)
    for n in range(vectors):
        new = _as_vector(step(_as_matrix(basis[n], size)))
        length = np.linalg.norm(new)
        for _ in range(2):  # twice is enough
            overlap = basis[: n + 1] @ new
            new -= overlap @ basis[: n + 1]
            hessenberg[: n + 1, n] += overlap
        hessenberg[n + 1, n] = np.linalg.norm(new)
        if hessenberg[n + 1, n] <= (1e-14 if n == 0 else 1e-10) * length:  # from here on only rounding
            return basis[: n + 2], hessenberg[: n + 2, : n + 1]
        basis[n + 1] = new / hessenberg[n + 1, n]
    return basis, hessenberg


def _fixed_point(basis: np.ndarray, hessenberg: np.ndarray) -> tuple[np.ndarray, float]:
    """The matrix in a Krylov space that its map changes least, and the relative change.

    Of several fixed points the one closest to the first basis vector: the others came in by rounding.
    """
    used = hessenberg.shape[1]
    _, values, right = np.linalg.svd(hessenberg - np.eye(used + 1, used))
    fixed = right[values <= max(values[-1], 1e-9)]
    return _as_matrix((fixed[:, 0] @ fixed) @ basis[:used], round(np.sqrt(basis.shape[1] / 2))), float(values[-1])


def _as_vector(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix).view(float).ravel()


def _as_matrix(vector: np.ndarray, size: int) -> np.ndarray:
    return np.ascontiguousarray(vector).view(complex).reshape(size, size)


def product_state(bloch: Sequence[float] | np.ndarray, sites: int, *, memory: float = 8.0) -> np.ndarray:
    """The product state rho = prod_j (1 + r_j . sigma_j)/2 of spins 1/2.

    **Arguments**

    - `bloch`: Bloch vectors of length <= 1, shape `(3,)` or `(sites, 3)`.

    **Returns** shape `(2^sites, 2^sites)`.
    """
    vectors = np.asarray(bloch, dtype=float)
    require(vectors.shape in ((3,), (sites, 3)), "bloch", f"have shape (3,) or ({sites}, 3)", f"it is {vectors.shape}")
    length = np.max(np.linalg.norm(vectors, axis=-1))
    require(length <= 1 + 1e-12, "bloch", "have vectors of length <= 1", f"one has length {length}")
    _require_memory(2**sites, 2, memory)
    one = [(np.eye(2) + np.tensordot(r, PAULI, axes=1)) / 2 for r in np.broadcast_to(vectors, (sites, 3))]
    return reduce(np.kron, one)


def reduced(rho: np.ndarray, keep: Sequence[int], sites: int) -> np.ndarray:
    """The partial trace over all sites but `keep`, `(d^k, d^k)`; the first of `keep` is the slowest index."""
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
    """<X> = tr(X rho) / tr(rho), term by term from reduced density matrices."""
    total = 0j
    for term in operator.terms:
        part = reduced(rho, term.sites, sites)
        total += complex(evaluate(term.coefficient, t)) * np.sum(term.matrix * part.T)
    return complex(total / np.trace(rho))


def purity(rho: np.ndarray) -> float:
    """tr(rho^2) / tr(rho)^2 of a Hermitian matrix."""
    return float(np.linalg.norm(rho) ** 2 / np.trace(rho).real ** 2)


def trace_distance(rho: np.ndarray, sigma: np.ndarray) -> float:
    """Half the trace norm of the difference of two Hermitian matrices, each divided by its trace."""
    _require_shape(sigma, len(rho), "sigma")
    return float(np.sum(np.abs(np.linalg.eigvalsh(rho / np.trace(rho) - sigma / np.trace(sigma)))) / 2)


def delta_rho(rho: np.ndarray, sigma: np.ndarray) -> float:
    """The relative distance ||rho - sigma||_F / ||sigma||_F, both divided by their traces; `sigma` is the exact one.

    After Hartmann & Carleo, PRL 122, 250502, Eq. 16, which measures a variational against an exact density matrix; the
    Frobenius norm and the division by ||sigma||_F are the choice made here.
    """
    _require_shape(sigma, len(rho), "sigma")
    exact = sigma / np.trace(sigma)
    return float(np.linalg.norm(rho / np.trace(rho) - exact) / np.linalg.norm(exact))


def expectations(
    rho: np.ndarray,
    lindbladian: Lindbladian,
    *,
    t: float = 0.0,
    correlations: bool = False,
    structure: bool = False,
    energy: bool = True,
) -> dict[str, np.ndarray]:
    """Means of a density matrix by name: what the sampled observables estimate.

    `sx_site` `(sites,)` and its average `sx`; `sxsx_bond` `(bonds,)` and its average `sxsx` (lattices with bonds);
    `sxsx_pair` `(sites, sites)` with `correlations`; `structure_xx` = sum_{j != l} <s_j s_l>/(N(N-1)) with
    `structure`; the same for y and z; `energy` and `purity`. Local dimensions other than 2 have only the last two.
    """
    sites = lindbladian.sites
    _require_shape(rho, lindbladian.local_dim**sites)
    out = {"purity": np.asarray(purity(rho))}
    if energy:
        out["energy"] = np.asarray(expectation(rho, lindbladian.hamiltonian, sites, t).real)
    if lindbladian.local_dim != 2:
        return out
    bonds = lindbladian.lattice.bonds
    pairs = [(i, j) for i in range(sites) for j in range(i + 1, sites)] if correlations or structure else bonds
    rho = rho / np.trace(rho)
    one = np.array([reduced(rho, (j,), sites) for j in range(sites)])
    two = np.array([reduced(rho, (int(i), int(j)), sites) for i, j in pairs]).reshape(-1, 4, 4)
    for axis, sigma in zip("xyz", PAULI, strict=True):
        single = np.einsum("sab,ba->s", one, sigma).real
        table = np.eye(sites)
        for (i, j), value in zip(pairs, np.einsum("pab,ba->p", two, np.kron(sigma, sigma)).real, strict=True):
            table[i, j] = table[j, i] = value
        out |= {f"s{axis}_site": single, f"s{axis}": single.mean()}
        if len(bonds):
            values = table[bonds[:, 0], bonds[:, 1]]
            out |= {f"s{axis}s{axis}_bond": values, f"s{axis}s{axis}": values.mean()}
        if correlations:
            out[f"s{axis}s{axis}_pair"] = table
        if structure and sites > 1:
            out[f"structure_{axis}{axis}"] = np.asarray((table.sum() - sites) / (sites * (sites - 1)))
    return out


def _local_dim(rho: np.ndarray, sites: int) -> int:
    dim = round(len(rho) ** (1 / sites))
    _require_shape(rho, dim**sites)
    return dim


def _require_shape(rho: np.ndarray, dimension: int, name: str = "rho") -> None:
    require(rho.shape == (dimension, dimension), name, f"have shape ({dimension}, {dimension})", f"it is {rho.shape}")


def _require_memory(dimension: int, matrices: int, memory: float) -> None:
    need = matrices * 16 * dimension**2 / 2**30
    require(
        need <= memory,
        "memory",
        f"be at least {need:.1f} (GiB): {matrices} complex matrices of {dimension} x {dimension}",
        f"it is {memory:g}; take fewer sites or the neural ansatz",
    )
