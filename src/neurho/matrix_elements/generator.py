"""Operators on the labels of a density matrix: connected configurations and their elements.

A configuration x of the density matrix is one label per site, x_j = d l_j + r_j in 0..d^2-1, with row index l_j and
column
index r_j. A linear map on density matrices that is a sum of local terms becomes a few [`Group`][]s: all terms on the
same number of sites with the same number of connected configurations, stacked so that one kernel serves them all.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Int

from neurho._jax.compiling import program
from neurho._jax.scalars import Scalar
from neurho._types import Coefficient, Numbers
from neurho.model.operators import Lindbladian, LocalTerm, Operator, embed, rate_at, require_bounded, value_at
from neurho.model.timescales import Schedule, schedule


class Side(Enum):
    """What a move changes: row indices l only, as the rho -> H rho of a commutator does, columns r only, or both."""

    ROWS = 0
    COLUMNS = 1
    BOTH = 2


class Group(eqx.Module):
    """`instances` local maps on `k` sites each, with `moves` connected configurations; `local` = d^(2k) local labels.

    - `sites`: `(instances, k)`.
    - `labels`: `(instances, local, moves, k)`, the labels x' connected to each local configuration x (x itself
      where a row has fewer moves: its element is 0).
    - `elements`: `(channels, instances, local, moves)`, L[x, x'].
    - `diagonal`: `(channels, instances, local)`, L[x, x].
    - `sides`: how many moves change rows only, columns only, and both; they come in this order.
    """

    sites: Int[Array, "instances k"]
    labels: Int[Array, "instances local moves k"]
    elements: Complex[Array, "channels instances local moves"]
    diagonal: Complex[Array, "channels instances local"]
    sides: tuple[int, ...] = eqx.field(static=True)

    def by_side(self) -> Iterator[tuple[Side, Int[Array, "instances local moves k"]]]:
        """The labels of the moves of every side that has some."""
        start = 0
        for side, count in zip(Side, self.sides, strict=True):
            if count:
                yield side, self.labels[:, :, start : start + count]
            start += count

    def local_index(self, x: Int[Array, " sites"], label_dim: int) -> Int[Array, " instances"]:
        """The local configuration of every instance in configuration `x`."""
        powers = place_values(self.sites.shape[1], label_dim)
        return jnp.sum(x[self.sites] * powers, axis=1)


class LabelMap(eqx.Module):
    """A sum of local linear maps on density matrices, ready for kernels.

    With `channels` > 1 the map is sum_c f_c(t) L_c (time-dependent coefficients), or a list of observables. `check` is
    called with every time at which coefficients are evaluated.

    ```python
    import neurho

    generator = neurho.methods.lindbladian_map(neurho.xyz(neurho.chain(2)))
    assert generator.label_dim == 4 and generator.sites == 2
    ```
    """

    groups: tuple[Group, ...]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    coefficients: tuple[Coefficient | None, ...] = eqx.field(static=True)
    check: Callable[[float], None] | None = eqx.field(static=True, default=None)

    @property
    def label_dim(self) -> int:
        """Number of labels per site, d^2."""
        return self.local_dim**2

    def schedule(self, t0: float, t1: float) -> Schedule:
        """When coefficients change between two times: where integrators stop, and how far they may step.

        **Raises** `NeurhoError` if one of them grows without bound in between.
        """
        return require_bounded(schedule(self.coefficients, t0, t1))

    def at_time(self, t: Scalar) -> "LabelMap":
        """The single-channel map sum_c f_c(t) L_c.

        Coefficients are called with a float, outside of compiled programs: they may be any Python functions, and rates
        that are negative or complex are refused.
        """
        if len(self.coefficients) == 1 and self.coefficients[0] is None:
            return self
        time = float(t)
        if self.check is not None:
            self.check(time)
        values = np.array([1.0 if f is None else f(time) for f in self.coefficients], dtype=complex)
        groups = _weighted(self.groups, jax.device_put(values))
        return LabelMap(groups=groups, sites=self.sites, local_dim=self.local_dim, coefficients=(None,))


@program
def _weighted(groups: tuple[Group, ...], values: Complex[Array, " channels"]) -> tuple[Group, ...]:
    """One channel in place of many, the sum with weights."""
    return tuple(
        Group(
            sites=g.sites,
            labels=g.labels,
            elements=jnp.tensordot(values, g.elements, axes=1)[None],
            diagonal=jnp.tensordot(values, g.diagonal, axes=1)[None],
            sides=g.sides,
        )
        for g in groups
    )


@dataclass(frozen=True, eq=False)
class LabelTerm:
    """One local matrix on labels, `(d^(2k), d^(2k))`, that belongs to a channel."""

    channel: int
    sites: tuple[int, ...]
    matrix: np.ndarray


def superoperator(left: np.ndarray, right: np.ndarray, k: int, dim: int) -> np.ndarray:
    """The matrix on labels of rho -> left rho right for matrices on `k` sites.

    M[(l, r), (l', r')] = left[l, l'] right[r', r], with the row and column index of each site side by side.
    """
    full = np.kron(left, right.T).reshape((dim,) * (4 * k))
    order = [axis for j in range(k) for axis in (j, k + j)]
    return full.transpose([*order, *(2 * k + np.array(order, dtype=int))]).reshape((dim ** (2 * k),) * 2)


def lindbladian_terms(lindbladian: Lindbladian) -> tuple[list[LabelTerm], list[Coefficient | None]]:
    """The local matrices on labels that a Lindbladian is the sum of, and the coefficients of their channels.

    **Raises** `NeurhoError` for terms on too many sites at once.
    """
    lindbladian.require_local()
    dim = lindbladian.local_dim
    channels: dict[_ChannelCoefficient | None, int] = {None: 0}
    terms = []

    def add(sites: tuple[int, ...], matrix: np.ndarray, coefficient: _ChannelCoefficient | None) -> None:
        terms.append(LabelTerm(channels.setdefault(coefficient, len(channels)), sites, matrix))

    for term in lindbladian.hamiltonian.terms:
        if not term.sites:
            continue  # a constant energy commutes with everything
        k, one = len(term.sites), np.eye(len(term.matrix))
        commutator = superoperator(term.matrix, one, k, dim) - superoperator(one, term.matrix, k, dim)
        add(term.sites, -1j * commutator, _channel("hamiltonian", None, term.coefficient, None))
    for number, jump in enumerate(lindbladian.jumps):
        for a, b in product(jump.operator.terms, repeat=2):
            sites, matrix = _dissipator(a, b, dim)
            if not sites:
                continue  # so does the constant part of a jump operator with itself
            rate, function = (1.0, jump.rate) if callable(jump.rate) else (jump.rate, None)
            add(sites, rate * matrix, _channel(f"jumps[{number}]", function, a.coefficient, b.coefficient))
    return terms, list(channels)


def lindbladian_map(lindbladian: Lindbladian) -> LabelMap:
    """The Lindbladian on labels, terms with the same support merged into one matrix (Eq. 1 of PRL 122, 250502).

    ```python
    import neurho

    labels = neurho.methods.lindbladian_map(neurho.xyz(neurho.chain(3)))
    assert (labels.sites, labels.local_dim) == (3, 2)
    ```

    **Raises** `NeurhoError` for terms on too many sites at once: a collective jump operator is not local.
    """
    dim = lindbladian.local_dim
    terms, functions = lindbladian_terms(lindbladian)
    return LabelMap(
        groups=_groups(terms, dim**2, dim, len(functions)),
        sites=lindbladian.sites,
        local_dim=dim,
        coefficients=tuple(functions),
        check=lindbladian.hermitian_at,
    )


def row_groups(operators: Sequence[Operator]) -> tuple[Group, ...]:
    """Left multiplication, rho -> X_c rho, at diagonal configurations; one channel for each operator (Eq. 13).

    `local` counts the d^k levels l of the sites, and the labels of a connected configuration are those of (l', l).
    """
    dim = operators[0].local_dim
    terms = [LabelTerm(c, t.sites, t.matrix) for c, operator in enumerate(operators) for t in operator.merged().terms]
    groups = []
    for g in _groups(terms, dim, 1, len(operators)):
        columns = all_labels(g.sites.shape[1], dim)
        labels = jax.device_put(dim * np.asarray(g.labels) + columns[:, None, :])
        groups.append(Group(sites=g.sites, labels=labels, elements=g.elements, diagonal=g.diagonal, sides=g.sides))
    return tuple(groups)


@dataclass(frozen=True)
class _ChannelCoefficient:
    """The product of a rate, one coefficient and the conjugate of another; `name` says whose they are."""

    rate: Coefficient | None
    left: Coefficient | None
    right: Coefficient | None
    name: str = field(compare=False)

    def __call__(self, t: float) -> complex:
        rate = 1.0 if self.rate is None else rate_at(self.rate, t, f"{self.name}.rate")
        left, right = (value_at(f, t, self.name) for f in (self.left, self.right))
        return rate * left * np.conj(right)

    @property
    def factors(self) -> tuple[Coefficient | None, ...]:
        """What it is made of."""
        return self.rate, self.left, self.right


def _channel(name: str, *factors: Coefficient | None) -> _ChannelCoefficient | None:
    return None if all(f is None for f in factors) else _ChannelCoefficient(*factors, name=name)


def _dissipator(a: LocalTerm, b: LocalTerm, dim: int) -> tuple[tuple[int, ...], np.ndarray]:
    """A rho b^+ - (b^+ a rho + rho b^+ a)/2 on the union of the supports."""
    sites = tuple(sorted(set(a.sites) | set(b.sites)))
    k = len(sites)
    left, right = embed(a, sites, dim), embed(b, sites, dim).conj().T
    one = np.eye(dim**k)
    loss = superoperator(right @ left, one, k, dim) + superoperator(one, right @ left, k, dim)
    return sites, superoperator(left, right, k, dim) - loss / 2


class _Support(NamedTuple):
    """All terms on the same sites: their matrices by channel, and which entries move what, by side."""

    sites: tuple[int, ...]
    matrices: np.ndarray
    patterns: list[np.ndarray]


def _groups(terms: list[LabelTerm], label_dim: int, columns: int, channels: int) -> tuple[Group, ...]:
    """Merge terms by support, then stack supports with equal numbers of sites and moves into groups.

    Labels are `columns` row + column.
    """
    merged: dict[tuple[int, ...], np.ndarray] = {}
    for term in terms:
        size = label_dim ** len(term.sites)
        matrices = merged.setdefault(term.sites, np.zeros((channels, size, size), dtype=complex))
        matrices[term.channel] += term.matrix
    stacks: dict[tuple[int, tuple[int, ...]], list[_Support]] = defaultdict(list)
    for support, matrices in sorted(merged.items()):
        patterns = _patterns(matrices, len(support), label_dim, columns)
        sides = tuple(int(np.max(np.sum(used, axis=1), initial=0)) for used in patterns)
        stacks[len(support), sides].append(_Support(support, matrices, patterns))
    return tuple(_group(stack, sides, label_dim) for (_, sides), stack in sorted(stacks.items()))


def _patterns(matrices: np.ndarray, k: int, label_dim: int, columns: int) -> list[np.ndarray]:
    """Which off-diagonal entries any channel has, for every side."""
    labels = all_labels(k, label_dim)
    row, column = (np.any(part[:, None] != part[None], axis=2) for part in np.divmod(labels, columns))
    used = np.any(matrices != 0, axis=0)
    return [used & row & ~column, used & column & ~row, used & row & column]


def _group(stack: list[_Support], sides: tuple[int, ...], label_dim: int) -> Group:
    k = len(stack[0].sites)
    digits = all_labels(k, label_dim)
    labels, elements, diagonal = [], [], []
    for _, matrices, patterns in stack:
        targets, reals = [], []
        for used, moves in zip(patterns, sides, strict=True):
            # A stable sort of the pattern puts the connected columns first; padding points back to x itself.
            target = np.argsort(~used, axis=1, kind="stable")[:, :moves]
            targets.append(target)
            reals.append(np.take_along_axis(used, target, axis=1))
        target, real = np.concatenate(targets, axis=1), np.concatenate(reals, axis=1)
        target = np.where(real, target, np.arange(len(target))[:, None])
        values = np.take_along_axis(matrices, np.broadcast_to(target, (len(matrices), *target.shape)), axis=2)
        labels.append(digits[target])
        elements.append(np.where(real, values, 0))
        diagonal.append(np.diagonal(matrices, axis1=1, axis2=2))
    return Group(
        sites=jax.device_put(np.array([support.sites for support in stack], dtype=np.int32).reshape(len(stack), k)),
        labels=jax.device_put(np.stack(labels)),
        elements=jax.device_put(np.stack(elements, axis=1)),
        diagonal=jax.device_put(np.stack(diagonal, axis=1)),
        sides=sides,
    )


def all_labels(sites: int, label_dim: int) -> np.ndarray:
    """All configurations, `(label_dim^sites, sites)`, site 0 slowest."""
    return np.array(np.unravel_index(np.arange(label_dim**sites), (label_dim,) * sites), dtype=np.int32).T


def place_values(sites: int, label_dim: int) -> np.ndarray:
    """What a label counts at each site: `x @ place_values` is the place of x among `all_labels`."""
    return label_dim ** np.arange(sites - 1, -1, -1)


@program
def apply(label_map: LabelMap, table: Complex[Array, " configurations"]) -> Complex[Array, "channels configurations"]:
    """The matrix-free product of a map with a table over all configurations (small systems)."""
    dim = label_map.label_dim
    x = jnp.asarray(all_labels(label_map.sites, dim))
    strides = jnp.asarray(place_values(label_map.sites, dim))
    index = x @ strides

    def add(total: Array, instance: tuple[Array, ...]) -> tuple[Array, None]:
        sites, labels, elements, diagonal = instance
        local = x[:, sites] @ jnp.asarray(place_values(len(sites), dim))
        change = jnp.sum((labels[local] - x[:, sites][:, None]) * strides[sites], axis=-1)
        connected = table[index[:, None] + change]
        return total + diagonal[:, local] * table + jnp.sum(elements[:, local] * connected, axis=-1), None

    total = jnp.zeros((len(label_map.coefficients), len(table)), dtype=complex)
    for g in label_map.groups:
        instances = (g.sites, g.labels, jnp.moveaxis(g.elements, 1, 0), jnp.moveaxis(g.diagonal, 1, 0))
        total, _ = jax.lax.scan(add, total, instances)
    return total


def to_dense(label_map: LabelMap) -> np.ndarray:
    """The matrix of a single-channel map over all configurations, label basis; at most 4^6 rows."""
    size = label_map.label_dim**label_map.sites
    return np.stack([np.asarray(apply(label_map, row)[0]) for row in jnp.eye(size, dtype=complex)], axis=1)


def to_matrix(table: Numbers, sites: int, dim: int) -> np.ndarray:
    """A table over configurations as the density matrix `(d^sites, d^sites)` it stands for."""
    order = [*range(0, 2 * sites, 2), *range(1, 2 * sites, 2)]
    return np.asarray(table).reshape((dim,) * (2 * sites)).transpose(order).reshape((dim**sites,) * 2)


def to_table(matrix: Numbers, sites: int, dim: int) -> np.ndarray:
    """The inverse of [`neurho.matrix_elements.generator.to_matrix`][]."""
    order = [axis for j in range(sites) for axis in (j, sites + j)]
    return np.asarray(matrix).reshape((dim,) * (2 * sites)).transpose(order).reshape(-1)
