"""Runge-Kutta methods on a smooth nonlinear equation: measured orders, diffrax as the oracle, step control."""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurho import NeurhoError, NumericalError
from neurho.dynamics.integrate import (
    BOSH3,
    DOPRI5,
    EULER,
    HEUN,
    HEUN_EULER,
    MIDPOINT,
    RK4,
    Method,
    Step,
    StepControl,
    advance,
    doubled_step,
    runge_kutta_step,
)  # fmt: skip

TABLEAUX = {
    "euler": EULER,
    "midpoint": MIDPOINT,
    "heun": HEUN,
    "heun-euler": HEUN_EULER,
    "rk4": RK4,
    "bosh3": BOSH3,
    "dopri5": DOPRI5,
}
START = np.array([1.0, 0.3])
KEY = jax.random.key(0)


class Euclidean:
    """The metric of a fake right-hand side."""

    def length(self, v):
        return np.linalg.norm(v)


class FakeRates(NamedTuple):
    velocity: np.ndarray
    chains: int
    metric: Euclidean = Euclidean()


def slope(t, y):
    """A driven pendulum with friction."""
    return np.array([y[1], -np.sin(2 * y[0]) - 0.3 * y[1] ** 2 + np.cos(3 * t)])


def rhs(key, t, y, chains):
    """The slope, with a chain that counts its calls."""
    del key
    return FakeRates(slope(t, y), chains + 1)


@pytest.fixture(scope="module")
def reference():
    """y(1) from diffrax's adaptive Dopri8 at 1e-13."""
    term = diffrax.ODETerm(lambda t, y, _: jnp.stack([y[1], -jnp.sin(2 * y[0]) - 0.3 * y[1] ** 2 + jnp.cos(3 * t)]))
    control = diffrax.PIDController(rtol=1e-13, atol=1e-13)
    solution = diffrax.diffeqsolve(
        term, diffrax.Dopri8(), 0.0, 1.0, 0.01, jnp.asarray(START), stepsize_controller=control
    )
    return np.asarray(solution.ys[0])


def error_at_one(take, steps, reference):
    y, chains = START, 0
    for n in range(steps):
        step = take(rhs, KEY, n / steps, 1 / steps, y, chains)
        y, chains = np.asarray(step.y), step.chains
    return np.linalg.norm(y - reference)


def measured_order(take, reference, steps=(12, 16, 24)):
    errors = [error_at_one(take, n, reference) for n in steps]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("name", TABLEAUX)
def test_order(name, reference):
    tableau = TABLEAUX[name]
    found = measured_order(lambda *args: runge_kutta_step(tableau, *args), reference)
    # The leading error of Dormand and Prince is so small that the next one is seen: 5.6 at 48 to 96 steps.
    assert tableau.order - 0.35 < found < tableau.order + (0.9 if name == "dopri5" else 0.35)


@pytest.mark.parametrize("name", ["euler", "heun", "rk4"])
def test_order_of_step_doubling(name, reference):
    """The order of the method, with smaller errors than one step of the same length."""
    tableau = TABLEAUX[name]
    assert measured_order(lambda *args: doubled_step(tableau, *args), reference) == pytest.approx(
        tableau.order, abs=0.35
    )
    assert error_at_one(Method(tableau, doubling=True).step, 8, reference) < error_at_one(
        Method(tableau).step, 8, reference
    )


@pytest.mark.parametrize(
    "method",
    [Method(HEUN_EULER), Method(BOSH3), Method(DOPRI5), Method(HEUN, doubling=True), Method(RK4, doubling=True)],
)
def test_error_estimates(method):
    """They fall with the stated power of dt; for step doubling they are the error of the step itself."""
    sizes = np.array([0.08, 0.04, 0.02])
    steps = [method.step(rhs, KEY, 0.2, dt, START, 0) for dt in sizes]
    errors = [np.linalg.norm(s.error) for s in steps]
    assert np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(method.error_order, abs=0.35)
    assert method.adaptive
    if method.doubling:
        y = START
        for n in range(100):
            y = np.asarray(runge_kutta_step(RK4, rhs, KEY, 0.2 + n * 2e-4, 2e-4, y, 0).y)
        np.testing.assert_allclose(y - np.asarray(steps[-1].y), steps[-1].error, rtol=0, atol=0.1 * errors[-1])


@pytest.mark.parametrize("name", TABLEAUX)
def test_tableaux_are_consistent(name):
    t = TABLEAUX[name]
    np.testing.assert_allclose([sum(row) for row in t.a], t.c, rtol=0, atol=1e-14)
    assert sum(t.b) == pytest.approx(1, abs=1e-14)
    assert Method(t).adaptive == (t.error is not None)
    if t.error is not None:
        assert sum(t.error) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(("ours", "theirs"), [(BOSH3, diffrax.Bosh3), (DOPRI5, diffrax.Dopri5)])
def test_coefficients_are_those_of_diffrax(ours, theirs):
    t = theirs.tableau
    assert [list(row) for row in ours.a[1:]] == [row.tolist() for row in t.a_lower]
    assert ours.c == (0.0, *t.c)
    assert ours.b == tuple(t.b_sol)
    np.testing.assert_allclose(ours.error, t.b_error, rtol=1e-13)


def recording():
    """The right-hand side, and a list of the keys, times and chains it was called with."""
    seen = []

    def record(key, t, y, chains):
        seen.append((tuple(jax.random.key_data(key).tolist()), float(t), chains))
        return FakeRates(slope(t, y), chains + 1)

    return record, seen


def test_stages_share_random_numbers():
    """All stages draw with one key from the chains at the start; the step goes on with the chains of the last stage."""
    record, seen = recording()
    step = runge_kutta_step(BOSH3, record, KEY, 0.5, 0.1, START, 7)
    assert [chains for _, _, chains in seen] == [7] * 4
    assert len({key for key, _, _ in seen}) == 1
    assert step.chains == 8
    np.testing.assert_allclose([t for _, t, _ in seen], [0.5, 0.55, 0.575, 0.6])
    np.testing.assert_allclose(step.rates.velocity, slope(0.5, START), rtol=1e-12)


def test_half_steps_draw_for_themselves():
    record, seen = recording()
    step = doubled_step(HEUN, record, KEY, 0.0, 0.1, START, 0)
    np.testing.assert_allclose([t for _, t, _ in seen], [0, 0.1, 0, 0.05, 0.05, 0.1], atol=1e-13)
    assert len({key for key, _, _ in seen}) == 3
    assert step.chains > 0


def run(method, control, t_stop, dt, y=START, rhs=rhs):
    t, steps, chains = 0.0, [], 0
    while t < t_stop:
        step, t, dt = advance(method, control, rhs, KEY, t, t_stop, dt, y, chains)
        y, chains = np.asarray(step.y), step.chains
        steps.append((t, dt))
    return y, steps


@pytest.mark.parametrize("method", [Method(BOSH3), Method(DOPRI5), Method(HEUN, doubling=True)])
def test_adaptive_solution(method, reference):
    """The error at the end follows the tolerance, and the last step ends at t_stop exactly."""
    found = []
    for tolerance in (1e-3, 1e-5):
        y, steps = run(method, StepControl(tolerance=tolerance), 1.0, 0.3)
        assert steps[-1][0] == 1.0
        assert np.linalg.norm(y - reference) < 10 * tolerance
        found.append(len(steps))
    assert found[1] > found[0]


def test_fixed_steps_hit_the_end():
    """0.1 does not divide 0.25: the last step is cut, and the dt to go on with stays."""
    _, steps = run(Method(RK4), StepControl(), 0.25, 0.1)
    np.testing.assert_allclose([t for t, _ in steps], [0.1, 0.2, 0.25], rtol=0, atol=1e-15)
    assert steps[-1][0] == 0.25
    assert [dt for _, dt in steps] == [0.1] * 3
    _, steps = run(Method(RK4), StepControl(), 0.3, 0.1)  # 0.1 + 0.1 + 0.1 > 0.3 in floating point
    assert [t for t, _ in steps][-1] == 0.3
    assert len(steps) == 3


@pytest.mark.parametrize(
    ("size", "accepted", "proposed"),
    [
        (1e-3, True, 0.09),  # at the tolerance: safety 0.9
        (1e-3 / 64, True, 0.3),  # 0.9 * 64^(1/3) = 3.6, at most 3
        (8e-3, False, 0.045),  # 0.9 / 8^(1/3)
        (1.0, False, 0.02),  # at least 0.2
        (0.0, True, 0.3),
        (np.nan, False, 0.02),
        (np.inf, False, 0.02),
    ],
)
def test_judgement(size, accepted, proposed):
    step = Step(y=START, chains=0, error=np.array([size, 0.0]), rates=FakeRates(START, 0))
    verdict, dt = StepControl(tolerance=1e-3).judge(Method(BOSH3), step, 0.1)
    assert verdict is accepted
    assert dt == pytest.approx(proposed, rel=1e-12)
    assert StepControl(tolerance=1e-3, dt_max=0.05).judge(Method(BOSH3), step, 0.1)[1] <= 0.05


def test_rejected_steps_are_tried_again_with_new_keys():
    """A step much too long is cut until it passes; attempts draw with their own keys and start from the same chains."""
    record, seen = recording()
    step, t, dt = advance(Method(BOSH3), StepControl(tolerance=1e-6), record, KEY, 0.0, 10.0, 2.0, START, 0)
    assert 0 < t < 0.2
    assert dt < 0.2
    assert step.chains == 1
    attempts = seen[::4]
    assert len(attempts) > 1
    assert {chains for _, _, chains in attempts} == {0}
    assert len({key for key, _, _ in attempts}) == len(attempts)


def test_a_step_cut_by_the_end_keeps_its_length():
    _, _, dt = advance(Method(BOSH3), StepControl(tolerance=1e-1), rhs, KEY, 0.0, 1e-3, 0.2, START, 0)
    assert dt >= 0.2


def test_not_a_number_ends_the_run():
    def broken(key, t, y, chains):
        return FakeRates(y * np.nan, chains)

    with pytest.raises(
        NumericalError, match=r"parameters became NaN or infinite in the step from t = 0\.5 with dt = 0\.1"
    ):
        advance(Method(RK4), StepControl(), broken, KEY, 0.5, 1.0, 0.1, START, 0)
    with pytest.raises(NumericalError, match=r"The step size fell below 1\.0e-09 at t = 0\.5"):
        advance(Method(BOSH3), StepControl(tolerance=1e-3), broken, KEY, 0.5, 1.0, 0.1, START, 0)


def test_an_error_that_never_falls_ends_the_run():
    """Noise in the right-hand side larger than any tolerance: dt underflows, and a sentence says so."""
    rng = np.random.default_rng(0)

    def noisy(key, t, y, chains):
        return FakeRates(1e9 * rng.normal(size=2), chains)

    with pytest.raises(
        NumericalError, match=r"fell below 1\.0e-03 at t = 0: the error of a step stays above the tolerance"
    ):
        advance(Method(BOSH3), StepControl(tolerance=1e-6, dt_min=1e-3), noisy, KEY, 0.0, 1.0, 0.1, START, 0)


def test_a_tolerance_needs_an_error_estimate():
    with pytest.raises(
        NeurhoError, match=r"`method` must estimate its error when a tolerance is given, but it has no embedded method"
    ):
        advance(Method(RK4), StepControl(tolerance=1e-3), rhs, KEY, 0.0, 1.0, 0.1, START, 0)
