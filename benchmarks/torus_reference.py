"""The shipped references of the 4x4 XYZ torus, from runs by trajectories of definite momentum.

    neurho run torus.toml model.coupling=[0.9,1.1,1.0] --out runs/torus
    python benchmarks/torus_reference.py runs/torus src/neurho/reference/torus44_1.1.npz

docs/trajectories.md has the problem, and how long each takes.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from neurho import config, records

NAMES = ("sz", "structure_xx", "structure_yy", "structure_zz", "sxsx", "sysy", "szsz")


def values_of(directory: Path) -> dict[str, Any]:
    """Means and errors in the order of `NAMES`, and where they come from."""
    series, problem = records.read_series(directory), records.read_problem(directory)
    provenance, steady = records.read_provenance(directory), config.loads(problem).task.kind == "stationary"
    rows = series.isel(t=-1) if steady else series
    facts: dict[str, Any] = {
        "names": NAMES,
        "mean": np.stack([rows[name].values for name in NAMES], axis=-1),
        "error": np.stack([rows[f"{name}_error"].values for name in NAMES], axis=-1),
        "method": f"trajectories of definite momentum, neurho {provenance['sessions'][-1]['versions']['neurho']}",
        "problem": problem,
        "fingerprint": provenance["fingerprint"],
        "wall_seconds": float(series.wall_seconds[-1]),
        "trajectories": int(series.trajectories[-1]),
    }
    if not steady:
        return facts | {"t": series.t.values}
    kept = {key: float(rows[key]) for key in ("burn_in", "tau_time", "effective_samples")}
    return facts | kept | {"samples": int(rows.step) * facts["trajectories"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    np.savez(given.out, **values_of(given.run))


if __name__ == "__main__":
    main()
