"""The one-word verdict of a run."""

import pytest

from neurho.records.summary import verdict


@pytest.mark.parametrize(
    ("summary", "kind", "word"),
    [
        ({"lindblad_norm2": 1e-4, "delta_L": 5e-3}, "stationary", "good"),
        ({"lindblad_norm2": 1e-4, "delta_L": 5e-2}, "stationary", "usable"),
        ({"lindblad_norm2": 1e-2, "delta_L": 5e-3}, "stationary", "usable"),
        ({"lindblad_norm2": 7.0, "delta_L": 0.3}, "stationary", "do not use"),
        ({"lindblad_norm2": 1e-6, "delta_L": 1e-4, "r_hat": 1.3}, "stationary", "do not use"),
        ({"lindblad_norm2": 1e-6, "delta_L": 1e-4, "r_hat": 1.0, "r_hat_diagonal": 1.2}, "stationary", "do not use"),
        ({"lindblad_norm2": 1e-26, "delta_L": None}, "stationary", "good"),
        ({"lindblad_norm2": None, "delta_L": None}, "stationary", None),
        ({"lindblad_norm2": 1e3, "delta_L": 30.0, "error_estimate": 0.05}, "evolve", "good"),
        ({"error_estimate": 0.3}, "evolve", "usable"),
        ({"error_estimate": 0.5}, "evolve", "do not use"),
        ({"lindblad_norm2": 1e3, "delta_L": 30.0}, "evolve", None),
    ],
)
def test_verdicts(summary, kind, word):
    assert verdict(summary, kind) == word
