"""The program behind the table of networks: norms and L against matrices, Jacobians against gradients, a fit."""

import importlib
import sys
from functools import cache, reduce
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from neurho.matrix_elements.generator import lindbladian_map, to_dense, to_table

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "networks"))
cases, descent, kinds, rows, spaces = map(importlib.import_module, ("cases", "descent", "kinds", "rows", "spaces"))

PAULI = np.array([np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
prepared = cache(cases.prepared)


def random_state(space, seed=0):
    """A Hermitian matrix with the symmetries of the space."""
    return space.to_matrix(np.random.default_rng(seed).normal(size=len(space.trace)))


def norm_by_strings(rho, lam):
    """sum_P lambda^|P| |Tr P rho|^2 / 2^N."""
    sites = int(np.log2(len(rho)))
    total = 0.0
    for string in product(range(4), repeat=sites):
        one = reduce(np.kron, PAULI[list(string)])
        total += lam ** np.count_nonzero(string) * abs(np.vdot(one, rho)) ** 2
    return np.sqrt(total / 2**sites)


@pytest.mark.parametrize("name", ["ising-ring-4-g2", "chain-4-B1", "outcomes"])
def test_norms_and_lindbladian_are_those_of_matrices(name):
    system = prepared("ising-ring-4-g2" if name == "outcomes" else name)
    space = spaces.of_outcomes(system) if name == "outcomes" else spaces.of_labels(system, tied=system.ring)
    rho = random_state(space)
    v = space.of_matrix(rho)
    assert np.allclose(space.to_matrix(v), rho)
    assert np.isclose(space.trace @ v, np.trace(rho))
    for lam in (1.0, 1 / 3):
        assert np.isclose(np.linalg.norm(space.norm(lam).apply(v)), norm_by_strings(rho, lam))
    moved = to_dense(lindbladian_map(system.model)) @ to_table(rho, 4, 2)
    assert np.allclose(space.to_matrix(space.rate().apply(v)), spaces.to_matrix(moved, 4, 2))


WRITTEN_OUT = ("mpdo", "rbm, translations", "liouville, translations", "ndm")


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("gram", "outcomes")]


@pytest.mark.parametrize("network", [*WRITTEN_OUT, "mpdo, open", *SLOW])
def test_jacobians_are_derivatives(network):
    name, system = network.removesuffix(", open"), "chain-4-B1" if network.endswith("open") else "ising-ring-4-g2"
    one = rows.case(prepared(system), name, 60, 1, rows.Store(None))
    generator = np.random.default_rng(1)
    start = one.starts[0] + 0.1 * generator.normal(size=len(one.starts[0]))
    v, matrix = one.entries.derivatives(start)
    values, u = one.entries.values(start), generator.normal(size=len(v))
    scale = (one.space.trace @ v) / (one.space.trace @ values)
    exact = matrix.dtype == np.float64  # of outcomes in single precision
    assert np.allclose(v, scale * values, atol=1e-12)
    assert np.allclose(u @ matrix, scale * one.entries.pull(start, u), atol=1e-10 if exact else 1e-5)


def test_the_cost_of_a_search_is_that_of_matrices():
    """||D L rho||^2/||D rho||^2 of a network, by all Pauli strings."""
    one = rows.case(prepared("ising-ring-4-g2"), "liouville, translations", 60, 1, rows.Store(None))
    rho = one.space.to_matrix(one.entries.values(one.starts[0]))
    moved = spaces.to_matrix(to_dense(lindbladian_map(one.system.model)) @ to_table(rho, 4, 2), 4, 2)
    for lam in (1.0, 1 / 3):
        expected = norm_by_strings(moved, lam) / norm_by_strings(rho, lam)
        assert np.isclose(rows.search_problem(one, lam).cost(one.starts[0]), expected**2)


@pytest.mark.parametrize("search", [True, False])
def test_gradients_and_normal_matrices_are_those_of_the_residual(search):
    one = rows.case(prepared("chain-4-B1"), "rbm", 60, 1, rows.Store(None))
    norm = one.space.norm(1 / 3)
    asked = rows.search_problem(one, 1 / 3) if search else descent.Problem(one.entries, norm, None, None)
    start, step = one.starts[0], 1e-4
    cost, g, h = asked.normal(start)
    d = g / np.linalg.norm(g)
    ahead, behind = (asked.residual(asked.entries.values(start + s * step * d)) for s in (1, -1))
    slope = (ahead - behind) / (2 * step)
    assert np.isclose(cost, asked.cost(start))
    assert np.isclose(2 * d @ g, (ahead @ ahead - behind @ behind) / (2 * step), rtol=1e-4)
    assert np.isclose(d @ h @ d, slope @ slope, rtol=1e-4)
    assert np.isclose(2 * d @ g, d @ asked.gradient(start)[1], rtol=1e-4)


def test_the_estimate_from_all_blocks_is_the_normal_matrix(monkeypatch):
    one = rows.case(prepared("chain-4-B1"), "rbm", 60, 1, rows.Store(None))
    norm = one.space.norm(1 / 3)
    asked = descent.Problem(one.entries, norm, norm.apply(one.space.of_matrix(one.system.sigma)), None)
    _, _, h = asked.normal(one.starts[0])
    monkeypatch.setattr(descent, "PART", 2 * len(one.space.x))
    assert np.allclose(asked.estimate(one.starts[0], 0), h)


def test_a_fit_ends_in_a_minimum():
    one = rows.case(prepared("ising-ring-4-g2"), "liouville, translations", 80, 1, rows.Store(None))
    found = list(rows.fits(one, [1 / 3, 1.0], rows.Ends(seconds=2.0, method="newton", starts=1)))
    assert [row["lambda"] for row in found] == [0.3333, 1.0]
    assert np.isclose(found[1]["distance"], found[1]["residual"])
    assert found[1]["residual"] < 0.02
