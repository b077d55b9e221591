"""The network nearest to another one: an implicit step of length zero, by Gauss-Newton corrections on samples."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._types import Numbers, require, require_whole
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.estimation.estimators import comparison
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import AbstractAnsatz, as_key, network_of, parameters, product_state
from neurho.matrix_elements.networks.base import Network
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import (
    AbstractSampler,
    draw_samples,
    enumerate_all,
    enumerate_diagonal,
    start_chains,
)
from neurho.model.bloch import bloch_vectors
from neurho.model.lattice import Lattice, chain
from neurho.model.models import heisenberg

INSTANT = 1e-9
"""Length of a step in which nothing moves."""
CLOSE = 1e-12
"""Square of the relative distance at which a fit is good."""
DAMPING = 1e-4
"""Of the first correction, relative to the mean diagonal entry of the normal matrix."""
LEAST, MOST = 1e-8, 1e4


def fitted(
    implicit: Implicit,
    guess: AbstractAnsatz,
    target: AbstractAnsatz,
    chains: Int[Array, "chains sites"],
    key: PRNGKeyArray,
    *,
    corrections: int,
) -> AbstractAnsatz:
    """The network that minimises min_c ||rho - c sigma||^2/||rho||^2 in the norm of `implicit`, from `guess` on, with
    the sigma of `target`.

    The parameters that move least do the work, so that the noise of hidden units stays while what it cost is undone.
    Where sigma is in the reach of the network all samples say so, and the fit has no noise of theirs. A correction that
    made things worse on fresh samples is taken back.

    **Arguments**

    - `chains`: those of `guess`; `corrections`: how many at most.
    """
    t, dt = jnp.asarray(0.0, dtype=float), jnp.asarray(INSTANT, dtype=float)
    probe = implicit.probe(jax.random.fold_in(key, 0), t, dt, guess, target, chains)
    best, smallest, damping = guess, float(probe.misfit.mean), DAMPING
    for number in range(corrections):
        if smallest < CLOSE or damping > MOST:
            break
        vector, restore = parameters(best)
        delta = implicit.correct(t, dt, jnp.asarray(damping, dtype=float), best, target, probe).delta
        trial = restore(vector + delta)
        found = implicit.probe(jax.random.fold_in(key, number + 1), t, dt, trial, target, probe.chains)
        misfit = float(found.misfit.mean)
        if misfit < smallest:
            best, probe, smallest, damping = trial, found, misfit, max(damping / 5, LEAST)
        else:
            damping *= 10
    return best


class Fitted(NamedTuple):
    """A network moved to a product state, and how far from it it is.

    - `target`: the product state (at a pole tilted, see [`neurho.networks.product_state`][]).
    - `distance`: ||rho - sigma||/||sigma|| of the network from `target`, both of trace one; `infidelity`: 1 - (tr rho
      sigma)^2/(tr rho^2 tr sigma^2).
    """

    ansatz: AbstractAnsatz
    target: AbstractAnsatz
    distance: float
    infidelity: float


def fitted_product(
    ansatz: Network,
    bloch: str | Numbers,
    sites: int | Lattice | None = None,
    *,
    corrections: int = 30,
    tilt: float = 1e-3,
    metric: float = 1.0,
    samplers: tuple[AbstractSampler, AbstractSampler] | None = None,
    key: PRNGKeyArray | int = 0,
) -> Fitted:
    """A network of spins 1/2, of any kind, moved as close to a product state as `corrections` take it.

    For networks that hold no product state by construction, such as those of
    [`from_module`][neurho.matrix_elements.networks.from_module]. Look at `distance`: a network may be unable to hold
    the state.

    ```python
    import jax
    import neurho

    jax.config.update("jax_enable_x64", True)

    network = neurho.networks.random_mpdo(jax.random.key(0), 2, bond=1)
    start = neurho.networks.fitted_product(network, (0.0, 0.6, 0.8))
    assert start.distance < 0.1
    ```

    **Arguments**

    - `bloch`: as in [`neurho.networks.product_state`][]; `sites`: a lattice, along whose bonds "neel" alternates.
    - `metric`: lambda of the norm in which it is close, see `neurho.matrix_elements.estimation.depolarised`; others
      than 1 need exact sums. `distance` stays in the Hilbert-Schmidt norm.
    - `samplers`: of p(l, r) and of q(l), as `metropolis(...)` and `metropolis_diagonal(...)` give; by default exact
      sums.

    **Raises** `NeurhoError` for sites that are no spins 1/2 and as `product_state` does.
    """
    network = network_of(ansatz)
    count = network.sites
    require(network.local_dim == 2, "ansatz", "have spins 1/2 for sites", f"they have {network.local_dim} levels")
    require_whole(corrections, "corrections", 1)
    where = count if sites is None else sites
    vectors = bloch_vectors(bloch, where)
    target = product_state(as_key(key), vectors, count, hidden=0, mixing=count, noise=0.0, tilt=tilt).target
    full, diagonal = samplers or (enumerate_all(count, hermitian=network.hermitian), enumerate_diagonal(count))
    norm = None if metric == 1 else Depolarised.build(metric, full)
    implicit = Implicit(generator=lindbladian_map(heisenberg(chain(count))), sampler=full, weight=0.5, norm=norm)
    chains = start_chains(0, full, diagonal, network)
    found = fitted(implicit, network, target, chains[0], as_key(key), corrections=corrections)
    chains = start_chains(0, full, diagonal, found)
    pairs = zip((full, diagonal), chains, strict=True)
    draws = [draw_samples(sampler, as_key(key), found, begin)[0] for sampler, begin in pairs]
    apart = comparison(found, target, *draws)
    infidelity = max(0.0, 1 - float(apart.overlap))
    return Fitted(ansatz=found, target=target, distance=float(apart.distance), infidelity=infidelity)
