"""The Lindbladian applied to a dense density matrix, without ever making a superoperator of a large one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sparse

from neurho._types import Coefficient
from neurho.exact.density import require_shape
from neurho.exact.tables import Channels, superoperator, turned
from neurho.model.operators import Jump, Lindbladian, LocalTerm, Operator, embed, evaluate, rate_at, value_at

_Block: TypeAlias = tuple[int | slice, ...]
LARGEST_TABLE = 2**10
"""Rows of rho up to which all entries that jumps move stand in one sparse table; above, jumps move blocks of rho."""
SMALLEST = 2**4
"""Rows of rho up to which all that is constant in L is one sparse table."""
LARGEST_SUPPORT = 2**5
"""Rows of a jump on its own sites up to which it moves blocks of rho, and its dissipator is diagonalised for bounds."""


class _Moves(NamedTuple):
    """A jump c rho c^+ as moves of blocks: `shape` splits rows and columns at the sites of c; (to, from, factor)."""

    shape: tuple[int, ...]
    moves: tuple[tuple[_Block, _Block, complex], ...]


class Generator(NamedTuple):
    """L at one time, i K = `real` + i `imag` with real matrices:

        L rho = K rho + (K rho)^+ + sum_n f_n T_n rho + shift rho + block moves + sum_j gamma_j c_j rho c_j^+

    `tables` are pairs (f, T) of sparse matrices that act on rho as a vector: they hold the entries that jumps move and
    all that is diagonal, also in K.
    """

    real: sparse.csr_array | None = None
    imag: sparse.csr_array | None = None
    tables: tuple[tuple[float, sparse.csr_array], ...] = ()
    shift: float = 0.0
    moves: tuple[_Moves, ...] = ()
    products: tuple[tuple[float, sparse.csr_array], ...] = ()

    def apply(self, rho: np.ndarray) -> np.ndarray:
        """L rho for a Hermitian rho, of which K rho + (K rho)^+ needs one product."""
        rho = np.ascontiguousarray(rho, dtype=complex)
        out, flat = self._coherent(rho), rho.ravel()
        for factor, table in self.tables:
            moved = table @ flat
            if factor != 1:
                moved *= factor
            out = moved if out is None else np.add(out, moved, out=out)
        out = np.zeros_like(rho) if out is None else out.reshape(rho.shape)
        if self.shift:
            out += self.shift * rho
        for shape, moves in self.moves:
            source, target = rho.reshape(shape), out.reshape(shape)
            for to, origin, factor in moves:
                target[to] += factor * source[origin]
        for rate, jump in self.products:
            out += rate * (jump @ np.ascontiguousarray((jump @ rho).conj().T))
        return out

    def _coherent(self, rho: np.ndarray) -> np.ndarray | None:
        """K rho + (K rho)^+ as a vector; real matrices on pairs (real, imaginary) are half the work of complex ones."""
        if self.real is None and self.imag is None:
            return None
        pairs = rho.view(float)
        out = np.zeros_like(rho) if self.real is None else turned((self.real @ pairs).view(complex))
        if self.imag is not None:
            half = (self.imag @ pairs).view(complex)
            out += half
            out += half.conj().T
        return out.ravel()

    def scaled(self, shift: float, scale: float, dimension: int) -> "Generator":
        """(L - shift)/scale of a constant generator."""
        unit = -shift / scale
        if dimension <= LARGEST_TABLE:
            parts = [(factor / scale) * table for factor, table in self.tables]
            identity = _identity(dimension**2)
            diagonal: Any = {"tables": ((1.0, sparse.csr_array(sum(parts, unit * identity))),)}
        else:
            diagonal = {"shift": unit}
        return self._replace(
            real=None if self.real is None else self.real / scale,
            imag=None if self.imag is None else self.imag / scale,
            moves=tuple(m._replace(moves=tuple((*ends, f / scale) for *ends, f in m.moves)) for m in self.moves),
            products=tuple((rate / scale, jump) for rate, jump in self.products),
            **diagonal,
        )


@dataclass(frozen=True, eq=False)
class ExactLindbladian:
    """A Lindbladian that acts on density matrices of shape `(D, D)`, D = d^N.

    ```python
    import numpy as np
    import neurho

    decay = neurho.exact.ExactLindbladian(neurho.heisenberg(neurho.chain(1), decay=1.0))
    assert np.allclose(decay.apply(np.diag([1.0, 0.0])), np.diag([-1.0, 1.0]))
    ```

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
        require_shape(rho, self.dimension)
        generator = self.at(t)
        out = generator.apply((rho + rho.conj().T) / 2)
        rest = (rho - rho.conj().T) / 2j
        return out + 1j * generator.apply(rest) if np.any(rest) else out

    def at(self, t: float) -> Generator:
        """The generator with coefficients and rates at time t; what is constant is built once."""
        if not self._moves:
            return self._constant
        drives = [value_at(f, t, "hamiltonian") for f in self._drives]
        if (check := self.lindbladian.hermitian_at) is not None:
            check(t, dict(zip(self._drives, drives, strict=True)))
        if self.dimension <= SMALLEST and not self._moving_jumps:
            return self._small(t, drives)
        rates = [self._rate(number, t) for number in self._driven_jumps]
        moving = [
            (self._rate(number, t), _at_time(parts, t, f"jumps[{number}]"))
            for number, parts in self._moving_jumps.items()
        ]
        real, imag = self._channels.at([1.0, *drives, *rates], -1j * _loss(moving, self.dimension) if moving else None)
        tables = [(r, self._jump_tables[n]) for r, n in zip(rates, self._driven_jumps, strict=True)]
        others = [(r, c) for r, n in zip(rates, self._driven_jumps, strict=True) for c in self._dense_jumps[n]]
        return self._constant._replace(
            real=real,
            imag=imag,
            tables=(*self._constant.tables, *(pair for pair in tables if pair[0] > 0 and pair[1].nnz)),
            products=(*self._constant.products, *(pair for pair in (*others, *moving) if pair[0] > 0)),
        )

    @cached_property
    def _moves(self) -> bool:
        return self.lindbladian.is_time_dependent

    def _small(self, t: float, drives: Sequence[complex]) -> Generator:
        """All as tables, with real factors."""
        factors = [part for f in drives for part in (f.real, f.imag)]
        factors += [self._rate(n, t) for n in self._driven_jumps]
        pairs = zip(factors, self._small_tables, strict=True)
        return self._constant._replace(tables=(*self._constant.tables, *(pair for pair in pairs if pair[0])))

    @cached_property
    def _small_tables(self) -> list[sparse.csr_array]:
        """Two for each drive f X, which has -i f X rho + h.c., and one for each rate that depends on time."""
        unit, size = _identity(self.dimension), self.dimension
        found = []
        for matrix in self._drives.values():
            for phase in (-1j, 1.0):
                found.append(superoperator([(1.0, phase * matrix, unit), (1.0, unit, phase * matrix)], size))
        for jumps in self._driven_jumps.values():
            loss = -_loss([(1.0, c) for c in jumps], size)
            pairs = [(1.0, c, c) for c in jumps] + [(1.0, loss, unit), (1.0, unit, loss)]
            found.append(superoperator(pairs, size))
        return found

    def _rate(self, number: int, t: float) -> float:
        return rate_at(self.lindbladian.jumps[number].rate, t, f"jumps[{number}].rate")

    @cached_property
    def effective(self) -> sparse.csr_array:
        """K = -i H - 1/2 sum_j gamma_j c_j^+ c_j, as far as it does not depend on time."""
        model = self.lindbladian
        fixed = Operator(model.local_dim, tuple(h for h in model.hamiltonian.terms if h.coefficient is None))
        return (-1j * fixed.to_sparse(model.sites) - _loss(self._full, self.dimension)).tocsr()

    @cached_property
    def _full(self) -> list[tuple[float, sparse.csr_array]]:
        """Rates and matrices of the jumps that do not depend on time."""
        model = self.lindbladian
        return [(float(evaluate(j.rate, 0.0)), j.operator.to_sparse(model.sites)) for j in active(model)]

    @cached_property
    def _drives(self) -> dict[Coefficient, sparse.csr_array]:
        """The Hamiltonian as far as it depends on time, by coefficient."""
        model = self.lindbladian
        terms = tuple(h for h in model.hamiltonian.terms if h.coefficient is not None)
        return dict(_by_coefficient(Operator(model.local_dim, terms), model.sites))  # pyright: ignore[reportReturnType]

    @cached_property
    def _driven_jumps(self) -> dict[int, list[sparse.csr_array]]:
        """Matrices of constant jumps by the rate f(t) that they share, named by the number of the first of them."""
        found: dict[Any, tuple[int, list[sparse.csr_array]]] = {}
        for number, jump in enumerate(self.lindbladian.jumps):
            if callable(jump.rate) and not _moves_itself(jump):
                _, matrices = found.setdefault(jump.rate, (number, []))
                matrices.append(jump.operator.to_sparse(self.lindbladian.sites))
        return dict(found.values())

    @cached_property
    def _jump_tables(self) -> dict[int, sparse.csr_array]:
        """The sum of c rho c^+ over the jumps of each rate, as far as that is cheapest entry by entry."""
        pairs = {n: [(1.0, c, c) for c in cs if self._is_table(c)] for n, cs in self._driven_jumps.items()}
        return {n: superoperator(some, self.dimension) for n, some in pairs.items()}

    @cached_property
    def _dense_jumps(self) -> dict[int, list[sparse.csr_array]]:
        """The other ones."""
        return {n: [c for c in cs if not self._is_table(c)] for n, cs in self._driven_jumps.items()}

    def _is_table(self, jump: sparse.csr_array) -> bool:
        return self.dimension <= LARGEST_TABLE and _is_sparse(jump.nnz / self.dimension)

    @cached_property
    def _moving_jumps(self) -> dict[int, "_Parts"]:
        """Jumps whose operator depends on time, by their number."""
        jumps = enumerate(self.lindbladian.jumps)
        return {n: _by_coefficient(j.operator, self.lindbladian.sites) for n, j in jumps if _moves_itself(j)}

    @cached_property
    def _channels(self) -> Channels:
        """I K by coefficient: constant, drives, and losses of jumps with rates that depend on time."""
        losses = [-1j * _loss([(1.0, c) for c in cs], self.dimension) for cs in self._driven_jumps.values()]
        constant = 1j * self.effective
        if self.dimension <= SMALLEST:
            constant = sparse.csr_array(constant.shape, dtype=complex)  # all of it is in a table
        elif self.dimension <= LARGEST_TABLE:
            constant = constant - sparse.diags_array(constant.diagonal())  # the diagonal is
        return Channels.build([constant, *self._drives.values(), *losses], self.dimension)

    @cached_property
    def _constant(self) -> Generator:
        """All that does not depend on time."""
        model, dim, size = self.lindbladian, self.lindbladian.local_dim, self.dimension
        effective, unit = self.effective, _identity(size)
        sparse_jumps, moves, products = [], [], []
        for jump, (rate, matrix) in zip(active(model), self._full, strict=True):
            few = size <= LARGEST_TABLE or dim ** len(jump.operator.support) <= LARGEST_SUPPORT
            if not (few and _is_sparse(matrix.nnz / size)):
                products.append((rate, matrix))
            elif size <= LARGEST_TABLE:
                sparse_jumps.append((rate, matrix, matrix))
            else:
                small = on_support(jump.operator)
                moves.append(_block_moves(rate, small, jump.operator.support, model.sites, dim))
        tables: tuple[tuple[float, sparse.csr_array], ...] = ()
        if size <= LARGEST_TABLE:
            inside = effective if size <= SMALLEST else sparse.diags_array(effective.diagonal(), format="csr")
            pairs = [(1.0, inside, unit), (1.0, unit, inside), *sparse_jumps]
            tables = ((1.0, superoperator(pairs, size)),)
        real = imag = None
        if size > SMALLEST or self._moving_jumps:
            real, imag = self._channels.at([1.0, *[0.0] * (self._channels.count - 1)])
        return Generator(real=real, imag=imag, tables=tables, moves=tuple(moves), products=tuple(products))


def _identity(size: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.eye_array(size, format="csr"), dtype=complex)


_Parts: TypeAlias = tuple[tuple[Coefficient | None, sparse.csr_array], ...]


def _by_coefficient(operator: Operator, sites: int) -> _Parts:
    """The sparse matrix that belongs to each coefficient of an operator; their sum with f(t) is the operator."""
    terms: dict[Coefficient | None, tuple[LocalTerm, ...]] = {}
    for term in operator.terms:
        terms[term.coefficient] = (*terms.get(term.coefficient, ()), LocalTerm(term.sites, term.matrix))
    return tuple((f, Operator(operator.local_dim, part).to_sparse(sites)) for f, part in terms.items())


def _at_time(parts: _Parts, t: float, name: str) -> sparse.csr_array:
    """The operator at time t; `name` says in messages what it is."""
    (first, total), *rest = parts
    total = value_at(first, t, name) * total
    for function, matrix in rest:
        total = total + value_at(function, t, name) * matrix
    return total


def _moves_itself(jump: Jump) -> bool:
    return any(term.coefficient is not None for term in jump.operator.terms)


def _is_moving(jump: Jump) -> bool:
    return callable(jump.rate) or _moves_itself(jump)


def _is_sparse(count: float) -> bool:
    """Whether c rho c^+ is cheaper entry by entry than as two products, for `count` entries in a row of c."""
    return count**2 <= 2 * count + 2


def active(model: Lindbladian) -> list[Jump]:
    """The jumps that do not depend on time and do something."""
    return [j for j in model.jumps if not _is_moving(j) and evaluate(j.rate, 0.0) > 0 and j.operator.terms]


def on_support(operator: Operator) -> np.ndarray:
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
