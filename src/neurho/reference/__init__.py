"""Shipped reference values.

- Stationary states of 16-site open chains from vectorised matrix-product states.
- The 4x4 XYZ torus, J = (0.9, Jy, 1.0): stationary means, and a quench from all up at Jy = 1.2, with standard errors,
  from quantum trajectories of definite momentum (`benchmarks/torus_reference.py` writes the files; that of Jy = 1.2 and
  299 trajectories of the quench, are by the script of that name of commit e306c76).

All have decay sigma^- at rate 1 on every site, Pauli matrices, each bond once.
"""

from importlib import resources
from typing import Any

import numpy as np
import xarray as xr

from neurho._types import Record
from neurho.config import Config
from neurho.observables.names import ALONG, at, error_name

_CHAINS = {
    ((0.0, 0.0, 10.0), (1.0, 0.0, 0.0)): "fig3_chain16.npz",
    ((0.0, 0.0, 1.0), (2.0, 0.0, 1.0)): "chain16_B1_J201.npz",
    ((0.0, 0.0, 0.5), (0.9, 1.2, 1.0)): "chain16_xyz.npz",
    ((0.25, 0.0, 0.0), (0.0, 0.0, 0.5)): "ising16_g0.5.npz",
}
_TORI = {jy: f"torus44_{jy}.npz" for jy in (1.0, 1.1, 1.2, 1.4)}
_QUENCHES = {1.2: "torus44_quench_1.2.npz"}


def shipped(config: Config) -> xr.Dataset | None:
    """The reference of a problem, without `t` for a stationary state, if one is shipped for exactly its lattice, model,
    start and times.
    """
    lattice, couplings = config.lattice, _couplings(config)
    if couplings is None:
        return None
    if lattice.kind == "chain" and lattice.shape == (16,) and not lattice.periodic:
        return _chain(couplings) if config.task.kind == "stationary" and couplings in _CHAINS else None
    if lattice.kind == "square" and lattice.shape == (4, 4) and lattice.periodic in (True, (True, True)):
        return _torus(config, couplings)
    return None


def _couplings(config: Config) -> Any:
    """Field and coupling of a model that decays at rate 1, or None for other models."""
    model: Any = config.model
    if getattr(model, "decay", None) != 1.0 or getattr(model, "pulses", {}):
        return None
    if model.kind == "ising" and not model.dephasing:
        if isinstance(model.interaction, tuple) or isinstance(model.transverse, tuple):
            return None
        return (model.transverse / 2, 0.0, 0.0), (0.0, 0.0, model.interaction / 4)
    if model.kind == "heisenberg" and not model.pump and not model.dephasing:
        return model.field, model.coupling
    return ((0.0, 0.0, 0.0), model.coupling) if model.kind == "xyz" else None


def _chain(couplings: Any) -> xr.Dataset:
    data, columns = _read(_CHAINS[couplings]), {}
    for axis, (one, two, _) in ALONG.items():
        columns[at(one, "site")] = ("site", data[f"s{axis}"])
        columns[one] = ((), data[f"s{axis}"].mean())
        columns[at(two, "bond")] = ("bond", data[f"nn_{axis}{axis}"])
        columns[two] = ((), data[f"nn_{axis}{axis}"].mean())
        columns[at(two, "pair")] = (("site", "site_2"), data[f"C{axis}{axis}"])
    return xr.Dataset(columns, attrs={"source": f"matrix-product state, bond dimension {int(data['chi'])}"})


def _torus(config: Config, couplings: Any) -> xr.Dataset | None:
    """Means with errors of the XYZ torus; of a quench along `t`, where it begins and ends within its times."""
    field, (jx, jy, jz) = couplings[0], couplings[1]
    if tuple(field) != (0.0, 0.0, 0.0) or (jx, jz) != (0.9, 1.0):
        return None
    steady = config.task.kind == "stationary"
    file = (_TORI if steady else _QUENCHES).get(jy)
    if file is None:
        return None
    data = _read(file)
    if not steady and not (_is_up(config.initial) and max(config.task.times or (config.task.t_end,)) <= data["t"][-1]):
        return None
    columns = {}
    for number, name in enumerate(map(str, data["names"])):
        for what, values in ((name, data["mean"]), (error_name(name), data["error"])):
            columns[what] = ((), values[number]) if steady else ("t", values[:, number])
    count = f"{int(data['samples'])} samples" if steady else f"{int(data['trajectories'])} trajectories"
    attributes = {"source": f"quantum trajectories, {count}"}
    return xr.Dataset(columns, coords={} if steady else {"t": data["t"]}, attrs=attributes)


def _is_up(initial: Any) -> bool:
    """Whether all spins point up; noise and tilt belong to networks."""
    return initial.kind == "product" and initial.bloch in ("up", (0.0, 0.0, 1.0))


def _read(file: str) -> Record:
    with (resources.files(__name__) / file).open("rb") as stream, np.load(stream) as data:
        return dict(data)
