"""Curves that come from elsewhere: CSV and netCDF files with a column `t`."""

import csv
from pathlib import Path

import numpy as np
import xarray as xr

from neurho._types import NeurhoError


def read_curves(path: str | Path) -> xr.Dataset:
    """Curves of a file, along `t`.

    A CSV file begins with a line of names, `t` and those of observables as in the series of a run (`sx`, `szsz`, ...;
    `sx_error` for the standard error of `sx`); every other line has a number for each. A netCDF file holds the same as
    variables along `t`.

    **Raises** `NeurhoError` with the file and the line that is wrong.
    """
    path = Path(path)
    if path.suffix.lower() in (".nc", ".h5", ".netcdf"):
        try:
            data = xr.load_dataset(path, engine="h5netcdf")
        except (OSError, ValueError, KeyError, RuntimeError):
            raise NeurhoError(f"`{path}` must be a netCDF file, but it cannot be read as one.") from None
        if "t" not in data.variables:
            raise NeurhoError(f"`{path}` must have a variable `t`, but it has {', '.join(map(str, data.variables))}.")
        return _sorted(data.set_coords("t"), path)
    try:
        lines = [line for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if line]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise NeurhoError(f"`{path}` must be a CSV file that can be read, but it is not.") from None
    names = [name.strip() for name in lines[0]] if lines else []
    if "t" not in names or len(set(names)) < len(names):
        raise NeurhoError(f"`{path}` must begin with names of columns, one of them t, but it begins with {names}.")
    rows = np.array([_numbers(line, len(names), number, path) for number, line in enumerate(lines[1:], start=2)])
    if not len(rows):
        raise NeurhoError(f"`{path}` must have a line of numbers below the names, but it has none.")
    columns = dict(zip(names, rows.T, strict=True))
    times = columns.pop("t")
    return _sorted(xr.Dataset({n: ("t", v) for n, v in columns.items()}, coords={"t": times}), path)


def _numbers(line: list[str], count: int, number: int, path: Path) -> list[float]:
    try:
        values = [float(entry) for entry in line]
    except ValueError:
        values = []
    if len(values) != count:
        raise NeurhoError(f"`{path}` must have {count} numbers in each line, but line {number} has not.")
    return values


def _sorted(data: xr.Dataset, path: Path) -> xr.Dataset:
    times = data.t.values
    if times.ndim != 1 or not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
        raise NeurhoError(f"`{path}` must have times t that increase, but they do not.")
    return data
