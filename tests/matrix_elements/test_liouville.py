"""The machine on labels: its formula, what it contains, its symmetries, derivatives, starts and larger lattices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, exact, models
from neurho.matrix_elements.estimation.derivatives import LocalDerivatives, differentiated
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import (
    LiouvilleRBM,
    as_liouville,
    density_matrix,
    disturbed_liouville,
    enlarged,
    parameter_count,
    parameters,
    random_liouville,
)
from neurho.matrix_elements.networks.liouville import label_features
from neurho.matrix_elements.sampling import enumerate_all
from neurho.matrix_elements.symmetry import parity
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.matrix_elements.tdvp.solvers import Ridge
from neurho.model import lattice

RING = lattice.chain(3, periodic=True)
values = eqx.filter_jit(lambda network, x: jax.vmap(network.log_amplitude)(x))


def machine(seed, sites=3, **changes):
    sizes = {"hidden": 3, "mixing": 3, "scale": 0.4} | changes
    return random_liouville(jax.random.key(seed), sites, **sizes)


def some(sites, dim=2, count=24, seed=1):
    return jnp.asarray(np.random.default_rng(seed).integers(0, dim**2, (count, sites)), dtype=jnp.int32)


def literal(network, l, r):
    """Log rho(l, r) of spins l, r = +-1, term by term as the docstring has it."""
    phi = np.stack([l + r, l * r, 1j * (l - r)], axis=1)
    w = np.asarray(network.hidden_weights[0]) + 1j * np.asarray(network.hidden_weights[1])
    b = np.asarray(network.hidden_bias[0]) + 1j * np.asarray(network.hidden_bias[1])
    total = np.sum(np.asarray(network.visible) * phi)
    for weights, bias in zip(w, b, strict=True):
        total += np.log(np.cosh(bias + np.sum(weights * phi)))
        total += np.log(np.cosh(bias.conj() + np.sum(weights.conj() * phi)))
    for weights, bias in zip(np.asarray(network.mixing_weights), np.asarray(network.mixing_bias), strict=True):
        total += np.log(np.cosh(bias + np.sum(weights * phi)))
    return total


def test_the_formula():
    network, x = machine(0), some(3)
    found = values(network, x)
    for label, value in zip(np.asarray(x), found, strict=True):
        expected = literal(network, 1 - 2 * (label // 2), 1 - 2 * (label % 2))
        np.testing.assert_allclose(np.exp(value - expected), 1, rtol=0, atol=1e-12)
    assert parameter_count(network) == 3 * 3 + 3 * (2 + 6 * 3) + 3 * (1 + 3 * 3)


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_features_are_a_basis_of_even_and_odd_functions(dim):
    even, odd = label_features(dim)
    label = np.arange(dim**2)
    swapped = label // dim + dim * (label % dim)
    np.testing.assert_array_equal(even[swapped], even)
    np.testing.assert_array_equal(odd[swapped], -odd)
    assert np.linalg.matrix_rank(np.column_stack([np.ones(dim**2), even, odd])) == dim**2


@pytest.mark.parametrize("dim", [2, 3], ids=["spins", "three levels"])
@pytest.mark.parametrize("tied", [False, True], ids=["plain", "tied"])
def test_the_paper_s_network_is_one_of_them(dim, tied):
    known = helpers.tied_network(0, RING, local_dim=dim) if tied else helpers.network(0, local_dim=dim)
    x = some(3, dim)
    network = as_liouville(known)
    assert network.tied == tied
    np.testing.assert_allclose(np.exp(values(network, x) - values(known, x)), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 3], ids=["spins", "three levels"])
def test_the_tables_are_the_same_state(dim):
    network, x = machine(1, local_dim=dim, translations=RING.translations), some(3, dim)
    expanded = network.expanded()
    assert expanded.hidden_weights.shape == (2, 3, 3, dim**2 - 1)
    for other in (network.amplitudes(), expanded, expanded.amplitudes()):
        np.testing.assert_allclose(np.exp(values(other, x) - values(network, x)), 1, rtol=0, atol=1e-12)


def test_hermitian_with_positive_populations_but_not_positive():
    rho = density_matrix(machine(2))
    np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14)
    assert np.abs(rho.imag).max() > 1e-3
    assert np.diag(rho).real.min() > 0
    assert np.linalg.eigvalsh(rho).min() < -1e-3


@pytest.mark.parametrize("sites", [RING, lattice.square(2, 3, periodic=True)], ids=["ring", "torus"])
def test_translations_leave_the_state_as_it_is(sites):
    count = sites.sites
    network, x = machine(3, count, hidden=count, mixing=count, translations=sites.translations), some(count)
    here = values(network, x)
    assert np.ptp(here.real) > 1, "the state is not flat"
    for translation in sites.translations:
        np.testing.assert_allclose(np.exp(values(network, x[:, translation]) - here), 1, rtol=0, atol=1e-12)


def test_zero_outside_the_sector():
    network = machine(0, charge=parity())
    rho = helpers.matrix_of(np.exp(values(network, jnp.asarray(helpers.configurations(3)))), 3)
    odd = np.array([bin(i).count("1") % 2 for i in range(8)])
    outside = odd[:, None] != odd[None, :]
    assert np.all(rho[outside] == 0)
    assert np.all(rho[~outside] != 0)


@pytest.mark.parametrize(
    "tied",
    [pytest.param(False, id="plain", marks=pytest.mark.slow), pytest.param(True, id="tied", marks=pytest.mark.slow)],
)
def test_local_derivatives_are_those_of_the_local_value(tied):
    """By hidden units against automatic differentiation."""
    network = machine(0, translations=RING.translations if tied else None)
    generator = lindbladian_map(models.heisenberg(RING, coupling=(0.5, 0.2, 0.4), field=(0.3, 0, 0.1), decay=0.5))
    x = some(3, count=4)

    @jax.jit
    def both(x):
        fast = jax.vmap(LocalDerivatives.build(network, generator))(x)
        return fast, jax.vmap(lambda y: differentiated(network, generator, y))(x)

    for fast, slow in zip(*both(x), strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9 * np.abs(slow).max())


def test_larger_lattices():
    """The same map of filters as that of the paper's network, which is a case."""
    small, large = lattice.square(2, 3, periodic=True), lattice.square(4, 3, periodic=True)
    known, x = helpers.tied_network(0, small), some(12)
    through, direct = enlarged(as_liouville(known), small, large), as_liouville(enlarged(known, small, large))
    np.testing.assert_allclose(np.exp(values(through, x) - values(direct, x)), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tied", [False, True], ids=["plain", "tied"])
def test_noise(tied):
    """On all parameters but the visible ones, and with a reach near the place of a unit."""
    ring = lattice.chain(30, periodic=True)
    apart = np.minimum(np.arange(30), 30 - np.arange(30))
    between = np.array([np.roll(apart, j) for j in range(30)])
    zero = machine(0, 30, hidden=300, mixing=300, scale=0.0, translations=ring.translations if tied else None)
    noisy = disturbed_liouville(jax.random.key(1), zero, 0.1, reach=2.0, distances=between)
    np.testing.assert_array_equal(noisy.visible, zero.visible)
    assert np.std(noisy.hidden_bias) == pytest.approx(0.1, rel=0.3)
    for weights in (np.asarray(noisy.hidden_weights[0]), np.asarray(noisy.mixing_weights)):
        places = np.zeros(len(weights), dtype=int) if tied else (np.arange(len(weights)) + 0.5) * 30 / len(weights)
        by_distance = np.stack([np.roll(w, -int(p), axis=0) for w, p in zip(weights, places, strict=True)])
        found = np.std(by_distance, axis=(0, 2))
        np.testing.assert_allclose(found, 0.1 * np.exp(-(apart**2) / 8), rtol=0.6)
    plain = disturbed_liouville(jax.random.key(1), zero, 0.1)
    assert np.std(plain.hidden_weights) == pytest.approx(0.1, rel=0.1)


def test_enough_units_follow_the_equation_of_motion():
    """Two spins, 15 real numbers, 69 parameters: the velocity moves rho by L rho, in the direction of the trace too."""
    model = models.heisenberg(lattice.chain(2), coupling=(0.5, 0.2, 0.4), field=(0.3, 0, 0.1), decay=0.5)
    network = machine(4, 2, hidden=3, mixing=3, scale=0.6)
    tdvp = TDVP(generator=lindbladian_map(model), sampler=enumerate_all(2), solver=Ridge(1e-12))
    rates = tdvp(jax.random.key(0), jnp.asarray(0.0, dtype=float), network, tdvp.sampler.configurations[:0])
    assert parameter_count(network) == 69
    assert float(rates.residual) < 1e-6
    vector, restore = parameters(network)
    rho, step = density_matrix(network), 1e-5
    ahead, behind = (density_matrix(restore(vector + sign * step * rates.velocity)) for sign in (1, -1))
    expected = exact.ExactLindbladian(model).apply(rho)
    np.testing.assert_allclose((ahead - behind) / (2 * step), expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": -1}, "Argument `hidden` must be a whole number >= 0, but it is -1."),
        ({"mixing": -1}, "Argument `mixing` must be a whole number >= 0, but it is -1."),
        ({"scale": -0.1}, "Argument `scale` must be >= 0, but it is -0.1."),
        (
            {"hidden": 4, "translations": RING.translations},
            "Argument `hidden` must be a multiple of the 3 translations of the lattice, but it is 4.",
        ),
        ({"translations": lattice.chain(3).translations}, "needs a lattice that is periodic in every direction, but"),
    ],
)
def test_one_sentence(change, sentence):
    with pytest.raises(NeurhoError) as caught:
        machine(0, **change)
    assert sentence in str(caught.value)


def test_without_units():
    network = machine(0, hidden=0, mixing=0)
    assert isinstance(as_liouville(helpers.network(0, hidden=0, mixing=0)), LiouvilleRBM)
    assert isinstance(network, LiouvilleRBM)
    rho = density_matrix(network)
    np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14)
