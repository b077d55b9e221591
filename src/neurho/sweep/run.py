"""Running the points of a sweep, each by a task of dask.distributed that can be killed and given to another worker."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from neurho import config, records
from neurho._types import NeurhoError
from neurho.run.problem import build
from neurho.session.loop import Saver, average_of, missed
from neurho.sweep.directory import FAILURES, Sweep

if TYPE_CHECKING:
    from distributed import Client


class Outcome(NamedTuple):
    """How a point ended: "done" or "failed", and why."""

    number: int
    state: str
    sentence: str


def run_point(directory: str | Path, problem: str, *, trust: bool = False) -> dict[str, Any]:
    """Run one problem (TOML) in a run directory, or go on with it; its summary.

    Saves as `[output]` says. A directory that a killed worker left before anything was in it is made anew. With
    `trust` code that the problem names runs.

    **Raises** `NeurhoError` as any run does; what was computed before is saved.
    """
    jax.config.update("jax_enable_x64", val=True)
    directory, settings = Path(directory), config.loads(problem)
    config.require_trust(settings, trust=trust)
    built = build(settings, trust=trust)
    facts: dict[str, Any] = {
        "fingerprint": config.fingerprint(settings),
        "bonds": built.lattice.bonds,
        "keep": settings.output.keep,
    }
    with records.locked(directory):
        if records.is_run(directory):
            run = records.reopen(directory, **facts)
            state = run.restore(built.template())
        else:
            _empty(directory)
            run = records.create(directory, problem, seed=settings.seed, **facts)
            state = None
        return _follow(built, run, state)


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.name != records.LOCK:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _follow(built: Any, run: records.Run, state: Any) -> dict[str, Any]:
    """All snapshots of a point: a worker has no terminal and no signals of its own, and runs to the end."""
    settings, saver, converged = built.config, Saver(built.config, run), False
    stationary, average = settings.task.kind == "stationary", average_of(built.config)

    def watch(state: Any) -> None:
        run.move(state, state.step)
        saver.save_if_due(state.step)

    try:
        for snapshot in built.snapshots(state, watch=watch):
            run.record(snapshot)
            converged = snapshot.converged if stationary else True
            saver.save_if_due(snapshot.step)
    except NeurhoError as error:
        run.finish(converged=False, average=average, remark=str(error))
        raise
    if stationary and not converged and (sentence := missed(settings)):
        run.note(sentence)
    return run.finish(converged=converged or not stationary, average=average, complete=True)


def _in_worker(directory: str, problem: str, *, trust: bool) -> dict[str, Any]:
    """`run_point` on a worker, where xarray would otherwise ask the scheduler for a lock of every file."""
    from dask.config import set as configured  # noqa: PLC0415  (an extra: only sweeps need it)

    with configured(scheduler="synchronous"):
        return run_point(directory, problem, trust=trust)


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
            outcome = Outcome(number, "done", "")
        elif isinstance(error, NeurhoError):
            outcome = Outcome(number, "failed", str(error))
        else:
            outcome = Outcome(number, "failed", f"{type(error).__name__}: {error}")
        outcomes.append(outcome)
        told(outcome)
    failures = {f"{o.number:05d}": o.sentence for o in outcomes if o.state == "failed"}
    records.write_file(sweep.path / FAILURES, (json.dumps(failures, indent=1) + "\n").encode())
    return outcomes
