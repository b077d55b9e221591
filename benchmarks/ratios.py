"""What ratios by evaluating log rho again cost beside cached ones of hidden units: the table of docs/extend/ansatz.md.

    python benchmarks/ratios.py [8 16]

The same network twice, the RBM of Eq. 2 with M = Mtilde = N: as it is, and as a plain function for `from_module`.
"""

import dataclasses
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

import neurho
from neurho.matrix_elements.estimation.estimators import fixed_values
from neurho.matrix_elements.networks import RBM, AbstractAnsatz, from_module
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import draw_samples, metropolis, start_chains
from neurho.matrix_elements.sampling.metropolis import metropolis_diagonal
from neurho.matrix_elements.tdvp.metric import Metric

jax.config.update("jax_enable_x64", True)

SAMPLES, REPEATS = 1024, 5


def as_module(rbm: RBM) -> AbstractAnsatz:
    """The same log rho as a function of its parameters, rows and columns."""
    names = ("visible", "hidden_bias", "hidden_weights", "mixing_bias", "mixing_weights")

    def function(parameters: dict[str, jax.Array], left: jax.Array, right: jax.Array) -> jax.Array:
        return dataclasses.replace(rbm, **parameters).log_amplitude(2 * left + right)

    leaves = {name: getattr(rbm, name) for name in names}
    return from_module(function, leaves, sites=rbm.sites, hermitian=True, spins=False)


def seconds(task: Callable[[], object]) -> float:
    """The shortest of a few runs, after one that compiles."""
    jax.block_until_ready(task())
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        jax.block_until_ready(task())
        times.append(time.perf_counter() - begin)
    return min(times)


def measure(ansatz: AbstractAnsatz, sites: int) -> dict[str, float]:
    """Seconds for what a step of a run is made of."""
    lattice = neurho.chain(sites)
    model = neurho.heisenberg(lattice, field=(1.0, 0.0, 2.0), coupling=(1.0, 0.0, 0.5))
    generator = neurho.methods.lindbladian_map(model)
    full = metropolis(lattice, samples=SAMPLES, chains=SAMPLES)
    chains, _ = start_chains(0, full, metropolis_diagonal(lattice, samples=SAMPLES, chains=SAMPLES), ansatz)
    key, t, dt = jax.random.key(0), jnp.asarray(0.0), jnp.asarray(1e-2)
    draw, *_ = draw_samples(full, key, ansatz, chains)
    x, weight = draw.x.reshape(-1, sites), draw.weight.reshape(-1)
    local = fixed_values(ansatz, generator, x, SAMPLES)
    solve = jax.jit(lambda a: Metric.build(a, x, weight, local).matrix())
    implicit = Implicit(generator=generator, sampler=full, weight=0.5)
    probe = implicit.probe(key, t, dt, ansatz, ansatz, chains)
    return {
        "a sweep": seconds(lambda: draw_samples(full, key, ansatz, chains)),
        "L_loc": seconds(lambda: fixed_values(ansatz, generator, x, SAMPLES)),
        "S": seconds(lambda: solve(ansatz)),
        "a correction": seconds(lambda: implicit.correct(t, dt, jnp.asarray(1e-3), ansatz, ansatz, probe)),
    }


def main(sizes: list[int]) -> None:
    """Print the table."""
    for sites in sizes:
        rbm = neurho.networks.random_rbm(jax.random.key(0), sites, hidden=sites, mixing=sites, scale=0.1)
        fast, slow = measure(rbm, sites), measure(as_module(rbm), sites)
        for name in fast:
            one, other = 1e3 * fast[name], 1e3 * slow[name]
            print(f"N = {sites:2}  {name:14} {one:9.1f} ms  {other:9.1f} ms  x{other / one:.1f}", flush=True)


main([int(size) for size in sys.argv[1:]] or [8, 16])
