"""How one right-hand side grows: chains of N sites and squares of L x L, with M = Mtilde = N, the Fig. 3 couplings.

Each size has a process of its own, so that its peak memory is its own. Seconds are those of compiled programs, medians
over repetitions, per sample of p (of q for the last part): one sampling sweep over sites and bonds, local values of the
Lindbladian with the certificate, one product S v, the whole solve by conjugate gradients from zero, and a measurement
from the chain of q(l). The exponents are slopes of log seconds against log N over the chains.
"""

import argparse
import json
import os
import resource
import sys
from typing import Any, NamedTuple

import numpy as np
from codes import COUPLING, DECAY, FIELD, cores, timed
from processes import Remote

CHAINS, SQUARES = (8, 16, 32, 64, 128), (4, 6, 8)
PARTS = ("sweep", "local_values", "metric_product", "metric_solve", "observables")


class Size(NamedTuple):
    """A lattice, `side` sites long in `dimension` directions, and how many samples it gets."""

    dimension: int
    side: int
    samples: int

    @property
    def sites(self) -> int:
        return self.side**self.dimension


class RightHandSide:
    """The parts of one right-hand side, as a flow runs them."""

    def __init__(self, size: Size) -> None:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={cores()}"
        import equinox as eqx
        import jax

        jax.config.update("jax_enable_x64", True)
        import neurho
        from neurho.matrix_elements.estimation.observables import build_observables
        from neurho.matrix_elements.sampling import draw_samples
        from neurho.observables import Quantity

        self.jax, self.draw, self.size = jax, draw_samples, size
        lattice = neurho.chain(size.side) if size.dimension == 1 else neurho.square(size.side, size.side)
        model = neurho.heisenberg(lattice, field=FIELD, coupling=COUPLING, decay=DECAY)
        chains = {"samples": size.samples, "chains": min(1024, size.samples)}
        sampler = neurho.samplers.metropolis(lattice, **chains)
        diagonal = neurho.samplers.metropolis_diagonal(lattice, **chains)
        solver = neurho.matrix_elements.tdvp.solvers.ConjugateGradient(ridge=1e-3, tolerance=1e-2, single=True)
        self.tdvp = neurho.methods.TDVP(neurho.methods.lindbladian_map(model), sampler, solver)
        sz = Quantity("sz", tuple(neurho.sz(j) for j in range(size.sites)), average=True)
        self.observables = build_observables([sz], diagonal, size.sites)
        n = size.sites
        self.ansatz = neurho.networks.random_rbm(jax.random.key(0), n, hidden=n, mixing=n, scale=0.1 / np.sqrt(n))
        self.assemble = eqx.filter_jit(lambda tdvp, a, draw: tdvp.assemble(0.0, a, draw)[0])
        self.product = eqx.filter_jit(lambda metric, v: metric.product(single=True)(v))
        self.solve = eqx.filter_jit(lambda solver, metric: solver(metric))
        self.chains = sampler.scatter(jax.random.key(1))
        self.diagonal_chains = diagonal.scatter(jax.random.key(2))

    def run(self, number: int) -> dict[str, float]:
        """Seconds of every part for all samples."""
        key, seconds = self.jax.random.key(number), {}
        seconds["sweep"], (draw, self.chains, _) = timed(
            lambda: self.draw(self.tdvp.sampler, key, self.ansatz, self.chains)
        )
        seconds["local_values"], _ = timed(lambda: self.tdvp._estimate(0.0, self.ansatz, draw))
        metric = self.assemble(self.tdvp, self.ansatz, draw)
        # A product linearises log rho first; a solve does so once for all its products.
        seconds["metric_product"], _ = timed(lambda: self.product(metric, metric.force))
        seconds["metric_solve"], solution = timed(lambda: self.solve(self.tdvp.solver, metric))
        seconds["observables"], (_, self.diagonal_chains) = timed(
            lambda: self.observables(key, self.ansatz, self.diagonal_chains)
        )
        self.iterations = int(solution.rank)
        return seconds

    def facts(self) -> dict[str, int]:
        import neurho

        kilo = 1 if sys.platform == "darwin" else 1024
        return {
            "parameters": neurho.networks.parameter_count(self.ansatz),
            "iterations": self.iterations,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo,
        }


def measure(size: Size, repetitions: int) -> dict[str, Any]:
    """Seconds per sample of every part, and facts."""
    work = Remote(RightHandSide, size)
    rows = [work("run", number) for number in range(repetitions + 1)][1:]  # the first compiles
    facts = work("facts")
    work.close()
    seconds = {part: float(np.median([row[part] for row in rows])) / size.samples for part in PARTS}
    return {"sites": size.sites, "dimension": size.dimension, "samples": size.samples, "seconds": seconds} | facts


def exponents(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Slopes over the chains, where there are at least two."""
    chains = [row for row in rows if row["dimension"] == 1]
    if len(chains) < 2:
        return {}
    sites = np.log([row["sites"] for row in chains])
    return {part: float(np.polyfit(sites, np.log([r["seconds"][part] for r in chains]), 1)[0]) for part in PARTS}


def table(found: dict[str, Any]) -> str:
    lines = [f"{'us/sample':>10}" + "".join(f"{part.replace('_', ' '):>16}" for part in PARTS) + f"{'peak GB':>9}"]
    for row in found["sizes"]:
        side = round(row["sites"] ** (1 / row["dimension"]))
        name = f"{side}x{side}" if row["dimension"] == 2 else f"{side}"
        times = "".join(f"{1e6 * row['seconds'][part]:16.2f}" for part in PARTS)
        lines.append(f"{name:>10}{times}{row['peak_bytes'] / 1e9:9.2f}")
    if found["exponents"]:
        lines.append(f"{'exponent':>10}" + "".join(f"{found['exponents'][part]:16.2f}" for part in PARTS))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chains", type=int, nargs="*", default=CHAINS, help="numbers of sites")
    parser.add_argument("--squares", type=int, nargs="*", default=SQUARES, help="sides")
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    sizes = [Size(1, n, asked.samples) for n in asked.chains] + [Size(2, n, asked.samples) for n in asked.squares]
    rows = [measure(size, asked.repetitions) for size in sizes]
    found = {"cores": cores(), "repetitions": asked.repetitions, "sizes": rows, "exponents": exponents(rows)}
    print(json.dumps(found) if asked.json else table(found))


if __name__ == "__main__":
    main()
