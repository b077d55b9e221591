"""Arguments of runs as users give them: put right where the meaning is plain, refused in one sentence where not."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np

from neurho._types import Keys, NeurhoError, Numbers, as_reals, brief, require, require_positive, require_whole
from neurho.dynamics.integrate import Method, Tableau
from neurho.matrix_elements.networks import AbstractAnsatz, network_of
from neurho.matrix_elements.sampling import AbstractSampler
from neurho.matrix_elements.tdvp.solvers import AbstractSolver
from neurho.model.operators import Lindbladian
from neurho.observables import Quantity

OTHER_NAMES = {"observables": "quantities", "operators": "quantities", "delta_L": "delta_l", "norm": "centred"}
"""What arguments are called elsewhere, in problem files for one."""


def network_on(lindbladian: Lindbladian, given: object) -> AbstractAnsatz:
    """The network of a run, which lives on the sites of its Lindbladian."""
    require_lindbladian(lindbladian)
    network, sites, d = network_of(given), lindbladian.lattice.sites, lindbladian.local_dim
    require(
        (network.sites, network.local_dim) == (sites, d),
        "ansatz",
        f"have the {sites} sites of {d} levels that the Lindbladian has",
        f"it has {network.sites} of {network.local_dim}",
    )
    return network


def require_lindbladian(given: object) -> None:
    """Check that physics comes first."""
    must = "be a Lindbladian, as `Lindbladian(lattice, hamiltonian, jumps)` and `heisenberg(...)` give"
    require(isinstance(given, Lindbladian), "lindbladian", must, f"it is {brief(given)}")


def as_times(times: Numbers) -> list[float]:
    """Output times: finite, increasing, at least one."""
    must = "be a list of increasing numbers, as in [0, 0.5, 1]"
    require(np.ndim(times) == 1 and np.size(times) > 0, "times", must, f"it is {brief(times)}")
    values = as_reals(times, "times").tolist()
    require(all(a < b for a, b in pairwise(values)), "times", "increase", f"it is {times}")
    return values


def as_method(given: Any, tolerance: float | None) -> Method:
    """A method of integration, or the bare tableau of one."""
    method = Method(given) if isinstance(given, Tableau) else given
    good = isinstance(method, Method) and isinstance(method.tableau, Tableau)
    require(good, "method", "be a neurho.methods.Method, as in Method(BOSH3)", f"it is {brief(given)}")
    require(
        method.adaptive or tolerance is None,
        "tolerance",
        "be None for a method that does not estimate its error and takes fixed steps dt",
        f"it is {tolerance}",
    )
    return method


def as_quantities(given: Any) -> list[Quantity]:
    """Quantities to measure; operators by name are their mean: `{"n": (sp(0) @ sm(0), sp(1) @ sm(1))}`."""
    if isinstance(given, Mapping):
        return [Quantity(name, operators, average=True) for name, operators in given.items()]
    listed = [given] if isinstance(given, Quantity) else given
    must = 'be a list of neurho.methods.Quantity, as in [Quantity("sz", (sz(0), sz(1)), average=True)]'
    require(isinstance(listed, Sequence) and not isinstance(listed, str), "quantities", must, f"it is {brief(given)}")
    for quantity in listed:
        require(isinstance(quantity, Quantity), "quantities", must, f"it holds {brief(quantity)}")
    return list(listed)


def require_numerics(solver: object, sampler: object, diagonal: object, **sizes: object) -> None:
    """Check what a flow is made of; None stands for a default."""
    must = "be an object such as neurho.matrix_elements.tdvp.solvers.Ridge(1e-3)"
    require(solver is None or isinstance(solver, AbstractSolver), "solver", must, f"it is {brief(solver)}")
    must = "be an object such as metropolis(lattice, samples=1024, chains=256) gives"
    for name, value in (("sampler", sampler), ("diagonal", diagonal)):
        require(value is None or isinstance(value, AbstractSampler), name, must, f"it is {brief(value)}")
    for name, value in sizes.items():
        if value is not None:
            require_whole(value, name, 1)


def require_steps_of(dt: object, seed: object) -> None:
    """Check the first step and the seed of a run."""
    require_positive(dt, "dt")
    require_whole(seed, "seed")


def require_control(tolerance: object, dt_max: object) -> None:
    """Check what controls steps."""
    if tolerance is not None:
        require_positive(tolerance, "tolerance", "be a number > 0, or None for fixed steps")
    require_positive(dt_max, "dt_max")


def require_options(options: Keys, function: Callable[..., Any]) -> None:
    """Check that all options are arguments of `function`, which takes them by name."""
    known = [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        near = [OTHER_NAMES[name]] if name in OTHER_NAMES else get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}."
        if name not in known:
            raise NeurhoError(f"There is no argument `{name}`; {hint}")
