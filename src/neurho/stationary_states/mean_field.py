"""The mean-field stationary state: the product state rho = prod_j rho_j that the Lindbladian leaves at rest, site by
site,

    d rho_j/dt = Tr_{all but j} L (prod_i rho_i) = 0.

It is cheap, often near the true stationary state, and prepared exactly in the network: a good place to start from.
"""

from typing import NamedTuple

import jax
import numpy as np
import scipy

from neurho.matrix_elements.generator import LabelMap, place_values

SETTLED = 1e-8
"""Largest |d rho_j/dt| of a state at rest, in units of the rates."""


class MeanField(NamedTuple):
    """One-site states `(sites, d, d)`, and whether they are at rest (mean-field dynamics may also oscillate)."""

    states: np.ndarray
    settled: bool

    def bloch(self) -> np.ndarray:
        """Bloch vectors `(sites, 3)` of spins."""
        coherence, up, down = self.states[:, 0, 1], self.states[:, 0, 0], self.states[:, 1, 1]
        return np.stack([2 * np.real(coherence), -2 * np.imag(coherence), np.real(up - down)], axis=1)


def mean_field_rates(generator: LabelMap, tables: np.ndarray) -> np.ndarray:
    """The right-hand side above: from one-site tables `(sites, d^2)` of unit trace to their rates of change."""
    dim, trace = generator.label_dim, np.eye(generator.local_dim).reshape(-1)
    rates = np.zeros_like(tables)
    for group in generator.groups:
        count, k = group.sites.shape
        product = np.ones((count, 1), dtype=complex)
        for place in range(k):
            product = (product[:, :, None] * tables[group.sites[:, place]][:, None, :]).reshape(count, -1)
        labels = group.labels @ place_values(k, dim)
        connected = product[np.arange(count)[:, None, None], labels]
        moved = np.sum(group.elements[0] * connected, axis=2) + group.diagonal[0] * product
        moved = moved.reshape(count, *(dim,) * k)
        for place in range(k):
            rest = np.moveaxis(moved, 1 + place, 1)
            for _ in range(k - 1):
                rest = rest @ trace
            np.add.at(rates, group.sites[:, place], rest)
    return rates


def mean_field(generator: LabelMap, *, t_max: float = 200.0, seed: int = 0) -> MeanField:
    """Follow the mean-field equations from near infinite temperature until they are at rest, at most to `t_max`.

    A small random disturbance lets symmetries break where the mean-field state wants them broken. Of several states at
    rest the one that is reached is given.
    """
    sites, d = generator.sites, generator.local_dim
    constants = jax.tree.map(np.asarray, generator)
    rng = np.random.default_rng(seed)
    start = np.eye(d) / d + 1e-3 * _hermitian(rng, sites, d)
    start = start / np.trace(start, axis1=1, axis2=2)[:, None, None]

    def rhs(_: float, y: np.ndarray) -> np.ndarray:
        return mean_field_rates(constants, y.reshape(sites, d * d)).reshape(-1)

    y = start.reshape(-1).astype(complex)
    for _ in range(20):
        y = np.asarray(
            scipy.integrate.solve_ivp(rhs, (0, t_max / 20), y, method="RK45", rtol=1e-8, atol=1e-10).y[:, -1]
        )
        if np.max(np.abs(rhs(0.0, y))) < SETTLED:
            break
    states = y.reshape(sites, d, d)
    states = (states + states.conj().transpose(0, 2, 1)) / 2
    return MeanField(states=states, settled=bool(np.max(np.abs(rhs(0.0, y))) < 100 * SETTLED))


def _hermitian(rng: np.random.Generator, sites: int, d: int) -> np.ndarray:
    a = rng.normal(size=(sites, d, d)) + 1j * rng.normal(size=(sites, d, d))
    return (a + a.conj().transpose(0, 2, 1)) / 2
