"""States that are no products as starts: what another run knows, as moments of the strings that a hierarchy keeps.

With moments c' about a product state of means m, those about another one of means m' are

    c''_P = <prod_{j in P} (B_{p_j} - m'_j)> = sum over T in P of c'_T prod_{j in P without T} (m_j - m'_j)
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from neurho.correlators.basis import to_correlators
from neurho.correlators.equations import StringTerms, invariant_moves, sector_signs
from neurho.correlators.hierarchy import Hierarchy
from neurho.correlators.networks.base import AbstractStringNetwork, string_values
from neurho.correlators.solving import Moments
from neurho.correlators.strings import IDENTITY, Strings, Symmetry, from_dense, joined

AT_ONCE = 2**22
"""Parts of strings that are looked up at once."""

SAME = 1e-7
"""Difference of correlators below which a density matrix counts as symmetric: what exact methods leave."""


class Kept(NamedTuple):
    """Moments c' about `means` `(sites, letters)` (0 for the identity) of the strings that a run kept.

    All strings of at most `full` sites are among them, one for each orbit; those that are not there are zero.
    """

    symmetry: Symmetry
    keys: np.ndarray
    c: np.ndarray
    means: Float[np.ndarray, "sites letters"]
    full: int

    def values(self, strings: Strings) -> np.ndarray:
        """The moments of some strings."""
        wanted = self.symmetry.keys(strings)
        slot = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[slot] == wanted, self.c[slot], 0.0)

    def has_move(self, move: np.ndarray) -> bool:
        """Whether a permutation of sites is known to leave the state as it is."""
        return bool(np.any(np.all(self.symmetry.moves == move, axis=1)))

    def has_signs(self, signs: np.ndarray) -> bool:
        """Whether strings that are odd are known to vanish."""
        return bool(np.any(np.all(self.symmetry.signs == signs, axis=1)))


class Dense(NamedTuple):
    """All c_P of a small system, `(d^2,) * sites`."""

    table: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Those about which moments are taken: zero."""
        return np.zeros((self.table.ndim, self.table.shape[0]))

    @property
    def full(self) -> int:
        """All strings are there."""
        return self.table.ndim

    def values(self, strings: Strings) -> np.ndarray:
        """The means of some strings."""
        return self.table[tuple(strings.dense(self.full).T)]

    def has_move(self, move: np.ndarray) -> bool:
        """Whether a permutation of sites leaves the state as it is."""
        return bool(np.allclose(self.table.transpose(move), self.table, rtol=0, atol=SAME))

    def has_signs(self, signs: np.ndarray) -> bool:
        """Whether strings that are odd vanish."""
        odd = sum(signs.reshape([-1 if k == j else 1 for k in range(self.full)]) for j in range(self.full)) % 2
        return bool(np.max(np.abs(self.table * odd)) < SAME)


class OfNetwork(NamedTuple):
    """What a network of correlators says: it has a value for every string."""

    network: AbstractStringNetwork
    symmetry: Symmetry

    @property
    def means(self) -> np.ndarray:
        """Those about which moments are taken: zero."""
        return np.zeros((self.symmetry.sites, self.symmetry.letters))

    @property
    def full(self) -> int:
        """All strings have a value."""
        return self.symmetry.sites

    def values(self, strings: Strings) -> np.ndarray:
        """The means of some strings."""
        found = string_values(self.network, self.symmetry.canonical(strings))
        return np.where(self.symmetry.holds(strings), found, 0.0)

    def has_move(self, move: np.ndarray) -> bool:
        """Whether a permutation of sites is known to leave the state as it is."""
        return bool(np.any(np.all(self.symmetry.moves == move, axis=1)))

    def has_signs(self, signs: np.ndarray) -> bool:
        """Whether strings that are odd are known to vanish."""
        return bool(np.any(np.all(self.symmetry.signs == signs, axis=1)))


Known: TypeAlias = Kept | Dense | OfNetwork
"""What is known of a state."""


def kept(symmetry: Symmetry, parts: Sequence[Strings], c: np.ndarray, means: np.ndarray, full: int) -> Kept:
    """The moments `c` of a hierarchy of `parts` (the identity first) as a start."""
    strings = joined([IDENTITY, *parts])
    keys = symmetry.keys(strings)
    order = np.argsort(keys)
    return Kept(symmetry=symmetry, keys=keys[order], c=c[order], means=means, full=full)


def dense(rho: np.ndarray, sites: int) -> Dense:
    """A density matrix as a start."""
    return Dense(to_correlators(rho, sites))


def shared_symmetry(terms: StringTerms, moves: np.ndarray, dim: int, known: Known) -> Symmetry:
    """What both the Lindbladian and a state have."""
    both = [move for move in invariant_moves(terms, moves) if known.has_move(move)]
    signs = [row for row in sector_signs(terms, dim) if known.has_signs(row)]
    return Symmetry(np.array(both), terms.letters, np.array(signs, dtype=int).reshape(-1, terms.letters))


def moments_about(known: Known, strings: Strings, means: np.ndarray | None) -> np.ndarray:
    """Moments of any strings about the product state of `means`, `(sites, letters)`; None is zero."""
    shift = known.means if means is None else known.means - means
    if not np.any(shift):
        return known.values(strings)
    values = np.empty(strings.size)
    for weight in np.unique(strings.weights):
        rows = np.flatnonzero(strings.weights == weight)
        for chunk in np.array_split(rows, -(-len(rows) * 2**weight // AT_ONCE)):
            values[chunk] = _shifted(known, strings.sites[chunk, :weight], strings.letters[chunk, :weight], shift)
    return values


def _shifted(known: Known, sites: np.ndarray, word: np.ndarray, shift: np.ndarray) -> np.ndarray:
    count, weight = sites.shape
    terms = np.empty((count, 2**weight))
    for mask in range(2**weight):
        inside = [j for j in range(weight) if mask >> j & 1]
        terms[:, mask] = known.values(Strings(sites[:, inside], word[:, inside]))
    for slot in range(weight - 1, -1, -1):  # bit `slot` says whether the letter is in the part
        terms = terms.reshape(count, 2, -1)
        terms = terms[:, 1] + shift[sites[:, slot], word[:, slot], None] * terms[:, 0]
    return terms.reshape(count)


def site_means(known: Known) -> Float[np.ndarray, "sites letters"]:
    """One-site means of a state that is known, 1 for the identity."""
    shape = known.means.shape
    sites, letters = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    one = Strings(np.where(letters > 0, sites, 0)[:, None].astype(np.int32), letters[:, None].astype(np.int8))
    return moments_about(known, one, None).reshape(shape)


def begin(hierarchy: Hierarchy, known: Known, *, central: bool) -> Moments:
    """The moments of a hierarchy in a state that is known, about zero or about the means of that state."""
    shape = hierarchy.singles.shape
    if not central:
        c = moments_about(known, hierarchy.strings, None)
        return Moments(c=c, means=np.zeros(shape), central=False)
    means = site_means(known)
    means[:, 0] = 0.0
    return Moments(c=moments_about(known, hierarchy.strings, means), means=means, central=True)


def purity(known: Kept, strings: Strings, dim: int) -> float:
    """Tr rho^2 = d^-N sum_P c_P^2, from one string of each orbit, all of them; without some a lower bound."""
    c = moments_about(known, strings, None)
    return float(known.symmetry.orbits(strings) @ c**2 / dim**known.symmetry.sites)


def all_values(known: Known) -> np.ndarray:
    """All c_P of a small system, `(d^2,) * sites`; zero where they are not known."""
    sites, letters = known.means.shape
    table = np.empty(letters**sites)
    for numbers in np.array_split(np.arange(len(table)), -(-len(table) * sites // AT_ONCE)):
        digits = np.stack(np.unravel_index(numbers, (letters,) * sites), axis=1).astype(np.int8)
        table[numbers] = moments_about(known, from_dense(digits), None)
    return table.reshape((letters,) * sites)
