"""Verdict against truth: a zoo of small problems, drawn by a seed, run as a user would and compared with exact curves.

    python benchmarks/verdicts.py --out DIR [--only evolve-3] [--list] [--judge]

Every problem has a directory of its own under `--out`: what is there is not run again. `--judge` runs nothing, and
applies the present thresholds to what is there. The error of a run is the largest deviation, over all outputs (of a
stationary state: the result), of the mean over sites of a one-site mean, or over bonds of a two-site mean, from the
exact state that begins where the problem says, tilt and noise not forgiven. Single places are judged by their own
words.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import tomli_w

from neurho import build, config, exact, records
from neurho._types import NeurhoError
from neurho.certificate import ERRORS, WORDS
from neurho.matrix_elements.networks import density_matrix
from neurho.records.summary import prefer_corrected
from neurho.run.initial import product_matrix
from neurho.stationary_states.corrections import slowest_rate
from neurho.sweep.run import run_point

SEED = 2019

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
    return spins(rng) | {"pulses": {"field_x": "kick"}}


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


def projected(problem: Problem) -> Problem:
    """The same by implicit steps."""
    task = {"kind": "evolve", "t": problem["task"]["t"], "points": 4, "method": "projected", "max_steps": 80}
    return problem | {"task": task}


def with_pulse(rng: np.random.Generator, problem: Problem) -> Problem:
    """The same with the pulse that the model names."""
    kick = {"kind": "gaussian", "centre": 0.4, "width": 0.15, "height": number(rng, 0.5, 3.0)}
    return problem | {"pulses": {"kick": kick}}


def zoo(seed: int = SEED) -> dict[str, Problem]:
    """All problems by name."""
    found: dict[str, Problem] = {}

    def add(family: str, count: int, make: Any) -> None:
        for k in range(count):
            draws = np.random.default_rng([seed, *family.encode(), k])
            found[f"{family}-{k}"] = make(draws)

    add("evolve-exact-3", 12, lambda r: evolution(r, CHAIN3, spins(r), EXACT))
    add("evolve-exact-22", 6, lambda r: evolution(r, RING4, spins(r), EXACT))
    add("evolve-exact-hop", 5, lambda r: evolution(r, CHAIN3, hopping(r), EXACT))
    add("evolve-exact-drive", 3, lambda r: with_pulse(r, evolution(r, PAIR, driven(r), EXACT)))
    add("evolve-safe-3", 10, lambda r: evolution(r, CHAIN3, spins(r), SAFE))
    add("evolve-safe-hop", 4, lambda r: evolution(r, CHAIN3, hopping(r), SAFE))
    add("evolve-plain-3", 6, lambda r: evolution(r, CHAIN3, spins(r), PLAIN))
    add("evolve-projected", 5, lambda r: projected(evolution(r, PAIR, spins(r), EXACT)))
    add("evolve-levels", 6, lambda r: levels(r, PAIR, EXACT))
    add("evolve-levels-safe", 3, lambda r: levels(r, PAIR, SAFE))
    add("stationary-exact-3", 8, lambda r: stationary(r, CHAIN3, spins(r), EXACT, "rbm"))
    add("stationary-labels", 6, lambda r: stationary(r, CHAIN3, spins(r), EXACT, "liouville"))
    add("stationary-hop", 4, lambda r: stationary(r, CHAIN3, hopping(r), EXACT, "rbm"))
    add("stationary-samples", 5, lambda r: stationary(r, CHAIN3, spins(r), SAFE, "rbm"))
    return found


def run(name: str, problem: Problem, directory: Path) -> None:
    """Run one problem as a user would."""
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
    seconds = time.monotonic() - began
    result = {"seconds": seconds, "sentence": sentence, "preparation": distance_of_start(settings)}
    (directory / "truth.json").write_text(json.dumps(result))
    print(f"{name}: {seconds:.0f} s {sentence}", flush=True)


class Judged(NamedTuple):
    """A run: its word and reasons, errors by name, and the words of quantities."""

    name: str
    word: str
    reasons: tuple[str, ...]
    off: dict[str, float]
    words: dict[str, str]

    @property
    def error(self) -> float:
        """The largest error of a mean over sites or bonds."""
        return max(v for k, v in self.off.items() if not k.endswith(("_site", "_bond")))

    def quantities(self) -> list[tuple[str, float]]:
        """Word and error of every quantity, place by place where there are places."""
        return [(self.words.get(name, self.word), error) for name, error in self.off.items()]


def judged(name: str, directory: Path) -> Judged:
    """What the present thresholds say of a run, and what is true."""
    settings = config.loads(records.read_problem(directory))
    series = records.read_series(directory)
    known = json.loads((directory / "truth.json").read_text())
    stationary = settings.task.kind == "stationary"
    average = settings.task.average if stationary else None
    end = settings.task.t_end
    reached = known["sentence"] == "" and (stationary or float(series.t[-1]) >= end * (1 - 1e-9))
    if stationary:
        reached = json.loads((directory / "summary.json").read_text())["converged"]
    if "preparation" not in series and known["preparation"] is not None:
        series = series.assign(preparation=("t", np.full(series.sizes["t"], known["preparation"])))
    if stationary and "relaxation" not in series:
        rate = slowest_rate(build(settings).lindbladian)
        series = series.assign(relaxation=("t", np.full(series.sizes["t"], rate)))
    found = records.judge(series, settings.task.kind, average=average, reached=reached)
    values = result_of(series, average, found.word) if stationary else {k: series[k].values for k in series.data_vars}
    truth = kept_means(settings, series.t.values, directory / "truth.npz")
    off = {k: float(np.nanmax(np.abs(values[k] - v))) for k, v in truth.items() if k in values}
    return Judged(name, found.word or "", found.reasons, off, dict(found.words))


def result_of(series: Any, average: float, word: str | None) -> dict[str, Any]:
    """What is given as the stationary state: averages, corrected where the word allows it; places from the last row."""
    shown = records.summarise(series, average=average)["observables"]
    means = {k: v["mean"] for k, v in prefer_corrected(shown, word).items()}
    return {k: series[k].values[-1] for k in series.data_vars if k.endswith(("_site", "_bond"))} | means


def kept_means(settings: Any, times: np.ndarray, file: Path) -> dict[str, np.ndarray]:
    """Exact means, computed once."""
    if not file.exists():
        np.savez(file, **exact_means(settings, times))
    with np.load(file) as found:
        return dict(found)


def exact_means(settings: Any, times: np.ndarray) -> dict[str, np.ndarray]:
    """One-site and bond means of the exact state, along t or of the stationary state."""
    built = build(settings)
    if settings.task.kind == "stationary":
        rows = [(0.0, exact.stationary_state(built.lindbladian).rho)]
    else:
        grid = times if len(times) > 1 else np.array([0.0, 1e-9])
        begin = product_matrix(settings.initial, settings.sites)
        rows = list(zip(times, exact.evolve(built.lindbladian, begin, grid), strict=False))
    means = [built.exact_values(rho, float(t)) for t, rho in rows]
    kept = [key for key in means[0] if key not in ("purity", "renyi2", "energy")]
    columns = {key: np.stack([row[key] for row in means]) for key in kept}
    return {k: v[0] for k, v in columns.items()} if settings.task.kind == "stationary" else columns


def distance_of_start(settings: Any) -> float | None:
    """||rho_network - rho_asked||/||rho_asked|| at t = 0."""
    if settings.task.kind == "stationary":
        return None
    asked = product_matrix(settings.initial, settings.sites)
    return float(np.linalg.norm(density_matrix(build(settings).driver.initial.ansatz) - asked) / np.linalg.norm(asked))


def table(found: list[Judged]) -> str:
    """Words beside errors, for runs and for single quantities."""
    lines = ["| word | runs | within 0.02 | within 0.1 | largest error |", "|---|---|---|---|---|"]

    def row(name: str, errors: list[float]) -> str:
        off = np.array(errors)
        within = [f"{np.sum(off <= limit)} ({np.mean(off <= limit):.0%})" if len(off) else "-" for limit in (0.02, 0.1)]
        return f"| {name} | {len(off)} | {within[0]} | {within[1]} | {np.max(off, initial=0):.3f} |"

    for word in WORDS:
        lines.append(row(word, [j.error for j in found if j.word == word]))
    near = [j for j in found if j.error <= ERRORS.good]
    trusted = sum(j.word != WORDS[-1] for j in near)
    lines += [
        "",
        f"Of {len(near)} runs within 0.02, {trusted} are called good or usable ({trusted / len(near):.0%}).",
        "",
    ]
    lines += ["| word | quantities | within 0.02 | within 0.1 | largest error |", "|---|---|---|---|---|"]
    every = [pair for j in found for pair in j.quantities()]
    lines += [row(word, [error for w, error in every if w == word]) for word in WORDS]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and judge all."""
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
    there = [name for name in problems if (options.out / name / "truth.json").exists()]
    found = []
    for name in there:
        found.append(j := judged(name, options.out / name))
        print(f"{j.name}: {j.word}, off by {j.error:.4f}; {'; '.join(j.reasons)}", flush=True)
    print(table(found))


if __name__ == "__main__":
    sys.exit(main())
