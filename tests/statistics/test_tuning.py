"""Exponent and blur chosen between steps: the rule, and what it does to chains in a concentrated state."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.sampling import (
    Automatic,
    Blurred,
    Tuning,
    Worth,
    effective_sample_size,
    enumerate_all,
    metropolis,
    retuned,
    tuned,
    tuning_of,
)
from neurho.matrix_elements.sampling.tuning import (
    ACCEPTANCE,
    BLURS,
    COMFORT,
    ESS,
    EXPONENTS,
    NORM2_ESS,
    STEP,
    named_tuning,
)
from neurho.model import lattice

BOTH = Automatic(exponent=True, blur=True)
FINE = Worth(acceptance=2 * ACCEPTANCE, ess=2 * COMFORT, norm2_ess=2 * NORM2_ESS)


@pytest.mark.parametrize(
    ("worth", "exponent", "blur"),
    [
        (FINE, 0, 0),
        (FINE._replace(acceptance=ACCEPTANCE / 2), -1, 0),
        (FINE._replace(ess=ESS / 2), +1, 0),
        (FINE._replace(acceptance=ACCEPTANCE / 2, ess=ESS / 2), +1, 0),
        (FINE._replace(norm2_ess=NORM2_ESS / 2), 0, +1),
        (FINE._replace(norm2_ess=NORM2_ESS / 2, ess=(ESS + COMFORT) / 2), 0, 0),
    ],
)
def test_the_rule(worth, exponent, blur):
    before = Tuning(exponent=1.0, blur=0.3)
    after = retuned(before, BOTH, worth)
    assert after == pytest.approx((1.0 + exponent * STEP, 0.3 + blur * STEP), abs=1e-12)
    assert retuned(before, Automatic(), worth) == before
    only = retuned(before, Automatic(exponent=True, blur=False), worth)
    assert only == (after.exponent, before.blur)


def test_values_stay_within_their_bounds_and_blur_gives_way_last():
    low = FINE._replace(ess=ESS / 2)
    found = [Tuning(1.9, 0.3)]
    for _ in range(12):
        found.append(retuned(found[-1], BOTH, low))
    assert found[2] == pytest.approx((EXPONENTS[1], 0.3)), "the exponent rises first"
    assert found[-1] == pytest.approx((EXPONENTS[1], BLURS[0]))
    for _ in range(40):
        found.append(retuned(found[-1], BOTH, FINE._replace(acceptance=0.0, norm2_ess=0.0)))
    assert found[-1] == pytest.approx((EXPONENTS[0], BLURS[1]))


def test_samplers_know_their_values():
    chain = metropolis(lattice.chain(3), samples=8, chains=4, exponent=1.3)
    assert tuning_of(chain) == (1.3, 0.0)
    assert tuning_of(Blurred(chain, 0.4)) == (1.3, 0.4)
    assert tuning_of(tuned(Blurred(chain, 0.4), Tuning(0.9, 0.2))) == (0.9, 0.2)
    everything = enumerate_all(3)
    assert tuned(everything, Tuning(0.9, 0.2)) is everything
    assert named_tuning(Tuning(0.9, 0.2), Automatic(exponent=True, blur=False)) == {"exponent": 0.9}


def concentrated():
    """Nearly all down: |rho|^2 is 0.99 on one configuration."""
    rbm = helpers.network(1, scale=0.1)
    return eqx.tree_at(lambda r: r.visible, rbm, rbm.visible.at[0].set(-1.15))


def test_chains_of_a_concentrated_state_begin_to_move():
    """From beta = 2, where one proposal in fifty is accepted, beta falls until one in twenty is, and averages stay
    right: within four standard errors, by chance not with probability 6e-5. One program serves all values."""
    rbm = concentrated()
    sampler = metropolis(lattice.chain(3), samples=8192, chains=512, sweeps=2, pairs=False)
    p = np.abs(helpers.literal_table(rbm)) ** 2
    wanted = np.average(np.all(helpers.configurations(3) == 3, axis=1), weights=p)
    assert wanted > 0.9
    run = jax.jit(lambda s, k, a, x: s.sample(k, a, x))
    tuning, chains = Tuning(2.0, 0.0), jnp.full((512, 3), 3, dtype=jnp.int32)
    seen = []
    for step in range(32):
        key = jax.random.fold_in(jax.random.key(0), step)
        draw, chains, info = run(tuned(sampler, tuning), key, rbm.amplitudes(), chains)
        worth = Worth(float(info.acceptance), float(effective_sample_size(draw.weight)) / draw.weight.size, 1.0)
        seen.append((tuning.exponent, worth))
        tuning = retuned(tuning, Automatic(exponent=True, blur=False), worth)
    assert run._cache_size() == 1
    assert seen[0][1].acceptance < 0.5 * ACCEPTANCE
    exponents = [exponent for exponent, _ in seen]
    assert exponents[-1] < 1.5
    assert np.ptp(exponents[-5:]) <= STEP * 1.01, "it has settled"
    assert seen[-1][1].acceptance > 0.8 * ACCEPTANCE
    assert seen[-1][1].ess > ESS
    inside = np.all(np.asarray(draw.x) == 3, axis=-1)
    weight = np.asarray(draw.weight)
    chainwise = np.sum(weight * (inside - np.sum(weight * inside)), axis=0)
    assert abs(np.sum(weight * inside) - wanted) < 4 * np.sqrt(np.sum(chainwise**2))
    again = dataclasses.replace(sampler, exponent=exponents[-1])
    assert tuning_of(again).exponent == pytest.approx(exponents[-1])
