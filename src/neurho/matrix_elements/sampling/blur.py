"""Blurred sampling: against the bias of estimates where rho is small but L rho is not.

Local values of the Lindbladian are large where rho(x) is small and a neighbour is not. Such x are hardly ever sampled
from |rho|^2: the force
that would make rho grow there is missing, and ||L rho||^2 looks too small. So, after the chain, replace a sample with
probability q by the result of one random move. With symmetric moves of probabilities P_m the density is still known,

    p~(x) = p(x) [1 - q + q sum_m P_m |rho(x_m)/rho(x)|^beta],        p(x) ~ |rho(x)|^beta,

and averages over |rho|^2 take the weights |rho(x)|^2/p~(x). (Cf. arXiv:2305.14294.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from neurho._jax.parallel import map_samples
from neurho._types import require
from neurho.matrix_elements.distinct import at_each
from neurho.matrix_elements.networks.base import AbstractAmplitudes, prepare_changes
from neurho.matrix_elements.sampling.base import AbstractSampler, Draw, DrawInfo
from neurho.matrix_elements.sampling.metropolis import Metropolis
from neurho.matrix_elements.sampling.moves import Moves

CHUNK = 1024


class Blurred(AbstractSampler):
    """A Metropolis sampler whose samples are moved with probability `fraction` = q by one of the chain's own moves.

    All instances of all moves are equally likely. The chains themselves go on unmoved. Another fraction compiles
    nothing again; with 0 the samples are those of the chain.

    ```python
    import neurho

    chain = neurho.samplers.metropolis(neurho.chain(4), samples=64, chains=16, exponent=1.0)
    sampler = neurho.samplers.Blurred(chain=chain, fraction=0.3)
    assert not sampler.exact
    ```
    """

    chain: Metropolis
    fraction: Float[Array, ""] = eqx.field(converter=lambda value: jax.device_put(np.asarray(value, dtype=float)))
    exact: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        require(0 <= float(self.fraction) < 1, "fraction", "lie in [0, 1)", f"it is {self.fraction}")

    def init(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes) -> Int[Array, "chains sites"]:
        """The chains after their warm-up."""
        return self.chain.init(key, amplitudes)

    def sample(
        self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, chains: Int[Array, "chains sites"]
    ) -> tuple[Draw, Int[Array, "chains sites"], DrawInfo]:
        """Draw from the chains, move some of the samples, and weigh all of them."""
        draw, chains, info = self.chain.sample(key, amplitudes, chains)
        return self.blur(key, amplitudes, draw), chains, info

    def blur(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, draw: Draw) -> Draw:
        """Some of the samples of the chain moved, and all of them weighed."""
        x = draw.x.reshape(-1, draw.x.shape[-1])
        x = self._move(jax.random.fold_in(key, 1), x)
        dim = self.chain.local_dim**2
        tables = [prepare_changes(amplitudes, m.sites, m.labels[None], dim) for m in self.chain.moves]

        def log_weight(x: Array) -> Array:
            near = self._neighbours(amplitudes, tables, x)
            rest = self.chain.rest(amplitudes.log_amplitude(x).real)
            return rest - jnp.log(1 - self.fraction + self.fraction * near)

        logs = at_each(lambda x: map_samples(log_weight, (x,), CHUNK), x, dim)
        weight = jax.nn.softmax(logs).reshape(draw.weight.shape)
        return Draw(x=x.reshape(draw.x.shape), weight=weight)

    def _move(self, key: PRNGKeyArray, x: Int[Array, "samples sites"]) -> Int[Array, "samples sites"]:
        """Some of the samples after one move each. Random numbers are drawn for all at once: that compiles faster."""
        count = sum(len(m.sites) for m in self.chain.moves)
        coin, which, choice = jax.random.uniform(key, (3, len(x)))
        number = jnp.minimum((count * which).astype(jnp.int32), count - 1)
        return jnp.where((coin < self.fraction)[:, None], jax.vmap(self._moved)(number, choice, x), x)

    def _moved(self, number: Int[Array, ""], choice: Float[Array, ""], x: Int[Array, " sites"]) -> Int[Array, " sites"]:
        """`x` after the instance `number` of all moves."""
        moved, begin = x, 0
        for moves in self.chain.moves:
            here = (number >= begin) & (number < begin + len(moves.sites))
            sites = moves.sites[jnp.clip(number - begin, 0, len(moves.sites) - 1)]
            local = _local_index(x, sites, self.chain.local_dim**2)
            new = moves.labels[local, jnp.sum(choice >= moves.cumulative[:-1])]
            moved = jnp.where(here, x.at[sites].set(new), moved)
            begin += len(moves.sites)
        return moved

    def _neighbours(
        self, amplitudes: AbstractAmplitudes, tables: list[PyTree], x: Int[Array, " sites"]
    ) -> Float[Array, ""]:
        """sum_m P_m |rho(x_m)/rho(x)|^beta."""
        cache, total = amplitudes.cache(x), jnp.zeros(())
        count = sum(len(m.sites) for m in self.chain.moves)
        for moves, table in zip(self.chain.moves, tables, strict=True):

            def instance(near: Array, inputs: tuple, moves: Moves = moves) -> tuple[Array, None]:
                sites, rows = inputs
                local = _local_index(x, sites, self.chain.local_dim**2)
                logs = jax.vmap(lambda c: amplitudes.ratio(cache, c).log_modulus())(
                    jax.tree.map(lambda a: a[local], rows)
                )
                share = jnp.diff(moves.cumulative.astype(float), prepend=0.0)
                return near + jnp.sum(share * jnp.exp(self.chain.exponent * logs)), None

            total = jax.lax.scan(instance, total, (moves.sites, table))[0]
        return total / count


def _local_index(x: Int[Array, " sites"], sites: Int[Array, " k"], dim: int) -> Int[Array, ""]:
    return jnp.sum(x[sites] * dim ** jnp.arange(len(sites) - 1, -1, -1, dtype=jnp.int32))
