"""The spectrum of the metric S (quantum geometric tensor) at one state: how many directions the network really has."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from neurho._jax.compiling import program
from neurho._types import require
from neurho.matrix_elements.estimation.estimators import CHUNK
from neurho.matrix_elements.networks import AbstractAnsatz, parameter_count
from neurho.matrix_elements.sampling import AbstractSampler
from neurho.matrix_elements.tdvp.metric import Metric

MAX_PARAMETERS = 3000
"""Largest S that is taken apart: 72 MB, some seconds."""


def metric_spectrum(
    sampler: AbstractSampler, ansatz: AbstractAnsatz, key: PRNGKeyArray, *, chunk: int = CHUNK
) -> Float[np.ndarray, " parameters"]:
    """Eigenvalues of S = Re <O_k* O_p> - Re <O_k>* <O_p> (PRL 122, 250502, Eq. 9), the largest first.

    S is estimated from one draw of new chains of `sampler` (exactly, by enumeration). From n samples no more than
    2 n eigenvalues differ from zero. Rounding leaves some of those that are zero slightly negative.

    **Raises** `NeurhoError` for more than 3000 parameters.
    """
    count = parameter_count(ansatz)
    require(
        count <= MAX_PARAMETERS, "ansatz", f"have at most {MAX_PARAMETERS} parameters for a spectrum", f"it has {count}"
    )
    matrix = np.asarray(_metric(sampler, ansatz, key, chunk))
    return np.linalg.eigvalsh(matrix)[::-1]


@program
def _metric(
    sampler: AbstractSampler, ansatz: AbstractAnsatz, key: PRNGKeyArray, chunk: int
) -> Float[Array, "parameters parameters"]:
    first, second = jax.random.split(key)
    amplitudes = ansatz.amplitudes()
    draw, _, _ = sampler.sample(second, amplitudes, sampler.init(first, amplitudes))
    x, weight = draw.x.reshape(-1, draw.x.shape[-1]), draw.weight.reshape(-1)
    local = jnp.zeros(len(x), dtype=complex)
    return Metric.build(ansatz, x, weight, local, exact=sampler.exact, chunk=chunk).matrix()
