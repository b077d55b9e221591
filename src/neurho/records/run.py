"""A run directory that is being written."""

import platform
import re
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import jax
import numpy as np
import xarray as xr

from neurho._types import GAMMA, NeurhoError, NumericalError
from neurho.observables import State
from neurho.observables.readout import as_values
from neurho.records.checkpoints import DamagedError, list_checkpoints, pack, unpack
from neurho.records.disagreement import disagreement
from neurho.records.files import (
    CHECKPOINTS,
    PROBLEM,
    PROVENANCE,
    SERIES,
    SUMMARY,
    Record,
    as_json,
    checked,
    disk,
    read_json,
    read_problem,
    replace,
    require_unused,
)
from neurho.records.series import Row, as_dataset, as_netcdf, read_series, rows_of
from neurho.records.summary import judge, prefer_corrected, summarise

if TYPE_CHECKING:
    from neurho.observables import Snapshot

T = TypeVar("T")

UNDEFINED_AT_TIMES = frozenset({"r_hat", "r_hat_diagonal", "tau", "ess", "acceptance", "acceptance_diagonal"})
"""Diagnostics that may be NaN without anything being wrong, e.g. R-hat of two samples."""


_PACKAGES = ("neurho", "jax", "jaxlib", "numpy", "equinox", "xarray")


class Run:
    """A run directory that is being written.

    Made by `create` or `reopen`. `record` keeps a snapshot in memory, `save` brings all that was recorded to disk.
    """

    def __init__(
        self, path: Path, *, fingerprint: str, bonds: np.ndarray, keep: int, pairs: np.ndarray | None = None
    ) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.bonds = bonds
        self.pairs = pairs
        self.keep = keep
        self.rows: list[Row] = []
        self.messages: list[str] = []
        self._latest: State = None
        self._saved = (0, 0)
        self._step = 0
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
        values |= {name: np.asarray(table, dtype=float) for name, table in snapshot.tables.items()}
        values |= as_values(snapshot.observables)
        self.rows.append(Row(int(snapshot.step), float(snapshot.t), self.wall_seconds, values))
        self._latest, self._step = snapshot.state, int(snapshot.step)
        if snapshot.message:
            self.note(snapshot.message, t=snapshot.t)

    def move(self, state: State, step: int) -> None:
        """Go on to a state between two snapshots; the next `save` keeps it."""
        self._latest, self._step = state, step

    def note(self, sentence: str, *, t: float | None = None) -> None:
        """Keep a sentence for the summary; one that differs from an earlier one only in its numbers is not repeated."""
        if not any(_wording(message.partition(": ")[2] or message) == _wording(sentence) for message in self.messages):
            self.messages.append(sentence if t is None else f"t = {t:g}: {sentence}")

    def save(self) -> None:
        """Write the series and, after it, the checkpoint of the last state; keep the newest few checkpoints.

        **Raises** `NumericalError` instead of keeping a state with NaN.
        """
        now = (len(self.rows), self._step)
        if now == self._saved or not self.rows:
            return
        row = self.rows[-1]
        if self._step != row.step and _has_nan(self._latest):
            raise NumericalError(f"The run stopped after t = {row.t:g}, at step {self._step}: the state contains NaN.")
        if now[0] != self._saved[0]:
            replace(self.path / SERIES, as_netcdf(self.series()))
        header = {"fingerprint": self.fingerprint, "snapshot": len(self.rows), "step": self._step, "t": row.t}
        folder = self.path / CHECKPOINTS
        with disk(folder):
            folder.mkdir(exist_ok=True)
        between = "" if self._step == row.step else f"_{self._step:09d}"  # sorts behind the snapshot before it
        file = folder / f"{len(self.rows):08d}{between}.eqx"
        header |= {"messages": self.messages, "wall_seconds": self.wall_seconds}
        replace(file, pack(self._latest, header))
        self._saved = now
        with disk(folder):
            for old in list_checkpoints(self.path)[: -self.keep]:
                old.unlink()

    def restore(self, template: State) -> State:
        """The state of the newest good checkpoint, in the shape of `template`; None if there is none yet.

        Drops what the series holds beyond it. A damaged checkpoint is passed over, with a message, for the one
        before it.

        **Raises** `NeurhoError` if a checkpoint belongs to another problem, or if none of them can be read.
        """
        sentences: list[str] = []
        for file in reversed(list_checkpoints(self.path)):
            try:
                header, state = unpack(file, template, self.fingerprint)
            except DamagedError as error:
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

    def _rewind(self, file: Path, header: Record) -> None:
        count = int(header["snapshot"])
        if len(self.rows) < count or self.rows[count - 1].t != header["t"]:
            raise NeurhoError(f"`{self.path / SERIES}` does not belong to checkpoint `{file}`; restore it or run anew.")
        self.rows = self.rows[:count]
        self.messages = list(header["messages"])
        self._saved, self._step = (count, int(header["step"])), int(header["step"])
        self._started = time.monotonic() - header.get("wall_seconds", self.rows[-1].wall_seconds)

    @property
    def kind(self) -> str:
        """The kind of the task, from the problem file; "" for a directory of something else."""
        return str(self._problem.get("task", {}).get("kind", ""))

    @cached_property
    def _problem(self) -> Record:
        return tomllib.loads(read_problem(self.path))

    def series(self) -> xr.Dataset:
        """Everything recorded, as a dataset along `t`, in the unit of time that the problem names."""
        unit = str(self._problem.get("model", {}).get("unit", GAMMA))
        attributes = {"title": "neurho run", "fingerprint": self.fingerprint, "hbar": 1, "time_unit": unit}
        return as_dataset(self.rows, self.bonds, self.pairs, unit=unit).assign_attrs(attributes)

    def finish(
        self, *, converged: bool, average: float | None = None, remark: str = "", complete: bool = False, kind: str = ""
    ) -> Record:
        """Save, write `summary.json` and return what it holds. See `summarise` for `average`; `kind` is that of the
        problem unless given.

        `remark` says why the run ended; unlike the other messages it is forgotten when the run goes on.
        """
        self.save()
        series = self.series()
        result = summarise(series, average=average)
        sentences = [remark, disagreement(series, average=average)]
        found = judge(series, kind or self.kind, average=average, reached=converged)
        result |= {
            "observables": prefer_corrected(result["observables"], found.word),
            "verdict": found.word,
            "reasons": list(found.reasons),
            "verdicts": dict(found.words),
            "certificate": [figure._asdict() for figure in found.figures],
            "converged": converged,
            "complete": converged or complete,
            "messages": [*self.messages, *filter(None, sentences)],
            "fingerprint": self.fingerprint,
        }
        replace(self.path / SUMMARY, as_json(result))
        return result


def create(
    path: str | Path,
    problem: str,
    *,
    fingerprint: str,
    seed: int,
    bonds: Sequence[Sequence[int]] | np.ndarray = (),
    pairs: Sequence[Sequence[int]] | np.ndarray = (),
    keep: int = 2,
) -> Run:
    """Start a new run directory.

    **Arguments**

    - `path`: must not exist or be empty.
    - `problem`: the resolved problem as TOML; `fingerprint`: what tells it apart from others.
    - `bonds`: `(bonds, 2)`, the pairs that the observables per bond belong to.
    - `pairs`: `(pairs, 2)`, likewise for reduced density matrices.
    - `keep`: how many checkpoints to keep.

    **Raises** `NeurhoError` if there is something already, or if the directory cannot be written.
    """
    path = Path(path)
    require_unused(path)
    with disk(path):
        path.mkdir(parents=True, exist_ok=True)
    replace(path / PROBLEM, problem.encode())
    facts = {"seed": seed, "fingerprint": fingerprint, "sessions": [_session()]}
    replace(path / PROVENANCE, as_json(facts))
    return Run(path, fingerprint=fingerprint, bonds=_two_columns(bonds), pairs=_two_columns(pairs), keep=keep)


def reopen(
    path: str | Path,
    *,
    fingerprint: str,
    bonds: Sequence[Sequence[int]] | np.ndarray = (),
    pairs: Sequence[Sequence[int]] | np.ndarray = (),
    keep: int = 2,
) -> Run:
    """Open a run directory to go on with it; `Run.restore` then gives the state to go on from."""
    path = checked(path)
    run = Run(path, fingerprint=fingerprint, bonds=_two_columns(bonds), pairs=_two_columns(pairs), keep=keep)
    facts = read_json(path / PROVENANCE)
    replace(path / PROVENANCE, as_json(facts | {"sessions": [*facts.get("sessions", []), _session()]}))
    with disk(path):
        for part in [*path.glob(".*.part"), *(path / CHECKPOINTS).glob(".*.part")]:
            part.unlink(missing_ok=True)  # what a killed process left
    if (path / SERIES).exists():
        run.rows = rows_of(read_series(path))
    return run


def read_ansatz(path: str | Path, template: T, fingerprint: str) -> T:
    """The network in the newest good checkpoint of a run directory, in the shape of `template`.

    Every state begins with its network; what follows is not read.

    **Raises** `NeurhoError` if there is no good checkpoint, or if it holds another network.
    """
    return read_state(path, (template,), fingerprint)[0]


def read_state(path: str | Path, template: State, fingerprint: str) -> State:
    """The state in the newest good checkpoint of a run directory, or its beginning, in the shape of `template`.

    **Raises** `NeurhoError` if there is no good checkpoint, or if it holds another state.
    """
    sentence = f"The run `{path}` has saved no state yet."
    for file in reversed(list_checkpoints(checked(path))):
        try:
            return unpack(file, template, fingerprint)[1]
        except DamagedError as error:
            sentence = str(error)
    raise NeurhoError(sentence)


def _two_columns(pairs: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    return np.asarray(pairs, dtype=int).reshape(-1, 2)


def _not_finite(snapshot: "Snapshot") -> str | None:
    for name, estimate in snapshot.observables.items():
        if not np.all(np.isfinite(estimate.mean)):
            return f"observable `{name}` is NaN or infinite"
    for name, value in snapshot.diagnostics.items():
        if name not in UNDEFINED_AT_TIMES and not np.isfinite(value):
            return f"`{name}` is {value}"
    return "the state contains NaN" if _has_nan(snapshot.state) else None


def _has_nan(state: State) -> bool:
    """Infinite logarithms of zero weights are nothing bad in a state; NaN always is."""
    for leaf in jax.tree_util.tree_leaves(state):
        numeric = isinstance(leaf, float | complex) or getattr(getattr(leaf, "dtype", None), "kind", "") in "fc"
        if numeric and np.any(np.isnan(np.asarray(leaf))):
            return True
    return False


def _session() -> Record:
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
