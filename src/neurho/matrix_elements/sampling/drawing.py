"""Drawing as programs, which all that draws from a sampler in a run shares and compiles once."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from neurho._jax.compiling import program, rehearse
from neurho.matrix_elements.networks.base import AbstractAnsatz
from neurho.matrix_elements.sampling.base import AbstractSampler, Draw, DrawInfo
from neurho.matrix_elements.sampling.blur import Blurred
from neurho.matrix_elements.sampling.metropolis import Metropolis


def draw_samples(
    sampler: AbstractSampler, key: PRNGKeyArray, ansatz: AbstractAnsatz, chains: Int[Array, "chains sites"]
) -> tuple[Draw, Int[Array, "chains sites"], DrawInfo]:
    """`sampler.sample`; for blurred samples in two programs, of which the first also serves for plain ones."""
    if not isinstance(sampler, Blurred):
        return _sampled(sampler, key, ansatz, chains)
    draw, chains, info = _sampled(sampler.chain, key, ansatz, chains)
    return _blurred(sampler, key, ansatz, draw), chains, info


def rehearse_blur(sampler: AbstractSampler, ansatz: AbstractAnsatz) -> None:
    """Have the program compiled that `draw_samples` needs beside that of the chain."""
    if isinstance(sampler, Blurred):
        rehearse(_blurred, sampler, jax.random.key(0), ansatz, blank_draw(sampler))


def blank_draw(sampler: AbstractSampler) -> Draw | None:
    """Zeros in place of configurations and weights, to compile for; None where only drawing tells their shape."""
    chain = sampler.chain if isinstance(sampler, Blurred) else sampler
    if not isinstance(chain, Metropolis):
        return None
    size = (chain.draws, chain.chains)
    return Draw(x=jax.device_put(np.zeros((*size, chain.sites), np.int32)), weight=jax.device_put(np.zeros(size)))


@partial(program, loops=True)
def _sampled(
    sampler: AbstractSampler, key: PRNGKeyArray, ansatz: AbstractAnsatz, chains: Int[Array, "chains sites"]
) -> tuple[Draw, Int[Array, "chains sites"], DrawInfo]:
    return sampler.sample(key, ansatz.amplitudes(), chains)


@program
def _blurred(sampler: Blurred, key: PRNGKeyArray, ansatz: AbstractAnsatz, draw: Draw) -> Draw:
    return sampler.blur(key, ansatz.amplitudes(), draw)
