"""References that were computed before, one netCDF file each in the user's cache directory."""

import hashlib
import json
from importlib import metadata
from pathlib import Path

import platformdirs
import xarray as xr

from neurho._types import NeurhoError
from neurho.config import Config
from neurho.config.files import identity
from neurho.records import write_file
from neurho.records.series import as_netcdf


def place_of(config: Config) -> Path:
    """The file of a reference: named after the problem that the reference method solves, and the program's version."""
    said = [identity(config), metadata.version("neurho")]
    name = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
    return platformdirs.user_cache_path("neurho") / "references" / f"{name}.nc"


def read(path: Path) -> xr.Dataset | None:
    """A kept reference; None if there is none, or one that cannot be read."""
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError):
        return None


def write(path: Path, data: xr.Dataset) -> str:
    """Keep a reference; why that did not go, or "". A full disk or a folder without access costs no result."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, as_netcdf(data))
    except (OSError, NeurhoError) as error:
        return f"The reference is not kept: {error}"
    return ""
