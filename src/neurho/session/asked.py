"""From the arguments of a call in Python to a problem, by the schema of the problem file."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from neurho._types import Keys, NeurhoError, Record, brief, require
from neurho.config import ADAPTIVE, FIXED, Config, validate
from neurho.config.string_networks import STRING_KINDS
from neurho.dynamics.arguments import as_times
from neurho.model import lattice as lattices
from neurho.model.interchange.matrices import digest_until, model_of
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian
from neurho.run.problem import Problem, build
from neurho.session.observed import observables_of
from neurho.session.states import initial_of

NETWORKED = frozenset((*FIXED, *ADAPTIVE, "flow", "projected", "continuation"))
"""Methods that need a network."""

FLOW = "bosh3"
"""What `method="flow"` stands for."""

UNITS = 2
"""Hidden and mixing units for each site of a network that is not described."""

ENUMERATED = 4**5
"""Largest number of configurations d^(2N) that are all summed over where nothing is said about samples."""

SAMPLES = 2048
"""Samples where there are more configurations."""

FOREVER = 1e3
"""Time until which functions of time are told apart in a search, which has no last time."""


def problem_of(
    model: Lindbladian,
    kind: str,
    *,
    initial: object,
    times: Any,
    observables: object,
    method: str,
    ansatz: object,
    sampling: object,
    seed: object,
    output: object,
    kept: bool,
    options: Keys,
) -> Problem:
    """The problem that a call asks for.

    **Raises** `NeurhoError` with a sentence on each argument that does not fit.
    """
    must = 'be a method such as "auto", "exact", "correlators" or "flow"'
    require(isinstance(method, str), "method", must, f"it is {brief(method)}")
    sites, dim = model.lattice, model.local_dim
    networked = method in NETWORKED or ansatz is not None or sampling is not None
    timed = _times(times, kind)
    data: Record = {
        "seed": seed,
        "lattice": lattice_of(sites),
        "model": model_of(model, digest_until(timed.get("t", FOREVER))),
        "task": {"kind": kind} | timed | _method(method, networked=networked) | _plain(options),
        "observables": _plain(observables_of(observables, dim)),
    }
    if initial is not None:
        data["initial"] = _plain(initial_of(initial, sites, dim, kept=kept))
    if networked:
        data["ansatz"] = _network(ansatz, sites.sites)
        if data["ansatz"]["kind"] not in STRING_KINDS:
            data["sampling"] = _sampling(sampling, dim ** (2 * sites.sites))
    if output is not None:
        data["output"] = _plain(output)
    with _about_arguments():
        name = "neurho.solve" if kind == "evolve" else "neurho.stationary"
        return build(validate(data, name), model)


def built(config: Config, kind: str) -> Problem:
    """The problem of a file, for the call that is about its kind."""
    name = {"evolve": "solve", "stationary": "stationary"}[config.task.kind]
    but = f"its task.kind is {config.task.kind!r}; call neurho.{name}"
    require(config.task.kind == kind, "model", f"be a problem of kind {kind!r} here", but)
    return build(config)


def lattice_of(sites: Lattice) -> Record:
    """The table [lattice] of a lattice.

    **Raises** `NeurhoError` for one that no table stands for.
    """
    shape, periodic = list(sites.shape), list(sites.periodic)
    for several in (False, True):
        if sites.name == "chain":
            made = lattices.chain(shape[0], periodic=periodic[0], multi_edges=several)
        elif sites.name in ("square", "triangular"):
            make = lattices.square if sites.name == "square" else lattices.triangular
            made = make(shape[0], shape[1], periodic=periodic, multi_edges=several)
        else:
            break
        if _same(made, sites):
            return {"kind": sites.name, "shape": shape, "periodic": periodic, "multi_edges": several}
    edges, directed = [[int(i), int(j)] for i, j in sites.bonds], bool(np.all(sites.directed))
    must = "have a lattice of chain, square, triangular, from_edges or from_networkx"
    same = len({frozenset(edge) for edge in edges}) == len(edges)
    same = same and _same(lattices.from_edges(edges, sites=sites.sites, directed=directed), sites)
    require(same, "model", must, f"it lives on {sites!r}, made otherwise")
    return {"kind": "edges", "edges": edges, "sites": sites.sites, "directed": directed}


def _same(a: Lattice, b: Lattice) -> bool:
    names = ("bonds", "bond_directions", "directed", "translations", "point_group")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def _times(times: Any, kind: str) -> Record:
    """The keys of [task] that say when to measure: a last time, or a list of times."""
    if kind == "stationary":
        return {} if times is None else {"times": as_times(times)}
    require(times is not None, "times", "be given, as in [0, 0.5, 1] or 1.0", "it is missing")
    if np.ndim(times) == 0:
        good = isinstance(times, int | float | np.number) and not isinstance(times, bool) and times > 0
        require(good, "times", "be a last time > 0 or a list of increasing numbers", f"it is {brief(times)}")
        return {"t": float(times)}
    listed = as_times(times)
    require(listed[0] >= 0, "times", "begin at 0 or later", f"it begins at {listed[0]:g}")
    require(listed[-1] > 0, "times", "end after 0", f"it is {listed}")
    return {"t": listed[-1], "times": listed}


def _method(method: str, *, networked: bool) -> Record:
    if method == "flow":
        return {"method": FLOW}
    if method == "auto" and networked:
        return {"reason": "a network is given"}
    return {"method": method}


def _network(given: Any, sites: int) -> Record:
    sizes = {"kind": "rbm", "hidden": UNITS * sites, "mixing": UNITS * sites}
    if given is None:
        return sizes
    _require_table(given, "ansatz", '{"kind": "rbm", "hidden": 8, "mixing": 8}')
    return _plain({"kind": "rbm"} | dict(given))


def _sampling(given: Any, configurations: int) -> Record:
    if given is None:
        few = configurations <= ENUMERATED
        return {"kind": "enumeration"} if few else {"kind": "metropolis", "samples": SAMPLES}
    _require_table(given, "sampling", '{"samples": 2048}')
    return _plain({"kind": "metropolis" if "samples" in given else "enumeration"} | dict(given))


def _require_table(given: object, name: str, example: str) -> None:
    require(isinstance(given, Mapping), name, f"be a table such as {example}", f"it is {brief(given)}")


def _plain(value: Any) -> Any:
    """Lists, tables and Python's own numbers in place of arrays, tuples and NumPy's numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@contextmanager
def _about_arguments() -> Iterator[None]:
    """Sentences about keys of [task] are about arguments of the same names here."""
    try:
        yield
    except NeurhoError as error:
        text = re.sub(r"([Kk])ey `task\.t`", r"\1ey `task.times`", str(error))
        text = re.sub(r"[Kk]ey `task\.(\w+)`", r"argument `\1`", text)
        raise type(error)(re.sub(r"\btask\.(?=\w)", "", text)) from None
