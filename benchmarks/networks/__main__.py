"""Networks side by side: best fits to exact states, and what searches reach, at equal numbers of parameters.

    python benchmarks/networks [--systems PATTERN ...] [--networks PATTERN ...] [--sizes 200 800] [--seconds 20]
                               [--norms 1 0.3333] [--search | --own-search] [--by newton | lbfgs] [--out FILE.jsonl]
    python benchmarks/networks --table FILE.jsonl ...    # rows into docs/networks/table.csv, and the page from it

A fit minimises ||rho - sigma||^2/||sigma||^2 over all entries, sigma the exact state, both of trace one, in the norm
that gives Pauli strings of w sites the weight lambda^w: lambda = 1 is the Hilbert-Schmidt norm. `--search` minimises
||L rho||^2/||rho||^2 in these norms, without knowledge of sigma, `--own-search` is the program's continuation with
exact sums and `task.metric`. By Levenberg-Marquardt steps with the whole Jacobian, or L-BFGS, for `--seconds` of
processor time a row.
"""

import argparse
import fnmatch
import json
from pathlib import Path

import jax
from cases import prepared, tables
from growth import Store
from kinds import KINDS
from pages import write
from rows import Ends, case, fits, own_searches, searches


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--systems", nargs="+", default=["xyz-3x3-1.2"])
    parser.add_argument("--networks", nargs="+", default=["*"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[200, 800])
    parser.add_argument("--norms", nargs="+", type=float, default=[1.0, 1 / 3])
    parser.add_argument("--seconds", nargs="+", type=float, default=[15.0, 40.0], help="one for each size")
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--own-search", action="store_true")
    parser.add_argument("--by", choices=["newton", "lbfgs"], default="newton")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--cache", type=Path, help="a folder of exact states and of fits, with which others begin")
    parser.add_argument("--table", nargs="*", type=Path)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.table is not None:
        write(options.table)
        return
    jax.config.update("jax_enable_x64", val=True)
    names = [n for p in options.networks for n in KINDS if fnmatch.fnmatch(n, p)]
    store = Store(options.cache)
    sizes = [(size, options.seconds[min(k, len(options.seconds) - 1)]) for k, size in enumerate(options.sizes)]
    for system in (prepared(n, options.cache) for p in options.systems for n in tables() if fnmatch.fnmatch(n, p)):
        for name in (n for n in dict.fromkeys(names) if system.moves is not None or not KINDS[n].tied):
            for size, seconds in sizes:
                one = case(system, name, size, options.starts, store)
                ends = Ends(seconds, options.by, options.starts)
                move = searches if options.search else own_searches if options.own_search else fits
                for row in move(one, options.norms, ends):
                    print(json.dumps(row), flush=True)
                    if options.out:
                        with options.out.open("a") as file:
                            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
