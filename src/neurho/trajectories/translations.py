"""The translations that leave a model as it is, their momenta, and the orbits of its jump operators.

A translation g takes site j to g(j), and an operator X to T_g X T_g^+. They commute, so that wave functions have
momenta: T_g psi = chi_k(g) psi, where chi_k are the characters of the group.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian, LocalTerm, Operator, local

ALIKE = 1e-12
"""Matrices are the same if they differ by less than this share of their norm."""


@dataclass(frozen=True, eq=False)
class Translations:
    """A group of translations, the identity first, with its characters.

    - `moves`: `(group, sites)`, row g takes site j to `moves[g, j]`.
    - `phases`: chi_k(g), `(momenta, group)`, the momentum 0 first; there are as many momenta as translations.
    """

    moves: np.ndarray
    phases: np.ndarray

    @property
    def size(self) -> int:
        """Number of translations, and of momenta."""
        return len(self.moves)


def translations_of(model: Lindbladian) -> Translations:
    """All translations of the lattice that leave H and the set of jumps as they are."""
    moves = model.lattice.translations
    rays = rays_of(model)
    kept = [g for g, move in enumerate(moves) if g == 0 or _is_symmetry(model.hamiltonian, rays, move)]
    return Translations(moves=moves[kept], phases=_characters(model.lattice, kept))


def _characters(lattice: Lattice, kept: Sequence[int]) -> np.ndarray:
    """exp(2 pi i sum_a k_a s_a/L_a) of some translations by s; what is the same on them is one character."""
    steps = np.array(np.unravel_index(lattice.translations[kept, 0], lattice.shape))
    period = int(np.lcm.reduce(lattice.shape))
    scaled = steps.T * (period // np.array(lattice.shape))
    numbers = np.array(list(product(*map(range, lattice.shape)))) @ scaled.T % period
    return np.exp(2j * np.pi * np.unique(numbers, axis=0) / period)


class Ray(NamedTuple):
    """An operator up to a factor: its supports, its matrices in a row with norm 1, and gamma times its norm squared."""

    supports: tuple[tuple[int, ...], ...]
    direction: np.ndarray
    strength: float
    operator: Operator


def rays_of(model: Lindbladian) -> list[Ray]:
    """The jumps of a model that does not depend on time; those that differ by a factor are one."""
    found: list[Ray] = []
    for jump in model.jumps:
        supports, row = _row(jump.operator)
        norm = float(np.linalg.norm(row))
        if not norm or not jump.rate:
            continue
        own = Ray(supports, row / norm, float(jump.rate) * norm**2, jump.operator / norm)  # pyright: ignore[reportArgumentType]
        same = _find(found, own)
        if same is None:
            found.append(own)
        else:
            found[same] = found[same]._replace(strength=found[same].strength + own.strength)
    return found


def orbits_of(model: Lindbladian, group: Translations) -> list[Operator]:
    """One jump operator of each orbit under translations, times the square root of rate and number: with it,

        c_k' psi = P_k' c psi

    are the jumps of all momenta k' from psi of one momentum, P_k' the projector on momentum k'. They are
    the jumps of the orbit mixed unitarily, sum_g chi_q(g) T_g c T_g^+ up to a factor, with q = k - k'.
    """
    rays, found = rays_of(model), []
    left = set(range(len(rays)))
    while left:
        first = min(left)
        members = {_find(rays, _moved_ray(rays[first], move)) for move in group.moves}
        left -= members
        found.append(rays[first].operator * np.sqrt(rays[first].strength * len(members)))
    return found


def moved(operator: Operator, move: np.ndarray) -> Operator:
    """T_g X T_g^+."""
    terms: list[LocalTerm] = []
    for term in operator.terms:
        places = [int(move[j]) for j in term.sites]
        (own,) = local(term.matrix, places, local_dim=operator.local_dim).terms if places else (term,)
        terms.append(own)
    return Operator(operator.local_dim, tuple(terms))


def averaged(operator: Operator, group: Translations) -> Operator:
    """The mean of an operator over all translations."""
    terms = [term for move in group.moves for term in moved(operator, move).terms]
    return (Operator(operator.local_dim, tuple(terms)) / group.size).merged()


def distinct(operators: Sequence[Operator], group: Translations) -> tuple[list[Operator], np.ndarray]:
    """Operators averaged over translations, each once, and which of them each operator has become."""
    found: list[Operator] = []
    known: dict[tuple[tuple[tuple[int, ...], ...], bytes], int] = {}
    places = []
    for operator in operators:
        mean = averaged(operator, group)
        supports, row = _row(mean)
        key = supports, (np.round(row, 12) + 0.0).tobytes()
        if key not in known:
            known[key] = len(found)
            found.append(mean)
        places.append(known[key])
    return found, np.array(places)


def is_invariant(factors: np.ndarray, group: Translations) -> bool:
    """Whether a product of density matrices of single sites, `(sites, d, d)`, is the same after every translation."""
    return all(np.allclose(factors[move], factors, atol=ALIKE) for move in group.moves)


def _is_symmetry(hamiltonian: Operator, rays: Sequence[Ray], move: np.ndarray) -> bool:
    """Whether a translation keeps H, and takes every jump to one of the same strength, up to a phase."""
    (supports, row), (others, image) = _row(hamiltonian), _row(moved(hamiltonian, move))
    if supports != others or not _same(row, image):
        return False
    for ray in rays:
        place = _find(rays, _moved_ray(ray, move))
        if place is None or not np.isclose(rays[place].strength, ray.strength, rtol=ALIKE):
            return False
    return True


def _row(operator: Operator) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
    """The supports of all terms in order, and their matrices in a row."""
    terms = sorted(operator.merged().terms, key=lambda term: term.sites)
    parts: Iterable[np.ndarray] = [term.matrix.ravel() for term in terms]
    return tuple(term.sites for term in terms), np.concatenate([np.zeros(0), *parts])


def _moved_ray(ray: Ray, move: np.ndarray) -> Ray:
    supports, row = _row(moved(ray.operator, move))
    return ray._replace(supports=supports, direction=row)


def _find(rays: Sequence[Ray], wanted: Ray) -> int | None:
    """The number of the ray that is the same up to a phase."""
    for number, ray in enumerate(rays):
        if ray.supports == wanted.supports and abs(abs(np.vdot(ray.direction, wanted.direction)) - 1) < ALIKE:
            return number
    return None


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and float(np.linalg.norm(one - other)) <= ALIKE * max(
        1.0, float(np.linalg.norm(one))
    )
