"""What quantities make of the means of their operators, against the exact state."""

import numpy as np
import pytest

from neurho import exact
from neurho.config import loads
from neurho.model import lattice
from neurho.observables.readout import Readout
from neurho.run.initial import product_factors
from neurho.run.problem import build

RING = """
[lattice]
kind = "chain"
shape = [3]
periodic = true
[model]
kind = "xyz"
coupling = [0.9, 1.2, 1.0]
[initial]
kind = "product"
bloch = [0.0, 0.3, 0.6]
[task]
kind = "evolve"
method = "exact"
t = 0.3
points = 2
[observables]
correlations = true
structure = true
momenta = true
pairs = [[0, 1]]
"""


@pytest.fixture(scope="module")
def ring():
    problem = build(loads(RING, "ring"))
    last = list(problem.snapshots())[-1]
    readout: Readout = problem.readout
    means = np.array([exact.expectation(last.state.rho, x, 3).real for x in readout.operators])
    return problem, last, means


def test_values_are_those_of_the_exact_run(ring):
    problem, last, means = ring
    found = problem.readout.combine(means)
    expected = {k: v for k, v in last.observables.items() if k not in ("purity", "renyi2")}
    assert set(found) == set(expected)
    for name, estimate in expected.items():
        np.testing.assert_allclose(found[name], estimate.mean, atol=1e-12, err_msg=name)


def test_a_batch_is_read_row_by_row(ring):
    problem, _, means = ring
    both = problem.readout.combine(np.stack([means, 2 * means]))
    for name, value in problem.readout.combine(2 * means).items():
        np.testing.assert_allclose(both[name][1], value, atol=1e-14, err_msg=name)


def test_factors_are_the_product_start(ring):
    problem, _, _ = ring
    first = problem.factors
    product = np.kron(np.kron(first[0], first[1]), first[2])
    np.testing.assert_allclose(product, exact.product_state((0, 0.3, 0.6), 3), atol=1e-15)


@pytest.mark.parametrize("bloch", ["up", "down", "neel"])
def test_factors_of_a_start_with_a_name(ring, bloch):
    problem, _, _ = ring
    chain = lattice.chain(3)
    asked = problem.config.model_copy(update={"initial": problem.config.initial.model_copy(update={"bloch": bloch})})
    first = product_factors(asked, chain)
    product = np.kron(np.kron(first[0], first[1]), first[2])
    np.testing.assert_array_equal(product, exact.product_state(bloch, chain))


def test_an_operator_that_stands_twice_is_measured_once(ring):
    problem, _, _ = ring
    # 9 one-site means, 9 pairs (all are bonds), 16 matrix units of one pair, the energy
    assert len(problem.readout.operators) == 9 + 9 + 16 + 1
