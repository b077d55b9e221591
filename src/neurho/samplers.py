"""Samplers of p(l, r) = |rho(l, r)|^beta and of q(l) = rho(l, l): Markov chains, and sums over all configurations."""

from neurho.matrix_elements.sampling import (
    AbstractSampler,
    Blurred,
    enumerate_all,
    enumerate_diagonal,
    metropolis,
    metropolis_diagonal,
)

__all__ = [
    "AbstractSampler",
    "Blurred",
    "enumerate_all",
    "enumerate_diagonal",
    "metropolis",
    "metropolis_diagonal",
]
