"""Networks with fewer filters than they may have: the first of them, and the others as they wait."""

from dataclasses import replace
from typing import TypeAlias

from neurho.correlators.networks.cumulants import CumulantNetwork
from neurho.correlators.networks.mixture import MixtureNetwork

Filtered: TypeAlias = CumulantNetwork | MixtureNetwork
"""What has filters with weights."""


def with_first(network: Filtered, count: int) -> Filtered:
    """The network of the first filters alone: the same function where all others have no weight."""
    return replace(network, weights=network.weights[:count], letters=network.letters[:count])


def put_back(whole: Filtered, part: Filtered) -> Filtered:
    """The network `whole` with the parameters of `part`, one of its first filters; the others wait as they are."""
    count = len(part.weights)
    weights, letters = whole.weights.at[:count].set(part.weights), whole.letters.at[:count].set(part.letters)
    return replace(whole, means=part.means, weights=weights, letters=letters)
