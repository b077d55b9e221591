"""Pulse shapes: values, areas, where integrators stop, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from neurho import NeurhoError, pulses
from neurho.model.timescales import schedule


def stops(function, t0, t1):
    """Ends of the longest steps that an integrator may take."""
    plan, found = schedule([function], t0, t1), [t0]
    while found[-1] < t1:
        found.append(plan.stop(found[-1], t1))
    return np.array(found[1:])


SHAPES = {
    "constant": (pulses.constant(1.5, start=0.2, end=0.7), lambda t: 1.5 if 0.2 <= t < 0.7 else 0.0),
    "ramp": (pulses.ramp(1.0, -2.0, start=0.2, end=0.6), lambda t: 1 - 7.5 * (min(max(t, 0.2), 0.6) - 0.2)),
    "sine": (pulses.sine(0.5, frequency=8.0, phase=0.3, offset=1.0), lambda t: 1 + 0.5 * np.sin(8 * t + 0.3)),
    "gaussian": (pulses.gaussian(2.0, centre=0.5, width=0.1), lambda t: 2 * np.exp(-50 * (t - 0.5) ** 2)),
    "sin2": (
        pulses.sin2(2.0, start=0.2, end=0.6),
        lambda t: 2 * np.sin(np.pi * (t - 0.2) / 0.4) ** 2 if 0.2 < t < 0.6 else 0.0,
    ),
    "tabulated": (
        pulses.tabulated([0.1, 0.4, 1.0], [1.0, -1.0, 2.0]),
        lambda t: np.interp(t, [0.1, 0.4, 1.0], [1.0, -1.0, 2.0]),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_agree_with_the_formula_in_both_libraries(name):
    pulse, formula = SHAPES[name]
    times = np.linspace(-0.1, 1.2, 27)
    expected = [formula(t) for t in times]
    np.testing.assert_allclose([pulse(t) for t in times], expected, atol=1e-14)
    np.testing.assert_allclose(pulse(jnp.asarray(times)), expected, atol=1e-14)
    assert hash(pulse) is not None


def test_areas():
    """The angle of a rotation is the area of its pulse."""
    gaussian, sin2 = SHAPES["gaussian"][0], SHAPES["sin2"][0]
    assert quad(gaussian, -1, 2, points=[0.5])[0] == pytest.approx(2.0 * 0.1 * np.sqrt(2 * np.pi), rel=1e-10)
    assert quad(sin2, 0.2, 0.6)[0] == pytest.approx(2.0 * 0.4 / 2, rel=1e-10)


def test_a_smooth_table_passes_its_points_and_overshoots_nowhere():
    times, values = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 1.0]
    pulse = pulses.tabulated(times, values, smooth=True)
    np.testing.assert_allclose(pulse(np.array(times)), values, atol=1e-14)
    dense = pulse(np.linspace(-1, 4, 501))
    assert dense.min() >= 0
    assert dense.max() <= 1
    assert abs(pulse(1.5) - 0.5) < 1e-12
    assert abs(pulse(1.25) - 0.25) > 0.02  # not a straight line


def test_a_function_with_breaks_and_a_width():
    """What a look at 2^14 times misses is found with a width; breaks are stops even where nothing is seen."""
    narrow = lambda t: np.maximum(0.0, 1 - ((t - 37.123) / 3e-4) ** 2)  # noqa: E731
    assert len(stops(narrow, 0.0, 100.0)) == 1
    found = stops(pulses.function(narrow, width=1e-3), 0.0, 100.0)
    assert np.sum(np.abs(found - 37.123) < 4e-4) >= 2
    found = stops(pulses.function(np.cos, breaks=[0.25, 0.5]), 0.0, 1.0)
    assert {0.25, 0.5} <= set(found)
    assert pulses.function(np.cos)(0.3) == np.cos(0.3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: pulses.constant(1.0, start=1.0, end=1.0), "`end` must lie after `start`"),
        (lambda: pulses.ramp(0.0, 1.0, end=-1.0), "`end` must lie after `start`"),
        (lambda: pulses.sine(1.0, frequency=0.0), "`frequency` must not be zero"),
        (lambda: pulses.gaussian(1.0, centre=0.0, width=0.0), "`width` must be > 0"),
        (lambda: pulses.gaussian(np.nan, centre=0.0, width=1.0), "`height` must be finite real numbers"),
        (lambda: pulses.tabulated([0.0, 2.0, 1.0], [0.0, 0.0, 0.0]), "`times` must increase"),
        (lambda: pulses.tabulated([0.0], [0.0]), "`times` must be at least two numbers"),
        (lambda: pulses.tabulated([0.0, 1.0], [0.0]), "`values` must have one entry for each of the 2 times"),
        (lambda: pulses.function(3.0), "`f` must be a function of time"),
        (lambda: pulses.function(np.cos, width=-1.0), "`width` must be > 0"),
        (lambda: pulses.function(np.cos, breaks=["a"]), "`breaks` must be finite real numbers"),
        (
            lambda: pulses.function(np.cos, width=1e-9).partitions(0.0, 1.0),
            "`width` must be at least 7.63e-06, but it is 1e-09",
        ),
    ],
)
def test_what_is_refused(make, sentence):
    with pytest.raises(NeurhoError, match=sentence):
        make()
