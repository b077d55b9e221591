"""Labels, and Lindbladians on them, against QuTiP and digits written out."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from neurho.matrix_elements.generator import (
    Side,
    all_labels,
    apply,
    lindbladian_map,
    row_groups,
    superoperator,
    to_dense,
    to_matrix,
    to_table,
)
from neurho.model import lattice
from neurho.model.operators import Lindbladian, local, sm, sp, sx, sy, sz


@pytest.mark.parametrize(("sites", "dim"), [(2, 2), (1, 3), (2, 3)])
def test_dense_is_the_liouvillian(sites, dim):
    model = helpers.random_lindbladian(10 * sites + dim, sites, dim)
    expected = helpers.liouvillian(model)
    found = to_dense(lindbladian_map(model))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_product_with_distant_and_permuted_sites():
    """Four sites: terms on one, two and three sites, with gaps between them."""
    model = helpers.random_lindbladian(5, 4)
    assert any(np.ptp(t.sites) >= len(t.sites) == 3 for t in model.hamiltonian.terms), "no three-site term has a gap"
    rng = np.random.default_rng(0)
    table = rng.normal(size=4**4) + 1j * rng.normal(size=4**4)
    expected = helpers.liouvillian(model) @ table
    found = np.asarray(apply(lindbladian_map(model), jnp.asarray(table)))
    np.testing.assert_allclose(found, expected[None], rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("make", [helpers.driven_chain, helpers.current_chain])
def test_lindbladian_keeps_trace_and_hermiticity(make):
    rng = np.random.default_rng(1)
    rho = helpers.random_matrix(rng, 8)
    rho = rho + rho.conj().T
    rate = to_matrix(apply(helpers.generator(make), jnp.asarray(to_table(rho, 3, 2)))[0], 3, 2)
    assert np.abs(rate).max() > 1
    assert abs(np.trace(rate)) < 1e-12
    np.testing.assert_allclose(rate, rate.conj().T, rtol=0, atol=1e-12)


def test_moves_come_by_side():
    """A driven damped site flips its row, its column, and both; a coupling one or the other; an operator rows only."""
    model = Lindbladian(lattice.chain(2), sx(0) + sx(1) + sx(0) * sx(1), [(1.0, sm(0)), (1.0, sm(1))])
    one, two = lindbladian_map(model).groups
    assert (one.sides, two.sides) == ((1, 1, 1), (1, 1, 0))
    assert [side for side, _ in two.by_side()] == [Side.ROWS, Side.COLUMNS]
    here = all_labels(2, 4)[None, :, None]
    for side, labels in two.by_side():
        row, column = (np.any(a != b, axis=-1) for a, b in zip(np.divmod(labels, 2), np.divmod(here, 2), strict=True))
        assert np.all(row == (side is Side.ROWS))
        assert np.all(column == (side is Side.COLUMNS))
    assert [g.sides for g in row_groups([sx(0), sx(0) * sx(1)])] == [(1, 0, 0), (1, 0, 0)]


def test_time_dependent_coefficients_and_rates():
    """Energies, rates and parts of jumps that depend on time, at time t: the same as a constant model."""
    chain = lattice.chain(2)

    def model(energy, rate, part, conjugate):
        hamiltonian = sx(0) * sy(1) + sz(1) * energy + sx(0) * energy + sp(1) * part + sm(1) * conjugate
        return Lindbladian(
            chain, hamiltonian, [(rate, sm(0)), (0.7, sm(1) + sp(0) * part), (0.4, sz(1)), (rate, sz(0) * part)]
        )

    moving = lindbladian_map(
        model(jnp.cos, lambda t: 1 + jnp.sin(t), lambda t: jnp.exp(2j * t), lambda t: jnp.exp(-2j * t))
    )
    assert len(moving.coefficients) > 1
    for t in (0.0, 0.8):
        fixed = model(float(np.cos(t)), float(1 + np.sin(t)), complex(np.exp(2j * t)), complex(np.exp(-2j * t)))
        expected = helpers.liouvillian(fixed)
        found = to_dense(moving.at_time(t))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_constant_map_is_its_own_map_at_a_time():
    assert helpers.generator().at_time(3.0) is helpers.generator()


@pytest.mark.parametrize(("sites", "dim"), [(1, 3), (2, 2), (3, 2), (2, 3)])
def test_tables_and_matrices(sites, dim):
    rho = helpers.random_matrix(np.random.default_rng(sites), dim**sites)
    table = to_table(rho, sites, dim)
    np.testing.assert_array_equal(table, rho[helpers.label_index(sites, dim)])
    np.testing.assert_array_equal(to_matrix(table, sites, dim), rho)
    np.testing.assert_array_equal(all_labels(sites, dim**2), helpers.configurations(sites, dim))


def test_superoperator_is_left_rho_right():
    rng = np.random.default_rng(2)
    left, rho, right = (helpers.random_matrix(rng, 9) for _ in range(3))
    found = superoperator(left, right, 2, 3) @ to_table(rho, 2, 3)
    np.testing.assert_allclose(found, to_table(left @ rho @ right, 2, 3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_row_groups_multiply_diagonal_configurations_from_the_left(dim):
    """At x = (l, l) the elements and labels (l', l) give (X rho)(l, l), for operators on one, two and all sites."""
    rng = np.random.default_rng(3)
    operators = [
        local(helpers.random_matrix(rng, dim), 0, local_dim=dim)
        + local(helpers.random_matrix(rng, dim**2), (2, 0), local_dim=dim),
        local(helpers.random_matrix(rng, dim**3), (1, 2, 0), local_dim=dim),
    ]
    rho = helpers.random_matrix(rng, dim**3)
    table = to_table(rho, 3, dim).reshape((dim**2,) * 3)
    found = np.zeros((2, dim**3), dtype=complex)
    for row, levels in enumerate(all_labels(3, dim)):
        x = levels * (dim + 1)
        for group in row_groups(operators):
            for n, (sites, local_index) in enumerate(zip(group.sites, group.local_index(levels, dim), strict=True)):
                found[:, row] += group.diagonal[:, n, local_index] * table[tuple(x)]
                for labels, element in zip(
                    group.labels[n, local_index], group.elements[:, n, local_index].T, strict=True
                ):
                    moved = x.copy()
                    moved[np.asarray(sites)] = labels
                    found[:, row] += np.asarray(element) * table[tuple(moved)]
    for row, operator in zip(found, operators, strict=True):
        np.testing.assert_allclose(row, np.diag(operator.to_sparse(3).toarray() @ rho), rtol=0, atol=1e-11)


def test_groups_name_each_connected_configuration_once():
    """Padding points back to the configuration with element 0; real connections are distinct and differ from it."""
    for group in helpers.generator(helpers.current_chain).groups:
        k = group.sites.shape[1]
        own = np.array(list(itertools.product(range(4), repeat=k)))
        for labels, elements in zip(np.asarray(group.labels), np.asarray(group.elements)[0], strict=True):
            for x, targets, values in zip(own, labels, elements, strict=True):
                real = np.any(targets != x, axis=1)
                assert np.all(values[~real] == 0)
                assert np.all(values[real] != 0)
                assert len({tuple(target) for target in targets[real]}) == np.sum(real)


def test_constants_in_operators():
    """H + 3 has the same Lindbladian as H; a jump sigma^- + 1/2 is another jump and another Hamiltonian."""
    model = helpers.driven_chain()
    jumps = [(1.0, sm(0) + 0.5), (0.7, sm(2) + 0.4j), (0.3, sz(1))]
    shifted = Lindbladian(model.lattice, model.hamiltonian + 3.0, jumps)
    rho = helpers.literal_table(helpers.network(0))
    found = apply(lindbladian_map(shifted), jnp.asarray(rho))[0]
    expected = helpers.liouvillian(Lindbladian(model.lattice, model.hamiltonian, jumps)) @ rho
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    assert not np.allclose(expected, helpers.liouvillian(model) @ rho)
