"""The last state of another run as the start of one without a network: a quench."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from neurho import correlators as co
from neurho import exact
from neurho._types import NeurhoError
from neurho.config import WITHOUT_NETWORK, fingerprint, loads
from neurho.config.string_networks import StringNetwork
from neurho.matrix_elements.networks import density_matrix
from neurho.observables import State
from neurho.records import PROBLEM, read_problem, read_state
from neurho.run.assembly import make_lattice, make_lindbladian
from neurho.run.inheritance import last_network
from neurho.run.setup import Setup

NETWORK_DIMENSION = 2**7
"""Largest d^N of a network whose density matrix is taken over."""


class Ended(NamedTuple):
    """What is known of the last state of a run: by its larger and by its smaller cut; without a cut only one."""

    fine: co.Known
    coarse: co.Known | None = None

    @property
    def complete(self) -> bool:
        """Whether all strings are known."""
        return self.coarse is None


class Strings(Protocol):
    """A driver of a problem with `task.method = "correlators"`."""

    def blank(self) -> State:
        """A state of the right structure."""
        ...

    def ended(self, state: State) -> Ended:
        """What a run of it ended with."""
        ...


def last_state(setup: Setup, make: Callable[[Setup], Strings]) -> Ended:
    """The last state of the run `initial.run`.

    - `make`: the driver of a problem with `task.method = "correlators"`.

    **Raises** `NeurhoError` if there is no such state or if it does not fit.
    """
    asked = setup.config.initial
    assert asked.kind == "state"
    try:
        source = loads(read_problem(asked.run), f"{asked.run}/{PROBLEM}")
        sites = make_lattice(source)
        old = Setup(config=source, lattice=sites, lindbladian=make_lindbladian(source, sites), trust=setup.trust)
        _require_same(old, setup)
        return _read(asked.run, old, make)
    except NeurhoError as error:
        raise NeurhoError(f"Key `initial.run` must be a run whose last state fits this problem: {error}") from None


def last_matrix(setup: Setup, make: Callable[[Setup], Strings]) -> np.ndarray:
    """The density matrix of the last state of the run `initial.run`.

    **Raises** `NeurhoError` if there is none, or if that run cut its strings.
    """
    found = last_state(setup, make)
    if not found.complete:
        raise NeurhoError(
            "Key `initial.run` must be a run that knows its whole state, which task.method = "
            f'"{setup.config.task.method}" begins with, but it keeps strings of at most {found.fine.full} of '
            f'{setup.lattice.sites} sites; set task.method = "correlators".'
        )
    return co.from_correlators(co.all_values(found.fine))


def matrix_of(run: str, setup: Setup, make: Callable[[Setup], Strings]) -> np.ndarray:
    """The density matrix of the last state of a run of the problem `setup`, trace one.

    **Raises** `NeurhoError` for methods that keep neither a density matrix nor a network, and where strings are cut.
    """
    if setup.config.task.method not in WITHOUT_NETWORK:
        rho = density_matrix(last_network(run, trust=setup.trust))
        return rho / np.trace(rho)
    found = _read(run, setup, make)
    if not found.complete:
        sites = setup.lattice.sites
        raise NeurhoError(
            f"the run `{run}` keeps strings of at most {found.fine.full} of {sites} sites, not all of rho."
        )
    return co.from_correlators(co.all_values(found.fine))


def _require_same(old: Setup, new: Setup) -> None:
    if (old.lattice.name, old.lattice.shape, old.lattice.sites) != (
        new.lattice.name,
        new.lattice.shape,
        new.lattice.sites,
    ):
        raise NeurhoError(f"it lives on {old.lattice}, this problem on {new.lattice}.")
    if (before := old.lindbladian.local_dim) != (now := new.lindbladian.local_dim):
        raise NeurhoError(f"its sites have {before} levels, those of this problem {now}.")


def _read(run: str, old: Setup, make: Callable[[Setup], Strings]) -> Ended:
    method, sites, dim = old.config.task.method, old.lattice.sites, old.lindbladian.local_dim
    if method in ("trajectories", "matrix-product", "outcomes"):
        raise NeurhoError(f'the run `{run}` has task.method = "{method}", which leaves no strings of operators.')
    if getattr(old.config.task, "closure", None) == "cumulants":
        raise NeurhoError(f'the run `{run}` has task.closure = "cumulants", which keeps means and no state.')
    if method == "correlators" and isinstance(old.config.ansatz, StringNetwork):
        raise NeurhoError(
            f'the run `{run}` has a network of correlators (ansatz.kind = "{old.config.ansatz.kind}"), with which no '
            "other run begins."
        )
    if method == "correlators":
        driver = make(old)
        return driver.ended(read_state(run, driver.blank(), fingerprint(old.config)))
    if method == "exact":
        zeros = np.zeros((dim**sites, dim**sites), dtype=complex)
        blank = (0, 0.0, zeros, exact.Place(0.0, zeros))
        return Ended(co.dense(read_state(run, blank, fingerprint(old.config))[2], sites))
    if dim**sites > NETWORK_DIMENSION:
        raise NeurhoError(
            f"the run `{run}` is one of a network, whose strings are known for d^N <= {NETWORK_DIMENSION} only, but it "
            f"has d^N = {dim**sites}."
        )
    return Ended(co.dense(np.asarray(density_matrix(last_network(run, trust=old.trust))), sites))
