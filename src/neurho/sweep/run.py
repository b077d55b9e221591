"""Running the points of a sweep, each by a task of dask.distributed that can be killed and given to another worker."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax

from neurho import config, records
from neurho._types import NeurhoError
from neurho.run.problem import build
from neurho.session.bar import bar
from neurho.session.interrupt import signals
from neurho.session.loop import facts_of, follow
from neurho.sweep.directory import FAILURES, Sweep

if TYPE_CHECKING:
    from distributed import Client


class Outcome(NamedTuple):
    """How a point ended: "done" or "failed", and why."""

    number: int
    state: str
    sentence: str


def run_point(directory: str | Path, problem: str, *, trust: bool = False) -> records.Record:
    """Run one problem (TOML) in a run directory, or go on with it; its summary.

    Saves and stops as `[output]` says. A directory that a killed worker left before anything was in it is made anew.
    With `trust` code that the problem names runs.

    **Raises** `NeurhoError` as any run does; what was computed before is saved.
    """
    jax.config.update("jax_enable_x64", val=True)
    directory, settings = Path(directory), config.loads(problem)
    config.require_trust(settings, trust=trust)
    built = build(settings, trust=trust)
    facts = facts_of(built)
    with records.locked(directory):
        if records.is_run(directory):
            run = records.reopen(directory, **facts)
            state = run.restore(built.template())
        else:
            _empty(directory)
            run = records.create(directory, problem, seed=settings.seed, **facts)
            state = None
        # A worker has no terminal, and Ctrl-C belongs to whoever calls.
        with signals.catching(), bar(settings, run, show=False) as report:
            ending = follow(built, run, state, report, again="run the sweep again", once=True)
    if ending.code:
        raise KeyboardInterrupt
    return ending.summary


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.name != records.LOCK:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _in_worker(directory: str, problem: str, *, trust: bool) -> records.Record:
    """`run_point` on a worker, where xarray would otherwise ask the scheduler for a lock of every file."""
    from dask.config import set as configured  # noqa: PLC0415  (an extra: only sweeps need it)

    with configured(scheduler="synchronous"):
        return run_point(directory, problem, trust=trust)


def _ended(number: int, summary: records.Record) -> Outcome:
    """How a point ended that raised nothing: one that ran out of time has said so last."""
    return Outcome(number, "done", "") if summary["complete"] else Outcome(number, "failed", summary["messages"][-1])


def run_sweep(
    sweep: Sweep,
    client: "Client",
    *,
    retries: int = 1,
    trust: bool = False,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run all points that are not done, and wait.

    A worker that dies loses only what it has not saved: its points go to other workers, which go on from there. A point
    that raises is tried `retries` times more; then it has failed, and the others go on. Calling this again tries the
    failed ones again.

    **Arguments**

    - `client`: of `dask.distributed`; its workers see the same file system.
    - `trust`: run code that the problems name, on every worker.
    - `told`: called with every outcome.
    """
    from distributed import as_completed  # noqa: PLC0415  (an extra: only sweeps need it)

    futures = {
        client.submit(
            _in_worker,
            str(sweep.point(number).resolve()),
            sweep.grid.problems[number],
            trust=trust,
            pure=False,
            retries=retries,
        ): number
        for number in sweep.open_points
    }
    outcomes = []
    for future in as_completed(list(futures)):
        number, error = futures[future], future.exception()
        if error is None and future.status != "finished":  # a cluster that closes loses its tasks without a word
            outcome = Outcome(number, "failed", f"The cluster has lost it ({future.status}); run the sweep again.")
        elif error is None:
            outcome = _ended(number, future.result())
        elif isinstance(error, NeurhoError):
            outcome = Outcome(number, "failed", str(error))
        else:
            outcome = Outcome(number, "failed", f"{type(error).__name__}: {error}")
        outcomes.append(outcome)
        told(outcome)
    failures = {f"{o.number:05d}": o.sentence for o in outcomes if o.state == "failed"}
    records.write_file(sweep.path / FAILURES, (json.dumps(failures, indent=1) + "\n").encode())
    return outcomes
