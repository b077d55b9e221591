"""The Lindbladian between outcomes, and stationary probabilities of few spins by exact sums."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree
from scipy import optimize

from neurho._types import require
from neurho.matrix_elements.generator import lindbladian_terms
from neurho.model.operators import Lindbladian
from neurho.outcomes.frame import FROM_LABELS, TO_LABELS
from neurho.outcomes.recurrent import RecurrentOutcomes, all_log_probabilities

MAX_SITES = 9


class Rate(NamedTuple):
    """A local term: dp(a)/dt += sum_b matrix[a, b] p(b) over the outcomes of `sites`, whose sums over a are zero."""

    sites: tuple[int, ...]
    matrix: np.ndarray


def outcome_rates(lindbladian: Lindbladian, t: float | None = None) -> tuple[Rate, ...]:
    """The Lindbladian between outcomes, R[a, b] = Tr(M_a L[N_b]): real, terms with the same sites in one.

    ```python
    import neurho

    rates = neurho.outcomes.outcome_rates(neurho.xyz(neurho.chain(2)))
    assert len(rates) == 3  # of the bond and of the decay of each site
    ```

    **Arguments**

    - `t`: the time of coefficients, where they depend on it.

    **Raises** `NeurhoError` for sites that are no spins 1/2, and where coefficients depend on time and `t` is missing.
    """
    require(
        t is not None or not lindbladian.is_time_dependent, "t", "be given where L depends on time", "it is missing"
    )
    return rates_in_time(lindbladian)(0.0 if t is None else t)


def rates_in_time(lindbladian: Lindbladian) -> Callable[[float], tuple[Rate, ...]]:
    """The Lindbladian between outcomes as a function of time; what belongs to every coefficient is made once."""
    dim = lindbladian.local_dim
    require(dim == 2, "lindbladian", "act on spins", f"its sites have {dim} levels")
    terms, coefficients = lindbladian_terms(lindbladian)
    found: dict[tuple[int, ...], np.ndarray] = {}
    for term in terms:
        forward, backward = (reduce(np.kron, [m] * len(term.sites)) for m in (FROM_LABELS, TO_LABELS))
        moved = forward @ term.matrix @ backward
        parts = found.setdefault(term.sites, np.zeros((len(coefficients), *moved.shape), complex))
        parts[term.channel] += moved

    def at(t: float) -> tuple[Rate, ...]:
        if lindbladian.hermitian_at is not None:
            lindbladian.hermitian_at(t)
        values = np.array([1.0 if f is None else f(t) for f in coefficients], complex)
        return tuple(Rate(sites, np.real(np.tensordot(values, parts, axes=1))) for sites, parts in found.items())

    return at


def applied(rates: tuple[Rate, ...], p: Float[Array, " outcomes"], sites: int) -> Float[Array, " outcomes"]:
    """dp/dt of all outcomes."""
    table, total = p.reshape((4,) * sites), jnp.zeros((4,) * sites)
    for where, matrix in rates:
        k = len(where)
        local = jnp.asarray(matrix.reshape((4,) * (2 * k)))
        moved = jnp.tensordot(local, table, axes=(tuple(range(k, 2 * k)), where))
        total = total + jnp.moveaxis(moved, tuple(range(k)), where)
    return total.reshape(-1)


def outcome_residual(
    rates: tuple[Rate, ...], p: Float[Array | np.ndarray, " outcomes"], sites: int
) -> Float[Array, ""]:
    """sum_a (dp(a)/dt)^2 / sum_a p(a)^2: ||L rho||^2/||rho||^2 in the depolarised norm with lambda = 1/3.

    ```python
    import neurho

    dark = neurho.xyz(neurho.chain(2), coupling=(1, 1, 1))  # all down is stationary
    p = neurho.outcomes.from_matrix(neurho.exact.product_state("down", 2), 2)
    assert neurho.outcomes.outcome_residual(neurho.outcomes.outcome_rates(dark), p, 2) < 1e-10
    ```
    """
    p = jnp.asarray(p)
    return jnp.sum(applied(rates, p, sites) ** 2) / jnp.sum(p**2)


class Minimum(NamedTuple):
    """Parameters with the least cost, that cost, and whether the last search ended by itself."""

    parameters: PyTree
    cost: float
    converged: bool


def minimised(
    cost: Callable[[PyTree], Array],
    *starts: PyTree,
    iterations: int = 1000,
    stop: Callable[[], bool] = lambda: False,
    flat: tuple[int, float] | None = None,
) -> Minimum:
    """The least cost that L-BFGS (SciPy) finds from several starts, pytrees of real arrays of the same shapes.

    `stop` is asked after every iteration and before every further start. A search has converged where SciPy says so,
    or where the last `flat[0]` iterations lowered the cost by less than a share `flat[1]`.

    ```python
    import jax.numpy as jnp
    import neurho

    found = neurho.outcomes.minimised(lambda x: jnp.sum((x - 2.0) ** 2), jnp.zeros(3))
    assert abs(found.cost) < 1e-10
    ```
    """
    restore = ravel_pytree(starts[0])[1]
    gradient = jax.jit(jax.value_and_grad(lambda v: cost(restore(v))))
    best = Minimum(starts[0], np.inf, converged=False)

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = gradient(jnp.asarray(v))
        return float(value), np.asarray(slope)

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-10}
    for start in starts:
        found, ended = _searched(objective, np.asarray(ravel_pytree(start)[0]), options, stop, flat)
        if found.fun < best.cost:
            best = Minimum(restore(jnp.asarray(found.x)), float(found.fun), converged=ended)
        if stop():
            break
    return best


def _searched(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]],
    vector: np.ndarray,
    options: dict[str, float],
    stop: Callable[[], bool],
    flat: tuple[int, float] | None,
) -> tuple[optimize.OptimizeResult, bool]:
    """One search, and whether it has converged."""
    costs: list[float] = []

    def watch(intermediate_result: optimize.OptimizeResult) -> None:
        costs.append(float(intermediate_result.fun))
        if _is_flat(costs, flat) or stop():
            raise StopIteration

    found = optimize.minimize(objective, vector, jac=True, method="L-BFGS-B", callback=watch, options=options)
    return found, bool(found.success) or _is_flat(costs, flat)


def _is_flat(costs: list[float], flat: tuple[int, float] | None) -> bool:
    """Whether the last iterations have hardly lowered the cost."""
    return flat is not None and len(costs) > flat[0] and costs[-1 - flat[0]] - costs[-1] < flat[1] * costs[-1]


def stationary_outcomes(
    lindbladian: Lindbladian, network: RecurrentOutcomes, *, iterations: int = 1000
) -> tuple[RecurrentOutcomes, float]:
    """The network nearest to stationary, by minimising ||dp/dt||^2/||p||^2 with exact sums over all 4^N outcomes.

    ```python
    import jax
    import neurho

    network = neurho.outcomes.random_recurrent(jax.random.key(0), 1, hidden=2)
    _, left = neurho.outcomes.stationary_outcomes(neurho.heisenberg(neurho.chain(1), decay=1.0), network, iterations=30)
    assert left < 0.1
    ```

    **Returns** the network and what is left of ||dp/dt||^2/||p||^2.

    **Raises** `NeurhoError` for more than 9 spins, and as `outcome_rates` does.
    """
    sites = network.sites
    require(sites <= MAX_SITES, "network", f"have at most {MAX_SITES} sites for exact sums", f"it has {sites}")
    require(not lindbladian.is_time_dependent, "lindbladian", "not depend on time", "it has a coefficient f(t)")
    require(sites == lindbladian.sites, "network", f"have {lindbladian.sites} sites, as L", f"it has {sites}")
    rates = outcome_rates(lindbladian)
    leaves, rest = eqx.partition(network, eqx.is_inexact_array)

    def cost(leaves: PyTree) -> Array:
        return outcome_residual(rates, jnp.exp(all_log_probabilities(eqx.combine(leaves, rest))), sites)

    best = minimised(cost, leaves, iterations=iterations)
    return eqx.combine(best.parameters, rest), best.cost
