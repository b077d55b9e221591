"""The run of a reference method from its beginning to its end."""

from collections.abc import Callable

import xarray as xr

from neurho._types import NeurhoError
from neurho.config import dumps
from neurho.observables import Snapshot, Watch
from neurho.observables.readout import as_values
from neurho.records import Row
from neurho.records.series import as_dataset
from neurho.run.problem import Problem
from neurho.truth.cache import place_of, read, write
from neurho.truth.choice import Choice


def obtain(owner: Problem, choice: Choice, *, watch: Watch, say: Callable[[str], None]) -> xr.Dataset:
    """The reference that was chosen for the problem `owner`: from the cache, or computed and kept there.

    `watch` is called with states (`t`, `step`) as they come, `say` with sentences.
    """
    if choice.problem is None:
        found = owner.reference()
        if found is None:
            raise NeurhoError("There is no reference of this problem at hand; give another run to compare with.")
        return found
    path = place_of(choice.problem.config)
    if (kept := read(path)) is None:
        kept = solve(choice.problem, watch=watch)
        if refusal := write(path, kept):
            say(refusal)
    if message := kept.attrs.get("message"):
        say(message)
    return kept


def solve(problem: Problem, *, watch: Watch) -> xr.Dataset:
    """Means with errors by a method without a network, along `t`, or at the end of a search for a stationary state.

    The attributes are `source` (the method), `problem` (as TOML) and `message` (what the method says of itself).
    """
    rows, messages, last = [], [], None
    for snapshot in problem.snapshots(watch=watch):
        watch(snapshot)
        last = snapshot
        rows = [*rows, _row(snapshot)] if problem.config.task.kind == "evolve" else [_row(snapshot)]
        messages += [snapshot.message] if snapshot.message else []
    if last is None:
        raise NeurhoError("The reference method found nothing.")
    if problem.config.task.kind == "stationary" and not last.converged:
        messages.append("The reference is short of its own goal; its errors say by how much.")
    attributes = {"source": problem.config.task.method, "problem": dumps(problem.config), "message": " ".join(messages)}
    found = as_dataset(rows, problem.lattice.bonds).drop_vars(["step", "wall_seconds"])
    found = found if problem.config.task.kind == "evolve" else found.isel(t=-1, drop=True)
    return found.assign_attrs(attributes)


def _row(snapshot: Snapshot) -> Row:
    values = as_values(snapshot.observables)
    return Row(step=int(snapshot.step), t=float(snapshot.t), wall_seconds=0.0, values=values)
