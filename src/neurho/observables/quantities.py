"""What can be measured, by name: lists of Hermitian operators, and what becomes of their means."""

from collections.abc import Callable, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import PyTree

from neurho._types import brief, require
from neurho.model.lattice import Lattice
from neurho.model.operators import Operator, sx, sy, sz
from neurho.observables.estimate import Estimate
from neurho.observables.momentum import structure_weights
from neurho.observables.names import ALONG, at

State: TypeAlias = PyTree
"""What a method goes on from: a tree of arrays and numbers with `t`, `step` and `dt`, kept in checkpoints."""

Watch: TypeAlias = Callable[[State], None]
"""Called with the state after every step between two outputs."""

PAULI = {"x": sx, "y": sy, "z": sz}


class Snapshot(NamedTuple):
    """What a run says at one time.

    ```python
    import neurho

    seen = []
    neurho.solve(neurho.xyz(neurho.chain(2)), "down", [0, 0.5], callback=seen.append)
    assert [snapshot.t for snapshot in seen] == [0, 0.5]
    ```

    - `step`, `t`: accepted steps so far, time in units of 1/gamma.
    - `observables`: name to [`Estimate`][neurho.observables.Estimate] (NumPy).
    - `diagnostics`: name to number.
    - `state`: all that is needed to go on from here.
    - `message`: a sentence worth keeping, or "".
    - `tables`: arrays of diagnostics by name.
    - `converged`: whether a search for a stationary state has reached its goal.
    """

    step: int
    t: float
    observables: dict[str, Estimate]
    diagnostics: dict[str, float]
    state: State
    message: str = ""
    converged: bool = False
    tables: Mapping[str, np.ndarray] = MappingProxyType({})


class Quantity(NamedTuple):
    """A named list of Hermitian operators: measured one by one, as their mean (`average`), or in linear combinations
    (real `weights` of shape `(*shape, operators)`), of which the samples give the errors.

    What a name says, dimensions, meaning, unit and symbol, is in `neurho.observables.names`.

    ```python
    import neurho

    current = neurho.sx(0) @ neurho.sy(1) - neurho.sy(0) @ neurho.sx(1)
    flow = neurho.methods.make_flow(neurho.xyz(neurho.chain(2)), quantities=[neurho.methods.Quantity("j", (current,))])
    assert flow.tdvp.sampler.exact
    ```
    """

    name: str
    operators: tuple[Operator, ...]
    average: bool = False
    weights: np.ndarray | None = None


def pauli_quantities(
    lattice: Lattice,
    *,
    bonds: bool = True,
    correlations: bool = False,
    structure: bool = False,
    momenta: bool = False,
) -> list[Quantity]:
    """One-site Pauli means per site (`sx_site`) and averaged (`sx`); two-point functions on bonds (`sxsx_bond`,
    `sxsx`), on all pairs j < l (`sxsx_pair`), and their mean over pairs, S^xx(k=0) (`structure_xx`); S^xx(k) at all
    momenta (`neurho.observables.momentum.momenta`) of the lattice (`structure_xx_k`).

    ```python
    import neurho

    names = [quantity.name for quantity in neurho.methods.pauli_quantities(neurho.chain(2), bonds=False)]
    assert sorted(names) == ["sx", "sx_site", "sy", "sy_site", "sz", "sz_site"]
    ```
    """
    require(isinstance(lattice, Lattice), "lattice", "be a Lattice, as chain(4) gives", f"it is {brief(lattice)}")
    quantities = []
    pairs = list(combinations(range(lattice.sites), 2))
    weights = structure_weights(lattice) if momenta else None
    for axis, pauli in PAULI.items():
        one = tuple(pauli(j) for j in range(lattice.sites))
        mean, product, factor = ALONG[axis]
        quantities += [Quantity(mean, one, average=True), Quantity(at(mean, "site"), one)]
        if bonds and len(lattice.bonds):
            two = tuple(pauli(int(i)) @ pauli(int(j)) for i, j in lattice.bonds)
            quantities += [Quantity(product, two, average=True), Quantity(at(product, "bond"), two)]
        if (correlations or structure or momenta) and pairs:
            every = tuple(pauli(i) @ pauli(j) for i, j in pairs)
            quantities += [Quantity(at(product, "pair"), every)] if correlations else []
            quantities += [Quantity(factor, every, average=True)] if structure else []
            quantities += [Quantity(at(factor, "k"), every, weights=weights)] if momenta else []
    return quantities


def symmetric(values: np.ndarray, sites: int, diagonal: float) -> np.ndarray:
    """Symmetric matrices `(*batch, sites, sites)` from the values `(*batch, pairs)` of pairs j < l."""
    matrix, (j, l) = np.full((*values.shape[:-1], sites, sites), diagonal), np.triu_indices(sites, 1)
    matrix[..., j, l] = matrix[..., l, j] = values
    return matrix


def fingerprint(operator: Operator) -> int:
    """A number that is the same for operators of the same terms."""
    return hash(tuple((t.sites, t.matrix.tobytes()) for t in operator.terms))
