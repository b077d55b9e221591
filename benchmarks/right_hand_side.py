"""One TDVP right-hand side of Fig. 3 of PRL 122, 250502 (N = 16), neurho beside NetKet, in alternating repetitions.

`samples` of p with 2N proposals for a kept one, local values and force, metric and solve; then as many samples of q and
the mean magnetisation. Both codes stand at the same parameters of the same network in every repetition, a point of a
flow with steps of 0.01, and start their solvers from their own velocity at the point before. NetKet takes the faster of
its dense Cholesky solve and its conjugate gradients. The first call of each, which compiles, is reported apart.
"""

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from codes import Netket, Neurho, Sizes, cores, random_parameters, random_spins
from processes import Remote

PARTS = ("sampling", "local_values", "metric_solve", "right_hand_side", "observables", "total")
DT = 0.01


def agreement(neurho: Remote, netket: Remote, sizes: Sizes) -> dict[str, float]:
    """Largest differences of log rho (a constant apart) and relative ones of local values at random configurations."""
    spins = random_spins(sizes, 64)
    (one, local), (other, expected) = neurho("values", spins), netket("values", spins)
    difference = one - other
    turned = difference - difference[0]
    turned.imag = (turned.imag + np.pi) % (2 * np.pi) - np.pi
    return {
        "log_rho_difference": float(np.max(np.abs(turned))),
        "local_values_difference": float(np.max(np.abs(local - expected)) / np.max(np.abs(expected))),
    }


def measure(sizes: Sizes, repetitions: int) -> dict[str, Any]:
    neurho, netket = Remote(Neurho, sizes), Remote(Netket, sizes)
    codes = {"neurho": neurho, "netket": netket}
    values = random_parameters(sizes)
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in codes}
    first = {}
    for repetition in range(repetitions + 1):
        for name, code in codes.items():
            code("set_parameters", values)
            began = time.perf_counter()
            found = code("run")
            if repetition:
                seconds[name].append(found)
                continue
            first[name] = time.perf_counter() - began
            if name == "neurho":
                netket("set_shift", neurho("facts")["shift"])
        values = neurho("advance", DT)
    for code in codes.values():
        code("set_parameters", values)
    agreed = agreement(neurho, netket, sizes)
    facts = {name: code("facts") for name, code in codes.items()}
    for code in codes.values():
        code.close()
    median = {name: {k: float(np.median([r[k] for r in rows])) for k in rows[0]} for name, rows in seconds.items()}
    ratios = {
        f"{part}_ratio": float(np.median([b[part] / a[part] for a, b in zip(*seconds.values(), strict=True)]))
        for part in PARTS
    }
    return (
        ratios
        | {"cores": cores(), "repetitions": repetitions, "sizes": sizes._asdict()}
        | agreed
        | {"seconds": median, "first_call_seconds": first, "facts": facts}
    )


def table(found: dict[str, Any]) -> str:
    lines = [f"{'seconds':18}{'NetKet':>10}{'neurho':>10}{'ratio':>8}"]
    for part in PARTS:
        netket, neurho = (found["seconds"][name][part] for name in ("netket", "neurho"))
        lines.append(f"{part.replace('_', ' '):18}{netket:10.3f}{neurho:10.3f}{found[part + '_ratio']:8.1f}")
    first = found["first_call_seconds"]
    lines.append(f"{'first call':18}{first['netket']:10.1f}{first['neurho']:10.1f}")
    lines += [f"{name.replace('_', ' ')}: {found[name]:.1e}" for name in found if name.endswith("_difference")]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=12, help="M = Mtilde")
    parser.add_argument("--samples", type=int, default=20480)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    sizes = Sizes(sites=asked.sites, hidden=asked.hidden, samples=asked.samples)
    found = measure(sizes, asked.repetitions)
    print(json.dumps(found) if asked.json else table(found))
    if max(found["log_rho_difference"], found["local_values_difference"]) > 1e-10:
        sys.exit("The two codes do not compute the same thing.")


if __name__ == "__main__":
    main()
