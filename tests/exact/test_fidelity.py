"""Fidelities of states and gates against QuTiP and closed forms."""

import numpy as np
import pytest
import qutip

import neurho
from neurho import NeurhoError, config, exact
from neurho.model import lattice
from neurho.model.models import heisenberg, processor
from neurho.model.operators import PAULI_X, PAULI_Z, Lindbladian, Operator, gates_unitary, sx, sy, sz

ONE, PAIR = lattice.chain(1), lattice.chain(2)


def test_fidelity_of_mixed_states_is_the_square_of_that_of_qutip():
    rho, sigma = (qutip.rand_dm(6, seed=seed) for seed in (1, 2))
    low = qutip.rand_dm(6, rank=2, seed=3)
    for one, other in ((rho, sigma), (low, sigma), (rho, low)):
        expected = qutip.fidelity(one, other) ** 2
        assert exact.state_fidelity(one, other) == pytest.approx(expected, abs=1e-7)
        assert exact.state_fidelity(3 * other.full(), one) == pytest.approx(expected, abs=1e-7)


def test_fidelity_with_pure_states():
    rho, psi, phi = qutip.rand_dm(5, seed=1), qutip.rand_ket(5, seed=2), qutip.rand_ket(5, seed=3)
    matrix, vector = rho.full(), psi.full().ravel()
    expected = (vector.conj() @ matrix @ vector).real
    for state in (psi, vector, 2j * vector, psi.proj()):
        assert exact.state_fidelity(rho, state) == pytest.approx(expected, abs=1e-12)
        assert exact.state_fidelity(state, matrix) == pytest.approx(expected, abs=1e-12)
    assert exact.state_fidelity(psi, phi) == pytest.approx(abs(psi.overlap(phi)) ** 2, abs=1e-12)
    assert exact.state_fidelity(psi.proj(), psi) == pytest.approx(1, abs=1e-12)


def test_fidelity_is_that_of_commuting_probabilities():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.2, 0.0, 0.8])
    assert exact.state_fidelity(np.diag(p), np.diag(q)) == pytest.approx(np.sum(np.sqrt(p * q)) ** 2, abs=1e-14)


def test_average_gate_fidelity_is_that_of_qutip():
    """QuTiP's superoperator of the same Lindbladian, for a gate that is not the identity."""
    model = heisenberg(PAIR, field=(0.3, 0.0, 0.7), coupling=(0.4, 0.1, 0.9), decay=0.1, dephasing=0.05)
    t, gate = 0.8, [{"gate": "cz", "at": [0, 1]}, {"gate": "rx", "at": [1], "angle": 0.4}]
    unitary = qutip.Qobj(gates_unitary(gate, 2), dims=[[2, 2], [2, 2]])
    process = (qutip.liouvillian(*neurho.interchange.to_qutip(model)) * t).expm()
    for given in (gate, unitary, unitary.full()):
        found = exact.average_gate_fidelity(model, given, t)
        assert found == pytest.approx(qutip.average_gate_fidelity(process, unitary), abs=1e-7)
    assert exact.process_fidelity(model, gate, t) == pytest.approx((5 * found - 1) / 4, abs=1e-12)


def test_depolarised_qubit():
    """Jumps sigma^a at rate gamma: rho -> 1/2 + exp(-4 gamma t) (rho - 1/2), F = (1 + exp(-4 gamma t))/2."""
    model = Lindbladian(ONE, Operator(2, ()), [(0.2, s(0)) for s in (sx, sy, sz)])
    found = exact.average_gate_fidelity(model, np.eye(2), (1.0, 2.5))
    assert found == pytest.approx((1 + np.exp(-4 * 0.2 * 1.5)) / 2, abs=1e-8)


def test_identity_of_qubits_with_t1_and_t2():
    """tr of the superoperator is (1 + e^{-t/T1} + 2 e^{-t/T2}) for each qubit; F_pro is the product over 4 of them."""
    model, t = processor(PAIR, T1=[2.0, 3.0], T2=[2.5, 1.0], thermal=0.1), 0.4
    expected = np.prod(
        [(1 + np.exp(-t / t1) + 2 * np.exp(-t / t2)) / 4 for t1, t2 in zip((2.0, 3.0), (2.5, 1.0), strict=True)]
    )
    assert exact.process_fidelity(model, sx(0) @ sx(0), t) == pytest.approx(expected, abs=1e-8)


def test_a_gate_by_its_pulse_is_ideal_without_noise():
    gates = [{"gate": "h", "at": [1], "duration": 0.2}, {"gate": "cx", "at": [1, 0], "start": 0.2, "duration": 0.3}]
    model = processor(PAIR, T1=1e12, gates=gates)
    assert exact.average_gate_fidelity(model, gates, 0.5) == pytest.approx(1, abs=1e-7)
    assert exact.average_gate_fidelity(model, gates[1:], (0.2, 0.5)) == pytest.approx(1, abs=1e-7)
    assert exact.average_gate_fidelity(model, gates[1:], 0.5) < 0.9


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: exact.state_fidelity([1, 0], np.eye(3)), "`sigma` must be a state of 2 levels, but it has 3"),
        (lambda: exact.state_fidelity("up", [1, 0]), "`rho` must be a vector or a density matrix"),
        (lambda: exact.state_fidelity(np.triu(np.ones((2, 2))), [1, 0]), "`rho` must be Hermitian"),
        (lambda: exact.state_fidelity([0, 0], [1, 0]), "`rho` must not be zero"),
        (lambda: exact.process_fidelity(processor(ONE, T1=1.0), 2 * PAULI_X, 1.0), "`gate` must be unitary"),
        (lambda: exact.process_fidelity(processor(PAIR, T1=1.0), PAULI_Z, 1.0), r"`gate` must have shape \(4, 4\)"),
        (
            lambda: exact.process_fidelity(processor(ONE, T1=1.0), PAULI_Z, (1, 2, 3)),
            "`time` must be one time or a pair",
        ),
        (
            lambda: exact.process_fidelity(processor(ONE, T1=1.0), [{"gate": "swap", "at": [0]}], 1.0),
            "`gate` must be one",
        ),
    ],
)
def test_what_is_refused(call, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        call()


def test_a_problem_measures_the_fidelity_with_ideal_gates():
    text = """
lattice = { kind = "chain", shape = [2] }
model = { kind = "processor", T1 = 60.0, T2 = 40.0, gates = [{ gate = "h", at = [0], duration = 0.02 }, \
{ gate = "cx", at = [0, 1], start = 0.02, duration = 0.06 }] }
initial = { bloch = "down" }
task = { kind = "evolve", method = "exact", t = 0.08, points = 2 }
observables = { fidelity = true }
"""
    problem = neurho.build(config.loads(text.replace("\\\n", "")))
    *_, last = problem.snapshots()
    bell = np.array([1, 0, 0, 1]) / np.sqrt(2)
    *_, rho = exact.evolve(problem.lindbladian, exact.product_state("down", 2), [0, 0.08])
    assert last.observables["fidelity"].mean == pytest.approx(exact.state_fidelity(rho, bell), abs=1e-9)
    with pytest.raises(NeurhoError, match=r"`observables.fidelity` must be false unless the start is pure"):
        neurho.build(config.loads(text.replace("\\\n", "").replace('"down"', '"mixed"')))
