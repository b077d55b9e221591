"""Do the error bars of cumulants about an ordered state cover the truth? XYZ tori that are small enough to know it.

    python benchmarks/ordered_bars.py run bars.jsonl [--shapes 3,3 2,4 4,4] [--couplings 0.9,1.1,1.0] [--weight 4]
    python benchmarks/ordered_bars.py judge bars.jsonl [--seed 1]

The truth: shipped references with their errors (4x4), else hierarchies of correlators without a cut (3x4: all of its
176,000 strings). Every order from K = 2 that has a solution is judged, by means of two sites, m_z and structure factors
at zero momentum. `judge` compares rules: chosen on half of the lattices and couplings, judged on the others.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from halves import halves, summary, told

from neurho import correlators as co
from neurho._types import NumericalError
from neurho.config import loads
from neurho.reference import shipped
from neurho.run.drivers.cumulants import CumulantSearch
from neurho.run.problem import build

PROBLEM = """
[lattice]
kind = "{kind}"
shape = [{shape}]
periodic = true
[model]
kind = "xyz"
coupling = [{coupling}]
[task]
kind = "stationary"
method = "correlators"
{more}
[observables]
structure = true
"""
NAMES = ("sz", "sxsx", "sysy", "szsz", "structure_xx", "structure_yy", "structure_zz")


@dataclass(frozen=True)
class Recording(CumulantSearch):
    """The search, which keeps what it found where source and cumulants left out are least, too."""

    orders: list = field(default_factory=list)

    def _judged(self, branch, rung, found, state):
        read = [self._read(branch, co.branch_moments(branch, z)).values for z in (*found.others, found.z)]
        read.append(state.values)
        state, row = super()._judged(branch, rung, found, state)
        self.orders.append((rung, found.z[0], *map(self.picture.split, read)))
        return state, row


def averaged(directory):
    """Means and standard errors of a run by trajectories."""
    found = json.loads((directory / "summary.json").read_text())["observables"]
    return {n: (found[n]["mean"], found[n]["error"]) for n in NAMES}


def truth(kind, shape, coupling):
    """Exact values and their errors by name, and what the hierarchy says on the way to them: of each K what is off, and
    its bar.
    """
    sites = int(np.prod([int(n) for n in shape.split(",")]))
    text = PROBLEM.format(kind=kind, shape=shape, coupling=coupling, more="")
    known = shipped(loads(text))
    if known is not None:
        return {n: (float(known[n]), float(known[f"{n}_error"])) for n in NAMES if n in known}, []
    whole = text.replace('"correlators"', f'"correlators"\nweight = {sites}\ngoal = 1e-9')
    *rows, last = build(loads(whole)).snapshots()
    assert last.diagnostics["weight"] == sites
    exact = {n: (float(last.observables[n].mean), float(last.observables[n].error)) for n in NAMES}
    ladder = []
    for row in rows:
        found = [row.observables[n] for n in NAMES]
        pairs = [[abs(float(o.mean) - exact[n][0]), float(o.error)] for n, o in zip(NAMES, found, strict=True)]
        ladder.append([row.diagnostics["weight"], pairs])
    return exact, ladder


def orders(kind, shape, coupling, more):
    """Of each order what rules see: K, whether with clusters, mu, and by name the values where the source of cumulants
    left out is least, where these are, halfway, those of the order before, and the bar of the run.
    """
    text = PROBLEM.format(kind=kind, shape=shape, coupling=coupling, more=f'closure = "cumulants"\n{more}')
    search = Recording(build(loads(text)).driver.picture)
    rows, note = [], ""
    try:
        for row in search.snapshots():
            rows.append(row)
            note = row.message or note
    except NumericalError as error:
        note = str(error)
    found = []
    for (rung, mu, *read), row in zip(search.orders, rows, strict=False):
        values = {n: [*(float(values[n]) for values in read), float(row.observables[n].error)] for n in NAMES}
        found.append({"K": rung.weight, "full": rung.full, "strings": rung.size, "mu": mu, "values": values})
    return found, note


def run(kind, shape, coupling, more, reference):
    begin = time.process_time()
    exact, ladder = (averaged(reference), []) if reference else truth(kind, shape, coupling)
    there = time.process_time()
    found, note = orders(kind, shape, coupling, more)
    case = f"{kind} {shape} J = {coupling}"
    print(f"{case}: truth {there - begin:.0f} s, orders {time.process_time() - there:.0f} s CPU {note}", flush=True)
    print("    " + ", ".join(f"{n} {m:+.4f}" for n, (m, _) in exact.items()))
    for row in found:
        line = []
        for n, (source, cumulants, value, _, bar) in row["values"].items():
            outside = n in exact and abs(value - exact[n][0]) > bar + 2 * exact[n][1]
            line.append(f"{n} {value:+.4f}[{source:+.4f}, {cumulants:+.4f}]({bar:.4f})" + " OUTSIDE" * outside)
        size = f"K = {row['K']} (all {row['full']}), {row['strings']} strings, mu {row['mu']:.4f}"
        print(f"    {size}: {', '.join(line)}", flush=True)
    return {"case": case, "truth": exact, "orders": found, "note": note, "ladder": ladder}


def replayed(row, rule):
    """(off, bar) of all values of all orders by a rule (share, part): values `share` of the way from where the source
    is least to where cumulants left out are, from K = 3 on, and errors of at least `part` of what these two differ.
    """
    (share, part), pairs, earlier, differed, exact = rule, [], None, 0.0, row["truth"]
    for order in row["orders"]:
        names = [n for n in order["values"] if n in exact]
        source, cumulants, _, before, _ = np.array([order["values"][n] for n in names]).T
        value = source + (share if order["K"] > 2 else 1.0) * (cumulants - source)
        change = np.abs(value - (before if earlier is None else earlier))
        change = np.maximum(change, part * np.abs(cumulants - source))
        typical = np.sqrt(np.mean(change**2))
        bar = np.maximum.reduce([change, 0.2 * differed * np.ones(len(change)), 0.05 * typical * np.ones(len(change))])
        bar = np.maximum(bar, 0.2 * typical) if order["K"] == 2 else bar
        off = [max(0.0, abs(v - exact[n][0]) - 2 * exact[n][1]) for v, n in zip(value, names, strict=True)]
        pairs.append(np.stack([off, bar], axis=1))
        earlier, differed = value, change
    return pairs


def judge_hierarchy(rows):
    """The default closure at every K that cuts something, beside its last, which does not."""
    for K in sorted({int(K) for row in rows for K, _ in row["ladder"]}):
        some = [np.array(pairs) for row in rows for k, pairs in row["ladder"] if k == K]
        print(f"hierarchy, K = {K}, {len(some)} cases: {told(summary(some))}")
    every = [np.concatenate([pairs for _, pairs in row["ladder"]]) for row in rows if row["ladder"]]
    print(f"hierarchy, all: {told(summary(every))}")


RULES = [(0.0, 0.5), (0.5, 0.0), (0.5, 0.5), (0.5, 1.0), (1.0, 0.5)]


def judge(rows, seed):
    """The hierarchy, and rules on two halves of the cases."""
    judge_hierarchy(rows)
    rows = [row for row in rows if row["orders"]]
    chosen, judged = halves([row["case"] for row in rows], seed)
    for label, names in (("all", chosen | judged), ("chosen on", chosen), ("judged on", judged)):
        some = [row for row in rows if row["case"] in names]
        for rule in RULES:
            found = [replayed(row, rule) for row in some]
            every, last = [np.concatenate(f) for f in found], [f[-1] for f in found]
            width = np.mean(np.concatenate(last)[:, 1])
            print(f"{label} {len(some)} cases, rule {rule}: {told(summary(every))}")
            print(f"    the last order: {told(summary(last))}, mean bar {width:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "judge"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--kind", default="square")
    parser.add_argument("--shapes", nargs="+", default=["3,3", "2,4", "2,5", "3,4", "4,4"])
    parser.add_argument("--couplings", nargs="+", default=["0.9,1.1,1.0", "0.9,1.2,1.0", "0.7,1.1,1.0"])
    parser.add_argument("--reference", type=Path, help="a run of the same model by trajectories")
    parser.add_argument("--weight", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "judge":
        judge([json.loads(line) for line in given.file.read_text().splitlines()], given.seed)
        return
    for shape in given.shapes:
        for coupling in given.couplings:
            try:
                more = f"weight = {given.weight}" if given.weight else ""
                found = run(given.kind, shape, coupling, more, given.reference)
            except Exception as error:
                print(f"{shape} {coupling}: {error}", flush=True)
                continue
            with given.file.open("a") as file:
                file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
