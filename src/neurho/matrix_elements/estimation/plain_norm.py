"""A second opinion on ||L rho||^2/||rho||^2: from the plain chain beside the blurred samples that the run itself uses.

Both estimate the same number. Plain samples miss configurations where rho is small and L rho is not, blurred ones do
not; where the two disagree such configurations matter, and all averages over p(l, r) without enough blur are too small.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Complex, Int, PRNGKeyArray

from neurho._jax.compiling import program
from neurho._jax.parallel import collect
from neurho._jax.scalars import Scalar
from neurho.matrix_elements.estimation.estimators import CHUNK, estimate, lindblad_values
from neurho.matrix_elements.generator import LabelMap
from neurho.matrix_elements.networks import AbstractAnsatz
from neurho.matrix_elements.sampling import AbstractSampler, Draw, draw_samples
from neurho.observables import Estimate


class PlainNorm(eqx.Module):
    """||L rho||^2/||rho||^2 from a sampler of |rho|^2 that is not blurred."""

    generator: LabelMap
    sampler: AbstractSampler
    chunk: int = eqx.field(static=True, default=CHUNK)

    def __call__(
        self, key: PRNGKeyArray, t: Scalar, ansatz: AbstractAnsatz, chains: Int[Array, "chains sites"]
    ) -> Estimate:
        """The estimate with its error; the chains of the run are read and not moved."""
        draw, _, _ = draw_samples(self.sampler, key, ansatz, chains)
        x = draw.x.reshape(-1, draw.x.shape[-1])
        local = lindblad_values(ansatz, self.generator, t, x, self.chunk)
        return _mean_square(local.reshape(draw.weight.shape), draw, exact=self.sampler.exact)


@program
def _mean_square(local: Complex[Array, "draws chains"], draw: Draw, *, exact: bool) -> Estimate:
    return collect(estimate(jnp.abs(local) ** 2, draw, exact=exact))
