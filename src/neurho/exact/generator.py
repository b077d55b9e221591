"""The Lindbladian applied to a dense density matrix, without ever making a superoperator of a large one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sparse

from neurho._types import Coefficient
from neurho.exact.density import require_shape
from neurho.exact.jumps import (
    BlockMoves,
    Parts,
    Weighted,
    active,
    block_moves,
    by_coefficient,
    loss,
    moves_itself,
    on_support,
)
from neurho.exact.tables import compact, superoperator, turned, unpacking
from neurho.model.operators import Lindbladian, Operator, evaluate, rate_at, value_at

LARGEST_TABLE = 2**10
"""Rows of rho up to which all entries that jumps move stand in one sparse table; above, jumps move blocks of rho."""
SMALLEST = 2**5
"""Rows of rho up to which all that is constant in L is one sparse table."""
LARGEST_SUPPORT = 2**5
"""Rows of a jump on its own sites up to which it moves blocks of rho, and its dissipator is diagonalised for bounds."""


@dataclass(frozen=True, eq=False)
class Generator:
    """L, or a part of it, i K = `real` + i `imag` with real matrices:

        L rho = K rho + (K rho)^+ + T rho + shift rho + block moves + sum_j gamma_j c_j rho c_j^+

    `table` is a sparse matrix T that acts on rho as a vector: it holds the entries that jumps move and all that is
    diagonal, also in K.
    """

    real: sparse.csr_array | None = None
    imag: sparse.csr_array | None = None
    table: sparse.csr_array | None = None
    shift: float = 0.0
    moves: tuple[BlockMoves, ...] = ()
    products: tuple[tuple[float, sparse.csr_array], ...] = ()

    def apply(self, rho: np.ndarray) -> np.ndarray:
        """L rho for a Hermitian rho, of which K rho + (K rho)^+ needs one product."""
        return applied([(self, np.ascontiguousarray(rho, dtype=complex))])

    @property
    def is_table(self) -> bool:
        """Whether the table is all of it."""
        return self.real is None and self.imag is None and not (self.shift or self.moves or self.products)

    @cached_property
    def bound(self) -> float:
        """An upper bound of the norm of L, from sums of rows and columns."""
        matrices = [matrix for matrix in (self.real, self.imag) if matrix is not None]
        total = 2 * sum(_norm_bound(matrix) for matrix in matrices) + abs(self.shift)
        total += 0.0 if self.table is None else _norm_bound(self.table)
        total += sum(abs(rate) * _norm_bound(jump) ** 2 for rate, jump in self.products)
        return total + sum(abs(factor) for _, moves in self.moves for *_, factor in moves)

    def scaled(self, shift: float, scale: float, dimension: int) -> "Generator":
        """(L - shift)/scale of a constant generator."""
        unit, table = -shift / scale, self.table
        if dimension <= LARGEST_TABLE:
            moved = unit * _identity(dimension**2)
            table, unit = sparse.csr_array(moved if table is None else table / scale + moved), 0.0
        return replace(
            self,
            real=None if self.real is None else self.real / scale,
            imag=None if self.imag is None else self.imag / scale,
            moves=tuple(m._replace(moves=tuple((*ends, f / scale) for *ends, f in m.moves)) for m in self.moves),
            products=tuple((rate / scale, jump) for rate, jump in self.products),
            table=table,
            shift=unit,
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
        apply = self.at(t)
        out = apply((rho + rho.conj().T) / 2)
        rest = (rho - rho.conj().T) / 2j
        return out + 1j * apply(rest) if np.any(rest) else out

    def at(self, t: float) -> Callable[[np.ndarray], np.ndarray]:
        """The map rho -> L rho at time t, of Hermitian matrices."""
        weights = self.weights(t)

        def apply(rho: np.ndarray) -> np.ndarray:
            rho = np.ascontiguousarray(rho, dtype=complex)
            moving = [(self.channel(k), weight * rho) for k, weight in enumerate(weights) if weight]
            return applied([(self.constant, rho), *moving])

        return apply

    def weights(self, t: float) -> np.ndarray:
        """The real numbers g_n(t) of L = `constant` + sum_n g_n(t) `channel(n)`; every function is asked once.

        **Raises** `NeurhoError` for coefficients that are not finite, rates that are negative, and a Hamiltonian that
        is not Hermitian.
        """
        drives = [value_at(f, t, "hamiltonian") for f in self._drives]
        if (check := self.lindbladian.hermitian_at) is not None:
            check(t, dict(zip(self._drives, drives, strict=True)))
        found = [part for f in drives for part in (f.real, f.imag)]
        found += [self._rate(number, t) for number in self._driven_jumps]
        for number, parts in self._moving_jumps.items():
            values = np.array([value_at(f, t, f"jumps[{number}]") for f, _ in parts])
            found += _weights_of_pairs(self._rate(number, t) * np.outer(values, values.conj()))
        return np.array(found)

    @property
    def count(self) -> int:
        """How many real numbers `weights` gives."""
        return 2 * len(self._drives) + len(self._dissipators)

    def channel(self, number: int) -> Generator:
        """What a real function of time multiplies: -i [X, .] and {X, .} for Re f and Im f of f(t) X in the Hamiltonian,
        then sums of dissipators that share a rate, and dissipators that make up jumps c(t) = sum_a f_a(t) c_a.
        """
        if number not in self._channels:
            sites, drives = self.lindbladian.sites, list(self._drives.values())
            if number < 2 * len(drives):
                matrix = drives[number // 2].to_sparse(sites)
                found = self._generator(1j * matrix if number % 2 else matrix, [])
            else:
                jumps = [(1.0, c, c.to_sparse(sites)) for c in self._dissipators[number - 2 * len(drives)]]
                found = self._generator(-1j * loss(jumps, self.dimension), jumps)
            self._channels[number] = found
        return self._channels[number]

    def joined(self, channels: tuple[int, ...]) -> sparse.csr_array | None:
        """`constant` and some channels side by side, as one table of real numbers that acts on `packed` matrices; None
        unless each of them is a table.
        """
        if channels not in self._joined:
            parts = [self.constant, *(self.channel(k) for k in channels)]
            tables = [part.table for part in parts if part.table is not None and part.is_table]
            found = None
            if len(tables) == len(parts):
                unpack = unpacking(self.dimension)
                found = sparse.csr_array(sparse.hstack([(t @ unpack) for t in tables], format="csr"))
                found = compact(sparse.csr_array((unpack.conj().T @ found).real))
            self._joined[channels] = found
        return self._joined[channels]

    @cached_property
    def _channels(self) -> dict[int, Generator]:
        return {}

    @cached_property
    def _joined(self) -> dict[tuple[int, ...], sparse.csr_array | None]:
        return {}

    @cached_property
    def _dissipators(self) -> list[list[Operator]]:
        groups = list(self._driven_jumps.values())
        for parts in self._moving_jumps.values():
            single = [part for _, part in parts]
            pairs = [(a, b) for n, a in enumerate(single) for b in single[n + 1 :]]
            groups += [[c] for c in (*single, *(c for a, b in pairs for c in (a + b, a + 1j * b)))]
        return groups

    def _rate(self, number: int, t: float) -> float:
        return rate_at(self.lindbladian.jumps[number].rate, t, f"jumps[{number}].rate")

    @cached_property
    def effective(self) -> sparse.csr_array:
        """K = -i H - 1/2 sum_j gamma_j c_j^+ c_j, as far as it does not depend on time."""
        model = self.lindbladian
        fixed = Operator(model.local_dim, tuple(h for h in model.hamiltonian.terms if h.coefficient is None))
        return (-1j * fixed.to_sparse(model.sites) - loss(self._full, self.dimension)).tocsr()

    @cached_property
    def _full(self) -> list[Weighted]:
        """Rates, operators and matrices of the jumps that do not depend on time."""
        model = self.lindbladian
        return [(float(evaluate(j.rate, 0.0)), j.operator, j.operator.to_sparse(model.sites)) for j in active(model)]

    @cached_property
    def _drives(self) -> dict[Coefficient, Operator]:
        """The Hamiltonian as far as it depends on time, by coefficient."""
        model = self.lindbladian
        terms = tuple(h for h in model.hamiltonian.terms if h.coefficient is not None)
        return dict(by_coefficient(Operator(model.local_dim, terms)))  # pyright: ignore[reportReturnType]

    @cached_property
    def _driven_jumps(self) -> dict[int, list[Operator]]:
        """Constant jumps by the rate f(t) that they share, named by the number of the first of them."""
        found: dict[Any, tuple[int, list[Operator]]] = {}
        for number, jump in enumerate(self.lindbladian.jumps):
            if callable(jump.rate) and not moves_itself(jump):
                found.setdefault(jump.rate, (number, []))[1].append(jump.operator)
        return dict(found.values())

    @cached_property
    def _moving_jumps(self) -> dict[int, Parts]:
        """Jumps whose operator depends on time, by their number."""
        jumps = enumerate(self.lindbladian.jumps)
        return {n: by_coefficient(j.operator) for n, j in jumps if moves_itself(j)}

    @cached_property
    def constant(self) -> Generator:
        """All that does not depend on time."""
        return self._generator(1j * self.effective, self._full)

    def _generator(self, coherent: sparse.csr_array, jumps: Sequence[Weighted]) -> Generator:
        """-i (M rho - rho M^+) + sum_j gamma_j c_j rho c_j^+ for a matrix M = i K and some jumps."""
        model, dim, size = self.lindbladian, self.lindbladian.local_dim, self.dimension
        sparse_jumps, moves, products = [], [], []
        for rate, operator, matrix in jumps:
            few = size <= LARGEST_TABLE or dim ** len(operator.support) <= LARGEST_SUPPORT
            if not (few and _is_sparse(matrix.nnz / size)):
                products.append((rate, matrix))
            elif size <= LARGEST_TABLE:
                sparse_jumps.append((rate, matrix, matrix))
            else:
                moves.append(block_moves(rate, on_support(operator), operator.support, model.sites, dim))
        if size > LARGEST_TABLE:
            table, rest = None, coherent
        else:
            whole, unit = -1j * coherent, _identity(size)
            inside = whole if size <= SMALLEST else sparse.diags_array(whole.diagonal(), format="csr")
            table = _or_none(superoperator([(1.0, inside, unit), (1.0, unit, inside), *sparse_jumps], size))
            rest = None if size <= SMALLEST else coherent - 1j * inside
        real, imag = (None, None) if rest is None else (_or_none(rest.real), _or_none(rest.imag))
        return Generator(real=real, imag=imag, table=table, moves=tuple(moves), products=tuple(products))


def applied(parts: Iterable[tuple[Generator, np.ndarray]]) -> np.ndarray:
    """The sum of L_n rho_n for some generators and Hermitian matrices `(D, D)`, complex and contiguous."""
    coherent = half = out = None
    for part, rho in parts:
        pairs = rho.view(float)  # real matrices on pairs (real, imaginary) are half the work of complex ones
        coherent = _plus(coherent, None if part.real is None else part.real @ pairs)
        half = _plus(half, None if part.imag is None else part.imag @ pairs)
        if out is None or part.table is not None:
            out = _plus(
                out, np.zeros_like(rho) if part.table is None else (part.table @ rho.ravel()).reshape(rho.shape)
            )
        assert out is not None
        if part.shift:
            out += part.shift * rho
        for shape, moves in part.moves:
            source, target = rho.reshape(shape), out.reshape(shape)
            for to, origin, factor in moves:
                target[to] += factor * source[origin]
        for rate, jump in part.products:
            out += rate * (jump @ np.ascontiguousarray((jump @ rho).conj().T))
    assert out is not None
    if coherent is not None:
        out += turned(coherent.view(complex))
    if half is not None:
        half = half.view(complex)
        out += half
        out += half.conj().T
    return out


def _plus(total: np.ndarray | None, more: np.ndarray | None) -> np.ndarray | None:
    """A sum in place, of what is there."""
    if total is None or more is None:
        return more if total is None else total
    return np.add(total, more, out=total)


def _or_none(matrix: sparse.csr_array) -> sparse.csr_array | None:
    """A matrix without stored zeros, or None for zero."""
    matrix = sparse.csr_array(matrix)
    matrix.eliminate_zeros()
    return matrix if matrix.nnz else None


def _norm_bound(matrix: sparse.csr_array) -> float:
    """||M||_2 <= (||M||_1 ||M||_inf)^(1/2)."""
    size = abs(matrix)
    return float(np.sqrt(size.sum(axis=0).max() * size.sum(axis=1).max()))


def _weights_of_pairs(w: np.ndarray) -> list[float]:
    """Factors of the dissipators of c_a, c_a + c_b and c_a + i c_b in that of sum_a f_a c_a, for w_ab = f_a f_b^*.

    Both sides are Hermitian forms in the f: the cross terms of c_a + c_b belong to Re w_ab, those of c_a + i c_b to
    -Im w_ab.
    """
    single, pairs = np.real(np.diag(w)).copy(), []
    for a in range(len(w)):
        for b in range(a + 1, len(w)):
            real, imag = float(w[a, b].real), float(w[a, b].imag)
            single[[a, b]] += imag - real
            pairs += [real, -imag]
    return [*single.tolist(), *pairs]


def _identity(size: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.eye_array(size, format="csr"), dtype=complex)


def _is_sparse(count: float) -> bool:
    """Whether c rho c^+ is cheaper entry by entry than as two products, for `count` entries in a row of c."""
    return count**2 <= 2 * count + 2
