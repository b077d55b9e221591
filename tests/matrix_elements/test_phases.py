"""Networks whose rho(l, l) is neither real nor positive: samplers know its modulus, means need its phase."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
import registry
from neurho import NeurhoError, exact
from neurho.dynamics.flow import make_flow, measure, start
from neurho.matrix_elements.estimation.defect import Defects
from neurho.matrix_elements.estimation.observables import build_observables
from neurho.matrix_elements.networks import AbstractAnsatz, density_matrix, parameter_count, parameters
from neurho.matrix_elements.sampling import enumerate_all, enumerate_diagonal, metropolis_diagonal
from neurho.observables import pauli_quantities

CHAIN = helpers.lattice.chain(2)
NETWORKS = {"MatrixProduct": registry.MatrixProduct.random, "Perceptron": registry.Perceptron.random}
MODEL = helpers.models.heisenberg(CHAIN, field=(1.0, 0.0, 2.0), coupling=(1.0, 0.0, 0.5))


def means(rho):
    """Re Tr[X rho]/Tr rho, which for Hermitian X is the mean in the Hermitian part of rho/Tr rho."""
    part = (rho + rho.conj().T) / 2
    found = exact.expectations(part, MODEL)
    return {name: found[name] for name in ("sx", "sy", "sz", "sxsx", "szsz")}


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_sums(name):
    ansatz = NETWORKS[name](0)
    measured, _ = build_observables(pauli_quantities(CHAIN), enumerate_diagonal(2), 2, purity=True)(
        jax.random.key(0), ansatz, jnp.zeros((0, 2), jnp.int32)
    )
    found = build_observables(pauli_quantities(CHAIN), enumerate_diagonal(2), 2, purity=True).named(measured, 2)
    rho = density_matrix(ansatz)
    assert np.abs(np.angle(np.diag(rho))).max() > 0.05, "the phases of this network would not be missed"
    for key, value in means(rho).items():
        assert found[key].mean == pytest.approx(value, abs=1e-12), key
    assert found["purity"].mean == pytest.approx(np.linalg.norm(rho) ** 2, rel=1e-12)


@pytest.mark.slow
def test_samples_within_their_errors():
    """Five means, 20,480 samples: one beyond five standard errors in 3e5 such tests; the modulus alone is 10 off."""
    ansatz = registry.MatrixProduct.random(0)
    sampler = metropolis_diagonal(CHAIN, samples=20480, chains=1024)
    observables = build_observables(pauli_quantities(CHAIN), sampler, 2)
    chains = sampler.init(jax.random.key(1), ansatz.amplitudes())
    measured, _ = observables(jax.random.key(2), ansatz, chains)
    found = observables.named(measured, 2)
    for key, value in means(density_matrix(ansatz)).items():
        assert 0 < found[key].error < 0.05
        assert abs(found[key].mean - value) < 5 * found[key].error, key


def test_defects_of_networks_that_are_not_hermitian():
    ansatz = registry.MatrixProduct.random(1)
    rho = density_matrix(ansatz)
    moved = exact.ExactLindbladian(MODEL).apply(rho)
    moved = (moved + moved.conj().T) / 2
    defects = Defects.build(CHAIN, helpers.lindbladian_map(MODEL), enumerate_all(2), enumerate_diagonal(2))
    nowhere = jnp.zeros((0, 2), jnp.int32)
    still = jnp.zeros((2, parameter_count(ansatz)))
    one = jnp.asarray(1.0)
    found = defects.of_flow(jax.random.key(0), one, one, ansatz, still, (nowhere, nowhere))
    assert found.local == pytest.approx(np.sum(np.abs(np.linalg.eigvalsh(moved))), rel=1e-9)


def test_modules_with_functions_among_their_leaves_run():
    flow = make_flow(MODEL)
    state = start(flow, registry.Perceptron.random(0), 0, 1e-3)
    found = measure(flow, state, jax.random.key(0))
    assert found.observables["sz"].mean == pytest.approx(means(density_matrix(state.ansatz))["sz"], abs=1e-12)


class Complex(AbstractAnsatz):
    """A complex array for a parameter."""

    weights: jax.Array
    sites: int = 2
    local_dim: int = 2
    hermitian: bool = False

    def log_amplitude(self, x):
        return jnp.sum(self.weights * x)

    def amplitudes(self):
        raise NotImplementedError


def test_complex_parameters_are_refused():
    with pytest.raises(NeurhoError, match=r"`ansatz` must hold real parameters .* but its `weights` is complex"):
        parameters(Complex(jnp.ones(2, complex)))
