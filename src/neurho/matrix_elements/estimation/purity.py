"""Purity and Renyi-2 entropy from samples of q(l) = rho(l, l) alone, by swapping two replicas:

Tr rho^2/(Tr rho)^2 = < |rho(l, r)|^2 / (rho(l, l) rho(r, r)) >,   l and r independent, each from q

(M. B. Hastings et al., PRL 104, 157201 (2010), there for pure states.) In a positive rho every term lies between 0 and
1, so that no rare large term can spoil the mean. The number of samples that a relative error needs still grows as
1/purity: a state as mixed as 2^N levels allow needs of the order of 2^N pairs of samples before one of them counts.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurho._jax.parallel import map_samples
from neurho.matrix_elements.estimation.estimators import estimate
from neurho.matrix_elements.networks import AbstractAnsatz
from neurho.matrix_elements.sampling import Draw
from neurho.observables import Estimate
from neurho.observables.names import PURITY, RENYI2

GROUP = 16
"""Chains that are paired with each other: larger groups give more pairs, smaller ones more independent blocks."""

RELATIVE_ERROR = 0.5
"""A purity with a larger relative error is not given."""

MIN_TERMS = 10.0
"""Nor is one that rests on fewer terms, for its error is then not known either."""


class Purity(NamedTuple):
    """Tr rho^2/(Tr rho)^2 with its standard error, and the effective number (Kish) of terms that it rests on."""

    value: Estimate
    terms: Float[Array, ""]


def estimate_purity(ansatz: AbstractAnsatz, draw: Draw, *, exact: bool, chunk: int) -> Purity:
    """The purity from a draw of diagonal configurations (d + 1) l_j.

    Samples of one group of chains are paired with each other, all pairs of every draw, and groups are the independent
    blocks of the error. An exact sum takes all pairs of configurations.

    With a single chain there is no pair, and the value is NaN.
    """
    draws, chains = draw.weight.shape
    groups = 1 if exact else max(1, chains // GROUP)
    size = chains // groups
    used = groups * size
    left, right = (np.arange(size).repeat(size), np.tile(np.arange(size), size)) if exact else np.triu_indices(size, 1)
    if not len(left):
        nan = jnp.full((), jnp.nan)
        return Purity(value=Estimate(mean=nan, error=nan), terms=jnp.zeros(()))
    x = draw.x[:, :used].reshape(draws * groups, size, -1)
    weight = draw.weight[:, :used].reshape(draws * groups, size)
    levels = x // (ansatz.local_dim + 1)
    diagonal = jax.vmap(jax.vmap(ansatz.log_amplitude))(x).real

    def one(levels: Array, diagonal: Array, weight: Array) -> tuple[Array, Array, Array]:
        log_rho = jax.vmap(ansatz.log_amplitude)(levels[left] * ansatz.local_dim + levels[right]).real
        terms = jnp.exp(2 * log_rho - diagonal[left] - diagonal[right])
        pair = weight[left] * weight[right]
        return jnp.sum(pair), jnp.sum(pair * terms), jnp.sum((pair * terms) ** 2)

    pairs, sums, squares = map_samples(one, (levels, diagonal, weight), max(1, chunk // len(left)))
    blocks = Draw(x=x[:, 0].reshape(draws, groups, -1), weight=(pairs / jnp.sum(pairs)).reshape(draws, groups))
    value = estimate((sums / pairs).reshape(draws, groups), blocks, exact=exact)
    total = jnp.sum(squares)
    # Samples are from |rho(l, l)|: the trace is smaller than the sum of moduli by |<phase>|.
    phase = jnp.exp(1j * jax.vmap(jax.vmap(ansatz.log_amplitude))(x).imag)
    whole = jnp.abs(jnp.sum(weight * phase) / jnp.sum(weight)) ** 2
    value = Estimate(mean=value.mean / whole, error=value.error / whole)
    return Purity(value=value, terms=jnp.where(total > 0, jnp.sum(sums) ** 2 / jnp.where(total > 0, total, 1), 0.0))


def is_known(purity: Purity, *, exact: bool) -> bool:
    """Whether the value is worth anything."""
    mean, error = float(purity.value.mean), float(purity.value.error)
    if exact:
        return True
    return mean > 0 and error <= RELATIVE_ERROR * mean and float(purity.terms) >= MIN_TERMS


def with_entropy(purity: Purity) -> dict[str, Estimate]:
    """`purity` and `renyi2` = -ln(purity) in nats, with errors to first order."""
    mean, error = (np.asarray(a) for a in purity.value)
    entropy = Estimate(mean=-np.log(mean), error=error / mean)
    return {PURITY: Estimate(mean=mean, error=error), RENYI2: entropy}


def missing_sentence(purity: Purity) -> str:
    """Why no purity is given."""
    return (
        f"The purity is not known: {float(purity.terms):.1f} effective pairs of samples of q(l) overlap, so that its "
        f"relative error is above {RELATIVE_ERROR:.0%} or cannot be told. The state is too mixed for so few samples; "
        "give more sampling.diagonal_samples, in at least two chains."
    )
