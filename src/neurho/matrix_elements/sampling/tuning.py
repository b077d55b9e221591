"""The exponent and the blur of a sampler, chosen between steps from what the last samples were worth.

A large exponent beta concentrates chains of |rho|^beta where |rho|^2 is: weights are even, but the chains hardly move
in a concentrated state. A small one lets them move, and most of their samples weigh nothing. So beta falls while the
acceptance is low and rises while the effective sample size (Kish, of the weights) is; the latter goes first, since no
error bar shows too few samples. Blur, which reaches where |rho|^2 is small and |L rho|^2 is not, grows
while ||L rho||^2 rests on few effective samples and falls while it is what makes the weights uneven.

Steps are small and fixed, and a step that is tried sees one sampler throughout. The rule keeps no history but the
present values, which belong to the state of a run.
"""

import dataclasses
import math
from typing import NamedTuple

import jax.numpy as jnp

from neurho.matrix_elements.sampling.base import AbstractSampler
from neurho.matrix_elements.sampling.blur import Blurred
from neurho.matrix_elements.sampling.metropolis import Metropolis

ACCEPTANCE = 0.05
"""Share of accepted proposals below which the exponent falls."""
ESS = 0.1
"""Effective samples, as a share of all, below which it rises."""
COMFORT = 0.2
"""Effective samples, as a share of all, with which more blur can be afforded."""
NORM2_ESS = 0.02
"""Effective samples of ||L rho||^2, as a share of all, below which it is needed."""
EXPONENTS = (0.5, 2.0)
BLURS = (0.1, 0.7)
STEP = 0.05


class Tuning(NamedTuple):
    """The exponent beta of the chains and the probability of a blurring move."""

    exponent: float
    blur: float


START = Tuning(exponent=1.0, blur=0.5)
"""Where automatic values begin."""


class Automatic(NamedTuple):
    """Which of the two are chosen between steps."""

    exponent: bool = False
    blur: bool = False


class Worth(NamedTuple):
    """What samples were worth: acceptance, and effective samples of averages and of ||L rho||^2 as shares of all."""

    acceptance: float
    ess: float
    norm2_ess: float


def tuning_of(sampler: AbstractSampler) -> Tuning:
    """The present values of a sampler; those of exact sums mean nothing."""
    chain = sampler.chain if isinstance(sampler, Blurred) else sampler
    exponent = float(chain.exponent) if isinstance(chain, Metropolis) else 2.0
    return Tuning(exponent=exponent, blur=float(sampler.fraction) if isinstance(sampler, Blurred) else 0.0)


def tuned(sampler: AbstractSampler, tuning: Tuning) -> AbstractSampler:
    """The same sampler at other values, which are arrays: nothing is compiled again for them."""
    if isinstance(sampler, Blurred):
        chain = tuned(sampler.chain, tuning)
        return dataclasses.replace(sampler, chain=chain, fraction=tuning.blur)
    if isinstance(sampler, Metropolis):
        return dataclasses.replace(sampler, exponent=jnp.asarray(tuning.exponent, dtype=float))
    return sampler


def retuned(tuning: Tuning, automatic: Automatic, worth: Worth) -> Tuning:
    """The values for the next step."""
    exponent, blur = tuning
    if automatic.exponent:
        up = worth.ess < ESS
        down = not up and worth.acceptance < ACCEPTANCE
        exponent = _within(exponent + STEP * (up - down), EXPONENTS)
    if automatic.blur:
        less = worth.ess < ESS and (not automatic.exponent or tuning.exponent >= EXPONENTS[1])
        more = worth.ess > COMFORT and worth.norm2_ess < NORM2_ESS
        blur = _within(blur + STEP * (more - less), BLURS)
    return Tuning(exponent=exponent, blur=blur)


def named_tuning(tuning: Tuning, automatic: Automatic) -> dict[str, float]:
    """The values that are chosen, for a series."""
    return {name: value for name, value, on in zip(tuning._fields, tuning, automatic, strict=True) if on}


def _within(value: float, bounds: tuple[float, float]) -> float:
    """Rounded to the grid of steps, so that sums of steps do not depend on their order."""
    return min(max(round(value / STEP) * STEP, bounds[0]), bounds[1]) if math.isfinite(value) else bounds[1]
