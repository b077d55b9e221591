"""Sets of operator strings, one representative for each orbit of the permutations of sites that are symmetries."""

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Strings(NamedTuple):
    """Operator strings by their supports: `sites` and `letters` of shape `(strings, weight)`; letter 0 is padding.

    Sites ascend; padding stands behind them at site 0.

    ```python
    import neurho
    from neurho import correlators as co

    strings = co.measured([neurho.sx(0) @ neurho.sz(2)]).strings
    assert strings.sites.tolist() == [[0, 2]] and strings.letters.tolist() == [[1, 3]]
    assert strings.dense(3).tolist() == [[1, 0, 3]]
    ```
    """

    sites: Int[np.ndarray, "strings weight"]
    letters: Int[np.ndarray, "strings weight"]

    @property
    def size(self) -> int:
        """Number of strings."""
        return len(self.sites)

    @property
    def weights(self) -> Int[np.ndarray, " strings"]:
        """Number of sites that are not the identity."""
        return np.count_nonzero(self.letters, axis=1)

    def take(self, rows: np.ndarray | slice) -> "Strings":
        """Some of the strings."""
        return Strings(self.sites[rows], self.letters[rows])

    def padded(self, width: int) -> "Strings":
        """The same strings with at least `width` columns."""
        if (more := width - self.sites.shape[1]) <= 0:
            return self
        return Strings(*(np.pad(a, ((0, 0), (0, more))) for a in self))

    def dense(self, count: int) -> Int[np.ndarray, "strings sites"]:
        """Letters of all `count` sites."""
        table = np.zeros((self.size, count), dtype=np.int8)
        rows = np.broadcast_to(np.arange(self.size)[:, None], self.sites.shape)
        real = self.letters > 0
        table[rows[real], self.sites[real]] = self.letters[real]
        return table


IDENTITY = Strings(np.zeros((1, 0), dtype=np.int32), np.zeros((1, 0), dtype=np.int8))
"""The string of no site, as a set of one."""


def joined(parts: Sequence[Strings]) -> Strings:
    """Several sets, one after the other.

    ```python
    import neurho
    from neurho import correlators as co

    symmetry = co.Symmetry(neurho.chain(3).translations, letters=4)
    strings = neurho.correlators.joined([co.all_strings(symmetry, 1), co.all_strings(symmetry, 2)])
    assert strings.size == 9 + 27
    ```
    """
    width = max((part.sites.shape[1] for part in parts), default=0)
    same = [part.padded(width) for part in parts]
    return Strings(np.concatenate([p.sites for p in same]), np.concatenate([p.letters for p in same]))


def from_dense(table: np.ndarray) -> Strings:
    """Strings from letters of all sites, `(strings, sites)`.

    ```python
    import numpy as np
    import neurho

    strings = neurho.correlators.from_dense(np.array([[1, 0, 3], [0, 0, 0]]))  # X on 0 and Z on 2; the identity
    assert strings.weights.tolist() == [2, 0] and strings.sites[0].tolist() == [0, 2]
    ```
    """
    weights = np.count_nonzero(table, axis=1)
    width = int(weights.max(initial=0))
    rows, places = np.nonzero(table)  # row by row, sites ascending
    slots = np.arange(len(rows)) - np.repeat(np.cumsum(weights) - weights, weights)
    sites, letters = np.zeros((len(table), width), dtype=np.int32), np.zeros((len(table), width), dtype=np.int8)
    sites[rows, slots] = places
    letters[rows, slots] = table[rows, places]
    return Strings(sites, letters)


class Symmetry:
    """Permutations of sites under which correlators do not change, and weak symmetries by which strings vanish.

    A string is known by a key that all its images share: the smallest sum of random 64-bit numbers, one for each site
    and letter, among the images (Zobrist hashing). Two of 10^6 strings share one by accident with probability 3e-8.

    ```python
    import neurho

    symmetry = neurho.correlators.Symmetry(neurho.chain(3, periodic=True).translations, letters=4)
    assert neurho.correlators.all_strings(symmetry, 1).size == 3  # X, Y, Z, one for each orbit
    ```

    **Arguments**

    - `moves`: `(permutations, sites)`, row g maps site j to `moves[g, j]`; the identity among them.
    - `signs`: `(symmetries, letters)`, 0 for even and 1 for odd letters; a string with an odd sum vanishes.
    """

    def __init__(self, moves: np.ndarray, letters: int, signs: np.ndarray | None = None) -> None:
        self.moves = np.asarray(moves)
        self.signs = np.zeros((0, letters), dtype=int) if signs is None else np.asarray(signs)
        self.letters = letters
        rng = np.random.default_rng(20260517)
        table = rng.integers(0, 2**64, size=(self.sites, letters), dtype=np.uint64)
        table[:, 0] = 0
        self._images = table[self.moves].reshape(len(self.moves), -1)  # key of (site, letter) after each permutation

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.moves.shape[1]

    def same(self, other: "Symmetry") -> bool:
        """Whether permutations and signs are those of another one, in the same order."""
        return np.array_equal(self.moves, other.moves) and np.array_equal(self.signs, other.signs)

    def holds(self, strings: Strings) -> np.ndarray:
        """Which strings do not vanish by symmetry."""
        odd = self.signs[:, strings.letters].sum(axis=-1) % 2
        return ~np.any(odd, axis=0)

    def keys(self, strings: Strings) -> np.ndarray:
        """The key of each string."""
        codes = strings.sites * self.letters + strings.letters  # padding has letter 0, whose key is 0
        if not codes.shape[1]:
            return np.zeros(strings.size, dtype=np.uint64)
        if len(self._images) == 1:
            return self._images[0][codes].sum(axis=1, dtype=np.uint64)
        own = self._images[self._identity][codes].sum(axis=1, dtype=np.uint64)
        _, first, inverse = np.unique(own, return_index=True, return_inverse=True)
        distinct = np.ascontiguousarray(codes[first].T)
        least = np.full(len(first), np.iinfo(np.uint64).max, dtype=np.uint64)
        for image in self._images:
            total = image[distinct[0]]
            for column in distinct[1:]:
                total += image[column]
            np.minimum(least, total, out=least)
        return least[inverse.reshape(-1)]

    def canonical(self, strings: Strings) -> Strings:
        """For each string that of its orbit whose own key is the smallest, sites ascending."""
        if len(self._images) == 1:
            return strings
        codes = strings.sites * self.letters + strings.letters
        least = np.full(strings.size, np.iinfo(np.uint64).max, dtype=np.uint64)
        best = np.zeros(strings.size, dtype=np.int64)
        for number, image in enumerate(self._images):
            total = image[codes].sum(axis=1, dtype=np.uint64)
            best = np.where(total < least, number, best)
            np.minimum(least, total, out=least)
        sites = np.where(strings.letters > 0, self.moves[best[:, None], strings.sites], self.sites)
        order = np.argsort(sites, axis=1, kind="stable")
        sites = np.take_along_axis(sites, order, axis=1)
        word = np.take_along_axis(strings.letters, order, axis=1)
        return Strings(np.where(word > 0, sites, 0).astype(np.int32), word)

    def orbits(self, strings: Strings) -> np.ndarray:
        """How many strings each string stands for: permutations, divided by those that leave it as it is."""
        codes = strings.sites * self.letters + strings.letters
        sums = (image[codes].sum(axis=1, dtype=np.uint64) for image in self._images)
        own = self._images[self._identity][codes].sum(axis=1, dtype=np.uint64)
        fixed = np.sum([total == own for total in sums], axis=0)
        return len(self._images) // fixed

    @property
    def _identity(self) -> int:
        return int(np.argmax(np.all(self.moves == np.arange(self.sites), axis=1)))


def distinct(symmetry: Symmetry, strings: Strings) -> tuple[Strings, np.ndarray]:
    """One string for each key, and the keys, in ascending order of the keys."""
    keys, first = np.unique(symmetry.keys(strings), return_index=True)
    return strings.take(first), keys


def strings_on(symmetry: Symmetry, supports: Iterable[Sequence[int]], weight: int) -> Strings:
    """All strings with support on one of `supports` (`weight` sites each) that do not vanish, one for each orbit."""
    places = np.array(list(supports), dtype=np.int32).reshape(-1, weight)
    if len(symmetry.moves) > 1:
        plain = Symmetry(symmetry.moves, symmetry.letters)
        places = distinct(plain, Strings(places, np.ones_like(places, dtype=np.int8)))[0].sites
    words = np.array(list(product(range(1, symmetry.letters), repeat=weight)), dtype=np.int8).reshape(-1, weight)
    words = words[symmetry.holds(Strings(np.zeros_like(words, dtype=np.int32), words))]
    found = Strings(np.repeat(places, len(words), axis=0), np.tile(words, (len(places), 1)))
    return distinct(symmetry, found)[0] if len(symmetry.moves) > 1 else found


def all_strings(symmetry: Symmetry, weight: int) -> Strings:
    """All strings of exactly `weight` sites that do not vanish, one for each orbit.

    ```python
    import neurho

    symmetry = neurho.correlators.Symmetry(neurho.chain(3).translations, letters=4)
    assert neurho.correlators.all_strings(symmetry, 2).size == 27  # three pairs of nine words
    ```
    """
    return strings_on(symmetry, combinations(range(symmetry.sites), weight), weight)
