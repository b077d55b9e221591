"""How close the kernels come to the machine: GFLOP/s and GB/s beside a plain matrix product and a plain triad.

One device, all cores that XLA gives it. The probes and the kernels alternate, and the least time of each counts.

- Formed metric S = A^T A (rows A of n samples, P parameters), derivatives of log rho included. A full product has
  2 (2n) P^2 operations; blocks on and above the diagonal are 10/16 of them. Both rates are given; `ratio` compares the
  time of a plain product of the same shape with that of S.
- One product S v, of 20 that share a linearisation: two passes of 4 M N + 2 Mtilde N multiplications and additions a
  sample, the
  matrix products alone. Beside it the rate of the plain product in the same precision.
- Local values: 14 operations for a hidden unit that a connected configuration changes (a complex product with the
  factor of the change, one with the rest of the units), 16 bytes of prepared factors if no cache kept them.
- A sampler visit: 11 operations and a logarithm (counted as one) for a hidden unit and chain; 28 bytes of float32
  (three numbers of the cache and two of the change read, two written).
"""

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

from codes import COUPLING, DECAY, FIELD, cores, timed

SAMPLES, SITES, HIDDEN = 20480, 16, 12
PRODUCTS = 20


def least(function: Callable[[], Any], repetitions: int) -> float:
    """The least time of a compiled function; the first call does not count."""
    timed(function)
    return min(timed(function)[0] for _ in range(repetitions))


def probes(rows: int, columns: int, repetitions: int) -> dict[str, float]:
    """Seconds of A^T A in both precisions, and bytes per second of a triad that fits in no cache."""
    import jax
    import jax.numpy as jnp

    found = {}
    product = jax.jit(lambda a: a.T @ a)
    for name, kind in (("double", jnp.float64), ("single", jnp.float32)):
        a = jax.random.normal(jax.random.key(0), (rows, columns), kind)
        found[f"product_{name}"] = least(lambda a=a: product(a), repetitions)
    size = 2**25
    b, c = (jnp.full(size, value, jnp.float32) for value in (1.0, 2.0))
    triad = jax.jit(lambda b, c: b + 0.5 * c)
    found["bandwidth"] = 3 * 4 * size / least(lambda: triad(b, c), repetitions)
    return found


def kernels(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the kernels, and the numbers that count their work."""
    import equinox as eqx
    import jax

    import neurho
    from neurho.matrix_elements.sampling import draw_samples

    n, m = asked.sites, asked.hidden
    lattice = neurho.chain(n)
    model = neurho.heisenberg(lattice, field=FIELD, coupling=COUPLING, decay=DECAY)
    chains = min(2048, asked.samples)
    sampler = neurho.samplers.metropolis(lattice, samples=asked.samples, chains=chains, pairs=False)
    tdvp = neurho.methods.TDVP(
        neurho.methods.lindbladian_map(model), sampler, neurho.matrix_elements.tdvp.solvers.Ridge()
    )
    ansatz = neurho.networks.random_rbm(jax.random.key(0), n, hidden=m, mixing=m, scale=0.1)
    key, begin = jax.random.key(1), sampler.scatter(jax.random.key(2))
    draw, _, _ = draw_samples(sampler, key, ansatz, begin)
    metric = eqx.filter_jit(lambda tdvp, a, draw: tdvp.assemble(0.0, a, draw)[0])(tdvp, ansatz, draw)
    formed = eqx.filter_jit(lambda metric, *, single: metric.matrix(single=single))

    @eqx.filter_jit
    def products(metric: Any, v: Any, count: int, *, single: bool) -> Any:
        apply = metric.product(single=single)
        return jax.lax.scan(lambda v, _: (apply(v), None), v, None, length=count)[0]

    def one_product(*, single: bool) -> float:
        return least(lambda: products(metric, metric.force, PRODUCTS, single=single), asked.repetitions) / PRODUCTS

    x = draw.x.reshape(-1, n)
    return {
        "parameters": len(metric.force),
        # A move of rows or columns only leaves the M units of the other side alone.
        "factors": sum(
            len(g.sites) * moves * w * m
            for g in tdvp.generator.groups
            for moves, w in zip(g.sides, (2, 2, 3), strict=True)
        ),
        "metric_double": least(lambda: formed(metric, single=False), asked.repetitions),
        "metric_single": least(lambda: formed(metric, single=True), asked.repetitions),
        "cg_double": one_product(single=False),
        "cg_single": one_product(single=True),
        "local_values": least(
            lambda: neurho.matrix_elements.estimation.estimators.lindblad_values(
                ansatz, tdvp.generator, 0.0, x, tdvp.chunk
            ),
            asked.repetitions,
        ),
        "sampling": least(lambda: draw_samples(sampler, key, ansatz, begin), asked.repetitions),
        "visits": n * asked.samples,
    }


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    import neurho.matrix_elements.estimation.estimators  # noqa: F401 - named in `kernels`

    n, m, samples = asked.sites, asked.hidden, asked.samples
    found = kernels(asked)
    p = found["parameters"]
    probe = probes(2 * samples, p, asked.repetitions)
    full, units = 2.0 * 2 * samples * p**2, 3 * m
    rows: dict[str, dict[str, float]] = {}
    for kind in ("double", "single"):
        plain = full / probe[f"product_{kind}"]
        seconds = found[f"metric_{kind}"]
        rows[f"metric_{kind}"] = {
            "seconds": seconds,
            "gflops_of_full_product": full / seconds / 1e9,
            "gflops_done": full * 10 / 16 / seconds / 1e9,
            "plain_product_gflops": plain / 1e9,
            "ratio": full / seconds / plain,
        }
        work = samples * 2 * 2 * (4 * m * n + 2 * m * n)
        seconds = found[f"cg_{kind}"]
        rows[f"product_with_S_{kind}"] = {
            "seconds": seconds,
            "gflops_done": work / seconds / 1e9,
            "plain_product_gflops": plain / 1e9,
            "ratio": work / seconds / plain,
        }
    peak = {kind: full / probe[f"product_{kind}"] for kind in ("double", "single")}
    counts = {
        "local_values": (samples * found["factors"], 14, 16, peak["double"]),
        "sampling": (found["visits"] * units, 12, 28, peak["single"]),
    }
    for name, (count, flops, size, most) in counts.items():
        seconds = found[name]
        rows[name] = {
            "seconds": seconds,
            "gflops_done": count * flops / seconds / 1e9,
            "of_peak": count * flops / seconds / most,
            "gbytes_per_second": count * size / seconds / 1e9,
            "of_bandwidth": count * size / seconds / probe["bandwidth"],
        }
    sizes = {"sites": n, "hidden": m, "samples": samples, "parameters": p}
    return {"cores": cores(), "sizes": sizes, "bandwidth_gbytes": probe["bandwidth"] / 1e9, "kernels": rows}


def table(found: dict[str, Any]) -> str:
    lines = [f"plain triad: {found['bandwidth_gbytes']:.1f} GB/s"]
    for name, row in found["kernels"].items():
        numbers = "  ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in row.items())
        lines.append(f"{name.replace('_', ' ')}: {numbers}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, default=SITES)
    parser.add_argument("--hidden", type=int, default=HIDDEN, help="M = Mtilde")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    os.environ["JAX_ENABLE_X64"] = "1"
    found = measure(asked)
    print(json.dumps(found) if asked.json else table(found))


if __name__ == "__main__":
    main()
