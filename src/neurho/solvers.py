"""Solvers of S v = f: ridge, spectral cut-off, signal-to-noise, conjugate gradients, minimum-step, cross-validated."""

from neurho.matrix_elements.tdvp.crossvalidation import CrossValidated
from neurho.matrix_elements.tdvp.solvers import (
    AbstractSolver,
    ConjugateGradient,
    MinSR,
    Ridge,
    SignalToNoise,
    SpectralCutoff,
    automatic,
)

__all__ = [
    "AbstractSolver",
    "ConjugateGradient",
    "CrossValidated",
    "MinSR",
    "Ridge",
    "SignalToNoise",
    "SpectralCutoff",
    "automatic",
]
