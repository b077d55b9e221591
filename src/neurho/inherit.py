"""Networks of finished runs, and their states as initial states: quenches, and from small lattices to large ones."""

import dataclasses
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from neurho._types import NeurhoError
from neurho.ansatz import (
    NDM,
    RBM,
    AbstractAnsatz,
    Table,
    TiedRBM,
    enlarged,
    parameters,
    random_ndm,
    random_rbm,
    random_tied,
)
from neurho.assembly import make_charge, make_lattice, make_lindbladian
from neurho.config import Config, fingerprint, loads
from neurho.generator import lindbladian_map
from neurho.lattice import Lattice
from neurho.records import PROBLEM, read_ansatz, read_problem
from neurho.symmetry import Charge


def inherited(key: PRNGKeyArray, config: Config, sites: Lattice, charge: Charge | None) -> AbstractAnsatz:
    """The last state of the run `initial.run`, as the network of this problem.

    Parameters are taken as they are on the same lattice. A translation-invariant network may come from a smaller
    lattice (see [`neurho.ansatz.enlarged`][]), and may become an ordinary one. The sector is that of this problem.

    **Raises** `NeurhoError` if there is no such state or if it does not fit.
    """
    asked: Any = config.initial
    try:
        source = loads(read_problem(asked.run), f"{asked.run}/{PROBLEM}")
        network = _fitted(_last_network(asked.run, source), make_lattice(source), config, sites)
    except NeurhoError as error:
        raise NeurhoError(f"Key `initial.run` must be a run whose last state fits this problem: {error}") from None
    if isinstance(network, RBM | TiedRBM):
        network = dataclasses.replace(network, charge=charge)
    return _noisy(key, network, asked.noise)


def last_network(run: str | Path) -> AbstractAnsatz:
    """The network of a run directory as it was last saved, in the sector that the run keeps.

    **Raises** `NeurhoError` if the run is exact or has saved no state yet.
    """
    source = loads(read_problem(run), f"{run}/{PROBLEM}")
    if source.task.method == "exact":
        raise NeurhoError(f"Argument `run` must be a run of a network, but `{run}` is exact.")
    network = _last_network(run, source)
    if isinstance(network, RBM | TiedRBM):
        generator = lindbladian_map(make_lindbladian(source, make_lattice(source)))
        network = dataclasses.replace(network, charge=make_charge(source, generator))
    return network


def _last_network(run: str | Path, source: Config) -> AbstractAnsatz:
    """The network in the newest checkpoint of a run, without its sector."""
    if source.task.method == "exact":
        raise NeurhoError(f"the run `{run}` is exact and has no network.")
    # Shapes alone: nothing is compiled or drawn.
    return read_ansatz(run, eqx.filter_eval_shape(lambda: _blank(source)), fingerprint(source))


def _blank(source: Config) -> AbstractAnsatz:
    """A network with the shapes of a problem's."""
    network: Any = source.ansatz
    count, d = source.sites, source.local_dim
    if network.kind == "table":
        return Table(entries=jnp.zeros((2, d ** (2 * count))), sites=count, local_dim=d)
    key, sizes = jax.random.key(0), {"hidden": network.hidden, "mixing": network.mixing, "local_dim": d}
    if network.kind == "ndm":
        return random_ndm(key, count, **sizes)
    if network.translations:
        return random_tied(key, make_lattice(source).translations, **sizes)
    return random_rbm(key, count, **sizes)


def _fitted(network: AbstractAnsatz, old: Lattice, config: Config, new: Lattice) -> AbstractAnsatz:
    """The network on the lattice of this problem, in the sizes of this problem."""
    asked: Any = config.ansatz
    tied = getattr(asked, "translations", False)
    if isinstance(network, TiedRBM):
        network = enlarged(network, old, new)
        network = network if tied else network.expanded()
    elif tied:
        raise NeurhoError("its network is not translation-invariant.")
    elif (old.name, old.shape, old.sites) != (new.name, new.shape, new.sites):
        raise NeurhoError(f"it lives on {old}, this problem on {new}, and its network is not translation-invariant.")
    if isinstance(network, NDM) or isinstance(network, Table) != (asked.kind == "table"):
        raise NeurhoError("its network is of another kind.")
    if network.local_dim != config.local_dim:
        raise NeurhoError(f"its sites have {network.local_dim} levels, those of this problem {config.local_dim}.")
    if asked.kind == "rbm":
        _check_sizes(network, asked)
    return network


def _check_sizes(network: Any, asked: Any) -> None:
    """As many filters (or units) as this problem asks for."""
    count = network.sites if isinstance(network, TiedRBM) else 1
    for name, found in (("hidden", network.hidden_bias.shape[1]), ("mixing", len(network.mixing_bias))):
        if count * found != getattr(asked, name):
            raise NeurhoError(f"its network needs ansatz.{name} = {count * found}, but it is {getattr(asked, name)}.")


def _noisy(key: PRNGKeyArray, network: AbstractAnsatz, noise: float) -> AbstractAnsatz:
    """Normal numbers added to all parameters but the visible ones."""
    if not noise:
        return network
    vector, restore = parameters(network)
    moved = restore(vector + noise * jax.random.normal(key, vector.shape, dtype=float))
    return dataclasses.replace(moved, visible=network.visible) if isinstance(network, RBM | TiedRBM) else moved
