"""The verdict on a result: words, reasons, and that nothing known is left out."""

import numpy as np
import pytest
import xarray as xr

from neurho.certificate import GOOD, LIMITS, USABLE, USELESS, certify, sentence
from neurho.records import judge

FINE = {"error_local": 0.01, "error_estimate": 0.01, "residual": 0.01, "r_hat": 1.0, "acceptance": 0.3, "ess": 1e3}
STILL = {"distance": 1e-3, "delta_L": 1e-3}


@pytest.mark.parametrize(
    ("figures", "kind", "word"),
    [
        (FINE, "evolve", GOOD),
        (FINE | {"error_local": 0.1}, "evolve", USABLE),
        (FINE | {"error_local": 0.3}, "evolve", USELESS),
        (FINE | {"preparation": 0.06}, "evolve", USABLE),
        (FINE | {"error_estimate": 0.6}, "evolve", USELESS),
        ({"error_estimate": 0.05}, "evolve", USABLE),  # nobody followed the means
        (FINE | {"residual": 1.0}, "evolve", USELESS),
        (FINE | {"delta_rho": 0.8}, "evolve", USELESS),
        (FINE | {"trace_distance": 0.1}, "evolve", USABLE),
        (FINE | {"r_hat_diagonal": 1.2}, "evolve", USABLE),
        (FINE | {"r_hat": 1.5}, "evolve", USELESS),
        (FINE | {"acceptance": 1e-3}, "evolve", USABLE),
        (FINE | {"ess": 20.0}, "evolve", USABLE),
        (FINE | {"error_local": float("nan")}, "evolve", USELESS),
        (FINE | {"distance": 1e3, "delta_L": 30.0}, "evolve", GOOD),
        (STILL, "stationary", GOOD),
        (STILL | {"error_local": 1.0}, "stationary", GOOD),
        ({"distance": 1e-13}, "stationary", GOOD),
        (STILL | {"distance": 3.0}, "stationary", USELESS),
        (STILL | {"r_hat": 1.5}, "stationary", USELESS),
        ({"error_means": 0.015, "negativity": 1.0}, "stationary", GOOD),
        ({"error_means": 0.05}, "evolve", USABLE),
        ({"error_means": 0.15}, "stationary", USELESS),
        ({"error_means": 1e-3, "negativity": 4.0}, "evolve", USELESS),
        ({}, "evolve", None),
    ],
)
def test_words(figures, kind, word):
    found = certify(figures, kind, reached=True)
    assert found.word == word
    assert bool(found.reasons) == (word in (USABLE, USELESS))


@pytest.mark.parametrize("name", [*LIMITS, "preparation", "error_local"])
def test_every_known_number_counts(name):
    """With one number far beyond its limit, no result is good, whatever else is known."""
    bad = -1.0 if name in LIMITS and LIMITS[name].least else 10.0
    kind = "stationary" if name in ("distance", "delta_L") else "evolve"
    known = (STILL if kind == "stationary" else FINE) | {name: bad}
    if name == "error_means":  # made from others
        known |= {"error_local": bad}
    found = certify(known, kind, reached=True)
    assert found.word == USELESS
    assert any(name in reason or "error_means" in reason for reason in found.reasons)


def test_a_run_must_have_begun_and_come_to_its_end():
    assert certify(FINE, "evolve", began=False).word == USELESS
    assert certify({}, "evolve", began=False).word == USELESS
    assert certify(FINE, "evolve", reached=None).word == GOOD  # it goes on
    cut = certify(FINE, "evolve", reached=False)
    assert (cut.word, cut.reasons) == (USABLE, ("it has not come to its end",))
    assert certify(STILL, "stationary", reached=False).reasons == ("it has not reached its goal",)


def test_quantities_can_deserve_worse_words():
    errors = {"sz": 0.003, "sz_site": 0.02, "szsz": 0.004, "purity": 0.0}
    found = certify(FINE | {"error_estimate": 0.12}, "evolve", errors=errors, reached=True)
    assert found.word == GOOD
    assert found.words == {"sz_site": USABLE, "purity": USELESS}
    noisy = certify(FINE, "evolve", errors=errors | {"sz": 0.2}, reached=True)
    assert (noisy.word, noisy.reasons) == (USELESS, ("sz has a standard error of 0.2",))


def test_statistics_alone_can_judge():
    """A method that has nothing but its scatter, as trajectories do."""
    assert certify({}, "evolve", errors={"sz": 0.004}, reached=True).word == GOOD
    assert certify({}, "evolve", errors={"sz": 0.04}, reached=True).word == USABLE


def test_the_sentence():
    found = certify(FINE | {"residual": 0.95}, "evolve", errors={"sz_site": 0.9}, reached=True)
    summary = {"verdict": found.word, "reasons": list(found.reasons), "verdicts": dict(found.words)}
    meaning = LIMITS["residual"].meaning
    assert sentence(summary) == f"Verdict: do not use, because residual = 0.95 is above 0.9 ({meaning})."
    assert sentence({"verdict": "good"}) == "Verdict: good."
    assert sentence({}) == ""


def series(times, **columns):
    steps = {"step": ("t", np.arange(len(times)))}
    return xr.Dataset(steps | {n: ("t", np.asarray(v, float)) for n, v in columns.items()}, coords={"t": times})


def test_the_whole_run_counts_and_not_its_end():
    """R-hat of 1.5 in the middle of an evolution, acceptance near zero at its start."""
    bad = series([0.0, 1.0, 2.0], error_estimate=[0.0, 0.01, 0.01], error_local=[0.0] * 3, r_hat=[1.0, 1.5, 1.0])
    assert judge(bad, "evolve", average=None, reached=True).word == USELESS
    slow = series([0.0, 1.0, 2.0], error_estimate=[0.0] * 3, error_local=[0.0] * 3, acceptance=[1e-4, 0.3, 0.3])
    assert judge(slow, "evolve", average=None, reached=True).word == USABLE


def test_a_run_that_never_left_its_start():
    still = series([0.0], error_estimate=[0.001], error_local=[0.0])
    found = judge(still, "evolve", average=None, reached=False)
    assert (found.word, found.reasons) == (USELESS, ("it has not taken a step",))
    assert judge(series([]), "evolve", average=None, reached=False).word == USELESS


def test_what_the_start_has_lost_counts():
    prepared = series([0.0, 1.0], error_estimate=[0.06, 0.07], error_local=[0.0, 0.01])
    assert judge(prepared, "evolve", average=None, reached=True).word == USABLE


def test_the_way_to_a_stationary_state_does_not_count():
    found = series([0.0, 1.0, 2.0, 3.0, 4.0], lindblad_norm2=[9.0, 9.0, 9.0, 9.0, 1e-5], delta_L=[3.0] * 4 + [1e-3])
    assert judge(found, "stationary", average=0.2, reached=True).word == GOOD
    assert judge(found, "stationary", average=1.0, reached=True).word == USELESS


@pytest.mark.parametrize("kind", ["evolve", "stationary"])
@pytest.mark.parametrize(
    ("error", "smallest", "word"),
    [(0.015, 0.0, GOOD), (0.05, 0.1, USABLE), (0.3, 0.1, USELESS), (0.01, -0.02, GOOD), (0.01, -0.04, USELESS)],
)
def test_methods_that_estimate_the_errors_of_means(kind, error, smallest, word):
    """Means with errors as large as the estimate, the way to a stationary state worse by far."""
    before = 5.0 if kind == "stationary" else 0.0
    columns = {"error_estimate": [before, error], "smallest_eigenvalue": [-1e-16, smallest], "sz": [0.5, 0.5]}
    found = judge(
        series([0.0, 1.0], **columns, sz_error=[before, error], weight=[2.0, 3.0]).assign(step=("t", np.array([1, 2]))),
        kind,
        average=None,
        reached=True,
    )
    assert found.word == word
    assert bool(found.reasons) == (word != GOOD)


def test_an_estimate_that_is_not_a_number_is_no_estimate():
    lost = series([0.0, 1.0, 2.0], error_estimate=[0.0, np.nan, 0.001])
    assert judge(lost, "evolve", average=None, reached=True).word == USELESS
