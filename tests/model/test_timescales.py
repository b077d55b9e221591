"""When coefficients change: no step may pass over that, however short it is."""

import jax.numpy as jnp
import numpy as np
import pytest

from neurho import pulses
from neurho._types import NeurhoError
from neurho.config import loads
from neurho.matrix_elements.generator import lindbladian_map
from neurho.model import lattice
from neurho.model.operators import Lindbladian, sm, sp, sz
from neurho.model.text import parse_number
from neurho.model.timescales import schedule, within
from neurho.run.problem import build

CENTRE, WIDTH = 30.27, 0.02


def stops(function, t0, t1):
    """Ends of the longest steps that an integrator may take."""
    plan, found = schedule([function], t0, t1), [t0]
    while found[-1] < t1:
        found.append(plan.stop(found[-1], t1))
        assert found[-1] > found[-2]
    return np.array(found[1:])


def steps_inside(found, low, high):
    return np.sum((found > low) & (found < high))


GAUSSIANS = {
    "shape": pulses.gaussian(3.0, centre=CENTRE, width=WIDTH),
    "text": parse_number(f"3*exp(-((t - {CENTRE})/{WIDTH})**2/2)"),
    "product of text and shape": parse_number(
        "2*cos(t)*kick", values={"kick": pulses.gaussian(3.0, centre=CENTRE, width=WIDTH)}
    ),
    "function of a shape": parse_number("tanh(k)", values={"k": pulses.gaussian(0.5, centre=CENTRE, width=WIDTH)}),
    "python": lambda t: 3.0 * np.exp(-(((t - CENTRE) / WIDTH) ** 2) / 2),
    "python, one number at a time": lambda t: 3.0 * np.exp(-(((t - CENTRE) / WIDTH) ** 2) / 2) if t > 1 else 0.0,
    "jax": lambda t: 3.0 * jnp.exp(-(((t - CENTRE) / WIDTH) ** 2) / 2),
}


@pytest.mark.parametrize("name", GAUSSIANS)
def test_a_short_gaussian_in_a_long_time(name):
    """Steps of less than a width inside it, few on both sides, and none that ends with part of its tail."""
    found = stops(GAUSSIANS[name], 0.0, 60.0)
    assert steps_inside(found, CENTRE - 3.5 * WIDTH, CENTRE + 3.5 * WIDTH) >= 10
    if name != "product of text and shape":  # the cosine has steps of its own
        assert len(found) <= 30
    before = found[found < CENTRE - 3 * WIDTH]
    assert before[-1] < CENTRE - 3 * WIDTH


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_text_is_enclosed_however_short_it_changes(width):
    """A grid of any size would miss these; enclosures over whole intervals cannot."""
    for text in (
        f"exp(-((t-51.3)/{width})**2)",
        f"cos(t)/3 + 1/(1+((t-51.3)/{width})**2)",
        f"1-tanh((t-51.3)/{width})**2",
    ):
        found = stops(parse_number(text), 0.0, 100.0)
        assert steps_inside(found, 51.3 - 4 * width, 51.3 + 4 * width) >= 4, text
        assert schedule([parse_number(text)], 0.0, 100.0).assumed == ""


@pytest.mark.parametrize(
    "text", ["exp(3j*t)", "sqrt(t)", "1/t", "t**2.5", "2**t", "(1+t)**-3", "sin(t)*tanh(t+1j)", "t**t"]
)
def test_texts_of_all_kinds_have_few_stops(text):
    assert 1 <= len(stops(parse_number(text), 0.0, 2.0)) <= 60


def test_enclosures_hold_all_values():
    """Values at random times inside an interval lie within the ball."""
    from neurho.model.text.coefficients import _enclosed
    from neurho.model.text.enclosures import Ball

    rng = np.random.default_rng(0)
    middle, half = rng.uniform(0.5, 3.0, 40), 10.0 ** rng.uniform(-3, -0.4, 40)
    times = middle + half * rng.uniform(-1, 1, (200, 40))
    for text in (
        "exp(-t**2)", "exp(2j*t)", "sin(5*t)", "cos(1j*t)", "tanh(3*t)", "tanh((1+1j)*t)", "sqrt(t)", "1/(t+1j)",
        "t**-3", "t**0.7", "t**t", "1/(t-1)", "sin(t)*exp(-t) - 2*t/3", "(t-1)**4", "sqrt(t-1)",
    ):  # fmt: skip
        function = parse_number(text)
        with np.errstate(all="ignore"):
            centre, radius = np.broadcast_arrays(*_enclosed(function, Ball(middle.astype(complex), half)))
            away = np.abs(function(times.astype(complex)) - centre)
        assert np.all((away <= radius * (1 + 1e-9) + 1e-12) | ~np.isfinite(radius)), text


def test_edges_are_stops():
    assert stops(pulses.constant(1.0, start=0.3, end=0.7), 0.0, 1.0) == pytest.approx([0.3, 0.7, 1.0])
    found = stops(lambda t: 2.0 if 0.3 <= t < 0.7 else 0.5, 0.0, 1.0)
    assert found == pytest.approx([0.3, 0.7, 1.0], abs=1e-11)
    assert {0.2, 0.6} <= set(stops(pulses.ramp(0.0, 1.0, start=0.2, end=0.6), 0.0, 1.0))
    found = stops(pulses.sin2(1.0, start=0.2, end=0.3), 0.0, 10.0)
    assert all(np.min(np.abs(found - edge)) < 1e-15 for edge in (0.2, 0.3))
    assert len(found) <= 20
    assert len(stops(pulses.sine(1.0, frequency=5.0), 0.0, 2 * np.pi)) >= 30


def test_tables_of_any_length():
    """Knots between straight lines stop nobody; those of a pulse do, and a smooth curve has few."""
    times = np.linspace(0.0, 100.0, 10_001)
    values = np.zeros(10_001)
    values[5093:5108] = 1.0
    spike = pulses.tabulated(times, values)
    found = stops(spike, 0.0, 100.0)
    assert found == pytest.approx([50.92, 50.93, 51.07, 51.08, 100.0], abs=1e-9)
    for smooth in (False, True):
        wave = stops(pulses.tabulated(times, np.sin(times), smooth=smooth), 0.0, 100.0)
        assert 64 <= len(wave) <= 400
    noise = np.random.default_rng(0).normal(size=101)
    assert len(stops(pulses.tabulated(np.linspace(0, 1, 101), noise), 0.0, 1.0)) >= 90


def test_products_and_conjugates_keep_what_they_know():
    kick = pulses.gaussian(1.0, centre=5.0, width=0.01)
    half = (1 + 1j) * (sp(0) * kick) * (lambda t: t)
    model = Lindbladian(lattice.chain(1), half + half.adjoint(), [(kick, sm(0))])
    for plan in (model.schedule(0.0, 10.0), lindbladian_map(model).schedule(0.0, 10.0)):
        t, found = 0.0, []
        while t < 10.0:
            t = plan.stop(t, 10.0)
            found.append(t)
        assert steps_inside(np.array(found), 4.96, 5.04) >= 5
        assert len(plan.partitions) == 2
        assert "looked at every 0.00061 units of time" in plan.assumed
    constant = Lindbladian(lattice.chain(1), sz(0), [(1.0, sm(0))])
    assert constant.schedule(0.0, 10.0).stop(0.0, 10.0) == 10.0
    assert constant.schedule(0.0, 10.0).assumed == ""


def test_stages_lie_inside_their_step():
    """Also late, where the distance of neighbouring numbers is as long as a short step has parts."""
    for t, dt in ((0.0, 0.1), (0.2, 0.1), (1e6, 1e-3), (-3.0, 1e-9), (1e-9, 1e-12)):
        begin, middle, end = (within(t, dt, share) for share in (0.0, 0.5, 1.0))
        assert t < begin < middle < end < t + dt
        assert end - begin > 0.99 * dt


@pytest.mark.parametrize(
    ("text", "pole"),
    [
        ("1/(t-1.2345678)**2", 1.2345678),
        ("2 + 1e-12/(t-0.3)", 0.3),
        ("1/sqrt(t-0.7)", 0.7),
        ("sin(300*t - 100)**-2", None),
        ("exp(1/(t-0.3))", 0.3),
        ("cos(t) + 1/(t-0.9)**2", 0.9),
    ],
)
def test_poles_are_found(text, pole):
    """Of several the strongest; a pole is met to the resolution of floats."""
    (found,) = schedule([parse_number(text)], 0.0, 2.0).poles
    if text.startswith("exp"):
        assert 0.3 <= found[1] < 0.302  # where it overflows
    elif pole is None:
        assert np.sin(300 * found[1] - 100) == pytest.approx(0, abs=1e-12)
    else:
        assert found[1] == pytest.approx(pole, abs=1e-14)


@pytest.mark.parametrize("power", [-2, -0.5])
@pytest.mark.parametrize("place", [1.0, 0.7312])
def test_poles_of_python_functions_are_found(power, place):
    (found,) = schedule([lambda t: abs(float(t) - place) ** power], 0.0, 2.0).poles
    assert found[1] == pytest.approx(place, abs=1e-14)


@pytest.mark.parametrize(
    "text",
    [
        "sin(t-1)/(t-1)",
        "(t-1)**2/(t-1)**2",
        "exp(-((t-51.3)/1e-9)**2)",
        "1/(1+((t-51.3)/1e-9)**2)",
        "sqrt(t)",
        "exp(-1/(t-1)**2)",
        "tanh((t-1)/1e-10)",
    ],
)
def test_what_is_finite_has_no_pole(text):
    assert schedule([parse_number(text)], 0.0, 100.0).poles == ()


SINGULAR = """
[lattice]
kind = "chain"
shape = [2]
[model]
kind = "custom"
hamiltonian = [{ on = "sites", operator = "sx(i)" }]
jumps = [{ on = "sites", operator = "sm(i)", rate = "1/(t-1.2345678)**2" }]
[initial]
bloch = [1, 0, 0]
[task]
kind = "evolve"
t = 2.0
"""
NETWORK = """
[ansatz]
kind = "rbm"
hidden = 2
mixing = 2
[sampling]
kind = "enumeration"
"""


@pytest.mark.parametrize("method", ["exact", "trajectories", "matrix-product", "correlators", "bosh3", "projected"])
def test_every_method_refuses_a_rate_without_bound(method):
    """Before anything runs: steps towards a pole become ever shorter."""
    more = NETWORK if method in ("bosh3", "projected") else ""
    with pytest.raises(NeurhoError) as caught:
        build(loads(f'{SINGULAR}method = "{method}"\n{more}'))
    assert "Key `model.jumps[0].rate` must be a finite real number >= 0 at all times" in str(caught.value)
    assert "has no bound at t = 1.23457" in str(caught.value)


def test_functions_without_bound_are_refused_from_python():
    model = Lindbladian(lattice.chain(1), sz(0) * (lambda t: 1 / (t - 1.2345678)), [(1.0, sm(0))])
    for plan in (model.schedule, lindbladian_map(model).schedule):
        with pytest.raises(NeurhoError, match=r"must be finite, but `<lambda>` has no bound at t = 1\.23457"):
            plan(0.0, 2.0)
