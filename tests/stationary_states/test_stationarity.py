"""Corrected observables: the same stationary value, less error."""

import jax
import numpy as np
import pytest

import helpers
import neurho
from neurho import exact
from neurho.matrix_elements.estimation.observables import build_observables
from neurho.model.operators import adjoint_lindbladian, total
from neurho.stationary_states.corrections import (
    averaged,
    clusters,
    corrected,
    relaxes,
    slowest_rate,
    stationary_quantities,
)


def random_hermitian(rng, size):
    a = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    return a + a.conj().T


@pytest.fixture(scope="module")
def ring():
    """Four driven, decaying and dephased spins on a ring, with different fields and rates, and the exact state."""
    rng = np.random.default_rng(5)
    model = neurho.heisenberg(
        neurho.chain(4, periodic=True),
        field=rng.normal(size=(4, 3)),
        coupling=(0.9, 0.4, 1.1),
        decay=[1.0, 0.7, 1.3, 0.9],
        dephasing=0.2,
    )
    return model, exact.stationary_state(model).rho


def test_the_adjoint_lindbladian_is_the_adjoint(ring):
    model, _ = ring
    rng = np.random.default_rng(1)
    rho = random_hermitian(rng, 16)
    x = neurho.local(random_hermitian(rng, 4), (1, 3))
    moved = exact.ExactLindbladian(model).apply(rho)
    one = np.trace(adjoint_lindbladian(model, x).to_sparse(4).toarray() @ rho)
    assert one == pytest.approx(np.trace(x.to_sparse(4).toarray() @ moved), abs=1e-12)


@pytest.mark.parametrize("cluster", [(1,), (0, 1), (1, 2, 3), (0, 1, 2, 3)])
def test_the_stationary_value_does_not_change(ring, cluster):
    model, rho = ring
    x = neurho.sx(1) + 0.3 * neurho.sz(1)
    moved = corrected(model, x, cluster)
    assert moved.is_hermitian()
    plain = exact.expectation(rho, x, 4)
    assert exact.expectation(rho, moved, 4) == pytest.approx(plain, abs=1e-10)
    assert len(max((t.sites for t in moved.terms), key=len)) <= min(len(cluster) + 1, 4)


def test_a_cluster_of_all_sites_needs_no_state(ring):
    model, rho = ring
    moved = corrected(model, neurho.sy(2), range(4))
    anything = np.eye(16) / 16
    expected = exact.expectation(rho, neurho.sy(2), 4)
    assert exact.expectation(anything, moved, 4) == pytest.approx(expected, abs=1e-9)


def test_without_dissipation_in_the_cluster_the_value_stays_the_same():
    model = neurho.heisenberg(neurho.chain(3), field=(0.3, 0, 0.5), coupling=(1.0, 0.2, 0.4), decay=[1.0, 0.0, 0.0])
    rho = exact.stationary_state(model).rho
    moved = corrected(model, neurho.sz(2), (1, 2))
    assert exact.expectation(rho, moved, 3) == pytest.approx(exact.expectation(rho, neurho.sz(2), 3), abs=1e-8)


def test_clusters_are_made_of_neighbours():
    square = neurho.square(3, 3)
    assert clusters(square, (4,), 1) == [(4,)]
    assert clusters(square, (4,), 2) == [(1, 4), (3, 4), (4, 5), (4, 7)]
    assert clusters(square, (0,), 5) == [(0, 1, 3)]
    assert clusters(neurho.chain(4), (1, 2), 3) == [(0, 1, 2), (1, 2, 3)]


def test_errors_of_the_state_matter_less():
    """Twenty states that are wrong in the first order, mixed with product states: half the error or less."""
    model = neurho.heisenberg(neurho.chain(5, periodic=True), field=(0.5, 0, 0), coupling=(0, 0, 0.5))
    rho, rng = exact.stationary_state(model).rho, np.random.default_rng(3)
    by_name = {q.name: total(q.operators) / len(q.operators) for q in stationary_quantities(model, size=3)}
    vectors = rng.normal(size=(20, 3))
    others = [exact.product_state(v / np.linalg.norm(v) * rng.uniform(0, 1), sites=5) for v in vectors]
    for name in ("sx", "sy", "sz"):
        plain = total(getattr(neurho, name)(j) for j in range(5)) / 5
        both = (plain, by_name[f"{name}_corrected"])
        truth = np.array([exact.expectation(rho, x, 5).real for x in both])
        errors = np.array([[exact.expectation(r, x, 5).real for x in both] - truth for r in others])
        rms = np.sqrt(np.mean(errors**2, axis=0))
        assert rms[1] < 0.5 * rms[0]


def test_sums_over_all_pairs(ring):
    """S^aa(0) keeps its value in the stationary state, and one percent of the maximally mixed state moves it less."""
    model, rho = ring
    found = {q.name: q for q in stationary_quantities(model, structure=True)}
    wrong = 0.99 * rho + 0.01 * np.eye(16) / 16
    plain = exact.expectations(rho, model, structure=True)
    for name in ("structure_xx", "structure_yy", "structure_zz"):
        (operator,) = found[f"{name}_corrected"].operators
        value, moved = (exact.expectation(r, operator, 4).real for r in (rho, wrong))
        assert value == pytest.approx(plain[name], abs=1e-9)
        assert abs(moved - value) < 0.75 * 0.01 * abs(value)
    assert not any(q.name.startswith("structure") for q in stationary_quantities(model))
    # Sites 1 and 3 decay through their neighbours only, so the pair (1, 3) alone does not; means are corrected still.
    half = neurho.heisenberg(neurho.chain(4), field=(0.3, 0, 0.5), coupling=(1.0, 0.2, 0.4), decay=[1.0, 0.0, 1.0, 0.0])
    assert not relaxes(half, (1, 3))
    names = [[q.name for q in stationary_quantities(half, structure=s)] for s in (False, True)]
    assert names[0] == names[1] != []
    large = neurho.heisenberg(neurho.chain(17), coupling=(1.0, 0, 0))
    assert not any(
        q.name.startswith("structure") for q in stationary_quantities(large, bonds=False, structure=True, size=1)
    )


@pytest.mark.slow
def test_measured_in_a_network_they_agree_with_its_density_matrix(ring):
    model, _ = ring
    ansatz = neurho.networks.random_rbm(jax.random.key(0), 4, hidden=2, mixing=2, scale=0.3)
    quantities = stationary_quantities(model)
    sampler = neurho.samplers.enumerate_diagonal(4)
    observables = build_observables(quantities, sampler, 4)
    measured, _ = observables(jax.random.key(0), ansatz, sampler.init(jax.random.key(0), ansatz.amplitudes()))
    found, rho = observables.named(measured, 4), neurho.networks.density_matrix(ansatz)
    for quantity in quantities:
        values = np.array([exact.expectation(rho, o, 4).real for o in quantity.operators])
        expected = values.mean() if quantity.average else values
        np.testing.assert_allclose(found[quantity.name].mean, expected, atol=1e-10)


def test_clusters_have_a_largest_size(ring):
    model, _ = ring
    with pytest.raises(neurho.NeurhoError, match="at most 64 levels, but it has 2\\^7"):
        corrected(model, neurho.sx(0), range(7))


def test_a_model_that_moves_is_refused():
    model = neurho.Lindbladian(neurho.chain(2), neurho.sz(0) * np.cos, [(1.0, neurho.sm(0)), (1.0, neurho.sm(1))])
    with pytest.raises(neurho.NeurhoError, match="not depend on time"):
        corrected(model, neurho.sx(0), (0,))
    with pytest.raises(neurho.NeurhoError, match="not depend on time"):
        stationary_quantities(model)


def test_a_cluster_too_large_is_refused():
    """Before its matrix is made, which would fill the memory."""
    model = neurho.heisenberg(neurho.chain(8), coupling=(1.0, 0.0, 0.0))
    with pytest.raises(neurho.NeurhoError, match="at most 64 levels"):
        relaxes(model, range(8))


def test_rounding_breaks_no_symmetry():
    """With fields along z, what corrects sx flips an odd number of spins in every entry, exactly."""
    model = neurho.heisenberg(neurho.chain(4), field=(0, 0, 1.0), coupling=(1.0, 0.3, 0.2), decay=1.0, pump=0.2)
    found = averaged(model, neurho.sx(1), 2)
    assert len(found.terms) > 3
    for term in found.terms:
        raised = np.array([bin(k).count("1") for k in range(len(term.matrix))])
        even = (raised[:, None] - raised[None]) % 2 == 0
        assert not np.any(term.matrix[even])


def test_nothing_is_corrected_where_a_cluster_conserves_something():
    """Dephasing and exchange keep the magnetisation of two sites in the bulk; driven ends, or decay, do not."""
    lattice = neurho.chain(4)
    exchange = total(neurho.sx(j) @ neurho.sx(j + 1) + neurho.sy(j) @ neurho.sy(j + 1) for j in range(3))
    ends = [(1.0, neurho.sp(0)), (1.0, neurho.sm(3))]
    jumps = [*ends, *((0.5, neurho.sz(j)) for j in range(4))]
    driven = neurho.Lindbladian(lattice, exchange, jumps)
    assert [relaxes(driven, c) for c in ((0, 1), (1, 2), (2, 3))] == [True, False, True]
    assert stationary_quantities(driven) == []
    decaying = neurho.Lindbladian(lattice, exchange, [*jumps, *((0.1, neurho.sm(j)) for j in range(4))])
    assert [q.name for q in stationary_quantities(decaying)][:2] == ["sx_corrected", "sx_corrected_site"]


def test_the_slowest_rate():
    """Decay 0.3 and pump 0.2 add up; dephasing counts only by itself; the slowest site decides."""
    spins = helpers.lattice.chain(2)
    rate = lambda **rates: slowest_rate(helpers.models.heisenberg(spins, coupling=(1.0, 0, 0), **rates))  # noqa: E731
    assert rate(decay=0.3, pump=0.2, dephasing=5.0) == pytest.approx(0.5)
    assert rate(decay=[0.3, 0.1]) == pytest.approx(0.1)
    assert rate(decay=0.0, dephasing=0.7) > 0
    pair = helpers.Lindbladian(spins, helpers.sx(0), [(0.4, helpers.local(np.diag([2.0, 0, 0], 1), (0, 1)))])
    assert slowest_rate(pair) == pytest.approx(1.6)
