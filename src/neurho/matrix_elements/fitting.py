"""The network nearest to another one: an implicit step of length zero, by Gauss-Newton corrections on samples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from neurho.matrix_elements.networks import AbstractAnsatz, parameters
from neurho.matrix_elements.projection import Implicit

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
    """The network that minimises min_c ||rho - c sigma||^2/||rho||^2 from `guess` on, with the sigma of `target`.

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
