"""Equations of motion of strings: dc_P/dt = sum_Q L[P, Q] c_Q, each in as many terms as touch the support of P."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurho.correlators.basis import Channel, real_terms
from neurho.correlators.strings import Strings, from_dense
from neurho.model.operators import Lindbladian

ENTRIES = 4_000_000
"""Letters of strings that are looked at at once."""


class TermGroup(NamedTuple):
    """Local terms on equally many sites: supports `(terms, k)`, R of shape `(channels, terms, q^k, q^k)`."""

    places: np.ndarray
    matrices: Float[np.ndarray, "channels terms letters letters"]


class StringTerms(NamedTuple):
    """A Lindbladian on strings: dc_P/dt = sum over terms, channels n, letters b of g_n(t) R_n[P_S, b] c_{P, b on S}.

    `check` is called with every time at which coefficients are evaluated.

    ```python
    import neurho
    from neurho import correlators as co

    terms = co.string_terms(neurho.xyz(neurho.chain(3), decay=2.0))
    on_sites, on_bonds = terms.groups
    assert on_sites.matrices.shape == (1, 3, 4, 4)  # channels, sites, and 1, X, Y, Z twice
    assert on_sites.matrices[0, 0, 3].tolist() == [-2, 0, 0, -2]  # d<Z>/dt = -2 - 2 <Z>
    ```
    """

    groups: tuple[TermGroup, ...]
    channels: tuple[Channel, ...]
    letters: int
    check: Callable[[float], None] | None = None


def string_terms(lindbladian: Lindbladian) -> StringTerms:
    """The local terms of a Lindbladian on strings; every site has a term of its own, if only one of zeros.

    ```python
    import neurho

    terms = neurho.correlators.string_terms(neurho.xyz(neurho.chain(3)))
    assert terms.letters == 4 and [len(group.places) for group in terms.groups] == [3, 2]  # sites, bonds
    ```
    """
    merged, channels = real_terms(lindbladian)
    letters = lindbladian.local_dim**2
    for site in range(lindbladian.sites):
        merged.setdefault((site,), np.zeros((len(channels), letters, letters)))
    by_size: dict[int, list[tuple[tuple[int, ...], np.ndarray]]] = {}
    for support, matrices in sorted(merged.items()):
        by_size.setdefault(len(support), []).append((support, matrices))
    groups = tuple(
        TermGroup(np.array([s for s, _ in terms]).reshape(len(terms), size), np.stack([m for _, m in terms], axis=1))
        for size, terms in sorted(by_size.items())
    )
    return StringTerms(groups=groups, channels=channels, letters=letters, check=lindbladian.hermitian_at)


class Connected(NamedTuple):
    """What some equations reach: row numbers, strings, and which entry of which term of a group leads there."""

    row: np.ndarray
    strings: Strings
    group: int
    entry: np.ndarray


def connected(
    terms: StringTerms, patterns: tuple[np.ndarray, ...], rows: Strings, sites: int, most: int
) -> Iterator[Connected]:
    """All strings of at most `most` sites that the equations of `rows` reach, part by part.

    - `patterns`: for each group the entries `(terms, q^k, q^k)` that may differ from zero.

    `entry` counts the entries of all terms of a group. A string may come several times, once from each term.
    """
    step = max(1, ENTRIES // max(max(len(g.places) for g in terms.groups), sites * 8))
    for start in range(0, rows.size, step):
        table = rows.take(slice(start, start + step)).dense(sites)
        for number, (group, pattern) in enumerate(zip(terms.groups, patterns, strict=True)):
            row, changed, entry = _changes(table, group.places, pattern, terms.letters)
            small = np.count_nonzero(changed, axis=1) <= most
            yield Connected(row[small] + start, from_dense(changed[small]), number, entry[small])


def _changes(
    table: np.ndarray, places: np.ndarray, pattern: np.ndarray, letters: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size, states = places.shape[1], pattern.shape[1]
    powers = letters ** np.arange(size - 1, -1, -1)
    local = table[:, places].astype(np.int64) @ powers  # (rows, terms)
    row, term = np.nonzero(local)
    word = term * states + local[row, term]
    lengths = pattern.sum(axis=2).ravel()
    targets = np.flatnonzero(pattern)  # entry (term, a, b) as one number, by term and a
    begin = np.cumsum(lengths) - lengths
    counts = lengths[word]
    pair = np.repeat(np.arange(len(row)), counts)
    offset = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = targets[begin[word[pair]] + offset]
    changed = table[row[pair]]
    digits = (entry[:, None] % states // powers) % letters
    np.put_along_axis(changed, places[term[pair]], digits.astype(changed.dtype), axis=1)
    return row[pair], changed, entry


def sector_signs(terms: StringTerms, dim: int, start: np.ndarray | None = None) -> np.ndarray:
    """The Z2 characters of letters that all terms conserve and the start has, `(symmetries, letters)`.

    Levels get signs s_m, and the letter of levels (m, n) the sign s_m s_n; for spins 1/2 that is the parity of the
    number of X and Y.

    ```python
    import neurho

    terms = neurho.correlators.string_terms(neurho.xyz(neurho.chain(2)))
    assert neurho.correlators.sector_signs(terms, dim=2).tolist() == [[0, 1, 1, 0]]  # odd: X, Y
    ```

    - `start`: Tr(B_a rho_j) of a product start, `(sites, letters)`; None for a stationary state.
    """
    pairs = [(m, n) for m in range(dim) for n in range(m + 1, dim)]
    found = []
    for bits in range(1, 2 ** (dim - 1)):
        level = [0, *((bits >> n) & 1 for n in range(dim - 1))]
        signs = np.array([0, *(x for m, n in pairs for x in [level[m] ^ level[n]] * 2), *[0] * (dim - 1)])
        inside = start is None or not np.any(np.abs(start[:, signs == 1]) > 1e-14)
        if inside and all(_conserves(group, signs) for group in terms.groups):
            found.append(signs)
    return np.array(found, dtype=int).reshape(-1, dim**2)


def _conserves(group: TermGroup, signs: np.ndarray) -> bool:
    total = np.zeros(1, dtype=int)
    for _ in range(group.places.shape[1]):
        total = (total[:, None] + signs[None]).ravel()
    crosses = (total[:, None] + total[None]) % 2 == 1
    return not np.any(group.matrices[..., crosses])


def invariant_moves(terms: StringTerms, moves: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """The permutations among `moves` that carry the local terms, and a product start, into themselves.

    ```python
    import neurho

    ring = neurho.chain(3, periodic=True)
    terms = neurho.correlators.string_terms(neurho.xyz(ring))
    assert len(neurho.correlators.invariant_moves(terms, ring.symmetries)) == 6
    ```
    """
    return np.array([move for move in np.asarray(moves) if _is_invariant(terms, move, start)])


def _is_invariant(terms: StringTerms, move: np.ndarray, start: np.ndarray | None) -> bool:
    if start is not None and not np.allclose(start[move], start, atol=1e-12):
        return False
    q = terms.letters
    for places, matrices in terms.groups:
        known: Mapping[tuple[int, ...], int] = {tuple(map(int, place)): n for n, place in enumerate(places)}
        size = places.shape[1]
        for number, place in enumerate(places):
            image = move[place]
            order = np.argsort(image)
            other = known.get(tuple(int(j) for j in image[order]))
            if other is None:
                return False
            tensor = matrices[:, number].reshape(-1, *(q,) * (2 * size))
            moved = tensor.transpose([0, *(1 + order), *(1 + size + order)]).reshape(matrices[:, other].shape)
            off, largest = np.max(np.abs(moved - matrices[:, other])), float(np.max(np.abs(moved)))
            if not off <= 1e-12 * max(1.0, largest):
                return False
    return True
