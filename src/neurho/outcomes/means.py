"""Means of operators from drawn outcomes, with errors."""

from collections.abc import Iterable
from functools import reduce

import numpy as np
from jaxtyping import Array, Float, Int

from neurho._types import require
from neurho.matrix_elements.generator import place_values
from neurho.model.operators import Operator, value_at
from neurho.observables import Estimate
from neurho.outcomes.frame import DUAL, to_matrix


def outcome_values(
    operator: Operator, outcomes: Int[np.ndarray | Array, "samples sites"], t: float = 0.0
) -> np.ndarray:
    """O(a) = Tr(O N_a) of Hermitian O at drawn outcomes, so that <O> = sum_a p(a) O(a)."""
    require(operator.local_dim == 2, "operator", "act on spins", f"its sites have {operator.local_dim} levels")
    outcomes = np.asarray(outcomes)
    total = np.zeros(len(outcomes))
    for term in operator.terms:
        k = len(term.sites)
        duals = reduce(
            lambda a, b: np.einsum("xij,ykl->xyikjl", a, b).reshape(4 * len(a), 2 * a.shape[1], -1),
            [DUAL] * k,
            np.ones((1, 1, 1)),
        )
        table = np.einsum("ij,aji->a", term.matrix, duals)
        place = outcomes[:, list(term.sites)] @ place_values(k, 4)
        total = total + (value_at(term.coefficient, t, "operator") * table[place]).real
    return total


def smallest_eigenvalue(
    outcomes: Int[np.ndarray | Array, "samples sites"],
    weights: Float[np.ndarray | Array, " samples"],
    groups: Iterable[tuple[int, ...]],
) -> tuple[float, float]:
    """The smallest eigenvalue of the reduced density matrices of groups of sites, and the spread of its value at one
    outcome, <v|N_a|v> of its eigenvector v: nothing keeps it positive.

    - `weights`: of sum one, p(a) of all outcomes or 1/M of M draws.
    """
    outcomes, least, spread = np.asarray(outcomes), np.inf, 0.0
    for where in groups:
        k = len(where)
        p = np.bincount(outcomes[:, list(where)] @ place_values(k, 4), np.asarray(weights), minlength=4**k)
        values, vectors = np.linalg.eigh(to_matrix(p, k))
        if values[0] < least:
            v = vectors[:, 0]
            each = np.real([v.conj() @ to_matrix(one, k) @ v for one in np.eye(4**k)])
            least, spread = float(values[0]), float(np.sqrt(p @ (each - p @ each) ** 2))
    return least, spread


def mean_of(operator: Operator, outcomes: Int[np.ndarray | Array, "samples sites"], t: float = 0.0) -> Estimate:
    """The mean of a Hermitian operator from independent outcomes.

    The standard error is that of independent samples. A product of k Pauli matrices has values of size 3^(k/2).

    ```python
    import jax
    import numpy as np
    import neurho

    network = neurho.outcomes.random_recurrent(jax.random.key(0), 2, hidden=4)
    found = neurho.outcomes.mean_of(neurho.sz(0), neurho.outcomes.draw(network, jax.random.key(1), 100))
    assert 0 < found.error < 0.2
    ```
    """
    require(len(outcomes) > 1, "outcomes", "be at least two samples", f"there are {len(outcomes)}")
    values = outcome_values(operator, outcomes, t)
    return Estimate(mean=np.asarray(values.mean()), error=np.asarray(values.std(ddof=1) / np.sqrt(len(values))))
