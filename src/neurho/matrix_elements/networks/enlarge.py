"""From a small lattice to a larger one: a translation-invariant network keeps its filters."""

import dataclasses
from functools import reduce
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from neurho._types import NeurhoError
from neurho.matrix_elements.networks.liouville import LiouvilleRBM
from neurho.matrix_elements.networks.translated_rbm import TiedRBM
from neurho.model.lattice import Lattice

Tied = TypeVar("Tied", bound=TiedRBM | LiouvilleRBM)


def enlarged(network: Tied, old: Lattice, new: Lattice) -> Tied:
    """The network of a small periodic lattice on a larger one of the same kind.

    Filters are copied at equal displacement from site 0, -L/2 to L/2 per direction; the displacement L/2 of an even L
    is the same site as -L/2, and each of the two gets half of its weight. Beyond, filters are zero.

    ```python
    import jax
    import neurho

    small, large = (neurho.chain(sites, periodic=True) for sites in (4, 8))
    network = neurho.networks.random_tied(jax.random.key(0), small.translations, hidden=4, mixing=4)
    assert neurho.networks.enlarged(network, small, large).sites == 8
    ```

    **Raises** `NeurhoError` unless both lattices have the same kind and, for networks with the point group, the same
    point group, and the new one is nowhere smaller.
    """
    if old.name != new.name or len(old.shape) != len(new.shape):
        raise NeurhoError(
            f"A state moves only to a lattice of its own kind, but it lives on {old} and the new one is {new}."
        )
    if any(n < o for n, o in zip(new.shape, old.shape, strict=True)):
        raise NeurhoError(
            f"A state moves only to a lattice that is at least as large, but its shape is {old.shape} and the new one "
            f"{new.shape}."
        )
    pointed = len(network.translations) > old.sites
    if pointed and len(old.point_group) != len(new.point_group):
        raise NeurhoError(
            "A state with the point group of its lattice moves only to a lattice with the same, but it has "
            f"{len(old.point_group)} operations and that of {new} {len(new.point_group)}."
        )
    copies = reduce(np.kron, [_copies(o, n) for o, n in zip(old.shape, new.shape, strict=True)])
    move = jnp.asarray(copies)

    labels = isinstance(network, LiouvilleRBM)
    names = ("hidden_weights", "mixing_weights") if labels else ("hidden_filters", "mixing_filters")
    features = network.local_dim**2 - 1 if labels else network.local_dim - 1
    axes = (new.sites, features) if labels else (new.sites * features,)

    def spread(filters: Array) -> Array:
        units = filters.shape[: filters.ndim - len(axes)]
        moved = jnp.einsum("ij,...jm->...im", move, filters.reshape(*units, network.sites, features))
        return moved.reshape(*units, *axes)

    return dataclasses.replace(
        network,
        **{name: spread(getattr(network, name)) for name in names},
        translations=jnp.asarray(new.symmetries if pointed else new.translations, dtype=network.translations.dtype),
        sites=new.sites,
    )


def _copies(old: int, new: int) -> np.ndarray:
    """Which part of the weight at displacement j of a ring of `old` sites goes to i of `new`, `(new, old)`."""
    copies = np.zeros((new, old))
    if new == old:
        return np.eye(old)
    for j in range(old):
        ways = [j, j - old] if 2 * j == old else [j if 2 * j < old else j - old]
        for step in ways:
            copies[step % new, j] += 1 / len(ways)
    return copies
