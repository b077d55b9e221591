"""The translation-invariant RBM: invariance, the expanded network, derivatives, initial states, larger lattices."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, models
from neurho.matrix_elements.estimation.derivatives import LocalDerivatives, differentiated
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import (
    TiedRBM,
    density_matrix,
    enlarged,
    parameter_count,
    product_state,
    random_tied,
    uniform_product_state,
)
from neurho.matrix_elements.sampling import enumerate_all
from neurho.matrix_elements.symmetry import parity, require_invariant
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.matrix_elements.tdvp.solvers import Ridge
from neurho.model import lattice

RING = lattice.chain(3, periodic=True)
TORUS = lattice.square(2, 3, periodic=True)
values = eqx.filter_jit(lambda network, x: jax.vmap(network.log_amplitude)(x))


def some(sites, dim=2, count=24, seed=1):
    return jnp.asarray(np.random.default_rng(seed).integers(0, dim**2, (count, sites)), dtype=jnp.int32)


@pytest.mark.parametrize(("sites", "dim"), [(RING, 2), (TORUS, 2), (RING, 3)], ids=["ring", "torus", "three levels"])
def test_translations_leave_the_state_as_it_is(sites, dim):
    network, x = helpers.tied_network(0, sites, local_dim=dim), some(sites.sites, dim)
    here = values(network, x)
    assert np.ptp(here.real) > 1, "the state is not flat"
    for translation in sites.translations:
        np.testing.assert_allclose(np.exp(values(network, x[:, translation]) - here), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sites", "dim"), [(RING, 2), (TORUS, 2), (RING, 3)], ids=["ring", "torus", "three levels"])
def test_the_expanded_network_is_the_same_state(sites, dim):
    network, x = helpers.tied_network(0, sites, local_dim=dim), some(sites.sites, dim)
    expanded = network.expanded()
    assert expanded.hidden_weights.shape == (2, 2 * sites.sites, sites.sites * (dim - 1))
    assert parameter_count(network) < parameter_count(expanded) / 2
    for other in (expanded, network.amplitudes()):
        np.testing.assert_allclose(np.exp(values(other, x) - values(network, x)), 1, rtol=0, atol=1e-12)


def test_expanded_weights_are_filters_moved_by_translations():
    """W[(f, g), translations[g, j]] = w[f, j], literally."""
    network = helpers.tied_network(3, TORUS)
    weights = np.asarray(network.expanded().hidden_weights).reshape(2, 2, 6, 6)
    for g, translation in enumerate(TORUS.translations):
        for j in range(6):
            np.testing.assert_array_equal(weights[:, :, g, translation[j]], network.hidden_filters[:, :, j])


def test_hermitian_and_positive():
    rho = density_matrix(helpers.tied_network(2, RING, scale=0.8))
    np.testing.assert_allclose(rho, rho.conj().T, rtol=0, atol=1e-14)
    assert np.linalg.eigvalsh(rho).min() > -1e-14
    assert np.abs(rho.imag).max() > 1e-3


def test_zero_outside_the_sector():
    rho = helpers.matrix_of(np.exp(values(helpers.tied_network(0, RING, charge=parity()), configurations())), 3)
    odd = np.array([bin(i).count("1") % 2 for i in range(8)])
    outside = odd[:, None] != odd[None, :]
    assert np.all(rho[outside] == 0)
    assert np.all(rho[~outside] != 0)


def configurations():
    return jnp.asarray(helpers.configurations(3))


@pytest.mark.slow
def test_local_derivatives_are_those_of_the_local_value():
    """By hidden units against automatic differentiation."""
    network = helpers.tied_network(0, RING)
    bonds = models.heisenberg(RING, coupling=(0.5, 0.2, 0.4), decay=0.0)
    generator = lindbladian_map(bonds)
    x = some(3, count=4)

    @jax.jit
    def both(x):
        fast = jax.vmap(LocalDerivatives.build(network, generator))(x)
        return fast, jax.vmap(lambda y: differentiated(network, generator, y))(x)

    for fast, slow in zip(*both(x), strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9 * np.abs(slow).max())


def test_uniform_product_state():
    bloch = (0.3, -0.2, 0.4)
    sizes = {"hidden": 6, "mixing": 3}
    tied = uniform_product_state(jax.random.key(0), bloch, RING.translations, **sizes, noise=0.1)
    plain = product_state(jax.random.key(0), bloch, 3, **sizes, noise=0.0)
    np.testing.assert_allclose(density_matrix(tied.target), density_matrix(plain.target), rtol=0, atol=1e-14)
    np.testing.assert_allclose(tied.bloch, np.tile(bloch, (3, 1)), atol=1e-12)
    assert np.std(tied.ansatz.hidden_filters) == pytest.approx(0.1, rel=0.4)
    np.testing.assert_array_equal(tied.ansatz.visible, tied.target.visible)
    np.testing.assert_array_equal(tied.ansatz.translations, RING.translations)


def test_noise_falls_with_the_distance_from_the_origin():
    sites = lattice.chain(40, periodic=True)
    apart = np.minimum(np.arange(40), 40 - np.arange(40))
    between = np.abs(np.subtract.outer(apart, apart))
    noisy = uniform_product_state(
        jax.random.key(1),
        (0, 0, 0.5),
        sites.translations,
        hidden=400,
        mixing=40,
        noise=0.1,
        reach=2.0,
        distances=between,
    ).ansatz
    found = np.std(np.asarray(noisy.hidden_filters), axis=(0, 1))
    np.testing.assert_allclose(found, 0.1 * np.exp(-(apart**2) / 8), rtol=0.6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": 4}, "Argument `hidden` must be a multiple of the 3 translations of the lattice, but it is 4."),
        ({"mixing": 5}, "Argument `mixing` must be a multiple of the 3 translations of the lattice, but it is 5."),
        ({"mixing": 0}, "Argument `mixing` must be at least 3, the number of sites, for a mixed product state"),
        (
            {"bloch": [(0, 0, 0.5), (0, 0, 0.5), (0, 0, 0.4)]},
            "Argument `bloch` must be the same on all sites for a translation-invariant network, but its components",
        ),
        ({"translations": lattice.chain(3).translations}, "needs a lattice that is periodic in every direction, but"),
        ({"noise": -1.0}, "Argument `noise` must be >= 0, but it is -1.0."),
    ],
)
def test_one_sentence(change, sentence):
    arguments = {"bloch": (0.1, 0, 0.2), "translations": RING.translations, "hidden": 3, "mixing": 3} | change
    with pytest.raises(NeurhoError) as caught:
        uniform_product_state(jax.random.key(0), **arguments)
    assert sentence in str(caught.value)


def test_random_parameters():
    network = random_tied(jax.random.key(0), TORUS.translations, hidden=60, mixing=6, scale=0.1)
    assert isinstance(network, TiedRBM)
    assert network.hidden_filters.shape == (2, 10, 6)
    assert float(jnp.std(network.hidden_filters)) == pytest.approx(0.1, rel=0.3)


def only(network, displacement):
    """The network with filters that are one at a displacement and zero elsewhere."""
    filters = jnp.zeros_like(network.hidden_filters).at[:, :, displacement].set(1.0)
    return dataclasses.replace(network, hidden_filters=filters)


@pytest.mark.parametrize(
    ("length", "displacement", "expected"),
    [(3, 0, {0: 1}), (3, 1, {1: 1}), (3, 2, {7: 1}), (4, 3, {7: 1}), (4, 2, {2: 0.5, 6: 0.5}), (8, 4, {4: 1})],
)
def test_filters_keep_their_displacement_on_a_longer_ring(length, displacement, expected):
    old, new = lattice.chain(length, periodic=True), lattice.chain(8, periodic=True)
    moved = enlarged(only(helpers.tied_network(0, old), displacement), old, new)
    filters = np.zeros(8)
    filters[list(expected)] = list(expected.values())
    np.testing.assert_array_equal(moved.hidden_filters, np.broadcast_to(filters, (2, 2, 8)))
    np.testing.assert_array_equal(moved.translations, new.translations)
    assert moved.sites == 8


def test_filters_keep_their_displacement_on_a_larger_torus():
    old, new = lattice.square(3, 3, periodic=True), lattice.square(4, 5, periodic=True)
    moved = enlarged(only(helpers.tied_network(0, old), 3 * 2 + 1), old, new)  # (-1, 1)
    assert np.flatnonzero(np.asarray(moved.hidden_filters)[0, 0]).tolist() == [5 * 3 + 1]


def test_a_product_state_stays_the_product_state_on_a_larger_lattice():
    new = lattice.chain(4, periodic=True)
    states = [
        uniform_product_state(jax.random.key(0), (0.3, -0.2, 0.4), s.translations, hidden=0, mixing=s.sites).target
        for s in (RING, new)
    ]
    np.testing.assert_allclose(
        density_matrix(enlarged(states[0], RING, new)), density_matrix(states[1]), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("new", [lattice.chain(2, periodic=True), TORUS], ids=["smaller", "of another kind"])
def test_only_to_larger_lattices_of_the_same_kind(new):
    with pytest.raises(
        NeurhoError, match=r"A state moves only to a lattice (that is at least as large|of its own kind)"
    ):
        enlarged(helpers.tied_network(0, RING), RING, new)


@pytest.mark.parametrize(
    "sites", [RING, TORUS, lattice.triangular(3, 4, periodic=True)], ids=["ring", "torus", "triangular"]
)
def test_uniform_models_are_invariant(sites):
    model = models.heisenberg(sites, field=(0.6, 0.1, 0.3), coupling=(0.5, 0.2, 0.4), pump=0.2, dephasing=0.1)
    require_invariant(lindbladian_map(model), sites.translations)


def test_terms_that_are_not_symmetric_in_their_sites_are_compared_in_the_right_order():
    """A current around a ring is invariant; with one bond turned around it is not."""

    def current(turned):
        bonds = [(0, 1), (1, 2), (0, 2) if turned else (2, 0)]
        terms = [helpers.sx(i) * helpers.sy(j) - helpers.sy(i) * helpers.sx(j) for i, j in bonds]
        return lindbladian_map(
            helpers.Lindbladian(RING, helpers.total(terms), [(1.0, helpers.sm(j)) for j in range(3)])
        )

    require_invariant(current(turned=False), RING.translations)
    with pytest.raises(NeurhoError, match=r"but its terms on sites \(\d, \d\) and \(\d, \d\) differ"):
        require_invariant(current(turned=True), RING.translations)


def test_one_different_site_is_named():
    model = models.heisenberg(RING, field=(0.6, 0.1, 0.3), coupling=(0.5, 0.2, 0.4), decay=[1.0, 1.0, 0.9])
    with pytest.raises(
        NeurhoError, match=r"must be symmetries of the Lindbladian, but .* sites \(1,\) and \(2,\) differ"
    ):
        require_invariant(lindbladian_map(model), RING.translations)


@pytest.mark.slow
def test_one_configuration_for_all_translations_gives_the_same_flow():
    """Velocity and certificate from 40 configurations of a ring of 4 as from all 256."""
    ring = lattice.chain(4, periodic=True)
    model = models.heisenberg(ring, field=(0.3, 0, 1.0), coupling=(1.0, 0.2, 0.5), decay=1.0)
    tied = random_tied(jax.random.key(0), ring.translations, hidden=4, mixing=4, scale=0.3)
    found = []
    for options in ({}, {"hermitian": True, "translations": ring.translations}):
        sampler = enumerate_all(4, **options)
        tdvp = TDVP(lindbladian_map(model), sampler, Ridge(1e-3))
        found.append(tdvp(jax.random.key(1), 0.0, tied, sampler.init(None, None)))
    assert len(sampler.configurations) == 40
    whole, few = found
    np.testing.assert_allclose(few.velocity, whole.velocity, rtol=0, atol=1e-9 * np.abs(whole.velocity).max())
    for name in ("delta_l", "lindblad_norm2"):
        one, other = (getattr(rates.certificate, name).mean for rates in (few, whole))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_allclose(few.residual, whole.residual, rtol=1e-8)
