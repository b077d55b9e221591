"""Conversion to and from QuTiP. Needs `pip install 'neurho[qutip]'`."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from neurho._types import require
from neurho.model.interchange.bonds import bonds_of
from neurho.model.lattice import Lattice
from neurho.model.operators import Jump, Lindbladian, LocalTerm, Operator, rate_at

try:
    import qutip
except ImportError as error:
    raise ImportError("Conversion to and from QuTiP needs QuTiP: pip install 'neurho[qutip]'.") from error

SMALL = 1e-14
"""Terms with no entry above this times the largest entry of the operator are dropped."""

MAX_ENTRIES = 2**24
"""Largest number of entries d^(2N) of an operator that is taken apart into local terms."""


def operator_to_qutip(operator: Operator, sites: int, t: float = 0.0) -> qutip.Qobj:
    """The `qutip.Qobj` of an operator on `sites` sites at time `t`, with dims [[d]*sites, [d]*sites]; site 0 first.

    ```python
    import qutip
    import neurho

    assert neurho.interchange.operator_to_qutip(neurho.sx(1), 2) == qutip.tensor(qutip.qeye(2), qutip.sigmax())
    ```
    """
    dims = [[operator.local_dim] * sites] * 2
    return qutip.Qobj(operator.to_sparse(sites, t).tocsr(), dims=dims)


def to_qutip(lindbladian: Lindbladian, t: float | None = None) -> tuple[qutip.Qobj, list[qutip.Qobj]]:
    """H and the list of sqrt(gamma_j) c_j as `qutip.Qobj`, ready for `qutip.mesolve` or `qutip.steadystate`.

    ```python
    import numpy as np
    import neurho

    energy, jumps = neurho.interchange.to_qutip(neurho.heisenberg(neurho.chain(2), decay=0.25))
    assert energy.dims == [[2, 2], [2, 2]] and np.isclose(jumps[0].norm(), 2 * 0.5)
    ```

    **Arguments**

    - `t`: the time at which time-dependent coefficients are taken; must be given if there are any.

    **Raises** `NeurhoError` without `t` where something depends on time, or for a rate that is negative or complex at
    `t`.
    """
    require(
        t is not None or not lindbladian.is_time_dependent,
        "t",
        "be given where a coefficient or a rate depends on time",
        "it is None",
    )
    time, sites = 0.0 if t is None else t, lindbladian.sites
    jumps = []
    for number, jump in enumerate(lindbladian.jumps):
        rate = rate_at(jump.rate, time, f"jumps[{number}].rate")
        jumps.append(np.sqrt(rate) * operator_to_qutip(jump.operator, sites, time))
    return operator_to_qutip(lindbladian.hamiltonian, sites, time), jumps


def operator_from_qutip(qobj: qutip.Qobj) -> Operator:
    """The sum of local terms of a `qutip.Qobj`, X = sum_A X_A over sets of sites A.

    X is expanded in products of an orthonormal one-site basis that holds the identity; X_A gathers the products that
    differ from the identity exactly on A. Site numbers follow the order of `qobj.dims`.

    ```python
    import qutip
    import neurho

    found = neurho.interchange.operator_from_qutip(qutip.tensor(qutip.qeye(2), qutip.sigmax()))
    assert found.support == (1,)
    ```

    **Raises** `NeurhoError` unless `qobj` is a constant operator on sites of equal dimension.
    """
    dims = getattr(qobj, "dims", None)
    require(
        isinstance(qobj, qutip.Qobj) and qobj.isoper and dims is not None and dims[0] == dims[1],
        "qobj",
        "be a constant operator (qutip.Qobj) that maps a space to itself",
        f"it is a {type(qobj).__name__} with dims {dims}",
    )
    local, sites = dims[0][0], len(dims[0])  # pyright: ignore[reportOptionalSubscript]
    require(local >= 2 and set(dims[0]) == {local}, "qobj", "have sites of one dimension >= 2", f"its dims are {dims}")  # pyright: ignore[reportOptionalSubscript]
    require(
        local ** (2 * sites) <= MAX_ENTRIES,
        "qobj",
        f"have at most {MAX_ENTRIES} entries",
        f"it has {local}^{2 * sites}",
    )
    matrix = qobj.full()
    basis = _one_site_basis(local)
    coefficients = _expand(matrix, basis, sites)
    least = SMALL * np.max(np.abs(matrix), initial=0.0)
    terms = []
    for flags in product((False, True), repeat=sites):
        support = tuple(j for j in range(sites) if flags[j])
        part = coefficients[tuple(slice(1, None) if flag else 0 for flag in flags)]
        small = _assemble(part, basis[1:], len(support)) * local ** (-(sites - len(support)) / 2)
        if np.max(np.abs(small), initial=0.0) > least:
            terms.append(LocalTerm(support, small))
    return Operator(local, tuple(terms))


def from_qutip(
    hamiltonian: qutip.Qobj, c_ops: Sequence[qutip.Qobj] = (), lattice: Lattice | None = None
) -> Lindbladian:
    """A Lindbladian from a Hamiltonian and collapse operators (all rates 1: they are part of the operators in QuTiP).

    ```python
    import qutip
    import neurho

    model = neurho.interchange.from_qutip(qutip.sigmax(), [qutip.sigmam()])
    assert model.sites == 1 and len(model.jumps) == 1
    ```

    **Arguments**

    - `lattice`: where the sites are; by default the bonds are the pairs on which two-site terms of H act.

    **Raises** `NeurhoError` as [`neurho.model.interchange.qutip.operator_from_qutip`][] and [`neurho.Lindbladian`][]
    do.
    """
    energy = operator_from_qutip(hamiltonian)
    jumps = [Jump(1.0, operator_from_qutip(c)) for c in c_ops]
    sites = len(hamiltonian.dims[0])
    for number, c in enumerate(c_ops):
        require(c.dims == hamiltonian.dims, f"c_ops[{number}]", f"have dims {hamiltonian.dims}", f"it has {c.dims}")
    if lattice is None:
        lattice = bonds_of(energy, sites)
    require(lattice.sites == sites, "lattice", f"have {sites} sites like the Hamiltonian", f"it has {lattice.sites}")
    return Lindbladian(lattice, energy, jumps)


def _one_site_basis(dim: int) -> np.ndarray:
    """Hermitian matrices B_n with tr(B_m B_n) = delta_mn, shape `(d^2, d, d)`; B_0 = 1/sqrt(d) (Gell-Mann)."""
    basis = [np.eye(dim, dtype=complex) / np.sqrt(dim)]
    for a in range(dim):
        for b in range(a + 1, dim):
            unit = np.zeros((dim, dim), dtype=complex)
            unit[a, b] = np.sqrt(0.5)
            basis += [unit + unit.T, 1j * unit.T - 1j * unit]
    for k in range(1, dim):
        diagonal = np.array([1.0] * k + [-float(k)] + [0.0] * (dim - k - 1))
        basis.append(np.diag(diagonal / np.sqrt(k * (k + 1))).astype(complex))
    return np.array(basis)


def _expand(matrix: np.ndarray, basis: np.ndarray, sites: int) -> np.ndarray:
    """The coefficients tr(B_n1 x ... x B_nN X), shape `(d^2,) * sites`."""
    dim = basis.shape[1]
    tensor = matrix.reshape((dim,) * (2 * sites))
    for site in range(sites):
        # the row axis of this site is at `site` (before it stand finished labels), its column axis at `sites`
        tensor = np.moveaxis(np.tensordot(tensor, basis, axes=([site, sites], [2, 1])), -1, site)
    return tensor


def _assemble(coefficients: np.ndarray, basis: np.ndarray, sites: int) -> np.ndarray:
    """The matrix sum_n C_n B_n1 x ... x B_nk on k sites."""
    tensor = coefficients
    for _ in range(sites):
        tensor = np.tensordot(tensor, basis, axes=(0, 0))
    order = [*range(0, 2 * sites, 2), *range(1, 2 * sites, 2)]
    return tensor.transpose(order).reshape((basis.shape[1] ** sites,) * 2)
