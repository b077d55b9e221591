"""Chain diagnostics on series whose statistics are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.dynamics.snapshots import certified, warning
from neurho.matrix_elements.sampling import Draw, autocorrelation_time, effective_sample_size, split_r_hat
from neurho.matrix_elements.tdvp.equation import certificate_of

tau = jax.jit(autocorrelation_time)
r_hat = jax.jit(split_r_hat)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.5])
def test_autocorrelation_time_of_an_autoregression(phi):
    """rho(t) = phi^t: tau = (1 + phi)/(1 - phi). 256 chains of 512 draws determine it to about 3 %; Geyer's sum stops
    early or late by less than 10 %."""
    series = helpers.autoregression(0, phi, 512, 256)
    assert tau(jnp.asarray(series)) == pytest.approx((1 + phi) / (1 - phi), rel=0.1)


def test_autocorrelation_time_sees_disagreeing_chains():
    """Covariances are about the mean of all chains: chains that sit in different places are correlated for ever."""
    series = helpers.autoregression(1, 0.0, 512, 256) + 3 * np.random.default_rng(0).normal(size=256)
    assert tau(jnp.asarray(series)) > 100


def test_autocorrelation_time_of_short_series():
    assert autocorrelation_time(jnp.ones((1, 7))) == 1
    assert np.isfinite(tau(jnp.asarray(helpers.autoregression(0, 0.5, 2, 10))))


def test_autocorrelation_time_of_frozen_chains_is_at_least_one():
    assert tau(jnp.ones((16, 8))) >= 1


def test_split_r_hat_of_independent_draws():
    """R-hat^2 = 1 + O(1/(number of half-chains draws)): within 1 % of one for 64 x 400."""
    assert r_hat(jnp.asarray(np.random.default_rng(2).normal(size=(400, 64)))) == pytest.approx(1, abs=0.01)


def test_split_r_hat_of_shifted_chains():
    """Means spread by s add s^2 to the pooled variance: R-hat = sqrt(1 + s^2)."""
    rng = np.random.default_rng(3)
    series = rng.normal(size=(400, 64)) + np.repeat([-0.8, 0.8], 32)
    assert r_hat(jnp.asarray(series)) == pytest.approx(np.sqrt(1 + 0.8**2), rel=0.02)


def test_split_r_hat_of_drifting_chains():
    """A drift common to all chains shows between their halves."""
    series = np.random.default_rng(4).normal(size=(400, 64)) + np.linspace(-2, 2, 400)[:, None]
    assert r_hat(jnp.asarray(series)) > 1.1


def test_split_r_hat_at_its_edges():
    assert np.isnan(split_r_hat(jnp.ones((3, 5)))), "too few draws to say"
    assert r_hat(jnp.ones((8, 5))) == 1
    assert np.isinf(r_hat(jnp.asarray(np.tile(np.arange(5.0), (8, 1))))), "frozen in different places"


def test_effective_sample_size():
    """Kish: n for equal weights, m if only m of n count."""
    assert effective_sample_size(jnp.full((10, 5), 0.02)) == pytest.approx(50, rel=1e-12)
    assert effective_sample_size(jnp.asarray([1.0, 1.0, 0.0, 0.0])) == 2
    weight = np.random.default_rng(5).exponential(size=200_000)
    assert effective_sample_size(jnp.asarray(weight)) / 200_000 == pytest.approx(0.5, rel=0.02)  # <w>^2/<w^2>


def test_a_norm_that_rests_on_few_samples_is_said_to():
    """||L rho||^2 from 400 samples of which 4 hold all of it, with equal and with unequal weights."""
    size = jnp.zeros((20, 20)).at[3, :4].set(2.0)
    draw = Draw(x=jnp.zeros((20, 20, 1), dtype=jnp.int32), weight=jnp.full((20, 20), 1 / 400))
    few = certified(certificate_of(size, draw, exact=False), exact=False)
    assert few["lindblad_norm2_ess"] == pytest.approx(4, rel=1e-12)
    assert few["lindblad_norm2"] == pytest.approx(4 * 4 / 400, rel=1e-12)
    assert "lindblad_norm2 rests on 4.0 effective samples" in warning(few)
    weighted = draw._replace(weight=draw.weight.at[3, 0].set(100.0))
    assert certified(certificate_of(size, weighted, exact=False), exact=False)["lindblad_norm2_ess"] < 1.01
    many = certified(certificate_of(jnp.ones((20, 20)), draw, exact=False), exact=False)
    assert many["lindblad_norm2_ess"] == pytest.approx(400, rel=1e-12)
    assert "effective samples" not in warning(many)
    assert "effective samples" not in warning(certified(certificate_of(0 * size, draw, exact=False), exact=False))
