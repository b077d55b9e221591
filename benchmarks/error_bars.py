"""Do the error bars of correlators cover the truth? Random small models, every cut, against exact values.

    python benchmarks/error_bars.py [--models 30] [--seed 1]

Chains, rings and squares of 5 or 6 spins with random fields, couplings, decay, pump and dephasing, from up, down, +x or
Neel, and their stationary states; cuts K = 3, 4, 5 below N. Counted are one-site and bond averages: how many lie within
their bar, and the median of bar over error.
"""

import argparse

import jax
import numpy as np
import tomli_w

from neurho.config import loads
from neurho.run.problem import build

NAMES = ("sx", "sy", "sz", "sxsx", "sysy", "szsz")


def random_problem(rng):
    """A problem without a task."""
    shape, kind = [([5], "chain"), ([6], "chain"), ([2, 3], "square")][rng.integers(3)]
    model = {
        "kind": "heisenberg",
        "field": [float(x) for x in np.round(rng.uniform(-1, 1, 3) * rng.integers(0, 2, 3), 2)],
        "coupling": [float(x) for x in np.round(rng.uniform(-1.5, 1.5, 3), 2)],
        "decay": 1.0,
        "pump": float(np.round(rng.uniform(0, 0.4) * rng.integers(2), 2)),
        "dephasing": float(np.round(rng.uniform(0, 0.5) * rng.integers(2), 2)),
    }
    lattice = {"kind": kind, "shape": shape, "periodic": bool(rng.integers(2))}
    return {"lattice": lattice, "model": model}


def values(problem, task, initial):
    """All outputs of a run: means and errors by name."""
    built = build(loads(tomli_w.dumps(problem | {"task": task} | initial), "model"))
    rows = list(built.snapshots())
    names = [n for n in NAMES if n in rows[0].observables]
    return {n: np.array([[float(r.observables[n].mean), float(r.observables[n].error)] for r in rows]) for n in names}


def judge(problem, kind, start, weight):
    """Pairs (error, bar) of one run with a cut."""
    initial = {} if kind == "stationary" else {"initial": {"kind": "product", "bloch": start}}
    task = {"kind": kind} | ({} if kind == "stationary" else {"t": 2.0, "points": 9})
    truth = values(problem, task | {"method": "exact"}, initial)
    found = values(
        problem, task | {"method": "correlators", "weight": weight, **({"goal": 1e-9} if not initial else {})}, initial
    )
    pairs = []
    for name, rows in found.items():
        last = slice(-1, None) if kind == "stationary" else slice(1, None)
        pairs += [(abs(m - x), e) for (m, e), (x, _) in zip(rows[last], truth[name][last], strict=True)]
    return [p for p in pairs if p[1] > 1.1e-6]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rng, table = np.random.default_rng(arguments.seed), {}
    for _ in range(arguments.models):
        problem = random_problem(rng)
        start = ["up", "down", [1.0, 0.0, 0.0], [0.0, 0.0, 0.3]][rng.integers(4)]
        for kind in ("evolve", "stationary"):
            for weight in (3, 4, 5):
                if weight >= np.prod(problem["lattice"]["shape"]):
                    continue
                try:
                    table.setdefault((kind, weight), []).append(judge(problem, kind, start, weight))
                except Exception as error:
                    print(kind, weight, problem["model"], str(error)[:100], flush=True)
    print("task        K  runs  covered  median bar/error  median error  largest error")
    for (kind, weight), runs in sorted(table.items()):
        pairs = np.array([p for run in runs for p in run]).reshape(-1, 2)
        ratio = np.median(pairs[:, 1] / np.maximum(pairs[:, 0], 1e-12))
        covered = np.mean(pairs[:, 0] <= pairs[:, 1])
        numbers = f"{covered:7.1%}  {ratio:16.1f}  {np.median(pairs[:, 0]):12.1e}  {pairs[:, 0].max():13.1e}"
        print(f"{kind:10}  {weight}  {len(runs):4}  {numbers}", flush=True)


if __name__ == "__main__":
    main()
