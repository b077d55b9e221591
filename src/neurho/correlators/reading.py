"""Means of operators from central moments: c_P = sum over T in P of c'_T prod_{j in P without T} m_j."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from neurho._types import NeurhoError
from neurho.correlators.basis import letters, operator_strings
from neurho.correlators.hierarchy import Hierarchy
from neurho.correlators.strings import Strings, joined
from neurho.model.operators import Operator


class Measured(NamedTuple):
    """Operators as sums of strings: `matrix @ c` of the first `number` strings, one row for each operator.

    ```python
    import neurho
    from neurho import correlators as co

    found = co.measured([neurho.sz(0), neurho.sz(0) + 2 * neurho.sx(1)])
    assert found.number == 2 and found.matrix.toarray().tolist() == [[1, 0], [1, 2]]
    ```
    """

    strings: Strings
    matrix: csr_array
    number: int


class Block(NamedTuple):
    """Strings of equal weight: where they stand, and the places of all their parts `(strings, 2^weight)`."""

    rows: np.ndarray
    sites: np.ndarray
    letters: np.ndarray
    parts: np.ndarray


def measured(operators: Sequence[Operator]) -> Measured:
    """The strings of some Hermitian operators.

    ```python
    import neurho
    from neurho import correlators as co

    found = neurho.correlators.measured([neurho.sz(0) @ neurho.sz(1)])
    assert found.strings.sites.tolist() == [[0, 1]] and found.strings.letters.tolist() == [[3, 3]]
    ```
    """
    known: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    rows, columns, values = [], [], []
    for number, operator in enumerate(operators):
        for sites, word, value in operator_strings(operator):
            rows.append(number)
            columns.append(known.setdefault((sites, word), len(known)))
            values.append(value)
    parts = [
        Strings(np.array([sites], dtype=np.int32).reshape(1, -1), np.array([word], dtype=np.int8).reshape(1, -1))
        for sites, word in known
    ]
    matrix = csr_array((values, (rows, columns)), shape=(len(operators), len(known)))
    return Measured(strings=joined(parts), matrix=matrix, number=len(known))


def blocks(hierarchy: Hierarchy, strings: Strings) -> tuple[Block, ...]:
    """The parts of some strings in a hierarchy.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    zz = co.measured([neurho.sz(0) @ neurho.sz(1)]).strings
    (block,) = neurho.correlators.blocks(hierarchy, zz)
    assert block.parts.shape == (1, 4)  # 1, Z of one site, of the other, ZZ
    ```

    **Raises** `NeurhoError` for a string that is not there.
    """
    found = []
    for weight in np.unique(strings.weights):
        rows = np.flatnonzero(strings.weights == weight)
        sites, word = strings.sites[rows, :weight], strings.letters[rows, :weight]
        places = np.empty((len(rows), 2**weight), dtype=np.int64)
        for mask in range(2**weight):
            kept = [j for j in range(weight) if mask >> j & 1]
            part = Strings(sites[:, kept], word[:, kept])
            place = hierarchy.places(part)
            zero = ~hierarchy.symmetry.holds(part)
            if np.any((place < 0) & ~zero):
                raise NeurhoError(
                    f"An operator on {weight} sites must be among the strings that are kept, but it is not; give "
                    "task.weight or task.strings a larger value."
                )
            places[:, mask] = np.where(zero, hierarchy.size, place)
        found.append(Block(rows, sites, word, places))
    return tuple(found)


def string_means(found: tuple[Block, ...], count: int, c: np.ndarray, means: np.ndarray | None) -> np.ndarray:
    """c_P of `count` strings in blocks, from central moments about `means` (None: about zero).

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    c = co.stationary_state(hierarchy, None).c
    zz = co.measured([neurho.sz(0) @ neurho.sz(1)]).strings
    found = neurho.correlators.string_means(co.blocks(hierarchy, zz), 1, c, None)
    assert abs(found[0] - 0.449147) < 1e-6
    ```
    """
    values = np.empty(count)
    padded = np.append(c, 0.0)
    for rows, sites, word, parts in found:
        if means is None:
            values[rows] = padded[parts[:, -1]]
            continue
        terms = padded[parts]
        for slot in range(sites.shape[1] - 1, -1, -1):  # bit `slot` says whether the letter is in the part
            terms = terms.reshape(len(rows), 2, -1)
            terms = terms[:, 1] + means[sites[:, slot], word[:, slot], None] * terms[:, 0]
        values[rows] = terms.reshape(len(rows))
    return values


def pair_strings(pairs: np.ndarray, letter_count: int) -> Strings:
    """All strings on some pairs of sites, `(pairs letters^2)` of them, letter of the first site slowest.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    strings = neurho.correlators.pair_strings(np.array([[0, 1], [1, 2]]), 4)
    assert strings.size == 32 and strings.letters[15].tolist() == [3, 3]  # ZZ of the first pair
    ```
    """
    count = letter_count
    word = np.stack(np.divmod(np.arange(count**2), count), axis=1)
    sites = np.repeat(np.asarray(pairs, dtype=np.int32).reshape(-1, 2), count**2, axis=0)
    words = np.tile(word, (len(pairs), 1)).astype(np.int8)
    swap = words[:, 0] == 0  # letters stand before padding
    words[swap], sites[swap] = words[swap][:, ::-1], sites[swap][:, ::-1]
    return Strings(np.where(words > 0, sites, 0).astype(np.int32), words)


def smallest_eigenvalue(c: np.ndarray, dim: int) -> float:
    """The smallest eigenvalue of reduced density matrices of pairs, from strings in the order of `pair_strings`.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    c = co.to_correlators(neurho.exact.product_state("up", 2), 2).ravel()
    assert abs(neurho.correlators.smallest_eigenvalue(c, dim=2)) < 1e-12
    c[15] = 1.2  # <ZZ> that no state has
    assert neurho.correlators.smallest_eigenvalue(c, dim=2) < -0.04
    ```
    """
    if not len(c):
        return 0.0
    one = letters(dim)
    two = np.einsum("aij,bkl->abikjl", one, one).reshape(dim**4, dim**2, dim**2)
    rho = np.tensordot(c.reshape(-1, dim**4), two, axes=1) / dim**2
    return float(np.linalg.eigvalsh(rho).min())
