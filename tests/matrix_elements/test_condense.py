"""Sums over configurations in place of samples: the same estimates."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
import neurho
from neurho.matrix_elements import distinct
from neurho.matrix_elements.estimation.estimators import local_values
from neurho.matrix_elements.networks import parameters, table_from_matrix
from neurho.matrix_elements.projection import Implicit
from neurho.matrix_elements.sampling import Blurred, metropolis
from neurho.matrix_elements.tdvp.metric import Metric

SITES, DIM = 2, 4
MODEL = neurho.heisenberg(neurho.chain(SITES), field=(0.5, 0, 1.0), coupling=(1.0, 0.3, 0.7), decay=1.0)
ANSATZ = neurho.networks.random_rbm(jax.random.key(0), SITES, hidden=2, mixing=2, scale=0.3)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], Any]], tuple[Any, Any]]]:
    """What a function returns with configurations in place of samples, and without."""

    def run(function: Callable[[], Any]) -> tuple[Any, Any]:
        results = []
        for copies in (distinct.COPIES, 10**6):
            monkeypatch.setattr(distinct, "COPIES", copies)
            jax.clear_caches()
            results.append(function())
        return results[0], results[1]

    jax.config.update("jax_disable_most_optimizations", val=True)
    yield run
    jax.config.update("jax_disable_most_optimizations", val=False)
    jax.clear_caches()


RNG = np.random.default_rng(0)
# No number of blocks divides 61.
X = jnp.asarray(RNG.integers(0, DIM, (61, SITES)), dtype=jnp.int32)
WEIGHT = jnp.asarray(RNG.dirichlet(np.ones(61)))


def test_configurations_stand_at_their_places() -> None:
    """And the first sample where there is none."""
    every = helpers.configurations(SITES)
    chosen = jnp.asarray(every[[3, 9, 3, 15] * 8])
    found = distinct.distinct(chosen, DIM)
    assert found is not None
    np.testing.assert_array_equal(found.place, [3, 9, 3, 15] * 8)
    np.testing.assert_array_equal(found.x, [every[j if j in (3, 9, 15) else 3] for j in range(DIM**SITES)])


def test_few_samples_stay() -> None:
    assert distinct.distinct(X[:31], DIM) is None
    np.testing.assert_array_equal(distinct.condense(DIM, X[:31], WEIGHT[:31])[0], X[:31])


def test_weights_add_up_and_values_stay() -> None:
    given = jnp.sin(X @ jnp.array([1.0, 0.3]))
    every, sums, kept = distinct.condense(DIM, X, WEIGHT, given)
    assert len(every) == DIM**SITES
    for j, configuration in enumerate(helpers.configurations(SITES)):
        same = np.all(np.asarray(X) == configuration, axis=1)
        assert sums[j] == pytest.approx(float(np.sum(np.asarray(WEIGHT)[same])), abs=1e-15)
        if same.any():
            np.testing.assert_array_equal(every[j], configuration)
            assert kept[j] == given[int(np.argmax(same))]


@pytest.mark.slow
def test_local_values(both: Callable) -> None:
    """Of a table, which compiles fast."""
    table = table_from_matrix(helpers.random_state(np.random.default_rng(3), 4), sites=SITES)
    generator = neurho.methods.lindbladian_map(MODEL)

    @jax.jit
    def values(x: jax.Array) -> jax.Array:
        return local_values(table.amplitudes(), generator, x)[:, 0]

    short, long = both(lambda: values(X))
    np.testing.assert_allclose(short, long, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_metric(both: Callable) -> None:
    """S, f, <O>, the noise of f and products with S, for any values."""
    rng = np.random.default_rng(1)
    v = jnp.asarray(rng.normal(size=len(parameters(ANSATZ)[0])))
    local = jnp.asarray(rng.normal(size=len(X)) + 1j * rng.normal(size=len(X)))

    @jax.jit
    def problem(x: jax.Array, weight: jax.Array, local: jax.Array) -> list[Any]:
        metric = Metric.build(ANSATZ, x, weight, local)
        parts = [metric.force, metric.mean, metric.local_mean, metric.noise, metric.norm]
        return [*parts, metric.matrix(), metric.product()(v)]

    for short, long in zip(*both(lambda: problem(X, WEIGHT, local)), strict=True):
        np.testing.assert_allclose(short, long, rtol=1e-11, atol=1e-13)


@pytest.mark.slow
def test_implicit_correction(both: Callable) -> None:
    sampler = neurho.samplers.metropolis(neurho.chain(SITES), samples=64, chains=16, warmup=5)
    implicit = Implicit(neurho.methods.lindbladian_map(MODEL), sampler, weight=0.5)
    origin = neurho.networks.random_rbm(jax.random.key(5), SITES, hidden=2, mixing=2, scale=0.3)
    chains = sampler.scatter(jax.random.key(1))

    def correction() -> tuple[Any, Any]:
        probe = implicit.probe(jax.random.key(2), 0.0, 0.1, ANSATZ, origin, chains)
        return implicit.correct(0.0, 0.1, 1e-3, ANSATZ, origin, probe), probe.misfit

    short, long = both(correction)
    for a, b in zip(jax.tree.leaves(short), jax.tree.leaves(long), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("blur", [pytest.param(0.0, marks=pytest.mark.slow), 0.4])
def test_weights_of_samples(both: Callable[[Callable[[], Any]], tuple[Any, Any]], blur: float) -> None:
    """What the chains leave to the weights, and the neighbours of blurred samples, once for each configuration."""
    chain = metropolis(neurho.chain(SITES), samples=64, chains=32, exponent=1.0)
    sampler = Blurred(chain, blur) if blur else chain
    amplitudes, key = ANSATZ.amplitudes(), jax.random.key(0)
    few, all_ = both(lambda: jax.jit(lambda s, k, a: s.sample(k, a, chain.scatter(k))[0])(sampler, key, amplitudes))
    np.testing.assert_array_equal(few.x, all_.x)
    np.testing.assert_allclose(few.weight, all_.weight, rtol=1e-12)
    assert np.ptp(few.weight) > 0.01
