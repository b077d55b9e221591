"""Rotations and reflections of a lattice, and networks that they leave as they are."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho import NeurhoError, models
from neurho.config import validate
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import (
    density_matrix,
    enlarged,
    parameter_count,
    product_state,
    random_liouville,
    random_tied,
    uniform_product_state,
)
from neurho.matrix_elements.sampling import enumerate_all
from neurho.matrix_elements.symmetry import require_invariant
from neurho.matrix_elements.tdvp.equation import TDVP
from neurho.matrix_elements.tdvp.solvers import Ridge
from neurho.model import lattice
from neurho.run.problem import build

RING = lattice.chain(4, periodic=True)
TORUS = lattice.square(3, 3, periodic=True)
values = eqx.filter_jit(lambda network, x: jax.vmap(network.log_amplitude)(x))


def some(sites, count=12, seed=1):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 4, (count, sites.sites)), dtype=jnp.int32)


def networks(sites):
    sizes = {"hidden": 2 * len(sites.symmetries), "mixing": len(sites.symmetries), "scale": 0.3}
    key = jax.random.key(0)
    yield random_tied(key, sites.symmetries, **sizes)
    yield random_liouville(key, sites.sites, translations=sites.symmetries, **sizes)


@pytest.mark.parametrize(
    ("made", "operations"),
    [
        (lattice.chain(5, periodic=True), 2),
        (lattice.chain(2, periodic=True), 1),
        (lattice.chain(5), 1),
        (TORUS, 8),
        (lattice.square(2, 3, periodic=True), 2),
        (lattice.square(3, 4, periodic=True), 4),
        (lattice.square(3, 3, periodic=[True, False]), 1),
        (lattice.triangular(3, 3, periodic=True), 12),
        (lattice.triangular(3, 4, periodic=True), 2),
        (lattice.from_edges([(0, 1), (1, 2)]), 1),
    ],
    ids=str,
)
def test_operations_fix_the_origin_and_carry_bonds_to_bonds(made, operations):
    assert len(made.point_group) == operations
    np.testing.assert_array_equal(made.point_group[:, 0], 0)
    moves = made.symmetries
    rows = {tuple(row) for row in moves.tolist()}
    assert len(rows) == len(moves) == operations * len(made.translations)
    assert all(tuple(one[other]) in rows for one in moves for other in moves), "a group"
    bonds = {tuple(sorted(pair)) for pair in made.bonds.tolist()}
    assert all({tuple(sorted((row[a], row[b]))) for a, b in bonds} == bonds for row in moves)


@pytest.mark.parametrize(
    "sites", [pytest.param(RING, id="ring", marks=pytest.mark.slow), pytest.param(TORUS, id="torus")]
)
def test_networks_are_invariant_and_expand(sites):
    x = some(sites)
    for network in networks(sites):
        here = values(network, x)
        assert np.ptp(here.real) > 1, "the state is not flat"
        for move in sites.symmetries:
            np.testing.assert_allclose(np.exp(values(network, x[:, move]) - here), 1, rtol=0, atol=1e-11)
        for other in (network.expanded(), network.amplitudes()):
            np.testing.assert_allclose(np.exp(values(other, x) - here), 1, rtol=0, atol=1e-11)
        assert parameter_count(network) < parameter_count(network.expanded()) / len(sites.point_group)


def test_filters_without_a_symmetry_of_their_own_are_moved_by_all():
    """W[(f, g), symmetries[g, j]] = w[f, j], literally."""
    network = next(networks(RING))
    weights = np.asarray(network.expanded().hidden_weights).reshape(2, 2, 8, 4)
    for g, move in enumerate(RING.symmetries):
        np.testing.assert_array_equal(weights[:, :, g, move], network.hidden_filters)


@pytest.mark.parametrize("bloch", [(0.3, -0.2, 0.4), (0.6, 0.0, 0.8), (0.0, 0.0, 0.5)], ids=["mixed", "pure", "z"])
def test_product_states_are_the_same_with_several_units_at_a_site(bloch):
    sizes = {"hidden": 8, "mixing": 8}
    tied = uniform_product_state(jax.random.key(0), bloch, RING.symmetries, **sizes)
    plain = product_state(jax.random.key(0), bloch, 4, **sizes, noise=0.0)
    np.testing.assert_allclose(density_matrix(tied.target), density_matrix(plain.target), rtol=0, atol=1e-12)
    np.testing.assert_allclose(tied.bloch, plain.bloch, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_one_configuration_for_all_symmetries_gives_the_same_flow():
    model = models.heisenberg(RING, field=(0.3, 0, 1.0), coupling=(1.0, 0.2, 0.5), decay=1.0)
    *_, network = networks(RING)
    found = []
    for options in ({}, {"hermitian": True, "translations": RING.symmetries}):
        sampler = enumerate_all(4, **options)
        tdvp = TDVP(lindbladian_map(model), sampler, Ridge(1e-3))
        found.append(tdvp(jax.random.key(1), 0.0, network, sampler.init(None, None)))
    assert len(sampler.configurations) == 34
    whole, few = found
    np.testing.assert_allclose(few.velocity, whole.velocity, rtol=0, atol=1e-9 * np.abs(whole.velocity).max())
    np.testing.assert_allclose(few.certificate.delta_l.mean, whole.certificate.delta_l.mean, rtol=1e-12)


def test_a_current_breaks_reflections_but_not_translations():
    bonds = [(j, (j + 1) % 4) for j in range(4)]
    current = [helpers.sx(i) * helpers.sy(j) - helpers.sy(i) * helpers.sx(j) for i, j in bonds]
    jumps = [(1.0, helpers.sm(j)) for j in range(4)]
    generator = lindbladian_map(helpers.Lindbladian(RING, helpers.total(current), jumps))
    require_invariant(generator, RING.translations)
    with pytest.raises(NeurhoError, match="must be symmetries of the Lindbladian"):
        require_invariant(generator, RING.symmetries)


def test_on_a_larger_lattice_with_the_same_point_group():
    """Filters of a 3x3 torus on 4x4: still invariant under all of its 128 symmetries."""
    new = lattice.square(4, 4, periodic=True)
    for network in networks(TORUS):
        moved = enlarged(network, TORUS, new)
        x = some(new, 4)
        here = values(moved, x)
        for move in new.symmetries[::11]:
            np.testing.assert_allclose(np.exp(values(moved, x[:, move]) - here), 1, rtol=0, atol=1e-11)
        with pytest.raises(NeurhoError, match=r"with the same, but it has 8 operations and that of .* 4\."):
            enlarged(network, TORUS, lattice.square(3, 4, periodic=True))


def problem(**changes):
    tables = {
        "lattice": {"kind": "chain", "shape": [4], "periodic": True},
        "model": {"kind": "xyz"},
        "ansatz": {"kind": "liouville", "hidden": 8, "mixing": 8, "translations": True, "point_group": True} | changes,
        "sampling": {"kind": "enumeration"},
        "task": {"kind": "stationary"},
    }
    return build(validate(tables))


@pytest.mark.slow
def test_in_a_problem_file():
    network = problem().driver.initial.ansatz
    np.testing.assert_array_equal(network.translations, RING.symmetries)
    assert network.hidden_weights.shape == (2, 1, 4, 3)
    assert problem().driver.samples < problem(point_group=False).driver.samples


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"translations": False}, "`ansatz.point_group` must be false unless ansatz.translations = true"),
        ({"hidden": 12}, "In [ansatz]: Argument `hidden` must be a multiple of the 8 symmetries of the lattice, but"),
    ],
)
def test_one_sentence(changes, sentence):
    with pytest.raises(NeurhoError) as caught:
        problem(**changes)
    assert sentence in str(caught.value)
