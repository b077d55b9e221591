"""Fits that are kept: a larger network begins with a smaller one, and a row goes on where an earlier run ended."""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

NOISE = 0.01
"""Standard deviation of the parameters that a larger network has more."""


class Kept(NamedTuple):
    """Parameters, and the seconds that it took to find them at this size."""

    vector: np.ndarray
    seconds: float


class Store:
    """What was found for each system, network, n and task, in memory and, where there is one, in a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.found: dict[str, Kept] = {}

    def keep(self, name: str, kept: Kept) -> None:
        self.found[name] = kept
        if self.folder is not None:
            np.savez(self.folder / f"{name}.npz", **kept._asdict())

    def get(self, name: str) -> Kept | None:
        path = None if self.folder is None else self.folder / f"{name}.npz"
        if name not in self.found and path is not None and path.exists():
            with np.load(path) as file:
                self.found[name] = Kept(file["vector"], float(file["seconds"]))
        return self.found.get(name)


def grown(small: Any, large: Any) -> Any:
    """The larger network, with the arrays of the smaller one in their first entries."""

    def joined(few: Any, many: Any) -> Any:
        return many.at[tuple(slice(size) for size in few.shape)].set(few) if eqx.is_inexact_array(few) else many

    if type(small).__name__ == "MPDO":  # new bonds have no weight of their own
        large = eqx.tree_at(lambda one: one.tensors, large, large.tensors.at[0, :, :, 0].add(-jnp.eye(bond_of(large))))
    return jax.tree.map(joined, small, large)


def bond_of(network: Any) -> int:
    return network.tensors.shape[-1]
