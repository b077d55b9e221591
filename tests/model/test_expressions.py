"""Operators from text: that they are the operators they say, and that what is wrong is said with its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from neurho import exact, models
from neurho._types import NeurhoError
from neurho.model import lattice
from neurho.model.operators import Lindbladian, destroy, identity, local, sm, sp, spin, sx, sy, sz, total
from neurho.model.text import operators_on, parse_number, parse_operator

IJ = {"i": 0, "j": 1}


def dense(operator, sites=2):
    return operator.to_sparse(sites).toarray()


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("0.5 * sx(i) * sx(j)", 0.5 * sx(0) @ sx(1)),
        ("sx(i) * sy(i)", 1j * sz(0)),
        ("(sp(i) * sm(j) + sm(i) * sp(j)) / 2", 0.5 * (sp(0) @ sm(1) + sm(0) @ sp(1))),
        ("2j * sp(0) - dag(2j * sp(0)) + 3", 2j * sp(0) + 2j * sm(0) + 3),
        ("-(-1)**j * sz(j)**2 * pi", np.pi * identity()),
        ("h[i] * sz(i) + h[j] * sz(j)", 0.1 * sz(0) + 0.4 * sz(1)),
        ("sqrt(J) * sx(i) + exp(0) * sy(0) + cos(pi) * sz(1)", 1.5 * sx(0) + sy(0) - sz(1)),
        ("sqrt(-4) * sx(i)", 2j * sx(0)),
        ("+sx(i)", sx(0)),
        ("  7  ", 7 * identity()),
    ],
)
def test_text_is_the_operator(text, operator):
    found = parse_operator(text, sites=IJ, values={"h": [0.1, 0.4], "J": 2.25})
    assert_allclose(dense(found), dense(operator), atol=1e-15)


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_operators_of_any_dimension(dim):
    boson = destroy(1, dim)
    level = local(np.eye(dim)[:, [1]] @ np.eye(dim)[[0]], 0, local_dim=dim)
    for text, operator in {
        "a(j)": boson,
        "n(j)": boson.adjoint() @ boson,
        "ad(j) * a(i)": boson.adjoint() @ destroy(0, dim),
        "Sp(i)": spin(0, 0, dim) + 1j * spin(0, 1, dim),
        "Sx(i)**2 + Sy(i)**2 + Sz(i)**2": (dim**2 - 1) / 4 * identity(dim),
        "trans(i, 1, 0)": level,
        "proj(i, 1)": level @ level.adjoint(),
        "Sp(j) * Sm(j) - Sm(j) * Sp(j) - 2 * Sz(j)": 0 * identity(dim),
    }.items():
        assert_allclose(dense(parse_operator(text, sites=IJ, local_dim=dim)), dense(operator), atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["sx(0)", "sy(1)", "sm(0)", "2.5", "1j", "J"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})"),
            inner.map(lambda x: f"-{x}"),
            inner.map(lambda x: f"{x} / 4"),
        ),
        max_leaves=8,
    )
)
def test_text_means_what_python_means(text):
    """Python itself evaluates the same text with matrices in place of the operators."""
    names = {"sx": lambda j: dense(sx(j)), "sy": lambda j: dense(sy(j)), "sm": lambda j: dense(sm(j)), "J": 0.3}

    class Matrix:
        def __init__(self, value):
            self.value = np.asarray(value) * np.eye(4) if np.ndim(value) == 0 else value

        def __add__(self, other):
            return Matrix(self.value + lift(other))

        def __sub__(self, other):
            return Matrix(self.value - lift(other))

        def __mul__(self, other):
            return Matrix(self.value @ lift(other))

        def __rmul__(self, other):
            return Matrix(lift(other) @ self.value)

        def __radd__(self, other):
            return Matrix(lift(other) + self.value)

        def __rsub__(self, other):
            return Matrix(lift(other) - self.value)

        def __truediv__(self, other):
            return Matrix(self.value / other)

        def __neg__(self):
            return Matrix(-self.value)

    def lift(other):
        return other.value if isinstance(other, Matrix) else other * np.eye(4)

    scope = {k: (lambda j, f=f: Matrix(f(j))) if callable(f) else f for k, f in names.items()}
    expected = lift(eval(text, {"__builtins__": {}}, scope))
    assert_allclose(dense(parse_operator(text, values={"J": 0.3})), expected, atol=1e-12)


WRONG = [
    ("0.5 * sx(i) * sq(j)", "at character 15: `sq` is not known; did you mean"),
    ("0.5*sx(i", "at character 7: `(` was never closed."),
    ("sx(i)*é*sx(q)", "at character 7: `é` is not known"),
    ("é", "at character 1: `é` is not known"),
    ("sx(i) + __import__('os').system('ls')", "at character 9: only a name can stand before brackets."),
    ("__import__('os')", "at character 1: `__import__` is not known"),
    ("(lambda: 1)()", "at character 1: only a name"),
    ("sx(0).terms", "at character 1: only numbers, names"),
    ("[1, 2]", "at character 1: only numbers"),
    ("True * sx(0)", "at character 1: `True` is no number."),
    ("'a' * 3", "at character 1: `'a'` is no number."),
    ("9**9**9 * sz(0)", "the number is too large."),
    ("1e400", "at character 1: the number is not finite."),
    ("1e300 * sx(0) * 1e300", "not finite."),
    ("sz(0) / (1 - 1)", "at character 10: this divides by zero."),
    ("1 / sz(0)", "at character 5: an operator cannot stand behind `/`."),
    ("2**sz(0)", "at character 4: an operator cannot stand behind `**`."),
    ("sx(0)**3.5", "at character 8: the power of an operator must be a whole number"),
    ("sx(0)**99", "at character 8: the power of an operator must lie in 0..12, but it is 99."),
    ("sx(-1)", "at character 4: sites are 0, 1, 2, ..., but this is -1."),
    ("sx(0.5)", "at character 4: a site must be a whole number"),
    ("sx(k)", "at character 4: `k` is not known"),
    ("sx", "at character 1: `sx` needs its argument in brackets, as in `sx(i)`."),
    ("sx(0, 1)", "at character 1: `sx` takes 1 argument, but here are 2."),
    ("proj(0)", "at character 1: `proj` takes 2 arguments, but here are 1."),
    ("proj(0, 2)", "at character 9: levels are 0..1, but this is 2."),
    ("sqrt(sx(0))", "at character 6: `sqrt` takes a number, but this is an operator."),
    ("dag(2)", "at character 5: `dag` takes an operator, but this is a number."),
    ("h * sx(0)", "at character 1: `h` has 2 values, but it is used as one; take one entry with `h[...]`."),
    ("h[2] * sx(0)", "at character 3: `h` has the entries 0..1, but the index is 2."),
    ("J[0] * sx(0)", "at character 1: `J` is one number and has no entries."),
    ("sx(site=0)", "at character 1: `sx` takes plain arguments only."),
    ("sx(0) * sx(1) * sx(2) * sx(3) * sx(4) * sx(5) * sx(6) * sx(7) * sx(8) * sx(9) * sx(10)", "is not local."),
    ("sx(i)\x00", "cannot be read"),
    ("(" * 300, "cannot be read"),
    ("  ", "the text is empty"),
    ("x" * 3000, "must have at most 2000 characters, but it has 3000."),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text[:20] for text, _ in WRONG])
def test_what_is_wrong_is_said_with_its_place(text, sentence):
    with pytest.raises(NeurhoError) as caught:
        parse_operator(text, sites=IJ, values={"h": [1.0, 2.0], "J": 1.0})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pauli_matrices_are_for_spins():
    with pytest.raises(NeurhoError, match="`sx` is for spins 1/2, but sites have 3 levels; take `Sx`"):
        parse_operator("sx(0)", local_dim=3)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="sxyzij()[]*+-/0123.,t \\'\"", max_size=30)))
def test_any_text_is_an_operator_or_a_sentence(text):
    try:
        parse_operator(text, sites=IJ, values={"J": 1.0})
    except NeurhoError as error:
        message = str(error)
    else:
        message = ""
    assert "\n" not in message


def test_functions_of_time():
    rate = parse_number("0.3 * (1 + cos(w * t))**2", values={"w": 2.0})
    assert rate(0.4) == pytest.approx(0.3 * (1 + np.cos(0.8)) ** 2)
    assert rate == parse_number("0.3*(1+cos(w*t))**2", values={"w": 2.0})
    assert hash(rate) == hash(parse_number("0.3*(1+cos(2*t))**2"))
    drive = parse_operator("sx(0) * sin(t) + t * sx(0) - sin(t) * sx(0)")
    assert_allclose(drive.to_sparse(1, 0.7).toarray(), 0.7 * dense(sx(0), 1))


def test_driven_model_is_the_one_written_in_python():
    sites = lattice.chain(2)
    written = models.custom(
        sites,
        hamiltonian=[{"on": "sites", "operator": "g * cos(3 * t) * sx(i)"}, {"on": "bonds", "operator": "sz(i)*sz(j)"}],
        jumps=[{"on": "sites", "operator": "sm(i)", "rate": "1 + sin(t)**2"}],
        values={"g": [0.5, 0.7]},
    )
    drive = total([0.5 * sx(0), 0.7 * sx(1)]) * (lambda t: np.cos(3 * t))
    coded = Lindbladian(sites, drive + sz(0) @ sz(1), [(lambda t: 1 + np.sin(t) ** 2, sm(j)) for j in (0, 1)])
    start = exact.product_state((0, 0, 1), 2)
    ends = [list(exact.evolve(model, start, [0, 0.5], tolerance=1e-12))[-1] for model in (written, coded)]
    assert_allclose(*ends, atol=1e-12)


def superoperator(model):
    applied = exact.ExactLindbladian(model)
    units = np.eye(applied.dimension**2).reshape(-1, applied.dimension, applied.dimension)
    return np.stack([applied.apply(unit).ravel() for unit in units])


def test_custom_is_heisenberg_with_values_per_site_and_bond():
    sites = lattice.square(2, 2, periodic=False)
    rng = np.random.default_rng(0)
    field, coupling, decay = rng.normal(size=4), rng.normal(size=4), rng.uniform(size=4)
    named = models.heisenberg(
        sites,
        field=np.stack([0 * field, 0 * field, field], axis=1),
        coupling=np.stack([coupling, 0 * coupling, 0.5 * coupling], axis=1),
        decay=decay,
    )
    written = models.custom(
        sites,
        hamiltonian=[
            {"on": "sites", "operator": "h * sz(i)"},
            {"on": "bonds", "operator": "J * (sx(i) * sx(j) + sz(i) * sz(j) / 2)"},
        ],
        jumps=[{"on": "sites", "operator": "sm(i)", "rate": decay}],
        values={"h": field, "J": coupling},
    )
    assert_allclose(superoperator(written), superoperator(named), atol=1e-14)


def test_places():
    sites = lattice.square(2, 3)
    assert len(operators_on(sites, "sx(i)")) == 6
    assert len(operators_on(sites, "sx(i)", at=[1, 4])) == 2
    rows, columns = (operators_on(sites, "sx(i) * sx(j)", on="bonds", direction=d) for d in (0, 1))
    assert (len(rows), len(columns)) == (3, 4)
    assert {o.support for o in rows} == {(0, 3), (1, 4), (2, 5)}
    pairs = operators_on(sites, "distance * sz(i) * sz(j)", on="pairs")
    assert len(pairs) == 15
    far = next(o for o in pairs if o.support == (0, 5))
    assert far.terms[0].matrix[0, 0] == pytest.approx(np.sqrt(5))
    assert len(operators_on(sites, "sx(0) * sx(5)", on="once")) == 1
    for options, sentence in [
        ({"on": "bond"}, "`on` must be one of sites, bonds, pairs, once"),
        ({"on": "bonds", "direction": 2}, "`direction` must be one along which there are bonds"),
        ({"on": "sites", "direction": 0}, "`direction` must be given only with bonds"),
        ({"on": "bonds", "at": [0]}, "`at` must be given only with sites"),
        ({"on": "sites", "at": [6]}, r"`at` must lie in 0\.\.5"),
        ({"on": "once"}, '`i` is known with on = "sites", "bonds" and "pairs" only'),
    ]:
        with pytest.raises(NeurhoError, match=sentence):
            operators_on(sites, "sx(i)", **options)
    with pytest.raises(NeurhoError, match=r"sites are 0\.\.5, but this is 6"):
        operators_on(sites, "sx(6)", on="once")
    with pytest.raises(
        NeurhoError, match="at character 1: `distance` is known on open lattices only, but this one is periodic"
    ):
        operators_on(lattice.chain(3, periodic=True), "distance * sx(i)", on="pairs")
    with pytest.raises(NeurhoError, match="`h` has 4 values, but there are 6 sites"):
        operators_on(sites, "h * sx(i)", values={"h": [1, 2, 3, 4]})


def test_a_site_is_named_once():
    for at in ([0, 0], [1, 2, 1], np.array([2, 2])):
        with pytest.raises(NeurhoError, match="`at` must name each site once"):
            operators_on(lattice.chain(3), "sx(i)", at=at)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sx(i)^2", r"character 6: `\^` is not known; write powers with `\*\*`\."),
        ("  sx(i)^2", r"character 8: `\^` is not known"),
        ("(sx(i) ) @ sz(i)", r"character 10: `@` is not known; write products of operators with `\*`\."),
        ("0.5 * sx(i) // 2", "character 13: `//` is not known"),
        ("sx(i) * (1 + 2 % 3)", "character 16: `%` is not known"),
        ("sx(i) < 2", "character 7: `<` is not known"),
        ("sx(i) and sz(i)", "character 7: `and` is not known"),
        ("sx(i) if i else sz(i)", "character 7: `if` is not known"),
    ],
)
def test_unknown_signs_are_pointed_at(text, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        operators_on(lattice.chain(2), text)


@pytest.mark.parametrize(
    ("made", "on", "sentence"),
    [
        (lattice.chain(4, periodic=True), "pairs", "open lattices only, but this one is periodic"),
        (lattice.from_edges([(0, 1)]), "pairs", "open lattices only, but this one was made from edges"),
        (lattice.chain(4), "bonds", 'with on = "pairs" only'),
        (lattice.chain(4), "sites", 'with on = "pairs" only'),
    ],
)
def test_where_distance_is_known(made, on, sentence):
    with pytest.raises(NeurhoError, match=f"`distance` is known {sentence}|`distance` is known on {sentence}"):
        operators_on(made, "distance * sx(i)", on=on)


def test_values_are_numbers_or_functions_by_names():
    sites = lattice.chain(2)
    for values, sentence in (
        ({1: 2.0}, "`values` must be named by words that mean nothing else, but one is called `1`"),
        ({"h": "x"}, r"`values\['h'\]` must be a finite number, a list of them or a function of time"),
        ({"h": [[1.0, 2.0]]}, r"`values\['h'\]` must be a finite number, a list"),
        ({"h": [1.0, np.nan]}, r"`values\['h'\]` must be a finite number"),
    ):
        with pytest.raises(NeurhoError, match=sentence):
            operators_on(sites, "sx(i)", values=values)
    (first, second) = operators_on(sites, "h * sp(i)", values={"h": [2j, 1.0]})
    assert first.terms[0].matrix[0, 1] == 2j
    assert second.terms[0].matrix[0, 1] == 1.0


def test_custom_says_in_which_term():
    sites, good = lattice.chain(3), {"on": "sites", "operator": "sz(i)"}
    for change, sentence in [
        (
            {"hamiltonian": [good, {"on": "bonds", "operator": "sx(i) * q"}]},
            "In hamiltonian[1]: The operator `sx(i) * q`",
        ),
        (
            {"hamiltonian": [good], "jumps": [{**good, "rate": -1.0}]},
            "In jumps[0]: Argument `rate` must be",
        ),
        (
            {"jumps": [{**good, "rate": [1.0, 2.0]}]},
            "In jumps[0]: Argument `rate` must have one entry",
        ),
        ({"jumps": [{**good, "rate": "1j"}]}, "In jumps[0]: The rate `1j` must be real"),
        ({"jumps": [{**good, "rate": "sx(0)"}]}, "must be a number, but it contains an operator"),
        ({"hamiltonian": [{"on": "sites", "operator": "sp(i)"}]}, "`hamiltonian` must be Hermitian"),
        ({"hamiltonian": [good], "values": {"sx": 1.0}}, "be named by words that mean nothing else"),
        ({"hamiltonian": [{"on": "sites"}]}, "In hamiltonian[0]: The key `operator` is missing."),
        ({"jumps": [{**good, "rat": 1.0}]}, "In jumps[0]: There is no key `rat`; did you mean `rate`?"),
        (
            {"hamiltonian": [{**good, "when": 1.0}]},
            "In hamiltonian[0]: There is no key `when`; known are on, direction",
        ),
        ({"hamiltonian": good}, "In hamiltonian[0]: It must be a mapping of keys to values, but it is 'on'."),
    ]:
        with pytest.raises(NeurhoError) as caught:
            models.custom(sites, **change)
        assert sentence in str(caught.value)
