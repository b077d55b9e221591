"""The noisy processor against closed forms: T1, T2, thermal population, crosstalk, drives."""

import numpy as np
import pytest
from scipy.linalg import expm

from neurho import NeurhoError, config, exact, pulses, sx, sy, sz
from neurho.model import lattice
from neurho.model.models import processor
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z

ONE, PAIR = lattice.chain(1), lattice.chain(2)


def mean(rho, operator, sites):
    return exact.expectation(rho, operator, sites).real


def test_populations_relax_with_t1_and_coherences_with_t2():
    model = processor(PAIR, T1=[2.0, 5.0], T2=[3.0, 1.5], thermal=[0.1, 0.0], detuning=[0.7, -0.4])
    t = 1.3
    *_, rho = exact.evolve(model, exact.product_state([[0.6, 0.0, 0.5]] * 2, 2), [0.0, t], tolerance=1e-12)
    for j, (t1, t2, p, delta) in enumerate([(2.0, 3.0, 0.1, 0.7), (5.0, 1.5, 0.0, -0.4)]):
        rest = 2 * p - 1
        assert mean(rho, sz(j), 2) == pytest.approx(rest + (0.5 - rest) * np.exp(-t / t1), abs=1e-10)
        assert mean(rho, sx(j), 2) == pytest.approx(0.6 * np.exp(-t / t2) * np.cos(delta * t), abs=1e-10)
        assert mean(rho, sy(j), 2) == pytest.approx(0.6 * np.exp(-t / t2) * np.sin(delta * t), abs=1e-10)


def test_without_t2_there_is_no_pure_dephasing():
    assert not any(np.array_equal(j.operator.terms[0].matrix, np.diag([1, -1])) for j in processor(ONE, T1=3.0).jumps)
    at_limit = processor(ONE, T1=3.0, T2=6.0)
    assert len(at_limit.jumps) == 1


@pytest.mark.parametrize("phase", [0.0, np.pi / 2, 0.4])
def test_a_pulse_turns_by_its_area_about_its_axis(phase):
    drive = {"rabi": 2.0, "phase": phase, "pulse": pulses.sin2(3.0, start=0.1, end=0.4), "at": [1]}
    model = processor(PAIR, T1=1e12, drives=[drive])
    *_, rho = exact.evolve(model, exact.product_state([0, 0, -1], 2), [0.0, 0.5], tolerance=1e-12)
    angle = 2.0 * 3.0 * 0.3 / 2
    # Down turned about (cos phase, sin phase, 0): perpendicular to the axis, for phase 0 towards +y
    expected = [-np.sin(phase) * np.sin(angle), np.cos(phase) * np.sin(angle), -np.cos(angle)]
    for operator, value in zip((sx, sy, sz), expected, strict=True):
        assert mean(rho, operator(1), 2) == pytest.approx(value, abs=1e-9)
    assert mean(rho, sz(0), 2) == pytest.approx(-1, abs=1e-9)


def test_crosstalk_per_bond_and_with_a_pulse():
    model = processor(
        lattice.chain(3), T1=1e12, crosstalk=[0.4, 1.0], pulses={"crosstalk": pulses.ramp(0.0, 1.0, end=2.0)}
    )
    *_, rho = exact.evolve(model, exact.product_state([1, 0, 0], 3), [0.0, 3.0], tolerance=1e-12)
    area = 2.0  # of the ramp up to t = 3
    assert mean(rho, sx(0), 3) == pytest.approx(np.cos(0.4 * area / 2), abs=1e-9)
    assert mean(rho, sx(1), 3) == pytest.approx(np.cos(0.4 * area / 2) * np.cos(1.0 * area / 2), abs=1e-9)


def test_the_shipped_problem_is_a_pi_over_two_pulse():
    problem = config.load("processor")
    pulse = problem.pulses["half"]
    assert pulse.height * pulse.end / 2 * problem.model.drives[0].rabi == pytest.approx(np.pi / 2, rel=1e-12)


def test_a_list_of_gates_is_the_product_of_their_matrices():
    """Against matrix exponentials and the diagonal matrix of cz in the basis up up, up down, down up, down down."""
    one = {"x": PAULI_X, "y": PAULI_Y, "z": PAULI_Z}
    turn = lambda axis, angle: expm(-0.5j * angle * one[axis])  # noqa: E731
    gates = [
        {"gate": "rx", "at": [0, 1], "angle": 0.7, "duration": 0.5},
        {"gate": "ry", "at": [1], "angle": -1.3, "start": 0.5, "duration": 0.2},
        {"gate": "cz", "at": [1, 0], "start": 0.7, "duration": 0.4},
        {"gate": "rz", "at": [0], "angle": 2.1, "start": 1.1, "duration": 0.1},
        {"gate": "ry", "at": [0, 1], "angle": 0.4, "start": 1.2, "duration": 0.3},
    ]
    start = exact.product_state([[0, 0, -1], [0.6, 0.0, -0.8]], 2)
    *_, rho = exact.evolve(processor(PAIR, T1=1e13, gates=gates), start, [0.0, 1.5], tolerance=1e-12)
    unitary = np.eye(4)
    for part in (
        np.kron(turn("x", 0.7), turn("x", 0.7)),
        np.kron(np.eye(2), turn("y", -1.3)),
        np.diag([-1, 1, 1, 1]),
        np.kron(turn("z", 2.1), np.eye(2)),
        np.kron(turn("y", 0.4), turn("y", 0.4)),
    ):
        unitary = part @ unitary
    assert np.allclose(rho, unitary @ start @ unitary.conj().T, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"T1": 1.0, "T2": 2.1}, "`T2` must be at most 2 T1"),
        ({"T1": [1.0, -1.0]}, "`T1` must be > 0"),
        ({"T1": [1.0]}, "`T1` must be one number or 2, one per site"),
        ({"T1": 1.0, "thermal": 0.6}, r"`thermal` must lie in \[0, 1/2\]"),
        (
            {"T1": 1.0, "gates": [{"gate": "h", "at": [0], "duration": 1.0}]},
            r"In gates\[0\]: .*`gate` must be one of rx",
        ),
        ({"T1": 1.0, "gates": [{"gate": "rx", "at": [0], "duration": 1.0}]}, "`angle` must be given for rx"),
        ({"T1": 1.0, "gates": [{"gate": "cz", "at": [0], "duration": 1.0}]}, "`at` must be a pair of sites for cz"),
        ({"T1": 1.0, "gates": [{"gate": "cz", "at": [0, 2], "duration": 1.0}]}, "`at` must lie in 0..1"),
        ({"T1": 1.0, "gates": [{"gate": "cz", "at": [0, 1], "duration": 0.0}]}, "`duration` must be > 0"),
        ({"T1": 1.0, "drives": [{"at": [2]}]}, r"In drives\[0\]: .*`at` must lie in 0..1"),
        ({"T1": 1.0, "drives": [{"pulse": "kick"}]}, r"In drives\[0\]: .*`pulse` must be a function of time"),
    ],
)
def test_what_is_refused(arguments, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        processor(PAIR, **arguments)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("model.T2=200.0", "key `model.T2` must be at most 2 T1, but one is 200 with T1 = 62"),
        ("model.T1=[100.0]", "key `model.T1` must have one entry for each of the 9 sites, but it has 1"),
        ("model.drives.0.pulse=haf", r"key `model.drives\[0\].pulse` must name a table"),
        ("model.drives.0.rabi=true", r"key `model.drives\[0\].rabi` must be a finite number"),
        ('model.gates=[{gate="rx",at=[0],duration=1.0}]', r"key `model.gates\[0\].angle` must be given for gate = "),
        ('model.gates=[{gate="cz",at=[0],duration=1.0}]', r"key `model.gates\[0\].at` must be a pair of sites"),
        ('model.gates=[{gate="cz",at=[0,1]}]', r"key `model.gates\[0\].duration` is missing"),
        ("model.thermal=0.7", "key `model.thermal` must be a number from 0 to 0.5"),
    ],
)
def test_what_is_wrong_in_a_problem_is_said_with_its_path(change, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        config.load("processor", [change])
