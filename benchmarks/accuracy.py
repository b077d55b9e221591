"""Stationary states beside their references: what `neurho run` finds, and what it says of it.

Every case is a problem file, run as a user would, in a directory of its own under `--out`. References are exact (up to
8 spins), shipped matrix-product states, or the numbers given here: 3x3 tori exact, 4x4 from quantum trajectories.
All are networks; the same and more by correlators are in `benchmarks/correlators.py`.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from neurho import build, load

EXACT = '[sampling]\nkind = "enumeration"\n'
TASK = '[task]\nkind = "stationary"\n'


def samples(count: int, *, exponent: float = 0.8, blur: float = 0.5, diagonal: int = 16384) -> str:
    return (
        f'[sampling]\nkind = "metropolis"\nsamples = {count}\nchains = 1024\ndiagonal_samples = {diagonal}\n'
        f"exponent = {exponent}\nblur = {blur}\n"
    )


def spins(shape: str, periodic: bool, field: str, coupling: str) -> str:
    kind = "square" if "," in shape else "chain"
    return (
        f'seed = 1\n[lattice]\nkind = "{kind}"\nshape = [{shape}]\nperiodic = {str(periodic).lower()}\n'
        f'[model]\nkind = "heisenberg"\nfield = [{field}]\ncoupling = [{coupling}]\ndecay = 1.0\n'
    )


def rbm(hidden: int, mixing: int, *, translations: bool = False) -> str:
    return f'[ansatz]\nkind = "rbm"\nhidden = {hidden}\nmixing = {mixing}\ntranslations = {str(translations).lower()}\n'


def labels(hidden: int, mixing: int, *, translations: bool = False) -> str:
    return rbm(hidden, mixing, translations=translations).replace('"rbm"', '"liouville"')


def xyz(shape: str, jy: str) -> str:
    return spins(shape, True, "0.0, 0.0, 0.0", f"0.9, {jy}, 1.0")


def ising_ring(g: str) -> str:
    return spins("6", True, f"{float(g) / 2}, 0.0, 0.0", "0.0, 0.0, 0.5") + TASK


STRUCTURE = "[observables]\nstructure = true\n"
CASES: dict[str, str] = {}
for g in ("0.5", "1", "2", "3"):
    CASES[f"ising6-g{g}"] = ising_ring(g) + rbm(24, 24) + EXACT
    CASES[f"ising6-g{g}-samples"] = ising_ring(g) + rbm(24, 24) + samples(8192)
    CASES[f"ising6-g{g}-tied"] = ising_ring(g) + labels(36, 36, translations=True) + EXACT
for jy in ("1.0", "1.2"):
    CASES[f"xyz5-{jy}"] = xyz("5", jy) + TASK + rbm(10, 10) + EXACT + STRUCTURE
    CASES[f"xyz5-{jy}-tied"] = xyz("5", jy) + TASK + labels(30, 30, translations=True) + EXACT + STRUCTURE
    CASES[f"xyz5-{jy}-samples"] = xyz("5", jy) + TASK + rbm(10, 10) + samples(4096) + STRUCTURE
    CASES[f"xyz33-{jy}"] = xyz("3, 3", jy) + TASK + rbm(18, 18, translations=True) + samples(4096) + STRUCTURE
CASES["xyz44-1.2"] = xyz("4, 4", "1.2") + TASK + rbm(32, 32, translations=True) + samples(4096) + STRUCTURE
CASES["chain16-B1"] = spins("16", False, "0.0, 0.0, 1.0", "2.0, 0.0, 1.0") + TASK + rbm(16, 16) + samples(4096)
CASES["chain16-xyz"] = spins("16", False, "0.0, 0.0, 0.5", "0.9, 1.2, 1.0") + TASK + rbm(16, 16) + samples(4096)
ISING = ("0.25, 0.0, 0.0", "0.0, 0.0, 0.5")
CASES["ising16"] = spins("16", False, *ISING) + TASK + rbm(16, 16) + samples(4096)
CASES["ising32"] = spins("32", True, *ISING) + TASK + rbm(32, 32, translations=True) + samples(4096)
# The larger the system, the fewer samples weigh anything at a small exponent.
for side in (6, 8):
    sites = side * side
    many = TASK + rbm(sites, sites, translations=True) + samples(4096, exponent=1.6, blur=0.2, diagonal=1024)
    for jy in ("1.0", "1.2"):
        CASES[f"xyz{side}{side}-{jy}"] = xyz(f"{side}, {side}", jy) + many + STRUCTURE
# States that Eq. 2 cannot represent, by the machine on labels.
SLOW = ("0.0, 0.0, 1.0", "2.0, 0.0, 1.0")
for kind, network in (("", rbm), ("-labels", labels)):
    CASES[f"chain5-B1{kind}"] = spins("5", False, *SLOW) + TASK + network(10, 10) + EXACT
    CASES[f"xyz23-1.2{kind}"] = xyz("2, 3", "1.2") + TASK + network(12, 12, translations=True) + EXACT + STRUCTURE
for g in ("2", "3"):
    CASES[f"ising6-g{g}-labels"] = ising_ring(g) + labels(12, 12) + EXACT
CASES["xyz23-1.2-tied"] = xyz("2, 3", "1.2") + TASK + labels(36, 36, translations=True) + EXACT + STRUCTURE
CASES["xyz5-1.2-labels"] = xyz("5", "1.2") + TASK + labels(5, 5) + EXACT + STRUCTURE
CASES["xyz33-1.2-labels"] = (
    xyz("3, 3", "1.2") + TASK + "patience = 30\n" + labels(72, 36, translations=True) + EXACT + STRUCTURE
)
CASES["chain16-B1-labels"] = spins("16", False, *SLOW) + TASK + labels(16, 16) + samples(4096)
SHIPPED = ("fig3-continuation", "fig3-labels")
KNOWN = {
    "xyz33-1.0": {"sz": -0.92903, "structure_xx": 0.0},
    "xyz33-1.2": {"sz": -0.46647, "structure_xx": 0.22298},
    "xyz44-1.2": {"sz": -0.485, "structure_xx": 0.2327},
}
SHOWN = ("sx", "sy", "sz", "sxsx", "structure_xx")


def reference(name: str, problem: str) -> dict[str, float]:
    if (known := KNOWN.get(name.removesuffix("-labels"))) is not None:
        return known
    if (found := build(load(problem)).reference()) is None:
        return {}
    return {key: float(found[key]) for key in SHOWN if key in found and found[key].ndim == 0}


def run(name: str, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    problem, directory = name, out / name
    if name in CASES:
        problem = str(out / f"{name}.toml")
        Path(problem).write_text(CASES[name])
    if not (directory / "summary.json").exists():
        subprocess.run(
            [sys.executable, "-m", "neurho.cli", "run", problem, "--out", str(directory), "--quiet"], check=False
        )
    summary = json.loads((directory / "summary.json").read_text())
    found = {key: value for key, value in summary["observables"].items() if key.removesuffix("_corrected") in SHOWN}
    keys = ("lindblad_norm2", "delta_L", "verdict", "converged", "wall_seconds", "step")
    return {"case": name, "observables": found, "reference": reference(name, problem)} | {k: summary[k] for k in keys}


def deviation(found: dict[str, Any], key: str) -> str:
    """Value minus reference, of the network and corrected, with standard errors; values where nothing is known."""
    value, plain = found["observables"].get(key), found["observables"].get(key, {}).get("network")
    if value is None:
        return ""
    better = found["observables"].get(f"{key}_corrected") if plain is None else value
    known = found["reference"].get(key)

    def text(v: dict[str, float] | None) -> str:
        if v is None:
            return "-"
        shift = f"{v['mean'] - known:+.4f}" if known is not None else f"={v['mean']:.4f}"
        return shift + (f"({v['error']:.4f})" if v["error"] else "")

    return f"{text(plain or value)} / {text(better)}" if better or plain else text(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join([*SHIPPED, *CASES])}; all unless given")
    parser.add_argument("--out", type=Path, default=Path("runs/accuracy"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    if unknown := set(asked.cases) - set(CASES) - set(SHIPPED):
        sys.exit(f"Unknown cases: {', '.join(sorted(unknown))}.")
    rows = [run(name, asked.out) for name in asked.cases or [*SHIPPED, *CASES]]
    if asked.json:
        print(json.dumps({row["case"]: row for row in rows}))
        return
    print(f"| case | {' | '.join(SHOWN)} | norm | delta_L | verdict | goal | time |")
    print("|" + "---|" * (len(SHOWN) + 6))
    for row in rows:
        numbers = " | ".join(deviation(row, key) for key in SHOWN)
        norm, goal = row["lindblad_norm2"] ** 0.5, "met" if row["converged"] else "missed"
        tail = f"{norm:.2g} | {row['delta_L']:.2g} | {row['verdict']} | {goal} | {row['wall_seconds']:.0f} s |"
        print(f"| {row['case']} | {numbers} | {tail}")


if __name__ == "__main__":
    main()
