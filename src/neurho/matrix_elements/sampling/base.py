"""What a sampler is: `(key, amplitudes, chains) -> (draw, chains, info)`, pure."""

import abc
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho.matrix_elements.networks.base import AbstractAmplitudes


class Draw(NamedTuple):
    """Configurations with weights that sum to one.

    `draws` successive states of each of `chains` independent chains. An exact sum has zero statistical error and
    stands as one draw of as many "chains" as there are configurations.
    """

    x: Int[Array, "draws chains sites"]
    weight: Float[Array, "draws chains"]


class DrawInfo(NamedTuple):
    """For humans: the mean acceptance of proposals."""

    acceptance: Float[Array, ""]


class AbstractSampler(eqx.Module):
    """Draws configurations from |rho|^2 (for the flow) or from rho(l, l) (for observables)."""

    exact: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes) -> Int[Array, "chains sites"]:
        """The chains before the first call of `sample`."""

    @abc.abstractmethod
    def sample(
        self, key: PRNGKeyArray, amplitudes: AbstractAmplitudes, chains: Int[Array, "chains sites"]
    ) -> tuple[Draw, Int[Array, "chains sites"], DrawInfo]:
        """Continue the chains and return what they visited."""
