"""What tests of the command share: snapshots that need no physics, and calls of the command in this process."""

from typing import Any, NamedTuple

from typer.testing import CliRunner

from neurho import cli, records


class Estimate(NamedTuple):
    mean: Any
    error: Any


class Snapshot(NamedTuple):
    step: int
    t: float
    observables: dict[str, Estimate]
    diagnostics: dict[str, float]
    state: Any
    message: str = ""
    converged: bool = False
    tables: dict = {}


def call(*words, code=0):
    """Run the command in this process through its real entry point; its standard output and error."""
    result = CliRunner().invoke(cli.app, list(words))
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def numbers(path):
    """The series of a run without its wall times."""
    return records.read_series(path).drop_vars("wall_seconds")
