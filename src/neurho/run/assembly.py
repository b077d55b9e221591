"""From the tables of a problem file to lattices, Lindbladians, networks and samplers."""

import numpy as np
from jaxtyping import PRNGKeyArray

from neurho._types import NeurhoError, Record, given
from neurho.config import Config, PythonModule, State, loads, require_trust
from neurho.config.networks import Ndm, Rbm
from neurho.dynamics import integrate
from neurho.dynamics.integrate import Method
from neurho.matrix_elements.generator import LabelMap, lindbladian_map
from neurho.matrix_elements.networks import (
    AbstractAnsatz,
    random_convolution,
    random_gram,
    random_liouville,
    random_mpdo,
    random_ndm,
    random_rbm,
    random_tied,
)
from neurho.matrix_elements.sampling import (
    START,
    AbstractSampler,
    Automatic,
    Blurred,
    enumerate_all,
    enumerate_diagonal,
    metropolis,
    metropolis_diagonal,
)
from neurho.matrix_elements.symmetry import Charge, detect, number, parity, require_conserved
from neurho.model import lattice, models
from neurho.model.interchange.matrices import lindbladian_from
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian
from neurho.records import PROBLEM, network_of_code, read_problem
from neurho.run.drive import with_pulses

METHODS = {
    "euler": Method(integrate.EULER),
    "heun": Method(integrate.HEUN),
    "midpoint": Method(integrate.MIDPOINT),
    "rk4": Method(integrate.RK4),
    "heun-euler": Method(integrate.HEUN_EULER),
    "bosh3": Method(integrate.BOSH3),
    "dopri5": Method(integrate.DOPRI5),
    "heun-doubling": Method(integrate.HEUN, doubling=True),
}


def make_lattice(config: Config) -> Lattice:
    """The lattice of a problem."""
    asked = config.lattice
    if asked.kind == "edges":
        return lattice.from_edges(asked.edges, sites=asked.sites, directed=asked.directed)
    periodic = asked.periodic if isinstance(asked.periodic, bool) else list(asked.periodic)
    if asked.kind == "chain":
        ring = periodic if isinstance(periodic, bool) else periodic[0]
        return lattice.chain(asked.shape[0], periodic=ring, multi_edges=asked.multi_edges)
    make = lattice.square if asked.kind == "square" else lattice.triangular
    return make(*asked.shape, periodic=periodic, multi_edges=asked.multi_edges)


def make_lindbladian(config: Config, sites: Lattice) -> Lindbladian:
    """Hamiltonian and jump operators of a problem."""
    make = {
        "heisenberg": models.heisenberg,
        "xyz": models.xyz,
        "ising": models.ising,
        "dephasing": models.dephasing_chain,
        "processor": models.processor,
        "custom": models.custom,
        "matrices": lindbladian_from,
    }
    given = config.model.model_dump(exclude={"kind", "unit"}, exclude_none=True)
    try:
        return make[config.model.kind](sites, **with_pulses(config, given))
    except NeurhoError as error:
        raise NeurhoError(f"In [model]: {error}") from None


def make_charge(config: Config, generator: LabelMap) -> Charge | None:
    """The weak symmetry that the network keeps.

    Found by itself ("auto") where the state that is looked for lies in its sector: a stationary state does, and an
    evolution does that begins with spins along z.

    **Raises** `NeurhoError` if the one asked for is broken by the Lindbladian or by the initial state.
    """
    asked = getattr(config.ansatz, "symmetry", "none")
    if asked == "none":
        return None
    if asked == "auto":
        found = detect(generator)
        return found if found is not None and _begins_inside(config, found) else None
    charge = {"parity": parity, "number": number}[asked](generator.local_dim)
    if not _begins_inside(config, charge):
        raise NeurhoError(
            f'Key `ansatz.symmetry` must be "none" for an evolution that begins outside the sector, as it does with '
            f'spins which are not along z, but it is "{asked}".'
        )
    require_conserved(generator, charge)
    return charge


def _begins_inside(config: Config, charge: Charge) -> bool:
    """Whether the state that is looked for lies in the sector of charge zero."""
    if config.task.kind == "stationary":
        return True
    if not isinstance(config.initial, State):
        return _along_z(config)
    source = loads(read_problem(config.initial.run), f"{config.initial.run}/{PROBLEM}")
    kept = make_charge(source, lindbladian_map(make_lindbladian(source, make_lattice(source))))
    # Equal numbers of particles in rows and columns are also equally even.
    return kept is not None and kept.name in ("number", charge.name)


def _along_z(config: Config) -> bool:
    bloch = getattr(config.initial, "bloch", [[1.0, 0.0, 0.0]])
    if isinstance(bloch, str):
        return bloch[1:] not in ("x", "y")
    vectors = np.atleast_2d(bloch)
    return bool(np.all(vectors[:, :2] == 0))


def moves_of(config: Config, sites: Lattice) -> np.ndarray | None:
    """The moves of the lattice that leave the network as it is, or None where there are none."""
    network = config.ansatz
    if not getattr(network, "translations", False):
        return None
    return sites.symmetries if getattr(network, "point_group", False) else sites.translations


def random_network(
    key: PRNGKeyArray,
    config: Config,
    sites: Lattice,
    charge: Charge | None = None,
    scale: float = 0.01,
    *,
    trust: bool = False,
) -> AbstractAnsatz:
    """A network in the sizes of a problem, with normal parameters of standard deviation `scale`; or one of the user's
    own, which draws as it likes.

    **Raises** `NeurhoError` for a network of the user's own without `trust`.
    """
    network = given(config.ansatz)
    count, moves = sites.sites, moves_of(config, sites)
    if isinstance(network, PythonModule):
        require_trust(config, trust=trust)
        where = (network.path, network.name, network.sha256, network.arguments)
        return network_of_code(*where, sites=count, local_dim=config.local_dim, key=key)
    common: Record = {"scale": scale, "local_dim": config.local_dim}
    if network.kind in ("gram", "convolution"):
        common |= {"charge": charge} | network.model_dump(exclude={"kind", "symmetry", "point_group"})
        return random_gram(key, count, **common) if moves is None else random_convolution(key, moves, **common)
    if network.kind == "mpdo":
        uniform = network.translations
        common |= {"charge": charge, "periodic": network.periodic or uniform, "uniform": uniform}
        return random_mpdo(key, count, bond=network.bond, kraus=network.kraus, **common)
    assert isinstance(network, Rbm | Ndm)
    sizes: Record = common | {"hidden": network.hidden, "mixing": network.mixing}
    if network.kind == "ndm":
        return random_ndm(key, count, **sizes)
    if network.kind == "liouville":
        return random_liouville(key, count, translations=moves, charge=charge, **sizes)
    if moves is not None:
        return random_tied(key, moves, charge=charge, **sizes)
    return random_rbm(key, count, charge=charge, **sizes)


def units_of(config: Config, sites: Lattice) -> int:
    """How many hidden units take as much memory in a sample as what the network of a problem keeps for derivatives."""
    network = given(config.ansatz)
    if network.kind == "gram":
        return 2 * (network.depth * network.width + network.factors * network.rank)
    if network.kind == "mpdo":
        ends = network.bond**2 if network.periodic or network.translations else 1
        return sites.sites * network.kraus * network.bond**2 * ends
    if network.kind == "convolution":
        moves = moves_of(config, sites)
        one = network.depth * network.channels + 2 * (network.units or network.channels)
        return 2 * one * (1 if moves is None else len(moves))
    return 2 * getattr(network, "hidden", 0) + getattr(network, "mixing", 0)


def make_samplers(
    config: Config, sites: Lattice, charge: Charge | None, *, hermitian: bool, more: int = 1
) -> tuple[AbstractSampler, AbstractSampler]:
    """Samplers of p(l, r) and of q(l), with `more` times the samples asked for, for a network that is `hermitian`."""
    asked = given(config.sampling)
    if asked.kind == "enumeration":
        dim = config.local_dim
        moves = moves_of(config, sites)
        every = enumerate_all(sites.sites, dim, hermitian=hermitian, charge=charge, translations=moves)
        return every, enumerate_diagonal(sites.sites, dim)
    chains: Record = {
        "chains": asked.chains,
        "sweeps": asked.sweeps,
        "warmup": asked.warmup,
        "local_dim": config.local_dim,
    }
    exponent = START.exponent if asked.exponent == "auto" else asked.exponent
    blur = START.blur if asked.blur == "auto" else asked.blur
    full = metropolis(sites, samples=more * asked.samples, exponent=exponent, charge=charge, **chains)
    diagonal = metropolis_diagonal(sites, samples=more * asked.diagonal_samples, **chains)
    return (Blurred(chain=full, fraction=blur) if blur else full), diagonal


def automatic(config: Config) -> Automatic:
    """What of the sampling is chosen from step to step."""
    asked = config.sampling
    return Automatic(*(getattr(asked, key, None) == "auto" for key in Automatic._fields))
