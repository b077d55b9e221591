"""Everything that can be swapped: one row for each public ansatz, sampler, solver and method of integration.

A new one is one export and one row here; tests/unit/test_protocols.py then holds it to its signature.
"""

import jax
import numpy as np

import helpers
from neurho import integrate, lattice
from neurho.ansatz import random_liouville, table_from_matrix
from neurho.crossvalidation import CrossValidated
from neurho.sampling import Blurred, enumerate_all, enumerate_diagonal, metropolis, metropolis_diagonal
from neurho.solvers import ConjugateGradient, MinSR, Ridge, SignalToNoise, SpectralCutoff

SITES = 2
CHAIN = lattice.chain(SITES)
SIZES = {"samples": 8, "chains": 4, "warmup": 1}

ANSATZES = {
    "RBM": lambda: helpers.network(0, SITES),
    "RBM of three levels": lambda: helpers.network(0, SITES, local_dim=3),
    "TiedRBM": lambda: helpers.tied_network(0, lattice.chain(SITES, periodic=True)),
    "LiouvilleRBM": lambda: random_liouville(jax.random.key(0), SITES, hidden=2, mixing=2, scale=0.4),
    "NDM": lambda: helpers.neural_density_matrix(0, SITES),
    "Table": lambda: table_from_matrix(helpers.random_state(np.random.default_rng(0), 4), sites=SITES),
}

# Each takes the local dimension.
SAMPLERS = {
    "enumerate_all": lambda dim: enumerate_all(SITES, dim),
    "enumerate_all of half": lambda dim: enumerate_all(SITES, dim, hermitian=True),
    "enumerate_diagonal": lambda dim: enumerate_diagonal(SITES, dim),
    "metropolis": lambda dim: metropolis(CHAIN, local_dim=dim, **SIZES),
    "metropolis, weighted": lambda dim: metropolis(CHAIN, local_dim=dim, exponent=1.0, **SIZES),
    "metropolis_diagonal": lambda dim: metropolis_diagonal(CHAIN, local_dim=dim, **SIZES),
    "Blurred": lambda dim: Blurred(metropolis(CHAIN, local_dim=dim, **SIZES), 0.5),
}

SOLVERS = {
    "Ridge": Ridge,
    "SpectralCutoff": SpectralCutoff,
    "SignalToNoise": SignalToNoise,
    "ConjugateGradient": ConjugateGradient,
    "MinSR": MinSR,
    "CrossValidated": CrossValidated,
}

METHODS = {name: value for name, value in vars(integrate).items() if isinstance(value, integrate.Tableau)}
