"""What correlators reach by their defaults: value, error bar, true error and seconds, case by case.

    python benchmarks/correlators.py [--only PATTERN] [--out FILE.json]

Each case is a problem file with [lattice], [model], [initial] and [task] only, run in a process of its own through the
command line, compilation and start included. References are exact where the system is small, else those shipped with
the program (matrix products), matrix products computed here, or quantum trajectories with their errors.
"""

import argparse
import fnmatch
import json
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import tomli_w
import xarray as xr

from neurho.config import loads
from neurho.run.problem import build

UP, DOWN, PLUS, MIXED = [0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]


def lattice(kind, *shape, periodic=True):
    return {"kind": kind, "shape": list(shape), "periodic": periodic}


def xyz(jy=1.2):
    return {"kind": "xyz", "coupling": [0.9, jy, 1.0]}


def heisenberg(field, coupling):
    return {"kind": "heisenberg", "field": [0.0, 0.0, field], "coupling": coupling, "decay": 1.0}


def neel(shape):
    return [UP if sum(np.unravel_index(j, shape)) % 2 == 0 else DOWN for j in range(int(np.prod(shape)))]


def stationary(where, model, **task):
    return {"lattice": where, "model": model, "task": {"kind": "stationary", "method": "correlators"} | task}


def evolve(where, model, bloch, t, points=21, **task):
    initial = {"kind": "product", "bloch": bloch}
    run = {"kind": "evolve", "method": "correlators", "t": t, "points": points} | task
    return {"lattice": where, "model": model, "initial": initial, "task": run}


def cases():
    """Name to (problem, reference): None is exact, a dict gives values (value, error) of the last row."""
    found = {}
    for n in (6, 9):
        for g in (0.5, 1.0, 2.0, 3.0):
            model = {"kind": "ising", "interaction": 2.0, "transverse": g, "decay": 1.0}
            found[f"ising-ring-{n}-g{g:g}"] = (stationary(lattice("chain", n), model), None)
    for jy in (1.0, 1.2):
        for shape in ((2, 2), (2, 3), (3, 3)):
            found[f"xyz-{shape[0]}x{shape[1]}-{jy:g}"] = (stationary(lattice("square", *shape), xyz(jy)), None)
    big = {"sz": (-0.4909, 0.0021), "structure_xx": (0.2361, 0.0009), "structure_yy": (0.1311, 0.0006)}
    found["xyz-4x4-1.2"] = (stationary(lattice("square", 4, 4), xyz()), big)
    found["xyz-4x4-1"] = (
        stationary(lattice("square", 4, 4), xyz(1.0)),
        {"sz": (-0.960, 0.002), "structure_xx": (0.0, 0.0)},
    )
    for n in (6, 8):
        for jy in (1.0, 1.2):
            found[f"xyz-{n}x{n}-{jy:g}"] = (stationary(lattice("square", n, n), xyz(jy)), {})
    found["chain16-fig3"] = (
        stationary(lattice("chain", 16, periodic=False), heisenberg(10.0, [1.0, 0.0, 0.0])),
        {"sz": (-0.99530543, 1e-8), "sxsx": (-0.050075614, 1e-8)},
    )
    found["chain16-B1"] = (
        stationary(lattice("chain", 16, periodic=False), heisenberg(1.0, [2.0, 0.0, 1.0])),
        {"sz": (-4.41347 / 16, 1e-5)},
    )
    found["chain16-xyz"] = (
        stationary(lattice("chain", 16, periodic=False), heisenberg(0.5, [0.9, 1.2, 1.0])),
        {"sz": (-13.5295 / 16, 2e-5)},
    )
    ising16 = {"kind": "heisenberg", "field": [0.25, 0.0, 0.0], "coupling": [0.0, 0.0, 0.5], "decay": 1.0}
    found["chain16-ising"] = (
        stationary(lattice("chain", 16, periodic=False), ising16),
        {"sz": (-15.315582 / 16, 1e-7)},
    )
    for name, bloch in {"+x": PLUS, "up": UP, "down": DOWN, "mixed": MIXED}.items():
        found[f"fig2-{name}"] = (
            evolve(lattice("chain", 5), heisenberg(10.0, [20.0, 0.0, 10.0]), bloch, 1.0, 101),
            None,
        )
    for shape in ((2, 3), (3, 3)):
        for name, bloch in {"up": UP, "down": DOWN, "+x": PLUS, "neel": neel(shape)}.items():
            found[f"quench-{shape[0]}x{shape[1]}-{name}"] = (evolve(lattice("square", *shape), xyz(), bloch, 2.0), None)
    found["quench-ring8-neel"] = (evolve(lattice("chain", 8), xyz(), neel((8,)), 2.0), None)
    found["quench-4x4-up"] = (evolve(lattice("square", 4, 4), xyz(), UP, 2.0), {})
    for name, bloch in {"up": UP, "+x": PLUS}.items():
        found[f"chain16-B1-{name}"] = (
            evolve(lattice("chain", 16, periodic=False), heisenberg(1.0, [2.0, 0.0, 1.0]), bloch, 1.0),
            {"method": "matrix-product", "bond": 100},
        )
    return found | processors() | others()


def processors():
    """The shipped processor, and its like on 5x5: T1 and T2 drawn once, the same pulse, crosstalk and times."""
    shipped = tomllib.loads(resources.files("neurho").joinpath("problems", "processor.toml").read_text())
    model, times = shipped["model"], shipped["task"]["times"]
    rng = np.random.default_rng(5)
    longest = rng.uniform(48, 75, 25)
    five = model | {
        "T1": longest.round(1).tolist(),
        "T2": (longest * rng.uniform(0.6, 1.4, 25)).round(1).tolist(),
        "detuning": rng.uniform(-0.06, 0.06, 25).round(3).tolist(),
    }
    found = {}
    for side, physics, truth in ((3, model, None), (5, five, {})):
        problem = evolve(lattice("square", side, side, periodic=False), physics, DOWN, 5.0)
        task = {k: v for k, v in problem["task"].items() if k != "points"} | {"times": times}
        found[f"processor-{side}x{side}"] = (problem | {"pulses": shipped["pulses"], "task": task}, truth)
    return found


def others():
    """A chain of spins 1, a frustrated torus, and disorder without any symmetry."""
    spin1 = {
        "kind": "custom",
        "local_dim": 3,
        "hamiltonian": [
            {"on": "sites", "operator": "drive * Sx(i) + D * Sz(i)**2"},
            {"on": "bonds", "operator": "J * (Sx(i) * Sx(j) + Sy(i) * Sy(j))"},
        ],
        "jumps": [{"on": "sites", "operator": "Sm(i) / sqrt(2)", "rate": 1.0}],
        "values": {"J": 0.5, "D": 0.3, "drive": 1.0},
    }
    named = {"on_sites": {"Sz": "Sz(i)", "n": "Sz(i) + 1"}, "on_bonds": {"SzSz": "Sz(i) * Sz(j)"}}
    found = {"spin1-chain6": (stationary(lattice("chain", 6, periodic=False), spin1) | {"observables": named}, None)}
    for jy in (1.0, 1.2):
        found[f"triangular-4x4-{jy:g}"] = (stationary(lattice("triangular", 4, 4), xyz(jy)), {})
    fields = np.random.default_rng(3).uniform(-1, 1, (9, 3)).round(3).tolist()
    disorder = {"kind": "heisenberg", "field": fields, "coupling": [0.9, 1.2, 1.0], "decay": 1.0}
    found["fields-3x3"] = (stationary(lattice("square", 3, 3, periodic=False), disorder), None)
    return found


def reference(problem, **method):
    """Values of the same problem by another method (exact unless one is given), and their errors, by name."""
    kept = {k: v for k, v in problem["task"].items() if k in ("kind", "t", "points", "times")}
    asked = {k: v for k, v in problem["observables"].items() if k != "structure" or not method}
    built = build(loads(tomli_w.dumps(problem | {"task": kept | ({"method": "exact"} | method), "observables": asked})))
    rows = [row.observables for row in built.snapshots()]
    values = {name: np.array([row[name].mean for row in rows]) for name in rows[0]}
    return values, {name: np.array([row[name].error for row in rows]) for name in rows[0]}


def cpu_seconds():
    """CPU seconds of all processes that were started and have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def run(name, problem, truth, folder):
    file, out = folder / f"{name}.toml", folder / name
    problem = {"observables": {"structure": True}} | problem
    file.write_text(tomli_w.dumps(problem))
    begin, used = time.perf_counter(), cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "neurho.cli", "run", str(file), "--out", str(out), "--quiet"],
        capture_output=True,
        text=True,
    )
    seconds, used = time.perf_counter() - begin, cpu_seconds() - used
    if done.returncode:
        return {"case": name, "failed": done.stderr.strip()[-300:], "seconds": seconds}
    series = xr.load_dataset(out / "series.nc", engine="h5netcdf")
    summary = json.loads((out / "summary.json").read_text())
    row = {
        "case": name,
        "seconds": seconds,
        "cpu": used,
        "verdict": summary["verdict"],
        "weight": float(series.weight[-1]),
        "strings": float(series.strings[-1]),
        "smallest": float(series.smallest_eigenvalue.min()),
        "central": float(series.central[-1]),
        "values": {},
    }
    others = truth is not None and "method" in truth
    exactly, errors = reference(problem, **(truth or {})) if truth is None or others else (None, {})
    for key in ("sx", "sy", "sz", "sxsx", "szsz", "structure_xx", "Sz", "n", "SzSz"):
        if key not in series:
            continue
        value, bar = series[key].values, series[f"{key}_error"].values
        entry = {"last": float(value[-1]), "bar": float(bar[-1]), "largest_bar": float(bar.max())}
        if exactly is not None:
            rows = slice(None) if problem["task"]["kind"] == "evolve" else slice(-1, None)
            if key not in exactly:
                continue
            off = np.abs(value[rows] - exactly[key])
            entry |= {"off": float(off.max()), "covered": float(np.mean(off <= bar[rows] + errors[key]))}
            entry |= {"reference_error": float(errors[key].max())}
        elif key in truth:
            off = abs(float(value[-1]) - truth[key][0])
            entry |= {"off": off, "covered": float(off <= bar[-1] + 2 * truth[key][1])}
        row["values"][key] = entry
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", default="")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (problem, truth) in cases().items():
            if not fnmatch.fnmatch(name, arguments.only):
                continue
            row = run(name, problem, truth, Path(folder))
            rows.append(row)
            if "failed" in row:
                print(f"{name:20} failed: {row['failed']}", flush=True)
                continue
            about = ", central" if row["central"] else ""
            size = f"K = {row['weight']:g}, {row['strings']:g} strings{about}"
            print(f"{name:20} {row['seconds']:6.1f} s ({row['cpu']:.1f} s CPU)  {size}  {row['verdict']}", flush=True)
            for key, v in row["values"].items():
                off = f"  off {v['off']:.1e}, covered {v['covered']:.0%}" if "off" in v else ""
                print(
                    f"    {key:14} {v['last']:+.5f} +- {v['bar']:.1e} (at most {v['largest_bar']:.1e}){off}", flush=True
                )
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
