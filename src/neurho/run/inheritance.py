"""Networks of finished runs, and their states as initial states: quenches, and from small lattices to large ones."""

import dataclasses
from pathlib import Path
from typing import TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from neurho._jax.normals import normal_arrays
from neurho._types import NeurhoError, given
from neurho.config import WITHOUT_NETWORK, Config, PythonModule, fingerprint, loads
from neurho.config.schema import Ansatzes
from neurho.matrix_elements.generator import lindbladian_map
from neurho.matrix_elements.networks import (
    RBM,
    AbstractAnsatz,
    LiouvilleRBM,
    Table,
    TiedRBM,
    as_liouville,
    enlarged,
    parameters,
)
from neurho.matrix_elements.symmetry import Charge
from neurho.model.lattice import Lattice
from neurho.records import PROBLEM, read_ansatz, read_problem
from neurho.run.assembly import make_charge, make_lattice, make_lindbladian, moves_of, random_network

SPIN_NETWORKS = (RBM, TiedRBM, LiouvilleRBM)
"""With parameters of units, and sectors."""

KINDS = {"rbm": (RBM, TiedRBM), "liouville": (LiouvilleRBM,), "table": (Table,)}
"""Which networks a problem takes over, by its `ansatz.kind`."""


def inherited(
    key: PRNGKeyArray, config: Config, sites: Lattice, charge: Charge | None, *, trust: bool = False
) -> AbstractAnsatz:
    """The last state of the run `initial.run`, as the network of this problem.

    Parameters are taken as they are on the same lattice. A translation-invariant network may come from a smaller
    lattice (see [`neurho.matrix_elements.networks.enlarged`][]), and may become an ordinary one. The sector is that of
    this problem.

    **Raises** `NeurhoError` if there is no such state or if it does not fit.
    """
    asked = config.initial
    assert asked.kind == "state"
    try:
        source = loads(read_problem(asked.run), f"{asked.run}/{PROBLEM}")
        network = _last_network(asked.run, source, trust=trust)
        if isinstance(config.ansatz, PythonModule):
            network = _of_same_make(network, random_network(key, config, sites, trust=trust))
        else:
            network = _fitted(network, make_lattice(source), config, sites)
    except NeurhoError as error:
        raise NeurhoError(f"Key `initial.run` must be a run whose last state fits this problem: {error}") from None
    if isinstance(network, SPIN_NETWORKS):
        network = dataclasses.replace(network, charge=charge)
    return _noisy(key, network, asked.noise)


def last_network(run: str | Path, *, trust: bool = False) -> AbstractAnsatz:
    """The network of a run directory as it was last saved, in the sector that the run keeps.

    With `trust` also one that the code of a Python file makes, which runs.

    ```python
    import tempfile
    from pathlib import Path
    import neurho

    run = Path(tempfile.mkdtemp()) / "run"
    model = neurho.heisenberg(neurho.chain(2), field=(1.0, 0.0, 0.0))
    neurho.solve(model, "+y", [0, 0.01], method="euler", dt=0.01, out=run)
    assert neurho.networks.last_network(run).sites == 2
    ```

    **Raises** `NeurhoError` if the run is exact or has saved no state yet.
    """
    source = loads(read_problem(run), f"{run}/{PROBLEM}")
    if source.task.method in WITHOUT_NETWORK:
        raise NeurhoError(f"Argument `run` must be a run of a network, but `{run}` {_by(source)}.")
    network = _last_network(run, source, trust=trust)
    if isinstance(network, SPIN_NETWORKS):
        generator = lindbladian_map(make_lindbladian(source, make_lattice(source)))
        network = dataclasses.replace(network, charge=make_charge(source, generator))
    return network


def _last_network(run: str | Path, source: Config, *, trust: bool) -> AbstractAnsatz:
    """The network in the newest checkpoint of a run, without its sector."""
    if source.task.method in WITHOUT_NETWORK:
        raise NeurhoError(f"the run `{run}` {_by(source)} and has no network.")
    if isinstance(source.ansatz, PythonModule):
        blank = random_network(jax.random.key(0), source, make_lattice(source), trust=trust)
    else:
        blank = eqx.filter_eval_shape(lambda: _blank(source))  # shapes alone: nothing is compiled or drawn
    return read_ansatz(run, blank, fingerprint(source))


def _of_same_make(network: AbstractAnsatz, own: AbstractAnsatz) -> AbstractAnsatz:
    """A network as this problem makes it, with the arrays of another one."""
    arrays, mine = (jax.tree_util.tree_flatten_with_path(eqx.filter(one, eqx.is_array))[0] for one in (network, own))
    shapes, expected = ([(path, leaf.shape) for path, leaf in leaves] for leaves in (arrays, mine))
    if shapes != expected:
        raise NeurhoError("its network has other arrays than the one that this problem makes.")
    rest = eqx.filter(own, eqx.is_array, inverse=True)
    return eqx.combine(
        jax.tree.unflatten(jax.tree.structure(eqx.filter(own, eqx.is_array)), [a for _, a in arrays]), rest
    )


def _by(source: Config) -> str:
    """By which method a run without a network is."""
    return "is exact" if source.task.method == "exact" else f'is by "{source.task.method}"'


def _blank(source: Config) -> AbstractAnsatz:
    """A network with the shapes of a problem's."""
    network = given(source.ansatz)
    sites, d = make_lattice(source), source.local_dim
    if network.kind == "table":
        return Table(elements=jnp.zeros((2, d ** (2 * sites.sites))), sites=sites.sites, local_dim=d)
    return random_network(jax.random.key(0), source, sites)


def _fitted(network: AbstractAnsatz, old: Lattice, config: Config, new: Lattice) -> AbstractAnsatz:
    """The network on the lattice of this problem, in the sizes of this problem."""
    asked = given(config.ansatz)
    moves = moves_of(config, new)
    if asked.kind == "liouville" and isinstance(network, RBM | TiedRBM):
        network = as_liouville(network)
    if _tied(network):
        network = enlarged(network, old, new)
        if moves is None:
            network = network.expanded()
        elif len(network.translations) != len(moves):
            raise NeurhoError("its network and that of this problem differ in ansatz.point_group.")
    elif moves is not None:
        raise NeurhoError("its network is not translation-invariant.")
    elif (old.name, old.shape, old.sites) != (new.name, new.shape, new.sites):
        raise NeurhoError(f"it lives on {old}, this problem on {new}, and its network is not translation-invariant.")
    if not isinstance(network, KINDS.get(asked.kind, ())):
        raise NeurhoError("its network is of another kind.")
    if network.local_dim != config.local_dim:
        raise NeurhoError(f"its sites have {network.local_dim} levels, those of this problem {config.local_dim}.")
    if isinstance(network, SPIN_NETWORKS):
        _check_sizes(network, asked)
    return network


def _tied(network: AbstractAnsatz) -> TypeGuard[TiedRBM | LiouvilleRBM]:
    """Whether a network is translation-invariant by construction."""
    return isinstance(network, TiedRBM) or (isinstance(network, LiouvilleRBM) and network.tied)


def _check_sizes(network: RBM | TiedRBM | LiouvilleRBM, asked: Ansatzes) -> None:
    """As many filters (or units) as this problem asks for."""
    count = len(network.translations) if _tied(network) else 1
    for name, found in (("hidden", network.hidden_bias.shape[1]), ("mixing", len(network.mixing_bias))):
        if count * found != getattr(asked, name):
            raise NeurhoError(f"its network needs ansatz.{name} = {count * found}, but it is {getattr(asked, name)}.")


def _noisy(key: PRNGKeyArray, network: AbstractAnsatz, noise: float) -> AbstractAnsatz:
    """Normal numbers added to all parameters but the visible ones."""
    if not noise:
        return network
    vector, restore = parameters(network)
    moved = restore(vector + noise * normal_arrays(key, [vector.shape])[0])
    return dataclasses.replace(moved, visible=network.visible) if isinstance(network, SPIN_NETWORKS) else moved
