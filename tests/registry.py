"""Everything that can be swapped: one row for each public ansatz, sampler, solver and method of integration.

A new one is one export and one row here; tests/house/test_protocols.py then holds it to its signature.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import helpers
from neurho.dynamics import integrate
from neurho.matrix_elements.networks import (
    AbstractAnsatz,
    Hermitian,
    InSector,
    Reevaluated,
    from_amplitude,
    from_module,
    random_convolution,
    random_gram,
    random_liouville,
    random_mpdo,
    table_from_matrix,
    translated,
)
from neurho.matrix_elements.sampling import Blurred, enumerate_all, enumerate_diagonal, metropolis, metropolis_diagonal
from neurho.matrix_elements.symmetry import number
from neurho.matrix_elements.tdvp.crossvalidation import CrossValidated
from neurho.matrix_elements.tdvp.solvers import ConjugateGradient, MinSR, Ridge, SignalToNoise, SpectralCutoff
from neurho.model import lattice

SITES = 2


class MatrixProduct(AbstractAnsatz):
    """A chain of complex matrices, one for each label: neither Hermitian nor positive, rho(l, l) of any phase."""

    tensors: jax.Array  # (2, sites, labels, bond, bond), real
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: ClassVar[bool] = False

    @classmethod
    def random(cls, seed, sites=SITES, *, noise=0.3):
        parts = noise * np.random.default_rng(seed).normal(size=(2, sites, 4, 2, 2))
        parts[0] += np.eye(2)
        return cls(jnp.asarray(parts), sites=sites, local_dim=2)

    def log_amplitude(self, x):
        chosen = jax.lax.complex(*self.tensors)[jnp.arange(self.sites), x]
        edge = jnp.zeros(chosen.shape[-1], dtype=complex).at[0].set(1.0)
        end, _ = jax.lax.scan(lambda row, matrix: (row @ matrix, None), edge, chosen)
        return jnp.log(end[0])

    def amplitudes(self):
        return Reevaluated(self)


class Perceptron(AbstractAnsatz):
    """log rho from an ordinary module of `equinox.nn`, with activations among its leaves."""

    net: eqx.nn.MLP
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True, default=2)
    hermitian: ClassVar[bool] = False

    @classmethod
    def random(cls, seed, sites=SITES, *, width=4):
        return cls(eqx.nn.MLP(2 * sites, 2, width, 1, key=jax.random.key(seed)), sites=sites)

    def log_amplitude(self, x):
        re, im = self.net(1.0 - 2.0 * jnp.concatenate([x // 2, x % 2]))
        return jax.lax.complex(re, im)

    def amplitudes(self):
        return Reevaluated(self)


def quadratic(parameters, left, right):
    """log rho of a plain function, with a complex matrix and a real vector for parameters."""
    return left @ parameters["matrix"] @ right + parameters["field"] @ (left + right)


def own_function(seed, sites=SITES, **claims):
    """A module of one's own: neither Hermitian nor positive."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(sites, sites)) + 1j * rng.normal(size=(sites, sites))
    leaves = {"matrix": 0.4 * matrix, "field": 0.4 * rng.normal(size=sites)}
    return from_module(quadratic, leaves, sites=sites, **claims)


def amplitude(parameters, levels, k):
    """log phi_k(l), linear in the levels."""
    return parameters[k] @ levels


def own_amplitude(seed, sites=SITES, ancillas=3):
    """A positive density matrix of a plain function."""
    rng = np.random.default_rng(seed)
    leaves = 0.4 * (rng.normal(size=(ancillas, sites)) + 1j * rng.normal(size=(ancillas, sites)))
    return from_amplitude(amplitude, leaves, sites=sites, ancillas=ancillas)


CHAIN = lattice.chain(SITES)
RING = lattice.chain(SITES, periodic=True)
SIZES = {"samples": 8, "chains": 4, "warmup": 1}

ANSATZES = {
    "RBM": lambda: helpers.network(0, SITES),
    "RBM of three levels": lambda: helpers.network(0, SITES, local_dim=3),
    "TiedRBM": lambda: helpers.tied_network(0, lattice.chain(SITES, periodic=True)),
    "LiouvilleRBM": lambda: random_liouville(jax.random.key(0), SITES, hidden=2, mixing=2, scale=0.4),
    "NDM": lambda: helpers.neural_density_matrix(0, SITES),
    "GramHadamard": lambda: random_gram(0, SITES, width=3, depth=2, factors=2, scale=0.4),
    "MPDO": lambda: random_mpdo(0, SITES, bond=2, scale=0.4),
    "MPDO of a ring": lambda: random_mpdo(0, SITES, bond=2, periodic=True, uniform=True, scale=0.4),
    "GroupConvolution": lambda: random_convolution(
        0, lattice.chain(SITES, periodic=True).translations, channels=2, depth=2, scale=0.4
    ),
    "Table": lambda: table_from_matrix(helpers.random_state(np.random.default_rng(0), 4), sites=SITES),
    "MatrixProduct": lambda: MatrixProduct.random(0),
    "Perceptron": lambda: Perceptron.random(0),
    "ModuleAnsatz": lambda: own_function(0),
    "Positive": lambda: own_amplitude(0),
    "Hermitian": lambda: Hermitian(own_function(0)),
    "Symmetrised": lambda: translated(own_function(0), RING),
    "InSector": lambda: InSector(own_function(0), number()),
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
