"""Stationary values that are better than the state they are measured in.

For every operator Y a stationary state has Tr[(L^+ Y) rho] = 0, so X and

    X' = X + L^+ Y

have the same stationary value, but not the same sensitivity to errors of rho. A good Y undoes L where it is strongest:
with L_C, the terms of L that lie within a small cluster C around X, and x_C = Tr[X rho_C] in its stationary state,

    L_C^+ Y = -(X - x_C)      gives      X' = x_C + (L - L_C)^+ Y.

X' is then the exact value of the isolated cluster, corrected for the bonds that were cut, and only their expectation is
measured in the network. Decay, drive and the bonds within C, where errors of rho would enter directly, are solved
exactly. The difference between X and X' measured in the same state is zero where the state is stationary, and says how
far each number can be trusted where it is not. Averages over all clusters of one size keep the symmetry of the lattice.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from neurho._types import brief, require
from neurho.model.lattice import Lattice
from neurho.model.operators import Lindbladian, Operator, adjoint_lindbladian, embed, local, total
from neurho.observables import PAULI, Quantity, names

LARGEST = 2**6
"""Levels of the largest cluster: its Lindbladian is a dense matrix of the square of this number."""

SIZE = 2
"""Sites of a cluster. Larger ones solve more exactly and lean on correlations of more sites, which networks know less
well: which is better depends on the model (docs/accuracy/corrected.md).
"""

STRUCTURE = 16
"""Sites up to which sums over all pairs are corrected: they have a term for every pair of a bond and a site."""

TOLERANCE = 1e-10
"""Singular values of a cluster's Lindbladian below this share of the largest one count as zero."""

ROUNDING = 1e-12
"""Entries of a corrected operator below this share of the largest one are rounding errors of Y."""


def corrected(lindbladian: Lindbladian, operator: Operator, cluster: Sequence[int]) -> Operator:
    """X + L^+ Y with L_C^+ Y = -(X - x_C) on one cluster of sites that holds the support of X.

    Where L_C has several stationary states (no dissipation within the cluster, say) Y is the least-squares solution
    of smallest norm: X' has the same stationary value for any Y.

    **Raises** `NeurhoError` for a Lindbladian that depends on time, or a cluster that does not hold the operator or has
    more than six spins.
    """
    sites, d = tuple(sorted(cluster)), lindbladian.local_dim
    require(set(operator.support) <= set(sites), "cluster", f"hold the sites {operator.support}", f"it is {sites}")
    adjoint = _cluster_adjoint(lindbladian, sites)
    x = np.sum([embed(t, sites, d) for t in operator.terms], axis=0)
    one = np.eye(len(x)).reshape(-1, 1)
    # The last unknown is -x_C: the part of X that no L_C^+ Y can give.
    y = np.linalg.lstsq(np.hstack([adjoint, one]), -x.ravel(), rcond=TOLERANCE)[0]
    solution = local(y[:-1].reshape(x.shape), sites, local_dim=d)
    image = (operator + adjoint_lindbladian(lindbladian, solution)).merged()
    return _without_rounding(((image + image.adjoint()) * 0.5).merged())


def _without_rounding(operator: Operator) -> Operator:
    """Without entries that are zero but for rounding: they would break symmetries and cost as much as others."""
    least = ROUNDING * max((float(np.max(np.abs(t.matrix))) for t in operator.terms), default=0.0)
    kept = (np.where(np.abs(t.matrix) > least, t.matrix, 0) for t in operator.terms)
    return Operator(
        operator.local_dim, tuple(replace(t, matrix=m) for t, m in zip(operator.terms, kept, strict=True))
    ).merged()


def _cluster_adjoint(lindbladian: Lindbladian, sites: tuple[int, ...]) -> np.ndarray:
    """The matrix of Y -> L_C^+ Y on row-major vectors of matrices; a sentence if there is none or it is too large."""
    require(not lindbladian.is_time_dependent, "lindbladian", "not depend on time", "it has a coefficient f(t)")
    d = lindbladian.local_dim
    require(d ** len(sites) <= LARGEST, "cluster", f"have at most {LARGEST} levels", f"it has {d}^{len(sites)}")
    one, inside = np.eye(d ** len(sites)), set(sites)
    terms = [t for t in lindbladian.hamiltonian.terms if set(t.sites) <= inside]
    h = np.sum([embed(t, sites, d) for t in terms], axis=0) if terms else 0 * one
    result = 1j * (np.kron(h, one) - np.kron(one, h.T))
    for jump in lindbladian.jumps:
        if set(jump.operator.support) <= inside:
            c = np.sum([embed(t, sites, d) for t in jump.operator.terms], axis=0)
            loss = c.conj().T @ c
            gain = np.kron(c.conj().T, c.T)
            result = result + float(jump.rate) * (gain - (np.kron(loss, one) + np.kron(one, loss.T)) / 2)  # pyright: ignore[reportArgumentType]
    return result


def slowest_rate(lindbladian: Lindbladian) -> float:
    """The smallest rate at which jumps relax a site: the sum of gamma_j ||c_j||^2 over those that act on it.

    Jumps that commute with their adjoint, as dephasing does, relax no populations and count only where there are no
    others. A scale for ||L rho||/||rho||: what is small beside it is near the stationary state.
    """
    rates = {True: np.zeros(lindbladian.sites), False: np.zeros(lindbladian.sites)}
    for jump in lindbladian.jumps:
        support = jump.operator.support
        c = np.sum([embed(t, support, lindbladian.local_dim) for t in jump.operator.terms], axis=0)
        normal = np.allclose(c @ c.conj().T, c.conj().T @ c)
        rates[normal][list(support)] += float(jump.rate) * np.linalg.norm(c, 2) ** 2  # pyright: ignore[reportArgumentType]
    found = rates[False] if np.any(rates[False] > 0) else rates[True]
    return float(np.min(found[found > 0], initial=np.inf)) if np.any(found > 0) else 1.0


def clusters(lattice: Lattice, support: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """All sets of `size` sites made of `support` and neighbours of it (fewer where there are not so many)."""
    inside = set(support)
    near = {int(j) for bond in lattice.bonds if inside & set(map(int, bond)) for j in bond} - inside
    count = min(max(size - len(inside), 0), len(near))
    return [tuple(sorted((*inside, *chosen))) for chosen in combinations(sorted(near), count)]


def relaxes(lindbladian: Lindbladian, cluster: Sequence[int]) -> bool:
    """Whether L_C of a cluster has one stationary state.

    If it has several, something is conserved within the cluster, or nothing decays there: L_C^+ Y does not undo what
    the surroundings do to that, and X' leans on correlations that the network knows less well than X.
    """
    matrix = _cluster_adjoint(lindbladian, tuple(cluster))
    return int(np.linalg.matrix_rank(matrix, rtol=TOLERANCE)) == len(matrix) - 1


def averaged(lindbladian: Lindbladian, operator: Operator, size: int) -> Operator:
    """The mean of X' over all clusters of a size."""
    sets = clusters(lindbladian.lattice, operator.support, size)
    return (total(corrected(lindbladian, operator, c) for c in sets) / len(sets)).merged()


def stationary_quantities(
    lindbladian: Lindbladian, *, bonds: bool = True, structure: bool = False, size: int = SIZE
) -> list[Quantity]:
    """Corrected one-site Pauli means (`sz_corrected`, `sz_corrected_site`), bond averages (`sxsx_corrected`) and
    S^aa(k=0) (`structure_xx_corrected`; up to `STRUCTURE` sites).

    `size` is that of the clusters; a pair is at least its own two sites. None at all where a cluster does not
    relax (`neurho.stationary_states.corrections.relaxes`), and no S^aa where two sites that share no bond do not.

    ```python
    import neurho

    found = neurho.methods.stationary_quantities(neurho.xyz(neurho.chain(2)), bonds=False)
    assert "sz_corrected" in [quantity.name for quantity in found]
    ```
    """
    require(isinstance(lindbladian, Lindbladian), "lindbladian", "be a Lindbladian", f"it is {brief(lindbladian)}")
    lattice, quantities = lindbladian.lattice, []
    pairs = [(int(i), int(j)) for i, j in lattice.bonds] if bonds else []
    every = list(combinations(range(lattice.sites), 2)) if structure and lattice.sites <= STRUCTURE else []
    supports = [*((j,) for j in range(lattice.sites)), *pairs]
    if not all(relaxes(lindbladian, c) for c in {c for s in supports for c in clusters(lattice, s, size)}):
        return []
    if not all(relaxes(lindbladian, pair) for pair in every):
        every = []
    for axis, pauli in PAULI.items():
        one = tuple(averaged(lindbladian, pauli(j), size) for j in range(lattice.sites))
        mean, product, structure_factor = map(names.corrected, names.ALONG[axis])
        quantities += [Quantity(mean, one, average=True), Quantity(names.at(mean, "site"), one)]
        if pairs:
            two = tuple(averaged(lindbladian, pauli(i) @ pauli(j), size) for i, j in pairs)
            quantities.append(Quantity(product, two, average=True))
        if every:
            factor = total(averaged(lindbladian, pauli(i) @ pauli(j), 2) for i, j in every) / len(every)
            quantities.append(Quantity(structure_factor, (factor.merged(),), average=True))
    return quantities
