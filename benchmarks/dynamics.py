"""Evolutions beside exact ones: what `neurho run` finds by the explicit flow and by projected steps.

Every case is a problem file, run as a user would, in a directory of its own under `--out`; the exact evolution is
another run of the same file (`task.method = "exact"`), up to 9 spins. Case names end in the method and, where the sums
are not exact, in `-samples`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

AXES = ("sx", "sy", "sz")
METHODS = {
    "flow": 'method = "bosh3"\ndt = 1e-4\ntolerance = 1e-3\nsolver = "ridge"\nridge = 1e-4\n',
    "projected": 'method = "projected"\ntolerance = 1e-4\n',
}
ROUGH = METHODS | {
    "flow": 'method = "bosh3"\ndt = 1e-3\ntolerance = 1e-2\nsolver = "auto"\nridge = 1e-3\n',
    "projected": 'method = "projected"\ntolerance = 1e-3\n',
}
"""For samples, whose noise no tolerance takes away."""
FINE = METHODS | {"flow": 'method = "bosh3"\ndt = 1e-4\ntolerance = 5e-4\nsolver = "ridge"\nridge = 1e-7\n'}
"""For exact sums with the machine on labels."""


class System(NamedTuple):
    """A lattice with its model, the start, M = Mtilde, the last time, and the samples if sums are not exact.

    `network` and `start` are lines of the tables `ansatz` and `initial`.
    """

    lattice: str
    field: str
    coupling: str
    bloch: str
    hidden: int
    t: float
    samples: int = 0
    exact: bool = True
    network: str = 'kind = "rbm"'
    start: str = ""


def chain(sites: int, *, periodic: bool = True) -> str:
    return f'kind = "chain"\nshape = [{sites}]\nperiodic = {str(periodic).lower()}'


def torus(rows: int, columns: int) -> str:
    return f'kind = "square"\nshape = [{rows}, {columns}]\nperiodic = true'


FIG2, SLOW, XYZ = ("0, 0, 10.0", "20.0, 0, 10.0"), ("0, 0, 1.0", "2.0, 0, 1.0"), ("0, 0, 0.0", "0.9, 1.2, 1.0")
PLUS = "1.0, 0, 0"
SYSTEMS = {
    "fig2": System(chain(5), *FIG2, PLUS, 20, 1.0),
    "ring5": System(chain(5), *SLOW, PLUS, 20, 2.0),
    "fig2-up": System(chain(5), *FIG2, "0, 0, 1.0", 20, 0.5),
    "fig2-down": System(chain(5), *FIG2, "0, 0, -1.0", 20, 0.5),
    "fig2-mixed": System(chain(5), *FIG2, "0, 0, 0.0", 20, 0.5),
    "torus23": System(torus(2, 3), *XYZ, PLUS, 24, 2.0),
    "torus33": System(torus(3, 3), *XYZ, PLUS, 36, 2.0, network='kind = "rbm"\ntranslations = true'),
    "chain16": System(chain(16, periodic=False), *SLOW, PLUS, 16, 0.5, samples=4096, exact=False),
    "chain40": System(chain(40, periodic=False), *SLOW, PLUS, 20, 0.2, samples=2048, exact=False),
}
for name in ("fig2", "ring5"):
    SYSTEMS[f"{name}-samples"] = SYSTEMS[name]._replace(samples=204_800 if name == "fig2" else 20_480, t=0.2)
# The machine on labels, by the flow with its small ridge: with units of their own, and with ten filters.
TIED = 'kind = "liouville"\ntranslations = true'
for name in ("fig2", "ring5", "fig2-up", "fig2-down", "fig2-mixed"):
    SYSTEMS[f"{name}-labels"] = SYSTEMS[name]._replace(network='kind = "liouville"')
    SYSTEMS[f"{name}-tied"] = SYSTEMS[name]._replace(network=TIED, hidden=50, start="noise = 0.03\nfit = 40\n")
CASES = [f"{name}-{method}" for name in SYSTEMS for method in METHODS]


def problem(system: System, task: str, *, distances: bool) -> str:
    sampling = 'kind = "enumeration"'
    if system.samples:
        sampling = f'kind = "metropolis"\nsamples = {system.samples}\nchains = 1024'
    return (
        f"seed = 1\n[lattice]\n{system.lattice}\n"
        f'[model]\nkind = "heisenberg"\nfield = [{system.field}]\ncoupling = [{system.coupling}]\ndecay = 1.0\n'
        f"[ansatz]\n{system.network}\nhidden = {system.hidden}\nmixing = {system.hidden}\n"
        f"[initial]\nbloch = [{system.bloch}]\n{system.start}[sampling]\n{sampling}\n"
        f'[task]\nkind = "evolve"\nt = {system.t}\npoints = 51\n{task}[observables]\nexact = {str(distances).lower()}\n'
    )


def run(out: Path, name: str, text: str, wall: str) -> tuple[xr.Dataset, dict[str, Any]]:
    out.mkdir(parents=True, exist_ok=True)
    file, directory = out / f"{name}.toml", out / name
    file.write_text(text)
    if not (directory / "summary.json").exists():
        command = [sys.executable, "-m", "neurho.cli", "run", str(file), "--out", str(directory), "--quiet"]
        subprocess.run([*command, "--wall", wall], check=False)
    with xr.open_dataset(directory / "series.nc") as series:
        return series.load(), json.loads((directory / "summary.json").read_text())


def worst(found: xr.Dataset, exact: xr.Dataset, until: float) -> float:
    """The largest error of a site-averaged Pauli mean up to a time."""
    times = found.t.values[found.t.values <= until + 1e-9]
    truth = exact.interp(t=times)
    return max(float(np.max(np.abs(found[a].sel(t=times) - truth[a]))) for a in AXES)


def row(case: str, out: Path, wall: str) -> dict[str, Any]:
    name, method = case.rsplit("-", 1)
    system = SYSTEMS[name]
    small = system.exact and not system.samples and system.lattice != torus(3, 3)
    task = (ROUGH if system.samples else FINE if "liouville" in system.network else METHODS)[method]
    found, summary = run(out, case, problem(system, task, distances=small), wall)
    reached = float(found.t[-1])
    result: dict[str, Any] = {"case": case, "reached": reached, "wall_seconds": summary["wall_seconds"]}
    result |= {"steps": summary["step"], "error_estimate": float(found.error_estimate[-1])}
    if "delta_rho" in found:
        result["delta_rho"] = {str(t): float(found.delta_rho.interp(t=t * reached)) for t in (0.2, 0.5, 1.0)}
    if system.exact:
        exact, _ = run(out, f"{name}-exact", problem(system, 'method = "exact"\n', distances=False), wall)
        result["worst"] = {f"{t * reached:.3g}": worst(found, exact, t * reached) for t in (0.1, 0.2, 0.5, 1.0)}
        result["worst_sz"] = float(np.max(np.abs(found.sz - exact.interp(t=found.t).sz)))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all unless given")
    parser.add_argument("--out", type=Path, default=Path("runs/dynamics"))
    parser.add_argument("--wall", default="30m", help="of one run: 3600, 90m, 12h")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    if unknown := set(asked.cases) - set(CASES):
        sys.exit(f"Unknown cases: {', '.join(sorted(unknown))}.")
    rows = [row(case, asked.out, asked.wall) for case in asked.cases or CASES]
    if asked.json:
        print(json.dumps({r["case"]: r for r in rows}))
        return
    print("| case | t reached | largest error of a mean up to t | of sz | delta_rho at t/5, t/2, t | steps | time |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        errors = ", ".join(f"{e:.3f} ({t})" for t, e in r.get("worst", {}).items())
        distance = ", ".join(f"{d:.2f}" for d in r.get("delta_rho", {}).values())
        sz = f"{r['worst_sz']:.3f}" if "worst_sz" in r else ""
        tail = f"{r['steps']} | {r['wall_seconds']:.0f} s |"
        print(f"| {r['case']} | {r['reached']:g} | {errors} | {sz} | {distance} | {tail}")


if __name__ == "__main__":
    main()
