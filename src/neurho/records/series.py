"""The series of a run as a labelled dataset along t."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from neurho._types import GAMMA, NeurhoError, Record
from neurho.observables import names
from neurho.records.files import SERIES, checked
from neurho.records.length import damaged


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
        raise damaged(file) from None


def as_dataset(
    rows: Sequence[Row], bonds: np.ndarray, pairs: np.ndarray | None = None, *, unit: str = GAMMA
) -> xr.Dataset:
    """Rows as a dataset along t, with units; `pairs` are those of reduced density matrices, `unit` that of time."""
    columns: Record = {"step": ("t", np.array([row.step for row in rows], dtype=np.int64))}
    columns["wall_seconds"] = ("t", np.array([row.wall_seconds for row in rows]))
    shapes = {name: value.shape for row in rows for name, value in row.values.items()}
    for name, shape in shapes.items():
        missing = np.full(shape, np.nan)
        columns[name] = (
            ("t", *names.dims(name, len(shape))),
            np.stack([row.values.get(name, missing) for row in rows]),
        )
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
        long_name, units = names.describe(str(name))
        variable.attrs.update(long_name=long_name, units=units if unit == GAMMA else _in_unit(units, unit))
    return data


def _in_unit(units: str, unit: str) -> str:
    """Units of times, rates and their squares, with the unit of time in place of 1/gamma."""
    return {GAMMA: unit, "gamma": f"1/{unit}", "gamma^2": f"1/{unit}^2"}.get(units, units)


def rows_of(data: xr.Dataset) -> list[Row]:
    """The rows of a dataset, the inverse of `as_dataset`."""
    kept = [str(name) for name in data.data_vars if name not in ("step", "wall_seconds")]
    columns = {name: data[name].values for name in kept}
    return [
        Row(int(data.step[k]), float(data.t[k]), float(data.wall_seconds[k]), {n: columns[n][k] for n in kept})
        for k in range(data.sizes["t"])
    ]


def as_netcdf(data: xr.Dataset) -> bytes:
    """A dataset as the bytes of a netCDF file."""
    return bytes(data.to_netcdf(engine="h5netcdf"))
