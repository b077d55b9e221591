"""Do the error bars of cumulants about an ordered state cover the truth? XYZ tori that are small enough to know it.

    python benchmarks/ordered_bars.py [--shapes 3,3 2,4 4,4] [--couplings 1.1 1.2 1.4]

The truth: shipped references with their errors (4x4), else hierarchies of correlators without a cut. Every order from
K = 2 to N - 1 that has a solution is judged, by means of one and two sites and structure factors at zero momentum.
"""

import argparse
import time

import numpy as np

from neurho._types import NumericalError
from neurho.config import loads
from neurho.reference import shipped
from neurho.run.problem import build

PROBLEM = """
[lattice]
kind = "square"
shape = [{shape}]
periodic = true
[model]
kind = "xyz"
coupling = [0.9, {coupling}, 1.0]
[task]
kind = "stationary"
method = "correlators"
{more}
[observables]
structure = true
"""
NAMES = ("sz", "sxsx", "sysy", "szsz", "structure_xx", "structure_yy", "structure_zz")


def truth(shape, coupling):
    """Exact values and their errors by name."""
    text = PROBLEM.format(shape=shape, coupling=coupling, more="")
    known = shipped(loads(text))
    if known is not None:
        return {n: (float(known[n]), float(known[f"{n}_error"])) for n in NAMES if n in known}
    last = list(build(loads(text)).snapshots())[-1]
    assert last.diagnostics["weight"] == np.prod([int(n) for n in shape.split(",")])
    return {n: (float(last.observables[n].mean), float(last.observables[n].error)) for n in NAMES}


def judged(shape, coupling, exact):
    """Of each order: (off, bar) by name."""
    problem = build(loads(PROBLEM.format(shape=shape, coupling=coupling, more='closure = "cumulants"')))
    try:
        for row in problem.snapshots():
            if row.message:
                print(f"    {row.message}", flush=True)
            found = {n: row.observables[n] for n in NAMES if n in exact}
            off = {n: max(0.0, abs(float(o.mean) - exact[n][0]) - 2 * exact[n][1]) for n, o in found.items()}
            yield int(row.diagnostics["weight"]), {n: (off[n], float(o.error)) for n, o in found.items()}, found
    except NumericalError as error:
        print(f"    {error}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shapes", nargs="+", default=["2,3", "3,3", "2,4", "2,5", "4,4"])
    parser.add_argument("--couplings", nargs="+", default=["1.1", "1.2", "1.4"])
    arguments = parser.parse_args()
    everything, last = [], []
    for shape in arguments.shapes:
        for coupling in arguments.couplings:
            exact, begin = truth(shape, coupling), time.process_time()
            print(f"{shape} Jy = {coupling}: " + ", ".join(f"{n} {m:+.4f}" for n, (m, _) in exact.items()), flush=True)
            rows = []
            for order, pairs, found in judged(shape, coupling, exact):
                rows = list(pairs.values())
                everything += rows
                told = ", ".join(
                    f"{n} {float(found[n].mean):+.4f}({bar:.4f}){' OUTSIDE' * (off > bar)}"
                    for n, (off, bar) in pairs.items()
                )
                print(f"    K = {order}: {told}  [{time.process_time() - begin:.0f} s CPU]", flush=True)
            last += rows
    for name, pairs in (("all orders", everything), ("the last order", last)):
        inside = [off <= bar for off, bar in pairs]
        ratios = [bar / off for off, bar in pairs if off > 0]
        print(f"{name}: {sum(inside)} of {len(pairs)} inside, median of bar/error {np.median(ratios):.1f}")


if __name__ == "__main__":
    main()
