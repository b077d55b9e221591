"""A Lindbladian as a sum of real matrices on one to three places of a line, at any time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from neurho._types import NeurhoError
from neurho.matrix_product.basis import ODD, commutator, dissipator, parities
from neurho.matrix_product.places import FARTHEST, INSTEAD, line, positions
from neurho.model.operators import Jump, Lindbladian, LocalTerm, embed, evaluate, rate_at, value_at

_Part: TypeAlias = Callable[[float], np.ndarray]
MOST = 3
"""Sites on which a term may act."""
WORDS = {2: "two", 3: "three"}
LEVELS_OF_THREE = 3
"""Levels of a site up to which terms may act on three: matrices of d^6 rows are exponentiated."""


@dataclass(frozen=True, eq=False)
class LocalGenerator:
    """The part of L on the places `sites` of the line, `(d^2k, d^2k)`: a constant and parts that depend on time."""

    sites: tuple[int, ...]
    constant: np.ndarray
    moving: tuple[_Part, ...] = ()

    def at(self, t: float) -> np.ndarray:
        """The real matrix at time t."""
        total = self.constant
        for part in self.moving:
            total = total + part(t)
        return np.real(total)


@dataclass(frozen=True, eq=False)
class LineGenerator:
    """L = sum of local parts on a line of `sites` places of dimension `dim`; `order[p]` is the site at place p."""

    model: Lindbladian = field(repr=False)
    order: np.ndarray
    parts: tuple[LocalGenerator, ...] = field(repr=False)

    @property
    def dim(self) -> int:
        """Levels of a site."""
        return self.model.local_dim

    @property
    def sites(self) -> int:
        """Places on the line."""
        return len(self.order)

    @property
    def moving(self) -> bool:
        """Whether anything depends on time."""
        return any(part.moving for part in self.parts)

    def keeps_parity(self, times: tuple[float, ...] = (0.0, 0.37, 1.91)) -> bool:
        """Whether no part connects matrices of different parity."""
        odd = parities(self.dim)
        for part in self.parts:
            labels = np.indices((self.dim**2,) * len(part.sites)).reshape(len(part.sites), -1)
            parity = odd[labels].sum(axis=0) % (ODD + 1)
            breaking = parity[:, None] != parity[None]
            for t in times if part.moving else (0.0,):
                matrix = part.at(t)
                if np.any(np.abs(matrix[breaking]) > 1e-14 * max(1.0, np.abs(matrix).max())):
                    return False
        return True


def line_generator(model: Lindbladian) -> LineGenerator:
    """The Lindbladian on the line of its lattice.

    **Raises** `NeurhoError` where the lattice is no open chain or narrow strip, for terms on more than three sites
    (two, where sites have more than three levels), and for terms between sites too far from each other along the line.
    """
    order = line(model.lattice)
    place, dim = positions(order), model.local_dim
    constants: dict[tuple[int, ...], list[np.ndarray]] = {}
    moving: dict[tuple[int, ...], list[_Part]] = {}
    for term in model.hamiltonian.terms:
        sites, matrix = _placed(term, term.sites, place, dim)
        superoperator = commutator(matrix, dim, _near(sites, order, dim))
        if term.coefficient is None:
            constants.setdefault(sites, []).append(superoperator)
        else:
            moving.setdefault(sites, []).append(_times(term.coefficient, superoperator, model.hermitian_at))
    for number, jump in enumerate(model.jumps):
        sites = tuple(sorted(int(place[j]) for j in jump.operator.support))
        _near(sites, order, dim)
        rate = partial(rate_at, jump.rate, name=f"jumps[{number}].rate")
        part = _dissipation(jump, place, dim)
        if not isinstance(part, np.ndarray):
            moving.setdefault(sites, []).append(lambda t, r=rate, p=part: r(t) * p(t))
        elif callable(jump.rate):
            moving.setdefault(sites, []).append(_times(rate, part))
        else:
            constants.setdefault(sites, []).append(rate(0.0) * part)
    parts = []
    for sites in sorted({*constants, *moving} - {()}):
        zero = np.zeros((dim ** (2 * len(sites)),) * 2)
        parts.append(LocalGenerator(sites, zero + sum(constants.get(sites, [])), tuple(moving.get(sites, ()))))
    return LineGenerator(model=model, order=order, parts=tuple(parts))


def _placed(term: LocalTerm, sites: tuple[int, ...], place: np.ndarray, dim: int) -> tuple[tuple[int, ...], np.ndarray]:
    """Places (ascending) and matrix of a term, or of its extension to more sites."""
    here = LocalTerm(tuple(int(place[j]) for j in term.sites), term.matrix)
    ordered = tuple(sorted(int(place[j]) for j in sites))
    return ordered, embed(here, ordered, dim) if here.sites != ordered else term.matrix


def _jump_matrix(jump: Jump, t: float, place: np.ndarray, dim: int) -> np.ndarray:
    support = jump.operator.support
    return np.sum(
        [evaluate(term.coefficient, t) * _placed(term, support, place, dim)[1] for term in jump.operator.terms], axis=0
    )


def _times(function: Callable[[float], Any], matrix: np.ndarray, check: Callable[[float], None] | None = None) -> _Part:
    def at(t: float) -> np.ndarray:
        if check is not None:
            check(t)
        return value_at(function, t) * matrix

    return at


def _dissipation(jump: Jump, place: np.ndarray, dim: int) -> np.ndarray | _Part:
    """The dissipator of a jump at rate 1: a matrix, or a function of time."""
    support = jump.operator.support

    def at(t: float) -> np.ndarray:
        terms = jump.operator.terms
        matrices = [evaluate(term.coefficient, t) * _placed(term, support, place, dim)[1] for term in terms]
        return dissipator(np.sum(matrices, axis=0), dim, len(support))

    return at if any(term.coefficient is not None for term in jump.operator.terms) else at(0.0)


def _near(sites: tuple[int, ...], order: np.ndarray, dim: int) -> int:
    """The number of places on which a term acts, unless they are too many or too far from each other."""
    names = tuple(int(order[p]) for p in sites)
    most = MOST if dim <= LEVELS_OF_THREE else MOST - 1
    if len(sites) > most:
        which = "" if most == MOST else f" of {dim} levels"
        raise NeurhoError(
            f"A matrix product needs terms on at most {WORDS[most]} sites{which}, but one acts on sites {names}; "
            f"correlators take it on any chain, {INSTEAD}."
        )
    reach = max(sites, default=0) - min(sites, default=0)
    if reach > FARTHEST:
        raise NeurhoError(
            f"A matrix product needs terms of short range, at most {FARTHEST} places along the line, but one connects "
            f"sites {names}, {reach} places apart; {INSTEAD}."
        )
    return len(sites)
