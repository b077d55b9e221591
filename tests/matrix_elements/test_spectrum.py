"""The spectrum of S against the literal S, and how the command draws it."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from test_inherit import problem, write
from test_metric import expected_metric

import helpers
from neurho import NeurhoError, report
from neurho.cli import drawing
from neurho.matrix_elements.sampling import enumerate_all
from neurho.matrix_elements.tdvp.spectrum import MAX_PARAMETERS, metric_spectrum

KEY = jax.random.key(0)


def test_the_spectrum_is_that_of_the_literal_metric():
    found = metric_spectrum(enumerate_all(3, 2, hermitian=True), helpers.network(0), KEY)
    expected = np.linalg.eigvalsh(expected_metric(centred=True)[0])[::-1]
    assert_allclose(found, expected, rtol=0, atol=1e-8 * expected[0])
    assert np.all(np.diff(found) <= 0)


def test_the_command_draws_the_last_state_of_a_run(tmp_path):
    asked = problem(ansatz={"translations": False, "hidden": 2, "symmetry": "none"})
    path = write(tmp_path / "run", asked, helpers.network(1), helpers.network(0))
    driver = SimpleNamespace(samplers=(enumerate_all(3, 2, hermitian=True),))
    built = SimpleNamespace(driver=driver, config=asked)
    axis = drawing.spectrum_of(built, path)["spectrum"].axes[0]
    expected = np.linalg.eigvalsh(expected_metric(centred=True)[0])[::-1]
    drawn = axis.lines[0].get_ydata()
    assert_allclose(drawn[:20], (expected / expected[0])[:20], rtol=1e-6)


def test_large_networks_are_refused():
    large = helpers.network(0, hidden=0, mixing=MAX_PARAMETERS)
    with pytest.raises(NeurhoError, match="at most 3000 parameters for a spectrum, but it has 21006"):
        metric_spectrum(enumerate_all(3, 2), large, KEY)


def test_the_figure_shows_eigenvalues_and_the_regularisation():
    values = np.array([4.0, 2.0, 1e-3, 1e-20, -1e-18])
    axis = report.spectrum(values, ridge=1e-2).axes[0]
    assert_allclose(axis.lines[0].get_xydata(), [[1, 1.0], [2, 0.5], [3, 0.25e-3]])
    assert_allclose(axis.lines[1].get_ydata(), 1e-2 * np.mean(values) / 4)
    assert axis.get_title() == "3 of 5 above rounding ($10^{-15}$)"
    assert_allclose(report.spectrum(values, cutoff=1e-6).axes[0].lines[1].get_ydata(), 1e-6)
    assert len(report.spectrum(values).axes[0].lines) == 1
    with pytest.raises(NeurhoError, match="all eigenvalues are zero"):
        report.spectrum(np.zeros(3))
