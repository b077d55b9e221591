"""Two-time correlation functions against QuTiP and closed forms."""

import numpy as np
import pytest
import qutip

import helpers
from neurho import NeurhoError, exact, interchange, models, pulses
from neurho.model import lattice
from neurho.model.operators import sm, sp, sx, sy, sz

TIMES = np.linspace(0.0, 1.5, 6)


def test_regression_agrees_with_qutip():
    """Three coupled spins, operators that are not Hermitian, a state that is not stationary."""
    model = helpers.driven_chain()
    rho = exact.product_state([[0.3, 0.1, -0.6], [0.0, 0.5, 0.5], [0.2, 0.0, 0.1]], 3)
    a, b = sp(0) + 0.3 * sx(2), sm(1) @ sz(2) + 0.2j * sy(0)
    found = exact.correlation(model, rho, a, b, TIMES)
    hamiltonian, jumps = interchange.to_qutip(model)
    operators = [qutip.Qobj(x.to_sparse(3).toarray(), dims=hamiltonian.dims) for x in (a, b)]
    state = qutip.Qobj(rho, dims=hamiltonian.dims)
    options = {"rtol": 1e-10, "atol": 1e-12}
    expected = qutip.correlation_2op_1t(hamiltonian, state, TIMES, jumps, *operators, options=options)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert np.max(np.abs(found.imag)) > 0.01


def test_a_spin_under_dephasing_and_a_pulse():
    """H = f(t)/2 sigma^x and jumps sigma^x at rate g: sigma^z(t) = (cos F sigma^z + sin F sigma^y) exp(-2 g t) with the
    area F of f, and sigma^y sigma^z = i sigma^x."""
    kick = pulses.sin2(4.0, start=0.2, end=1.0)
    model = models.custom(
        lattice.chain(1),
        hamiltonian=[{"on": "sites", "operator": "kick / 2 * sx(i)"}],
        jumps=[{"on": "sites", "operator": "sx(i)", "rate": 0.3}],
        values={"kick": kick},
    )
    found = exact.correlation(model, exact.product_state([0.1, 0.2, 0.3], 1), sz(0), sz(0), [0.0, 1.2], tolerance=1e-11)
    assert found[0] == pytest.approx(1.0)
    angle, size = 1.6, np.exp(-2 * 0.3 * 1.2)
    assert found[1] == pytest.approx((np.cos(angle) + 0.1j * np.sin(angle)) * size, abs=1e-9)


def test_what_is_refused():
    model, rho = helpers.driven_chain(), exact.product_state([0, 0, 1], 3)
    with pytest.raises(NeurhoError, match="`times` must be at least one time"):
        exact.correlation(model, rho, sz(0), sz(1), [])
    with pytest.raises(NeurhoError, match="`rho` must have shape"):
        exact.correlation(model, np.eye(4), sz(0), sz(1), TIMES)
