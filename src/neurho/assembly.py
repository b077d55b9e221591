"""From the tables of a problem file to lattices, Lindbladians, networks and samplers."""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from neurho import exact, integrate, lattice, models
from neurho._types import NeurhoError
from neurho.ansatz import (
    AbstractAnsatz,
    density_matrix,
    level_amplitudes,
    level_state,
    product_state,
    random_rbm,
    table_from_matrix,
)
from neurho.config import Config
from neurho.generator import LabelMap
from neurho.integrate import Method
from neurho.lattice import Lattice
from neurho.meanfield import mean_field
from neurho.operators import Lindbladian
from neurho.sampling import AbstractSampler, Blurred, enumerate_all, enumerate_diagonal, metropolis, metropolis_diagonal
from neurho.symmetry import Charge, detect, number, parity, require_conserved

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


class Initial(NamedTuple):
    """An initial state, the noiseless state it stands for (None for random parameters), and what the tilt costs."""

    ansatz: AbstractAnsatz
    target: AbstractAnsatz | None
    tilt_loss: float = 0.0


def make_lattice(config: Config) -> Lattice:
    """The lattice of a problem."""
    asked = config.lattice
    if asked.kind == "edges":
        return lattice.from_edges(asked.edges, sites=asked.sites)
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
        "custom": models.custom,
    }
    try:
        return make[config.model.kind](sites, **config.model.model_dump(exclude={"kind"}, exclude_none=True))
    except NeurhoError as error:
        raise NeurhoError(f"In [model]: {error}") from None


def make_charge(config: Config, generator: LabelMap) -> Charge | None:
    """The weak symmetry that the network keeps.

    Found by itself ("auto") where the state that is looked for lies in its sector: a stationary state does, and an
    evolution does that begins with spins along z.

    **Raises** `NeurhoError` if the one asked for is broken by the Lindbladian or by the initial state.
    """
    asked = getattr(config.ansatz, "symmetry", "none")
    inside = config.task.kind == "stationary" or _along_z(config)
    if asked == "none" or (asked == "auto" and not inside):
        return None
    if asked == "auto":
        return detect(generator)
    if not inside:
        raise NeurhoError(
            f'Key `ansatz.symmetry` must be "none" for an evolution that begins with spins which are not along z, but '
            f'it is "{asked}".'
        )
    charge = {"parity": parity, "number": number}[asked](generator.local_dim)
    require_conserved(generator, charge)
    return charge


def _along_z(config: Config) -> bool:
    vectors = np.atleast_2d(getattr(config.initial, "bloch", [[1.0, 0.0, 0.0]]))
    return bool(np.all(vectors[:, :2] == 0))


def distances(sites: Lattice) -> np.ndarray:
    """Numbers of bonds between all pairs of sites; that of the farthest pair where there is no way."""
    count = sites.sites
    ends = np.asarray(sites.bonds).reshape(-1, 2)
    steps = shortest_path(coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count)), directed=False)
    known = steps[np.isfinite(steps)]
    return np.where(np.isfinite(steps), steps, np.max(known, initial=0.0) + 1)


def make_initial(config: Config, sites: Lattice, generator: LabelMap, charge: Charge | None) -> Initial:
    """The network at the beginning."""
    key = jax.random.fold_in(jax.random.key(config.seed), 3)
    asked: Any = config.initial
    network: Any = config.ansatz
    count, dim = sites.sites, config.local_dim
    if network.kind == "table":
        if asked.kind == "random":
            small = random_rbm(key, count, hidden=count, mixing=count, scale=asked.scale, local_dim=dim)
            rho = density_matrix(small)
        else:
            rho = product_matrix(asked, count)
        table = table_from_matrix(rho, sites=count, local_dim=dim, floor=1e-6)
        return Initial(ansatz=table, target=table)
    if asked.kind == "random":
        ansatz = random_rbm(
            key, count, hidden=network.hidden, mixing=network.mixing, scale=asked.scale, local_dim=dim, charge=charge
        )
        return Initial(ansatz=ansatz, target=None)
    sizes: dict[str, Any] = {"hidden": network.hidden, "mixing": network.mixing}
    sizes |= {"noise": asked.noise, "tilt": asked.tilt}
    if asked.kind == "levels":
        prepared = level_state(key, asked.populations, count, phases=asked.phases, **sizes)
    else:
        bloch = _mean_field_bloch(generator, network.mixing) if asked.kind == "mean-field" else asked.bloch
        places = {"reach": asked.reach, "distances": distances(sites)}
        prepared = product_state(key, bloch, count, charge=charge, **places, **sizes)
    return Initial(ansatz=prepared.ansatz, target=prepared.target, tilt_loss=1 - prepared.overlap)


def _mean_field_bloch(generator: LabelMap, mixing: int) -> np.ndarray:
    """Mean-field Bloch vectors; pure ones with the same populations where the network cannot hold a mixed product."""
    bloch = mean_field(generator).bloch()
    bloch = bloch / np.maximum(np.linalg.norm(bloch, axis=1, keepdims=True), 1)
    if mixing >= generator.sites:
        return bloch
    planar = np.linalg.norm(bloch[:, :2], axis=1)
    direction = np.where(planar[:, None] > 1e-9, bloch[:, :2] / np.maximum(planar, 1e-9)[:, None], [1.0, 0.0])
    return np.column_stack([direction * np.sqrt(1 - bloch[:, 2:] ** 2), bloch[:, 2]])


def product_matrix(asked: Any, sites: int) -> np.ndarray:
    """The density matrix of a product state, without noise and tilt."""
    if asked.kind == "levels":
        return exact.product_of(level_amplitudes(asked.populations, sites, asked.phases))
    return exact.product_state(np.asarray(asked.bloch), sites)


def make_samplers(config: Config, sites: Lattice, charge: Charge | None) -> tuple[AbstractSampler, AbstractSampler]:
    """Samplers of p(l, r) and q(l)."""
    asked: Any = config.sampling
    network: Any = config.ansatz
    if asked.kind == "enumeration":
        hermitian = network.kind != "table"
        dim = config.local_dim
        return enumerate_all(sites.sites, dim, hermitian=hermitian, charge=charge), enumerate_diagonal(sites.sites, dim)
    chains: dict[str, Any] = {
        "chains": asked.chains,
        "sweeps": asked.sweeps,
        "warmup": asked.warmup,
        "local_dim": config.local_dim,
    }
    full = metropolis(sites, samples=asked.samples, exponent=asked.exponent, charge=charge, **chains)
    diagonal = metropolis_diagonal(sites, samples=asked.diagonal_samples, **chains)
    return (Blurred(chain=full, fraction=asked.blur) if asked.blur else full), diagonal
