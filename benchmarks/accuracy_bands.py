"""How often the error estimate of an evolution covers its true error: small systems, exact solutions.

    python benchmarks/accuracy_bands.py [--sites 2 3 4] [--samples N] [--json FILE]

For every output after t = 0 two things are counted: whether delta_rho (relative Frobenius distance of rho) lies below
`error_estimate`, and whether each of m_x, m_y, m_z (site averages) lies within `error_estimate` of the exact value (and
two standard errors, with samples).
"""

import argparse
import json
import time

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from neurho import NeurhoError, build, config, exact  # noqa: E402

# One shape of kernels for each number of sites: no entry is zero, so that nothing is compiled twice.
NAMES = ("field", "coupling", "decay", "pump", "dephasing")
VALUES = {
    "damped and driven": ([0.8, 0.1, 0.4], [0.4, 0.3, 0.6], 1.0, 0.05, 0.05),
    "fast precession": ([0.3, 0.2, 6.0], [4.0, 0.1, 2.0], 1.0, 0.01, 0.01),
    "strong noise": ([1.5, 0.5, 0.2], [0.9, 1.2, 1.0], 0.5, 0.4, 1.0),
    "nearly closed": ([0.6, 0.0001, 0.3], [0.3, 0.2, 1.0], 0.05, 0.01, 0.02),
}
MODELS = {model: dict(zip(NAMES, values, strict=True)) for model, values in VALUES.items()}
STARTS = {"+x": [1.0, 0.0, 0.0], "mixed": [0.2, -0.3, 0.4]}
METHODS = {
    "projected": 'method = "projected"',
    "flow": 'method = "bosh3"\ntolerance = 3e-3\nridge = 1e-4',
}
ROUGH = {
    "projected": 'method = "projected"\ntolerance = 1e-3',
    "flow": 'method = "bosh3"\ntolerance = 1e-2\nridge = 1e-3',
}
"""For samples, whose noise no tolerance takes away."""
PROBLEM = """
lattice = {{ kind = "chain", shape = [{sites}] }}
ansatz = {{ kind = "rbm", hidden = {hidden}, mixing = {sites} }}
initial = {{ bloch = {bloch} }}
sampling = {{ {sampling} }}
[model]
kind = "heisenberg"
field = {field}
coupling = {coupling}
decay = {decay}
pump = {pump}
dephasing = {dephasing}
[observables]
reference = "exact"
bonds = false
energy = false
[task]
kind = "evolve"
t = {end}
points = 6
max_steps = 300
{method}
"""


def run(sites, model, start, method, end, samples):
    """Rows (t, error_estimate, delta_rho, errors of m_x, m_y, m_z) of one run, as far as it goes."""
    sampling = f'kind = "metropolis", samples = {samples}, chains = {min(samples, 256)}'
    text = PROBLEM.format(
        sites=sites,
        hidden=2 * sites,
        bloch=STARTS[start],
        method=(ROUGH if samples else METHODS)[method],
        sampling=sampling if samples else 'kind = "enumeration"',
        end=end,
        **MODELS[model],
    )
    problem = build(config.loads(text))
    truth = exact.evolve(problem.lindbladian, problem.driver.asked_matrix(), problem.times)
    rows = []
    try:
        for snapshot, rho in zip(problem.snapshots(), truth, strict=False):
            values = exact.expectations(rho, problem.lindbladian, energy=False)
            measured = {k: snapshot.observables[k] for k in ("sx", "sy", "sz")}
            off = [abs(float(m.mean) - float(values[k])) - 2 * float(m.error) for k, m in measured.items()]
            d = snapshot.diagnostics
            rows.append((snapshot.t, d["error_estimate"], d["delta_rho"], *off))
    except NeurhoError as error:
        print(f"  stopped: {error}")
    return rows[1:]


def main():
    """Print one line for each case and the shares at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--end", type=float, default=1.0)
    parser.add_argument("--samples", type=int, default=0, help="of p and of q; exact sums unless given")
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    found = []
    for sites in asked.sites:
        for method in METHODS:
            for model in MODELS:
                for start in STARTS:
                    began = time.process_time()
                    rows = np.array(run(sites, model, start, method, asked.end, asked.samples)).reshape(-1, 6)
                    case = {
                        "sites": sites,
                        "method": method,
                        "model": model,
                        "start": start,
                        "outputs": len(rows),
                        "delta_rho_inside": int(np.sum(rows[:, 2] <= rows[:, 1])),
                        "means_inside": int(np.sum(rows[:, 3:] <= rows[:, 1:2])),
                        "last": rows[-1].tolist() if len(rows) else None,
                        "cpu_seconds": round(time.process_time() - began, 1),
                    }
                    found.append(case)
                    print(json.dumps(case), flush=True)
                    if asked.json:
                        with open(asked.json, "w", encoding="utf-8") as file:
                            json.dump(found, file, indent=1)
    for method in METHODS:
        mine = [c for c in found if c["method"] == method]
        outputs = sum(c["outputs"] for c in mine)
        for key, count in (("delta_rho_inside", outputs), ("means_inside", 3 * outputs)):
            print(f"{method}: {key} {sum(c[key] for c in mine)} of {count}")


if __name__ == "__main__":
    main()
