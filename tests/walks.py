"""What tests of the command share: snapshots that need no physics, and calls of the command in this process."""

import subprocess
import sys
from pathlib import Path
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


SCRIPT = """
import importlib, signal, sys, types
sys.path[:0] = {here!r}
signal.signal(signal.SIGINT, signal.default_int_handler)
tests = importlib.import_module({tests!r})
module = types.ModuleType("neurho.run.problem")
module.build = lambda settings, trust=False: getattr(tests, {problem!r})(settings, pause={pause})
sys.modules["neurho.run.problem"] = module
from neurho import cli
sys.argv = ["neurho", *{words!r}]
cli.main()
"""


def in_a_process(problem, *words, pause):
    """Run the command in a process of its own, with a walk in place of the physics."""
    file = Path(sys.modules[problem.__module__].__file__)
    here = [str(file.parent), str(Path(__file__).parent)]
    names = {"tests": file.stem, "problem": problem.__name__}
    script = SCRIPT.format(here=here, words=list(words), pause=pause, **names)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def numbers(path):
    """The series of a run without its wall times."""
    return records.read_series(path).drop_vars("wall_seconds")
