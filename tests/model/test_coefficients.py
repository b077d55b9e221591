"""Coefficients and rates that depend on time: which are refused, by every way in, and what any Python function does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurho import build, config, exact, interchange, matrix_product, models, pulses
from neurho._types import NeurhoError
from neurho.matrix_elements.estimation.estimators import lindblad_values
from neurho.matrix_elements.generator import all_labels, lindbladian_map, to_table
from neurho.matrix_elements.networks import density_matrix, random_rbm
from neurho.model import lattice
from neurho.model.operators import Lindbladian, local, rate_at, sm, sp, sx, sz

ONE = lattice.chain(1)
KICK = pulses.sin2(1.0, start=3.0, end=6.0)


def driven(text, **values):
    return models.custom(ONE, hamiltonian=[{"on": "sites", "operator": text}], values=values)


@pytest.mark.parametrize(
    "text",
    [
        "kick*sp(i)",
        "(1 + kick)*sx(i) + kick*sp(i)",
        "kick*(sp(i) + 2*sm(i))",
        "kick*exp(1j*t)*sp(i) + kick*exp(1j*t)*sm(i)",
        "1j*kick*sx(i)",
        "sx(i) + 31*exp(-((t-30.27)/0.02)**2/2)*sp(i)",
        "exp(-((t-30.27)/0.02)**2/2 + 2j*t)*sz(i)",
        "(1 + tanh((t-30)/0.001))*sp(i)",
        "exp(1j*t)*sp(i) + exp(1j*t)*sm(i)",
        "exp(exp(exp(exp(9*t))))*sp(i)",
    ],
)
def test_not_hermitian_at_some_time_is_refused_whatever_the_time(text):
    with pytest.raises(NeurhoError, match=r"`hamiltonian` must be Hermitian at all times, but .* differs from its adj"):
        driven(text, kick=KICK)


@pytest.mark.parametrize(
    "text",
    [
        "kick*sx(i)",
        "kick*sp(i) + kick*sm(i)",
        "2*kick*sp(i) + kick*2*sm(i)",
        "kick*exp(1j*t)*sp(i) + exp(-1j*t)*kick*sm(i)",
        "exp(-((t-30.27)/0.02)**2/2 + 2j*t)*sp(i) + exp(-((t-30.27)/0.02)**2/2 - 2j*t)*sm(i)",
        "exp(1j*(2*t + 0.3))*sp(i) + exp(-(1j*(2*t + 0.3)))*sm(i)",
        "(cos(t) + 1j*sin(t))*sp(i) + exp(-1j*t)*sm(i)",
        "cos(t)*sp(i) + 1j*sin(t)*sp(i) + exp(-1j*t)*sm(i)",
        "1j*t*(sp(i) - sm(i))",
        "(1 + tanh((t-30)/0.001))*sy(i)",
        "1/t*sx(i)",
        "sqrt(1 - t**2)*sx(i)",
        "(3 - t)**0.5*sp(i) + (3 - t)**0.5*sm(i)",
        "0*exp(1j*t)*sp(i) + 0*exp(-1j*t)*sm(i)",
        "sqrt(kick - 2)*kick*sz(i)",
        "exp(exp(exp(exp(9*t))))*sx(i)",
    ],
)
def test_hermitian_at_all_times(text):
    driven(text, kick=KICK)


def window(t):
    return 1.0 if 3.3 < t < 3.4 else 0.0


def turning(t):
    return np.exp(1j * t)


def back(t):
    return np.exp(-1j * t)


def test_python_functions_in_a_hamiltonian():
    """Pairs are known by their values; those that were zero wherever one looked are looked at later."""
    assert (window * sx(0)).is_hermitian()
    assert (window * sp(0) + window * sm(0)).is_hermitian()
    assert not (window * sp(0)).is_hermitian()
    assert (window * sp(0) + (lambda t: window(t)) * sm(0)).is_hermitian()
    assert (turning * sp(0) + back * sm(0)).is_hermitian()
    assert (turning * sp(0) + (turning * sp(0)).adjoint()).is_hermitian()
    assert not (turning * sp(0) + turning * sm(0)).is_hermitian()
    assert not (turning * sx(0)).is_hermitian()
    assert ((lambda t: 2 * np.cos(t)) * sp(0) + np.cos * (2 * sm(0))).is_hermitian()


def test_python_functions_are_looked_at_at_every_time_that_is_reached():
    complex_ = Lindbladian(ONE, sx(0) * (lambda t: 1j * window(t)))
    uneven = Lindbladian(ONE, window * sp(0) + (lambda t: 2 * window(t)) * sm(0))
    ways = [way for m in (complex_, uneven) for way in (exact.ExactLindbladian(m).at, lindbladian_map(m).at_time)]
    for at in ways:
        at(3.0)
        with pytest.raises(
            NeurhoError, match=r"must be Hermitian at all times, but at t = 3.35 the sum of its terms on"
        ):
            at(3.35)


RATES = {
    "1j*t": ("2j", 2.0),
    "1 + exp(3j*t)": (r"\(1.96017-0.279415j\)", 2.0),
    "cos(t)": ("-0.416147", 2.0),
    "1/t": (r"infinite \(it divides by zero\)", 0.0),
    "sin(t)/t": ("0/0", 0.0),
    "sqrt(t - 1)": ("nan", 0.0),
    "exp(1e4*t)": ("inf", 1.0),
}
FUNCTIONS = {
    "cos": (np.cos, "-0.416147", 2.0),
    "complex": (lambda t: 1 + 1j * t, r"\(1\+2j\)", 2.0),
    "divides": (lambda t: 1 / t, "infinite", 0.0),
    "nothing": (lambda t: None, "no number but None", 0.0),
    "array": (lambda t: np.ones(1), "no number but array", 0.0),
    "shape": (pulses.ramp(1.0, -1.0, end=1.0), "-1", 2.0),
    "table": (pulses.tabulated([0.0, 1.0, 2.0], [1.0, 0.0, -0.5]), "-0.5", 2.0),
}


def ways(rate):
    """Both paths and QuTiP, for a rate as text or a Python function."""
    if isinstance(rate, str):
        model = models.custom(ONE, jumps=[{"on": "sites", "operator": "sm(i)", "rate": rate}])
    else:
        model = Lindbladian(ONE, sz(0), [(rate, sm(0))])
    exactly, network = exact.ExactLindbladian(model), lindbladian_map(model)
    return exactly.at, network.at_time, lambda t: interchange.to_qutip(model, t)


@pytest.mark.parametrize("name", [*RATES, *FUNCTIONS])
def test_rates_that_are_none_are_refused_with_time_and_value(name):
    rate, value, t = FUNCTIONS[name] if name in FUNCTIONS else (name, *RATES[name])
    for way in ways(rate):
        with pytest.raises(NeurhoError, match=rf"`jumps\[0\].rate` must be a finite .* is {value}.* at t = {t:g}\."):
            way(t)


def test_rounding_is_no_fault():
    for way in ways("(1 + exp(1j*t)) * (1 + exp(-1j*t))"):
        way(2.0)
    assert rate_at(lambda t: -1e-16, 0.0, "rate") == 0.0


PROBLEM = """
[lattice]
kind = "chain"
shape = [2]

[model]
kind = "custom"
hamiltonian = [{ on = "sites", operator = "OPERATOR" }]
jumps = [{ on = "sites", operator = "sm(i)", rate = "RATE" }]

[pulses.kick]
kind = "sin2"
start = 3.0
end = 6.0

[initial]
bloch = [0.0, 0.0, -1.0]

[task]
kind = "evolve"
t = 7.0
METHOD
"""
NETWORK = """
[ansatz]
kind = "rbm"
hidden = 1
mixing = 1

[sampling]
kind = "enumeration"
"""


@pytest.mark.parametrize(
    ("operator", "rate", "sentence"),
    [
        (
            "kick*sp(i)",
            "1.0",
            r"In \[model\]: Argument `hamiltonian` must be Hermitian .* with coefficient `kick` differs",
        ),
        ("sin(t)/t*sx(i)", "1.0", r"Coefficients of `model` must be finite, but `sin\(t\)/t` is 0/0 at t = 0\."),
        (
            "sx(i)",
            "1j*t",
            r"Key `model.jumps\[0\].rate` must be a finite real number .*, but `1j\*t` is 0.07j at t = 0.07",
        ),
        ("sx(i)", "1 + exp(3j*t)", r"Key `model.jumps\[0\].rate` must be a finite real number"),
        ("sx(i)", "1/t", r"but `1/t` is infinite \(it divides by zero\) at t = 0\."),
    ],
)
def test_problem_files_are_refused_before_they_run(operator, rate, sentence):
    text = PROBLEM.replace("OPERATOR", operator).replace("RATE", rate)
    for method in ('method = "exact"', NETWORK):
        with pytest.raises(NeurhoError, match=sentence):
            build(config.loads(text.replace("METHOD", method)))


@pytest.mark.parametrize("put", ["operator", "jump", "rate", "pulse", "value", "drive"])
def test_functions_of_more_than_the_time(put):
    """As QuTiP has them."""

    def f(t, args):
        return 1.0

    make = {
        "operator": lambda: sx(0) * f,
        "jump": lambda: Lindbladian(ONE, sx(0), [(1.0, f * sm(0))]),
        "rate": lambda: Lindbladian(ONE, sx(0), [(f, sm(0))]),
        "pulse": lambda: models.heisenberg(ONE, field=(1, 0, 0), pulses={"field": f}),
        "value": lambda: driven("kick*sx(i)", kick=f),
        "drive": lambda: models.processor(ONE, T1=1.0, drives=[{"pulse": f}]),
    }
    with pytest.raises(NeurhoError, match=r"must be a function of time alone, f\(t\), but `f` takes \(t, args\)"):
        make[put]()
    with pytest.raises(NeurhoError, match=r"`values\['kick'\]` must be a finite number, a list of them or a function"):
        driven("sx(i)", kick="fast")


def switched(t):
    """Branches, `float` and NumPy: nothing of it can be traced."""
    return float(np.interp(t, [0.0, 1.0], [0.2, 1.0])) if t > 0.5 else 0.1


def test_any_python_function_is_a_coefficient_of_a_network():
    """The local values of a network against L on its density matrix."""
    model = Lindbladian(
        lattice.chain(2),
        switched * (sx(0) + sz(0) * sz(1)) + turning * sp(1) + back * sm(1),
        [(switched, sm(0)), (lambda t: abs(np.cos(t)), switched * sm(1) + local(np.diag([1.0, 0.5]), 1))],
    )
    network, generator = random_rbm(jax.random.key(0), 2, hidden=1, mixing=1, scale=0.3), lindbladian_map(model)
    rho = np.asarray(density_matrix(network))
    for t in (0.2, 0.7):
        found = lindblad_values(network, generator, t, jnp.asarray(all_labels(2, 4)), 16)
        expected = exact.ExactLindbladian(model).apply(rho, t)
        np.testing.assert_allclose(found * to_table(rho, 2, 2), to_table(expected, 2, 2), atol=1e-12)


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (lambda t: 1 / t, r"infinite \(it divides by zero\) at t = 0"),
        (lambda t: 1 / (4 - t), r"infinite \(it divides by zero\) at t = 4"),
        (lambda t: 1 + 1j * t, r"\(1\+.*j\) at t = "),
        (lambda t: 1 - t, r"-.* at t = "),
    ],
)
def test_rates_at_the_ends_of_a_run_are_looked_at(rate, said):
    """Steps see a rate from inside of a run only, in the exact solver as in matrix products."""
    model, down = Lindbladian(lattice.chain(2), sx(0), [(rate, sm(0))]), exact.product_state((0, 0, -1), sites=2)
    said = rf"`jumps\[0\].rate` must be a finite real number >= 0 at all times, but `<lambda>` is {said}"
    with pytest.raises(NeurhoError, match=said):
        list(exact.evolve(model, down, [0.0, 4.0]))
    with pytest.raises(NeurhoError, match=said):
        list(matrix_product.evolve(model, np.array([[0.0, 0.0, -1.0]] * 2), [0.0, 4.0]))
