"""No method passes over a pulse, and fixed steps keep their order across its edges."""

import jax.numpy as jnp
import numpy as np
import pytest
import qutip

from neurho import config, exact, pulses
from neurho.dynamics.flow import evolve
from neurho.dynamics.integrate import EULER, HEUN, RK4, Method
from neurho.matrix_elements.networks import density_matrix, table_from_matrix
from neurho.matrix_elements.tdvp.solvers import Ridge
from neurho.model import lattice
from neurho.model.operators import Lindbladian, sm, sx, sz, total
from neurho.model.text import parse_number
from neurho.run.problem import build

HEIGHT, CENTRE, WIDTH = 31.33285, 30.27, 0.02
TEXT = f"{HEIGHT}*exp(-((t - {CENTRE})/{WIDTH})**2/2)"
GAUSSIAN = {
    "shape": pulses.gaussian(HEIGHT, centre=CENTRE, width=WIDTH),
    "text": parse_number(TEXT),
    "python": lambda t: HEIGHT * jnp.exp(-(((t - CENTRE) / WIDTH) ** 2) / 2),
}
FLIPPED = 0.9406


def driven(function, sites=1, *, field=0.5, decay=1e-3):
    places = range(sites)
    hamiltonian = total(sx(j) for j in places) * function + field * total(sz(j) for j in places)
    return Lindbladian(lattice.chain(sites), hamiltonian, [(decay, sm(j)) for j in places])


def flipped_by_hand():
    """QuTiP, told where the pulse is: three intervals, the middle one in short steps."""
    pulse = lambda t: HEIGHT * np.exp(-(((t - CENTRE) / WIDTH) ** 2) / 2)  # noqa: E731
    hamiltonian = qutip.QobjEvo([0.5 * qutip.sigmaz(), [qutip.sigmax(), pulse]])
    rho = qutip.basis(2, 1).proj()
    for begin, end, most in ((0.0, 30.0, 1.0), (30.0, 30.6, 0.002), (30.6, 60.0, 1.0)):
        options = {"atol": 1e-10, "rtol": 1e-10, "nsteps": 10**6, "max_step": most}
        found = qutip.mesolve(hamiltonian, rho, [begin, end], [np.sqrt(1e-3) * qutip.sigmam()], options=options)
        rho = found.states[-1]
    return float(qutip.expect(qutip.sigmaz(), rho))


@pytest.mark.parametrize("name", GAUSSIAN)
def test_exact_evolution_sees_a_short_gaussian(name):
    """One output after 60 units of time, a pulse of width 0.02 in the middle."""
    model = driven(GAUSSIAN[name], sites=2)
    *_, rho = exact.evolve(model, exact.product_state("down", 2), [0.0, 60.0])
    found = float(exact.expectations(rho, model, t=60.0)["sz"])
    assert found == pytest.approx(FLIPPED, abs=5e-5)
    assert found == pytest.approx(flipped_by_hand(), abs=1e-7)


NETWORK = f"""
[lattice]
kind = "chain"
shape = [1]

[model]
kind = "custom"

[[model.hamiltonian]]
on = "sites"
operator = "{TEXT}*sx(i)"

[[model.jumps]]
on = "sites"
operator = "sm(i)"
rate = 0.001

[ansatz]
kind = "rbm"
hidden = 1
mixing = 1

[initial]
bloch = [0.0, 0.3, -0.9]
noise = 0.0

[sampling]
kind = "enumeration"

[observables]
reference = "exact"

[task]
kind = "evolve"
t = 60.0
points = 2
"""
METHODS = {
    "adaptive": 'method = "bosh3"\ntolerance = 1e-3\nridge = 1e-9',
    "fixed": 'method = "rk4"\ndt = 2.0\nridge = 1e-9',
    "projected": 'method = "projected"\ntolerance = 1e-4',
}


@pytest.mark.parametrize(
    "method", ["fixed", *(pytest.param(m, marks=pytest.mark.slow) for m in ("adaptive", "projected"))]
)
def test_networks_see_a_short_gaussian(method):
    """A mixed state, away from the poles, turned by pi: against the exact solution, which QuTiP has checked above.

    Steps of 2 are not cut but around the pulse, where fixed ones are about as long as it is wide: hence their error.
    """
    end = list(build(config.loads(NETWORK + METHODS[method] + "\n")).snapshots())[-1]
    assert end.t == 60.0
    assert float(end.observables["sz"].mean) > 0.7
    assert end.diagnostics["delta_rho"] < (0.05 if method == "fixed" else 0.02)
    assert end.step < (80 if method == "fixed" else 400)


CORRELATORS = f"""
lattice = {{ kind = "chain", shape = [3] }}
initial = {{ bloch = [0.3, 0.2, -0.8] }}

[model]
kind = "custom"

[[model.hamiltonian]]
on = "sites"
operator = "{TEXT}*sx(i)"

[[model.hamiltonian]]
on = "bonds"
operator = "0.02*sz(i)*sz(j)"

[[model.jumps]]
on = "sites"
operator = "sm(i)"
rate = 0.001
"""


@pytest.mark.parametrize("points", [2, 7])
def test_hierarchies_see_a_short_gaussian(points):
    """Three sites, all correlators: the pulse turns all spins, against the exact solver."""
    task = f'[task]\nkind = "evolve"\nt = 32.0\npoints = {points}\nmethod = '
    ends = [
        list(build(config.loads(CORRELATORS + task + f'"{name}"\n')).snapshots()) for name in ("exact", "correlators")
    ]
    for expected, found in zip(*ends, strict=True):
        np.testing.assert_allclose(found.observables["sz"].mean, expected.observables["sz"].mean, atol=2e-6)
    assert float(ends[1][-1].observables["sz"].mean) > float(ends[1][0].observables["sz"].mean) + 0.5


def test_a_table_of_ten_thousand_rows_with_one_pulse():
    """pi pulse 0.16 wide at t = 51 of 100, two outputs; the decay is slow, the closed form that of free decay."""
    times, values = np.linspace(0.0, 100.0, 10_001), np.zeros(10_001)
    values[5093:5108] = np.pi / 2 / 0.15
    for smooth in (False, True):
        pulse = pulses.tabulated(times, values, smooth=smooth)
        area = (
            0.15 if not smooth else np.trapezoid(pulse(np.linspace(50.9, 51.1, 200_001)), dx=1e-6) * 0.15 / (np.pi / 2)
        )
        model = driven(pulse, sites=2, field=0.0)
        *_, rho = exact.evolve(model, exact.product_state("down", 2), [0.0, 100.0])
        kicked = -np.cos(np.pi * area / 0.15)
        expected = (1 + kicked) * np.exp(-1e-3 * 49.0) - 1
        assert float(exact.expectations(rho, model, t=100.0)["sz"]) == pytest.approx(expected, abs=2e-4)
        assert expected > 0.89


EDGED = {
    "shape": pulses.constant(2.0, start=0.3, end=0.7),
    "python": lambda t: jnp.where((t >= 0.3) & (t < 0.7), 2.0, 0.0),
    "ramp": pulses.ramp(0.0, 2.0, start=0.33, end=0.58),
}


@pytest.mark.parametrize(("tableau", "order"), [(RK4, 4), (HEUN, 2), (EULER, 1)], ids=["rk4", "heun", "euler"])
@pytest.mark.parametrize("name", EDGED)
def test_fixed_steps_keep_their_order_across_edges(name, tableau, order):
    """Errors at dt and dt/2 for a constant pulse from 0.3 to 0.7: one-sided values at the edges."""
    model = driven(EDGED[name], field=0.4, decay=0.3)
    rho = exact.product_state((0.3, 0.2, 0.5), 1)
    *_, expected = exact.evolve(model, rho, [0.0, 1.0], tolerance=1e-12)
    errors = []
    for dt in (0.1, 0.05):
        start = table_from_matrix(rho, sites=1, local_dim=2, floor=1e-12)
        options = {"method": Method(tableau), "tolerance": None, "solver": Ridge(1e-14)}
        *_, end = evolve(model, start, [0.0, 1.0], dt=dt, **options)
        found = density_matrix(end.state.ansatz)
        errors.append(np.linalg.norm(found / np.trace(found) - expected))
    assert np.log2(errors[0] / errors[1]) > order - 0.35
    if order == 4:
        assert errors[0] < 5e-4


def test_what_was_assumed_of_functions_is_said_once():
    model, rho = driven(lambda t: jnp.cos(t)), exact.product_state((0.3, 0.2, 0.5), 1)
    start = table_from_matrix(rho, sites=1, local_dim=2, floor=1e-12)
    first, second = evolve(model, start, [0.0, 0.1], dt=0.05, method=Method(RK4), tolerance=None)
    assert "looked at every 6.1e-06 units of time" in first.message
    assert "looked at" not in second.message
    told = driven(pulses.function(lambda t: jnp.cos(t), breaks=[0.05]))
    first, _ = evolve(told, start, [0.0, 0.1], dt=0.05, method=Method(RK4), tolerance=None)
    assert "looked at" not in first.message


@pytest.mark.parametrize("method", ["bosh3", pytest.param("projected", marks=pytest.mark.slow)])
def test_units_of_nature(method):
    """A field of 1e9 over 1e-9 with the default first step of 1e-3: bounds of dt are shares of the run."""
    text = f"""
lattice = {{ kind = "chain", shape = [1] }}
model = {{ kind = "heisenberg", field = [1e9, 0.0, 0.0], decay = 1e8 }}
ansatz = {{ kind = "rbm", hidden = 1, mixing = 1 }}
initial = {{ bloch = [0.1, 0.2, -0.8], noise = 0.01 }}
sampling = {{ kind = "enumeration" }}
observables = {{ reference = "exact" }}
task = {{ kind = "evolve", t = 1e-9, points = 2, method = "{method}" }}
"""
    end = list(build(config.loads(text)).snapshots())[-1]
    assert 3 < end.step < 100
    assert end.diagnostics["delta_rho"] < 0.02
    assert float(end.observables["sz"].mean) > 0.1


def test_flows_of_other_sizes_are_refused():
    model = driven(pulses.constant(1.0))
    start = table_from_matrix(exact.product_state("up", 2) * 0.9 + 0.025 * np.eye(4), sites=2, local_dim=2)
    with pytest.raises(
        ValueError, match="`ansatz` must have the 1 sites of 2 levels that the Lindbladian has, but it has 2"
    ):
        evolve(model, start, [0.0, 1.0])
