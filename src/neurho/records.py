"""The run directory: series, checkpoints, provenance, summary. The only module that writes files.

    problem.toml      the problem as resolved        series.nc         everything measured, along t (xarray)
    provenance.json   versions, platform, seed       checkpoints/      the last states, each with a header line
    summary.json      the result

Every file is written beside its place and moved there in one step, so that a reader, a crash or a full disk never
meets half a file. The series is written before the checkpoint that belongs to it: rows later than the checkpoint are
dropped on resuming, and nothing is ever missing.
"""

import errno
import hashlib
import io
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import xarray as xr

from neurho._types import NeurhoError, NumericalError

if TYPE_CHECKING:
    from neurho.observables import Snapshot

PROBLEM, PROVENANCE, SERIES, SUMMARY, CHECKPOINTS = (
    "problem.toml",
    "provenance.json",
    "series.nc",
    "summary.json",
    "checkpoints",
)
UNDEFINED_AT_TIMES = frozenset({"r_hat", "r_hat_diagonal", "tau", "ess", "acceptance", "acceptance_diagonal"})
"""Diagnostics that may be NaN without anything being wrong, e.g. R-hat of two samples."""

NOT_OBSERVABLES = frozenset({"delta_L", "lindblad_norm2"})
"""Diagnostics that may come with an `_error`, as observables do."""

_PACKAGES = ("neurho", "jax", "jaxlib", "numpy", "equinox", "xarray")
_DESCRIPTIONS = {
    "energy": ("energy <H>", "gamma"),
    "purity": ("purity tr rho^2", "1"),
    "delta_L": ("delta_L = <|L_loc|>, Eq. 18 of PRL 122, 250502", "gamma"),
    "lindblad_norm2": ("||L rho||^2 / ||rho||^2", "gamma^2"),
    "residual": ("relative residual of the projected equation of motion", "1"),
    "acceptance": ("acceptance of the chains of p(l, r)", "1"),
    "acceptance_diagonal": ("acceptance of the chains of q(l)", "1"),
    "r_hat": ("split R-hat of the chains of p(l, r)", "1"),
    "r_hat_diagonal": ("split R-hat of the chains of q(l)", "1"),
    "tau": ("integrated autocorrelation time", "draws"),
    "ess": ("effective sample size", "1"),
    "dt": ("time step to try next", "1/gamma"),
    "delta_rho": ("relative Frobenius distance to the exact state", "1"),
    "trace_distance": ("trace distance to the exact state", "1"),
    "wall_seconds": ("computing time since the start", "s"),
    "step": ("accepted steps since the start", "1"),
}
_PLACES = {"site": "of each site", "bond": "of each bond", "pair": "of each pair of sites"}
_DIMENSIONS = {"site": ("site",), "bond": ("bond",), "pair": ("site", "site_2")}


class Row(NamedTuple):
    """One line of the series."""

    step: int
    t: float
    wall_seconds: float
    values: dict[str, np.ndarray]


class Run:
    """A run directory that is being written.

    Made by `create` or `reopen`. `record` keeps a snapshot in memory, `save` brings all that was recorded to disk.
    """

    def __init__(self, path: Path, *, fingerprint: str, bonds: np.ndarray, keep: int) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.bonds = bonds
        self.keep = keep
        self.rows: list[Row] = []
        self.messages: list[str] = []
        self._latest: Any = None
        self._saved = 0
        self._started = time.monotonic()

    @property
    def wall_seconds(self) -> float:
        """Computing time of all sessions of this run."""
        return time.monotonic() - self._started

    def record(self, snapshot: "Snapshot") -> None:
        """Add a snapshot to the series, in memory.

        **Raises** `NumericalError` if it contains NaN or infinity; the snapshots before it stay as they are.
        """
        if (culprit := _not_finite(snapshot)) is not None:
            raise NumericalError(f"The run stopped at t = {snapshot.t:g} (step {snapshot.step}): {culprit}.")
        values = {name: np.asarray(value, dtype=float) for name, value in snapshot.diagnostics.items()}
        for name, estimate in snapshot.observables.items():
            values[name] = np.asarray(estimate.mean, dtype=float)
            values[f"{name}_error"] = np.broadcast_to(np.asarray(estimate.error, dtype=float), values[name].shape)
        self.rows.append(Row(int(snapshot.step), float(snapshot.t), self.wall_seconds, values))
        self._latest = snapshot.state
        if snapshot.message:
            self.note(snapshot.message, t=snapshot.t)

    def note(self, sentence: str, *, t: float | None = None) -> None:
        """Keep a sentence for the summary; one that differs from an earlier one only in its numbers is not repeated."""
        if not any(_wording(message.partition(": ")[2] or message) == _wording(sentence) for message in self.messages):
            self.messages.append(sentence if t is None else f"t = {t:g}: {sentence}")

    def save(self) -> None:
        """Write the series and, after it, the checkpoint of the last snapshot; keep the newest few checkpoints."""
        if len(self.rows) == self._saved:
            return
        _replace(self.path / SERIES, _netcdf(self.series()))
        row = self.rows[-1]
        header = {"fingerprint": self.fingerprint, "snapshot": len(self.rows), "step": row.step, "t": row.t}
        folder = self.path / CHECKPOINTS
        with _disk(folder):
            folder.mkdir(exist_ok=True)
        _replace(folder / f"{len(self.rows):08d}.eqx", _pack(self._latest, header | {"messages": self.messages}))
        self._saved = len(self.rows)
        with _disk(folder):
            for old in _checkpoints(self.path)[: -self.keep]:
                old.unlink()

    def restore(self, template: Any) -> Any:
        """The state of the newest good checkpoint, in the shape of `template`; None if there is none yet.

        Drops what the series holds beyond it. A damaged checkpoint is passed over, with a message, for the one
        before it.

        **Raises** `NeurhoError` if a checkpoint belongs to another problem, or if none of them can be read.
        """
        sentences: list[str] = []
        for file in reversed(_checkpoints(self.path)):
            try:
                header, state = _unpack(file, template, self.fingerprint)
            except _DamagedError as error:
                sentences.append(str(error))
                continue
            self._rewind(file, header)
            for sentence in sentences:
                self.note(sentence)
            return state
        if sentences:
            raise NeurhoError(sentences[0])
        self.rows = []
        return None

    def _rewind(self, file: Path, header: Mapping[str, Any]) -> None:
        count = int(header["snapshot"])
        if len(self.rows) < count or self.rows[count - 1].t != header["t"]:
            raise NeurhoError(f"`{self.path / SERIES}` does not belong to checkpoint `{file}`; restore it or run anew.")
        self.rows = self.rows[:count]
        self.messages = list(header["messages"])
        self._saved = count
        self._started = time.monotonic() - self.rows[-1].wall_seconds

    def series(self) -> xr.Dataset:
        """Everything recorded, as a dataset along `t`."""
        attributes = {"title": "neurho run", "fingerprint": self.fingerprint, "hbar": 1, "time_unit": "1/gamma"}
        return _dataset(self.rows, self.bonds).assign_attrs(attributes)

    def finish(self, *, converged: bool, average: float | None = None, remark: str = "") -> dict[str, Any]:
        """Save, write `summary.json` and return what it holds. See `summarise` for `average`.

        `remark` says why the run ended; unlike the other messages it is forgotten when the run goes on.
        """
        self.save()
        result = summarise(self.series(), average=average)
        result |= {
            "converged": converged,
            "messages": [*self.messages, *([remark] if remark else [])],
            "fingerprint": self.fingerprint,
        }
        _replace(self.path / SUMMARY, _json(result))
        return result


def create(
    path: str | Path,
    problem: str,
    *,
    fingerprint: str,
    seed: int,
    bonds: Sequence[Any] | np.ndarray = (),
    keep: int = 2,
) -> Run:
    """Start a new run directory.

    **Arguments**

    - `path`: must not exist or be empty.
    - `problem`: the resolved problem as TOML; `fingerprint`: what tells it apart from others.
    - `bonds`: `(bonds, 2)`, the pairs that the observables per bond belong to.
    - `keep`: how many checkpoints to keep.

    **Raises** `NeurhoError` if there is something already, or if the directory cannot be written.
    """
    path = Path(path)
    require_unused(path)
    with _disk(path):
        path.mkdir(parents=True, exist_ok=True)
    _replace(path / PROBLEM, problem.encode())
    facts = {"seed": seed, "fingerprint": fingerprint, "sessions": [_session()]}
    _replace(path / PROVENANCE, _json(facts))
    return Run(path, fingerprint=fingerprint, bonds=np.asarray(bonds, dtype=int).reshape(-1, 2), keep=keep)


def require_unused(path: Path) -> None:
    """Refuse a run directory that holds something already."""
    with _disk(path):
        if path.exists() and not path.is_dir():
            raise NeurhoError(f"The run directory `{path}` must be a directory, but it is a file.")
        if path.is_dir() and any(path.iterdir()):
            more = f"go on with `neurho resume {path}` or" if is_run(path) else "please"
            raise NeurhoError(
                f"The run directory `{path}` must be new or empty, but it holds files; {more} give another."
            )


def reopen(path: str | Path, *, fingerprint: str, bonds: Sequence[Any] | np.ndarray = (), keep: int = 2) -> Run:
    """Open a run directory to go on with it; `Run.restore` then gives the state to go on from."""
    path = _checked(path)
    run = Run(path, fingerprint=fingerprint, bonds=np.asarray(bonds, dtype=int).reshape(-1, 2), keep=keep)
    facts = _read_json(path / PROVENANCE)
    _replace(path / PROVENANCE, _json(facts | {"sessions": [*facts.get("sessions", []), _session()]}))
    if (path / SERIES).exists():
        run.rows = _rows(read_series(path))
    return run


def is_run(path: str | Path) -> bool:
    """Whether this is a run directory."""
    return (Path(path) / PROBLEM).is_file() and (Path(path) / PROVENANCE).is_file()


def read_problem(path: str | Path) -> str:
    """The resolved problem of a run directory, as TOML."""
    file = _checked(path) / PROBLEM
    with _disk(file, "read"):
        return file.read_text(encoding="utf-8")


def read_series(path: str | Path) -> xr.Dataset:
    """The series of a run directory, in memory."""
    file = _checked(path) / SERIES
    if not file.exists():
        raise NeurhoError(f"The run `{path}` has no {SERIES} yet.")
    try:
        return xr.load_dataset(file, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError):
        raise NeurhoError(f"`{file}` is damaged or not a netCDF file; restore it or run anew.") from None


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Versions, platform, seed and sessions of a run directory."""
    return _read_json(_checked(path) / PROVENANCE)


def read_summary(path: str | Path) -> dict[str, Any] | None:
    """The summary of a run directory, or None while there is none."""
    file = _checked(path) / SUMMARY
    return _read_json(file) if file.exists() else None


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step, for what others (figures) put into a run directory, or into a folder of it."""
    with _disk(path.parent):
        path.parent.mkdir(exist_ok=True)
    _replace(path, data)


def summarise(series: xr.Dataset, *, average: float | None = None) -> dict[str, Any]:
    """What `summary.json` says about a series: the last values, or averages over its last part.

    **Arguments**

    - `average`: None takes the last row. A fraction in (0, 1] averages over that part of the rows, the last ones (at
      least one); the error is that of `time_average`. Where all errors are zero (exact sums) the last row is
      better than any average, and is taken.
    """
    rows = series.sizes.get("t", 0)
    window = series.isel(t=slice(-max(1, round((average or 0.0) * rows)), None))
    observables = {}
    for name in map(str, series.data_vars):
        if is_observable(series, name) and series[name].dims == ("t",):
            mean, error = time_average(window[name].values, window[f"{name}_error"].values)
            observables[name] = {"mean": _finite(mean), "error": _finite(error)}
    result: dict[str, Any] = {"observables": observables, "t": None, "step": None, "delta_L": None}
    result |= {"lindblad_norm2": None, "wall_seconds": 0.0, "snapshots": rows, "averaged": window.sizes.get("t", 0)}
    for name in map(str, series.data_vars):
        if series[name].dims == ("t",) and name not in observables and rows:
            if name.removesuffix("_error") in observables:
                continue
            values = window[name].values[-1:] if name in ("step", "wall_seconds", "dt") else window[name].values
            values = values[np.isfinite(values)]
            result[name] = float(np.mean(values)) if len(values) else None
    if rows:
        result |= {"t": float(series.t[-1]), "step": int(series.step[-1])}
    return result


def is_observable(series: xr.Dataset, name: str) -> bool:
    """Whether a variable is a measured mean with its error, not a diagnostic."""
    return f"{name}_error" in series and name not in NOT_OBSERVABLES


def time_average(means: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Mean and standard error of successive estimates of one number.

    Two errors are computed and the larger is given: sqrt(sum of errors^2)/n, as if the estimates were independent, and
    the largest of the blocking errors std(block means)/sqrt(blocks) over block lengths 1, 2, 4, ... with at least four
    blocks, which sees correlations and drift (Flyvbjerg & Petersen, J. Chem. Phys. 91, 461 (1989)).
    """
    known = np.isfinite(means)
    means, errors = means[known], errors[known]
    if not len(means):
        return float("nan"), float("nan")
    if not np.any(errors):
        return float(means[-1]), 0.0
    estimates = [float(np.sqrt(np.sum(errors**2)) / len(means))]
    size = 1
    while len(means) // size >= 4:
        blocks = means[len(means) % size :].reshape(-1, size).mean(axis=1)
        estimates.append(float(np.std(blocks, ddof=1) / np.sqrt(len(blocks))))
        size *= 2
    return float(np.mean(means)), float(np.nanmax(estimates)) if np.any(np.isfinite(estimates)) else float("nan")


# -- rows and datasets ------------------------------------------------------------------------------------------------


def _not_finite(snapshot: "Snapshot") -> str | None:
    for name, estimate in snapshot.observables.items():
        if not np.all(np.isfinite(estimate.mean)):
            return f"observable `{name}` is NaN or infinite"
    for name, value in snapshot.diagnostics.items():
        if name not in UNDEFINED_AT_TIMES and not np.isfinite(value):
            return f"`{name}` is {value}"
    for leaf in jax.tree_util.tree_leaves(snapshot.state):
        numeric = isinstance(leaf, float | complex) or getattr(getattr(leaf, "dtype", None), "kind", "") in "fc"
        # Infinite logarithms of zero weights are nothing bad in a state; NaN always is.
        if numeric and np.any(np.isnan(np.asarray(leaf))):
            return "the state contains NaN"
    return None


def _dataset(rows: Sequence[Row], bonds: np.ndarray) -> xr.Dataset:
    columns: dict[str, Any] = {"step": ("t", np.array([row.step for row in rows], dtype=np.int64))}
    columns["wall_seconds"] = ("t", np.array([row.wall_seconds for row in rows]))
    shapes = {name: value.shape for row in rows for name, value in row.values.items()}
    for name, shape in shapes.items():
        missing = np.full(shape, np.nan)
        columns[name] = (("t", *_dimensions(name, shape)), np.stack([row.values.get(name, missing) for row in rows]))
    data = xr.Dataset(columns, coords={"t": ("t", np.array([row.t for row in rows], dtype=float))})
    for dimension in ("site", "site_2", "bond"):
        if dimension in data.sizes:
            data = data.assign_coords({dimension: np.arange(data.sizes[dimension])})
    if data.sizes.get("bond") == len(bonds) and len(bonds):
        data = data.assign_coords(bond_a=("bond", bonds[:, 0]), bond_b=("bond", bonds[:, 1]))
    for name, variable in data.variables.items():
        long_name, units = _description(str(name))
        variable.attrs.update(long_name=long_name, units=units)
    return data


def _dimensions(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    dimensions = _DIMENSIONS.get(name.removesuffix("_error").rpartition("_")[2], ())
    return dimensions if len(dimensions) == len(shape) else tuple(f"{name}_{axis}" for axis in range(len(shape)))


def _description(name: str) -> tuple[str, str]:
    """Long name and units of a variable, from its name."""
    coordinates = {
        "t": ("time", "1/gamma"),
        "site": ("site", "1"),
        "site_2": ("second site", "1"),
        "bond": ("bond", "1"),
    }
    coordinates |= {"bond_a": ("first site of the bond", "1"), "bond_b": ("second site of the bond", "1")}
    if name in coordinates:
        return coordinates[name]
    if name.endswith("_error"):
        long_name, units = _description(name.removesuffix("_error"))
        return f"standard error of {long_name}", units
    if name in _DESCRIPTIONS:
        return _DESCRIPTIONS[name]
    if name.startswith("structure_"):
        a = name[-1]
        return f"structure factor S^{a}{a}(k=0)", "1"
    letters, _, place = name.partition("_")
    if letters in ("sx", "sy", "sz"):
        return f"<sigma^{letters[1]}> {_PLACES.get(place, 'averaged over sites')}", "1"
    if letters in ("sxsx", "sysy", "szsz"):
        return f"<sigma^{letters[1]} sigma^{letters[1]}> {_PLACES.get(place, 'averaged over bonds')}", "1"
    return name, "1"


def _rows(data: xr.Dataset) -> list[Row]:
    names = [str(name) for name in data.data_vars if name not in ("step", "wall_seconds")]
    columns = {name: data[name].values for name in names}
    return [
        Row(int(data.step[k]), float(data.t[k]), float(data.wall_seconds[k]), {n: columns[n][k] for n in names})
        for k in range(data.sizes["t"])
    ]


# -- files ------------------------------------------------------------------------------------------------------------


class _DamagedError(NeurhoError):
    """A checkpoint that cannot be read."""


def _checkpoints(path: Path) -> list[Path]:
    return sorted((path / CHECKPOINTS).glob("[0-9]*.eqx"))


def _pack(state: Any, header: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, state)
    payload = buffer.getvalue()
    header = {**header, "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    return json.dumps(header).encode() + b"\n" + payload


def _unpack(file: Path, template: Any, fingerprint: str) -> tuple[dict[str, Any], Any]:
    with _disk(file, "read"):
        line, _, payload = file.read_bytes().partition(b"\n")
    try:
        header = json.loads(line)
        whole = len(payload) == header["bytes"] and hashlib.sha256(payload).hexdigest() == header["sha256"]
    except (ValueError, KeyError, TypeError):
        whole, header = False, {}
    if not whole:
        raise _DamagedError(f"The checkpoint `{file}` is truncated or damaged.")
    if header["fingerprint"] != fingerprint:
        but = f"the checkpoint has fingerprint {header['fingerprint']}, the problem {fingerprint}"
        raise NeurhoError(f"The checkpoint `{file}` belongs to another problem: {but}.")
    try:
        return header, eqx.tree_deserialise_leaves(io.BytesIO(payload), template)
    except Exception:
        # Equinox raises many kinds of errors for a tree of another shape, all of which mean the same here.
        versions = (
            f"provenance.json of the run says which version wrote it, this is neurho {metadata.version('neurho')}"
        )
        raise NeurhoError(f"The state in checkpoint `{file}` does not fit this program; {versions}.") from None


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _disk(path):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _disk(path: Path, doing: str = "written") -> Iterator[None]:
    """Turn errors of the file system into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NeurhoError(
                f"The disk is full: `{path}` could not be written; what was saved before is kept."
            ) from None
        raise NeurhoError(f"`{path}` cannot be {doing}: {error.strerror or error}.") from None


def _netcdf(data: xr.Dataset) -> bytes:
    return bytes(data.to_netcdf(engine="h5netcdf"))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        with _disk(file, "read"):
            return dict(json.loads(file.read_bytes()))
    except NeurhoError:
        raise
    except (ValueError, TypeError):
        raise NeurhoError(f"`{file}` is damaged: it is not a JSON object.") from None


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise NeurhoError(f"There is no run directory `{path}`.")
    if not is_run(path):
        raise NeurhoError(f"`{path}` is not a run directory: it has no {PROBLEM} and {PROVENANCE}.")
    return path


def _session() -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "versions": versions,
    }


def _wording(sentence: str) -> str:
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", sentence)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
