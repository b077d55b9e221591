"""Stationary states and evolutions of a hierarchy."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.integrate import DOP853
from scipy.sparse import diags_array
from scipy.sparse.linalg import gmres

from neurho._types import NumericalError
from neurho.correlators.hierarchy import Hierarchy
from neurho.model.timescales import Schedule, within

RESTART = 80
"""Vectors of a Krylov space."""


class Moments(NamedTuple):
    """Central moments c' of the strings of a hierarchy about a product state `means`, `(sites, letters)`.

    With `central` the means follow the state, so that c' of single sites is zero; otherwise they are zero.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    found = co.stationary_state(hierarchy, None)
    assert found.reference is None and found.c[0] == 1  # about zero, so that c holds means of strings
    ```
    """

    c: np.ndarray
    means: np.ndarray
    central: bool

    @property
    def reference(self) -> np.ndarray | None:
        """The means, or None where they are zero."""
        return self.means if self.central else None


def start(hierarchy: Hierarchy, letters: np.ndarray, *, central: bool) -> Moments:
    """A product state with one-site means `letters`, `(sites, letters)` with 1 for the identity; poles are exact.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    up = np.tile([1.0, 0.0, 0.0, 1.0], (3, 1))  # 1, <X>, <Y>, <Z> of each site
    moments = neurho.correlators.start(hierarchy, up, central=False)
    assert np.allclose(co.raw_means(hierarchy, moments)[0], [0, 0, 0, 1])
    ```
    """
    if not central:
        return Moments(c=hierarchy.product(letters), means=np.zeros_like(letters), central=False)
    c = np.zeros(hierarchy.size)
    c[0] = 1.0
    means = letters.copy()
    means[:, 0] = 0.0
    return Moments(c=c, means=means, central=True)


def solve(hierarchy: Hierarchy, means: np.ndarray | None, *, guess: np.ndarray | None, tolerance: float) -> np.ndarray:
    """The solution of L' c' = 0 with c' = 1 for the identity, by restarted GMRES with the diagonal as preconditioner.

    **Raises** `NumericalError` if it does not get there.
    """
    matrix = hierarchy.summed(0.0, means)
    inner, source = matrix[1:, 1:].tocsr(), -matrix[1:, [0]].toarray().ravel()
    diagonal = inner.diagonal()
    scale = diags_array(1 / np.where(np.abs(diagonal) > 1e-9, diagonal, 1.0))
    first = None if guess is None else guess[1:]
    found, info = gmres(inner, source, x0=first, M=scale, rtol=tolerance, atol=0.0, restart=RESTART, maxiter=60)
    if info or not np.all(np.isfinite(found)):
        raise NumericalError(
            f"The equations of {hierarchy.size} strings were not solved to {tolerance:g}: there may be several "
            "stationary states, or relaxation that is much slower than the rest."
        )
    return np.concatenate([[1.0], found])


def stationary_state(
    hierarchy: Hierarchy, begin: np.ndarray | None, *, guess: np.ndarray | None = None, tolerance: float = 1e-7
) -> Moments:
    """The stationary state: about zero, or with `begin` about the means that it has itself, found from there.

    ```python
    import neurho

    terms = neurho.correlators.string_terms(neurho.heisenberg(neurho.chain(1)))
    symmetry = neurho.correlators.Symmetry(neurho.chain(1).translations, letters=4)
    parts = [neurho.correlators.all_strings(symmetry, 1)]
    hierarchy = neurho.correlators.build_hierarchy(terms, symmetry, parts, central=False)
    found = neurho.correlators.stationary_state(hierarchy, None)
    assert abs(neurho.correlators.raw_means(hierarchy, found)[0, 3] + 1) < 1e-6  # down
    ```

    **Raises** `NumericalError` if the equations, or those of the means, have no solution that is found.
    """
    if begin is None:
        c = solve(hierarchy, None, guess=guess, tolerance=tolerance)
        return Moments(c=c, means=np.zeros(hierarchy.singles.shape), central=False)
    means, c, before = begin.copy(), guess, np.inf
    for _ in range(30):
        c = solve(hierarchy, means, guess=c, tolerance=tolerance)
        off = c[hierarchy.singles] * (hierarchy.singles > 0)
        size = float(np.max(np.abs(off)))
        means = means + off
        if size < 1e-6:
            return Moments(c=c, means=means, central=True)
        if size > 1.5 * before or size > 2:
            break
        before = size
    raise NumericalError("The means about which the hierarchy is closed do not settle.")


def raw_means(hierarchy: Hierarchy, moments: Moments) -> np.ndarray:
    """One-site means of the letters, `(sites, letters)`, 0 for the identity.

    ```python
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    found = co.stationary_state(hierarchy, None)
    means = neurho.correlators.raw_means(hierarchy, found)
    assert means.shape == (3, 4) and abs(means[0, 3] + 0.59988) < 1e-5
    ```
    """
    own = moments.c[hierarchy.singles] * (hierarchy.singles > 0)
    return own + moments.means * moments.central


def propagate(
    hierarchy: Hierarchy,
    moments: Moments,
    t0: float,
    t1: float,
    *,
    tolerance: float,
    plan: Schedule | None,
    watch: Callable[[float], None] | None = None,
) -> Moments:
    """The moments at t1, by the embedded Runge-Kutta method of order 8 of Dormand and Prince, from a new first step.

    Steps end where `plan` says, and see one side of an edge there.

    - `plan`: when coefficients change; None where they do not depend on time.
    - `watch`: called with the time after every step.

    ```python
    import numpy as np
    import neurho
    from neurho import correlators as co

    ring = neurho.chain(3, periodic=True)
    terms, symmetry = co.string_terms(neurho.xyz(ring)), co.Symmetry(ring.translations, letters=4)
    parts = [co.all_strings(symmetry, k) for k in (1, 2, 3)]
    hierarchy = co.build_hierarchy(terms, symmetry, parts, central=False)
    up = co.start(hierarchy, np.tile([1.0, 0.0, 0.0, 1.0], (3, 1)), central=False)
    found = neurho.correlators.propagate(hierarchy, up, 0.0, 1.0, tolerance=1e-8, plan=None)
    assert abs(co.raw_means(hierarchy, found)[0, 3] + 0.330178) < 1e-6
    ```

    **Raises** `NumericalError` where moments grow beyond bounds.
    """
    rate = _rate(hierarchy, moments, moving=plan is not None)
    y = np.concatenate([moments.c, moments.means.ravel()]) if moments.central else moments.c
    t, length = t0, np.inf
    while t < t1:
        stop = t1 if plan is None else plan.stop(t, t1)
        first = None if t == t0 else min(length, stop - t)
        inside = _between(rate, t, stop)
        solver = DOP853(inside, t, y, stop, first_step=first, rtol=tolerance, atol=1e-2 * tolerance)
        while solver.status == "running":
            solver.step()
            if solver.status == "failed" or not np.max(np.abs(solver.y)) < 1e6:
                raise NumericalError(_grown(hierarchy, solver.y, solver.t))
            if watch is not None:
                watch(solver.t)
        y, t, length = solver.y, stop, solver.h_abs
    size = hierarchy.size
    means = y[size:].reshape(moments.means.shape) if moments.central else moments.means
    return moments._replace(c=y[:size], means=means)


_Rate: TypeAlias = Callable[[float, np.ndarray], np.ndarray]


def _between(rate: _Rate, begin: float, end: float) -> _Rate:
    """The rate with times kept inside an open interval, at the ends of which coefficients may jump."""
    return lambda t, y: rate(within(begin, end - begin, (t - begin) / (end - begin)), y)


def _rate(hierarchy: Hierarchy, moments: Moments, *, moving: bool) -> _Rate:
    size, shape = hierarchy.size, moments.means.shape
    if moments.central:

        def central(t: float, y: np.ndarray) -> np.ndarray:
            moved, change = hierarchy.rate(t, y[:size], y[size:].reshape(shape))
            assert change is not None
            return np.concatenate([moved, change.ravel()])

        return central
    if moving:
        return lambda t, y: hierarchy.rate(t, y, None)[0]
    matrix = hierarchy.summed(0.0)
    return lambda t, y: matrix @ y


def _grown(hierarchy: Hierarchy, y: np.ndarray, t: float) -> str:
    """Which strings left their bounds."""
    c = np.abs(np.nan_to_num(y[: hierarchy.size], nan=np.inf))
    weights = hierarchy.strings.weights
    heavy = ", ".join(f"{k}: {np.max(c[weights == k]):.2g}" for k in range(1, int(weights.max()) + 1))
    return f"Correlators grew without bound before t = {t:.4g}; largest values by number of sites: {heavy}."
