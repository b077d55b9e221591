"""What `neurho compare` says that a reference costs beside what it takes, in processor seconds of one core.

    python benchmarks/costs.py [--methods exact matrix-product trajectories]

Runs of three methods, from less than a second to half a minute each; times of trajectories include compiling.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time

from neurho import config, truth
from neurho.run.problem import build

PROBLEM = """
seed = 1
[lattice]
kind = "{kind}"
shape = {shape}
periodic = {periodic}
[model]
kind = "heisenberg"
field = {field}
coupling = {coupling}
{initial}
[task]
kind = "{task}"
method = "{method}"
{more}
"""
XYZ, STRONG, FIG3 = (
    ([0.0, 0.0, 1.0], [0.9, 1.2, 1.0]),
    ([0.0, 0.0, 1.0], [2.0, 0.0, 1.0]),
    ([0.0, 0.0, 10.0], [1.0, 0, 0]),
)
CASES = {
    "exact": [
        ([4], "evolve", "t = 1.0\npoints = 101", XYZ),
        ([6], "evolve", "t = 4.0\npoints = 21", XYZ),
        ([8], "evolve", "t = 1.0\npoints = 21", XYZ),
        ([9], "evolve", "t = 1.0\npoints = 5", XYZ),
        ([6], "stationary", "", XYZ),
        ([8], "stationary", "", XYZ),
    ],
    "matrix-product": [
        ([4], "evolve", "t = 1.0\npoints = 21", XYZ),
        ([6], "evolve", "t = 0.5\npoints = 21", XYZ),
        ([10], "evolve", "t = 0.2\npoints = 21", XYZ),
        ([2, 4], "evolve", "t = 0.2\npoints = 21", XYZ),
        ([4], "stationary", "", STRONG),
        ([6], "stationary", "bond = 16", STRONG),
        ([8], "stationary", "bond = 32", FIG3),
    ],
    "trajectories": [
        ([2, 2], "evolve", "t = 0.5\npoints = 21\ntrajectories = 400", XYZ),
        ([3, 3], "evolve", "t = 0.25\npoints = 6\ntrajectories = 400", XYZ),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--methods", nargs="+", default=list(CASES))
    for method in parser.parse_args().methods:
        for shape, task, more, (field, coupling) in CASES[method]:
            text = PROBLEM.format(
                kind="chain" if len(shape) == 1 else "square",
                shape=shape,
                periodic=str(method == "trajectories").lower(),
                field=field,
                coupling=coupling,
                initial="[initial]\nbloch = [1.0, 0.0, 0.0]" if task == "evolve" else "",
                task=task,
                method=method,
                more=more,
            )
            problem = build(config.loads(text))
            said, began = truth.cost_of(problem).seconds, time.process_time()
            truth.solve(problem, watch=lambda state: None)
            took = time.process_time() - began
            settings = more.replace("\n", ", ")
            print(f"{method} {task} {shape} {settings}: {said:.2f} s said, {took:.2f} s, {said / took:.2f}", flush=True)


if __name__ == "__main__":
    main()
