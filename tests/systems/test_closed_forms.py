"""The exact reference against solutions on paper."""

import numpy as np
import pytest
from closed_forms import SOLVABLE

from neurho import exact


@pytest.mark.parametrize("make", SOLVABLE, ids=lambda make: make.__name__)
def test_evolution(make):
    system = make()
    times = [0.0, 0.13, 0.5, 0.5, 2.0]
    rho0 = exact.product_state(system.bloch, system.lindbladian.sites)
    states = exact.evolve(system.lindbladian, rho0, times, tolerance=1e-12)
    for t, rho in zip(times, states, strict=True):
        found = exact.expectations(rho, system.lindbladian, t=t, structure=True)
        for name, value in system.means(t).items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=2e-12, err_msg=f"{name} at t = {t}")


STATIONARY = [make for make in SOLVABLE if make().stationary]


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "krylov"])
@pytest.mark.parametrize("make", STATIONARY, ids=lambda make: make.__name__)
def test_stationary_state(make, dense, monkeypatch):
    system = make()
    if not dense:
        monkeypatch.setattr(exact.stationary, "DENSE_LABELS", 0)
    state = exact.stationary_state(system.lindbladian)
    assert state.residual < 1e-10
    assert state.message == ""
    found = exact.expectations(state.rho, system.lindbladian)
    for name, value in system.stationary.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-10, err_msg=name)
