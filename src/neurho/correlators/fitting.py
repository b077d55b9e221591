"""Networks of correlators moved by least squares: implicit steps, solved by Gauss and Newton."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, lsmr

from neurho.correlators.networks import (
    AbstractStringNetwork,
    Slopes,
    parameter_vector,
    string_derivatives,
    string_values,
    with_parameters,
)
from neurho.correlators.strings import Strings

MOST_DAMPING, LEAST_DAMPING = 1e6, 1e-10
"""Of Levenberg and Marquardt, in units of the diagonal of the normal equations."""

CHORDS = 2
"""Steps at most that use the derivatives of the one before, where these are factorised."""

FITS = 60
"""Steps at most of a fit to values."""

MOST_DENSE, DENSE_BYTES = 5000, 4e9
"""Parameters, and bytes, up to which normal equations are written down."""

PRODUCTS, SOLVED = 100, 1e-2
"""Products with J at most of a solution without them, and its relative accuracy: a step is tried, not trusted."""

PROBES = 8
"""Random signs z for the diagonal of J^T J, the mean of (J^T z)^2: to about 50 %."""

Solver: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""The change (J^T J + damping D)^-1 J^T r of parameters for what is missing, r."""


class Fitted(NamedTuple):
    """A network after an implicit step: with the damping that served, and |r|^2 before and after.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    up = np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    strings = co.all_strings(co.Symmetry(neurho.chain(2).translations, letters=4), 2)
    found = co.fit_values(network, strings, np.full(9, 0.2), np.ones(9))
    assert found.after < 1e-3 * found.before  # sums of squares
    ```
    """

    network: AbstractStringNetwork
    damping: float
    before: float
    after: float


def dense_bytes(rows: int, parameters: int) -> float:
    """Memory for normal equations: derivatives of all rows twice, J^T J, its diagonal and its factor.

    ```python
    import neurho

    assert neurho.correlators.dense_bytes(rows=20_000, parameters=5_000) == 2.4e9
    ```
    """
    return 8.0 * (2 * rows * parameters + 4 * parameters**2)


def is_matrix_free(rows: int, parameters: int) -> bool:
    """Whether least squares of such a size are solved by products with J alone.

    ```python
    import neurho

    assert neurho.correlators.is_matrix_free(rows=20_000, parameters=6_000)
    assert not neurho.correlators.is_matrix_free(rows=20_000, parameters=1_000)
    ```
    """
    return parameters > MOST_DENSE or dense_bytes(rows, parameters) > DENSE_BYTES


def derivatives(network: AbstractStringNetwork, strings: Strings, matrix: csr_array) -> np.ndarray:
    """The derivative of `matrix` times the c_P of strings, `(rows, parameters)`: never that of all c_P at once."""
    by_column = matrix.tocsc()
    slopes = np.zeros((_rows(matrix), parameter_vector(network).size))
    for columns, _, part in string_derivatives(network, strings):
        slopes += by_column[:, columns[0] : columns[-1] + 1] @ part
    return slopes


def normal_equations(
    network: AbstractStringNetwork, strings: Strings, matrix: csr_array
) -> tuple[np.ndarray, Callable[[float], Solver]]:
    """D, and solvers by Cholesky for any damping."""
    slopes = derivatives(network, strings, matrix)
    normal = slopes.T @ slopes
    scale = _scale(np.diag(normal))

    def damped(damping: float) -> Solver:
        factor = cho_factor(normal + np.diag(damping * scale), check_finite=False)
        return lambda left: cho_solve(factor, slopes.T @ left, check_finite=False)

    return scale, damped


def matrix_free(
    network: AbstractStringNetwork,
    strings: Strings,
    matrix: csr_array,
    scale: np.ndarray | None = None,
    *,
    tolerance: float = SOLVED,
) -> tuple[np.ndarray, Callable[[float], Solver]]:
    """D, estimated unless it is given, and solvers by LSMR (Fong and Saunders, SIAM J. Sci. Comput. 33, 2950) in
    parameters that D makes alike: nothing is kept but vectors.
    """
    slopes, back = Slopes(network, strings), csr_array(matrix.T)
    shape = (_rows(matrix), slopes.shape[1])
    if scale is None:
        signs = np.random.default_rng(3).choice([-1.0, 1.0], size=(PROBES, shape[0]))
        scale = _scale(np.mean([slopes.back(back @ z) ** 2 for z in signs], axis=0))
    unit = 1 / np.sqrt(scale)
    parts: dict[str, Any] = {
        "dtype": np.float64,
        "matvec": lambda v: matrix @ slopes.along(unit * v.reshape(-1)),
        "rmatvec": lambda u: unit * slopes.back(back @ u.reshape(-1)),
    }
    product = LinearOperator(shape, **parts)

    def damped(damping: float) -> Solver:
        options = {"atol": tolerance, "btol": tolerance, "conlim": 0.0, "maxiter": PRODUCTS}
        return lambda left: unit * lsmr(product, left, damp=float(np.sqrt(damping)), **options)[0]

    return scale, damped


def _rows(matrix: csr_array) -> int:
    return len(matrix.indptr) - 1


def _scale(diagonal: np.ndarray) -> np.ndarray:
    return diagonal + 1e-8 * np.mean(diagonal) + 1e-300


def fit_values(network: AbstractStringNetwork, strings: Strings, values: np.ndarray, scale: np.ndarray) -> Fitted:
    """Min over theta of sum_P (scale_P (c_P(theta) - values_P))^2.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    up = np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    strings = co.all_strings(co.Symmetry(neurho.chain(2).translations, letters=4), 2)
    singlet = np.where(strings.letters[:, 0] == strings.letters[:, 1], -1.0, 0.0)  # <XX> = <YY> = <ZZ> = -1
    found = neurho.correlators.fit_values(network, strings, singlet, np.ones(9)).network
    assert np.allclose(co.networks.string_values(found, strings), singlet, atol=1e-2)
    ```
    """
    return implicit_step(network, strings, csr_array(diags_array(scale)), scale * values, 1e-3, iterations=FITS)


def implicit_step(
    network: AbstractStringNetwork,
    strings: Strings,
    matrix: csr_array,
    target: np.ndarray,
    damping: float,
    *,
    iterations: int = 1,
    enough: float = 0.0,
) -> Fitted:
    """Min over theta of | matrix c(theta) - target |, by a few iterations of Levenberg and Marquardt.

    A step that does not make it smaller is taken back and tried again with more damping. Derivatives that are
    factorised serve as long as they still halve what can be gained; it ends where |r| falls below `enough` or by less
    than a hundredth.
    """
    vector = np.asarray(parameter_vector(network))
    free = is_matrix_free(_rows(matrix), len(vector))
    linear, chords = (matrix_free, 0) if free else (normal_equations, CHORDS)

    def missing(theta: np.ndarray) -> np.ndarray:
        return matrix @ string_values(with_parameters(network, theta), strings) - target

    left = missing(vector)
    first = cost = float(left @ left)
    for _ in range(iterations):
        if cost <= enough**2:
            break
        begun = cost
        _, damped = linear(with_parameters(network, vector), strings, matrix)
        while damping < MOST_DAMPING:
            solve = damped(damping + 1e-12)
            moved = vector - solve(left)
            found = missing(moved)
            after = float(found @ found)
            if np.isfinite(after) and after < cost:
                gained, vector, left, cost = cost - after, moved, found, after
                damping = max(damping / 3, LEAST_DAMPING)
                for _ in range(chords):
                    moved = vector - solve(left)
                    found = missing(moved)
                    after = float(found @ found)
                    if not after < cost:
                        break
                    better, vector, left, cost = cost - after, moved, found, after
                    if better < 0.25 * gained:
                        break
                    gained = better
                break
            damping *= 4
        else:
            damping = 1.0
            break
        if cost > 0.98 * begun:
            break
    return Fitted(with_parameters(network, vector), damping, first, cost)
