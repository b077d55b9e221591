"""Exact evolution and stationary states beside QuTiP and, for evolutions, dynamiqs, in one run.

    python benchmarks/exact.py [--sites 4 5 6 7 8 9 10] [--repetitions 3] [--json FILE]

A driven, damped Heisenberg chain. Three tasks: evolution with constant and with time-dependent coefficients, from |+x>
to t = 2 with 21 outputs, and the stationary state. All codes get the same tolerance of 1e-8; their distances (largest
entry) from a solution with tolerance 1e-12 stand beside the CPU seconds, which are the smallest of alternating
repetitions on one thread for linear algebra; models and matrices of QuTiP are made before the clock starts. Driven
evolutions are done with other tolerances, too, so that times at comparable errors can be read off. Codes that are not
installed are left out. QuTiP computes stationary states by the fastest of its methods that worked, up to seven spins:
LU factors, or BiCGSTAB with incomplete ones.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import qutip

from neurho import exact, interchange, models
from neurho.model import lattice
from neurho.model.operators import Lindbladian, sx, total

TOLERANCE, T, POINTS = 1e-8, 2.0, 21
TIMES = np.linspace(0.0, T, POINTS)
STATIONARY_SITES = {"qutip": 7, "neurho": 10}
DYNAMIQS_SITES = 8
OTHER_TOLERANCES_SITES = 8
Run = Callable[[], list[np.ndarray]]


def drive(t):
    """Two tones and a ramp, smooth on all scales of the model."""
    return 0.8 * np.cos(3.0 * t) + 0.3 * np.sin(7.0 * t) * t


def model(sites: int, *, driven: bool) -> Lindbladian:
    chain = lattice.chain(sites)
    still = models.heisenberg(chain, field=(0.3, 0.0, 0.5), coupling=(0.9, 1.2, 1.0), decay=1.0)
    if not driven:
        return still
    return Lindbladian(chain, still.hamiltonian + total(sx(j) for j in range(sites)) * drive, still.jumps)


def start(sites: int) -> np.ndarray:
    return exact.product_state((1.0, 0.0, 0.0), sites)


def neurho_evolution(sites: int, *, driven: bool, tolerance: float = TOLERANCE) -> Run:
    lindbladian, rho = model(sites, driven=driven), start(sites)
    return lambda: list(exact.evolve(lindbladian, rho, TIMES, tolerance=tolerance, memory=16))


def qutip_evolution(sites: int, *, driven: bool, tolerance: float = TOLERANCE) -> Run:
    hamiltonian, jumps = interchange.to_qutip(model(sites, driven=False))
    if driven:
        more = interchange.operator_to_qutip(total(sx(j) for j in range(sites)), sites)
        hamiltonian = qutip.QobjEvo([hamiltonian, [more, drive]])
    rho = qutip.Qobj(start(sites), dims=[[2] * sites] * 2)
    options = {"atol": tolerance, "rtol": tolerance, "nsteps": 10**6, "store_states": True, "progress_bar": False}
    return lambda: [state.full() for state in qutip.mesolve(hamiltonian, rho, TIMES, jumps, options=options).states]


def dynamiqs_evolution(sites: int, *, driven: bool) -> Run:
    import dynamiqs as dq
    import jax.numpy as jnp

    dq.set_precision("double")
    dq.set_progress_meter(False)
    hamiltonian, jumps = interchange.to_qutip(model(sites, driven=False))
    as_array = lambda q: dq.asqarray(q.full(), dims=(2,) * sites, layout=dq.dia)  # noqa: E731
    energy = as_array(hamiltonian)
    if driven:
        more = as_array(interchange.operator_to_qutip(total(sx(j) for j in range(sites)), sites))
        energy = energy + dq.modulated(lambda t: 0.8 * jnp.cos(3.0 * t) + 0.3 * jnp.sin(7.0 * t) * t, more)
    rho = dq.asqarray(start(sites), dims=(2,) * sites)
    method = dq.method.Dopri8(rtol=TOLERANCE, atol=TOLERANCE, max_steps=10**6)
    losses = [as_array(c) for c in jumps]
    return lambda: list(np.asarray(dq.mesolve(energy, losses, rho, TIMES, method=method).states.to_jax()))


def neurho_stationary(sites: int) -> Run:
    lindbladian = model(sites, driven=False)
    return lambda: [exact.stationary_state(lindbladian, memory=16).rho]


def qutip_stationary(sites: int) -> Run:
    hamiltonian, jumps = interchange.to_qutip(model(sites, driven=False))
    options = {"method": "direct"} if sites < 5 else {"method": "iterative-bicgstab", "rtol": 1e-10}
    return lambda: [qutip.steadystate(hamiltonian, jumps, **options).full()]


def codes(task: str, sites: int) -> dict[str, Run]:
    if task == "stationary":
        makers = {"neurho": neurho_stationary, "qutip": qutip_stationary}
        return {name: make(sites) for name, make in makers.items() if sites <= STATIONARY_SITES[name]}
    driven = task == "driven"
    found = {"neurho": neurho_evolution(sites, driven=driven), "qutip": qutip_evolution(sites, driven=driven)}
    if importlib.util.find_spec("dynamiqs") and sites <= DYNAMIQS_SITES:
        found["dynamiqs"] = dynamiqs_evolution(sites, driven=driven)
    if driven and sites <= OTHER_TOLERANCES_SITES:
        found["neurho at 1e-5"] = neurho_evolution(sites, driven=True, tolerance=1e-5)
        found["qutip at 1e-12"] = qutip_evolution(sites, driven=True, tolerance=1e-12)
    return found


def measure(task: str, sites: int, repetitions: int) -> dict[str, object]:
    """Seconds and errors of all codes at one task."""
    there = codes(task, sites)
    seconds: dict[str, list[float]] = {name: [] for name in there}
    states = {}
    for _ in range(repetitions):
        for name, run in there.items():
            began = time.process_time()
            states[name] = run()
            seconds[name].append(time.process_time() - began)
    if task == "stationary":
        truth = [exact.stationary_state(model(sites, driven=False), tolerance=1e-12, memory=16).rho]
    else:
        truth = neurho_evolution(sites, driven=task == "driven", tolerance=1e-12)()
    errors = {
        name: max(float(np.abs(a - b).max()) for a, b in zip(found, truth, strict=True))
        for name, found in states.items()
    }
    best = {name: min(values) for name, values in seconds.items()}
    ratios = {name: best[name] / best["neurho"] for name in best if name != "neurho"}
    return {"task": task, "sites": sites, "seconds": best, "errors": errors, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[4, 5, 6, 7, 8, 9, 10])
    parser.add_argument("--tasks", nargs="+", default=["evolution", "driven", "stationary"])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for task in arguments.tasks:
        for sites in arguments.sites:
            row = measure(task, sites, arguments.repetitions if sites < 9 else 1)
            rows.append(row)
            parts = [f"{n} {s:9.4f} s (error {row['errors'][n]:.0e})" for n, s in row["seconds"].items()]
            ratios = ", ".join(f"{n} takes {r:.1f} times as long" for n, r in row["ratios"].items())
            print(f"{task:10} N = {sites:2}: {'; '.join(parts)}; {ratios}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
