"""The chains with which a run begins."""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._jax.compiling import beside, program, require_double
from neurho._jax.parallel import replicate
from neurho.matrix_elements.networks.base import AbstractAnsatz
from neurho.matrix_elements.sampling.base import AbstractSampler
from neurho.matrix_elements.sampling.blur import Blurred
from neurho.matrix_elements.sampling.drawing import draw_samples, rehearse_blur
from neurho.matrix_elements.sampling.metropolis import Metropolis


def start_chains(
    seed: int,
    full: AbstractSampler,
    diagonal: AbstractSampler,
    ansatz: AbstractAnsatz,
    meanwhile: Callable[[], None] = lambda: None,
) -> tuple[Int[Array, "chains sites"], Int[Array, "chains sites"]]:
    """The chains of p(l, r) and of q(l) with which a run begins, after their warm-up; `meanwhile` may have programs
    compiled that the run will need.

    **Raises** `NeurhoError` unless JAX computes in double precision.
    """
    require_double()
    key = jax.random.fold_in(jax.random.key(seed), 0)
    second = beside(lambda: _warm(diagonal, jax.random.fold_in(key, 1), ansatz))
    meanwhile()
    first = _warm(full, jax.random.fold_in(key, 0), ansatz)
    return first, second()


def _warm(sampler: AbstractSampler, key: PRNGKeyArray, ansatz: AbstractAnsatz) -> Int[Array, "chains sites"]:
    """Chains after at least `warmup` sweeps, made by the program that samples: another one would take seconds to
    compile.
    """
    chain = sampler.chain if isinstance(sampler, Blurred) else sampler
    if not isinstance(chain, Metropolis):
        return eqx.filter_jit(lambda sampler, k, a: sampler.init(k, a))(sampler, key, ansatz.amplitudes())
    rehearse_blur(sampler, ansatz)
    chains, run = _scattered(chain, key)
    chains = replicate(chains)
    for number in range(-(-chain.warmup // (chain.draws * chain.sweeps))):
        _, chains, _ = draw_samples(chain, jax.random.fold_in(run, number), ansatz, chains)
    return chains


@program
def _scattered(chain: Metropolis, key: PRNGKeyArray) -> tuple[Int[Array, "chains sites"], PRNGKeyArray]:
    """Chains anywhere, and a key to go on with."""
    begin, run = jax.random.split(key)
    return chain.scatter(begin), run
