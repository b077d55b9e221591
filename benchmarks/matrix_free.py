"""Processor seconds of a damped Gauss-Newton step of a network of correlators, with J^T J and by products with J alone.

    python benchmarks/matrix_free.py [--terms 13 68 273] [--dense-most 6000]

Mixtures of F products on an open XYZ chain of 24 (72 + 73 F parameters), three drawn equations of up to four sites for
each parameter, a product state moved a little, damping 0.1, compilation included. `scale` is the time for J^T J and
its diagonal, or for the estimate of the diagonal, `solve` that of Cholesky or LSMR; `left` is |r - J x| / |r|.
"""

import argparse
import time

import jax
import numpy as np
from scipy.sparse import csr_array, diags_array

import neurho
from neurho import correlators as co
from neurho.correlators import fitting
from neurho.correlators import networks as nets

SITES, DAMPING, DT = 24, 0.1, 0.3


def problem(terms: int) -> tuple[nets.AbstractStringNetwork, co.Equations, csr_array, np.ndarray]:
    model = co.string_terms(neurho.xyz(neurho.chain(SITES), coupling=(0.9, 1.2, 1.0)))
    product = np.tile([1.0, 0.2, 0.1, -0.8], (SITES, 1))
    network = nets.mixture_network(jax.random.key(0), product, np.arange(SITES)[None], terms)
    theta = np.asarray(nets.parameter_vector(network))
    network = nets.with_parameters(network, theta + 0.01 * np.random.default_rng(1).normal(size=theta.shape))
    symmetry = co.Symmetry(np.arange(SITES)[None], 4)
    rows = co.drawn_rows(symmetry, 4, 3 * len(theta), np.random.default_rng(0))
    equations = co.build_equations(model, symmetry, rows)
    scale = diags_array(equations.weights(1 / 3) / (1 + DT))
    matrix = csr_array(scale @ (equations.identity - DT * equations.matrix(0.0)))
    c = nets.string_values(network, equations.columns)
    return network, equations, matrix, matrix @ c - scale @ c[equations.own]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--terms", type=int, nargs="+", default=[13, 68, 273])
    parser.add_argument("--dense-most", type=int, default=6000, help="parameters up to which both ways are taken")
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    for terms in asked.terms:
        network, equations, matrix, left = problem(terms)
        slopes = nets.Slopes(network, equations.columns)
        print(f"{slopes.shape[1]} parameters, {equations.size} rows, {slopes.shape[0]} columns", flush=True)
        for way in (fitting.matrix_free, fitting.normal_equations):
            if way is fitting.normal_equations and slopes.shape[1] > asked.dense_most:
                continue
            began = time.process_time()
            _, damped = way(network, equations.columns, matrix)
            middle = time.process_time()
            change = damped(DAMPING)(left)
            end = time.process_time()
            rest = np.linalg.norm(left - matrix @ slopes.along(change)) / np.linalg.norm(left)
            print(
                f"  {way.__name__}: scale {middle - began:.1f} s, solve {end - middle:.1f} s, left {rest:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
