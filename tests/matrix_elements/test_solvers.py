"""Regularised solutions of S v = f against NumPy's linear algebra."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_metric import build, literal, make_metric

import helpers
from neurho import NeurhoError
from neurho.matrix_elements.networks import random_rbm
from neurho.matrix_elements.tdvp import preconditioner
from neurho.matrix_elements.tdvp.preconditioner import subsampled
from neurho.matrix_elements.tdvp.solvers import (
    ConjugateGradient,
    MinSR,
    Ridge,
    SignalToNoise,
    SpectralCutoff,
    automatic,
)

# Numbers of a solver are traced: one compilation serves all of them.
solve = jax.jit(lambda solver, metric: solver(metric))
matrix = jax.jit(lambda m: m.matrix())
trace = jax.jit(lambda m: m.trace())


@pytest.fixture(scope="module")
def metric():
    return build(centred=True)


@pytest.fixture(scope="module")
def s(metric):
    return np.asarray(matrix(metric))


def pseudo_inverse(s, force, cutoff):
    values, vectors = np.linalg.eigh(s)
    keep = values > cutoff * values[-1]
    return vectors[:, keep] @ ((vectors.T @ force)[keep] / values[keep]), np.sum(keep)


def misfit(metric, s, v):
    return float((metric.norm - 2 * np.asarray(metric.force) @ v + v @ s @ v) / metric.norm)


@pytest.mark.parametrize("ridge", [1e-3, 1e-6])
def test_ridge(metric, s, ridge):
    found = solve(Ridge(ridge), metric)
    shift = ridge * np.trace(s) / len(s)
    expected = np.linalg.solve(s + shift * np.eye(len(s)), metric.force)
    np.testing.assert_allclose(found.velocity, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert found.residual == pytest.approx(misfit(metric, s, expected), rel=1e-6)
    assert found.rank == len(s)


@pytest.mark.parametrize("cutoff", [1e-2, 1e-6])
def test_spectral_cutoff(metric, s, cutoff):
    found = solve(SpectralCutoff(cutoff), metric)
    expected, rank = pseudo_inverse(s, np.asarray(metric.force), cutoff)
    np.testing.assert_allclose(found.velocity, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert found.rank == rank < len(s)
    assert found.residual == pytest.approx(misfit(metric, s, expected), rel=1e-6)


def test_conjugate_gradient_is_ridge(metric, s):
    """The same shift, ridge times the estimated trace, solved to the tolerance of the residual."""
    ridge, tolerance = 0.1, 1e-8
    found = solve(ConjugateGradient(ridge=ridge, tolerance=tolerance, max_iterations=40), metric)
    shifted = s + ridge * float(trace(metric)) / len(s) * np.eye(len(s))
    force = np.asarray(metric.force)
    assert np.linalg.norm(force - shifted @ found.velocity) <= 1.1 * tolerance * np.linalg.norm(force)
    expected = np.linalg.solve(shifted, force)
    np.testing.assert_allclose(found.velocity, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert found.residual == pytest.approx(misfit(metric, s, expected), rel=1e-6)


def test_conjugate_gradient_stops(metric):
    """Early at a loose tolerance, after `max_iterations` at one it cannot reach, at once without a force."""
    loose, tight, most = (
        solve(ConjugateGradient(ridge=ridge, tolerance=tolerance, max_iterations=40), metric).rank
        for ridge, tolerance in ((0.1, 0.1), (0.1, 1e-8), (1e-9, 1e-13))
    )
    assert 1 <= loose < tight / 2 < 20
    assert most == 40
    still = eqx.tree_at(lambda m: m.force, metric, jnp.zeros_like(metric.force))
    nothing = solve(ConjugateGradient(ridge=0.1, tolerance=1e-8, max_iterations=40), still)
    assert nothing.rank == 0
    assert np.all(nothing.velocity == 0)


def test_conjugate_gradient_starts_from_the_guess(metric):
    """From the solution at once, from close by in few iterations, and not from a guess that is worse than zero."""
    solver = ConjugateGradient(ridge=0.1, tolerance=1e-6, max_iterations=40)
    cold = solve(solver, metric)
    warm, close, far = (
        solve(solver, dataclasses.replace(metric, guess=guess))
        for guess in (cold.velocity, 1.001 * cold.velocity, -1e3 * cold.velocity)
    )
    assert warm.rank == 0
    assert 1 <= close.rank < cold.rank
    assert far.rank == cold.rank
    np.testing.assert_allclose(far.velocity, cold.velocity, rtol=1e-12)
    assert warm.residual == pytest.approx(float(cold.residual), rel=1e-6)


def test_conjugate_gradient_stops_at_the_noise(metric):
    """A tenth of the noise of f is the tolerance, where none is given."""
    force = np.asarray(metric.force)
    noisy = dataclasses.replace(metric, noise=jnp.asarray(0.3))
    found, expected = (solve(ConjugateGradient(ridge=0.1, tolerance=t), noisy) for t in (None, 0.03))
    assert found.rank == expected.rank < solve(ConjugateGradient(ridge=0.1, tolerance=1e-6), noisy).rank
    np.testing.assert_allclose(found.velocity, expected.velocity, rtol=0, atol=1e-12 * np.abs(force).max())


@pytest.fixture(scope="module")
def drawn():
    """64 samples of the same weight."""
    rng, (weight, _, local) = np.random.default_rng(7), literal()
    chosen = rng.choice(64, size=64, p=weight)
    x = jnp.asarray(helpers.configurations(3)[chosen])
    return make_metric(helpers.network(0), x, jnp.full(64, 1 / 64), jnp.asarray(local[chosen]))


def preconditioned(metric, count, shift):
    """The matrix of r -> M^-1 r, column by column."""
    inverse = subsampled(metric, shift, count=count)
    return np.asarray(jax.jit(jax.vmap(inverse))(jnp.eye(len(metric.force)))).T


def test_preconditioner_is_the_inverse_of_few_samples_and_a_diagonal(drawn):
    count, shift = 8, 1e-3
    rows = np.asarray(drawn.rows()).reshape(64, 2, -1)[::8].reshape(16, -1) * np.sqrt(64 / 8)
    few = rows.T @ rows
    expected = np.linalg.inv(few + 2 * np.diag(np.diag(few)) + shift * np.eye(len(few)))
    np.testing.assert_allclose(
        preconditioned(drawn, count, shift), expected, rtol=0, atol=1e-9 * np.abs(expected).max()
    )


def test_preconditioner_leaves_exact_sums_alone(drawn):
    exact = dataclasses.replace(drawn, exact=True)
    np.testing.assert_array_equal(preconditioned(exact, 8, 1e-3), np.eye(len(exact.force)))


@pytest.mark.slow
def test_preconditioned_gradients_find_the_same_in_fewer_iterations(monkeypatch):
    """A network of 576 parameters, of which 72 samples are seen; the equations are solved to the same residual."""
    rng, count = np.random.default_rng(0), 128
    ansatz = random_rbm(jax.random.key(0), 8, hidden=16, mixing=16, scale=0.1)
    x, weight = jnp.asarray(rng.integers(0, 4, (count, 8)), jnp.int32), jnp.full(count, 1 / count)
    large = make_metric(ansatz, x, weight, jnp.asarray(rng.normal(size=count) + 1j * rng.normal(size=count)))
    solver, fresh = ConjugateGradient(ridge=1e-3, tolerance=1e-2), eqx.filter_jit(lambda s, m: (s(m), m.trace()))
    found, trace = fresh(solver, large)
    rows = np.asarray(large.rows())
    left = large.force - rows.T @ (rows @ found.velocity) - 1e-3 * trace / len(large.force) * found.velocity
    assert np.linalg.norm(left) <= 1.1e-2 * np.linalg.norm(large.force)
    monkeypatch.setattr(preconditioner, "MOST", 0)
    plain, _ = eqx.filter_jit(lambda s, m: (s(m), m.trace()))(solver, large)
    assert found.rank < 0.8 * plain.rank


@pytest.mark.parametrize("count", [6, 40])
def test_minsr_is_ridge(count):
    """The dual of the same problem, with fewer and with more rows than parameters."""
    rng, (weight, _, local) = np.random.default_rng(5), literal()
    chosen = rng.choice(64, size=count, p=weight)
    x = jnp.asarray(helpers.configurations(3)[chosen])
    drawn = make_metric(helpers.network(0), x, jnp.full(count, 1 / count), jnp.asarray(local[chosen]))
    found, expected = solve(MinSR(1e-2), drawn), solve(Ridge(1e-2), drawn)
    scale = np.abs(expected.velocity).max()
    np.testing.assert_allclose(found.velocity, expected.velocity, rtol=0, atol=1e-8 * scale)
    assert found.residual == pytest.approx(float(expected.residual), rel=1e-5, abs=1e-8)
    assert found.rank == 2 * count


def test_single_precision_products_change_nothing_beyond_rounding(metric):
    found, expected = solve(Ridge(1e-3, single=True), metric), solve(Ridge(1e-3), metric)
    difference = np.linalg.norm(found.velocity - expected.velocity) / np.linalg.norm(expected.velocity)
    assert 0 < difference < 1e-3


def test_products_in_single_precision(metric, s):
    """The velocity solves the equations in double precision to the tolerance."""
    ridge, tolerance = 1e-3, 1e-3
    found = solve(ConjugateGradient(ridge, tolerance, single=True), metric)
    assert found.velocity.dtype == float
    # The scale of the ridge is an estimate of the trace, which the solver does not tell: read it from the metric.
    shift = ridge * float(jax.jit(lambda m: m.trace())(metric)) / len(s)
    left = metric.force - (s + shift * np.eye(len(s))) @ found.velocity
    assert np.linalg.norm(left) < 1.1 * tolerance * np.linalg.norm(metric.force)
    assert found.rank < 300


def test_automatic_choice():
    """By sizes: little S, few samples, or neither."""
    assert isinstance(automatic(4096, 100), Ridge)
    assert isinstance(automatic(100, 10_000), MinSR)
    assert isinstance(automatic(20480, 836), ConjugateGradient)
    assert [automatic(20480, 836, tolerance=t).single for t in (None, 1e-2, 1e-6)] == [True, True, False]
    assert automatic(20480, 836, ridge=0.5).ridge == 0.5


def gap(s):
    """A cut-off in the middle of the widest gap of the logarithm of the spectrum, above rounding."""
    values = np.maximum(np.linalg.eigvalsh(s), 1e-9 * np.linalg.eigvalsh(s)[-1])
    widest = np.argmax(np.diff(np.log(values)))
    return float(np.sqrt(values[widest] * values[widest + 1]) / values[-1])


def test_signal_to_noise_without_noise_is_the_cutoff(metric, s):
    """A threshold below every signal leaves the smooth cut-off: in a gap of the spectrum, the sharp one."""
    cutoff = gap(s)
    expected, rank = pseudo_inverse(s, np.asarray(metric.force), cutoff)
    found = solve(SignalToNoise(snr=1e-9, cutoff=cutoff), metric)
    np.testing.assert_allclose(found.velocity, expected, rtol=0, atol=2e-3 * np.abs(expected).max())
    assert found.rank == pytest.approx(rank, abs=0.05)


def test_signal_to_noise_of_exact_sums_is_the_cutoff(metric, s):
    cutoff, metric = gap(s), dataclasses.replace(metric, exact=True)
    found, expected = (solve(SignalToNoise(snr=snr, cutoff=cutoff), metric).velocity for snr in (2.0, 1e-9))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_signal_to_noise_removes_directions_of_noise():
    """Local values = O v + noise, with v along the largest eigenvector of S: it stays, the other directions go."""
    rng, count = np.random.default_rng(3), 400
    weight, o, _ = literal()
    chosen = rng.choice(64, size=count, p=weight)
    o = o[chosen] - o[chosen].mean(axis=0)
    vectors = np.linalg.eigh((o.conj().T @ o).real / count)[1]
    local = o @ vectors[:, -1] + 0.3 * (rng.normal(size=count) + 1j * rng.normal(size=count))
    x = jnp.asarray(helpers.configurations(3)[chosen])
    noisy = make_metric(helpers.network(0), x, jnp.full(count, 1 / count), jnp.asarray(local))
    solvers = SignalToNoise(snr=4.0, cutoff=1e-8), SpectralCutoff(1e-6)
    found, plain = (vectors.T @ np.asarray(solve(solver, noisy).velocity) for solver in solvers)
    assert found[-1] == pytest.approx(1, abs=0.05)
    assert np.linalg.norm(plain[:-1]) > 0.5
    assert np.linalg.norm(found[:-1]) < 0.1 * np.linalg.norm(plain[:-1])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Ridge(0.0), r"Argument `ridge` must be a number > 0, but it is 0\.0\."),
        (lambda: SpectralCutoff(1.0), r"Argument `cutoff` must lie between 0 and 1, but it is 1\.0\."),
        (lambda: SignalToNoise(snr=-1.0), r"Argument `snr` must be a number > 0, but it is -1\.0\."),
        (lambda: SignalToNoise(cutoff=0.0), r"Argument `cutoff` must lie between 0 and 1"),
        (lambda: ConjugateGradient(ridge=-1.0), r"Argument `ridge` must be a number > 0"),
        (lambda: ConjugateGradient(tolerance=0.0), r"Argument `tolerance` must lie between 0 and 1"),
        (lambda: ConjugateGradient(tolerance=1e-6, single=True), r"Argument `tolerance` must be >= 0\.0001 in float32"),
        (lambda: ConjugateGradient(max_iterations=0), r"Argument `max_iterations` must be at least 1, but it is 0\."),
    ],
)
def test_refuses(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make()
