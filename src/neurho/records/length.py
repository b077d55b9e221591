"""How many outputs a run has, read without the libraries that read what they say."""

from pathlib import Path

import h5py

from neurho._types import NeurhoError
from neurho.records.files import SERIES, checked


def outputs(path: str | Path) -> int:
    """The number of outputs in the series of a run directory.

    **Raises** `NeurhoError` for a run without a series, and for a file that is damaged.
    """
    file = checked(path) / SERIES
    if not file.exists():
        raise NeurhoError(f"The run `{path}` has no {SERIES} yet.")
    try:
        with h5py.File(file, "r") as data:
            times = data["t"]
            if isinstance(times, h5py.Dataset):
                return len(times)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError):
        pass
    raise damaged(file)


def damaged(file: Path) -> NeurhoError:
    """What is said of a series that cannot be read."""
    return NeurhoError(f"`{file}` is damaged or not a netCDF file; restore it or run anew.")
