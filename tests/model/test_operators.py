"""Operators against explicit Kronecker products and QuTiP, and conversion to and from QuTiP."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from neurho import interchange, models
from neurho._types import NeurhoError
from neurho.matrix_elements.generator import lindbladian_map
from neurho.model import lattice, operators
from neurho.model.operators import Lindbladian, Operator, destroy, embed, evaluate, identity, local
from neurho.model.text import parse_operator

from neurho.model.operators import sm, sp, spin, sx, sy, sz, total  # isort: skip


def random_matrix(rng, size):
    return rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))


def full(matrix, places, sites, dim):
    """A matrix on some sites (the first of `places` slowest) on all sites, from the digits of all indices."""
    digits = np.array(np.unravel_index(np.arange(dim**sites), (dim,) * sites))
    inside = np.ravel_multi_index(tuple(digits[list(places)]), (dim,) * len(places))
    others = [j for j in range(sites) if j not in places]
    same = np.all(digits[others][:, :, None] == digits[others][:, None, :], axis=0)
    return np.asarray(matrix)[np.ix_(inside, inside)] * same


@st.composite
def placed(draw, sites=4):
    """A random matrix on a random ordered set of sites."""
    places = draw(st.permutations(range(sites)))[: draw(st.integers(1, 3))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random_matrix(rng, 2 ** len(places)), tuple(places)


def dense(operator, sites=4, t=0.0):
    return operator.to_sparse(sites, t).toarray()


@settings(max_examples=40, deadline=None)
@given(placed(), placed(), st.complex_numbers(max_magnitude=10, allow_nan=False))
def test_algebra_is_that_of_matrices(first, second, scale):
    a, b = local(*first), local(*second)
    x, y = full(*first, 4, 2), full(*second, 4, 2)
    eye = np.eye(16)
    for found, expected in [
        (a, x),
        (a + b, x + y),
        (a - b, x - y),
        (-a, -x),
        (scale * a, scale * x),
        (a * scale, scale * x),
        (a * b, x @ y),
        (a @ b, x @ y),
        ((a + b) * (a - b), (x + y) @ (x - y)),
        (a.adjoint(), x.conj().T),
        ((a * b).adjoint(), (x @ y).conj().T),
        (a / 2, x / 2),
        ((a + b + a).merged(), 2 * x + y),
    ]:
        np.testing.assert_allclose(dense(found), expected, rtol=0, atol=1e-11 * max(1, np.abs(expected).max()))
    np.testing.assert_allclose(embed(a.terms[0], range(4), 2), x, rtol=0, atol=1e-14)
    assert np.array_equal(embed(local(first[0], range(len(first[1]))).terms[0], range(4), 2)[0, 0], first[0][0, 0])
    assert (a + a.adjoint()).is_hermitian()
    assert np.allclose(dense(a * identity(2) * identity(2)), x @ eye)


def test_permuted_sites_are_permuted_factors():
    rng = np.random.default_rng(0)
    a, b, c = (random_matrix(rng, 3) for _ in range(3))
    operator = local(np.kron(np.kron(a, b), c), (2, 0, 1), local_dim=3)
    assert operator.terms[0].sites == (0, 1, 2)
    np.testing.assert_allclose(dense(operator, 3), np.kron(np.kron(b, c), a), atol=1e-13)


@pytest.mark.parametrize(("dim", "sites"), [(2, 4), (3, 3)])
def test_against_qutip(dim, sites):
    rng = np.random.default_rng(1)
    matrices = [random_matrix(rng, dim) for _ in range(sites)]
    product = qutip.tensor([qutip.Qobj(m) for m in matrices])
    operator = identity(dim)
    for j in reversed(range(sites)):
        operator = operator * local(matrices[j], j, local_dim=dim)
    found = interchange.operator_to_qutip(operator, sites)
    assert found.dims == product.dims
    np.testing.assert_allclose(found.full(), product.full(), atol=1e-12)


def test_named_matrices():
    """Up is index 0: sigma^z = +1, and sigma^-|up> = |down>. The matrices are QuTiP's."""
    for found, expected in [
        (sx(0), qutip.sigmax()),
        (sy(0), qutip.sigmay()),
        (sz(0), qutip.sigmaz()),
        (sm(0), qutip.sigmam()),
        (sp(0), qutip.sigmap()),
    ]:
        assert np.array_equal(dense(found, 1), expected.full())
    assert np.array_equal(dense(sm(0), 1) @ [1, 0], [0, 1])
    for dim in (2, 3, 5):
        np.testing.assert_allclose(dense(destroy(0, dim), 1), qutip.destroy(dim).full(), atol=1e-15)
        for axis, name in enumerate("xyz"):
            np.testing.assert_allclose(dense(spin(0, axis, dim), 1), qutip.jmat((dim - 1) / 2, name).full(), atol=1e-15)


def test_numbers_are_multiples_of_the_identity():
    for found in (sz(0) + 2.0, 2.0 + sz(0)):
        np.testing.assert_allclose(embed(found.merged().terms[1], (0,), 2) + dense(sz(0), 1), np.diag([3, 1]))
    total_ = total([sz(0), sz(1), -1 * sz(0)])
    assert total_.merged().support == (1,)


def test_coefficients():
    """Products of operators multiply their functions of time; adjoints conjugate them."""
    operator = (sx(0) * np.cos + sy(1)) * (sz(0) * (lambda t: np.exp(1j * t)))
    t = 0.7
    x, y, z = dense(sx(0), 2), dense(sy(1), 2), dense(sz(0), 2)
    expected = (np.cos(t) * x + y) @ z * np.exp(1j * t)
    np.testing.assert_allclose(dense(operator, 2, t), expected, atol=1e-14)
    np.testing.assert_allclose(dense(operator.adjoint(), 2, t), expected.conj().T, atol=1e-14)
    # equal functions are merged, different ones are not
    assert len((sx(0) * np.cos + sy(0) * np.cos + sz(0) * np.sin).merged().terms) == 2
    assert (evaluate(None, t), evaluate(2.0, t), evaluate(np.cos, t)) == (1.0, 2.0, np.cos(t))


def test_hermiticity_is_of_the_sum():
    assert (sp(0) * sm(1) + sm(0) * sp(1)).is_hermitian()
    assert not (sp(0) * sm(1)).is_hermitian()
    assert not (1j * sx(0)).is_hermitian()


def test_lindbladian_keeps_what_it_is_given():
    model = Lindbladian(lattice.chain(2), sz(0) + sz(0), [(1.0, sm(0) + 2 * sm(1)), (np.cos, sp(1))])
    assert (model.sites, model.local_dim, model.is_time_dependent) == (2, 2, True)
    assert len(model.hamiltonian.terms) == 1
    assert model.jumps[0].operator.support == (0, 1)
    assert not Lindbladian(lattice.chain(2), sz(0)).is_time_dependent
    assert Lindbladian(lattice.chain(2), sz(0) * np.cos).is_time_dependent


def on_two(*arguments):
    return Lindbladian(lattice.chain(2), *arguments)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: local(np.eye(8), (0, 1)), r"`matrix` must have shape \(4, 4\) on 2 site.* its shape is \(8, 8\)"),
        (lambda: local(np.ones((2, 3)), 0), r"`matrix` must be a square matrix, but its shape is \(2, 3\)"),
        (lambda: local([["a", 0], [0, 1]], 0), "`matrix` must be a square matrix of numbers"),
        (lambda: local([[np.inf, 0], [0, 1]], 0), "`matrix` must have finite entries, but it contains NaN or infinity"),
        (lambda: local(np.eye(4), (1, 1)), r"`sites` must be distinct and >= 0, but it is \(1, 1\)"),
        (lambda: local(np.eye(2), -1), r"`sites` must be distinct and >= 0, but it is \(-1,\)"),
        (lambda: local(np.eye(1), 0, local_dim=1), "`local_dim` must be at least 2, but it is 1"),
        (lambda: spin(0, 3, 2), "`axis` must be 0, 1 or 2, but it is 3"),
        (lambda: sx(0) + destroy(0, 3), "`other` must have local dimension 2, but it has 3"),
        (lambda: sx(0) @ destroy(0, 3), "`other` must have local dimension 2, but it has 3"),
        (lambda: sx(0) * np.nan, "`other` must be a finite number, but it is nan"),
        (lambda: sx(3).to_sparse(2), r"`sites` must lie in 0\.\.1 on a lattice of 2 sites, but it is \(3,\)"),
        (lambda: on_two(sp(0)), r"`hamiltonian` must be Hermitian, but the sum of its terms on sites \(0,\) differs"),
        (lambda: on_two(sz(2)), r"`sites of hamiltonian` must lie in 0\.\.1 .* but it is \(2,\)"),
        (lambda: on_two(sz(0), [(-1, sm(0))]), r"`jumps\[0\].rate` must be a finite real number >= 0, but it is -1"),
        (lambda: on_two(sz(0), [(np.nan, sm(0))]), r"`jumps\[0\].rate` must be a finite real number"),
        (lambda: on_two(sz(0), [(1j, sm(0))]), r"`jumps\[0\].rate` must be a finite real number"),
        (lambda: on_two(sz(0), [(1, destroy(0, 3))]), "`other` must have local dimension 2"),
        (
            lambda: lindbladian_map(Lindbladian(lattice.chain(6), sz(0), [(1.0, total(sm(j) for j in range(6)))])),
            r"`jumps\[0\]` must be local for .* correlators, .* at most 4 sites .* it acts collectively on 6 sites",
        ),
        (
            lambda: lindbladian_map(Lindbladian(lattice.chain(5), sz(0) * sz(1) * sz(2) * sz(3) * sz(4))),
            r"`hamiltonian` must be local for .* correlators, .* at most 4 sites .* a term of it acts on 5 sites",
        ),
    ],
)
def test_bad_input(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make()


def test_numbers_of_any_library_multiply_operators():
    for two in (2, 2.0, np.float64(2), np.array(2.0), jnp.float64(2), jnp.asarray(2)):
        for made in (sx(0) * two, two * sx(0), 4 * sx(0) / two, sx(0) + two - two + sx(0)):
            np.testing.assert_allclose(dense(made, 1), [[0, 2], [2, 0]])


def test_powers_are_products():
    made = sx(0) + 0.5 * sz(1)
    np.testing.assert_allclose(dense(made**3), np.linalg.matrix_power(dense(made), 3), atol=1e-14)
    np.testing.assert_allclose(dense(made**0), np.eye(16))
    for power in (0.5, -1):
        with pytest.raises(NeurhoError, match="`power` must be a whole number >= 0"):
            made**power
    with pytest.raises(NeurhoError, match="`other` must not be zero"):
        made / 0


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (0.5 * sx(0) + 0.25 * sz(0) * sz(1), "0.5 sx(0) + 0.25 sz(0) sz(1)"),
        (sp(0) * sp(1), "sp(0) sp(1)"),
        (-1 * sx(3) - 2j * sy(1), "-sx(3) - 2j sy(1)"),
        ((1 + 2j) * sp(0), "(1+2j) sp(0)"),
        ((sx(0) + sz(1)) ** 2, "2 + 2 sx(0) sz(1)"),
        (np.cos * sx(0), "sx(0) * (cos)"),
        (destroy(0, 4).adjoint() * destroy(1, 4), "ad(0) a(1)"),
        (spin(2, 2, 3), "Sz(2)"),
        (local(np.diag([0, 1.0, 0, 0]), 5, local_dim=4), "proj(5, 1)"),
        (Operator(2, ()), "0"),
        (total(sx(j) for j in range(14)), " + ".join(f"sx({j})" for j in range(12)) + " + ..."),
    ],
)
def test_operators_print_themselves(operator, text):
    assert repr(operator) == str(operator) == text


def test_printed_operators_can_be_read():
    made = total([0.3 * sp(0) * sm(1) + 0.3 * sm(0) * sp(1), 0.7 * sx(2), -1.5 * sz(0) * sy(1) * sx(2)])
    read = parse_operator(repr(made).replace(" s", " * s").replace("+ *", "+").replace("- *", "-"))
    np.testing.assert_allclose(dense(read), dense(made), atol=1e-14)


@pytest.mark.parametrize("make", [lambda: sx(0) + "a", lambda: sx(0) * "a", lambda: sx(0) @ 2])
def test_nonsense_is_a_type_error(make):
    with pytest.raises(TypeError):
        make()


def test_largest_terms_that_are_accepted():
    assert operators.MAX_LABELS == 729
    ising = sz(0) * sz(1) * sz(2) * sz(3)
    assert Lindbladian(lattice.chain(4), ising, [(1.0, total(sm(j) for j in range(4)))]).hamiltonian.support == (
        0,
        1,
        2,
        3,
    )
    cube = local(np.eye(27), (0, 1, 2), local_dim=3)
    assert Lindbladian(lattice.chain(3), cube).local_dim == 3


# --- QuTiP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "sites"), [(2, 1), (2, 3), (2, 4), (3, 2), (3, 3)])
def test_operator_from_qutip_takes_any_matrix_apart(dim, sites):
    matrix = random_matrix(np.random.default_rng(2), dim**sites)
    operator = interchange.operator_from_qutip(qutip.Qobj(matrix, dims=[[dim] * sites] * 2))
    assert len(operator.terms) == 2**sites
    rebuilt = sum(embed(term, range(sites), dim) for term in operator.terms)
    np.testing.assert_allclose(rebuilt, matrix, rtol=0, atol=1e-13)
    for term in operator.terms:  # nothing in a term belongs to a smaller set of sites
        k = len(term.sites)
        for n in range(k):
            traced = np.trace(term.matrix.reshape((dim,) * (2 * k)), axis1=n, axis2=n + k)
            np.testing.assert_allclose(traced, 0, atol=1e-13)


def test_operator_from_qutip_is_local():
    operator = 0.5 * sz(0) + 2j * sx(1) * sy(3) + sm(2)
    found = interchange.operator_from_qutip(interchange.operator_to_qutip(operator, 4))
    assert sorted(term.sites for term in found.terms) == [(0,), (1, 3), (2,)]
    np.testing.assert_allclose(dense(found), dense(operator), atol=1e-14)
    zero = interchange.operator_from_qutip(qutip.Qobj(np.zeros((4, 4)), dims=[[2, 2], [2, 2]]))
    assert zero.terms == ()


def test_lindbladian_to_qutip_and_back():
    model = models.heisenberg(lattice.chain(4, periodic=True), field=(1, 0, 2), coupling=(0.9, 1.2, 1.0), pump=0.3)
    hamiltonian, jumps = interchange.to_qutip(model)
    assert hamiltonian.dims == [[2] * 4] * 2
    for found, jump in zip(jumps, model.jumps, strict=True):
        np.testing.assert_allclose(found.full(), np.sqrt(jump.rate) * dense(jump.operator), atol=1e-15)
    back = interchange.from_qutip(hamiltonian, jumps)
    assert back.lattice.bonds.tolist() == [[0, 1], [0, 3], [1, 2], [2, 3]]
    np.testing.assert_allclose(dense(back.hamiltonian), dense(model.hamiltonian), atol=1e-13)
    again, collapse = interchange.to_qutip(back)
    difference = qutip.liouvillian(again, collapse) - qutip.liouvillian(hamiltonian, jumps)
    assert np.abs(difference.full()).max() < 1e-13
    assert interchange.from_qutip(hamiltonian, jumps, lattice=model.lattice).lattice is model.lattice


def test_to_qutip_at_a_time():
    model = Lindbladian(lattice.chain(1), sz(0) * np.cos, [(lambda t: 4 * t, sm(0))])
    hamiltonian, (jump,) = interchange.to_qutip(model, 0.25)
    np.testing.assert_allclose(hamiltonian.full(), np.cos(0.25) * np.diag([1, -1]))
    np.testing.assert_allclose(jump.full(), qutip.sigmam().full())
    with pytest.raises(NeurhoError, match="`t` must be given where a coefficient or a rate depends on time"):
        interchange.to_qutip(model)
    with pytest.raises(
        NeurhoError, match=r"`jumps\[0\].rate` must be a finite real .* at all times, but `<lambda>` is -4 at t = -1"
    ):
        interchange.to_qutip(model, -1.0)


@pytest.mark.parametrize(
    ("qobj", "sentence"),
    [
        (np.eye(2), "`qobj` must be a constant operator .* but it is a ndarray"),
        (qutip.basis(2, 0), "`qobj` must be a constant operator"),
        (qutip.QobjEvo([[qutip.sigmax(), lambda t: t]]), "`qobj` must be a constant operator .* but it is a QobjEvo"),
        (qutip.liouvillian(qutip.sigmax()), "`qobj` must be a constant operator"),
        (qutip.tensor(qutip.sigmax(), qutip.qeye(3)), "`qobj` must have sites of one dimension >= 2"),
        (qutip.qeye([2] * 13), r"`qobj` must have at most 16777216 entries, but it has 2\^26"),
    ],
    ids=["array", "ket", "function", "superoperator", "mixed", "large"],
)
def test_operator_from_qutip_refuses(qobj, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        interchange.operator_from_qutip(qobj)


def test_from_qutip_refuses():
    two = qutip.tensor(qutip.sigmaz(), qutip.sigmaz())
    with pytest.raises(NeurhoError, match=r"`c_ops\[0\]` must have dims"):
        interchange.from_qutip(two, [qutip.sigmam()])
    with pytest.raises(NeurhoError, match="`lattice` must have 2 sites like the Hamiltonian, but it has 3"):
        interchange.from_qutip(two, lattice=lattice.chain(3))
    with pytest.raises(NeurhoError, match="`hamiltonian` must be Hermitian"):
        interchange.from_qutip(1j * two)


def test_without_qutip_the_import_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "qutip", None)
    monkeypatch.delitem(sys.modules, "neurho.model.interchange.qutip", raising=False)
    monkeypatch.delattr(interchange, "qutip", raising=False)
    for name in ("to_qutip", "from_qutip", "operator_to_qutip", "operator_from_qutip"):
        monkeypatch.delattr(interchange, name, raising=False)
    with pytest.raises(ImportError, match=r"needs QuTiP: pip install 'neurho\[qutip\]'"):
        _ = interchange.to_qutip
    assert interchange.from_netket is not None  # the others do not need it


def test_identity_terms_have_a_full_matrix():
    np.testing.assert_allclose(dense(sz(0) + 2.0, 2), np.diag([3, 3, 1, 1]))
    assert isinstance(sz(0) + 2.0, Operator)
