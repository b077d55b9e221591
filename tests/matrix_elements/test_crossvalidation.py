"""The ridge that explains samples held back, against literal least squares in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_metric import literal, make_metric

import helpers
from neurho import NeurhoError, config
from neurho.matrix_elements.tdvp.crossvalidation import CrossValidated
from neurho.run.problem import build

SAMPLES = 400
solve = jax.jit(lambda solver, metric: solver(metric))


def noisy(noise, seed=3):
    """Local values O v + noise with a smooth v; their metric, rows A and target b of all samples."""
    rng = np.random.default_rng(seed)
    weight, o, _ = literal()
    chosen = rng.choice(64, size=SAMPLES, p=weight)
    o = o[chosen]
    vectors = np.linalg.eigh((o.conj().T @ o).real)[1]
    local = o @ (vectors[:, -3:] @ np.ones(3)) + noise * (rng.normal(size=SAMPLES) + 1j * rng.normal(size=SAMPLES))
    x = jnp.asarray(helpers.configurations(3)[chosen])
    metric = make_metric(helpers.network(0), x, jnp.full(SAMPLES, 1 / SAMPLES), jnp.asarray(local), chunk=50)
    # The means of a Hermitian network are real.
    o, b = o - o.mean(axis=0).real, local - local.mean().real
    return (
        metric,
        np.stack([o.real, o.imag], axis=1).reshape(2 * SAMPLES, -1),
        np.stack([b.real, b.imag], axis=1).ravel(),
    )


def held_back(a, b, ridge):
    """||A v - b||^2 of each half, for the velocity of the other."""
    total, half = 0.0, len(a) // 2
    for seen, kept in ((slice(None, half), slice(half, None)), (slice(half, None), slice(None, half))):
        s = a[seen].T @ a[seen]
        v = np.linalg.solve(s + ridge * np.trace(s) / len(s) * np.eye(len(s)), a[seen].T @ b[seen])
        total += np.sum((a[kept] @ v - b[kept]) ** 2)
    return total


@pytest.mark.parametrize("noise", [0.03, 0.5])
def test_the_largest_ridge_within_a_tenth_of_the_smallest_residual(noise):
    metric, a, b = noisy(noise)
    found = solve(CrossValidated(), metric)
    ridges = np.geomspace(1e-4, 1, 97)
    left = np.array([held_back(a, b, ridge) for ridge in ridges])
    assert left[-1] > 1.2 * left.min(), "it does not matter here"
    # Between the points of the solver's grid, a factor of 2.15 apart, the residual is interpolated.
    assert float(found.ridge) == pytest.approx(ridges[left <= 1.1 * left.min()].max(), rel=0.5)
    s = a.T @ a / SAMPLES
    shifted = s + float(found.ridge) * np.trace(s) / len(s) * np.eye(len(s))
    expected = np.linalg.solve(shifted, a.T @ b / SAMPLES)
    np.testing.assert_allclose(found.velocity, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert found.residual == pytest.approx(np.sum((a @ np.asarray(found.velocity) - b) ** 2) / np.sum(b**2), rel=1e-6)


def test_more_noise_takes_a_larger_ridge():
    clean, loud, pure = (float(solve(CrossValidated(), noisy(size)[0]).ridge) for size in (1e-4, 0.1, 50.0))
    assert clean < loud / 3
    assert loud < pure / 3


def test_exact_sums_take_the_smallest_ridge():
    metric = dataclasses.replace(noisy(0.5)[0], exact=True)
    assert float(solve(CrossValidated(), metric).ridge) == pytest.approx(CrossValidated().least)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("ansatz.hidden=300", 'must be "cg", "minsr" or "auto" for more than 4096 parameters, but it is "cross-valida'),
        ("sampling.chains=1", 'must be at least 2 for solver "cross-validated", but it is 1.'),
        ("task.ridge=1e-3", 'must be left out, but solver "cross-validated" does not use it.'),
    ],
)
def test_refuses(change, sentence):
    changes = ["task.solver=cross-validated", "lattice.shape=[7]", "sampling.kind=metropolis", "sampling.samples=200"]
    with pytest.raises(NeurhoError) as caught:
        build(config.load("fig2", [*changes, "sampling.chains=2", "observables.reference=none", change])).driver.flow  # noqa: B018
    assert sentence in str(caught.value)
