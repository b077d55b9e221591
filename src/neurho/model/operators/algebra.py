"""Operators as sums of local terms."""

import itertools
import operator as _op
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from numbers import Number

import numpy as np
import scipy.sparse as sparse

from neurho._types import Coefficient, Numbers, as_matrix, require, require_sites
from neurho.model.operators.coefficients import Conjugate, product, require_function, value_at
from neurho.model.operators.hermitian import broken, conditions_of
from neurho.model.operators.printing import as_text


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

    ```python
    import numpy as np
    import neurho

    hop = neurho.sp(0) @ neurho.sm(1)
    energy = 0.5 * (hop + hop.adjoint()) * np.cos  # times cos t
    assert energy.is_hermitian() and energy.support == (0, 1)
    ```
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
                LocalTerm(t.sites, t.matrix.conj().T, None if t.coefficient is None else Conjugate(t.coefficient))
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
        """Whether the sum of all terms on each support is Hermitian at all times, to `tolerance` of the largest entry.

        f(t) A with a real f needs a Hermitian A; f(t) A + f(t)^* A^+ is Hermitian for any f, where f^* can be told from
        f: by `adjoint`, as text, or as a function with values conjugate to those of another.
        """
        return not self.asymmetry(tolerance)

    def asymmetry(self, tolerance: float = 1e-12) -> str:
        """Where the operator differs from its adjoint, in words, or ""."""
        return broken(conditions_of(self.terms, tolerance))

    def to_sparse(self, sites: int, t: float = 0.0) -> sparse.csr_array:
        """The full matrix on `sites` sites at time `t`, `(d^sites, d^sites)`; site 0 is the slowest index."""
        size, parts = self.local_dim**sites, []
        for term in self.terms:
            require_sites(term.sites, sites)
            scale = value_at(term.coefficient, t, "operator")
            rows, columns, values = _entries(term, sites, self.local_dim)
            parts.append((rows, columns, scale * values))
        rows, columns, values = (np.concatenate(p) for p in zip(*parts, strict=True)) if parts else ((), (), ())
        return sparse.coo_array((values, (rows, columns)), shape=(size, size), dtype=complex).tocsr()

    def __repr__(self) -> str:
        return as_text(self.terms, self.local_dim)

    # NumPy's numbers and arrays leave products with operators to the methods below.
    __array_ufunc__ = None

    def __add__(self, other: "Operator | complex") -> "Operator":
        if not isinstance(other, Operator):
            if not _is_number(other):
                return NotImplemented
            other = identity(self.local_dim) * complex(other)
        require_same_dim(self, other)
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
        if _is_number(other):
            scale = complex(other)  # pyright: ignore[reportArgumentType, reportCallIssue]
            require(np.isfinite(scale), "other", "be a finite number", f"it is {other}")
            return Operator(
                self.local_dim, tuple(LocalTerm(t.sites, scale * t.matrix, t.coefficient) for t in self.terms)
            )
        if callable(other):
            require_function(other, "coefficient")
            return Operator(
                self.local_dim,
                tuple(LocalTerm(t.sites, t.matrix, product(t.coefficient, other)) for t in self.terms),
            )
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: complex) -> "Operator":
        if not _is_number(other):
            return NotImplemented
        require(other != 0, "other", "not be zero", "an operator is divided by it")
        return self * (1.0 / complex(other))

    def __pow__(self, power: int) -> "Operator":
        """The product of `power` factors, a whole number >= 0."""
        whole = isinstance(power, int | np.integer) and power >= 0
        require(whole, "power", "be a whole number >= 0", f"it is {power!r}"[:80])
        return reduce(lambda a, b: (a @ b).merged(), [self] * int(power), identity(self.local_dim))

    def __matmul__(self, other: "Operator") -> "Operator":
        if not isinstance(other, Operator):
            return NotImplemented
        require_same_dim(self, other)
        terms = []
        for a in self.terms:
            for b in other.terms:
                sites = tuple(sorted(set(a.sites) | set(b.sites)))
                matrix = embed(a, sites, self.local_dim) @ embed(b, sites, self.local_dim)
                terms.append(LocalTerm(sites, matrix, product(a.coefficient, b.coefficient)))
        return Operator(self.local_dim, tuple(terms))


def _is_number(value: object) -> bool:
    """Whether a value is one number: Python's, NumPy's, JAX's."""
    if isinstance(value, Number):
        return True
    return hasattr(value, "__array__") and (array := np.asarray(value)).ndim == 0 and array.dtype.kind in "biufc"


def require_same_dim(a: Operator, b: Operator) -> None:
    """Check that two operators act on sites of the same dimension."""
    require(a.local_dim == b.local_dim, "other", f"have local dimension {a.local_dim}", f"it has {b.local_dim}")


def local(matrix: Numbers, sites: int | Sequence[int] | np.ndarray, *, local_dim: int = 2) -> Operator:
    """An operator from its matrix on a few sites.

    ```python
    import numpy as np
    import neurho

    projector = neurho.local(np.diag([1, 0, 0]), 1, local_dim=3)
    assert projector.support == (1,) and projector.local_dim == 3
    ```

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


def _entries(term: LocalTerm, sites: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of the matrix of a term on all sites, from its non-zeros only."""
    strides = dim ** (sites - 1 - np.array(term.sites, dtype=int))
    k = len(term.sites)
    digits = np.array(list(itertools.product(range(dim), repeat=k)), dtype=int).reshape(dim**k, k)
    offsets = digits @ strides
    rest = [dim ** (sites - 1 - j) * np.arange(dim) for j in range(sites) if j not in term.sites]
    base = reduce(lambda a, b: np.add.outer(a, b).ravel(), rest, np.zeros(1, dtype=int))
    rows, columns = np.nonzero(term.matrix)
    values = np.broadcast_to(term.matrix[rows, columns], (len(base), len(rows)))
    index = (base[:, None] + offsets[rows], base[:, None] + offsets[columns])
    return index[0].ravel(), index[1].ravel(), values.ravel()


def identity(local_dim: int = 2) -> Operator:
    """The identity.

    ```python
    import neurho

    assert (2 - neurho.identity()).to_sparse(2).trace() == 4
    ```
    """
    return Operator(local_dim, (LocalTerm((), np.eye(1, dtype=complex)),))


def total(operators: Iterable[Operator]) -> Operator:
    """The sum of at least one operator.

    ```python
    import neurho

    magnetisation = neurho.total(neurho.sz(j) for j in range(3))
    assert magnetisation.support == (0, 1, 2)
    ```
    """
    operators = list(operators)
    require(len(operators) > 0, "operators", "hold at least one operator", "it is empty")
    return reduce(_op.add, operators)
