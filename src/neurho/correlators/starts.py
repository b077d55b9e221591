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

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    found = co.stationary_state(hierarchy, None)
    known = co.kept(symmetry, parts, found.c, found.means, full=3)
    assert abs(co.site_means(known)[0, 3] + 0.59988) < 1e-5  # <Z>
    ```
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
    """All c_P of a small system, `(d^2,) * sites`.

    ```python
    import neurho
    from neurho import correlators as co

    known = co.dense(neurho.exact.product_state("neel", 2), 2)
    assert co.site_means(known)[:, 3].tolist() == [1, -1] and not known.has_move([1, 0])
    ```
    """

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
    """What a network of correlators says: it has a value for every string.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    up = np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    symmetry = co.Symmetry(neurho.chain(2).translations, letters=4)
    known = co.OfNetwork(network, symmetry)
    assert np.allclose(co.site_means(known), up)
    ```
    """

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
    """The moments `c` of a hierarchy of `parts` (the identity first) as a start.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    found = co.stationary_state(hierarchy, None)
    known = neurho.correlators.kept(symmetry, parts, found.c, found.means, full=3)
    exact = neurho.exact.stationary_state(neurho.xyz(ring)).rho
    assert np.allclose(co.all_values(known), co.to_correlators(exact, 3), atol=1e-6)
    ```
    """
    strings = joined([IDENTITY, *parts])
    keys = symmetry.keys(strings)
    order = np.argsort(keys)
    return Kept(symmetry=symmetry, keys=keys[order], c=c[order], means=means, full=full)


def dense(rho: np.ndarray, sites: int) -> Dense:
    """A density matrix as a start.

    ```python
    import neurho
    from neurho import correlators as co

    known = neurho.correlators.dense(neurho.exact.product_state("+x", 2), 2)
    assert abs(known.table[1, 1] - 1) < 1e-12  # <XX>
    ```
    """
    return Dense(to_correlators(rho, sites))


def shared_symmetry(terms: StringTerms, moves: np.ndarray, dim: int, known: Known) -> Symmetry:
    """What both the Lindbladian and a state have.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(4, periodic=True)
    terms = co.string_terms(neurho.xyz(ring))
    neel = co.dense(neurho.exact.product_state("neel", 4), 4)
    shared = neurho.correlators.shared_symmetry(terms, ring.symmetries, 2, neel)
    assert (len(ring.symmetries), len(shared.moves)) == (8, 4)
    ```
    """
    both = [move for move in invariant_moves(terms, moves) if known.has_move(move)]
    signs = [row for row in sector_signs(terms, dim) if known.has_signs(row)]
    return Symmetry(np.array(both), terms.letters, np.array(signs, dtype=int).reshape(-1, terms.letters))


def moments_about(known: Known, strings: Strings, means: np.ndarray | None) -> np.ndarray:
    """Moments of any strings about the product state of `means`, `(sites, letters)`; None is zero.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    known = co.dense(neurho.exact.product_state("up", 2), 2)
    zz = co.measured([neurho.sz(0) @ neurho.sz(1)]).strings
    assert neurho.correlators.moments_about(known, zz, None) == [1]  # <ZZ>
    half = np.tile([0.0, 0.0, 0.0, 0.5], (2, 1))
    assert neurho.correlators.moments_about(known, zz, half) == [0.25]  # <(Z - 1/2)(Z - 1/2)>
    ```
    """
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
    """One-site means of a state that is known, 1 for the identity.

    ```python
    import neurho
    from neurho import correlators as co

    known = co.dense(neurho.exact.product_state("up", 2), 2)
    assert neurho.correlators.site_means(known).tolist() == [[1, 0, 0, 1]] * 2
    ```
    """
    shape = known.means.shape
    sites, letters = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    one = Strings(np.where(letters > 0, sites, 0)[:, None].astype(np.int32), letters[:, None].astype(np.int8))
    return moments_about(known, one, None).reshape(shape)


def begin(hierarchy: Hierarchy, known: Known, *, central: bool) -> Moments:
    """The moments of a hierarchy in a state that is known, about zero or about the means of that state.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    known = co.dense(neurho.exact.product_state("up", 3), 3)
    moments = neurho.correlators.begin(hierarchy, known, central=False)
    assert co.raw_means(hierarchy, moments)[:, 3].tolist() == [1, 1, 1]
    ```
    """
    shape = hierarchy.singles.shape
    if not central:
        c = moments_about(known, hierarchy.strings, None)
        return Moments(c=c, means=np.zeros(shape), central=False)
    means = site_means(known)
    means[:, 0] = 0.0
    return Moments(c=moments_about(known, hierarchy.strings, means), means=means, central=True)


def purity(known: Kept, strings: Strings, dim: int) -> float:
    """Tr rho^2 = d^-N sum_P c_P^2, from one string of each orbit, all of them; without some a lower bound.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    found = co.stationary_state(hierarchy, None)
    known = co.kept(symmetry, parts, found.c, found.means, full=3)
    rho = neurho.exact.stationary_state(neurho.xyz(ring)).rho
    purity = neurho.correlators.purity(known, hierarchy.strings, dim=2)
    assert abs(purity - np.trace(rho @ rho)) < 1e-6
    ```
    """
    c = moments_about(known, strings, None)
    return float(known.symmetry.orbits(strings) @ c**2 / dim**known.symmetry.sites)


def all_values(known: Known) -> np.ndarray:
    """All c_P of a small system, `(d^2,) * sites`; zero where they are not known.

    ```python
    import neurho
    from neurho import correlators as co

    known = co.dense(neurho.exact.product_state("neel", 2), 2)
    assert neurho.correlators.all_values(known)[3, 3] == -1  # <ZZ>
    ```
    """
    sites, letters = known.means.shape
    table = np.empty(letters**sites)
    for numbers in np.array_split(np.arange(len(table)), -(-len(table) * sites // AT_ONCE)):
        digits = np.stack(np.unravel_index(numbers, (letters,) * sites), axis=1).astype(np.int8)
        table[numbers] = moments_about(known, from_dense(digits), None)
    return table.reshape((letters,) * sites)
