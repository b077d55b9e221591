"""The systems of the table, with their exact stationary states."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tomli_w

from neurho import config, exact
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.symmetry import detect
from neurho.run.problem import build

Array = Any
"""An array of NumPy, whose stubs do not let complex parts through."""


class System(NamedTuple):
    """A Lindbladian with its exact stationary state; `moves` where it is translation-invariant."""

    name: str
    model: Any
    sites: int
    moves: Array
    charge: Any
    sigma: Array

    @property
    def ring(self) -> bool:
        return self.moves is not None and self.model.lattice.shape == (self.sites,)


def tables() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Name to the tables [lattice] and [model] of a problem file; those of six sites are for quick trials."""
    xyz = {jy: {"kind": "xyz", "coupling": [0.9, jy, 1.0]} for jy in (1.2, 1.0)}
    ising = {g: {"kind": "ising", "interaction": 2.0, "transverse": g, "decay": 1.0} for g in (2.0, 1.0)}
    strong = {"kind": "heisenberg", "field": [0.0, 0.0, 1.0], "coupling": [2.0, 0.0, 1.0], "decay": 1.0}
    found = {}
    for shape, n in (((3, 3), 8), ((2, 3), 6), ((2, 2), 4)):
        torus = {"kind": "square", "shape": list(shape), "periodic": True}
        chain = {"kind": "chain", "shape": [n]}
        found |= {f"xyz-{shape[0]}x{shape[1]}-{jy:g}": (torus, model) for jy, model in xyz.items()}
        found |= {f"ising-ring-{n}-g{g:g}": (chain | {"periodic": True}, model) for g, model in ising.items()}
        found[f"chain-{n}-B1"] = chain | {"periodic": False}, strong
    return found


def problem(name: str, **others: Any) -> Any:
    where, model = tables()[name]
    asked = {"lattice": where, "model": model, "task": {"kind": "stationary", "method": "exact"}} | others
    return build(config.loads(tomli_w.dumps(asked)))


def prepared(name: str, cache: Path | None = None) -> System:
    """The system with its exact stationary state, which is kept in the folder `cache`."""
    asked = problem(name)
    lattice, model = asked.lattice, asked.lindbladian
    moves = np.unique(lattice.translations, axis=0)
    kept = None if cache is None else cache / f"{name}.npy"
    if kept is not None and kept.exists():
        sigma = np.load(kept)
    else:
        sigma = np.asarray(exact.stationary_state(model).rho)
        if kept is not None:
            np.save(kept, sigma)
    tied = moves if len(np.unique(moves[:, 0])) == lattice.sites else None
    return System(name, model, lattice.sites, tied, detect(lindbladian_map(model)), sigma)
