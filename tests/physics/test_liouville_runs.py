"""Runs of the machine on labels beside exact ones, from problem files."""

import numpy as np
import pytest

import neurho
from neurho import config

EVOLVE = """
seed = 1
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "heisenberg"
field = [0.0, 0.0, 1.0]
coupling = [2.0, 0.0, 1.0]
[ansatz]
kind = "liouville"
hidden = 3
mixing = 3
[initial]
bloch = [1.0, 0.0, 0.0]
noise = 0.1
fit = {fit}
[sampling]
kind = "enumeration"
[task]
kind = "evolve"
t = {t}
points = 3
method = "projected"
[observables]
reference = "exact"
bonds = false
energy = false
corrected = 0
"""

SEARCH = """
seed = 1
[lattice]
kind = "chain"
shape = [5]
[model]
kind = "heisenberg"
field = [0.0, 0.0, 1.0]
coupling = [2.0, 0.0, 1.0]
[ansatz]
kind = "{kind}"
hidden = {units}
mixing = {units}
[sampling]
kind = "enumeration"
[task]
kind = "stationary"
[observables]
reference = "exact"
"""


def run(text, **values):
    return list(neurho.build(config.loads(text.format(**values))).snapshots())


@pytest.mark.slow
def test_an_evolution_from_a_start_that_was_fitted():
    """Without the fit the noise of the start alone is an error of 0.3."""
    found = run(EVOLVE, fit=40, t=1.0)
    assert found[0].diagnostics["delta_rho"] < 1e-5
    for snapshot in found:
        assert snapshot.diagnostics["delta_rho"] <= float(snapshot.diagnostics["error_estimate"]) + 1e-5
        assert snapshot.diagnostics["smallest_eigenvalue"] > -1e-4
    assert found[-1].diagnostics["delta_rho"] < 0.02
    unfitted = run(EVOLVE, fit=0, t=1e-3)
    start = unfitted[0].diagnostics
    assert start["delta_rho"] > 0.1
    assert float(start["error_estimate"]) == pytest.approx(start["delta_rho"], rel=1e-9), "all of it is noise"


@pytest.mark.slow
def test_a_stationary_state_that_eq_2_cannot_represent():
    """N = 5, B = 1, J = (2, 0, 1), exact purity 0.079: with 10 + 10 units of both kinds."""
    ends = {}
    for kind in ("liouville", "rbm"):
        ends[kind] = run(SEARCH, kind=kind, units=10)[-1].diagnostics
    assert ends["liouville"]["delta_rho"] < 0.1
    assert ends["rbm"]["delta_rho"] > 0.3
    assert np.sqrt(ends["liouville"]["lindblad_norm2"]) < 0.3 * np.sqrt(ends["rbm"]["lindblad_norm2"])
