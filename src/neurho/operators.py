"""Operators as sums of local terms, and the Lindbladian that they make. NumPy only."""

import operator as _op
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from numbers import Number
from typing import Any

import numpy as np
import scipy.sparse as sparse

from neurho._types import Coefficient, NeurhoError, as_matrix, require, require_rate, require_sites
from neurho.lattice import Lattice

MAX_LABELS = 729
"""Largest local space d^(2k) of one term of a Lindbladian: 4 sites for d = 2, 3 for d = 3."""


@dataclass(frozen=True)
class _Product:
    """The product of two time-dependent coefficients."""

    left: Coefficient
    right: Coefficient

    def __call__(self, t: Any) -> Any:
        return self.left(t) * self.right(t)


@dataclass(frozen=True)
class _Conjugate:
    """The complex conjugate of a time-dependent coefficient."""

    function: Coefficient

    def __call__(self, t: Any) -> Any:
        value = self.function(t)
        return value.conjugate() if hasattr(value, "conjugate") else value


def _multiply(left: Coefficient | None, right: Coefficient | None) -> Coefficient | None:
    if left is None or right is None:
        return left or right
    return _Product(left, right)


@dataclass(frozen=True, eq=False)
class LocalTerm:
    """f(t) times a matrix of shape `(d^k, d^k)` on `k` sites (ascending; the first site is the slowest index)."""

    sites: tuple[int, ...]
    matrix: np.ndarray
    coefficient: Coefficient | None = None


@dataclass(frozen=True, eq=False)
class Operator:
    """A sum of local terms, X = sum_n f_n(t) X_n.

    Build one with [`neurho.local`][], [`neurho.sx`][] and their like, then `+`, `-`, `*` (by a number, a function of
    time or another operator), `@`, `.adjoint()`.
    """

    local_dim: int
    terms: tuple[LocalTerm, ...] = field(repr=False)

    @property
    def support(self) -> tuple[int, ...]:
        """All sites on which some term acts."""
        return tuple(sorted({j for term in self.terms for j in term.sites}))

    def adjoint(self) -> "Operator":
        """The Hermitian conjugate."""
        return Operator(
            self.local_dim,
            tuple(
                LocalTerm(t.sites, t.matrix.conj().T, None if t.coefficient is None else _Conjugate(t.coefficient))
                for t in self.terms
            ),
        )

    def merged(self) -> "Operator":
        """The same operator with all terms of equal support and coefficient added into one matrix; zeros dropped."""
        sums: dict[tuple[tuple[int, ...], Coefficient | None], np.ndarray] = {}
        for term in self.terms:
            key = (term.sites, term.coefficient)
            sums[key] = sums[key] + term.matrix if key in sums else term.matrix
        return Operator(self.local_dim, tuple(LocalTerm(s, m, f) for (s, f), m in sums.items() if np.any(m)))

    def is_hermitian(self, tolerance: float = 1e-12) -> bool:
        """Whether the sum of all terms on each support is Hermitian, to `tolerance` of the largest entry.

        Time-dependent coefficients are evaluated at a few times, so that sp f + sm f* counts as Hermitian.
        """
        scale = max((float(np.max(np.abs(t.matrix))) for t in self.terms), default=1.0)
        moving = any(t.coefficient is not None for t in self.terms)
        for t in (0.0, 0.37, 1.91) if moving else (0.0,):
            fixed = (LocalTerm(u.sites, complex(evaluate(u.coefficient, t)) * u.matrix) for u in self.terms)
            for term in Operator(self.local_dim, tuple(fixed)).merged().terms:
                if not np.allclose(term.matrix, term.matrix.conj().T, rtol=0, atol=tolerance * max(scale, 1e-300)):
                    return False
        return True

    def to_sparse(self, sites: int, t: float = 0.0) -> sparse.csr_array:
        """The full matrix on `sites` sites at time `t`, `(d^sites, d^sites)`; site 0 is the slowest index."""
        total = sparse.csr_array((self.local_dim**sites,) * 2, dtype=complex)
        for term in self.terms:
            require_sites(term.sites, sites)
            scale = 1.0 if term.coefficient is None else complex(term.coefficient(t))
            total = total + scale * _embed_sparse(term, sites, self.local_dim)
        return total

    def __add__(self, other: "Operator | complex") -> "Operator":
        if isinstance(other, Number):
            other = complex(other) * identity(self.local_dim)  # pyright: ignore[reportArgumentType, reportCallIssue]
        if not isinstance(other, Operator):
            return NotImplemented
        _require_same_dim(self, other)
        return Operator(self.local_dim, self.terms + other.terms)

    __radd__ = __add__

    def __neg__(self) -> "Operator":
        return self * -1.0

    def __sub__(self, other: "Operator | complex") -> "Operator":
        return self + (-other)

    def __rsub__(self, other: "Operator | complex") -> "Operator":
        return (-self) + other

    def __mul__(self, other: "Operator | complex | Coefficient") -> "Operator":
        if isinstance(other, Operator):
            return self @ other
        if isinstance(other, Number | np.generic):
            scale = complex(other)  # pyright: ignore[reportArgumentType, reportCallIssue]
            require(np.isfinite(scale), "other", "be a finite number", f"it is {other}")
            return Operator(
                self.local_dim, tuple(LocalTerm(t.sites, scale * t.matrix, t.coefficient) for t in self.terms)
            )
        if callable(other):
            return Operator(
                self.local_dim,
                tuple(LocalTerm(t.sites, t.matrix, _multiply(t.coefficient, other)) for t in self.terms),
            )
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: complex) -> "Operator":
        return self * (1.0 / other)

    def __matmul__(self, other: "Operator") -> "Operator":
        if not isinstance(other, Operator):
            return NotImplemented
        _require_same_dim(self, other)
        terms = []
        for a in self.terms:
            for b in other.terms:
                sites = tuple(sorted(set(a.sites) | set(b.sites)))
                matrix = embed(a, sites, self.local_dim) @ embed(b, sites, self.local_dim)
                terms.append(LocalTerm(sites, matrix, _multiply(a.coefficient, b.coefficient)))
        return Operator(self.local_dim, tuple(terms))


def _require_same_dim(a: Operator, b: Operator) -> None:
    require(a.local_dim == b.local_dim, "other", f"have local dimension {a.local_dim}", f"it has {b.local_dim}")


def local(matrix: Any, sites: int | Sequence[int], *, local_dim: int = 2) -> Operator:
    """An operator from its matrix on a few sites.

    **Arguments**

    - `matrix`: shape `(d^k, d^k)`, any complex entries; the first of `sites` is the slowest index.
    - `sites`: one site or `k` distinct sites, in any order.
    - `local_dim`: d, 2 for spins 1/2.

    **Raises** `NeurhoError` if the matrix does not fit the number of sites.
    """
    places = (
        (sites,) if isinstance(sites, int | np.integer) else tuple(sites) if isinstance(sites, Iterable) else (sites,)
    )
    require(all(isinstance(j, int | np.integer) for j in places), "sites", "be whole numbers", f"it is {sites!r}")
    places = tuple(int(j) for j in places)
    require(local_dim >= 2, "local_dim", "be at least 2", f"it is {local_dim}")
    require(
        len(set(places)) == len(places) and all(j >= 0 for j in places),
        "sites",
        "be distinct and >= 0",
        f"it is {places}",
    )
    array = as_matrix(matrix)
    size = local_dim ** len(places)
    require(
        array.shape == (size, size),
        "matrix",
        f"have shape ({size}, {size}) on {len(places)} site(s) of dimension {local_dim}",
        f"its shape is {array.shape}",
    )
    order = np.argsort(places)
    return Operator(local_dim, (LocalTerm(tuple(sorted(places)), _permute(array, order, local_dim)),))


def _permute(matrix: np.ndarray, order: Sequence[int] | np.ndarray, dim: int) -> np.ndarray:
    """Reorder the tensor factors of a matrix: new factor n is old factor order[n]."""
    k = len(order)
    axes = [*order, *(k + np.asarray(order))]
    return matrix.reshape((dim,) * (2 * k)).transpose(axes).reshape(matrix.shape)


def embed(term: LocalTerm, sites: Sequence[int], dim: int) -> np.ndarray:
    """The matrix of a term on a larger ascending set of sites."""
    if tuple(sites) == term.sites:
        return term.matrix
    rest = [j for j in sites if j not in term.sites]
    full = np.kron(term.matrix, np.eye(dim ** len(rest)))
    return _permute(full, np.argsort([*term.sites, *rest]), dim)


def _embed_sparse(term: LocalTerm, sites: int, dim: int) -> sparse.csr_array:
    """The matrix of a term on all sites, from its non-zeros only."""
    strides = dim ** (sites - 1 - np.array(term.sites, dtype=int))
    k = len(term.sites)
    digits = np.array(list(product(range(dim), repeat=k)), dtype=int).reshape(dim**k, k)
    offsets = digits @ strides
    rest = [dim ** (sites - 1 - j) * np.arange(dim) for j in range(sites) if j not in term.sites]
    base = reduce(lambda a, b: np.add.outer(a, b).ravel(), rest, np.zeros(1, dtype=int))
    rows, columns = np.nonzero(term.matrix)
    values = np.broadcast_to(term.matrix[rows, columns], (len(base), len(rows)))
    index = (base[:, None] + offsets[rows], base[:, None] + offsets[columns])
    size = dim**sites
    return sparse.coo_array((values.ravel(), (index[0].ravel(), index[1].ravel())), shape=(size, size)).tocsr()


PAULI_X = np.array([[0, 1], [1, 0]], dtype=complex)
PAULI_Y = np.array([[0, -1j], [1j, 0]], dtype=complex)
PAULI_Z = np.array([[1, 0], [0, -1]], dtype=complex)
SIGMA_MINUS = np.array([[0, 0], [1, 0]], dtype=complex)


def identity(local_dim: int = 2) -> Operator:
    """The identity."""
    return Operator(local_dim, (LocalTerm((), np.eye(1, dtype=complex)),))


def sx(site: int) -> Operator:
    """Pauli matrix sigma^x on one site (not the spin operator: eigenvalues +-1)."""
    return local(PAULI_X, site)


def sy(site: int) -> Operator:
    """Pauli matrix sigma^y on one site."""
    return local(PAULI_Y, site)


def sz(site: int) -> Operator:
    """Pauli matrix sigma^z on one site; "up" is index 0 with eigenvalue +1."""
    return local(PAULI_Z, site)


def sm(site: int) -> Operator:
    """Lowering operator sigma^- = |down><up|."""
    return local(SIGMA_MINUS, site)


def sp(site: int) -> Operator:
    """Raising operator sigma^+ = |up><down|."""
    return local(SIGMA_MINUS.T, site)


def destroy(site: int, local_dim: int) -> Operator:
    """Boson annihilation operator truncated to `local_dim` levels, a|n> = sqrt(n)|n-1>; index n is the number."""
    return local(np.diag(np.sqrt(np.arange(1, local_dim)), 1), site, local_dim=local_dim)


def spin(site: int, axis: int, local_dim: int) -> Operator:
    """Spin operator S^a (a = 0, 1, 2 for x, y, z) of spin s = (d-1)/2; index 0 is m = +s. S = sigma/2 for d = 2."""
    require(axis in (0, 1, 2), "axis", "be 0, 1 or 2", f"it is {axis}")
    s = (local_dim - 1) / 2
    m = s - np.arange(local_dim)
    raising = np.diag(np.sqrt(s * (s + 1) - m[1:] * (m[1:] + 1)), 1)
    return local([(raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(m)][axis], site, local_dim=local_dim)


def total(operators: Iterable[Operator]) -> Operator:
    """The sum of at least one operator."""
    operators = list(operators)
    require(len(operators) > 0, "operators", "hold at least one operator", "it is empty")
    return reduce(_op.add, operators)


@dataclass(frozen=True, eq=False)
class Jump:
    """A jump operator c with its rate gamma (a number >= 0 or a function of time)."""

    rate: float | Coefficient
    operator: Operator


@dataclass(frozen=True, eq=False)
class Lindbladian:
    """The generator of the Lindblad master equation (hbar = 1), Hartmann & Carleo, PRL 122, 250502, Eq. 1:

        d rho/dt = -i [H, rho] + sum_j gamma_j/2 (2 c_j rho c_j^+ - c_j^+ c_j rho - rho c_j^+ c_j)

    **Arguments**

    - `lattice`: where the sites are.
    - `hamiltonian`: Hermitian; energies in the unit in which rates are given.
    - `jumps`: pairs `(rate, operator)`; each operator acts on a few sites. Rates are numbers >= 0 or functions f(t).

    **Raises** `NeurhoError` for a Hamiltonian that is not Hermitian, a negative rate, a site off the lattice, and for
    terms on too many sites at once (a collective jump operator is not local and has no place here).
    """

    lattice: Lattice
    hamiltonian: Operator
    jumps: tuple[Jump, ...]

    def __init__(
        self, lattice: Lattice, hamiltonian: Operator, jumps: Iterable[tuple[float | Coefficient, Operator] | Jump] = ()
    ) -> None:
        pairs = tuple(_as_jump(j, number) for number, j in enumerate(jumps))
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "hamiltonian", hamiltonian.merged())
        object.__setattr__(self, "jumps", tuple(Jump(j.rate, j.operator.merged()) for j in pairs))
        require(self.hamiltonian.is_hermitian(), "hamiltonian", "be Hermitian", "some term differs from its adjoint")
        for term in self.hamiltonian.terms:
            self._check_support(term.sites, "hamiltonian", "a term of it acts")
        for number, jump in enumerate(self.jumps):
            _require_same_dim(hamiltonian, jump.operator)
            if not callable(jump.rate):
                require_rate(jump.rate, f"jumps[{number}].rate")
                require(np.ndim(jump.rate) == 0, f"jumps[{number}].rate", "be one number", f"it is {jump.rate}")
            self._check_support(jump.operator.support, f"jumps[{number}]", "it acts collectively")

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.lattice.sites

    @property
    def local_dim(self) -> int:
        """Dimension d of one site."""
        return self.hamiltonian.local_dim

    @property
    def is_time_dependent(self) -> bool:
        """Whether any coefficient or rate is a function of time."""
        operators = [self.hamiltonian, *(j.operator for j in self.jumps)]
        return any(callable(j.rate) for j in self.jumps) or any(t.coefficient for o in operators for t in o.terms)

    def _check_support(self, sites: tuple[int, ...], name: str, acts: str) -> None:
        require_sites(sites, self.sites, f"sites of {name}")
        most = int(np.log(MAX_LABELS + 0.5) / np.log(self.local_dim**2))
        require(
            len(sites) <= most,
            name,
            f"be local, acting on at most {most} sites at once (sums of local terms are fine; give one jump per site)",
            f"{acts} on {len(sites)} sites",
        )


def _as_jump(jump: Any, number: int) -> Jump:
    if not isinstance(jump, Jump) and not (isinstance(jump, Sequence) and len(jump) == 2):
        raise NeurhoError(f"Argument `jumps[{number}]` must be a pair (rate, operator), but it is {jump!r}.")
    rate, operator = (jump.rate, jump.operator) if isinstance(jump, Jump) else jump
    require(
        isinstance(operator, Operator),
        f"jumps[{number}]",
        "have an Operator as its second entry",
        f"it is {operator!r}",
    )
    return Jump(rate, operator)


def evaluate(coefficient: float | Callable[[Any], Any] | None, t: Any) -> Any:
    """The value at time t of a coefficient that may be absent (1), a number or a function."""
    if coefficient is None:
        return 1.0
    return coefficient(t) if callable(coefficient) else coefficient


__all__ = [
    "Jump",
    "Lindbladian",
    "LocalTerm",
    "NeurhoError",
    "Operator",
    "destroy",
    "embed",
    "evaluate",
    "identity",
    "local",
    "sm",
    "sp",
    "spin",
    "sx",
    "sy",
    "sz",
    "total",
]
