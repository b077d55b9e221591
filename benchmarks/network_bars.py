"""Do the error bars of networks of correlators cover the truth, and how wide are they?

    python benchmarks/network_bars.py run bars.jsonl [--seconds 900]   # what the rules see, and the truth
    python benchmarks/network_bars.py judge bars.jsonl [--seed 1]      # rules: chosen on half of the cases

Rings and chains of 7 and tori of 2x4 in three models, by three networks: stationary states, and evolutions from two
starts. The truth is the hierarchy without a cut. Cases that stand in the file are not run again. The halves are drawn
by the seed from the names of the cases; intervals come from drawing whole cases anew.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import jax
import numpy as np
import tomli_w
from halves import halves, summary, told

from neurho.config import loads
from neurho.run.drivers.correlator_networks import APART, LEFT, POWER
from neurho.run.drivers.correlator_picture import MEMORY
from neurho.run.problem import build

ENOUGH = 0.93
"""Share of means inside on the half that rules are chosen on: somewhat more than the 0.9 that is asked."""

LEFTS = {
    "stationary": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
    "evolve": (0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15),
}
"""What is tried as the share of what equations leave."""

LATTICES = {
    "ring7": {"kind": "chain", "shape": [7], "periodic": True},
    "torus24": {"kind": "square", "shape": [2, 4], "periodic": True},
    "chain7": {"kind": "chain", "shape": [7], "periodic": False},
}
MODELS = {
    "xyz": {"kind": "xyz", "coupling": [0.9, 1.1, 1.0]},
    "ising": {"kind": "ising", "interaction": 2.0, "transverse": 1.5, "decay": 1.0},
    "fields": {
        "kind": "heisenberg",
        "field": [0.5, 0.0, 0.3],
        "coupling": [0.8, 0.3, -0.6],
        "decay": 1.0,
        "dephasing": 0.2,
    },
}
KINDS = ("mixture", "cumulants", "matrix-product")
STARTS = {"up": [0.0, 0.0, 1.0], "tilted": [0.6, 0.0, -0.5]}


def cases():
    """Name to problem: stationary states everywhere, evolutions where they take less than a minute."""
    found = {}
    for (place, lattice), (physics, model), kind in itertools.product(LATTICES.items(), MODELS.items(), KINDS):
        base, name = {"lattice": lattice, "model": model, "ansatz": {"kind": kind}}, f"{place} {physics} {kind}"
        found[f"{name} stationary"] = base | {"task": {"kind": "stationary", "weight": 4}}
        if (place, physics) != ("ring7", "xyz") and (place, physics, kind) != ("chain7", "fields", "mixture"):
            continue
        for start, bloch in STARTS.items():
            task = {"kind": "evolve", "t": 0.6, "points": 4, "weight": 4}
            found[f"{name} from {start}"] = base | {"task": task, "initial": {"kind": "product", "bloch": bloch}}
    return found


def truth(problem):
    """Exact values of all outputs by name: the same without a network and without a cut."""
    sites = int(np.prod(problem["lattice"]["shape"]))
    task = problem["task"] | {"method": "correlators", "weight": sites, "strings": 100_000}
    plain = {key: value for key, value in problem.items() if key != "ansatz"} | {"task": task}
    rows = build(loads(tomli_w.dumps(plain))).snapshots()
    return [{name: np.ravel(found.mean) for name, found in row.observables.items()} for row in rows]


def facts(driver, before, row, exact):
    """What rules see of an output, and how far off every mean is: alike means of a symmetric lattice once."""
    state, picture = row.state, driver.picture
    apart = np.abs(state.values[:-1] - state.values[-1])
    lefts = [place.left for place in state.places]
    if driver.ensemble.drawn(driver.ensemble.sizes[-1].weight):  # what fresh equations still change
        apart = np.concatenate([apart, np.abs(state.values[-1] - before.state.values[-1])[None]])
        lefts.insert(-1, lefts[-1])
    means = {}
    for name, parts in picture.split(np.arange(picture.count)).items():
        found = row.observables[name]
        for place, *numbers in zip(*map(np.ravel, (parts, found.mean, exact[name], found.error)), strict=True):
            if name != "energy" and abs(numbers[0]) > 1e-9:
                means[name, round(float(numbers[0]), 9)] = [*map(float, numbers), *apart[:, place].tolist()]
    return {
        "t": row.t,
        "rms": [float(np.sqrt(picture.size_of(part))) for part in apart],
        "lefts": lefts,
        "fresh": row.diagnostics.get("equations_fresh", 0.0),
        "rate": driver.rate,
        "parameters": row.diagnostics["parameters"],
        "means": [[name, *numbers] for (name, _), numbers in means.items()],  # value, truth, bar, differences
    }


def run(name, problem):
    """A case: the outputs that count."""
    begin, exact = time.process_time(), truth(problem)
    built = build(loads(tomli_w.dumps(problem), "model"))
    rows = list(built.snapshots())
    evolves = problem["task"]["kind"] == "evolve"
    first = 1 if evolves else len(rows) - 1
    known = exact[-len(rows[first:]) :]
    befores = rows[first - 1 : -1]
    outputs = [facts(built.driver, *found) for found in zip(befores, rows[first:], known, strict=True)]
    return {"case": name, "kind": problem["task"]["kind"], "cpu": time.process_time() - begin, "outputs": outputs}


def bars(row, rule):
    """(off, bar) of all means of a case by a rule (twice, alike, left, power): differences between networks count
    (what the equations leave here / there)^power times; an error is at least `twice` times the largest of them, `alike`
    times that of all means together, and `left` times what the equations leave.
    """
    (twice, alike, left, power), pairs, worst = rule, [], {}
    for out in row["outputs"]:
        shares = np.minimum(1.0, out["lefts"][-1] / np.maximum(out["lefts"][:-1], 1e-300)) ** power
        least = np.hypot(alike * np.max(shares * out["rms"]), left * out["lefts"][-1] / out["rate"])
        for number, (_, value, true, _, *apart) in enumerate(out["means"]):
            bar = max(twice * float(np.max(shares * apart)), least, MEMORY * worst.get(number, 0.0))
            worst[number] = max(bar, worst.get(number, 0.0)) * (row["kind"] == "evolve")
            pairs.append([abs(value - true), bar])
    return np.array(pairs)


def judge(rows, seed):
    """For each kind of task: today's rule, and the narrowest that covers enough on one half, on both halves."""
    for kind in ("stationary", "evolve"):
        now = (APART[kind], 1.0, LEFT[kind], POWER)
        mine = [row for row in rows if row["kind"] == kind]
        chosen, _ = halves([row["case"] for row in mine], seed)
        parts = {
            "chosen on": [row for row in mine if row["case"] in chosen],
            "judged on": [row for row in mine if row["case"] not in chosen],
        }
        rules: list[tuple[float, ...]] = [now]
        for powers in ((0.0,), (0.5, 1.0)):
            grid = itertools.product((0.5, 1.0, 1.5, 2.0), (0.0, 0.5, 1.0), LEFTS[kind], powers)
            found = {rule: summary([bars(row, rule) for row in parts["chosen on"]], draws=1) for rule in grid}
            enough = {rule: s for rule, s in found.items() if s["inside"] >= ENOUGH * s["of"]} or {now: {"ratio": 0.0}}
            rules.append(min(enough, key=lambda rule: enough[rule]["ratio"]))
        for rule in rules:
            for part, some in parts.items():
                line = told(summary([bars(row, rule) for row in some]))
                print(f"{kind}, {rule}, {part} {len(some)} cases: {line}")
            for ansatz in KINDS:
                if some := [row for row in mine if f" {ansatz} " in row["case"]]:
                    print(f"    {ansatz}, all {len(some)}: {told(summary([bars(row, rule) for row in some]))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "judge"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=900.0, help="of the processor, after which no case is begun")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    there = [json.loads(line) for line in given.file.read_text().splitlines()] if given.file.exists() else []
    if given.what == "judge":
        judge(there, given.seed)
        return
    done = {row["case"] for row in there}
    todo = [(name, problem) for name, problem in cases().items() if name not in done]
    for number in np.random.default_rng(0).permutation(len(todo)):  # so that a run that is cut has some of everything
        if time.process_time() > given.seconds:
            break
        name, problem = todo[number]
        found = run(name, problem)
        with given.file.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{name}: {found['cpu']:.0f} s CPU", flush=True)


if __name__ == "__main__":
    main()
