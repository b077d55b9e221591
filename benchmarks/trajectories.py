"""Quantum trajectories: beside QuTiP's `mcsolve` on the same work, memory at 20 spins, and the error that time buys.

    python benchmarks/trajectories.py qutip     # XYZ torus of 4x4, all up to t = 1: CPU seconds per trajectory
    python benchmarks/trajectories.py memory    # 20 spins: peak memory
    python benchmarks/trajectories.py torus     # stationary m_z of 4x4: error times sqrt(CPU seconds)

Seconds are those of the processor and of one process (`time.process_time`), so that a busy machine changes them less.
"""

import argparse
import itertools
import json
import resource
import time

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from neurho import interchange, models, total  # noqa: E402
from neurho import trajectories as tr  # noqa: E402
from neurho.model import lattice  # noqa: E402
from neurho.model.operators import sx, sy, sz  # noqa: E402

COUPLING = (0.9, 1.2, 1.0)


def torus(rows, columns):
    return models.xyz(lattice.square(rows, columns, periodic=True), coupling=COUPLING)


def magnetisation(sites):
    return total([sz(j) for j in range(sites)]) / sites


def ours(model, times, accuracy, count):
    """CPU seconds per trajectory without compiling, and the means."""
    observables = {"mz": magnetisation(model.sites)}
    run = tr.make_evolution(
        model,
        (0, 0, 1.0),
        times,
        tr.observed(observables),
        key=jax.random.key(0),
        ends=tr.Ends(trajectories=count),
        accuracy=accuracy,
    )
    group = run.work
    group(1000, jax.devices()[0])  # compiles
    begin, rows = time.process_time(), []
    for n in range(-(-count // run.lanes)):
        rows.append(group(n, jax.devices()[0]))
    rows = np.concatenate(rows)[:, -1, 0]
    return {
        "seconds": (time.process_time() - begin) / len(rows),
        "mz": [float(rows.mean()), float(rows.std(ddof=1) / np.sqrt(len(rows)))],
        "trajectories": len(rows),
    }


def qutips(model, times, count):
    """The same with QuTiP 5's mcsolve and its default tolerances, one process."""
    import qutip

    h, jumps = interchange.to_qutip(model)
    sites = model.sites
    psi = qutip.tensor([qutip.basis(2, 0)] * sites)
    mz = sum(qutip.Qobj(sz(j).to_sparse(sites).tocsr(), dims=h.dims) for j in range(sites)) / sites
    options = {"map": "serial", "progress_bar": "", "keep_runs_results": True}
    begin = time.process_time()
    found = qutip.mcsolve(h, psi, list(times), jumps, e_ops=[mz], ntraj=count, options=options, seeds=1)
    rows = np.array([run[0][-1].real for run in found.runs_expect[0][:, None]]) if count > 1 else np.zeros(1)
    return {
        "seconds": (time.process_time() - begin) / count,
        "mz": [float(np.mean(rows)), float(np.std(rows, ddof=1) / np.sqrt(count)) if count > 1 else None],
        "trajectories": count,
    }


def beside_qutip(arguments):
    model, times = torus(4, 4), np.linspace(0, arguments.t, 5)
    yield "neurho double", ours(model, times, tr.DOUBLE, 8)
    yield "QuTiP mcsolve", qutips(model, times, arguments.count)
    yield "neurho single", ours(model, times, tr.SINGLE, 8)
    yield "neurho double again", ours(model, times, tr.DOUBLE, 8)


def memory(arguments):
    for name, model, accuracy in (
        ("4x5 torus, double, parity", torus(4, 5), tr.DOUBLE),
        (
            "4x5 torus in a field, double",
            models.heisenberg(lattice.square(4, 5, periodic=True), field=(0.5, 0, 0), coupling=COUPLING),
            tr.DOUBLE,
        ),
    )[arguments.case : arguments.case + 1]:
        begin = time.process_time()
        found = tr.evolve(
            model,
            (0, 0, 1.0),
            [0.0, 0.1],
            observables={"mz": magnetisation(20)},
            key=jax.random.key(0),
            trajectories=2,
            accuracy=accuracy,
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        yield (
            name,
            {
                "peak_GB": peak,
                "cpu_seconds": time.process_time() - begin,
                "mz": [float(found.estimates["mz"].mean[-1]), float(found.estimates["mz"].error[-1])],
            },
        )


def stationary_torus(arguments):
    sites = 16
    observables = {"mz": magnetisation(sites)}
    pairs = list(itertools.combinations(range(sites), 2))
    for name, pauli in (("sxx", sx), ("syy", sy)):
        observables[name] = total([pauli(i) @ pauli(j) for i, j in pairs]) / len(pairs)
    begin, wall = time.process_time(), time.monotonic()
    last = [0.0]

    def tell(record):
        if time.monotonic() - last[0] > 20:
            last[0] = time.monotonic()
            print(json.dumps(row(record)), flush=True)

    def row(record):
        cpu = time.process_time() - begin
        error = float(record.estimates["mz"].error)
        return {
            "t": record.state.t,
            "wall": time.monotonic() - wall,
            "cpu": cpu,
            "error*sqrt(cpu)": error * np.sqrt(cpu),
            **{name: [float(e.mean), float(e.error)] for name, e in record.estimates.items()},
        }

    found = tr.stationary_state(
        torus(4, 4),
        observables=observables,
        key=jax.random.key(1),
        trajectories=16,
        seconds=arguments.seconds,
        accuracy=tr.SINGLE,
        progress=tell,
    )
    yield "stationary 4x4, single", row(found) | {"message": found.message}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["qutip", "memory", "torus"])
    parser.add_argument("--t", type=float, default=1.0, help="last time beside QuTiP")
    parser.add_argument("--count", type=int, default=3, help="trajectories of QuTiP")
    parser.add_argument("--case", type=int, default=0, help="which case of memory: 0 with parity, 1 without")
    parser.add_argument("--seconds", type=float, default=600.0, help="wall time of the stationary search")
    given = parser.parse_args()
    for name, result in {"qutip": beside_qutip, "memory": memory, "torus": stationary_torus}[given.what](given):
        print(name, json.dumps(result), flush=True)
