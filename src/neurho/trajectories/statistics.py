"""Errors: of independent trajectories, and of averages over time, by blocks; how long a run takes to settle."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

UNITS = 32
"""From so many trajectories on, the time average of one is the unit of the error; below, blocks of time are."""

BLOCKS = 64
"""Units that are aimed at where blocks of time are."""

DECORRELATED = 8.0
"""A block is long enough if it holds so many autocorrelation times."""


class Moments(NamedTuple):
    """Number, mean and sum of squared deviations of independent samples."""

    number: int
    mean: np.ndarray
    spread: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """The standard error of the mean; infinite for fewer than two samples."""
        if self.number < 2:
            return np.full_like(self.mean, np.inf)
        return np.sqrt(self.spread / (self.number * (self.number - 1)))


def with_samples(moments: Moments, samples: Float[np.ndarray, "samples ..."]) -> Moments:
    """Moments with more samples (Chan, Golub & LeVeque, Am. Stat. 37, 242 (1983))."""
    more, mean = len(samples), samples.mean(axis=0)
    spread = np.sum((samples - mean) ** 2, axis=0)
    number, step = moments.number + more, mean - moments.mean
    return Moments(
        number=number,
        mean=moments.mean + step * (more / number),
        spread=moments.spread + spread + step**2 * (moments.number * more / number),
    )


class Settled(NamedTuple):
    """Averages over time and trajectories.

    - `discarded`: blocks of the beginning that are left out, of `blocks`.
    - `error`, `tau`, `effective`: standard error, integrated autocorrelation time in samples, effective number.
    - `trusted`: whether the beginning is over and blocks are long enough.
    """

    mean: np.ndarray
    error: np.ndarray
    tau: np.ndarray
    effective: np.ndarray
    discarded: int
    blocks: int
    trusted: bool


def settle(
    means: Float[np.ndarray, "blocks trajectories values"],
    squares: Float[np.ndarray, "blocks trajectories values"],
    length: int,
    watched: np.ndarray,
) -> Settled:
    """Averages of series that are given as means of blocks, and of squares, of `length` samples each.

    The error is that of the mean of units: whole trajectories if there are many, else long blocks, with the
    correlation of neighbouring ones. tau = N error^2/(2 var), with N samples in all.

    **Arguments**

    - `watched`: which values decide what is left out.
    """
    blocks, count, _ = means.shape
    discarded = _beginning(means[..., watched].mean(axis=1)) if blocks >= 8 else blocks // 2
    kept = means[discarded:]
    mean = kept.mean(axis=(0, 1))
    variance = np.maximum(squares[discarded:].mean(axis=(0, 1)) - mean**2, 0)
    parts = 1 if count >= UNITS else max(1, min(-(-BLOCKS // count), len(kept)))
    each = len(kept) // parts
    units = kept[len(kept) - each * parts :].reshape(parts, each, count, -1).mean(axis=1)
    error = _error(units)
    samples = len(kept) * count * length
    known = variance > 1e-20
    tau = np.where(known, samples * error**2 / np.where(known, 2 * variance, 1), 0.5)
    long = each * length >= DECORRELATED * np.max(tau[watched], initial=0.5)
    return Settled(
        mean=mean,
        error=error,
        tau=tau,
        effective=np.minimum(samples / np.maximum(2 * tau, 1e-300), samples),
        discarded=discarded,
        blocks=blocks,
        trusted=bool(blocks >= 8 and long and discarded < blocks // 2 and parts * count >= 8),
    )


def _error(units: Float[np.ndarray, "parts trajectories values"]) -> np.ndarray:
    """The standard error of the mean of all units, which are correlated with their neighbours in time at most."""
    parts, count, _ = units.shape
    if parts * count < 2:
        return np.full(units.shape[-1], np.inf)
    rest = units - units.mean(axis=(0, 1))
    variance = np.sum(rest**2, axis=(0, 1)) / (parts * count - 1)
    if parts < 4:
        return np.sqrt(variance / (parts * count))
    neighbours = np.sum(rest[1:] * rest[:-1], axis=(0, 1)) / ((parts - 1) * count)
    share = np.clip(neighbours / np.where(variance > 0, variance, 1), 0, 1)
    return np.sqrt(variance * (1 + 2 * share) / (parts * count))


def _beginning(series: Float[np.ndarray, "blocks values"]) -> int:
    """Blocks to leave out: those that make the standard error of what remains smallest (MSER; White, Simulation 69,
    323 (1997)), of the value that needs most; half of all at most.
    """
    blocks, found = len(series), 0
    for column in series.T:
        if np.ptp(column) > 1e-12:
            rest = [np.var(column[d:]) / (blocks - d) for d in range(blocks // 2 + 1)]
            found = max(found, int(np.argmin(rest)))
    return found
