"""Metropolis sampling of density matrices with cached ratios: many chains at once, sites in sequence."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

from neurho._jax.parallel import collect, spread
from neurho._types import brief, require, require_whole
from neurho.matrix_elements.distinct import at_each
from neurho.matrix_elements.networks.acceptance import AbstractModuli
from neurho.matrix_elements.networks.base import AbstractAmplitudes, prepare_changes
from neurho.matrix_elements.sampling.base import AbstractSampler, Draw, DrawInfo
from neurho.matrix_elements.sampling.moves import (
    Moves,
    crossed_pair_moves,
    diagonal_moves,
    diagonal_pair_moves,
    pair_moves,
    single_site_moves,
    within_sector,
)
from neurho.matrix_elements.sampling.tabulated import moduli_of
from neurho.matrix_elements.symmetry import Charge
from neurho.model.lattice import Lattice

SMALL = 64
"""Up to so many changes to choose from, a product with zeros and ones picks faster than an index."""


class Walk(NamedTuple):
    """Configurations, the caches of their proposals, and how many proposals each chain has accepted.

    Chains are on the last axis: everything a visit does is then one vector operation for all of them.
    """

    x: Int[Array, "sites chains"]
    cache: PyTree[Array]
    accepted: Int[Array, " chains"]


class Metropolis(AbstractSampler):
    """Markov chains with stationary density |rho(x)|^exponent, weighted to averages over |rho(x)|^power.

    A sweep visits every instance of every set of moves once, in order, for all chains at the same time (each proposal
    is reversible, so the sequence keeps the density). Acceptance is computed in float32 from ratios; the caches are
    computed afresh from the configuration in every sweep.

    - `draws`, `chains`: kept configurations per chain, number of chains.
    - `sweeps`: sweeps before every kept configuration.
    - `exponent`: a number, or an array, for which another value compiles nothing again.
    - `warmup`: sweeps made by `init`, from random diagonal configurations.
    - `barker`: accept with r/(1 + r) in place of min(1, r). Where a site has a single proposal and r is close to 1,
      Metropolis sweeps are almost a fixed permutation of the configurations and hardly mix; Barker's rule is then a
      heat bath.
    """

    moves: tuple[Moves, ...]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    chains: int = eqx.field(static=True)
    sweeps: int = eqx.field(static=True)
    warmup: int = eqx.field(static=True)
    power: float = eqx.field(static=True)
    exponent: float | Float[Array, ""]
    barker: bool = eqx.field(static=True, default=False)
    exact: bool = eqx.field(static=True, default=False)

    def init(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes) -> Int[Array, "chains sites"]:
        """Chains from random diagonal configurations (rho(l, l) >= 0 has no forced zeros), after `warmup` sweeps."""
        start, run = jax.random.split(key)
        x, _ = self._run(run, self._proposals(amplitudes), self.scatter(start), self.warmup)
        return collect(x)

    def scatter(self, key: PRNGKeyArray) -> Int[Array, "chains sites"]:
        """Random diagonal configurations."""
        levels = jax.random.randint(key, (self.chains, self.sites), 0, self.local_dim, dtype=jnp.int32)
        return levels * (self.local_dim + 1)

    def sample(
        self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, chains: Int[Array, "chains sites"]
    ) -> tuple[Draw, Int[Array, "chains sites"], DrawInfo]:
        """`draws` configurations of every chain, `sweeps` sweeps apart."""
        proposals = self._proposals(amplitudes)

        def draw(x: Array, k: PRNGKeyArray) -> tuple[Array, tuple[Array, Array]]:
            x, acceptance = self._run(k, proposals, x, self.sweeps)
            return x, (x, acceptance)

        chains, (x, acceptance) = collect(jax.lax.scan(draw, chains, jax.random.split(key, self.draws)))
        if isinstance(self.exponent, float) and self.power == self.exponent:
            weight = jnp.full((self.draws, self.chains), 1 / (self.draws * self.chains), dtype=float)
        else:
            flat = x.reshape(-1, x.shape[-1])
            log_rho = at_each(jax.vmap(amplitudes.log_amplitude), flat, self.local_dim**2).real
            weight = jax.nn.softmax(self.rest(log_rho.reshape(x.shape[:2])), axis=(0, 1))
        return Draw(x=x, weight=weight), chains, DrawInfo(acceptance=jnp.mean(acceptance))

    def rest(self, log_rho: Float[Array, "..."]) -> Float[Array, "..."]:
        """The logarithm of |rho|^(power - exponent): what the chains leave to the weights."""
        left = self.power - self.exponent
        return jnp.where(left == 0, 0.0, left * log_rho)  # not 0 times infinity

    def _proposals(self, amplitudes: AbstractAmplitudes) -> tuple[AbstractModuli, list[PyTree[Array]]]:
        """What knows |rho|, and the prepared changes of all moves."""
        dim = self.local_dim**2
        moduli = moduli_of(amplitudes, self.sites, dim, samples=self.draws * self.chains)
        return moduli, [_columns(prepare_changes(moduli, m.sites, m.labels[None], dim)) for m in self.moves]

    def _run(
        self, key: PRNGKeyArray, proposals: tuple[AbstractModuli, list[PyTree[Array]]], x: Array, sweeps: int
    ) -> tuple[Array, Array]:
        """`sweeps` sweeps of all chains; the new configurations and the mean acceptance."""
        moduli, tables = proposals
        visits = sum(len(moves.sites) for moves in self.moves)

        def sweep(state: tuple[Array, Array], k: PRNGKeyArray) -> tuple[tuple[Array, Array], None]:
            x, accepted = state
            walk = Walk(x=x, cache=jax.vmap(moduli.cache, in_axes=-1, out_axes=-1)(x), accepted=accepted)
            for number, (moves, table) in enumerate(zip(self.moves, tables, strict=True)):
                walk = self._visit(jax.random.fold_in(k, number), moduli, moves, table, walk)
            return (spread(walk.x, axis=1), walk.accepted), None

        # Accepted proposals are counted chain by chain: devices need not meet within a sweep to add them up.
        begin = (spread(x.T, axis=1), spread(jnp.zeros(len(x), jnp.int32)))
        (x, accepted), _ = jax.lax.scan(sweep, begin, jax.random.split(key, sweeps))
        return x.T, jnp.mean(accepted) / max(sweeps * visits, 1)

    def _visit(self, key: PRNGKeyArray, moduli: AbstractModuli, moves: Moves, table: PyTree[Array], walk: Walk) -> Walk:
        """One proposal to every chain at every instance of a set of moves."""
        instances, count, k = len(moves.sites), moves.labels.shape[1], moves.sites.shape[1]
        powers = ((self.local_dim**2) ** jnp.arange(k - 1, -1, -1, dtype=jnp.int32))[:, None]
        bits = spread(jax.random.bits(key, (instances, self.chains), dtype=jnp.uint32), axis=1)
        labels = moves.labels.reshape(-1, k).T

        def visit(walk: Walk, instance: tuple) -> tuple[Walk, None]:
            sites, columns, bits = instance
            move, u = moves.choose(bits)
            here = walk.x[sites]
            index = jnp.sum(here * powers, axis=0) * count + move
            change = jax.tree.map(lambda a: _pick(a, index), columns)
            log_r, moved = jax.vmap(moduli.propose, in_axes=-1, out_axes=(0, -1))(walk.cache, change)
            log_r = jnp.asarray(self.exponent, log_r.dtype) * log_r
            accept = jnp.log(u) < (-jax.nn.softplus(-log_r) if self.barker else log_r)
            new = jnp.where(accept, _pick(labels, index), here)
            return Walk(
                x=walk.x.at[sites].set(new),
                cache=jax.tree.map(lambda a, b: jnp.where(accept, a, b), moved, walk.cache),
                accepted=walk.accepted + jnp.any(new != here, axis=0).astype(jnp.int32),
            ), None

        walk = walk._replace(cache=jax.vmap(moduli.refresh, in_axes=-1, out_axes=-1)(walk.cache))
        return jax.lax.scan(visit, walk, (moves.sites, table, bits))[0]


def _columns(table: PyTree[Array]) -> PyTree[Array]:
    """Changes `(instances, local, moves, *shape)` as `(instances, *shape, local moves)`."""
    return jax.tree.map(lambda a: jnp.moveaxis(a.reshape(a.shape[0], -1, *a.shape[3:]), 1, -1), table)


def _pick(columns: Shaped[Array, "*shape choices"], index: Int[Array, " chains"]) -> Shaped[Array, "*shape chains"]:
    """The column of every chain: by a product with zeros and ones where that is faster."""
    choices = columns.shape[-1]
    if columns.ndim == 2 and columns.dtype == jnp.float32 and choices <= SMALL:
        chosen = index == jnp.arange(choices, dtype=index.dtype)[:, None]
        return jnp.matmul(columns, chosen.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)
    return columns.at[..., index].get(mode="promise_in_bounds")


def metropolis(
    lattice: Lattice,
    *,
    samples: int,
    chains: int,
    sweeps: int = 1,
    warmup: int = 10,
    exponent: float = 2.0,
    local_dim: int = 2,
    pairs: bool = True,
    charge: Charge | None = None,
) -> Metropolis:
    """The chain for p(l, r) = |rho(l, r)|^2, of the flow.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2).amplitudes()
    sampler = neurho.samplers.metropolis(neurho.chain(2), samples=32, chains=16)
    chains = sampler.init(jax.random.key(1), network)
    draw, chains, info = sampler.sample(jax.random.key(2), network, chains)
    assert draw.x.shape == (2, 16, 2)  # draws of each chain, chains, sites
    ```

    **Arguments**

    - `samples`: kept configurations, a multiple of `chains`.
    - `exponent`: beta in (0, 2]: chains run at |rho|^beta and averages are weighted by |rho|^(2 - beta).
    - `pairs`: also propose changes on both ends of a bond.
    - `charge`: stay in the sector of charge zero of this weak symmetry, with moves made for it.

    **Raises** `NeurhoError` for sizes that do not fit.
    """
    require(0 < exponent <= 2, "exponent", "lie in (0, 2]", f"it is {exponent}")
    _require_lattice(lattice)
    moves = [single_site_moves(lattice.sites, local_dim)]
    if pairs and len(lattice.bonds):
        moves.append(pair_moves(lattice, local_dim))
    if charge is not None:
        crossed = [crossed_pair_moves(lattice, local_dim)] if pairs and len(lattice.bonds) else []
        moves = [kept for m in [*moves, *crossed] if (kept := within_sector(m, charge)) is not None]
    return _build(tuple(moves), lattice, local_dim, samples, chains, sweeps, warmup, 2.0, exponent)


def metropolis_diagonal(
    lattice: Lattice, *, samples: int, chains: int, sweeps: int = 1, warmup: int = 10, local_dim: int = 2
) -> Metropolis:
    """The chain for q(l) = rho(l, l), of the observables (Eq. 13). Arguments as [`neurho.samplers.metropolis`][].

    ```python
    import neurho

    sampler = neurho.samplers.metropolis_diagonal(neurho.chain(4), samples=64, chains=16)
    assert not sampler.exact
    ```
    """
    _require_lattice(lattice)
    moves = [diagonal_moves(lattice.sites, local_dim)]
    if len(lattice.bonds):
        moves.append(diagonal_pair_moves(lattice, local_dim))
    return _build(tuple(moves), lattice, local_dim, samples, chains, sweeps, warmup, 1.0, 1.0, barker=True)


def _require_lattice(lattice: object) -> None:
    require(isinstance(lattice, Lattice), "lattice", "be a Lattice, as chain(4) gives", f"it is {brief(lattice)}")


def _build(
    moves: tuple[Moves, ...],
    lattice: Lattice,
    local_dim: int,
    samples: int,
    chains: int,
    sweeps: int,
    warmup: int,
    power: float,
    exponent: float,
    *,
    barker: bool = False,
) -> Metropolis:
    require_whole(chains, "chains", 1)
    require_whole(samples, "samples", 1)
    require(
        samples % chains == 0,
        "samples",
        f"be a positive multiple of the {chains} chains",
        f"it is {samples}",
    )
    require_whole(sweeps, "sweeps", 1)
    require_whole(warmup, "warmup")
    return Metropolis(
        moves=moves,
        sites=lattice.sites,
        local_dim=local_dim,
        draws=samples // chains,
        chains=chains,
        sweeps=sweeps,
        warmup=warmup,
        power=power,
        exponent=exponent,
        barker=barker,
    )
