"""Which strings to keep: a ladder of sets, each with the one before in it, so that two rungs show what a cut does."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

from neurho._types import require
from neurho.correlators.equations import StringTerms
from neurho.correlators.strings import Strings, Symmetry, all_strings, distinct, strings_on

MOST_WEIGHT = 12
LINKS = (1, 2)
"""How many terms of the Lindbladian apart neighbouring sites of a cluster may be: two sets for each weight."""


class Rung(NamedTuple):
    """A set of strings.

    - `weight`: the largest number of sites; `full`: up to how many sites all strings are there.
    - `parts`: the strings, without the identity.
    - `complete`: whether no string is missing, so that nothing is cut.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    *_, last = co.ladder(terms, symmetry, co.all_strings(symmetry, 1), most=100)
    assert last.complete and (last.weight, last.size) == (3, 23)
    ```
    """

    weight: int
    full: int
    parts: tuple[Strings, ...]
    complete: bool

    @property
    def size(self) -> int:
        """Number of strings."""
        return sum(part.size for part in self.parts)


def string_counts(symmetry: Symmetry, top: int) -> np.ndarray:
    """How many strings of exactly 0, 1, ... `top` sites there are that do not vanish, one for each orbit.

    By Burnside's lemma, (1/|G|) sum_g fix(g), where a string that g leaves as it is has one letter on each cycle of g:
    fix(g) = mean over products of signs s of prod over cycles l of (1 + x^l sum over letters a of s(a)^l), and x counts
    sites.

    ```python
    import neurho

    symmetry = neurho.correlators.Symmetry(neurho.chain(3).translations, letters=4)
    assert neurho.correlators.string_counts(symmetry, 2).tolist() == [1, 9, 27]
    ```
    """
    signs = [
        np.prod([(-1.0) ** row for row in chosen], axis=0) if chosen else np.ones(symmetry.letters)
        for chosen in chain.from_iterable(combinations(symmetry.signs, k) for k in range(len(symmetry.signs) + 1))
    ]
    total = np.zeros(top + 1)
    for cycles, times in Counter(map(_cycles, symmetry.moves)).items():
        for sign in signs:
            fixed = np.zeros(top + 1)
            fixed[0] = 1.0
            for length in cycles:
                more = np.zeros(top + 1)
                more[length:] = fixed[: max(top + 1 - length, 0)] * np.sum(sign[1:] ** length)
                fixed = fixed + more
            total += times * fixed
    return np.rint(total / len(symmetry.moves) / len(signs))


def _cycles(move: np.ndarray) -> tuple[int, ...]:
    """The lengths of the cycles of a permutation."""
    seen, lengths = np.zeros(len(move), dtype=bool), []
    for site in range(len(move)):
        length, here = 0, site
        while not seen[here]:
            seen[here], here, length = True, move[here], length + 1
        lengths += [length] * (length > 0)
    return tuple(sorted(lengths))


def ladder(
    terms: StringTerms, symmetry: Symmetry, asked: Strings, *, most: int, weight: int | None = None
) -> Iterator[Rung]:
    """Rungs of at most about `most` strings, or up to strings of `weight` sites.

    All strings of up to 2, 3, ... sites as long as they fit; then, beside those, the strings of more sites on clusters,
    whose neighbours are at most one term of the Lindbladian apart, and two: how these differ says what strings farther
    apart would. `asked` are strings that stand on every rung.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(6, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    rungs = neurho.correlators.ladder(terms, symmetry, co.all_strings(symmetry, 1), most=150)
    assert [(rung.weight, rung.size) for rung in rungs] == [(2, 27), (3, 119)]
    ```
    """
    top = min(symmetry.sites, weight if weight is not None else MOST_WEIGHT)
    full: list[Strings] = []
    counts = string_counts(symmetry, top)
    size, k = 0, 0
    while k < top and (weight is not None or k < 2 or size + counts[k + 1] <= most):
        k += 1
        full.append(all_strings(symmetry, k))
        size += full[-1].size
        if k < min(2, top):
            continue
        rung = Rung(k, k, tuple(full), complete=k == symmetry.sites)
        yield rung if k >= asked.sites.shape[1] else _with(symmetry, rung, asked)
    yield from _clusters(terms, symmetry, full, asked, size=size, most=most, top=top)


def cumulant_ladder(terms: StringTerms, symmetry: Symmetry, *, most: int, weight: int | None = None) -> Iterator[Rung]:
    """Rungs that hold all parts of their strings, as cumulants need: all strings of up to 2, 3, ... sites, fewer than
    the lattice has, and at last beside those the strings of one site more on clusters with neighbours two terms apart.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(6, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    rungs = neurho.correlators.cumulant_ladder(terms, symmetry, most=150)
    assert [(rung.weight, rung.size) for rung in rungs] == [(2, 27), (3, 119)]
    ```
    """
    top = min(symmetry.sites - 1, MOST_WEIGHT if weight is None else weight)
    sizes = np.cumsum(string_counts(symmetry, top)) - 1  # without the identity
    full = [all_strings(symmetry, k) for k in range(1, top + 1) if k < 3 or weight is not None or sizes[k] <= most]
    for k in range(2, len(full) + 1):
        yield Rung(k, k, tuple(full[:k]), complete=False)
    if (k := len(full)) < top and (more := _on_clusters(terms, symmetry, k + 1, LINKS[-1], most - sizes[k])):
        yield Rung(k + 1, k, (*full, more), complete=False)


def wider_rung(terms: StringTerms, symmetry: Symmetry, rung: Rung, *, most: int) -> Rung | None:
    """A rung of cumulants and strings of one site more: all of them, or those on clusters whose neighbours are two
    terms apart, or one, whatever is at most about `most` strings; None where even the last are ten times as many.
    Beside clusters of two terms those of one, which hold their parts.

    ```python
    import neurho
    from neurho import correlators as co

    torus = neurho.square(3, 3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(torus)), co.Symmetry(torus.symmetries, letters=4)
    *_, last = co.cumulant_ladder(terms, symmetry, most=500, weight=2)
    wider = neurho.correlators.wider_rung(terms, symmetry, last, most=500)
    assert wider is not None and wider.weight == 3
    ```
    """
    weight = rung.weight + 1
    if rung.weight == rung.full and rung.size + string_counts(symmetry, weight)[-1] <= most:
        return Rung(weight, weight, (*rung.parts, all_strings(symmetry, weight)), complete=False)
    wide = _on_clusters(terms, symmetry, weight, LINKS[-1], most - rung.size) if rung.weight == rung.full else None
    more = wide or _on_clusters(terms, symmetry, weight, LINKS[0], 10 * most)
    return None if more is None else Rung(weight, rung.full, (*rung.parts, more), complete=False)


def _on_clusters(terms: StringTerms, symmetry: Symmetry, weight: int, link: int, most: float) -> Strings | None:
    """The strings of some weight on clusters, if there are at most about `most`."""
    clusters, near = {(j,) for j in range(symmetry.sites)}, _near(terms, symmetry.sites, link)
    words = (symmetry.letters - 1) ** weight / 2 ** len(symmetry.signs) / len(symmetry.moves)
    for _ in range(weight - 1):
        clusters = _grown(clusters, near)
        if len(clusters) * words > most:
            return None
    return strings_on(symmetry, sorted(clusters), weight)


def _clusters(
    terms: StringTerms, symmetry: Symmetry, full: list[Strings], asked: Strings, *, size: int, most: int, top: int
) -> Iterator[Rung]:
    """Rungs with strings of more sites than all fit, on clusters; closer ones first, of each number of sites."""
    parts, k = list(full), len(full)
    near = [_near(terms, symmetry.sites, link) for link in LINKS]
    supports = [{(j,) for j in range(symmetry.sites)} for _ in LINKS]
    for grown in range(2, top + 1):
        words = (symmetry.letters - 1) ** grown / 2 ** len(symmetry.signs) / len(symmetry.moves)
        affordable = (most - size) / words
        if grown > k and len(supports[-1]) > affordable:
            return
        supports = [_grown(*pair) for pair in zip(supports, near, strict=True)]
        if grown <= k:
            continue
        if len(supports[-1]) > affordable:
            return
        found = [strings_on(symmetry, sorted(clusters), grown) for clusters in supports]
        for extra in found:
            rung = Rung(grown, k, (*parts, extra), complete=False)
            yield rung if grown >= asked.sites.shape[1] else _with(symmetry, rung, asked)
        parts.append(found[-1])
        size += found[-1].size


def _with(symmetry: Symmetry, rung: Rung, asked: Strings) -> Rung:
    """A rung that holds the strings of more sites that are asked for, too."""
    more = asked.take(asked.weights > rung.full)
    there = np.concatenate([symmetry.keys(part) for part in rung.parts])
    more = more.take(symmetry.holds(more))
    more = distinct(symmetry, more)[0]
    more = more.take(~np.isin(symmetry.keys(more), there))
    return rung._replace(parts=(*rung.parts, more)) if more.size else rung


def _near(terms: StringTerms, sites: int, link: int) -> list[list[int]]:
    """For each site those that are at most `link` terms away."""
    touching: list[set[int]] = [{j} for j in range(sites)]
    for group in terms.groups:
        for place in group.places:
            for a, b in combinations(map(int, place), 2):
                touching[a].add(b)
                touching[b].add(a)
    reach = [set(t) for t in touching]
    for _ in range(link - 1):
        reach = [set().union(*(touching[b] for b in r)) for r in reach]
    return [sorted(r - {j}) for j, r in enumerate(reach)]


def _grown(supports: set[tuple[int, ...]], near: Sequence[Sequence[int]]) -> set[tuple[int, ...]]:
    """All clusters with one site more."""
    return {
        tuple(sorted((*support, other)))
        for support in supports
        for other in {b for a in support for b in near[a]}.difference(support)
    }


def require_terms(terms: StringTerms, sites: int) -> None:
    """Refuse terms that act on more sites than strings can have.

    ```python
    import neurho
    from neurho import correlators as co

    terms = co.string_terms(neurho.xyz(neurho.chain(2)))
    neurho.correlators.require_terms(terms, sites=2)  # terms on two sites, strings of two
    ```
    """
    widest = max(group.places.shape[1] for group in terms.groups)
    require(widest <= min(sites, MOST_WEIGHT), "lindbladian", "have local terms", f"one acts on {widest} sites")
