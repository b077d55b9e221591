"""Matrix-product density matrices against exact solutions, closed forms and QuTiP-free identities."""

from itertools import pairwise

import numpy as np
import pytest

import neurho as nr
from neurho import exact, matrix_product
from neurho._types import NeurhoError
from neurho.matrix_product import basis, generator, residual, splitting, state
from neurho.matrix_product.decompose import Cut, split
from neurho.model.operators import Lindbladian
from neurho.observables import Quantity, pauli_quantities

UP, DOWN, PLUS = np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), np.full((2, 2), 0.5)


def starts(matrix, sites):
    return np.broadcast_to(matrix, (sites, *np.shape(matrix)))


def last(records):
    *_, record = records
    return record


def exact_values(model, rho, quantities):
    return {
        q.name: np.array([exact.expectation(rho, x, model.sites).real for x in q.operators])
        for q in quantities
        if not q.average
    }


def compare(record, expected, atol):
    for name, values in expected.items():
        np.testing.assert_allclose(record.observables[name].mean, values, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_basis_is_orthonormal_hermitian_and_sorted_by_parity(dim):
    b = basis.hermitian_basis(dim)
    np.testing.assert_allclose(np.einsum("aij,bji->ab", b, b), np.eye(dim**2), atol=1e-14)
    np.testing.assert_allclose(b, b.conj().transpose(0, 2, 1), atol=0)
    parities = basis.parities(dim)
    assert np.all(np.diff(parities) >= 0)
    assert parities.sum() == 2 * sum((m - l) % 2 for l in range(dim) for m in range(l + 1, dim))


def test_superoperators_act_as_the_generator():
    rng = np.random.default_rng(1)
    h, c, rho = rng.normal(size=(3, 6, 6)) + 1j * rng.normal(size=(3, 6, 6))
    h, rho = h + h.conj().T, rho + rho.conj().T
    # two sites of dimension 6 would be large: one site is enough for the algebra
    x = basis.coefficients(rho, 6, 1)
    want = -1j * (h @ rho - rho @ h)
    np.testing.assert_allclose(basis.commutator(h, 6, 1) @ x, basis.coefficients(want, 6, 1), atol=1e-11)
    loss = c.conj().T @ c
    want = c @ rho @ c.conj().T - (loss @ rho + rho @ loss) / 2
    np.testing.assert_allclose(basis.dissipator(c, 6, 1) @ x, basis.coefficients(want, 6, 1), atol=1e-11)


@pytest.mark.parametrize("parity", [False, True])
def test_split_is_the_truncated_singular_value_decomposition(parity):
    """Full and guessed decompositions keep what NumPy's singular values say, to the accuracy of the guess."""
    rng = np.random.default_rng(2)
    rows, columns = (rng.integers(0, 2, 160) if parity else np.zeros(160, dtype=int) for _ in range(2))
    matrix = np.zeros((160, 160))
    for value in (0, 1):
        i, j = np.flatnonzero(rows == value), np.flatnonzero(columns == value)
        u, v = (np.linalg.qr(rng.normal(size=(len(k), len(k))))[0] for k in (i, j))
        count = min(len(i), len(j))
        matrix[np.ix_(i, j)] = u[:, :count] * 10.0 ** -np.linspace(0, 12, count) @ v[:count]
    values = np.linalg.svd(matrix, compute_uv=False)
    for before in (np.zeros(160, dtype=int), rng.integers(0, 2, 30) if parity else np.zeros(30, dtype=int)):
        parts = split(matrix, rows, columns, before, Cut(bond=20, cutoff=1e-20))
        np.testing.assert_allclose(np.sort(parts.values)[::-1], values[:20], rtol=1e-3)
        lost = np.linalg.norm(matrix - parts.a * parts.values @ parts.b) / np.linalg.norm(matrix)
        assert lost <= 1.001 * np.linalg.norm(values[20:]) / np.linalg.norm(values)
        np.testing.assert_allclose(parts.weight, lost**2, rtol=1e-2, atol=1e-15)
        np.testing.assert_allclose(parts.a.T @ parts.a, np.eye(20), atol=1e-12)
        assert parts.full
    small = split(matrix, rows, columns, np.zeros(160, dtype=int), Cut(bond=160, cutoff=1e-6))
    assert len(small.values) == np.sum(np.cumsum(values[::-1] ** 2)[::-1] >= 1e-6 * np.sum(values**2))


def test_fig2_couplings_on_an_open_chain():
    """B = 1, J = (2, 0, 1), decay 1, four sites, from |+x>: the values that exact evolution gives."""
    lattice = nr.chain(4)
    model = nr.heisenberg(lattice, field=(0, 0, 1), coupling=(2, 0, 1))
    quantities = pauli_quantities(lattice, correlations=True)
    (rho,) = list(exact.evolve(model, exact.product_state((1, 0, 0), 4), [0, 1]))[1:]
    record = last(matrix_product.evolve(model, starts(PLUS, 4), [0, 1], quantities=quantities))
    expected = exact_values(model, rho, quantities)
    compare(record, expected, 2e-6)
    bloch = np.stack([record.observables[f"s{a}_site"].mean for a in "xyz"], axis=1)
    np.testing.assert_allclose(bloch[0], (-0.166155, 0.064219, -0.212676), atol=2e-6)
    np.testing.assert_allclose(bloch[1], (-0.209093, 0.167258, -0.207950), atol=2e-6)
    for name, values in expected.items():
        estimate = record.observables[name]
        assert np.all(np.abs(estimate.mean - values) <= estimate.error + 1e-9)
        assert np.all(estimate.error < 1e-4)
    np.testing.assert_allclose(record.observables["purity"].mean, exact.purity(rho), atol=1e-5)
    assert record.message == ""


def test_step_error_is_of_fourth_order():
    model = nr.heisenberg(nr.chain(3), field=(0.3, 0, 1), coupling=(2, 0.5, 1))
    quantities = [Quantity("sz", (nr.sz(0), nr.sz(1)))]
    (rho,) = list(exact.evolve(model, exact.product_state((1, 0, 0), 3), [0, 1]))[1:]
    errors = []
    for step in (0.2, 0.1, 0.05):
        run = matrix_product.evolve(model, starts(PLUS, 3), [0, 1], quantities=quantities, step=step, cutoff=0.0)
        errors.append(np.abs(last(run).observables["sz"].mean - exact_values(model, rho, quantities)["sz"]).max())
    for coarse, fine in pairwise(errors):
        assert 3.5 < np.log2(coarse / fine) < 4.7


@pytest.mark.parametrize("parity", [True, False])
def test_pulses_and_rates_in_time(parity):
    """A driven chain with parity conserved or not, per-site and per-bond values, and a rate that moves."""
    lattice = nr.chain(4)
    pulses = {"coupling_x": nr.pulses.sine(1.0, frequency=3.0, offset=0.4), "decay": nr.pulses.ramp(0.2, 1.4, end=0.7)}
    field = np.zeros((4, 3))
    field[:, 2] = (0.5, 1.0, -0.4, 0.2)
    field[2, 0] = 0 if parity else 0.7
    model = nr.heisenberg(lattice, field=field, coupling=[(2, 0.3, 1), (1, 0, 0.5), (0.2, 1, -1)], pulses=pulses)
    flip = nr.local(np.array([[0, 1], [1, 0]]), 1) @ nr.sz(2) * (lambda t: np.exp(1j * t))
    if not parity:
        model = Lindbladian(lattice, model.hamiltonian, [*model.jumps, (0.3, nr.sm(1) * (lambda t: 1 + t) + flip)])
    quantities = pauli_quantities(lattice, correlations=True)
    (rho,) = list(exact.evolve(model, exact.product_state((0, 0, 1), 4), [0, 1], tolerance=1e-10))[1:]
    record = last(matrix_product.evolve(model, starts(UP, 4), [0, 0.35, 1], quantities=quantities, step=0.05))
    compare(record, exact_values(model, rho, quantities), 1e-6)
    assert generator.line_generator(model).keeps_parity() == parity


@pytest.mark.parametrize("lattice", [nr.square(2, 3), nr.square(3, 2), nr.from_edges([(0, 2), (1, 3), (0, 1), (2, 4)])])
def test_strips_and_short_range(lattice):
    """Terms that are not nearest neighbours on the line, with a jump on two sites in descending order."""
    model = nr.heisenberg(lattice, field=(0.2, 0, 0.5), coupling=(1, 0.4, 0.7), decay=0.8)
    i, j = (int(s) for s in lattice.bonds[-1])
    model = Lindbladian(lattice, model.hamiltonian, [*model.jumps, (0.5, nr.sm(j) @ nr.sp(i))])
    sites = lattice.sites
    tilted = np.array([np.diag([1 - p, p]) for p in np.linspace(0, 1, sites)])
    (rho,) = list(exact.evolve(model, _kron(tilted), [0, 0.5]))[1:]
    quantities = pauli_quantities(lattice, correlations=True)
    record = last(
        matrix_product.evolve(model, tilted, [0, 0.5], quantities=quantities, step=0.05, cutoff=1e-16, bond=128)
    )
    compare(record, exact_values(model, rho, quantities), 2e-6)


def _kron(matrices):
    out = np.ones((1, 1))
    for matrix in matrices:
        out = np.kron(out, matrix)
    return out


def test_three_levels():
    lattice = nr.chain(3)
    terms = [nr.spin(j, a, 3) @ nr.spin(j + 1, a, 3) * (1 + 0.3 * a) for j in range(2) for a in range(3)]
    model = Lindbladian(lattice, nr.total(terms), [(0.6, nr.destroy(j, 3)) for j in range(3)])
    start = np.array([np.diag([0.2, 0.3, 0.5]), np.diag([1.0, 0, 0]), np.full((3, 3), 1 / 3)])
    (rho,) = list(exact.evolve(model, _kron(start), [0, 0.7]))[1:]
    operators = [nr.spin(j, a, 3) @ nr.spin(i, b, 3) for i, j in ((0, 1), (0, 2)) for a, b in ((0, 0), (2, 1))]
    operators = tuple(0.5 * (x + x.adjoint()) for x in operators)
    quantities = [Quantity("ss", operators)]
    record = last(matrix_product.evolve(model, start, [0, 0.7], quantities=quantities, step=0.05, cutoff=1e-16))
    compare(record, exact_values(model, rho, quantities), 1e-6)


def _triple(dim, first=0):
    """A Hermitian term without symmetry on three neighbouring sites."""
    matrix = np.random.default_rng(first).normal(size=(dim**3, dim**3))
    return nr.local(matrix + matrix.T, (first, first + 1, first + 2), local_dim=dim) / dim**1.5


def three_site_model(sites, *, driven, spread):
    """Cluster terms with parity, pairs, and a jump on three sites; places side by side or (`spread`) not."""
    lattice = nr.chain(sites)
    triples = [(j, j + 1, j + 2) for j in range(sites - 2)]
    if spread:
        triples = [(0, 1, 3), (3, 2, 0)]
    couplings = nr.total(nr.sx(i) @ nr.sz(j) @ nr.sx(k) for i, j, k in triples)
    couplings = couplings * (lambda t: np.cos(2 * t)) if driven else couplings
    pairs = nr.total(0.4 * (nr.sx(j) @ nr.sx(j + 1)) + 0.3 * nr.sz(j) for j in range(sites - 1))
    i, j, k = triples[-1]
    jumps = [(0.7, nr.sm(j)) for j in range(sites)] + [(0.8, nr.sm(i) @ nr.sz(j) @ nr.sp(k))]
    return Lindbladian(lattice, couplings + pairs, jumps)


@pytest.mark.parametrize(("sites", "driven", "spread"), [(5, False, False), (4, True, False), (4, False, True)])
def test_terms_on_three_sites(sites, driven, spread):
    """Against exact evolution; errors cover the differences, and the state keeps parity."""
    model = three_site_model(sites, driven=driven, spread=spread)
    quantities = pauli_quantities(model.lattice, correlations=True)
    (rho,) = list(exact.evolve(model, exact.product_state((0, 0, 1), sites), [0, 0.6], tolerance=1e-10))[1:]
    run = matrix_product.evolve(
        model, starts(UP, sites), [0, 0.6], quantities=quantities, bond=256, step=0.05, cutoff=1e-16
    )
    record, expected = last(run), exact_values(model, rho, quantities)
    compare(record, expected, 1e-6)
    for name, values in expected.items():
        estimate = record.observables[name]
        assert np.all(np.abs(estimate.mean - values) <= 2 * np.asarray(estimate.error) + 1e-9)
    assert generator.line_generator(model).keeps_parity()


def test_steps_of_three_sites_are_of_fourth_order():
    model = Lindbladian(nr.chain(4), _triple(2, 0) + _triple(2, 1) + nr.sx(0), [(1.0, nr.sm(j)) for j in range(4)])
    quantities = [Quantity("sz", (nr.sz(0), nr.sz(1)))]
    (rho,) = list(exact.evolve(model, exact.product_state((1, 0, 0), 4), [0, 1]))[1:]
    errors = []
    for step in (0.25, 0.125):
        run = matrix_product.evolve(
            model, starts(PLUS, 4), [0, 1], quantities=quantities, step=step, cutoff=0.0, bond=256
        )
        errors.append(np.abs(last(run).observables["sz"].mean - exact_values(model, rho, quantities)["sz"]).max())
    assert 3.5 < np.log2(errors[0] / errors[1]) < 4.7


def test_terms_on_three_sites_of_three_levels():
    """With parity not conserved, and a jump on all three."""
    flip = nr.destroy(0, 3) @ nr.destroy(1, 3).adjoint() @ nr.destroy(2, 3)
    model = Lindbladian(nr.chain(3), _triple(3), [(0.6, nr.destroy(0, 3)), (0.3, flip)])
    start = np.array([np.diag([0.2, 0.3, 0.5]), np.diag([1.0, 0, 0]), np.full((3, 3), 1 / 3)])
    (rho,) = list(exact.evolve(model, _kron(start), [0, 0.1], tolerance=1e-12))[1:]
    quantities = [Quantity("n", tuple(nr.destroy(j, 3).adjoint() @ nr.destroy(j, 3) for j in range(3)))]
    record = last(matrix_product.evolve(model, start, [0, 0.1], quantities=quantities, step=0.1, bond=81, cutoff=0.0))
    compare(record, exact_values(model, rho, quantities), 1e-9)


def test_stationary_state_and_residual_with_terms_on_three_sites():
    model = three_site_model(4, driven=False, spread=False)
    quantities = pauli_quantities(model.lattice)
    expected = exact_values(model, exact.stationary_state(model).rho, quantities)
    record = last(matrix_product.stationary_state(model, quantities=quantities, bond=16, step=0.3, tolerance=1e-4))
    for name, values in expected.items():
        estimate = record.observables[name]
        assert np.all(np.abs(estimate.mean - values) <= np.asarray(estimate.error) + 1e-9)
        np.testing.assert_allclose(estimate.mean, values, rtol=0, atol=1e-3)
    assert record.diagnostics["lindblad_norm2"] < 1e-6


def test_boundary_driven_chain():
    """H = sum XX + YY with pump at one end and loss at the other (closed form for N = 4): <Z> = (1, 0, 0, -1)/17 and
    the current 2 <XY - YX> = 16/17 on every bond.
    """
    lattice = nr.chain(4)
    rates = {"pump": (1, 0, 0, 0), "decay": (0, 0, 0, 1)}
    model = nr.heisenberg(lattice, coupling=(1, 1, 0), **rates)
    currents = tuple(2 * (nr.sx(j) @ nr.sy(j + 1) - nr.sy(j) @ nr.sx(j + 1)) for j in range(3))
    quantities = [Quantity("sz", tuple(nr.sz(j) for j in range(4))), Quantity("current", currents)]
    record = last(matrix_product.stationary_state(model, quantities=quantities, tolerance=1e-7))
    assert record.converged
    want = {"sz": np.array([1, 0, 0, -1]) / 17, "current": np.full(3, 16 / 17)}
    compare(record, want, 2e-6)
    for name, values in want.items():
        assert np.all(np.abs(record.observables[name].mean - values) <= record.observables[name].error)
    assert record.diagnostics["lindblad_norm2"] < 1e-8


def test_residual_is_that_of_the_dense_generator():
    models = [nr.heisenberg(g, field=(0.1, 0.2, 0.5), coupling=(1, 0.3, 0.5)) for g in (nr.chain(5), nr.square(2, 3))]
    for model in (*models, three_site_model(4, driven=False, spread=True)):
        lattice = model.lattice
        line = generator.line_generator(model)
        matrices = np.array([(np.eye(2) + r * np.array([[0.3, 0.5], [0.5, -0.3]])) / 2 for r in range(lattice.sites)])
        # a state that is no product: one step of the splitting
        moved = state.product_state(matrices, parity=False)
        for gates in splitting.Splitting(line).gates(0.0, 0.1):
            moved = state.apply(moved, gates, Cut(bond=64, cutoff=0.0))
        rho = dense(moved, line)
        want = np.linalg.norm(exact.ExactLindbladian(model).apply(rho)) / np.linalg.norm(rho)
        np.testing.assert_allclose(residual.residual(moved, line), want, rtol=1e-10)


def dense(moved, line):
    """The density matrix of a state, sites in the order of the lattice."""
    x = np.ones((1, 1))
    for tensor in moved.tensors:
        x = np.tensordot(x, tensor, 1).reshape(-1, tensor.shape[2])
    n, b = line.sites, basis.hermitian_basis(line.dim)
    rho = x.reshape((line.dim**2,) * n)
    for _ in range(n):
        rho = np.tensordot(rho, b, (0, 0))
    order = np.argsort(line.order)
    return rho.transpose([*(2 * order), *(2 * order + 1)]).reshape(line.dim**n, -1)


def test_a_run_that_stops_and_goes_on_is_the_same_to_the_last_bit():
    model = nr.heisenberg(nr.chain(4), field=(0, 0, 1), coupling=(2, 0, 1))
    times = [0, 0.3, 0.5, 1.1]
    whole = list(matrix_product.evolve(model, starts(UP, 4), times, bond=8))
    again = list(matrix_product.evolve(model, whole[1].state, times[1:], bond=8, step=whole[1].diagnostics["dt"]))
    same(whole[-1], again[-1])
    assert "outgrows bond = 8" in whole[-1].message
    assert whole[-1].message == again[-1].message
    search = list(matrix_product.stationary_state(model, bond=12, tolerance=1e-2))
    ends = [k for k, (a, b) in enumerate(pairwise(search)) if a.diagnostics["dt"] != b.diagnostics["dt"]]
    for last_seen in (len(search) // 2, ends[-1], len(search) - 1):
        rest = list(matrix_product.stationary_state(model, bond=12, tolerance=1e-2, initial=search[last_seen].state))
        assert len(rest) == len(search) - last_seen - 1
        if rest:
            same(search[-1], rest[-1])


def same(a, b):
    for name in a.state:
        np.testing.assert_array_equal(a.state[name], b.state[name], err_msg=name)
    for name, estimate in a.observables.items():
        np.testing.assert_array_equal(estimate.mean, b.observables[name].mean)
        np.testing.assert_array_equal(estimate.error, b.observables[name].error)


def test_a_bond_that_is_too_small_says_when_and_by_how_much():
    lattice = nr.chain(6)
    model = nr.heisenberg(lattice, field=(0, 0, 1), coupling=(2, 0, 1))
    quantities = [Quantity("sz", tuple(nr.sz(j) for j in range(6)))]
    records = list(matrix_product.evolve(model, starts(UP, 6), np.linspace(0, 1, 6), quantities=quantities, bond=8))
    states = exact.evolve(model, exact.product_state((0, 0, 1), 6), np.linspace(0, 1, 6))
    wrong = [
        np.abs(r.observables["sz"].mean - exact_values(model, rho, quantities)["sz"])
        for r, rho in zip(records, states, strict=True)
    ]
    assert records[0].message == ""
    assert "From t = " in records[-1].message
    assert wrong[-1].max() > 1e-4
    assert wrong[-1].max() < 3 * records[-1].observables["sz"].error.max()


def test_errors_cover_what_cutting_costs():
    """Half the bonds that six sites need: of all means at all times few are off by more than twice their error."""
    lattice, times = nr.chain(6), np.linspace(0, 1, 6)
    model = nr.heisenberg(lattice, field=(0, 0, 1), coupling=(2, 0, 1))
    quantities = pauli_quantities(lattice, correlations=True)
    states = list(exact.evolve(model, exact.product_state((0, 0, 1), 6), times))
    ratios = []
    for record, rho in zip(
        matrix_product.evolve(model, starts(UP, 6), times, quantities=quantities, bond=32), states, strict=True
    ):
        for name, values in exact_values(model, rho, quantities).items():
            mean, error = record.observables[name]
            off = np.abs(mean - values)
            ratios += list((off / np.asarray(error))[off > 1e-9])
    assert len(ratios) > 100
    assert np.mean(np.array(ratios) > 1) < 0.32
    assert np.mean(np.array(ratios) > 2) < 0.05
    assert np.median(ratios) > 0.01  # and are not large without need


def test_what_does_not_fit_is_refused_with_a_sentence():
    uniform = starts(UP, 4)
    cases = [
        (nr.heisenberg(nr.chain(4, periodic=True), coupling=(1, 0, 0)), uniform, {}, "periodic"),
        (nr.heisenberg(nr.square(5, 5), coupling=(1, 0, 0)), starts(UP, 25), {}, "4 sites wide"),
        (nr.heisenberg(nr.chain(1), field=(1, 0, 0)), starts(UP, 1), {}, "at least two sites"),
        (
            nr.heisenberg(nr.from_edges([(0, 9), (1, 2)], sites=10), coupling=(1, 0, 0)),
            starts(UP, 10),
            {},
            "9 places apart",
        ),
        (Lindbladian(nr.chain(4), nr.sx(0) @ nr.sx(1) @ nr.sx(2) @ nr.sx(3)), uniform, {}, "at most three sites"),
        (Lindbladian(nr.chain(4), _triple(4)), starts(np.eye(4) / 4, 4), {}, "at most two sites of 4 levels"),
        (nr.heisenberg(nr.chain(4)), np.eye(16) / 16, {}, "one density matrix for each site"),
        (nr.heisenberg(nr.chain(4)), 2 * uniform, {}, "trace 1"),
        (nr.heisenberg(nr.chain(4)), uniform, {"bond": 1}, "whole number >= 2"),
        (nr.heisenberg(nr.chain(4)), uniform, {"step": 0.0}, "be > 0"),
    ]
    for model, start, settings, sentence in cases:
        with pytest.raises(NeurhoError, match=sentence):
            matrix_product.evolve(model, start, [0, 1], **settings)
    closed = nr.heisenberg(nr.chain(4), coupling=(1, 0, 0), decay=0.0)
    with pytest.raises(NeurhoError, match="jump operator with a positive rate"):
        matrix_product.stationary_state(closed)
    driven = nr.heisenberg(
        nr.chain(4), coupling=(1, 0, 0), pulses={"decay": nr.pulses.sine(0.1, frequency=1, offset=1)}
    )
    with pytest.raises(NeurhoError, match="not depend on time"):
        matrix_product.stationary_state(driven)
