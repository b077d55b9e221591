"""The right-hand side of the flow: sample, estimate, assemble, solve. The page to read first.

rho_alpha(t):   S(alpha) d alpha/dt = f(alpha)            Hartmann & Carleo, PRL 122, 250502, Eqs. 3-11
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from neurho._jax.compiling import program, rehearse
from neurho._jax.parallel import collect
from neurho._jax.scalars import Scalar
from neurho.matrix_elements.estimation.depolarised import Depolarised
from neurho.matrix_elements.estimation.estimators import CHUNK, convergence, estimate, fixed_values, lindblad_values
from neurho.matrix_elements.estimation.strata import Sectors, sectors_of
from neurho.matrix_elements.generator import LabelMap
from neurho.matrix_elements.networks import AbstractAnsatz, parameter_count
from neurho.matrix_elements.sampling import AbstractSampler, Draw, blank_draw, draw_samples, effective_sample_size
from neurho.matrix_elements.tdvp.metric import AbstractMetric, Metric
from neurho.matrix_elements.tdvp.row_metric import RowMetric
from neurho.matrix_elements.tdvp.solvers import AbstractSolver, Solution
from neurho.observables import Estimate


class Certificate(NamedTuple):
    """How far a state is from stationarity, and how far to trust the samples that say so.

    `delta_l` = <|L_loc|>_p (Eq. 18) and `lindblad_norm2` = <|L_loc|^2>_p = ||L rho||^2/||rho||^2, with errors;
    `norm2_ess`, the effective number (Kish) of samples that the latter rests on; `sectors`, where both come from.
    """

    delta_l: Estimate
    lindblad_norm2: Estimate
    r_hat: Float[Array, ""]
    tau: Float[Array, ""]
    ess: Float[Array, ""]
    acceptance: Float[Array, ""]
    norm2_ess: Float[Array, ""]
    sectors: Sectors


@program
def certificate_of(
    local: Complex[Array, "draws chains"], draw: Draw, *, exact: bool, local_dim: int = 2
) -> Certificate:
    """The certificate from L_loc at samples of |rho|^2, without the acceptance."""
    size = jnp.abs(local)
    mixing = convergence(size, exact=exact)
    certificate = Certificate(
        delta_l=estimate(size, draw, exact=exact),
        lindblad_norm2=estimate(size**2, draw, exact=exact),
        r_hat=mixing.r_hat,
        tau=mixing.tau,
        ess=effective_sample_size(draw.weight),
        acceptance=jnp.full((), jnp.nan),
        norm2_ess=effective_sample_size(draw.weight * size**2),
        sectors=sectors_of(size, draw, local_dim),
    )
    return collect(certificate)


def rehearse_local(
    generator: LabelMap, sampler: AbstractSampler, t: Scalar, ansatz: AbstractAnsatz, draw: Draw, chunk: int
) -> Complex[Array, "draws chains"]:
    """Have the programs of L_loc and its certificate compiled for samples like `draw`; zeros in place of L_loc."""
    local = jax.device_put(np.zeros(draw.weight.shape, dtype=complex))
    rehearse(fixed_values, ansatz, generator.at_time(t), draw.x.reshape(-1, draw.x.shape[-1]), chunk)
    rehearse(certificate_of, local, draw, exact=sampler.exact, local_dim=generator.local_dim)
    return local


class Rates(NamedTuple):
    """What one evaluation of the right-hand side leaves behind."""

    velocity: Float[Array, " parameters"]
    chains: Int[Array, "chains sites"]
    metric: AbstractMetric
    residual: Float[Array, ""]
    rank: Float[Array, ""]
    certificate: Certificate
    ridge: Float[Array, ""] | None = None


class TDVP(eqx.Module):
    """The right-hand side `(key, t, ansatz, chains) -> Rates` of the time-dependent variational principle.

    ```python
    import neurho

    rhs = neurho.methods.TDVP(
        generator=neurho.methods.lindbladian_map(neurho.xyz(neurho.chain(2))),
        sampler=neurho.samplers.enumerate_all(2),
        solver=neurho.solvers.Ridge(),
    )
    assert rhs.centred
    ```

    - `generator`: the Lindbladian on labels.
    - `sampler`: draws from p(l, r) = |rho(l, r)|^2.
    - `solver`: regularises and solves S v = f.
    - `centred`: the Fubini-Study norm (default) or the plain one.
    - `chunk`: samples worked on at once; bounds memory.
    - `norm`: the one in which the distance of d rho/dt from L rho is smallest; None for the Hilbert-Schmidt norm. Only
      exact sums know another. Certificates stay in the Hilbert-Schmidt norm.
    """

    generator: LabelMap
    sampler: AbstractSampler
    solver: AbstractSolver
    centred: bool = eqx.field(static=True, default=True)
    chunk: int = eqx.field(static=True, default=CHUNK)
    norm: Depolarised | None = None

    def __call__(
        self,
        key: PRNGKeyArray,
        t: Scalar,
        ansatz: AbstractAnsatz,
        chains: Int[Array, "chains sites"],
        guess: Float[Array, " parameters"] | None = None,
    ) -> Rates:
        """D alpha/dt at one point, with everything that was learnt on the way; `guess` is a velocity close by.

        Three programs: `certify` and the start of a run share the first two with it.
        """
        draw, chains, info = draw_samples(self.sampler, key, ansatz, chains)
        local, certificate = self._estimate(t, ansatz, draw)
        metric, solution = self._solve(ansatz, draw, local, guess)
        return Rates(
            velocity=solution.velocity,
            chains=chains,
            metric=metric,
            residual=solution.residual,
            rank=solution.rank,
            certificate=certificate._replace(acceptance=info.acceptance),
            ridge=solution.ridge,
        )

    def rehearse(self, t: Scalar, ansatz: AbstractAnsatz) -> None:
        """Have the programs of a right-hand side compiled that come after the samples."""
        if (draw := blank_draw(self.sampler)) is None:
            return
        local = rehearse_local(self.generator, self.sampler, t, ansatz, draw, self.chunk)
        rehearse(TDVP._solve, self, ansatz, draw, local, jax.device_put(np.zeros(parameter_count(ansatz))))

    def assemble(
        self, t: Scalar, ansatz: AbstractAnsatz, draw: Draw, guess: Float[Array, " parameters"] | None = None
    ) -> tuple[AbstractMetric, Certificate]:
        """The least-squares problem of one set of samples, and their certificate (its acceptance is not known here)."""
        local, certificate = self._estimate(t, ansatz, draw)
        return self._metric(ansatz, draw, local, guess), certificate

    @program
    def _solve(
        self, ansatz: AbstractAnsatz, draw: Draw, local: Array, guess: Array | None
    ) -> tuple[AbstractMetric, Solution]:
        """The least-squares problem and its solution."""
        metric = self._metric(ansatz, draw, local, guess)
        return collect((metric, self.solver(metric)))

    def _metric(self, ansatz: AbstractAnsatz, draw: Draw, local: Array, guess: Array | None) -> AbstractMetric:
        # Chain by chain: contiguous blocks of samples are then independent.
        x, weight, local = (jnp.swapaxes(a, 0, 1) for a in (draw.x, draw.weight, local))
        x = x.reshape(-1, x.shape[-1])
        if self.norm is not None:
            return RowMetric.build(
                ansatz, self.norm, x, local.reshape(-1), centred=self.centred, chunk=self.chunk, guess=guess
            )
        return Metric.build(
            ansatz,
            x,
            weight.reshape(-1),
            local.reshape(-1),
            centred=self.centred,
            exact=self.sampler.exact,
            chunk=self.chunk,
            guess=guess,
        )

    def certify(
        self, key: PRNGKeyArray, t: Scalar, ansatz: AbstractAnsatz, chains: Int[Array, "chains sites"]
    ) -> Certificate:
        """Only the certificate of a state."""
        draw, _, info = draw_samples(self.sampler, key, ansatz, chains)
        return self._estimate(t, ansatz, draw)[1]._replace(acceptance=info.acceptance)

    def _estimate(
        self, t: Scalar, ansatz: AbstractAnsatz, draw: Draw
    ) -> tuple[Complex[Array, "draws chains"], Certificate]:
        """Local values of the Lindbladian and what they say."""
        x = draw.x.reshape(-1, draw.x.shape[-1])
        local = lindblad_values(ansatz, self.generator, t, x, self.chunk).reshape(draw.weight.shape)
        return local, certificate_of(local, draw, exact=self.sampler.exact, local_dim=self.generator.local_dim)
