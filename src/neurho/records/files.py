"""Files of a run directory: each is written beside its place and moved there in one step."""

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from filelock import FileLock, Timeout

from neurho._types import NeurhoError, Record

PROBLEM, PROVENANCE, SERIES, SUMMARY, CHECKPOINTS, STATUS, LOCK = (
    "problem.toml",
    "provenance.json",
    "series.nc",
    "summary.json",
    "checkpoints",
    "status.json",
    ".lock",
)


class Status(TypedDict):
    """Where a run is, as `status.json` says it: observables are pairs of mean and error."""

    state: str
    t: float
    t_end: float | None
    step: int
    steps: int | None
    at_most: bool
    main: str
    observables: dict[str, list[float | None]]
    diagnostics: dict[str, float | None]
    message: str
    history: list[float]
    seconds: float
    left_seconds: float | None
    memory_bytes: int
    so_far: NotRequired[bool]


def require_unused(path: Path) -> None:
    """Refuse a run directory that holds something already."""
    with disk(path):
        if path.exists() and not path.is_dir():
            raise NeurhoError(f"The run directory `{path}` must be a directory, but it is a file.")
        if path.is_dir() and any(file.name != LOCK for file in path.iterdir()):
            more = f"go on with `neurho resume {path}` or" if is_run(path) else "please"
            raise NeurhoError(
                f"The run directory `{path}` must be new or empty, but it holds files; {more} give another."
            )


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """A block in which no other process writes to this run directory, which is made if need be.

    **Raises** `NeurhoError` if another process is writing.
    """
    path = Path(path)
    with disk(path):
        path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK, timeout=0)
    try:
        with disk(path):
            lock.acquire()
    except Timeout:
        raise NeurhoError(
            f"The run directory `{path}` is being written by another process; wait, or stop it."
        ) from None
    except NotImplementedError:  # a file system without locks: better to run unprotected than not at all
        yield
        return
    try:
        yield
    finally:
        lock.release()


def is_locked(path: str | Path) -> bool:
    """Whether a process is writing to this run directory."""
    lock = FileLock(Path(path) / LOCK, timeout=0)
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock:
            return False
    except (Timeout, OSError, NotImplementedError):
        return True


def write_status(path: Path, status: Status) -> None:
    """Write where a run is, for those who watch it; nothing depends on it, so that it need not reach the disk."""
    here = {"process": os.getpid(), "host": platform.node()}
    with suppress(NeurhoError):
        replace(path / STATUS, as_json(status | here), sync=False)


def read_status(path: str | Path) -> Status | None:
    """Where a run was when it last said so, or None."""
    file = checked(path) / STATUS
    return cast(Status, read_json(file)) if file.exists() else None


def is_run(path: str | Path) -> bool:
    """Whether this is a run directory."""
    return (Path(path) / PROBLEM).is_file() and (Path(path) / PROVENANCE).is_file()


def read_problem(path: str | Path) -> str:
    """The resolved problem of a run directory, as TOML."""
    file = checked(path) / PROBLEM
    with disk(file, "read"):
        return file.read_text(encoding="utf-8")


def read_provenance(path: str | Path) -> Record:
    """Versions, platform, seed and sessions of a run directory."""
    return read_json(checked(path) / PROVENANCE)


def read_summary(path: str | Path) -> Record | None:
    """The summary of a run directory, or None while there is none."""
    file = checked(path) / SUMMARY
    return read_json(file) if file.exists() else None


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step, for what others (figures) put into a run directory, or into a folder of it."""
    with disk(path.parent):
        path.parent.mkdir(exist_ok=True)
    replace(path, data)


def replace(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file beside its place and move it there in one step."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk(path):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def disk(path: Path, doing: str = "written") -> Iterator[None]:
    """Turn errors of the file system into one sentence."""
    try:
        yield
    except Timeout:  # of a lock, which is an OSError too
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NeurhoError(
                f"The disk is full: `{path}` could not be written; what was saved before is kept."
            ) from None
        raise NeurhoError(f"`{path}` cannot be {doing}: {error.strerror or error}.") from None


def as_json(value: object) -> bytes:
    """JSON that people can read; no NaN."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def read_json(file: Path) -> Record:
    """The object in a JSON file."""
    try:
        with disk(file, "read"):
            return dict(json.loads(file.read_bytes()))
    except NeurhoError:
        raise
    except (ValueError, TypeError):
        raise NeurhoError(f"`{file}` is damaged: it is not a JSON object.") from None


def checked(path: str | Path) -> Path:
    """The path, if it is a run directory."""
    path = Path(path)
    if not path.exists():
        raise NeurhoError(f"There is no run directory `{path}`.")
    if not is_run(path):
        raise NeurhoError(f"`{path}` is not a run directory: it has no {PROBLEM} and {PROVENANCE}.")
    return path
