"""Verdict against truth: a zoo of small problems, drawn by a seed, run as a user would and compared with exact curves.

    python benchmarks/verdicts.py --out DIR [--only evolve-3] [--list] [--judge]

Every problem has a directory of its own under `--out`: what is there is not run again. `--judge` runs nothing and applies
the present thresholds to what is there. The error of a run is the largest deviation, over all outputs (of a stationary
state: the result), of any one-site mean or two-site mean on a bond from the exact state that begins where the problem
says, tilt and noise not forgiven.
"""

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tomli_w

from neurho import build, config, exact, records
from neurho._types import NeurhoError
from neurho.initial import product_matrix
from neurho.quantities import exact_values
from neurho.sweep.run import run_point

SEED = 2019
WITHIN = {"good": 0.02, "usable": 0.1}

Problem = dict[str, Any]


def number(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm, two digits."""
    return float(f"{np.exp(rng.uniform(np.log(low), np.log(high))):.2g}")


def start(rng: np.random.Generator, sites: int) -> Problem:
    """Poles, Neel, +x, any pure product, mixed."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    return {
        "kind": "product",
        "bloch": [
            [0.0, 0.0, -1.0],
            [0.0, 0.0, 1.0],
            [[0.0, 0.0, (-1.0) ** j] for j in range(sites)],
            [1.0, 0.0, 0.0],
            [round(float(c), 2) for c in 0.99 * direction],
            [round(float(c), 2) for c in 0.6 * direction],
        ][rng.integers(6)],
    }


def spins(rng: np.random.Generator) -> Problem:
    """Fields, couplings, decay, pump and dephasing of any size; all are there, so that one program serves many."""
    field = [number(rng, 0.01, 2.0) for _ in range(3)]
    coupling = [number(rng, 0.01, 1.0) for _ in range(3)]
    return {
        "kind": "heisenberg",
        "field": field,
        "coupling": coupling,
        "decay": number(rng, 0.05, 2.0),
        "pump": number(rng, 0.01, 0.5),
        "dephasing": number(rng, 0.01, 1.0),
    }


def driven(rng: np.random.Generator) -> Problem:
    """A pulse on the field along x."""
    model = spins(rng) | {"pulses": {"field_x": "kick"}}
    return model


def hopping(rng: np.random.Generator) -> Problem:
    """Jumps on two sites at once, and a collective one."""
    return {
        "kind": "custom",
        "hamiltonian": [
            {"on": "bonds", "operator": "J * (sp(i) * sm(j) + sm(i) * sp(j))"},
            {"on": "sites", "operator": "h * sx(i)"},
        ],
        "jumps": [
            {"on": "bonds", "operator": "sm(i) * sp(j)", "rate": number(rng, 0.2, 2.0)},
            {"on": "bonds", "operator": "sm(i) + 0.5 * sm(j)", "rate": number(rng, 0.1, 1.0)},
        ],
        "values": {"J": number(rng, 0.1, 1.0), "h": number(rng, 0.02, 1.0)},
    }


def spin_one(rng: np.random.Generator) -> Problem:
    """Three levels."""
    return {
        "kind": "custom",
        "local_dim": 3,
        "hamiltonian": [
            {"on": "sites", "operator": "drive * Sx(i) + D * Sz(i)**2"},
            {"on": "bonds", "operator": "J * (Sx(i) * Sx(j) + Sy(i) * Sy(j))"},
        ],
        "jumps": [
            {"on": "sites", "operator": "Sm(i) / sqrt(2)", "rate": number(rng, 0.1, 2.0)},
            {"on": "sites", "operator": "Sz(i)", "rate": number(rng, 0.02, 0.5)},
        ],
        "values": {"J": number(rng, 0.05, 1.0), "D": number(rng, 0.1, 1.0), "drive": number(rng, 0.05, 1.0)},
    }


EXACT: Problem = {"kind": "enumeration"}
SAFE: Problem = {"kind": "metropolis", "samples": 1024, "chains": 64, "exponent": 1.0, "blur": 0.3}
PLAIN: Problem = SAFE | {"exponent": 2.0, "blur": 0.0}
CHAIN3: Problem = {"kind": "chain", "shape": [3]}
RING4: Problem = {"kind": "square", "shape": [2, 2]}
PAIR: Problem = {"kind": "chain", "shape": [2]}


def evolution(rng: np.random.Generator, lattice: Problem, model: Problem, sampling: Problem, **more: Any) -> Problem:
    """An evolution, short or long, with a small or a large network."""
    sites = int(np.prod(lattice["shape"]))
    units = sites * int(rng.integers(1, 3))
    problem: Problem = {
        "seed": int(rng.integers(1000)),
        "lattice": lattice,
        "model": model,
        "ansatz": {"kind": "rbm", "hidden": units, "mixing": units},
        "initial": start(rng, sites),
        "sampling": sampling,
        "task": {"kind": "evolve", "t": number(rng, 0.1, 2.0), "points": 6, "max_steps": 150},
    }
    return problem | more


def levels(rng: np.random.Generator, lattice: Problem, sampling: Problem) -> Problem:
    """An evolution of spins 1."""
    pure = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.4, 0.3, 0.3]][rng.integers(4)]
    return evolution(
        rng,
        lattice,
        spin_one(rng),
        sampling,
        initial={"kind": "levels", "populations": pure},
        observables={
            "on_sites": {"Sx": "Sx(i)", "Sy": "Sy(i)", "Sz": "Sz(i)"},
            "on_bonds": {"SxSx": "Sx(i) * Sx(j)", "SzSz": "Sz(i) * Sz(j)"},
        },
    )


def stationary(rng: np.random.Generator, lattice: Problem, model: Problem, sampling: Problem, kind: str) -> Problem:
    """A search, stopped early now and then."""
    sites = int(np.prod(lattice["shape"]))
    units = sites * int(rng.integers(1, 3))
    return {
        "seed": int(rng.integers(1000)),
        "lattice": lattice,
        "model": model,
        "ansatz": {"kind": kind, "hidden": units, "mixing": units},
        "sampling": sampling,
        "task": {"kind": "stationary", "max_steps": int(rng.integers(20, 70))},
    }


def zoo(seed: int = SEED) -> dict[str, Problem]:
    """All problems by name."""
    found: dict[str, Problem] = {}

    def add(family: str, count: int, make: Any) -> None:
        for k in range(count):
            draws = np.random.default_rng([seed, *family.encode(), k])
            found[f"{family}-{k}"] = make(draws)

    projected = lambda rng, p: (
        p
        | {  # noqa: E731
            "task": {"kind": "evolve", "t": p["task"]["t"], "points": 4, "method": "projected", "max_steps": 80}
        }
    )
    pulse = lambda rng, p: (
        p
        | {  # noqa: E731
            "pulses": {"kick": {"kind": "gaussian", "centre": 0.4, "width": 0.15, "height": number(rng, 0.5, 3.0)}}
        }
    )
    add("evolve-exact-3", 12, lambda r: evolution(r, CHAIN3, spins(r), EXACT))
    add("evolve-exact-22", 6, lambda r: evolution(r, RING4, spins(r), EXACT))
    add("evolve-exact-hop", 5, lambda r: evolution(r, CHAIN3, hopping(r), EXACT))
    add("evolve-exact-drive", 3, lambda r: pulse(r, evolution(r, PAIR, driven(r), EXACT)))
    add("evolve-safe-3", 10, lambda r: evolution(r, CHAIN3, spins(r), SAFE))
    add("evolve-safe-hop", 4, lambda r: evolution(r, CHAIN3, hopping(r), SAFE))
    add("evolve-plain-3", 6, lambda r: evolution(r, CHAIN3, spins(r), PLAIN))
    add("evolve-projected", 5, lambda r: projected(r, evolution(r, PAIR, spins(r), EXACT)))
    add("evolve-levels", 6, lambda r: levels(r, PAIR, EXACT))
    add("evolve-levels-safe", 3, lambda r: levels(r, PAIR, SAFE))
    add("stationary-exact-3", 8, lambda r: stationary(r, CHAIN3, spins(r), EXACT, "rbm"))
    add("stationary-labels", 6, lambda r: stationary(r, CHAIN3, spins(r), EXACT, "liouville"))
    add("stationary-hop", 4, lambda r: stationary(r, CHAIN3, hopping(r), EXACT, "rbm"))
    add("stationary-samples", 5, lambda r: stationary(r, CHAIN3, spins(r), SAFE, "rbm"))
    return found


def run(name: str, problem: Problem, directory: Path) -> None:
    """Run one problem and write what is true beside it."""
    began = time.monotonic()
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    settings = config.loads(tomli_w.dumps(problem))
    sentence = ""
    try:
        run_point(directory, config.dumps(settings))
    except NeurhoError as error:
        sentence = str(error)
    series = records.read_series(directory)
    truth = exact_means(settings, series.t.values)
    off = {}
    summary = json.loads((directory / "summary.json").read_text())
    for key, values in truth.items():
        if settings.task.kind == "stationary":
            if key in summary["observables"]:
                off[key] = abs(summary["observables"][key]["mean"] - float(np.mean(values)))
            elif key in series:
                off[key] = float(np.max(np.abs(series[key].values[-1] - values)))
        elif key in series:
            off[key] = float(np.nanmax(np.abs(series[key].values - values)))
    seconds = time.monotonic() - began
    preparation = distance_of_start(settings)
    result = {"off": off, "seconds": seconds, "sentence": sentence, "preparation": preparation}
    (directory / "truth.json").write_text(json.dumps(result))
    print(f"{name}: off by {max(off.values()):.4f}, {summary.get('verdict')}, {seconds:.0f} s {sentence}", flush=True)


def exact_means(settings: Any, times: np.ndarray) -> dict[str, np.ndarray]:
    """One-site and bond means of the exact state, along t or of the stationary state."""
    built = build(settings)
    if settings.task.kind == "stationary":
        states, at = [exact.stationary_state(built.lindbladian).rho], [0.0]
    else:
        grid = times if len(times) > 1 else np.array([0.0, 1e-9])
        begin = product_matrix(settings.initial, settings.sites)
        states, at = list(exact.evolve(built.lindbladian, begin, grid))[: len(times)], list(times)
    rows = [
        exact.expectations(rho, built.lindbladian, t=float(t)) | exact_values(rho, built.named, settings.sites)
        for t, rho in zip(at, states, strict=True)
    ]
    kept = [key for key in rows[0] if key.endswith(("_site", "_bond"))]
    if settings.task.kind == "stationary":
        kept = list(rows[0])
        kept = [key for key in kept if key not in ("purity", "renyi2", "energy") and np.ndim(rows[0][key]) == 0]
        return {key: rows[0][key] for key in kept}
    return {key: np.stack([row[key] for row in rows]) for key in kept}


def distance_of_start(settings: Any) -> float | None:
    """||rho_network - rho_asked||/||rho_asked|| at t = 0."""
    if settings.task.kind == "stationary":
        return None
    from neurho.ansatz import density_matrix

    asked = product_matrix(settings.initial, settings.sites)
    return float(np.linalg.norm(density_matrix(build(settings).initial.ansatz) - asked) / np.linalg.norm(asked))


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="only names that begin with this")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--judge", action="store_true", help="run nothing")
    options = parser.parse_args()
    problems = {name: p for name, p in zoo().items() if name.startswith(options.only)}
    if options.list:
        print("\n".join(problems))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    # Programs of equal shapes are compiled once, also by another session.
    jax.config.update("jax_compilation_cache_dir", str(options.out.resolve() / "compiled"))
    jax.config.update("jax_disable_most_optimizations", True)
    for name, problem in problems.items():
        if not options.judge and not (options.out / name / "truth.json").exists():
            run(name, problem, options.out / name)


if __name__ == "__main__":
    sys.exit(main())
