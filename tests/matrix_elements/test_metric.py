"""S, f and the residual against NumPy: derivatives by finite differences, local values from the dense Lindbladian."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.networks import parameters, table_from_matrix
from neurho.matrix_elements.tdvp.metric import Metric


@cache
def literal(seed=0):
    """Weights, O (complex, `(64, P)`) and L_loc of the driven chain for `network(seed)`, without JAX."""
    rbm = helpers.network(seed)
    vector, restore = parameters(rbm)
    steps = 1e-5 * np.eye(len(vector))
    columns = [
        np.log(np.exp(helpers.log_rho(restore(vector + h)) - helpers.log_rho(restore(vector - h)))) / 2e-5
        for h in steps
    ]
    rho = helpers.literal_table(rbm)
    return np.abs(rho) ** 2 / np.sum(np.abs(rho) ** 2), np.stack(columns, axis=1), helpers.dense() @ rho / rho


def expectation(weight, values):
    return np.tensordot(weight, values, axes=1)


def expected_metric(*, centred, seed=0):
    """S, f and ||b||^2 as written in Eqs. 9-11 of PRL 122, 250502."""
    weight, o, local = literal(seed)
    mean, local_mean = expectation(weight, o), expectation(weight, local)
    if not centred:
        mean, local_mean = 0 * mean, 0 * local_mean
    s = (np.einsum("x,xk,xp->kp", weight, o.conj(), o) - np.outer(mean.conj(), mean)).real
    force = (expectation(weight, o.conj() * local[:, None]) - mean.conj() * local_mean).real
    return s, force, expectation(weight, np.abs(local) ** 2) - abs(local_mean) ** 2


@jax.jit
def parts(metric, v):
    s_v = metric.product()(v)
    return metric.matrix(), s_v, metric.residual(v, s_v), metric.length(v), metric.trace()


make_metric = jax.jit(Metric.build, static_argnames=("centred", "chunk"))


def build(*, centred, chunk=24, seed=0):
    weight, _, local = literal(seed)
    x = jnp.asarray(helpers.configurations(3))
    return make_metric(helpers.network(seed), x, jnp.asarray(weight), jnp.asarray(local), centred=centred, chunk=chunk)


@pytest.fixture(scope="module", params=[True, False], ids=["centred", "plain"])
def case(request):
    metric = build(centred=request.param)
    v = np.random.default_rng(1).normal(size=len(metric.force))
    return metric, v, parts(metric, jnp.asarray(v)), expected_metric(centred=request.param)


def test_force_and_norm(case):
    metric, _, _, (_, force, norm) = case
    np.testing.assert_allclose(metric.force, force, rtol=0, atol=1e-8 * np.abs(force).max())
    assert metric.norm == pytest.approx(norm, rel=1e-10)


def test_matrix(case):
    _, _, (s, *_), (expected, _, _) = case
    np.testing.assert_allclose(s, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    np.testing.assert_allclose(s, s.T, rtol=0, atol=1e-14)
    assert np.linalg.eigvalsh(s).min() > -1e-12 * np.linalg.eigvalsh(s).max()


def test_product_is_the_matrix_times_a_vector(case):
    _, v, (s, s_v, _, _, _), _ = case
    np.testing.assert_allclose(s_v, s @ v, rtol=0, atol=1e-12 * np.abs(s_v).max())


def test_length(case):
    _, v, (*_, length, _), (s, _, _) = case
    assert length == pytest.approx(np.sqrt(v @ s @ v), rel=1e-8)


def test_residual_is_the_least_squares_misfit(case):
    """||A v - b||^2/||b||^2 from the rows themselves."""
    metric, v, (_, _, residual, _, _), _ = case
    weight, o, local = literal()
    if np.any(metric.mean):
        o, local = o - expectation(weight, o), local - expectation(weight, local)
    misfit = expectation(weight, np.abs(o @ v - local) ** 2) / expectation(weight, np.abs(local) ** 2)
    assert residual == pytest.approx(misfit, rel=1e-8)


def test_trace_is_good_to_what_it_says(case):
    _, _, (s, *_, trace), _ = case
    assert trace == pytest.approx(np.trace(s), rel=0.3)  # three times the 10 % of 8 vectors
    assert trace != np.trace(s)


def test_half_of_the_configurations_serve_a_hermitian_ansatz():
    """One of (l, r) and (r, l) with twice the weight: the same force, norm and S as the full sum."""
    x = helpers.configurations(3)
    weight, _, local = literal()
    mirrored = np.ravel_multi_index(tuple((x // 2 + 2 * (x % 2)).T), (4,) * 3)
    keep = mirrored >= np.arange(64)
    assert 30 < keep.sum() < 40
    weight = np.where(mirrored == np.arange(64), 1, 2)[keep] * weight[keep]
    full = build(centred=True)
    half = make_metric(helpers.network(0), jnp.asarray(x[keep]), jnp.asarray(weight), jnp.asarray(local[keep]))
    np.testing.assert_allclose(half.force, full.force, rtol=0, atol=1e-12 * np.abs(full.force).max())
    assert half.norm == pytest.approx(float(full.norm), rel=1e-12)
    np.testing.assert_allclose(jax.jit(lambda m: m.matrix())(half), parts(full, full.force)[0], rtol=0, atol=1e-12)


def test_force_variance_is_that_of_independent_samples():
    """The variance of a mean of n equal weights: written out for n draws of p, and against that of p itself."""
    count = 400
    weight, o, local = literal()
    rng = np.random.default_rng(2)
    chosen = rng.choice(64, size=count, p=weight)
    equal = np.full(count, 1 / count)
    metric = make_metric(
        helpers.network(0),
        jnp.asarray(helpers.configurations(3)[chosen]),
        jnp.asarray(equal),
        jnp.asarray(local[chosen]),
    )
    basis = np.linalg.qr(np.column_stack([metric.force, rng.normal(size=(len(metric.force), 3))]))[0]
    found = jax.jit(lambda m, b: m.force_variance(b))(metric, jnp.asarray(basis))

    def single_forces(w, o, local):
        # the imaginary parts of means are known to vanish for a Hermitian ansatz
        o, local = o - expectation(w, o).real, local - expectation(w, local).real
        return (o.conj() * local[:, None]).real @ basis

    drawn = single_forces(equal, o[chosen], local[chosen])
    np.testing.assert_allclose(found, np.var(drawn, axis=0) / count, rtol=1e-6)
    one = single_forces(weight, o, local)
    centred = one - expectation(weight, one)
    variance, fourth = expectation(weight, centred**2), expectation(weight, centred**4)
    # the relative error of a variance from n samples is sqrt((kurtosis - 1)/n); five of them
    assert np.all(np.abs(count * found / variance - 1) < 5 * np.sqrt((fourth / variance**2 - 1) / count))


def test_noise_of_the_force_is_the_scatter_of_blocks():
    """Of independent draws it is the standard error that `force_variance` counts sample by sample."""
    count = 4000
    weight, _, local = literal()
    chosen = np.random.default_rng(6).choice(64, size=count, p=weight)
    x, equal = jnp.asarray(helpers.configurations(3)[chosen]), jnp.full(count, 1 / count)
    metric = make_metric(helpers.network(0), x, equal, jnp.asarray(local[chosen]))
    variance = jax.jit(lambda m, b: m.force_variance(b))(metric, jnp.eye(len(metric.force)))
    expected = np.sqrt(np.sum(variance)) / np.linalg.norm(metric.force)
    # 15 degrees of freedom in each of several directions: 20 % at one sigma if there were one
    assert metric.noise == pytest.approx(expected, rel=0.5)
    assert 0 < metric.noise < 0.2


@pytest.mark.parametrize("centred", [True, False], ids=["centred", "plain"])
def test_matrices_that_are_not_hermitian(centred):
    """A table of one spin: O is 1/rho or i/rho at one configuration, and the imaginary parts of means do not vanish."""
    rng = np.random.default_rng(4)
    weight = rng.dirichlet(np.ones(4))
    local = rng.normal(size=4) + 1j * rng.normal(size=4)
    rho = helpers.random_matrix(rng, 2)
    o = np.hstack([np.diag(1 / rho.ravel()), np.diag(1j / rho.ravel())])
    table = table_from_matrix(rho, sites=1)
    metric = make_metric(table, jnp.arange(4)[:, None], jnp.asarray(weight), jnp.asarray(local), centred=centred)
    if centred:
        o, local = o - expectation(weight, o), local - expectation(weight, local)
    np.testing.assert_allclose(metric.force, expectation(weight, o.conj() * local[:, None]).real, rtol=0, atol=1e-14)
    s = np.einsum("x,xk,xp->kp", weight, o.conj(), o).real
    v = jnp.asarray(rng.normal(size=8))
    matrix, s_v, residual, length, _ = parts(metric, v)
    np.testing.assert_allclose(matrix, s, rtol=0, atol=1e-14)
    np.testing.assert_allclose(s_v, s @ v, rtol=0, atol=1e-14)
    assert length == pytest.approx(np.sqrt(v @ s @ v), rel=1e-12)
    misfit = expectation(weight, np.abs(o @ v - local) ** 2) / expectation(weight, np.abs(local) ** 2)
    assert residual == pytest.approx(float(misfit), rel=1e-10)
