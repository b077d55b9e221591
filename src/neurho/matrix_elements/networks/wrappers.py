"""Networks made of others: Hermitian, symmetric on the lattice, in a sector.

Parameters are those of the network within.
All evaluate log rho again for every ratio, as often as they have terms.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Int

from neurho._types import NeurhoError, Numbers, require
from neurho.matrix_elements.networks.base import AbstractAnsatz, Network, Reevaluated, network_of
from neurho.matrix_elements.symmetry import Charge
from neurho.model.lattice import Lattice

OUTSIDE = 300.0
"""Log of the factor by which a network in a sector is smaller outside: exp(-300), which as a weight is below 1e-260.

Not zero: a chain that begins outside finds its way in, and nothing is infinite.
"""


def log_sum(logarithms: Complex[Array, " terms"]) -> Complex[Array, ""]:
    """Log sum_k exp(z_k) without overflow; the sum may be zero."""
    top = jax.lax.stop_gradient(jnp.max(logarithms.real))
    top = jnp.where(jnp.isfinite(top), top, 0.0)
    return jnp.log(jnp.sum(jnp.exp(logarithms - top))) + top


def mirrored(x: Int[Array, " sites"], local_dim: int) -> Int[Array, " sites"]:
    """The labels of (r, l) for those of (l, r)."""
    return x // local_dim + local_dim * (x % local_dim)


class Hermitian(AbstractAnsatz):
    """rho + rho^dagger of any network rho: (rho + rho^dagger)(l, r) = rho(l, r) + rho(r, l)*.

    Two evaluations. Nothing makes it positive.

    ```python
    import jax
    import numpy as np
    import neurho

    table = neurho.networks.table_from_matrix(np.array([[0.5, 0.1j], [0.0, 0.5]]), sites=1)  # not Hermitian
    rho = neurho.networks.density_matrix(neurho.networks.Hermitian(table))
    assert np.allclose(rho, rho.conj().T, atol=1e-6)
    ```
    """

    ansatz: AbstractAnsatz
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)

    def __init__(self, ansatz: Network) -> None:
        self.ansatz = network_of(ansatz)
        self.sites, self.local_dim, self.hermitian = self.ansatz.sites, self.ansatz.local_dim, True

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log of the sum of both."""
        both = jax.vmap(self.ansatz.log_amplitude)(jnp.stack([x, mirrored(x, self.local_dim)]))
        return log_sum(jnp.stack([both[0], both[1].conj()]))

    def amplitudes(self) -> Reevaluated:
        """By evaluating again."""
        return Reevaluated(self)


class Symmetrised(AbstractAnsatz):
    """The mean of a network over moves g of the sites, of its values or, with `logarithms`, of their logarithms:

        rho_s(l, r) = 1/|G| sum_g rho(g l, g r)    or    log rho_s(l, r) = 1/|G| sum_g log rho(g l, g r).

    The first is Hermitian and positive where rho is, the second Hermitian (its logarithm must be a smooth function of
    the parameters, not one cut to a phase in (-pi, pi]). As many evaluations as there are moves. Made by
    [`translated`][neurho.matrix_elements.networks.translated] and
    [`with_point_group`][neurho.matrix_elements.networks.with_point_group].

    ```python
    import neurho

    network = neurho.networks.random_rbm(0, 3, hidden=2, mixing=2)
    mean = neurho.networks.Symmetrised(network, neurho.chain(3, periodic=True).translations)
    assert mean.moves.shape == (3, 3)
    ```

    - `moves`: `(moves, sites)`, as `Lattice.translations` and `Lattice.symmetries`; a group.
    """

    ansatz: AbstractAnsatz
    moves: Int[Array, "moves sites"]
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True)
    logarithms: bool = eqx.field(static=True)

    def __init__(self, ansatz: Network, moves: Numbers, *, logarithms: bool = False) -> None:
        self.ansatz = network_of(ansatz)
        self.sites, self.local_dim = self.ansatz.sites, self.ansatz.local_dim
        self.hermitian, self.logarithms = self.ansatz.hermitian, logarithms
        self.moves = jnp.asarray(_group_of(moves, self.sites), dtype=jnp.int32)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """One evaluation for each move."""
        values = jax.vmap(self.ansatz.log_amplitude)(x[self.moves])
        return jnp.mean(values) if self.logarithms else log_sum(values) - jnp.log(len(self.moves))

    def amplitudes(self) -> Reevaluated:
        """By evaluating again."""
        return Reevaluated(self)


def translated(ansatz: Network, lattice: Lattice, *, logarithms: bool = False) -> Symmetrised:
    """The mean of a network over the translations of a periodic lattice.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 3, hidden=2, mixing=2)
    mean = neurho.networks.translated(network, neurho.chain(3, periodic=True))
    assert mean.moves.shape == (3, 3)
    ```
    """
    return Symmetrised(ansatz, _lattice(lattice).translations, logarithms=logarithms)


def with_point_group(ansatz: Network, lattice: Lattice, *, logarithms: bool = False) -> Symmetrised:
    """The mean of a network over translations, rotations and reflections of a periodic lattice.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 3, hidden=2, mixing=2)
    mean = neurho.networks.with_point_group(network, neurho.chain(3, periodic=True))
    assert mean.moves.shape == (6, 3)  # with reflections
    ```
    """
    return Symmetrised(ansatz, _lattice(lattice).symmetries, logarithms=logarithms)


def _lattice(given: Lattice) -> Lattice:
    require(isinstance(given, Lattice), "lattice", "be a Lattice, as chain(4, periodic=True) gives", f"it is {given!r}")
    return given


def _group_of(moves: Numbers, sites: int) -> np.ndarray:
    """Moves of the sites, if they are a group."""
    array = np.asarray(moves)
    good = (
        array.ndim == 2 and array.shape[1] == sites and np.array_equal(np.sort(array), [np.arange(sites)] * len(array))
    )
    require(good, "moves", f"be permutations of the {sites} sites, one in each row", f"its shape is {array.shape}")
    rows = set(map(tuple, array.tolist()))
    closed = all(tuple(one[other].tolist()) in rows for one in array for other in array)
    require(closed, "moves", "be a group: of two moves also the one after the other", "it is not")
    return array


class InSector(AbstractAnsatz):
    """P rho P with the projector P onto the states of one charge; with a weak symmetry the sector of charge zero.

    A `charge` of rows alone, such as `strong_charge(generator)` gives, keeps (l, r) where l and r both have the charge
    `sector`; one that compares rows and columns, `number()` or `parity()`, those where they have the same. Elsewhere
    rho is smaller by exp(-300).

    ```python
    import neurho
    from neurho.matrix_elements.symmetry import parity

    network = neurho.networks.random_rbm(0, 3, hidden=2, mixing=2)
    assert neurho.networks.InSector(network, parity(2)).sites == 3
    ```
    """

    ansatz: AbstractAnsatz
    charge: Charge = eqx.field(static=True)
    sector: int = eqx.field(static=True)
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True)

    def __init__(self, ansatz: Network, charge: Charge, sector: int = 0) -> None:
        self.ansatz, self.charge, self.sector = network_of(ansatz), charge, int(sector)
        self.sites, self.local_dim, self.hermitian = self.ansatz.sites, self.ansatz.local_dim, self.ansatz.hermitian
        self._check()

    def _check(self) -> None:
        d, charge, sector = self.local_dim, self.charge, self.sector
        require(isinstance(charge, Charge), "charge", "be a Charge, as number() gives", f"it is {charge!r}")
        require(len(charge.values) == d * d, "charge", f"have {d * d} values", f"it has {len(charge.values)}")
        reached = {0}
        for _ in range(self.sites):
            reached = {value + one for value in reached for one in charge.values[:: d + 1]}
        known = sorted({value % charge.modulus if charge.modulus else value for value in reached})
        if sector not in known:
            raise NeurhoError(
                f"Argument `sector` must be one of {known}, the charges of {self.sites} sites, but it is {sector}."
            )

    def inside(self, x: Int[Array, " sites"]) -> Bool[Array, ""]:
        """Whether rows and columns have the charge."""
        sides = jnp.stack([x, mirrored(x, self.local_dim)])
        return jnp.all(self.charge.of(sides) == self.sector)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """That of the network, lower outside."""
        return self.ansatz.log_amplitude(x) - jnp.where(self.inside(x), 0.0, OUTSIDE)

    def amplitudes(self) -> Reevaluated:
        """By evaluating again."""
        return Reevaluated(self)
