"""Problems and run directories as the commands open them."""

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurho.config import Config
    from neurho.records import Record
    from neurho.run.problem import Problem


def double_precision() -> None:
    """What the physics needs; the library leaves this global setting to whoever starts it."""
    import jax

    jax.config.update("jax_enable_x64", True)


def build_problem(settings: "Config", *, trust: bool = False) -> "Problem":
    """The problem that runs, in double precision."""
    double_precision()
    from neurho.run.problem import build

    return build(settings, trust=trust)


def settings_of(directory: Path) -> "Config":
    """The problem of a run directory."""
    from neurho import config, records

    return config.loads(records.read_problem(directory), where=str(directory / records.PROBLEM))


def summary_of(directory: Path, settings: "Config") -> "Record":
    """The summary of a run, or of what there is of it so far."""
    from neurho import records

    outputs, summary = records.outputs(directory), records.read_summary(directory)
    return _so_far(directory, settings) if summary is None or summary["snapshots"] != outputs else summary


def _so_far(directory: Path, settings: "Config") -> "Record":
    from neurho import config, records
    from neurho.session.loop import average_of

    series, average = records.read_series(directory), average_of(settings)
    found = records.judge(series, settings.task.kind, average=average, reached=None)
    rest = {"converged": None, "messages": [], "fingerprint": config.fingerprint(settings)}
    rest |= {"verdict": found.word, "reasons": list(found.reasons), "verdicts": dict(found.words)}
    rest["certificate"] = [figure._asdict() for figure in found.figures]
    return records.summarise(series, average=average) | rest


def free_directory(name: str) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, ... that is not there."""
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
