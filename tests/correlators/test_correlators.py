"""Hierarchies of correlators against dense matrices, closed forms and exact runs."""

import json
from math import comb

import numpy as np
import pytest

import neurho
from neurho import correlators as co
from neurho import exact
from neurho._types import NeurhoError
from neurho.config import loads
from neurho.run.problem import build

TORUS = """
[lattice]
kind = "square"
shape = [2, 3]
periodic = true
[model]
kind = "xyz"
coupling = [0.9, 1.2, 1.0]
[task]
kind = "stationary"
method = "correlators"
[observables]
structure = true
"""
QUENCH = TORUS.replace(
    'kind = "stationary"\nmethod = "correlators"', 'kind = "evolve"\nmethod = "correlators"\nt = 1.0\npoints = 6'
).replace("[task]", '[initial]\nkind = "product"\nbloch = [0.0, 0.0, 1.0]\n[task]')


def random_model(dim, sites, seed):
    """A Lindbladian with random two-site and one-site terms and jumps."""
    rng = np.random.default_rng(seed)

    def matrix(size):
        return rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))

    def local(size, places):
        a = matrix(size)
        return neurho.local(a + a.conj().T, places, local_dim=dim)

    pairs = [(0, 1), (1, 2), (0, 2)]
    hamiltonian = sum((local(dim**2, p) for p in pairs[1:]), local(dim**2, pairs[0]))
    hamiltonian = sum((local(dim, j) for j in range(sites)), hamiltonian)
    jumps = [(0.3, neurho.local(matrix(dim**2), p, local_dim=dim)) for p in pairs]
    jumps += [(0.5, neurho.local(matrix(dim), j, local_dim=dim)) for j in range(sites)]
    return neurho.Lindbladian(neurho.chain(sites), hamiltonian, jumps)


def random_state(size, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    rho = a @ a.conj().T
    return rho / np.trace(rho)


def whole(model, *, central, moves=None):
    """The hierarchy of all strings."""
    terms = co.string_terms(model)
    sites = model.sites
    symmetry = co.Symmetry(np.arange(sites)[None] if moves is None else moves, terms.letters)
    parts = [co.all_strings(symmetry, weight) for weight in range(1, sites + 1)]
    return co.build_hierarchy(terms, symmetry, parts, central=central)


def central_moments(c):
    """Central moments about its own means of all correlators `(q,) * sites`, and the means."""
    sites, letters = c.ndim, c.shape[0]
    means = np.array(
        [[c[tuple(a if k == j else 0 for k in range(sites))] for a in range(letters)] for j in range(sites)]
    )
    means[:, 0] = 0
    for j in range(sites):
        shift = np.eye(letters)
        shift[1:, 0] = -means[j, 1:]
        c = np.moveaxis(np.tensordot(shift, c, axes=([1], [j])), 0, j)
    return c, means


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_letters_are_orthogonal_and_hermitian(dim):
    b = co.letters(dim)
    np.testing.assert_allclose(np.einsum("aij,bji->ab", b, b), dim * np.eye(dim**2), atol=1e-14)
    np.testing.assert_allclose(b, np.conj(np.swapaxes(b, 1, 2)), atol=0)
    np.testing.assert_array_equal(b[0], np.eye(dim))


def test_letters_of_a_spin_are_pauli_matrices():
    for number, pauli in enumerate((neurho.sx, neurho.sy, neurho.sz), start=1):
        np.testing.assert_allclose(co.letters(2)[number], pauli(0).terms[0].matrix)


@pytest.mark.parametrize(("dim", "sites"), [(2, 4), (3, 3)])
def test_equations_are_those_of_the_dense_superoperator(dim, sites):
    model, rho = random_model(dim, sites, 1), random_state(dim**sites, 2)
    c = co.to_correlators(rho, sites)
    moved = co.to_correlators(exact.ExactLindbladian(model).apply(rho, 0.0), sites)
    h = whole(model, central=True)
    assert h.size == dim ** (2 * sites)
    index = tuple(h.strings.dense(sites).T)
    np.testing.assert_allclose(h.rate(0.0, c[index], None)[0], moved[index], atol=1e-12 * np.abs(moved).max())


def test_central_moments_move_with_their_means():
    model, rho = random_model(2, 3, 3), random_state(8, 4)
    c = co.to_correlators(rho, 3)
    moved = co.to_correlators(exact.ExactLindbladian(model).apply(rho, 0.0), 3)
    h = whole(model, central=True)
    index = tuple(h.strings.dense(3).T)
    own, means = central_moments(c)
    rate, change = h.rate(0.0, own[index], means)
    step = 1e-5
    numeric = (central_moments(c + step * moved)[0] - central_moments(c - step * moved)[0]) / (2 * step)
    np.testing.assert_allclose(rate, numeric[index], atol=1e-7)
    singles = moved[[1, 2, 3], 0, 0]
    np.testing.assert_allclose(change[0, 1:], singles, atol=1e-12)


def test_representatives_stand_for_their_orbits():
    lattice = neurho.square(2, 3, periodic=True)
    model = neurho.xyz(lattice, coupling=(0.9, 1.2, 1.0))
    terms = co.string_terms(model)
    moves = co.invariant_moves(terms, lattice.symmetries)
    assert len(moves) == len(lattice.symmetries)
    rho = exact.product_state((0.3, -0.2, 0.5), 6)
    # a state that has the symmetries and is no product: move the product in time
    rho = (
        exact.evolve(model, rho, [0.0, 0.4])[-1]
        if isinstance(rho, list)
        else list(exact.evolve(model, rho, [0.0, 0.4]))[-1]
    )
    c = co.to_correlators(rho, 6)
    symmetry = co.Symmetry(moves, 4)
    parts = [co.all_strings(symmetry, weight) for weight in range(1, 7)]
    h = co.build_hierarchy(terms, symmetry, parts, central=False)
    assert h.size < 4**6 / len(np.unique(moves, axis=0)) * 2
    index = tuple(h.strings.dense(6).T)
    moved = co.to_correlators(exact.ExactLindbladian(model).apply(rho, 0.0), 6)
    np.testing.assert_allclose(h.rate(0.0, c[index], None)[0], moved[index], atol=1e-9)


def test_directed_terms_keep_translations_and_lose_reflections():
    lattice = neurho.chain(4, periodic=True)
    bonds = [(int(a), int(b)) for a, b in lattice.bonds]
    twist = sum((neurho.sx(a) @ neurho.sy(b) for a, b in bonds[1:]), neurho.sx(bonds[0][0]) @ neurho.sy(bonds[0][1]))
    model = neurho.Lindbladian(lattice, twist, [(1.0, neurho.sm(j)) for j in range(4)])
    kept = co.invariant_moves(co.string_terms(model), lattice.symmetries)
    assert len(np.unique(kept, axis=0)) == 4


def test_parity_is_found_and_lost_by_a_start_outside():
    model = neurho.xyz(neurho.chain(3), coupling=(0.9, 1.2, 1.0))
    terms = co.string_terms(model)
    np.testing.assert_array_equal(co.sector_signs(terms, 2), [[0, 1, 1, 0]])
    plus = co.product_letters(np.full((3, 2, 2), 0.5))
    assert len(co.sector_signs(terms, 2, plus)) == 0


def test_operators_are_sums_of_strings():
    rho = random_state(8, 5)
    operator = neurho.sp(0) @ neurho.sm(2) + neurho.sm(0) @ neurho.sp(2) + 0.3 * neurho.sz(1)
    c = co.to_correlators(rho, 3)
    total = 0.0
    for sites, word, value in co.operator_strings(operator):
        letters = [0, 0, 0]
        for j, a in zip(sites, word, strict=True):
            letters[j] = a
        total += value * c[tuple(letters)]
    assert total == pytest.approx(exact.expectation(rho, operator, 3).real, abs=1e-12)


def run(text, **changes):
    for old, new in changes.items():
        text = text.replace("[task]", f"[task]\n{old} = {new}")
    return list(build(loads(text, "torus")).snapshots())


def exact_values(text):
    return {
        name: value.mean
        for name, value in list(build(loads(text.replace("correlators", "exact"), "torus")).snapshots())[
            -1
        ].observables.items()
    }


@pytest.mark.parametrize("text", [TORUS, QUENCH])
def test_without_a_cut_it_is_exact(text):
    last, truth = run(text)[-1], exact_values(text)
    for name, estimate in last.observables.items():
        np.testing.assert_allclose(estimate.mean, truth[name], atol=2e-6, err_msg=name)
    assert last.diagnostics["smallest_eigenvalue"] > 0


@pytest.mark.parametrize(("text", "weight"), [(TORUS, 4), (TORUS, 5), (QUENCH, 4), (QUENCH, 5)])
def test_error_bars_of_cuts_cover_the_truth(text, weight):
    last, truth = run(text, weight=weight)[-1], exact_values(text)
    assert last.diagnostics["weight"] == weight
    names = [n for n in last.observables if not n.endswith("_site") and not n.endswith("_bond")]
    off = {n: float(abs(last.observables[n].mean - truth[n]) - last.observables[n].error) for n in names}
    assert max(off.values()) <= 0, off
    worst = max(float(np.max(np.abs(e.mean - truth[n]))) for n, e in last.observables.items() if n != "energy")
    assert 1e-6 < worst < 0.2  # a cut is seen, and is not the end of the world


def test_a_search_ends_at_its_goal():
    rows = run(TORUS, goal=0.5)
    assert rows[-1].converged
    assert rows[-1].diagnostics["weight"] < 6


def test_nearly_pure_states_are_closed_about_their_own_means():
    text = TORUS.replace("[0.9, 1.2, 1.0]", "[0.9, 1.0, 1.0]")
    last, truth = run(text, weight=3)[-1], exact_values(text)
    assert last.diagnostics["central"] == 1
    assert float(last.observables["sz"].mean) == pytest.approx(float(truth["sz"]), abs=5e-4)
    plain = build(loads(text.replace("[task]", "[task]\nweight = 3"), "torus")).driver.picture
    member = plain.member(plain.rungs[-1], central=False)
    about_zero = co.raw_means(member.hierarchy, co.stationary_state(member.hierarchy, None))[:, 3].mean()
    assert abs(about_zero - truth["sz"]) > 1e-3  # so that the reference matters here


@pytest.mark.parametrize("text", [TORUS, QUENCH])
def test_a_run_goes_on_with_the_same_numbers(text):
    problem = build(loads(text.replace("[task]", "[task]\nweight = 4"), "torus"))
    rows = list(problem.snapshots())
    again = list(build(loads(text.replace("[task]", "[task]\nweight = 4"), "torus")).snapshots(rows[1].state))
    assert [r.step for r in again] == [r.step for r in rows[2:]]
    for one, other in zip(again, rows[2:], strict=True):
        for name in one.observables:
            np.testing.assert_array_equal(one.observables[name].mean, other.observables[name].mean)
            np.testing.assert_array_equal(one.observables[name].error, other.observables[name].error)


def test_pulses_move_it():
    text = """
    [lattice]
    kind = "chain"
    shape = [3]
    [model]
    kind = "custom"
    [[model.hamiltonian]]
    operator = "(1 + sin(3*t))*sx(i)"
    on = "sites"
    [[model.hamiltonian]]
    operator = "0.7*sz(i)*sz(j)"
    on = "bonds"
    [[model.jumps]]
    operator = "sm(i)"
    rate = "0.5 + 0.2*t"
    on = "sites"
    [initial]
    kind = "product"
    bloch = [0.0, 0.0, -1.0]
    [task]
    kind = "evolve"
    method = "correlators"
    t = 0.4
    points = 2
    """
    last, truth = run(text)[-1], exact_values(text)
    for name in ("sx", "sy", "sz", "szsz"):
        assert float(last.observables[name].mean) == pytest.approx(float(truth[name]), abs=1e-6)


def test_three_levels():
    text = """
    [lattice]
    kind = "chain"
    shape = [3]
    [model]
    kind = "custom"
    local_dim = 3
    [[model.hamiltonian]]
    operator = "ad(i)*a(j) + ad(j)*a(i)"
    on = "bonds"
    [[model.hamiltonian]]
    operator = "0.5*(a(i) + ad(i)) + 0.8*n(i)*n(i)"
    on = "sites"
    [[model.jumps]]
    operator = "a(i)"
    rate = 1.0
    on = "sites"
    [task]
    kind = "stationary"
    method = "correlators"
    [observables.on_sites]
    n = "n(i)"
    """
    last, truth = run(text)[-1], exact_values(text)
    assert float(last.observables["n"].mean) == pytest.approx(float(truth["n"]), abs=1e-5)


@pytest.mark.parametrize("text", [TORUS, QUENCH])
def test_purity_is_a_sum_over_all_strings(text):
    text = text.replace("structure = true", "purity = true")
    last, truth = run(text)[-1], exact_values(text)
    for name in ("purity", "renyi2"):
        assert float(last.observables[name].mean) == pytest.approx(float(truth[name]), abs=2e-6)
    assert float(truth["purity"]) < 0.9


def test_purity_is_refused_where_strings_are_missing():
    with pytest.raises(NeurhoError, match=r"observables.purity.*at most 4 of 6 sites"):
        run(TORUS.replace("structure = true", "purity = true"), weight=4)


def test_orbits_add_up_to_all_strings():
    lattice = neurho.square(2, 3, periodic=True)
    symmetry = co.Symmetry(lattice.symmetries, 4)
    for weight in range(1, 5):
        orbits = symmetry.orbits(co.all_strings(symmetry, weight))
        assert orbits.sum() == comb(6, weight) * 3**weight


def test_sizes_are_said_before(tmp_path):
    problem = build(loads(TORUS, "torus"))
    facts = problem.describe()
    assert facts["strings"] == problem.driver.picture.rungs[-1].size
    assert facts["weight"] == 6
    json.dumps(facts)


@pytest.mark.parametrize("lattice", [neurho.square(2, 3, periodic=True), neurho.chain(5, periodic=True)])
@pytest.mark.parametrize("signs", [None, [[0, 1, 1, 0]], [[0, 1, 1, 0], [0, 0, 1, 1]]])
def test_strings_are_counted_without_making_them(lattice, signs):
    symmetry = co.Symmetry(lattice.symmetries, 4, signs)
    made = [co.all_strings(symmetry, weight).size for weight in range(1, 6)]
    np.testing.assert_array_equal(co.string_counts(symmetry, 5), [1, *made])


@pytest.mark.parametrize("text", [TORUS, QUENCH])
@pytest.mark.parametrize("weight", [1, 2])
def test_one_set_of_strings_has_no_error_bar(text, weight):
    rows = run(text, weight=weight)
    assert np.all(np.isinf(rows[-1].observables["sz"].error))
    assert "without a second cut" in rows[0].message
    assert rows[-1].diagnostics["error_estimate"] == 1.0  # finite, as what is recorded must be, and "do not use"
    assert not rows[-1].converged
    assert np.isfinite(rows[-1].observables["sz"].mean)


@pytest.mark.parametrize("task", ["stationary", "evolve"])
def test_collective_jumps_of_many_sites_are_one_sentence(task):
    text = f"""
    [lattice]
    kind = "chain"
    shape = [6]
    [model]
    kind = "custom"
    jumps = [{{ on = "once", operator = "{" + ".join(f"sm({j})" for j in range(6))}", rate = 1.0 }}]
    [initial]
    bloch = "up"
    [task]
    kind = "{task}"
    method = "correlators"
    {"t = 1.0" * (task == "evolve")}
    """
    with pytest.raises(NeurhoError, match=r"networks and correlators.*it acts collectively on 6 sites"):
        build(loads(text, "collective"))


def test_collective_jumps_of_a_few_sites_are_terms_like_others():
    jumps = 'jumps = [{ on = "once", operator = "sm(0) + sm(1) + sm(2)", rate = 1.0 }]'
    text = QUENCH.replace("shape = [2, 3]\nperiodic = true", "shape = [1, 3]").replace(
        "coupling = [0.9, 1.2, 1.0]", jumps
    )
    text = text.replace('kind = "xyz"', 'kind = "custom"')
    last, truth = run(text)[-1], exact_values(text)
    assert float(last.observables["szsz"].mean) == pytest.approx(float(truth["szsz"]), abs=2e-6)
    assert abs(truth["szsz"] - truth["sz"] ** 2) > 1e-3  # they correlate
