"""Which method a run is compared with: never its own."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from neurho import reference
from neurho._types import NeurhoError, Record
from neurho.config import Config, validate
from neurho.run.problem import REFERENCE_DIMENSION, Problem, build

AUTOMATIC = ("exact", "matrix-product", "trajectories")
"""Methods in the order in which they are tried."""

WHY = {
    "exact": "the system is small",
    "matrix-product": "the lattice is an open chain or a narrow strip",
    "trajectories": "the lattice has at most 20 sites",
}
"""Why a method is chosen, in words."""

TRAJECTORIES = 400
"""Trajectories of an evolution; the error of a mean of Pauli matrices is at most 1/sqrt of it."""

LONGEST = {"evolve": 1800.0, "stationary": 600.0}
"""Seconds after which trajectories stop with what they have."""

ERROR_OF_SZ = 0.005
"""Error of the mean of sigma^z below which trajectories of a stationary state stop."""

START = {"product": ("kind", "bloch"), "levels": ("kind", "populations", "phases", "mixed")}
START |= {"matrix": ("kind", "entries")}
"""Keys of [initial] that say which state is meant; the others are about networks."""


class Choice(NamedTuple):
    """A method, why it is taken, and the problem that it solves; None for what the run's own problem has at hand."""

    method: str
    why: str
    problem: Problem | None


def choose(problem: Problem, wanted: str = "auto") -> Choice:
    """The reference of a problem.

    **Arguments**

    - `wanted`: a method, or "auto": values shipped for the problem, else the exact solution of at most 256 levels,
      else matrix products, else trajectories; the method of the run itself is passed over.

    **Raises** `NeurhoError` where none does, with the reasons of each and what would do.
    """
    own = problem.config.task.method
    if wanted != "auto":
        if wanted == own:
            raise NeurhoError(
                f'A run by "{own}" must be compared with another method, but the reference asked for is "{own}", too.'
            )
        return _by(problem, wanted, "asked for")
    if reference.shipped(problem.config) is not None:
        return Choice("shipped", "the program has values of this problem", None)
    refusals: list[str] = []
    for choice in _candidates(problem, refusals):
        return choice
    raise NeurhoError(
        "\n  ".join(
            [
                f"No method finds a reference for this run by itself, for N = {problem.lattice.sites} sites:",
                *refusals,
                "What would do: a smaller lattice, an open chain, `--reference correlators` (any size, with errors "
                "estimated from its own cuts), or another run or a file to compare with.",
            ]
        )
    )


def _candidates(problem: Problem, refusals: list[str]) -> Iterator[Choice]:
    for method in AUTOMATIC:
        if method == problem.config.task.method:
            refusals.append(f'"{method}": it is the method of the run itself.')
        elif method == "exact" and problem.lindbladian.local_dim**problem.lattice.sites > REFERENCE_DIMENSION:
            refusals.append(f'"{method}": the lattice has more than {REFERENCE_DIMENSION} levels in all.')
        else:
            try:
                yield _by(problem, method, WHY[method])
            except NeurhoError as error:
                refusals.append(f'"{method}": {error}')


def _by(problem: Problem, method: str, why: str) -> Choice:
    """The choice of a method.

    **Raises** `NeurhoError` where the method does not fit.
    """
    started = problem.config.task.kind == "evolve" and problem.config.initial.kind not in START
    small = problem.lindbladian.local_dim**problem.lattice.sites <= REFERENCE_DIMENSION
    if method == "exact" and started and small:
        return Choice(method, why, None)
    made = build(asked_of(problem.config, method), problem.lindbladian)
    if made.driver is not None:
        _ = made.describe()  # says what does not fit
    made.require_memory()
    return Choice(method, why, made)


def asked_of(config: Config, method: str) -> Config:
    """The same physics, start, times and observables, for another method that needs no network."""
    data = config.model_dump(mode="json", exclude_none=True, exclude={"ansatz", "sampling", "output"})
    kind, times = config.task.kind, {}
    if kind == "evolve":
        times = {key: data["task"][key] for key in ("t", "times", "points") if key in data["task"]}
    data["task"] = {"kind": kind, "method": method} | times | _settings(config, method)
    data["initial"] = _start(data["initial"], kind)
    for key in ("reference", "certificate", "corrected", "purity", "pairs"):  # none is a mean to compare
        data["observables"].pop(key, None)
    return validate(data | {"seed": 0}, f'the reference by "{method}"')


def _settings(config: Config, method: str) -> Record:
    if method != "trajectories":
        return {}
    kind = config.task.kind
    settings: Record = {"seconds": LONGEST[kind]}
    if kind == "evolve":
        return settings | {"trajectories": TRAJECTORIES}
    return settings | ({"error_of": "sz", "error_goal": ERROR_OF_SZ} if config.local_dim == 2 else {})


def _start(initial: Record, kind: str) -> Record:
    """The start without noise and tilt; of a stationary state, which all starts lead to, any."""
    with suppress(KeyError):
        return {key: initial[key] for key in START[initial["kind"]] if key in initial}
    return {"kind": "random"} if kind == "stationary" else initial
