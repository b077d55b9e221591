"""The two calls from Python: `neurho.solve` and `neurho.stationary`."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
import xarray as xr

from neurho import records
from neurho._types import NeurhoError, Record, brief, require
from neurho.config import Config, dumps, fingerprint, loads
from neurho.config.files import identity
from neurho.model.operators import Lindbladian
from neurho.observables import Snapshot
from neurho.run.problem import Problem
from neurho.session.asked import built, problem_of
from neurho.session.bar import bar
from neurho.session.interrupt import signals
from neurho.session.loop import facts_of, follow
from neurho.session.result import Result

Times: TypeAlias = Sequence[float] | np.ndarray | float | None
"""Output times in units of 1/rate, or the last one."""


def solve(
    model: Lindbladian | Config,
    initial: object = None,
    times: Times = None,
    *,
    observables: object = None,
    method: str = "auto",
    out: str | Path | None = None,
    ansatz: Mapping[str, object] | None = None,
    sampling: Mapping[str, object] | None = None,
    seed: int = 0,
    output: Mapping[str, object] | None = None,
    progress: bool | None = None,
    callback: Callable[[Snapshot], object] | None = None,
    **options: object,
) -> Result:
    """The time evolution of an open system, d rho/dt = L rho (hbar = 1), by any method.

    ```python
    import neurho

    model = neurho.heisenberg(neurho.chain(3), field=(1, 0, 2), coupling=(1, 0, 0.5), decay=1.0)
    result = neurho.solve(model, "+x", [0, 0.5, 1.0])
    assert result.method == "exact" and result.dataset.sx.sizes["t"] == 3
    ```

    **Arguments**

    - `model`: a [`neurho.Lindbladian`][], or a whole problem as [`neurho.load`][] reads it, beside which only `out`,
      `progress` and `callback` are given.
    - `initial`: of spins 1/2 "up", "down", "neel", "+x", "-x", "+y", ..., or "mixed" (infinite temperature); a Bloch
      vector `(3,)` or one for each site `(N, 3)`; a list of names and vectors; of other sites a level, or a list of
      them; a state vector `(d^N,)` or a density matrix `(d^N, d^N)` (one that is no product for method "exact"); a
      table with the keys of [initial] of the problem file; or the `Result` of another run, from whose last state exact
      runs, correlators and networks of both pictures start.
    - `times`: output times in units of 1/rate, or the last one (then `points` of them, 101 unless given). The start is
      always measured.
    - `observables`: operators or lists of them by name, text such as `{"n": "proj(i, 0)"}` for each site (with `j`:
      each bond), and keys of [observables] such as `"structure"`, beside the means of Pauli matrices.
    - `method`: "auto" (says why), "exact", "correlators", "trajectories", "matrix-product", "outcomes", or of networks
      "flow", "projected" and the names of Runge-Kutta methods.
    - `out`: a run directory, as `neurho run --out` writes it. The same call goes on with one that was stopped.
    - `ansatz`, `sampling`: the tables of a network, as in `{"hidden": 6, "mixing": 6}`, `{"samples": 4096}`.
    - `output`: the table [output], as in `{"wall_seconds": 60}`.
    - `progress`: whether to show a bar; on a terminal and in a notebook unless given.
    - `callback`: called with every output, a [`neurho.Snapshot`][].
    - `options`: the keys of [task] of the method, as in `tolerance=1e-4`, `trajectories=500`, `bond=32`.

    **Returns** a [`neurho.Result`][]; after Ctrl-C what there is, with `finished` false.

    Double precision is switched on in JAX, as the command does.

    **Raises** `NeurhoError` for arguments that do not fit and for a directory that holds another problem;
    `NumericalError` when a run meets NaN.
    """
    given = {"initial": initial, "times": times, "observables": observables, "ansatz": ansatz, "sampling": sampling}
    given |= {"output": output}
    run = {"out": out, "progress": progress, "callback": callback}
    return _call(model, "evolve", given, options, method=method, seed=seed, run=run)


def stationary(
    model: Lindbladian | Config,
    initial: object = None,
    *,
    times: Times = None,
    observables: object = None,
    method: str = "auto",
    out: str | Path | None = None,
    ansatz: Mapping[str, object] | None = None,
    sampling: Mapping[str, object] | None = None,
    seed: int = 0,
    output: Mapping[str, object] | None = None,
    progress: bool | None = None,
    callback: Callable[[Snapshot], object] | None = None,
    **options: object,
) -> Result:
    """The stationary state of an open system, L rho = 0, by any method.

    ```python
    import neurho

    result = neurho.stationary(neurho.xyz(neurho.square(2, 2, periodic=True)))
    assert abs(result["sz"].mean + 0.659) < 1e-3
    ```

    Arguments as those of [`neurho.solve`][], but for:

    - `initial`: where the search begins, for methods that begin somewhere.
    - `times`: for the flow and matrix products, when to measure.
    - `method`: "continuation" is the implicit search of networks; "flow" follows them up to `t_max`. "projected" is for
      evolutions.
    - `options`: as in `delta_L=1e-3`, `max_steps=100`, `strings=10000`, `t_max=50.0`, `error_of="sz"`.
    """
    given = {"initial": initial, "times": times, "observables": observables, "ansatz": ansatz, "sampling": sampling}
    given |= {"output": output}
    run = {"out": out, "progress": progress, "callback": callback}
    return _call(model, "stationary", given, options, method=method, seed=seed, run=run)


def _call(
    model: Any,
    kind: str,
    given: dict[str, object],
    options: dict[str, object],
    *,
    method: str,
    seed: int,
    run: Record,
) -> Result:
    _require_run(**run)
    jax.config.update("jax_enable_x64", val=True)
    if isinstance(model, Config):
        extra = [name for name, value in (given | options).items() if value is not None]
        extra += ["method"] * (method != "auto") + ["seed"] * (seed != 0)
        but = f"`{extra[0] if extra else ''}` is given; neurho.load(..., overrides) changes a problem"
        require(not extra, "model", "be a Lindbladian where other arguments describe the problem", but)
        return run_problem(built(model, kind), **run)
    must = "be a Lindbladian, as `Lindbladian(lattice, hamiltonian, jumps)` and `heisenberg(...)` give, or a Config"
    require(isinstance(model, Lindbladian), "model", must, f"it is {brief(model)}")
    kept = run["out"] is not None
    problem = problem_of(model, kind, method=method, seed=seed, kept=kept, options=options, **given)
    return run_problem(problem, **run, origin=given["initial"])


def _require_run(out: object, progress: object, callback: object) -> None:
    must = "be a path for a run directory, or None"
    require(out is None or isinstance(out, str | Path), "out", must, f"it is {brief(out)}")
    must = "be true, false or None"
    require(progress is None or isinstance(progress, bool), "progress", must, f"it is {brief(progress)}")
    must = "be a function that takes a snapshot, or None"
    require(callback is None or callable(callback), "callback", must, f"it is {brief(callback)}")


def run_problem(
    problem: Problem,
    out: str | Path | None,
    *,
    progress: bool | None = None,
    callback: Callable[[Snapshot], object] | None = None,
    origin: object = None,
) -> Result:
    """Run a problem, or go on with it where `out` holds a part of it; without `out` the record goes with the result."""
    temporary = out is None
    path = Path(tempfile.mkdtemp(prefix="neurho-")) if out is None else Path(out)
    try:
        with records.locked(path):
            dataset, summary = _recorded(problem, path, temporary=temporary, progress=progress, callback=callback)
    except BaseException:
        if temporary:
            shutil.rmtree(path, ignore_errors=True)
        raise
    return Result(problem, dataset, summary, path, temporary=temporary, origin=origin)


def _recorded(
    problem: Problem,
    path: Path,
    *,
    temporary: bool,
    progress: bool | None,
    callback: Callable[[Snapshot], object] | None,
) -> tuple[xr.Dataset, records.Record]:
    """The series and the summary of a run in a directory, new or gone on with."""
    config, going_on = problem.config, records.is_run(path)
    if going_on:
        _require_same(config, path)
        summary = records.read_summary(path)
        if summary is not None and summary.get("converged") and summary["fingerprint"] == fingerprint(config):
            return records.read_series(path), summary
    problem.require_memory()
    facts = facts_of(problem)
    if going_on:
        run = records.reopen(path, **facts)
        state = run.restore(problem.template())
    else:
        run, state = records.create(path, dumps(config), seed=config.seed, **facts), None
    again = "what there is is returned" if temporary else "the same call goes on from there"
    kept = "" if temporary else f" What was computed before is kept in {path}."
    with signals.catching(), bar(config, run, show=progress) as report:
        ending = follow(problem, run, state, report, again=again, kept=kept, callback=callback)
    return run.series(), ending.summary


def _require_same(config: Config, path: Path) -> None:
    """Refuse a directory that holds another problem, and say what differs."""
    kept = loads(records.read_problem(path), f"{path}/{records.PROBLEM}")
    if fingerprint(kept) == fingerprint(config):
        return
    differ = [name for name in ("lattice", "model") if getattr(kept, name) != getattr(config, name)]
    if not differ:
        old, new = identity(kept), identity(config)
        for table in sorted({*old, *new}):
            a, b = old.get(table, {}), new.get(table, {})
            if a != b:
                inner = isinstance(a, dict) and isinstance(b, dict)
                keys = [k for k in sorted({*a, *b}) if a.get(k) != b.get(k)] if inner else []
                differ += [f"{table}.{key}" for key in keys] or [table]
    raise NeurhoError(
        f"Argument `out` must be a new directory or one that holds this problem, but the run in `{path}` differs in "
        f"{', '.join(differ)}."
    )
