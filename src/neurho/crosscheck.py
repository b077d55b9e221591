"""A second opinion on ||L rho||^2/||rho||^2: from the plain chain beside the blurred samples that the run itself uses.

Both estimate the same number. Plain samples miss configurations where rho is small and L rho is not, blurred ones do
not; where the two disagree such configurations matter, and all averages over p(l, r) without enough blur are too small.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from neurho.ansatz import AbstractAnsatz
from neurho.estimators import CHUNK, Estimate, estimate, local_values
from neurho.generator import LabelMap
from neurho.parallel import collect
from neurho.sampling import AbstractSampler


class PlainNorm(eqx.Module):
    """||L rho||^2/||rho||^2 from a sampler of |rho|^2 that is not blurred."""

    generator: LabelMap
    sampler: AbstractSampler
    chunk: int = eqx.field(static=True, default=CHUNK)

    @eqx.filter_jit
    def __call__(
        self, key: PRNGKeyArray, t: Any, ansatz: AbstractAnsatz, chains: Int[Array, "chains sites"]
    ) -> Estimate:
        """The estimate with its error; the chains of the run are read and not moved."""
        amplitudes = ansatz.amplitudes()
        draw, _, _ = self.sampler.sample(key, amplitudes, chains)
        x = draw.x.reshape(-1, draw.x.shape[-1])
        local = local_values(amplitudes, self.generator.at_time(t), x, chunk=self.chunk)[:, 0]
        squares = (jnp.abs(local) ** 2).reshape(draw.weight.shape)
        return collect(estimate(squares, draw, exact=self.sampler.exact))
