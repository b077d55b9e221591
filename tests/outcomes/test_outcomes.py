"""Outcome probabilities: the frame against traces, rates against QuTiP, draws, a stationary state."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qutip
import scipy.stats

import helpers
from neurho import NeurhoError, exact, interchange, models, outcomes
from neurho.model import lattice
from neurho.model.operators import local, sx, sy, sz
from neurho.outcomes.frame import DUAL, EFFECTS
from neurho.outcomes.means import outcome_values, smallest_eigenvalue
from neurho.outcomes.stationary import applied

SITES = 3


def network(seed=0, sites=SITES, hidden=3, factor=3.0):
    """Larger weights than those of a start: far from the uniform distribution."""
    made = outcomes.random_recurrent(seed, sites, hidden=hidden)
    return jax.tree.map(lambda leaf: factor * leaf if eqx.is_inexact_array(leaf) else leaf, made)


def probabilities(made):
    return np.exp(np.asarray(outcomes.all_log_probabilities(made)))


def test_the_frame():
    """A measurement whose effects have equal angles, and its dual."""
    np.testing.assert_allclose(EFFECTS.sum(axis=0), np.eye(2), atol=1e-15)
    overlaps = np.einsum("aij,bji->ab", EFFECTS, EFFECTS).real
    np.testing.assert_allclose(overlaps, (1 + 2 * np.eye(4)) / 12, atol=1e-15)
    np.testing.assert_allclose(np.einsum("aij,bji->ab", EFFECTS, DUAL), np.eye(4), atol=1e-15)


def test_probabilities_are_traces():
    rho = helpers.random_state(np.random.default_rng(0), 4)
    expected = [np.trace(np.kron(EFFECTS[a], EFFECTS[b]) @ rho).real for a, b in itertools.product(range(4), repeat=2)]
    p = outcomes.from_matrix(rho, 2)
    np.testing.assert_allclose(p, expected, atol=1e-15)
    np.testing.assert_allclose(outcomes.to_matrix(p, 2), rho, atol=1e-14)


def test_the_inner_product_is_that_of_one_third():
    """sum_a p q = 4^-N sum_P 3^-|P| Tr(P rho) Tr(P sigma)."""
    rng = np.random.default_rng(1)
    rho, sigma = (helpers.random_state(rng, 4) for _ in range(2))
    paulis = [np.eye(2), *exact.PAULI]
    expected = 0.0
    for a, b in itertools.product(range(4), repeat=2):
        string, weight = np.kron(paulis[a], paulis[b]), (a > 0) + (b > 0)
        expected += 3.0**-weight * (np.trace(string @ rho) * np.trace(string @ sigma)).real / 16
    found = outcomes.from_matrix(rho, 2) @ outcomes.from_matrix(sigma, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("make", [helpers.driven_chain, helpers.current_chain])
def test_rates_are_the_lindbladian(make):
    """L rho from QuTiP, terms on one, two and more sites, in any order of sites."""
    rho = helpers.random_state(np.random.default_rng(2), 8)
    hamiltonian, jumps = interchange.to_qutip(make())
    dims = [[2] * 3, [2] * 3]
    moved = qutip.vector_to_operator(
        qutip.liouvillian(hamiltonian, jumps) * qutip.operator_to_vector(qutip.Qobj(rho, dims=dims))
    ).full()
    rates = outcomes.outcome_rates(make())
    found = applied(rates, jnp.asarray(outcomes.from_matrix(rho, SITES)), SITES)
    np.testing.assert_allclose(found, outcomes.from_matrix(moved, SITES), rtol=0, atol=1e-13)


def test_probabilities_are_normalised_and_those_of_single_outcomes():
    made = network()
    p = probabilities(made)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-13)
    for a in ([0, 0, 0], [3, 1, 2], [1, 3, 3]):
        one = made.log_probability(jnp.asarray(a))
        np.testing.assert_allclose(one, np.log(p[np.ravel_multi_index(a, (4,) * SITES)]), rtol=1e-12)


def test_draws_follow_the_probabilities():
    """Pearson's chi^2 of 4000 independent draws over 64 cells; a false alarm once in 10^4 seeds. Seed fixed."""
    made = network(factor=0.7)
    drawn = np.asarray(outcomes.draw(made, jax.random.key(5), 4000))
    counts = np.bincount(np.ravel_multi_index(drawn.T, (4,) * SITES), minlength=4**SITES)
    expected = 4000 * probabilities(made)
    assert expected.min() > 5
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-4
    assert scipy.stats.chisquare(counts).pvalue < 1e-6


def test_means_are_linear_in_the_probabilities():
    """Exact sums of O(a) p(a) give Tr(O rho), and draws give it within 4 errors (a false alarm once in 8000 seeds)."""
    made, rng = network(1), np.random.default_rng(3)
    matrix = helpers.random_matrix(rng, 4)
    operator = (
        local(matrix + matrix.conj().T, (2, 0)) + 0.7 * sz(1) * sx(2) - 0.3 * sy(1) + 0.25 * sx(0) * sy(1) * sz(2)
    )
    p = probabilities(made)
    every = helpers.configurations(SITES)
    rho = outcomes.to_matrix(p, SITES)
    expected = exact.expectation(rho, operator, SITES).real
    np.testing.assert_allclose(p @ outcome_values(operator, every), expected, rtol=1e-10)
    found = outcomes.mean_of(operator, np.asarray(outcomes.draw(made, jax.random.key(6), 4000)))
    assert abs(found.mean - expected) < 4 * found.error
    variance = p @ outcome_values(operator, every) ** 2 - expected**2
    np.testing.assert_allclose(found.error, np.sqrt(variance / 4000), rtol=0.1)


def test_a_stationary_state():
    """Two driven spins: exact sums reach the state that QuTiP finds."""
    model = models.heisenberg(lattice.chain(2), field=(0.6, 0.1, 0.3), coupling=(0.5, 0.2, 0.4), decay=1.0)
    found, left = outcomes.stationary_outcomes(model, network(2, 2, hidden=6, factor=1.0), iterations=300)
    hamiltonian, jumps = interchange.to_qutip(model)
    expected = qutip.steadystate(hamiltonian, jumps).full()
    rho = outcomes.to_matrix(probabilities(found), 2)
    assert left < 1e-6
    assert exact.trace_distance(rho, expected) < 1e-3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: network(hidden=0), r"`hidden` must be a whole number >= 1, but it is 0"),
        (lambda: outcomes.from_matrix(np.eye(4), 3), r"`rho` must be the matrix of 3 spins"),
        (lambda: outcomes.to_matrix(np.ones(5), 2), r"`p` must have one entry for each of the 4\^2 outcomes"),
        (lambda: outcomes.mean_of(sz(0), np.zeros((1, 2), int)), r"`outcomes` must be at least two samples"),
        (
            lambda: outcomes.stationary_outcomes(helpers.driven_chain(), network(sites=2)),
            r"`network` must have 3 sites",
        ),
    ],
)
def test_sentences(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make()


def test_the_smallest_eigenvalue_of_pairs_and_sites():
    """Against partial traces of a matrix that is not positive, and one that is."""
    rng = np.random.default_rng(3)
    rho = helpers.random_state(rng, 8)
    singlet = np.zeros((8, 8))
    singlet[2:6, 2:6] = np.kron([[1, -1], [-1, 1]], np.eye(2)) / 4  # of the first two sites
    a = np.array(list(itertools.product(range(4), repeat=3)))
    for matrix in (rho, 1.3 * rho - 0.3 * singlet):
        outer = matrix.reshape([2] * 6)
        pair, site = np.einsum("abcdbf->acdf", outer).reshape(4, 4), np.einsum("abcdbc->ad", outer)
        p = outcomes.from_matrix(matrix, 3)
        expected = min(np.linalg.eigvalsh(part)[0] for part in (pair, site))
        np.testing.assert_allclose(smallest_eigenvalue(a, p, [(0, 2), (0,)])[0], expected, atol=1e-14)
    assert smallest_eigenvalue(a, p, [(0, 1)])[0] < -0.03


def test_the_spread_of_an_eigenvalue():
    """Of |up up>, whose smallest eigenvalue is 0: <v|N_a|v> has the variance that sums over outcomes give."""
    p = outcomes.from_matrix(exact.product_state("up", 1), 1)
    values = np.array([outcomes.to_matrix(one, 1)[1, 1].real for one in np.eye(4)])
    smallest, spread = smallest_eigenvalue(np.arange(4)[:, None], p, [(0,)])
    np.testing.assert_allclose([smallest, spread], [0.0, float(np.sqrt(p @ values**2))], atol=1e-14)
