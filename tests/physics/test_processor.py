"""The noisy processor against closed forms: T1, T2, thermal population, crosstalk, drives."""

import numpy as np
import pytest
from scipy.linalg import expm

from neurho import NeurhoError, config, exact, pulses, sx, sy, sz
from neurho.model import lattice
from neurho.model.models import processor
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z, gates_unitary

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


# Matrices as books have them, in the order (ground, excited), site 0 slowest; X flips the order to (up, down).
BOOK = {
    "x": [[0, 1], [1, 0]],
    "y": [[0, -1j], [1j, 0]],
    "z": [[1, 0], [0, -1]],
    "sx": [[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]],
    "h": [[1, 1], [1, -1]],
    "cz": np.diag([1, 1, 1, -1]),
    "cx": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
    "iswap": [[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]],
}


@pytest.mark.parametrize("gate", BOOK)
def test_gates_are_those_of_books_but_for_a_phase(gate):
    book = np.array(BOOK[gate], dtype=complex)
    sites = len(book).bit_length() - 1
    flip = np.eye(len(book))[::-1]
    expected = flip @ book @ flip
    found = gates_unitary([{"gate": gate, "at": list(range(sites))}], sites)
    overlap = np.trace(expected.conj().T @ found) / np.sqrt(np.trace(expected.conj().T @ expected).real * len(book))
    assert abs(overlap) == pytest.approx(1, abs=1e-12)


def test_two_qubit_turns_are_matrix_exponentials():
    for gate, generator in (("rzz", np.kron(PAULI_Z, PAULI_Z) / 2), ("cx", None)):
        if generator is None:
            generator = np.kron(np.diag([1, 0]), np.eye(2) - PAULI_X) / 2
        found = gates_unitary([{"gate": gate, "at": [0, 1], "angle": 0.7}], 2)
        assert np.allclose(found, expm(-0.7j * generator), atol=1e-12)


def test_a_list_of_gates_is_the_product_of_their_matrices():
    """Pulses against `gates_unitary`, and that against matrix exponentials; a pair is also given from the right."""
    one = {"x": PAULI_X, "y": PAULI_Y, "z": PAULI_Z}
    turn = lambda axis, angle: expm(-0.5j * angle * one[axis])  # noqa: E731
    gates = [
        {"gate": "rx", "at": [0, 1], "angle": 0.7, "duration": 0.5},
        {"gate": "cx", "at": [1, 0], "start": 0.7, "duration": 0.4},
        {"gate": "ry", "at": [1], "angle": -1.3, "start": 0.5, "duration": 0.2},
        {"gate": "iswap", "at": [0, 1], "angle": 1.1, "start": 1.1, "duration": 0.1},
        {"gate": "h", "at": [0], "start": 1.2, "duration": 0.3},
        {"gate": "rz", "at": [0], "angle": 2.1, "start": 1.5, "duration": 0.1},
    ]
    start = exact.product_state([[0, 0, -1], [0.6, 0.0, -0.8]], 2)
    *_, rho = exact.evolve(processor(PAIR, T1=1e13, gates=gates), start, [0.0, 1.6], tolerance=1e-12)
    unitary, exchange = np.eye(4), np.kron(PAULI_X, PAULI_X) + np.kron(PAULI_Y, PAULI_Y)
    for part in (
        np.kron(turn("x", 0.7), turn("x", 0.7)),
        np.kron(np.eye(2), turn("y", -1.3)),
        np.kron(PAULI_X, np.diag([1, 0])) + np.kron(np.eye(2), np.diag([0, 1])),
        expm(0.25j * 1.1 * exchange),
        np.kron((PAULI_X - PAULI_Z) / np.sqrt(2), np.eye(2)),
        np.kron(turn("z", 2.1), np.eye(2)),
    ):
        unitary = part @ unitary
    assert exact.state_fidelity(unitary @ [0, 0, 0, 1], gates_unitary(gates, 2) @ [0, 0, 0, 1]) == pytest.approx(1)
    assert np.allclose(rho, unitary @ start @ unitary.conj().T, atol=1e-9)


def test_couplings_have_pulses_of_their_own():
    """An exchange by a quarter turn on one pair is sqrt(iswap), while a ZX text acts on the other."""
    swap, cross = pulses.sin2(2.0, end=1.0), pulses.ramp(0.0, 1.0, end=2.0)
    couplings = [
        {"coupling": "exchange", "strength": -np.pi / 4, "pulse": swap, "at": [0, 1]},
        {"coupling": "sz(i) * sx(j)", "strength": [0.3], "pulse": cross, "at": [[3, 2]]},
    ]
    model = processor(lattice.chain(4), T1=1e13, couplings=couplings)
    start = exact.product_state([[0, 0, 1], [0, 0, -1], [0, 0, -1], [1, 0, 0]], 4)
    *_, rho = exact.evolve(model, start, [0.0, 2.0], tolerance=1e-12)
    assert mean(rho, sz(0), 4) == pytest.approx(0, abs=1e-9)
    assert mean(rho, sx(0) @ sy(1), 4) == pytest.approx(-1, abs=1e-9)  # (|10> + i|01>)/sqrt(2)
    assert mean(rho, sx(3), 4) == pytest.approx(np.cos(2 * 0.3 * 1.0), abs=1e-9)  # area 1 up to t = 2


def test_without_places_a_coupling_is_on_every_bond():
    model = processor(lattice.chain(3), T1=1.0, couplings=[{"coupling": "zz", "strength": [0.4, 1.0]}])
    crosstalk = processor(lattice.chain(3), T1=1.0, crosstalk=[0.4, 1.0])
    assert abs((model.hamiltonian - crosstalk.hamiltonian).to_sparse(3)).max() < 1e-15


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"T1": 1.0, "T2": 2.1}, "`T2` must be at most 2 T1"),
        ({"T1": [1.0, -1.0]}, "`T1` must be > 0"),
        ({"T1": [1.0]}, "`T1` must be one number or 2, one per site"),
        ({"T1": 1.0, "thermal": 0.6}, r"`thermal` must lie in \[0, 1/2\]"),
        (
            {"T1": 1.0, "gates": [{"gate": "swap", "at": [0], "duration": 1.0}]},
            r"In gates\[0\]: .*`gate` must be one of rx",
        ),
        ({"T1": 1.0, "gates": [{"gate": "rx", "at": [0], "duration": 1.0}]}, "`angle` must be given for rx"),
        ({"T1": 1.0, "gates": [{"gate": "h", "at": [0], "angle": 1.0, "duration": 1.0}]}, "`angle` must be left out"),
        (
            {"T1": 1.0, "couplings": [{"coupling": "exchnge"}]},
            r"In couplings\[0\]: .*`coupling` must be exchange, zz or",
        ),
        ({"T1": 1.0, "couplings": [{"coupling": "sp(i)*sm(j)"}]}, r"In couplings\[0\]: .*`coupling` must be Hermitian"),
        ({"T1": 1.0, "couplings": [{"coupling": "zz", "at": [0, 2]}]}, r"In couplings\[0\]: .*`at` must lie in 0..1"),
        ({"T1": 1.0, "couplings": [{"coupling": "zz", "at": [0]}]}, "`at` must be a pair of sites, or a list of pairs"),
        (
            {"T1": 1.0, "pulses": {"detuning": [np.cos]}},
            r"`pulses\[detuning\]` must be one function or 2, one per site",
        ),
        ({"T1": 1.0, "pulses": {"detuning": [np.cos, 3]}}, r"`pulses\[detuning\]\[1\]` must be a function of time"),
        ({"T1": 1.0, "gates": [{"gate": "cz", "at": [0], "duration": 1.0}]}, "`at` must be a pair of sites for cz"),
        ({"T1": 1.0, "gates": [{"gate": "cz", "at": [0, 2], "duration": 1.0}]}, "`at` must lie in 0..1"),
        ({"T1": 1.0, "gates": [{"gate": "cz", "at": [0, 1], "duration": 0.0}]}, "`duration` must be > 0"),
        ({"T1": 1.0, "gates": [{"gate": "x", "at": [0]}]}, r"In gates\[0\]: .*`duration` must be given"),
        ({"T1": 1.0, "gates": [{"gate": "x", "at": 0, "duration": 1.0}]}, "`at` must be a list of whole numbers"),
        ({"T1": 1.0, "gates": [{"gate": "x", "at": [0], "duration": "1 us"}]}, "`duration` must be finite real"),
        ({"T1": 1.0, "gates": [{"gate": "rx", "at": [0], "angle": "9", "duration": 1.0}]}, "`angle` must be finite"),
        ({"T1": 1.0, "drives": [{"rabbi": 1.0}]}, r"In drives\[0\]: There is no key `rabbi`; did you mean `rabi`?"),
        ({"T1": 1.0, "couplings": [{"strength": 1.0}]}, r"In couplings\[0\]: The key `coupling` is missing"),
        ({"T1": 1.0, "drives": {"rabi": 1.0}}, r"In drives\[0\]: It must be a mapping of keys"),
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
        ('model.gates=[{gate="h",at=[0],angle=1.0,duration=1.0}]', r"key `model.gates\[0\].angle` must be left out"),
        ('model.couplings=[{coupling="zz",pulse="haf"}]', r"key `model.couplings\[0\].pulse` must name a table"),
        (
            "model.couplings=[{coupling='zz',at=[0]}]",
            r"key `model.couplings\[0\].at` must be a pair of sites, or a list",
        ),
        ('model.pulses={crosstalk=["","haf"]}', r"key `model.pulses.crosstalk\[1\]` must name a table"),
        ("observables.fidelity=true", "9 sites|`observables.fidelity` must be false unless"),
        ("model.thermal=0.7", "key `model.thermal` must be a number from 0 to 0.5"),
    ],
)
def test_what_is_wrong_in_a_problem_is_said_with_its_path(change, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        config.load("processor", [change])
