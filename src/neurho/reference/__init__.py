"""Shipped reference values: stationary states of 16-site open chains from vectorised matrix-product states.

All have decay sigma^- at rate 1 on every site, Pauli matrices, each bond once.
"""

from importlib import resources
from typing import Any

import numpy as np
import xarray as xr

from neurho.config import Config

_FILES = {
    ((0.0, 0.0, 10.0), (1.0, 0.0, 0.0)): "fig3_chain16.npz",
    ((0.0, 0.0, 1.0), (2.0, 0.0, 1.0)): "chain16_B1_J201.npz",
    ((0.0, 0.0, 0.5), (0.9, 1.2, 1.0)): "chain16_xyz.npz",
    ((0.25, 0.0, 0.0), (0.0, 0.0, 0.5)): "ising16_g0.5.npz",
}


def shipped(config: Config) -> xr.Dataset | None:
    """The stationary reference of a problem, without `t`, if one is shipped for exactly its lattice and model."""
    lattice, model = config.lattice, config.model
    if config.task.kind != "stationary" or lattice.kind != "chain" or lattice.shape != (16,) or lattice.periodic:
        return None
    key: Any
    if model.kind == "ising":
        key = ((model.transverse / 2, 0.0, 0.0), (0.0, 0.0, model.interaction / 4))
    elif model.kind == "heisenberg" and not model.pump and not model.dephasing:
        key = (model.field, model.coupling)
    else:
        return None
    if model.decay != 1.0 or key not in _FILES:
        return None
    file = resources.files(__name__) / _FILES[key]
    with file.open("rb") as stream, np.load(stream) as data:
        columns = {}
        for axis in "xyz":
            columns[f"s{axis}_site"] = ("site", data[f"s{axis}"])
            columns[f"s{axis}"] = ((), data[f"s{axis}"].mean())
            columns[f"s{axis}s{axis}_bond"] = ("bond", data[f"nn_{axis}{axis}"])
            columns[f"s{axis}s{axis}"] = ((), data[f"nn_{axis}{axis}"].mean())
            columns[f"s{axis}s{axis}_pair"] = (("site", "site_2"), data[f"C{axis}{axis}"])
        return xr.Dataset(columns, attrs={"source": f"matrix-product state, bond dimension {int(data['chi'])}"})
