"""Local values against L rho / rho, and what an estimate is made of. (Coverage of errors: tests/statistics.)"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.estimation.estimators import comparison, convergence, estimate, local_values
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import Reevaluated, density_matrix
from neurho.matrix_elements.sampling import Draw
from neurho.model import lattice
from neurho.model.operators import Lindbladian, local, sm, sx, sy, sz

values = jax.jit(local_values, static_argnames="chunk")


def expected_values(matrix, rbm):
    rho = helpers.literal_table(rbm)
    return matrix @ rho / rho


def three_site_model():
    """A dense term on three permuted sites and a jump that is a complex sum on two sites."""
    matrix = helpers.random_matrix(np.random.default_rng(1), 8)
    return Lindbladian(
        lattice.chain(3), local(matrix + matrix.conj().T, (2, 0, 1)), [(0.7, sm(0) * sz(2) + 0.6j * sx(2) * sy(0))]
    )


@pytest.mark.parametrize("engine", [lambda rbm: rbm.amplitudes(), Reevaluated], ids=["hidden units", "re-evaluated"])
def test_local_values_are_those_of_the_dense_lindbladian(engine):
    model, rbm, chunk = three_site_model(), helpers.network(3), 64 if engine is Reevaluated else 16
    found = values(engine(rbm), lindbladian_map(model), jnp.asarray(helpers.configurations(3)), chunk=chunk)
    expected = expected_values(helpers.liouvillian(model), rbm)
    assert found.shape == (64, 1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_local_values_of_three_level_sites():
    rbm, matrix = helpers.network(5, 2, local_dim=3), helpers.random_matrix(np.random.default_rng(2), 9)
    model = Lindbladian(
        lattice.chain(2),
        local(matrix + matrix.conj().T, (1, 0), local_dim=3),
        [(1.0, local(matrix, (0, 1), local_dim=3))],
    )
    found = values(rbm.amplitudes(), lindbladian_map(model), jnp.asarray(helpers.configurations(2, 3)))
    expected = expected_values(helpers.liouvillian(model), rbm)
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def draw_of(weight):
    return Draw(x=jnp.zeros((*weight.shape, 1), dtype=jnp.int32), weight=jnp.asarray(weight / weight.sum()))


def test_exact_sums_have_no_error():
    rng = np.random.default_rng(0)
    weight, x = rng.uniform(size=(1, 50)), rng.normal(size=(1, 50, 2, 3))
    found = estimate(jnp.asarray(x), draw_of(weight), exact=True)
    np.testing.assert_allclose(found.mean, np.average(x[0], axis=0, weights=weight[0]), rtol=0, atol=1e-14)
    assert found.error.shape == (2, 3)
    assert np.all(found.error == 0)
    assert convergence(jnp.asarray(x[..., 0, 0]), exact=True) == (1.0, 1.0)


def test_error_of_independent_draws_is_that_of_the_mean():
    """With equal weights and one draw per chain: the standard deviation over sqrt(n)."""
    x = np.random.default_rng(1).normal(size=(1, 500))
    found = estimate(jnp.asarray(x), draw_of(np.ones((1, 500))), exact=False)
    assert found.mean == pytest.approx(x.mean(), abs=1e-14)
    assert found.error == pytest.approx(np.std(x, ddof=1) / np.sqrt(500), rel=1e-12)


def test_one_sample_has_no_finite_error():
    found = estimate(jnp.ones((1, 1)), draw_of(np.ones((1, 1))), exact=False)
    assert np.isinf(found.error)


def test_states_compared_on_samples():
    """|Tr sigma^+ rho|^2/(Tr rho^2 Tr sigma^2), and ||rho - sigma||/||sigma|| of states of trace one, from weights of p
    and q, whatever the norms of the networks.
    """
    a, b = helpers.network(0), helpers.network(1)
    x = jnp.asarray(helpers.configurations(3))
    diagonal = x[np.all(np.asarray(x) % 3 == 0, axis=1)]
    rho, sigma = (np.asarray(density_matrix(network)) for network in (a, b))
    p = Draw(x=x[None], weight=draw_of(np.abs(helpers.literal_table(a)[None]) ** 2).weight)
    q = Draw(x=diagonal[None], weight=draw_of(np.diag(rho).real[None]).weight)
    kept = abs(np.vdot(sigma, rho)) ** 2 / (np.vdot(rho, rho) * np.vdot(sigma, sigma)).real
    far = np.linalg.norm(rho - sigma) / np.linalg.norm(sigma)
    assert comparison(a, b, p, q) == (pytest.approx(kept, rel=1e-12), pytest.approx(far, rel=1e-12))
    assert comparison(a, a, p, q) == (pytest.approx(1, abs=1e-14), pytest.approx(0, abs=1e-14))
    assert kept < 0.9
    assert far > 0.1
