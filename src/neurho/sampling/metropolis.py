"""Metropolis sampling of density matrices with cached ratios: many chains at once, sites in sequence."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from neurho._types import require
from neurho.ansatz.base import AbstractAmplitudes, prepare_changes
from neurho.lattice import Lattice
from neurho.parallel import collect, spread
from neurho.sampling.base import AbstractSampler, Draw, DrawInfo
from neurho.sampling.moves import (
    Moves,
    crossed_pair_moves,
    diagonal_moves,
    diagonal_pair_moves,
    pair_moves,
    single_site_moves,
    within_sector,
)
from neurho.symmetry import Charge


class Metropolis(AbstractSampler):
    """Markov chains with stationary density |rho(x)|^exponent, weighted to averages over |rho(x)|^power.

    A sweep visits every instance of every set of moves once, in order, for all chains at the same time (each proposal
    is reversible, so the sequence keeps the density). Acceptance is computed in float32 from ratios; the caches are
    computed afresh from the configuration in every sweep.

    - `draws`, `chains`: kept configurations per chain, number of chains.
    - `sweeps`: sweeps before every kept configuration.
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
    exponent: float = eqx.field(static=True)
    barker: bool = eqx.field(static=True, default=False)
    exact: bool = eqx.field(static=True, default=False)

    def init(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes) -> Int[Array, "chains sites"]:
        """Chains from random diagonal configurations (rho(l, l) >= 0 has no forced zeros), after `warmup` sweeps."""
        start, run = jax.random.split(key)
        levels = jax.random.randint(start, (self.chains, self.sites), 0, self.local_dim, dtype=jnp.int32)
        x, _ = self._run(run, amplitudes, levels * (self.local_dim + 1), self.warmup)
        return collect(x)

    def sample(
        self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, chains: Int[Array, "chains sites"]
    ) -> tuple[Draw, Int[Array, "chains sites"], DrawInfo]:
        """`draws` configurations of every chain, `sweeps` sweeps apart."""

        def draw(x: Array, k: PRNGKeyArray) -> tuple[Array, tuple[Array, Array]]:
            x, acceptance = self._run(k, amplitudes, x, self.sweeps)
            return x, (x, acceptance)

        chains, (x, acceptance) = collect(jax.lax.scan(draw, chains, jax.random.split(key, self.draws)))
        if self.power == self.exponent:
            weight = jnp.full((self.draws, self.chains), 1 / (self.draws * self.chains))
        else:
            log_rho = jax.vmap(jax.vmap(amplitudes.log_amplitude))(x).real
            weight = jax.nn.softmax((self.power - self.exponent) * log_rho, axis=(0, 1))
        return Draw(x=x, weight=weight), chains, DrawInfo(acceptance=jnp.mean(acceptance))

    def _run(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, x: Array, sweeps: int) -> tuple[Array, Array]:
        """`sweeps` sweeps of all chains; the new configurations and the mean acceptance."""
        fast = amplitudes.single_precision()
        dim = self.local_dim**2
        tables = [prepare_changes(fast, moves.sites, moves.labels[None], dim) for moves in self.moves]

        def sweep(x: Array, k: PRNGKeyArray) -> tuple[Array, Array]:
            state = (x, jax.vmap(fast.cache)(x))
            accepted = []
            for number, (moves, table) in enumerate(zip(self.moves, tables, strict=True)):
                state, rate = self._visit(jax.random.fold_in(k, number), fast, moves, table, state)
                accepted.append(rate)
            return state[0], jnp.mean(jnp.concatenate(accepted))

        x, rates = jax.lax.scan(sweep, spread(x), jax.random.split(key, sweeps))
        return x, jnp.mean(rates)

    def _visit(
        self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, moves: Moves, table: PyTree[Array], state: Any
    ) -> tuple[Any, Float[Array, " instances"]]:
        """One proposal to every chain at every instance of a set of moves."""
        instances, k = moves.sites.shape
        powers = (self.local_dim**2) ** jnp.arange(k - 1, -1, -1, dtype=jnp.int32)
        uniform = spread(jax.random.uniform(key, (instances, 2, self.chains), dtype=jnp.float32), axis=2)

        def propose(x: Array, cache: PyTree, sites: Array, rows: PyTree, choose: Array, u: Array) -> tuple[Any, Array]:
            local = jnp.sum(x[sites] * powers)
            move = jnp.sum(choose >= moves.cumulative[:-1])
            change = jax.tree.map(lambda a: a[local, move], rows)
            log_r = self.exponent * amplitudes.ratio(cache, change).log_modulus()
            accept = jnp.log(u) < (-jax.nn.softplus(-log_r) if self.barker else log_r)
            updated = amplitudes.update(cache, change)
            cache = jax.tree.map(lambda new, old: jnp.where(accept, new, old), updated, cache)
            new = moves.labels[local, move]
            return (jnp.where(accept, x.at[sites].set(new), x), cache), accept & jnp.any(new != x[sites])

        def visit(state: Any, instance: Any) -> tuple[Any, Array]:
            (x, cache), (sites, rows, (choose, u)) = state, instance
            state, accept = jax.vmap(propose, in_axes=(0, 0, None, None, 0, 0))(x, cache, sites, rows, choose, u)
            return state, jnp.mean(accept, dtype=jnp.float32)

        return jax.lax.scan(visit, state, (moves.sites, table, uniform))


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

    **Arguments**

    - `samples`: kept configurations, a multiple of `chains`.
    - `exponent`: beta in (0, 2]: chains run at |rho|^beta and averages are weighted by |rho|^(2 - beta).
    - `pairs`: also propose changes on both ends of a bond.
    - `charge`: stay in the sector of charge zero of this weak symmetry, with moves made for it.

    **Raises** `NeurhoError` for sizes that do not fit.
    """
    require(0 < exponent <= 2, "exponent", "lie in (0, 2]", f"it is {exponent}")
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
    """The chain for q(l) = rho(l, l), of the observables (Eq. 13). Arguments as [`neurho.metropolis`][]."""
    moves = [diagonal_moves(lattice.sites, local_dim)]
    if len(lattice.bonds):
        moves.append(diagonal_pair_moves(lattice, local_dim))
    return _build(tuple(moves), lattice, local_dim, samples, chains, sweeps, warmup, 1.0, 1.0, barker=True)


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
    require(chains >= 1, "chains", "be at least 1", f"it is {chains}")
    require(
        samples >= 1 and samples % chains == 0,
        "samples",
        f"be a positive multiple of the {chains} chains",
        f"it is {samples}",
    )
    require(sweeps >= 1, "sweeps", "be at least 1", f"it is {sweeps}")
    require(warmup >= 0, "warmup", "be >= 0", f"it is {warmup}")
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
