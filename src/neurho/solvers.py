"""Solvers of the normal equations S v = f: how the metric is regularised decides the accuracy of a flow."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float

from neurho._types import require
from neurho.metric import Metric, force_variance


class Solution(NamedTuple):
    """The velocity, its residual r^2, and how many directions were kept (all of them for a ridge)."""

    velocity: Float[Array, " parameters"]
    residual: Float[Array, ""]
    rank: Float[Array, ""]


class AbstractSolver(eqx.Module):
    """Turns a [`Metric`][neurho.metric.Metric] into a velocity."""

    @abc.abstractmethod
    def __call__(self, metric: Metric) -> Solution:
        """Solve S v = f with some regularisation."""


class Ridge(AbstractSolver):
    """v = (S + ridge tr(S)/P)^{-1} f by Cholesky. `ridge` is relative to the mean diagonal entry of S."""

    ridge: float = 1e-3

    def __check_init__(self) -> None:
        require(self.ridge > 0, "ridge", "be > 0", f"it is {self.ridge}")

    def __call__(self, metric: Metric) -> Solution:
        """One Cholesky factorisation."""
        count = len(metric.f)
        shift = self.ridge * jnp.trace(metric.s) / count
        velocity = jsl.cho_solve(jsl.cho_factor(metric.s + shift * jnp.eye(count), lower=True), metric.f)
        return Solution(velocity=velocity, residual=metric.residual(velocity), rank=jnp.asarray(float(count)))


class SpectralCutoff(AbstractSolver):
    """The pseudo-inverse of S without eigenvalues below `cutoff` times the largest."""

    cutoff: float = 1e-6

    def __check_init__(self) -> None:
        require(0 < self.cutoff < 1, "cutoff", "lie between 0 and 1", f"it is {self.cutoff}")

    def __call__(self, metric: Metric) -> Solution:
        """One eigendecomposition."""
        values, vectors = jnp.linalg.eigh(metric.s)
        keep = values > self.cutoff * values[-1]
        velocity = vectors @ (jnp.where(keep, 1 / jnp.where(keep, values, 1), 0) * (vectors.T @ metric.f))
        return Solution(velocity=velocity, residual=metric.residual(velocity), rank=jnp.sum(keep, dtype=float))


class SignalToNoise(AbstractSolver):
    """Eigendirections of S weighted by their signal-to-noise ratio (Schmitt & Heyl, PRL 125, 100503, arXiv:1912.08828).

    Direction k, with force f_k = V_k^T f of ratio snr_k = |f_k|/sigma(f_k), enters with weight 1/(1 + (snr/snr_k)^6) and
    1/(1 + (cutoff/(s_k/s_max))^6). For exact sums all but the cut-off is trivial.
    """

    snr: float = 2.0
    cutoff: float = 1e-8

    def __check_init__(self) -> None:
        require(self.snr > 0, "snr", "be > 0", f"it is {self.snr}")
        require(0 < self.cutoff < 1, "cutoff", "lie between 0 and 1", f"it is {self.cutoff}")

    def __call__(self, metric: Metric) -> Solution:
        """One eigendecomposition and a second pass over the samples."""
        values, vectors = jnp.linalg.eigh(metric.s)
        force = vectors.T @ metric.f
        noise = jnp.sqrt(force_variance(metric, vectors))
        signal = jnp.abs(force) / jnp.where(noise > 0, noise, 1)
        tiny = jnp.finfo(float).tiny ** 0.1
        weight = jnp.where(noise > 0, 1 / (1 + (self.snr / jnp.maximum(signal, tiny)) ** 6), 1.0)
        relative = jnp.maximum(values / values[-1], tiny)
        weight = weight / (1 + (self.cutoff / relative) ** 6)
        velocity = vectors @ (weight * force / jnp.maximum(values, tiny * values[-1]))
        return Solution(velocity=velocity, residual=metric.residual(velocity), rank=jnp.sum(weight))
