"""Rows of the table: best fits to the exact state, what searches without it reach, and what is measured of both."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from cases import Array, System, problem
from descent import Found, Problem, least
from entries import Entries, flat
from growth import NOISE, Kept, Store, grown
from kinds import KINDS, entries_of, nearest, space_of
from spaces import Space

from neurho import exact, outcomes

SCALES = (0.03, 0.1, 0.3)
"""Standard deviations of the first parameters of each start."""


class Ends(NamedTuple):
    """Seconds of processor time of a row, the method, and the number of starts."""

    seconds: float
    method: str
    starts: int


class Case(NamedTuple):
    """One network on one system."""

    system: System
    network: str
    n: int
    parameters: int
    space: Space
    entries: Entries
    starts: list[Array]
    store: Store

    @property
    def row(self) -> dict[str, Any]:
        return {"system": self.system.name, "network": self.network, "parameters": self.parameters, "n": self.n}


def case(system: System, name: str, size: int, starts: int, store: Store) -> Case:
    n, parameters = nearest(name, system, size)
    made = [KINDS[name].make(jax.random.key(100 + k), system, n, scale) for k, scale in enumerate(SCALES[:starts])]
    space = space_of(name, system)
    entries = entries_of(name, system, space, made[0])
    return Case(system, name, n, parameters, space, entries, [flat(one)[0] for one in made], store)


def found_before(one: Case, task: str) -> Kept | None:
    """Where an earlier run ended, or the largest smaller network that there is, grown."""
    names = [f"{one.system.name} {one.network} {n} {task}" for n in range(one.n, 0, -1)]
    kept = one.store.get(names[0])
    if kept is not None or one.network == "outcomes":  # the gates of a cell do not grow at their ends
        return kept
    smaller = next(((one.n - k, one.store.get(name)) for k, name in enumerate(names) if one.store.get(name)), None)
    if smaller is None or smaller[1] is None:
        return None
    make = KINDS[one.network].make
    _, restore = flat(make(jax.random.key(0), one.system, smaller[0], 0.1))
    larger = grown(restore(smaller[1].vector), make(jax.random.key(99), one.system, one.n, NOISE))
    return Kept(flat(larger)[0], 0.0)


def solved(one: Case, asked: Problem, task: str, ends: Ends, near: list[str]) -> Found:
    """The least residual from what there is, of `near` tasks, too, or from random parameters, which also come last."""
    asked.normal(one.starts[0])  # no row has to compile
    asked.cost(one.starts[0])
    if ends.method == "lbfgs":
        asked.gradient(one.starts[0])
    others = [one.store.get(f"{one.system.name} {one.network} {one.n} {other}") for other in near if other != task]
    own = found_before(one, task)
    begin = [kept for kept in (own, *others) if kept is not None]
    if begin:
        best = min(begin, key=lambda kept: asked.cost(kept.vector))
        found = least(asked, [best.vector], ends.seconds, ends.method, one.starts[:-1])
        found = found._replace(seconds=found.seconds + (0.0 if own is None else own.seconds))
    else:
        found = least(asked, one.starts, ends.seconds, ends.method)
    one.store.keep(f"{one.system.name} {one.network} {one.n} {task}", Kept(found.search.vector, found.seconds))
    return found


def fits(one: Case, norms: list[float], ends: Ends) -> Iterator[dict[str, Any]]:
    """||rho - sigma||/||sigma|| in each norm, the smallest lambda first; the next begins with what that found, too."""
    sigma, near = one.space.of_matrix(one.system.sigma), [f"{lam:.3g}" for lam in norms]
    for lam in sorted(norms):
        moved = one.space.norm(lam)
        target = moved.apply(sigma)
        size = float(np.linalg.norm(target))
        asked = Problem(one.entries, moved.over(size), target / size, None)
        found = solved(one, asked, f"{lam:.3g}", ends, near)
        yield one.row | {"how": "fit", "lambda": round(lam, 4)} | described(one, found, ends)


def searches(one: Case, norms: list[float], ends: Ends) -> Iterator[dict[str, Any]]:
    """||D L rho||/||D rho||, which knows nothing of the exact state, in each norm D, the smallest lambda first; each
    begins with what others found, too.
    """
    tasks = [f"search {lam:.3g}" for lam in sorted(norms)]
    for task, lam in zip(tasks, sorted(norms), strict=True):
        found = solved(one, search_problem(one, lam), task, ends, tasks)
        yield one.row | {"how": "least squares of L rho", "lambda": round(lam, 4)} | described(one, found, ends)


def search_problem(one: Case, lam: float) -> Problem:
    """||D L rho||^2/||D rho||^2: L rho first, all of it, then D."""
    norm = one.space.norm(lam)
    return Problem(one.entries, norm.after(one.space.rate()), None, norm)


def described(one: Case, found: Found, ends: Ends) -> dict[str, Any]:
    """The search and its state; `others` are the residuals where other starts ended."""
    search = found.search
    residuals = [float(np.sqrt(cost)) for cost in found.costs]
    ended = "converged" if search.converged else "clock" if found.seconds >= ends.seconds else "stuck"
    return {
        "residual": residuals[0],
        "others": " ".join(f"{r:.4g}" for r in residuals[1:]),
        "left": search.left,
        "ended": ended,
        "steps": search.steps,
        "by": ends.method,
        "seconds": found.seconds,
    } | judged(one.system, one.space.to_matrix(one.entries.values(search.vector)))


def judged(system: System, rho: Array) -> dict[str, Any]:
    """Distances, errors of m_z and S^xx(0), and the smallest eigenvalue."""
    rho = (rho + rho.conj().T) / 2
    rho = rho / np.trace(rho).real
    means = [exact.expectations(r, system.model, structure=True, energy=False) for r in (rho, system.sigma)]
    return {
        "distance": float(np.linalg.norm(rho - system.sigma) / np.linalg.norm(system.sigma)),
        "trace_distance": exact.trace_distance(rho, system.sigma),
        "sz": float(means[0]["sz"] - means[1]["sz"]),
        "structure_xx": float(means[0]["structure_xx"] - means[1]["structure_xx"]),
        "smallest": float(np.linalg.eigvalsh(rho).min()),
    }


def own_searches(one: Case, norms: list[float], ends: Ends) -> Iterator[dict[str, Any]]:
    """What the program itself does: its continuation with exact sums, in each norm."""
    for lam in sorted(norms):
        if KINDS[one.network].ansatz is not None or np.isclose(lam, 1 / 3):
            yield one.row | {"how": "continuation", "lambda": round(lam, 4)} | own_search(one, lam, ends)


def own_search(one: Case, lam: float, ends: Ends) -> dict[str, Any]:
    """A continuation with `task.metric`; for outcomes ||dp/dt||^2/||p||^2, whose norm is that of 1/3, by L-BFGS."""
    began, ansatz = time.process_time(), KINDS[one.network].ansatz
    if ansatz is None:
        start = KINDS[one.network].make(jax.random.key(100), one.system, one.n, 0.1)
        found, _ = outcomes.stationary_outcomes(one.system.model, start, iterations=2000)
        ended, vector = "ended", flat(found)[0]
    else:
        asked = problem(
            one.system.name,
            ansatz=ansatz(one.system, one.n),
            initial={"kind": "random", "scale": 0.1},
            sampling={"kind": "enumeration"},
            task={"kind": "stationary", "delta_L": 1e-6, "metric": lam},
        )
        last = None
        for snapshot in asked.snapshots():
            last = snapshot
            if time.process_time() - began > ends.seconds:
                break
        assert last is not None
        late = time.process_time() - began > ends.seconds
        ended = "goal" if last.converged else "clock" if late else "no progress"
        vector = flat(last.state.ansatz)[0]
    seconds = time.process_time() - began
    rho = one.space.to_matrix(one.entries.values(vector))
    return {"ended": ended, "seconds": seconds} | judged(one.system, rho)
