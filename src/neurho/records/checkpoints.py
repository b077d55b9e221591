"""Checkpoints: a header line with a checksum, then the leaves of the state."""

import hashlib
import io
import json
from importlib import metadata
from pathlib import Path

import equinox as eqx

from neurho._types import NeurhoError
from neurho.observables import State
from neurho.records.files import CHECKPOINTS, Record, disk


class DamagedError(NeurhoError):
    """A checkpoint that cannot be read."""


def list_checkpoints(path: Path) -> list[Path]:
    """Files of checkpoints, oldest first."""
    return sorted((path / CHECKPOINTS).glob("[0-9]*.eqx"))


def pack(state: State, header: Record) -> bytes:
    """A state as bytes, behind a header line with length and checksum."""
    buffer = io.BytesIO()
    eqx.tree_serialise_leaves(buffer, state)
    payload = buffer.getvalue()
    header = {**header, "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    return json.dumps(header).encode() + b"\n" + payload


def unpack(file: Path, template: State, fingerprint: str) -> tuple[Record, State]:
    """Header and state of a checkpoint, checked."""
    with disk(file, "read"):
        line, _, payload = file.read_bytes().partition(b"\n")
    try:
        header = json.loads(line)
        whole = len(payload) == header["bytes"] and hashlib.sha256(payload).hexdigest() == header["sha256"]
    except (ValueError, KeyError, TypeError):
        whole, header = False, {}
    if not whole:
        raise DamagedError(f"The checkpoint `{file}` is truncated or damaged.")
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
