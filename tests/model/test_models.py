"""Named models against Hamiltonians and jumps written out with Kronecker products."""

from functools import reduce

import numpy as np
import pytest

from neurho import config, exact, models, pulses
from neurho._types import NeurhoError
from neurho.exact.bounds import numerical_range
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.symmetry import require_invariant
from neurho.model import lattice
from neurho.model.operators import Lindbladian, Operator, sm, sz, total
from neurho.model.text import operators_on
from neurho.run.problem import build

X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1.0 + 0j, -1.0])
MINUS = np.array([[0, 0], [1, 0]], dtype=complex)


def kron(sites, **factors):
    """A product of one-site matrices, keyword `s3=X` for X on site 3."""
    return reduce(np.kron, [factors.get(f"s{j}", np.eye(2)) for j in range(sites)])


def pair(sites, i, j, matrix):
    return kron(sites, **{f"s{i}": matrix, f"s{j}": matrix})


def dense_jumps(model):
    return sorted(
        (j.rate, j.operator.support, j.operator.to_sparse(model.sites).toarray().real.tolist()) for j in model.jumps
    )


def test_heisenberg_uniform():
    field, coupling = (0.3, -0.7, 10.0), (1.0, 2.0, -0.5)
    model = models.heisenberg(lattice.chain(3, periodic=True), field=field, coupling=coupling, decay=2.0)
    expected = sum(b * kron(3, **{f"s{j}": m}) for j in range(3) for b, m in zip(field, (X, Y, Z), strict=True))
    expected = expected + sum(
        c * pair(3, i, j, m) for i, j in ((0, 1), (1, 2), (0, 2)) for c, m in zip(coupling, (X, Y, Z), strict=True)
    )
    np.testing.assert_allclose(model.hamiltonian.to_sparse(3).toarray(), expected, atol=1e-14)
    assert dense_jumps(model) == sorted((2.0, (j,), kron(3, **{f"s{j}": MINUS}).real.tolist()) for j in range(3))


def test_heisenberg_per_site_and_per_bond():
    made = lattice.square(2, 2)
    rng = np.random.default_rng(0)
    field, coupling = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    rates = {"decay": [0.0, 1.0, 2.0, 3.0], "pump": [0.5, 0.0, 0.0, 0.0], "dephasing": 0.25}
    model = models.heisenberg(made, field=field, coupling=coupling, **rates)
    expected = sum(field[j, a] * kron(4, **{f"s{j}": m}) for j in range(4) for a, m in enumerate((X, Y, Z)))
    for (i, j), strength in zip(made.bonds, coupling, strict=True):
        expected = expected + sum(c * pair(4, i, j, m) for c, m in zip(strength, (X, Y, Z), strict=True))
    np.testing.assert_allclose(model.hamiltonian.to_sparse(4).toarray(), expected, atol=1e-13)
    jumps = [(float(j), (j,), kron(4, **{f"s{j}": MINUS}).real.tolist()) for j in (1, 2, 3)]
    jumps += [(0.5, (0,), kron(4, s0=MINUS.T.copy()).real.tolist())]
    jumps += [(0.25, (j,), kron(4, **{f"s{j}": Z}).real.tolist()) for j in range(4)]
    assert dense_jumps(model) == sorted(jumps)


def test_double_bonds_double_the_coupling():
    single = models.xyz(lattice.square(2, 2, periodic=True)).hamiltonian.to_sparse(4).toarray()
    double = models.xyz(lattice.square(2, 2, periodic=True, multi_edges=True)).hamiltonian.to_sparse(4).toarray()
    np.testing.assert_allclose(double, 2 * single, atol=1e-14)


def test_xyz_has_no_field():
    model = models.xyz(lattice.chain(2), coupling=(0.9, 1.2, 1.0), decay=0.5)
    expected = 0.9 * np.kron(X, X) + 1.2 * np.kron(Y, Y) + np.kron(Z, Z)
    np.testing.assert_allclose(model.hamiltonian.to_sparse(2).toarray(), expected, atol=1e-15)
    assert [j.rate for j in model.jumps] == [0.5, 0.5]


def test_ising():
    model = models.ising(lattice.chain(2), interaction=2.0, transverse=3.0)
    expected = 0.5 * np.kron(Z, Z) + 1.5 * (kron(2, s0=X) + kron(2, s1=X))
    np.testing.assert_allclose(model.hamiltonian.to_sparse(2).toarray(), expected, atol=1e-15)


def test_dephasing_chain():
    model = models.dephasing_chain(lattice.chain(2), coupling=(1, 1, 0.5), dephasing=0.3)
    expected = np.kron(X, X) + np.kron(Y, Y) + 0.5 * np.kron(Z, Z)
    np.testing.assert_allclose(model.hamiltonian.to_sparse(2).toarray(), expected, atol=1e-15)
    assert dense_jumps(model) == sorted((0.3, (j,), kron(2, **{f"s{j}": Z}).real.tolist()) for j in range(2))


def test_nothing_at_all():
    model = models.heisenberg(lattice.chain(2), decay=0)
    assert not model.jumps
    assert model.hamiltonian.to_sparse(2).count_nonzero() == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"field": (1, 2)},
            r"`field` must have three entries \(x, y, z\), or three for each of the 3 sites, but its shape is \(2,\)",
        ),
        ({"field": np.ones((2, 3))}, r"`field` must have three entries .* 3 sites, but its shape is \(2, 3\)"),
        ({"coupling": np.ones((3, 3))}, r"`coupling` must have three entries .* 2 bonds, but its shape is \(3, 3\)"),
        ({"coupling": "strong"}, "`coupling` must be real numbers, but it is 'strong'"),
        ({"coupling": (1j, 0, 0)}, "`coupling` must be real numbers"),
        ({"field": (np.nan, 0, 0)}, "`field` must be finite"),
        ({"decay": -1.0}, "`decay` must be a finite real number >= 0, but it is -1.0"),
        ({"pump": np.inf}, "`pump` must be a finite real number >= 0, but it is inf"),
        ({"dephasing": 1j}, "`dephasing` must be a finite real number >= 0"),
        ({"decay": [1.0, 1.0]}, r"`decay` must be one number or 3, one per site, but its shape is \(2,\)"),
    ],
)
def test_bad_input(arguments, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        models.heisenberg(lattice.chain(3), **arguments)


def test_ising_with_dephasing():
    model = models.ising(lattice.chain(2), dephasing=[0.3, 0.0], pulses={"dephasing": np.cosh})
    assert [jump.operator.support for jump in model.jumps if jump.rate is np.cosh] == [(0,)]
    assert [jump.rate for jump in models.ising(lattice.chain(2), dephasing=0.3).jumps] == [1.0, 1.0, 0.3, 0.3]


STEP, SLOPE = pulses.constant(2.0, start=0.0, end=5.0), pulses.ramp(0.0, 1.0, end=4.0)


def at_three(model):
    """The Hamiltonian at t = 3, where STEP is 2 and SLOPE 3/4, and the rates by site."""
    rates = {jump.operator.support[0]: abs(jump.operator.terms[0].matrix).max() ** 2 for jump in model.jumps}
    values = {jump.operator.support[0]: jump.rate(3.0) if callable(jump.rate) else jump.rate for jump in model.jumps}
    return model.hamiltonian.to_sparse(model.sites, 3.0).toarray(), {j: rates[j] * values[j] for j in rates}


def test_every_site_and_bond_may_have_a_pulse_of_its_own():
    """The same physics by a named model, by `ising`, and as text with lists of functions."""
    made = lattice.chain(3)
    given = {"field_x": [STEP, None, SLOPE], "coupling": [None, SLOPE], "decay": [STEP, SLOPE, None]}
    one = models.heisenberg(made, field=(0.5, 0, 0), coupling=[(0, 0, 0.25), (0, 0, 0.75)], decay=0.1, pulses=given)
    renamed = dict(zip(("transverse", "interaction", "decay"), given.values(), strict=True))
    two = models.ising(made, interaction=[1.0, 3.0], transverse=1.0, decay=0.1, pulses=renamed)
    three = models.custom(
        made,
        hamiltonian=[
            {"on": "sites", "operator": "f * sx(i) / 2"},
            {"on": "bonds", "operator": "J * g[i] * sz(i) * sz(j)"},
        ],
        jumps=[{"on": "sites", "operator": "sm(i)", "rate": "0.1 * h"}],
        values={"f": [STEP, 1.0, SLOPE], "g": [1.0, SLOPE], "J": [0.25, 0.75], "h": [STEP, SLOPE, 1]},
    )
    field = 0.5 * (2 * kron(3, s0=X) + kron(3, s1=X) + 0.75 * kron(3, s2=X))
    expected = field + 0.25 * pair(3, 0, 1, Z) + 0.75 * 0.75 * pair(3, 1, 2, Z)
    for model in (one, two, three):
        hamiltonian, rates = at_three(model)
        np.testing.assert_allclose(hamiltonian, expected, atol=1e-14)
        assert rates == pytest.approx({0: 0.2, 1: 0.075, 2: 0.1})


def test_functions_in_lists_are_one_channel_where_they_are_the_same():
    values = {"f": [STEP, SLOPE, STEP]}
    model = models.custom(lattice.chain(3), hamiltonian=[{"on": "sites", "operator": "f*sx(i)"}], values=values)
    first, second, third = (term.coefficient for term in model.hamiltonian.terms)
    assert first == third != second
    assert str(second) == "f[1]"


def test_pulses_that_differ_by_bond_break_translations():
    ring = lattice.chain(3, periodic=True)
    for given in (STEP, [STEP, STEP, STEP]):
        same = models.heisenberg(ring, coupling=(0, 0, 1), pulses={"coupling": given})
        require_invariant(lindbladian_map(same), ring.translations)
    other = models.heisenberg(ring, coupling=(0, 0, 1), pulses={"coupling": [STEP, STEP, SLOPE]})
    with pytest.raises(NeurhoError, match="must be symmetries of the Lindbladian"):
        require_invariant(lindbladian_map(other), ring.translations)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda c: models.xyz(c, pulses={"coupling": [STEP]}),
            r"`pulses\[coupling\]` must be one function or 2, one per b",
        ),
        (
            lambda c: models.ising(c, pulses={"transverse": [STEP]}),
            r"`pulses\[transverse\]` must be .* 3, one per site",
        ),
        (lambda c: models.xyz(c, pulses={"coupling_z": [STEP, 1]}), r"`pulses\[coupling_z\]\[1\]` must be a function"),
        (
            lambda c: models.xyz(c, pulses={"field": STEP}),
            "`pulses` must name some of coupling, .*, decay, but it names field",
        ),
        (lambda c: models.ising(c, interaction=[1.0]), "`interaction` must be one number or 2, one per bond"),
        (
            lambda c: models.custom(c, values={"J": [STEP, "x"]}, hamiltonian=ONCE),
            r"`values\['J'\]\[1\]` must be a finite",
        ),
    ],
)
def test_pulses_that_do_not_fit(call, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        call(lattice.chain(3))


ONCE = [{"on": "once", "operator": "sx(0)"}]


def test_a_problem_file_has_a_pulse_for_each_bond():
    text = """
lattice = { kind = "chain", shape = [3] }
model.kind = "ising"
model.interaction = [1.0, 3.0]
model.pulses = { interaction = ["", "slope"], decay = ["slope", "", ""] }
pulses.slope = { kind = "ramp", first = 0.0, last = 1.0, end = 4.0 }
initial = { bloch = "down" }
task = { kind = "evolve", method = "exact", t = 4.0 }
"""
    hamiltonian, rates = at_three(build(config.loads(text)).lindbladian)
    field = 0.5 * (kron(3, s0=X) + kron(3, s1=X) + kron(3, s2=X))
    expected = field + 0.25 * pair(3, 0, 1, Z) + 0.75 * 0.75 * pair(3, 1, 2, Z)
    np.testing.assert_allclose(hamiltonian, expected, atol=1e-14)
    assert rates == pytest.approx({0: 0.75, 1: 1.0, 2: 1.0})
    written = """
lattice = { kind = "chain", shape = [3] }
model.kind = "custom"
model.hamiltonian = [{ on = "bonds", operator = "J * sz(i) * sz(j)" }]
model.values = { J = [2, "slope"] }
"""
    custom = build(config.loads(written + text[text.index("pulses.slope") :])).lindbladian
    np.testing.assert_allclose(at_three(custom)[0], 2 * pair(3, 0, 1, Z) + 0.75 * pair(3, 1, 2, Z), atol=1e-14)
    with pytest.raises(NeurhoError, match=r"key `model.values.J\[1\]` must name a table \[pulses.NAME\] \(slope\)"):
        config.loads((written + text[text.index("pulses.slope") :]).replace('"slope"]', '"slop"]'))
    wrong = text.replace("first = 0.0", "first = -1.0")
    with pytest.raises(NeurhoError, match=r"Key `model.pulses.decay` must be a finite real number >= 0 at all times"):
        build(config.loads(wrong))


def test_many_levels_are_for_the_exact_solvers():
    """Hopping bosons of eight levels: a network cannot take the pair, exact sums need not care."""
    hop = [{"on": "bonds", "operator": "ad(i)*a(j) + a(i)*ad(j)"}]
    jumps = [{"on": "sites", "operator": "a(i)", "rate": 0.5}]
    model = models.custom(lattice.chain(2), hamiltonian=hop, jumps=jumps, local_dim=8)
    start = np.zeros((64, 64), dtype=complex)
    start[8, 8] = 1.0  # one boson on site 0: n_0 = exp(-t/2) cos^2 t
    *_, rho = exact.evolve(model, start, [0.0, 0.4], tolerance=1e-11)
    (number,) = operators_on(lattice.chain(2), "n(i)", at=[0], local_dim=8)
    assert exact.expectation(rho, number, 2).real == pytest.approx(np.exp(-0.2) * np.cos(0.4) ** 2, abs=1e-9)
    with pytest.raises(NeurhoError, match=r"acting on at most 1 site at once of sites with 8 levels .* exact"):
        lindbladian_map(model)


def test_collective_jumps_are_for_the_exact_solvers():
    """Superradiance of ten spins from all up: the rate of change of the number is -<c^+ c> = -N at t = 0."""
    model = Lindbladian(lattice.chain(10), Operator(2, ()), [(1.0, total(sm(j) for j in range(10)))])
    start = np.zeros((1024, 1024), dtype=complex)
    start[0, 0] = 1.0
    moved = exact.ExactLindbladian(model).apply(start)
    number = total((1 + sz(j)) / 2 for j in range(10))
    assert exact.expectation(moved + start, number, 10).real - 10 == pytest.approx(-10)
    assert numerical_range(exact.ExactLindbladian(model)).low <= -2 * 25
