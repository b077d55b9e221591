"""The last state of another run as the start of one without a network: a quench."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from neurho import correlators as co
from neurho import exact
from neurho._types import NeurhoError
from neurho.config import WITHOUT_NETWORK, fingerprint, loads
from neurho.config.string_networks import StringNetwork
from neurho.correlators.networks import AbstractStringNetwork
from neurho.matrix_elements.networks import density_matrix
from neurho.observables import State
from neurho.records import PROBLEM, read_problem, read_state
from neurho.run.assembly import make_lattice, make_lindbladian
from neurho.run.drivers.base import Driver
from neurho.run.inheritance import last_network
from neurho.run.setup import Setup

NETWORK_DIMENSION = 2**7
"""Largest d^N of a network whose density matrix is taken over."""


class Family(NamedTuple):
    """Networks of correlators of one make, by strings of how many sites have equations and by their sizes."""

    ansatz: StringNetwork
    symmetry: co.Symmetry
    members: Mapping[tuple[int, int], AbstractStringNetwork]

    def like(self, ansatz: StringNetwork, weight: int, units: int) -> AbstractStringNetwork | None:
        """The network of such a make and size, if there is one; of several the one with as many equations."""
        sizes = {ansatz.size_key: None} if ansatz.size_key else {}
        if type(ansatz) is not type(self.ansatz) or ansatz.model_copy(update=sizes) != self.ansatz.model_copy(
            update=sizes
        ):
            return None
        alike = {size: network for size, network in self.members.items() if size[1] == units}
        return alike.get((weight, units), next(reversed(alike.values()), None))


class Ended(NamedTuple):
    """What is known of the last state of a run: by its larger and by its smaller cut; without a cut only one.

    - `doubt`: how far off its means may be, the root mean square, where more than the cut tells it.
    - `networks`: of a run by networks of correlators all of them.
    """

    fine: co.Known
    coarse: co.Known | None = None
    doubt: float = 0.0
    networks: Family | None = None

    @property
    def complete(self) -> bool:
        """Whether all strings are known."""
        return self.coarse is None and self.networks is None


@runtime_checkable
class Strings(Protocol):
    """A driver whose states are known as correlators of strings."""

    def blank(self) -> State:
        """A state of the right structure."""
        ...

    def ended(self, state: State) -> Ended:
        """What a run of it ended with."""
        ...


def last_state(setup: Setup, make: Callable[[Setup], Driver]) -> Ended:
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


def last_matrix(setup: Setup, make: Callable[[Setup], Driver]) -> np.ndarray:
    """The density matrix of the last state of the run `initial.run`.

    **Raises** `NeurhoError` if there is none, or if that run cut its strings.
    """
    found = last_state(setup, make)
    if not found.complete:
        full, sites = found.fine.full, setup.lattice.sites
        but = f"it keeps strings of at most {full} of {sites} sites" if full < sites else "it knows it with an error"
        raise NeurhoError(
            "Key `initial.run` must be a run that knows its whole state, which task.method = "
            f'"{setup.config.task.method}" begins with, but {but}; set task.method = "correlators".'
        )
    return co.from_correlators(co.all_values(found.fine))


def asked_matrix(setup: Setup, make: Callable[[Setup], Driver]) -> np.ndarray | None:
    """The density matrix at t = 0 of a problem that begins where another run ended; None for another start."""
    return last_matrix(setup, make) if setup.config.initial.kind == "state" else None


def matrix_of(run: str, setup: Setup, make: Callable[[Setup], Driver]) -> np.ndarray:
    """The density matrix of the last state of a run of the problem `setup`, trace one.

    **Raises** `NeurhoError` for methods that keep neither a density matrix nor a network, and where strings are cut.
    """
    if setup.config.task.method not in WITHOUT_NETWORK:
        rho = density_matrix(last_network(run, trust=setup.trust))
        return rho / np.trace(rho)
    found, sites = _read(run, setup, make), setup.lattice.sites
    if found.fine.full < sites:
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


def _read(run: str, old: Setup, make: Callable[[Setup], Driver]) -> Ended:
    method, sites, dim = old.config.task.method, old.lattice.sites, old.lindbladian.local_dim
    if method in ("trajectories", "matrix-product", "outcomes"):
        raise NeurhoError(f'the run `{run}` has task.method = "{method}", which leaves no strings of operators.')
    if getattr(old.config.task, "closure", None) == "cumulants":
        raise NeurhoError(f'the run `{run}` has task.closure = "cumulants", which keeps means and no state.')
    if method == "correlators":
        driver = make(old)
        assert isinstance(driver, Strings)
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
