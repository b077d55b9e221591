"""Networks of correlators as the table [ansatz] asks for them, at their start."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho._types import Record
from neurho.config import require_trust
from neurho.config.string_networks import Combined
from neurho.correlators import networks as nets
from neurho.records import network_of_code
from neurho.run.setup import Setup


def made_network(
    setup: Setup, ansatz: Any, key: PRNGKeyArray, product: np.ndarray, moves: np.ndarray, units: int
) -> nets.AbstractStringNetwork:
    """A network of some size in a product state `(sites, letters)`; `moves` are the symmetries."""
    if isinstance(ansatz, Combined):
        return _combined(setup, ansatz, key, product, moves, units)
    if ansatz.kind == "cumulants":
        return nets.cumulant_network(key, product, moves, units)
    if ansatz.kind == "mixture":
        return nets.mixture_network(key, product, moves, units)
    if ansatz.kind == "matrix-product":
        return nets.matrix_product_network(key, product, units)
    if ansatz.kind == "string-convolution":
        group = moves if ansatz.point_group else _translations(setup, moves)
        made = nets.convolution_network(key, group, product.shape[1], units, ansatz.depth)
    else:
        require_trust(setup.config, trust=setup.trust)
        given: Record = {"sites": len(product), "local_dim": setup.config.local_dim, "key": key}
        where = (ansatz.path, ansatz.name, ansatz.sha256, ansatz.arguments)
        made = network_of_code(*where, **given, take=nets.as_string_network)
    return nets.departing(made, product, moves, connected=ansatz.connected)


def _combined(
    setup: Setup, ansatz: Combined, key: PRNGKeyArray, product: np.ndarray, moves: np.ndarray, units: int
) -> nets.AbstractStringNetwork:
    """All terms of a sum begin in the product state; of the factors of a product the first, and the others are one."""
    ones, parts = np.ones_like(product), []
    for number, (part, size) in enumerate(zip(ansatz.parts, ansatz.sizes(units), strict=True)):
        begin = ones if number and ansatz.kind == "product" else product
        parts.append(made_network(setup, part, jax.random.fold_in(key, number), begin, moves, size))
    return nets.multiplied(*parts) if ansatz.kind == "product" else nets.added(*parts)


def _translations(setup: Setup, moves: np.ndarray) -> np.ndarray:
    lattice = {tuple(move) for move in setup.lattice.translations.tolist()}
    return np.array([move for move in moves.tolist() if tuple(move) in lattice])
