"""Weak symmetries: charges that are found, refused, and kept by networks and samplers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, exact, models
from neurho.matrix_elements.estimation.estimators import local_values
from neurho.matrix_elements.estimation.observables import build_observables
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import density_matrix, log_amplitudes
from neurho.matrix_elements.sampling import enumerate_all, enumerate_diagonal, metropolis
from neurho.matrix_elements.sampling.moves import crossed_pair_moves, pair_moves, single_site_moves, within_sector
from neurho.matrix_elements.symmetry import Charge, detect, is_conserved, number, parity, require_conserved
from neurho.model import lattice
from neurho.observables import pauli_quantities

CHAIN = lattice.chain(3)


def xyz(coupling, field=(0.0, 0.0, 0.7)):
    return lindbladian_map(models.heisenberg(CHAIN, field=field, coupling=coupling, decay=1.0))


@pytest.mark.parametrize(
    ("generator", "found"),
    [
        (xyz((0.9, 1.2, 1.0)), "parity"),
        (xyz((1.0, 1.0, 0.5)), "number"),
        (xyz((0.9, 1.2, 1.0), field=(0.3, 0.0, 0.0)), None),
        (lindbladian_map(models.dephasing_chain(CHAIN)), "number"),
    ],
)
def test_symmetries_are_found(generator, found):
    charge = detect(generator)
    assert (charge.name if charge else None) == found


def test_what_is_found_commutes_with_the_dense_lindbladian():
    """U rho U^+ with U = prod sigma^z, resp. exp(i phi sum sigma^z)."""
    dense = helpers.liouvillian(models.heisenberg(CHAIN, field=[0, 0, 0.7], coupling=[0.9, 1.2, 1.0], decay=1.0))
    x = helpers.configurations(3)
    sign = (-1.0) ** np.asarray(parity().of(jnp.asarray(x)))
    np.testing.assert_allclose(dense * sign, sign[:, None] * dense, atol=1e-13)
    phase = np.exp(0.3j * np.asarray(number().of(jnp.asarray(x))))
    assert np.max(np.abs(dense * phase - phase[:, None] * dense)) > 0.1


def test_a_broken_symmetry_is_refused():
    with pytest.raises(
        NeurhoError, match=r"`symmetry` must be conserved by the Lindbladian, but its terms on sites \(0,\) break par"
    ):
        require_conserved(xyz((1.0, 0.0, 0.0), field=(0.2, 0.0, 0.0)), parity())
    assert is_conserved(xyz((1.0, 0.0, 0.0)), parity())
    assert not is_conserved(xyz((1.0, 0.0, 0.0)), number())


@pytest.mark.parametrize("charge", [parity(), number()])
def test_a_network_in_a_sector_is_the_projected_network(charge: Charge):
    plain = helpers.network(3)
    kept = dataclasses.replace(plain, charge=charge)
    x = jnp.asarray(helpers.configurations(3))
    inside = np.asarray(charge.of(x)) == 0
    whole, part = (np.exp(np.asarray(log_amplitudes(a, x))) for a in (plain, kept))
    np.testing.assert_allclose(part, np.where(inside, whole, 0), rtol=1e-12)
    rho = density_matrix(kept)
    assert np.linalg.eigvalsh(rho)[0] > -1e-14, "the projection must stay positive"
    # Ratios that leave the sector vanish.
    amplitudes = kept.amplitudes()
    start = jnp.zeros(3, dtype=jnp.int32)
    one = amplitudes.prepare(jnp.array([0]), jnp.array([0]), jnp.array([1]))
    both = amplitudes.prepare(jnp.array([0]), jnp.array([0]), jnp.array([3]))
    cache = amplitudes.cache(start)
    assert complex(amplitudes.ratio(cache, one).value()) == 0
    assert abs(complex(amplitudes.ratio(cache, both).value())) > 0


@pytest.mark.slow
def test_local_values_in_a_sector_are_those_of_the_projected_state():
    generator = xyz((0.9, 1.2, 1.0))
    kept = dataclasses.replace(helpers.network(3), charge=parity())
    x = helpers.configurations(3)
    inside = np.asarray(parity().of(jnp.asarray(x))) == 0
    rho = np.exp(np.asarray(log_amplitudes(kept, jnp.asarray(x))))
    dense = helpers.liouvillian(models.heisenberg(CHAIN, field=[0, 0, 0.7], coupling=[0.9, 1.2, 1.0], decay=1.0))
    found = local_values(kept.amplitudes(), generator, jnp.asarray(x[inside]))[:, 0]
    np.testing.assert_allclose(found, (dense @ rho)[inside] / rho[inside], rtol=1e-10)


def test_observables_that_break_the_symmetry_vanish():
    kept = dataclasses.replace(helpers.network(3), charge=parity())
    observables = build_observables(pauli_quantities(CHAIN), enumerate_diagonal(3), 3)
    measured, _ = observables(jax.random.key(0), kept, observables.sampler.init(jax.random.key(0), kept.amplitudes()))
    found = observables.named(measured, 3)
    model = models.heisenberg(CHAIN, decay=1.0)
    expected = exact.expectations(density_matrix(kept), model)
    for name in ("sx", "sy", "sz", "sxsx", "sysy", "szsz"):
        np.testing.assert_allclose(found[name].mean, expected[name], atol=1e-12)
    assert found["sx"].mean == 0


@pytest.mark.parametrize("charge", [parity(), number(), parity(3)])
def test_moves_within_a_sector_are_symmetric_and_reach_all_of_it(charge: Charge):
    dim = 3 if len(charge.values) == 9 else 2
    sites = lattice.chain(2)
    sets = [single_site_moves(2, dim), pair_moves(sites, dim), crossed_pair_moves(sites, dim)]
    kept = [m for s in sets if (m := within_sector(s, charge)) is not None]
    x = helpers.configurations(2, dim)
    index = {tuple(row): i for i, row in enumerate(x)}
    chain = np.zeros((len(x), len(x)))
    for moves in kept:
        share = np.diff(np.asarray(moves.cumulative), prepend=0)
        assert share.sum() == pytest.approx(1)
        for places in np.asarray(moves.sites):
            for i, row in enumerate(x):
                local = np.ravel_multi_index(tuple(row[places]), (dim**2,) * len(places))
                for new, p in zip(np.asarray(moves.labels)[local], share, strict=True):
                    target = row.copy()
                    target[places] = new
                    chain[i, index[tuple(target)]] += p
    np.testing.assert_allclose(chain, chain.T, atol=1e-6)
    total = np.asarray(charge.of(jnp.asarray(x)))
    assert np.all(total[np.nonzero(chain)[0]] == total[np.nonzero(chain)[1]])
    inside = total == 0
    reach = np.linalg.matrix_power(chain[np.ix_(inside, inside)] > 0, 8)
    assert np.all(reach)


def test_samples_of_a_sector_have_its_density():
    """Chi-square of 20,000 draws over the 32 configurations of a pair; false alarms: 1e-4 for another seed."""
    kept = dataclasses.replace(helpers.network(5, 2, scale=0.3), charge=parity())
    sampler = metropolis(lattice.chain(2), samples=20000, chains=4000, sweeps=3, charge=parity())
    amplitudes = kept.amplitudes()

    @jax.jit
    def run(key):
        chains = sampler.init(key, amplitudes)
        return sampler.sample(jax.random.fold_in(key, 1), amplitudes, chains)[0]

    draw = run(jax.random.key(1))
    index = np.asarray(draw.x).reshape(-1, 2) @ np.array([4, 1])
    p = np.abs(np.exp(np.asarray(log_amplitudes(kept, jnp.asarray(helpers.configurations(2)))))) ** 2
    p = p / p.sum()
    counts = np.bincount(index, minlength=16)
    assert np.all(counts[p == 0] == 0)
    expected = 20000 * p[p > 0]
    # Five draws of each of 4,000 independent chains, three sweeps apart, are independent to good accuracy.
    assert np.sum((counts[p > 0] - expected) ** 2 / expected) < 27.9  # 7 degrees of freedom, 1 - 1e-4 is 29.9


def test_sums_over_a_sector_are_half_of_all():
    assert len(enumerate_all(3, charge=parity()).configurations) == 4**3 // 2
