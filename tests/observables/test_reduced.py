"""Reduced density matrices of a few sites, against partial traces of the full one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, exact
from neurho.matrix_elements.estimation.observables import build_observables, reduced_density_matrix
from neurho.matrix_elements.networks import density_matrix, table_from_matrix
from neurho.matrix_elements.sampling import AbstractSampler, Draw, DrawInfo, Enumeration, enumerate_diagonal
from neurho.model.operators import sz
from neurho.observables import Quantity
from neurho.observables.reduced import REDUCED, pair_operators
from neurho.records import Row
from neurho.records.series import as_dataset, rows_of


class Independent(AbstractSampler):
    """Independent samples of the q(l) of small systems."""

    whole: Enumeration
    exact: bool = eqx.field(static=True, default=False)

    def init(self, key, amplitudes):
        return self.whole.init(key, amplitudes)

    def sample(self, key, amplitudes, chains):
        draw, _, _ = self.whole.sample(key, amplitudes, chains)
        rows = jax.random.categorical(key, jnp.log(draw.weight[0]), shape=(8, 512))
        weight = jnp.full(rows.shape, 1 / rows.size)
        return Draw(x=self.whole.configurations[rows], weight=weight), chains, DrawInfo(acceptance=jnp.ones(()))


def test_exact_sums_are_partial_traces():
    ansatz = helpers.network(1)
    rho, pairs = density_matrix(ansatz), [(0, 1), (2, 0)]
    quantities = [Quantity("sz", (sz(0),), average=True), Quantity(REDUCED, pair_operators(pairs, 2))]
    built = build_observables(quantities, enumerate_diagonal(3), 3)
    measurement, _ = built(jax.random.key(0), ansatz, built.sampler.configurations[:0])
    found = built.named(measurement, 3)
    assert set(found) == {"sz", "reduced_real", "reduced_imag"}
    for number, pair in enumerate(pairs):
        matrix = found["reduced_real"].mean[number] + 1j * found["reduced_imag"].mean[number]
        np.testing.assert_allclose(matrix, exact.reduced(rho, pair, 3), rtol=0, atol=1e-12)
        assert np.abs(matrix.imag).max() > 1e-2
    assert np.all(found["reduced_real"].error == 0)


def test_three_levels():
    rho = helpers.random_state(np.random.default_rng(2), 9)
    found = reduced_density_matrix(table_from_matrix(rho, sites=2, local_dim=3), (1, 0))
    np.testing.assert_allclose(found.mean, exact.reduced(rho, (1, 0), 2), rtol=0, atol=1e-10)


def test_samples():
    """All entries of 4,096 independent samples within five standard errors: 32 numbers, a false alarm in 50,000."""
    ansatz = helpers.network(1)
    wanted = exact.reduced(density_matrix(ansatz), (2, 0), 3)
    found = reduced_density_matrix(ansatz, (2, 0), Independent(whole=enumerate_diagonal(3)), seed=1)
    pulls = np.abs(found.mean - wanted) / found.error
    assert pulls.max() < 5
    assert 0.3 < np.sqrt(np.mean(pulls**2)) < 2
    assert found.error.max() < 0.03
    np.testing.assert_allclose(found.mean, found.mean.conj().T, rtol=0, atol=0)
    assert np.trace(found.mean) == pytest.approx(1, abs=1e-12)


def test_series_name_the_pairs():
    values = {"reduced_real": np.arange(32.0).reshape(2, 4, 4), "reduced_real_error": np.zeros((2, 4, 4))}
    data = as_dataset([Row(1, 0.5, 1.0, values)], np.zeros((0, 2), int), np.array([[0, 1], [3, 2]]))
    assert data.reduced_real.dims == ("t", "pair", "row", "column")
    assert data.pair_a.values.tolist() == [0, 3]
    assert data.pair_b.values.tolist() == [1, 2]
    np.testing.assert_array_equal(rows_of(data)[0].values["reduced_real"], values["reduced_real"])


@pytest.mark.parametrize(
    ("sites", "sentence"),
    [((0, 3), r"lie in 0\.\.2"), ((1, 1), "be distinct"), ((), "be one to three sites, but it has 0")],
)
def test_refuses(sites, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        reduced_density_matrix(helpers.network(0), sites)
