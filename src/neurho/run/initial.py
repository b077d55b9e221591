"""The network that a run begins with."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from neurho import exact
from neurho._types import NeurhoError, Record, given
from neurho.config import Config, Levels, Product
from neurho.config.networks import Rbm
from neurho.config.tables import MeanField, Random
from neurho.matrix_elements.generator import LabelMap
from neurho.matrix_elements.networks import (
    AbstractAnsatz,
    as_liouville,
    density_matrix,
    disturbed_liouville,
    level_amplitudes,
    level_state,
    product_state,
    random_rbm,
    table_from_matrix,
    uniform_product_state,
)
from neurho.matrix_elements.networks.translated_rbm import filters_of
from neurho.matrix_elements.symmetry import Charge, require_invariant
from neurho.model.bloch import bloch_vectors
from neurho.model.interchange.matrices import matrix_from
from neurho.model.lattice import Lattice
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z, Lindbladian
from neurho.run.assembly import moves_of, random_network
from neurho.run.inheritance import inherited
from neurho.stationary_states.mean_field import mean_field

UNIFORM = 1e-6
"""Largest difference between mean-field Bloch vectors of sites that count as equal."""


FITTED = frozenset({"python", "ndm", "gram", "mpdo", "convolution"})
"""Kinds of networks that are fitted to a product state."""

ROUNDING = 1e-9
"""Largest departure from a density matrix that counts as rounding."""


class Initial(NamedTuple):
    """An initial state, the noiseless state it stands for (None where there is none), and what the tilt costs."""

    ansatz: AbstractAnsatz
    target: AbstractAnsatz | None
    tilt_loss: float = 0.0

    @property
    def tilt_distance(self) -> float:
        """The distance between the states without noise and asked for, each divided by its Hilbert-Schmidt norm."""
        return float(np.sqrt(max(0.0, 2 - 2 * np.sqrt(max(0.0, 1 - self.tilt_loss)))))


def distances(sites: Lattice) -> np.ndarray:
    """Numbers of bonds between all pairs of sites; that of the farthest pair where there is no way."""
    count = sites.sites
    ends = np.asarray(sites.bonds).reshape(-1, 2)
    steps = shortest_path(csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count)), directed=False)
    known = steps[np.isfinite(steps)]
    return np.where(np.isfinite(steps), steps, np.max(known, initial=0.0) + 1)


def make_initial(
    config: Config, sites: Lattice, generator: LabelMap, charge: Charge | None, *, trust: bool = False
) -> Initial:
    """The network at the beginning.

    **Raises** `NeurhoError` where a translation-invariant network meets a Lindbladian or a state that is not, and for
    a network of the user's own without `trust`.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), 3)
    asked, network = config.initial, given(config.ansatz)
    if (moves := moves_of(config, sites)) is not None:
        try:
            for name in ("hidden", "mixing"):
                filters_of(getattr(network, name, 0), moves, name)
            require_invariant(generator, moves)
        except NeurhoError as error:
            raise NeurhoError(f"In [ansatz]: {error}") from None
    if asked.kind == "state":
        return Initial(ansatz=inherited(key, config, sites, charge, trust=trust), target=None)
    if network.kind == "table":
        return _table(key, config, sites)
    if asked.kind == "random":
        return Initial(ansatz=random_network(key, config, sites, charge, asked.scale, trust=trust), target=None)
    if network.kind in FITTED:
        assert isinstance(asked, Product | Levels)
        return _to_be_fitted(random_network(key, config, sites, charge, trust=trust), asked, sites)
    return _product(key, config, sites, generator, charge)


def _table(key: PRNGKeyArray, config: Config, sites: Lattice) -> Initial:
    """All entries of the density matrix."""
    asked = config.initial
    count, dim = sites.sites, config.local_dim
    if isinstance(asked, Random):
        small = random_rbm(key, count, hidden=count, mixing=count, scale=asked.scale, local_dim=dim)
        rho = density_matrix(small)
    else:
        assert isinstance(asked, Product | Levels)
        rho = product_matrix(asked, sites)
    table = table_from_matrix(rho, sites=count, local_dim=dim)
    return Initial(ansatz=table, target=table)


def _to_be_fitted(network: AbstractAnsatz, asked: Product | Levels, sites: Lattice) -> Initial:
    """A network that holds no product state by construction, and the one that `initial.fit` corrections take it to."""
    count, d = sites.sites, network.local_dim
    sizes: Record = {"hidden": 0, "noise": 0.0, "tilt": asked.tilt}
    if asked.kind == "levels":
        sizes |= {"phases": asked.phases, "mixed": asked.mixed, "mixing": count * (d - 1).bit_length()}
        prepared = level_state(jax.random.key(0), asked.populations, count, **sizes)
    else:
        prepared = product_state(jax.random.key(0), bloch_vectors(asked.bloch, sites), count, mixing=count, **sizes)
    return Initial(ansatz=network, target=prepared.target, tilt_loss=1 - prepared.overlap)


def _product(key: PRNGKeyArray, config: Config, sites: Lattice, generator: LabelMap, charge: Charge | None) -> Initial:
    """A product state with noise."""
    asked, network = config.initial, given(config.ansatz)
    assert isinstance(network, Rbm)
    assert isinstance(asked, Product | Levels | MeanField)
    sizes: Record = {"hidden": network.hidden, "mixing": network.mixing}
    labels = network.kind == "liouville"
    sizes |= {"noise": 0.0 if labels else asked.noise, "tilt": asked.tilt}
    near: Record = {"reach": getattr(asked, "reach", None), "distances": distances(sites)}
    if asked.kind == "levels":
        prepared = level_state(key, asked.populations, sites.sites, phases=asked.phases, mixed=asked.mixed, **sizes)
    else:
        sizes |= near | {"charge": charge}
        bloch = (
            _mean_field_bloch(generator, network.mixing)
            if asked.kind == "mean-field"
            else bloch_vectors(asked.bloch, sites)
        )
        if (moves := moves_of(config, sites)) is None:
            prepared = product_state(key, bloch, sites.sites, **sizes)
        else:
            bloch = _site_average(np.asarray(bloch)) if asked.kind == "mean-field" else bloch
            prepared = uniform_product_state(key, bloch, moves, **sizes)
    start, target = prepared.ansatz, prepared.target
    if labels:
        target = as_liouville(target)
        start = disturbed_liouville(key, target, asked.noise, **near)
    return Initial(ansatz=start, target=target, tilt_loss=1 - prepared.overlap)


def _mean_field_bloch(generator: LabelMap, mixing: int) -> np.ndarray:
    """Mean-field Bloch vectors; pure ones with the same populations where the network cannot hold a mixed product."""
    bloch = _inside_ball(mean_field(generator).bloch())
    if mixing >= generator.sites:
        return bloch
    planar = np.linalg.norm(bloch[:, :2], axis=1)
    direction = np.where(planar[:, None] > 1e-9, bloch[:, :2] / np.maximum(planar, 1e-9)[:, None], [1.0, 0.0])
    return np.column_stack([direction * np.sqrt(1 - bloch[:, 2:] ** 2), bloch[:, 2]])


def _inside_ball(bloch: np.ndarray) -> np.ndarray:
    """Vectors that rounding has made longer than 1, of length 1."""
    return bloch / np.maximum(np.linalg.norm(bloch, axis=1, keepdims=True), 1)


def _site_average(bloch: np.ndarray) -> np.ndarray:
    """The Bloch vector that all sites share."""
    spread = float(np.max(np.ptp(bloch, axis=0)))
    if spread > UNIFORM:
        raise NeurhoError(
            'Key `initial.kind` must not be "mean-field" where ansatz.translations = true and the mean-field state is '
            f"not uniform, but its Bloch vectors differ by up to {spread:.3g}; begin with another state, or set "
            "ansatz.translations = false."
        )
    return bloch.mean(axis=0)


def product_matrix(asked: Product | Levels, sites: Lattice) -> np.ndarray:
    """The density matrix of a product state, without noise and tilt."""
    if asked.kind == "levels":
        rho = exact.product_of(level_amplitudes(asked.populations, sites.sites, asked.phases))
        return np.diag(np.diag(rho)) if asked.mixed else rho
    return exact.product_state(asked.bloch, sites)


def exact_start(config: Config, lindbladian: Lindbladian) -> np.ndarray:
    """The density matrix that an exact run begins with.

    **Raises** `NeurhoError` for a start that is known for networks only.
    """
    asked, sites = config.initial, lindbladian.lattice
    size = lindbladian.local_dim**sites.sites
    if asked.kind == "matrix":
        return require_state(matrix_from(asked.entries, size), "Key `initial.entries`")
    if not isinstance(asked, Product | Levels):
        method = config.task.method
        raise NeurhoError(f'Key `initial.kind` must not be "{asked.kind}" for task.method = "{method}", but it is.')
    return product_matrix(asked, sites)


def require_state(rho: np.ndarray, name: str) -> np.ndarray:
    """The matrix itself, if it is Hermitian and positive with trace one, but for rounding."""
    off = max(float(np.max(np.abs(rho - rho.conj().T), initial=0.0)), abs(np.trace(rho) - 1))
    if off <= ROUNDING:
        off = -float(np.linalg.eigvalsh(rho)[0])
    if off > ROUNDING:
        raise NeurhoError(f"{name} must be a density matrix, Hermitian and positive with trace one, but it is not.")
    return rho


def product_factors(config: Config, sites: Lattice) -> np.ndarray:
    """The density matrices of single sites of a product state, `(sites, d, d)`.

    **Raises** `NeurhoError` for a start that is no product.
    """
    asked = config.initial
    if asked.kind == "levels":
        amplitudes = level_amplitudes(asked.populations, sites.sites, asked.phases)
        factors = np.einsum("ja,jb->jab", amplitudes, np.conj(amplitudes))
        return np.stack([np.diag(np.diag(f)) for f in factors]) if asked.mixed else factors
    if asked.kind != "product":
        raise NeurhoError(
            f'Key `initial.kind` must be "product" or "levels" for task.method = "{config.task.method}", but it is '
            f'"{asked.kind}".'
        )
    bloch = np.broadcast_to(np.asarray(bloch_vectors(asked.bloch, sites), dtype=float), (sites.sites, 3))
    return 0.5 * (np.eye(2) + np.einsum("ja,abc->jbc", bloch, np.stack([PAULI_X, PAULI_Y, PAULI_Z])))


def asked_matrix(config: Config, sites: Lattice, generator: LabelMap, prepared: Initial) -> np.ndarray:
    """The density matrix that a run was asked to begin with; that of the network where it is what was asked for."""
    asked = config.initial
    if isinstance(asked, Product | Levels):
        return product_matrix(asked, sites)
    if asked.kind == "mean-field":
        return exact.product_state(_inside_ball(mean_field(generator).bloch()), sites)
    return density_matrix(prepared.ansatz)
