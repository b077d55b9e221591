"""Exact curves begin with the state that was asked for, and what its preparation costs is stated."""

import numpy as np
import pytest

from neurho import NeurhoError, config, exact
from neurho.matrix_elements.networks import density_matrix
from neurho.run.problem import build

PROBLEM = """
lattice = {{ kind = "{kind}", shape = {shape} }}
model = {{ kind = "heisenberg", field = [0.4, 0.0, 0.3], decay = 0.5 }}
ansatz = {{ kind = "rbm", hidden = 1, mixing = 2 }}
initial = {{ bloch = {bloch}, noise = {noise}, tilt = 1e-2 }}
sampling = {{ kind = "enumeration" }}
observables = {{ reference = "exact", bonds = false, energy = false, certificate = false }}
task = {{ kind = "evolve", t = 0.2, points = 2, method = "{method}" }}
"""


def problem(bloch='"down"', *, noise=0.02, method="bosh3", kind="chain", shape="[2]"):
    return build(config.loads(PROBLEM.format(bloch=bloch, noise=noise, method=method, kind=kind, shape=shape)))


def test_exact_curves_begin_at_the_pole():
    """The tilt of a pole is 0.2 in sx; the exact curve has none of it, and delta_rho all of it."""
    made = problem()
    curves = made.reference()
    assert curves is not None
    assert float(curves.sz[0]) == -1.0
    assert float(curves.sx[0]) == 0.0
    first = next(made.snapshots())
    truth = exact.product_state("down", 2)
    expected = exact.delta_rho(density_matrix(made.driver.initial.ansatz), truth)
    assert first.diagnostics["delta_rho"] == pytest.approx(expected, rel=1e-9)
    assert first.diagnostics["preparation"] == pytest.approx(expected, rel=1e-9)
    assert first.diagnostics["error_estimate"] == pytest.approx(expected, rel=1e-9)
    assert expected > 0.15


def test_what_preparation_costs_without_density_matrices(monkeypatch):
    """The sum of what noise and tilt cost is above the distance, and not by much."""
    made = problem(noise=0.005)
    known = exact.delta_rho(density_matrix(made.driver.initial.ansatz), exact.product_state("down", 2))
    monkeypatch.setattr("neurho.run.drivers.network.PREPARED_DIMENSION", 1)
    cost = next(made.snapshots()).diagnostics["preparation"]
    assert known <= cost * (1 + 1e-9) <= 1.2 * known


@pytest.mark.parametrize(
    ("bloch", "kind", "shape", "signs"),
    [
        ('"up"', "chain", "[2]", [1, 1]),
        ('"down"', "chain", "[2]", [-1, -1]),
        ('"neel"', "chain", "[3]", [1, -1, 1]),
        ('"neel"', "square", "[2, 2]", [1, -1, -1, 1]),
    ],
)
def test_named_states_in_a_file(bloch, kind, shape, signs):
    """The exact solver begins with them exactly; networks lean as a pole does."""
    exactly = next(problem(bloch, method="exact", kind=kind, shape=shape).snapshots())
    assert exactly.observables["sz_site"].mean.tolist() == signs
    made = problem(bloch, kind=kind, shape=shape)
    expected = made.driver.initial.target
    assert expected is not None
    rho = density_matrix(expected)
    found = [np.trace(exact.reduced(rho, (j,), len(signs)) @ np.diag([1, -1])).real for j in range(len(signs))]
    assert found / np.trace(rho).real == pytest.approx(0.98 * np.array(signs), abs=1e-9)


def test_named_states_that_do_not_fit():
    with pytest.raises(NeurhoError, match="odd rings"):
        _ = problem('"neel"', method="exact", kind="triangular", shape="[2, 2]").snapshots().__next__()
    with pytest.raises(NeurhoError, match='or "up", "down", "neel", '):
        problem('"left"')
