"""The series of a run as a labelled dataset along t."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurho._types import CORRECTED, GAMMA, NeurhoError
from neurho.records.files import SERIES, checked

_DESCRIPTIONS = {
    "energy": ("energy <H>", "gamma"),
    "purity": ("purity tr rho^2", "1"),
    "fidelity": ("fidelity with the state that ideal gates make of the start, <psi|rho|psi>", "1"),
    "renyi2": ("Renyi-2 entropy -ln tr rho^2", "nats"),
    "delta_L": ("delta_L = <|L_loc|>, Eq. 18 of PRL 122, 250502", "gamma"),
    "lindblad_norm2": ("||L rho||^2 / ||rho||^2", "gamma^2"),
    "lindblad_norm2_plain": ("||L rho||^2 / ||rho||^2 from samples that are not blurred", "gamma^2"),
    "error_estimate": ("estimate of the relative error of rho in the Hilbert-Schmidt norm", "1"),
    "preparation": ("distance of the prepared state from the one asked for, relative to its norm", "1"),
    "relaxation": ("smallest rate at which jumps relax a site", "gamma"),
    "error_local": ("what all steps have lost in means of one and two sites, an estimate of their error", "1"),
    "exponent": ("exponent beta of the chains of p(l, r), chosen from step to step", "1"),
    "blur": ("probability of a blurring move, chosen from step to step", "1"),
    "ridge": ("ridge that the solver chose, relative to the mean diagonal entry of S", "1"),
    "residual": ("relative residual of the projected equation of motion", "1"),
    "acceptance": ("acceptance of the chains of p(l, r)", "1"),
    "acceptance_diagonal": ("acceptance of the chains of q(l)", "1"),
    "r_hat": ("split R-hat of the chains of p(l, r)", "1"),
    "r_hat_diagonal": ("split R-hat of the chains of q(l)", "1"),
    "tau": ("integrated autocorrelation time", "draws"),
    "ess": ("effective sample size", "1"),
    "lindblad_norm2_ess": ("effective number of samples that ||L rho||^2 / ||rho||^2 rests on", "1"),
    "order_decay": ("rate at which an ordered state loses its order", "gamma"),
    "dt": ("time step to try next", "1/gamma"),
    "bond_dimension": ("largest bond dimension in use", "1"),
    "discarded_weight": ("sum of all weights cut from bonds, each in units of the squared norm", "1"),
    "trace_drift": ("change of the trace by cutting since the output before", "1"),
    "change": ("relative change of rho in one unit of time, in the Hilbert-Schmidt norm", "1"),
    "delta_rho": ("relative Frobenius distance to the exact state", "1"),
    "trace_distance": ("trace distance to the exact state", "1"),
    "purity_network": ("purity of the density matrix of the network", "1"),
    "purity_exact": ("purity of the exact state", "1"),
    "smallest_eigenvalue": ("smallest eigenvalue of the density matrix of the network", "1"),
    "trajectories": ("number of trajectories", "1"),
    "burn_in": ("time at the beginning that averages leave out", "1/gamma"),
    "tau_time": ("longest integrated autocorrelation time of an average", "1/gamma"),
    "effective_samples": ("least effective number of samples of an average", "1"),
    "wall_seconds": ("computing time since the start", "s"),
    "step": ("accepted steps since the start", "1"),
}


_PLACES = {"site": "of each site", "bond": "of each bond", "pair": "of each pair of sites"}


_DIVISIONS = {
    "differing": "number of sites on which rows and columns differ",
    "raised": "number of sites, of rows and columns together, above the lowest level",
}


_PARTS = {
    "share": ("part of <1>_p by {}", "1"),
    "norm2": ("part of ||L rho||^2 / ||rho||^2 by {}", "gamma^2"),
    "ess": ("effective samples by {}", "1"),
}


_DIMENSIONS = {
    ("site", 1): ("site",),
    ("bond", 1): ("bond",),
    ("differing", 1): ("differing",),
    ("raised", 1): ("raised",),
    ("pair", 2): ("site", "site_2"),
    ("real", 3): ("pair", "row", "column"),
    ("imag", 3): ("pair", "row", "column"),
    ("k", 1): ("k",),
    ("k", 2): ("k_1", "k_2"),
}


class Row(NamedTuple):
    """One line of the series."""

    step: int
    t: float
    wall_seconds: float
    values: dict[str, np.ndarray]


def read_series(path: str | Path) -> xr.Dataset:
    """The series of a run directory, in memory, as an `xarray.Dataset` along t.

    ```python
    import tempfile
    from pathlib import Path
    import neurho

    path = Path(tempfile.mkdtemp()) / "run"
    neurho.solve(neurho.xyz(neurho.chain(2)), "up", [0, 1.0], out=path)
    assert neurho.read_series(path).sz.sizes["t"] == 2
    ```
    """
    file = checked(path) / SERIES
    if not file.exists():
        raise NeurhoError(f"The run `{path}` has no {SERIES} yet.")
    try:
        return xr.load_dataset(file, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError):
        raise NeurhoError(f"`{file}` is damaged or not a netCDF file; restore it or run anew.") from None


def as_dataset(
    rows: Sequence[Row], bonds: np.ndarray, pairs: np.ndarray | None = None, *, unit: str = GAMMA
) -> xr.Dataset:
    """Rows as a dataset along t, with units; `pairs` are those of reduced density matrices, `unit` that of time."""
    columns: dict[str, Any] = {"step": ("t", np.array([row.step for row in rows], dtype=np.int64))}
    columns["wall_seconds"] = ("t", np.array([row.wall_seconds for row in rows]))
    shapes = {name: value.shape for row in rows for name, value in row.values.items()}
    for name, shape in shapes.items():
        missing = np.full(shape, np.nan)
        columns[name] = (("t", *dimensions(name, shape)), np.stack([row.values.get(name, missing) for row in rows]))
    data = xr.Dataset(columns, coords={"t": ("t", np.array([row.t for row in rows], dtype=float))})
    for dimension in ("site", "site_2", "bond"):
        if dimension in data.sizes:
            data = data.assign_coords({dimension: np.arange(data.sizes[dimension])})
    for dimension in ("k", "k_1", "k_2"):
        if (length := data.sizes.get(dimension)) is not None:
            data = data.assign_coords({dimension: 2 * np.pi * np.arange(length) / length})
    if data.sizes.get("bond") == len(bonds) and len(bonds):
        data = data.assign_coords(bond_a=("bond", bonds[:, 0]), bond_b=("bond", bonds[:, 1]))
    if pairs is not None and data.sizes.get("pair") == len(pairs):
        data = data.assign_coords(pair_a=("pair", pairs[:, 0]), pair_b=("pair", pairs[:, 1]))
    for name, variable in data.variables.items():
        long_name, units = _description(str(name))
        variable.attrs.update(long_name=long_name, units=units if unit == GAMMA else _in_unit(units, unit))
    return data


def _in_unit(units: str, unit: str) -> str:
    """Units of times, rates and their squares, with the unit of time in place of 1/gamma."""
    return {GAMMA: unit, "gamma": f"1/{unit}", "gamma^2": f"1/{unit}^2"}.get(units, units)


def dimensions(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """The dimensions of a variable besides t, from its name and shape."""
    place = name.removesuffix("_error").rpartition("_")[2]
    return _DIMENSIONS.get((place, len(shape)), tuple(f"{name}_{axis}" for axis in range(len(shape))))


def _description(name: str) -> tuple[str, str]:
    """Long name and units of a variable, from its name."""
    coordinates = {
        "t": ("time", "1/gamma"),
        "site": ("site", "1"),
        "site_2": ("second site", "1"),
        "bond": ("bond", "1"),
        "k": ("phase of a plane wave per step along the chain", "rad"),
        "k_1": ("phase of a plane wave per step along the first lattice vector", "rad"),
        "k_2": ("phase of a plane wave per step along the second lattice vector", "rad"),
    }
    coordinates |= {"bond_a": ("first site of the bond", "1"), "bond_b": ("second site of the bond", "1")}
    coordinates |= {"pair_a": ("first site of the pair, the slow index", "1"), "pair_b": ("second site of it", "1")}
    if name in coordinates:
        return coordinates[name]
    if name.endswith("_error"):
        long_name, units = _description(name.removesuffix("_error"))
        return f"standard error of {long_name}", units
    if name in _DESCRIPTIONS:
        return _DESCRIPTIONS[name]
    if CORRECTED in name:
        long_name, units = _description(name.replace(CORRECTED, ""))
        return f"{long_name}, corrected by the equation of motion", units
    kind, _, division = name.partition("_")
    if division in _DIVISIONS and kind in _PARTS:
        return _PARTS[kind][0].format(_DIVISIONS[division]), _PARTS[kind][1]
    if name in ("reduced_real", "reduced_imag"):
        return f"{name[8:]} part of the reduced density matrix of two sites", "1"
    if name.startswith("structure_"):
        _, letters, *momenta = name.split("_")
        return f"structure factor S^{letters}({'k' if momenta else 'k=0'})", "1"
    letters, _, place = name.partition("_")
    if letters in ("sx", "sy", "sz"):
        return f"<sigma^{letters[1]}> {_PLACES.get(place, 'averaged over sites')}", "1"
    if letters in ("sxsx", "sysy", "szsz"):
        return f"<sigma^{letters[1]} sigma^{letters[1]}> {_PLACES.get(place, 'averaged over bonds')}", "1"
    return name, "1"


def rows_of(data: xr.Dataset) -> list[Row]:
    """The rows of a dataset, the inverse of `as_dataset`."""
    names = [str(name) for name in data.data_vars if name not in ("step", "wall_seconds")]
    columns = {name: data[name].values for name in names}
    return [
        Row(int(data.step[k]), float(data.t[k]), float(data.wall_seconds[k]), {n: columns[n][k] for n in names})
        for k in range(data.sizes["t"])
    ]


def as_netcdf(data: xr.Dataset) -> bytes:
    """A dataset as the bytes of a netCDF file."""
    return bytes(data.to_netcdf(engine="h5netcdf"))
