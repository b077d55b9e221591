"""Operators and Lindbladians of NetKet, read through their public attributes: NetKet itself is not imported."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from neurho._types import require
from neurho.model.interchange.bonds import bonds_of
from neurho.model.lattice import Lattice
from neurho.model.operators import Jump, Lindbladian, Operator, identity, local


def from_netket(operator: Any, lattice: Lattice | None = None) -> Operator | Lindbladian:
    """An [`Operator`][neurho.Operator] from a NetKet `LocalOperator` (or an operator that has
    `to_local_operator()`, such as `nk.operator.Ising`), a [`Lindbladian`][neurho.Lindbladian]
    from a `LocalLiouvillian`. Checked with NetKet 3.23.

    ```python
    import netket as nk  # which neurho does not need; `make netket` runs this
    import neurho

    spins = nk.hilbert.Spin(0.5, 2)
    pair = nk.operator.spin.sigmaz(spins, 0) @ nk.operator.spin.sigmaz(spins, 1)
    assert neurho.interchange.from_netket(pair).support == (0, 1)

    decay = [nk.operator.spin.sigmam(spins, site) for site in range(2)]
    model = neurho.interchange.from_netket(nk.operator.LocalLiouvillian(pair, decay))
    assert model.sites == 2 and len(model.jumps) == 2
    ```

    NetKet's conventions, and what becomes of them:

    - Matrices are taken by index. Index 0 is up in NetKet (`sigmaz` is diag(1, -1), `sigmam` is |1><0|), whether its
      configurations call that state +1 or, with `inverted_ordering=True`, -1; so it is here. Sites of a `Spin(s)` are
      levels m = s, s-1, ..., -s, those of a `Fock(n)` have index = number of bosons.
    - `sigmax`, ... of a `Spin(s)` have eigenvalues 2m: Pauli matrices for s = 1/2, twice the spin operators otherwise.
    - Rates are part of the jump operators: L = -i[H, .] + sum_j (c_j rho c_j^+ - {c_j^+ c_j, rho}/2), so every jump has
      rate 1 here, c_j with its sqrt(gamma_j) (NetKet's docstring omits the 1/2; its matrix has it).

    **Arguments**

    - `lattice`: where the sites of a Lindbladian are; by default the bonds are the pairs on which two-site terms of H
      act. A NetKet graph becomes one by `neurho.from_networkx(graph.to_networkx())`.

    **Raises** `NeurhoError` for anything else, for sites of different or constrained Hilbert spaces, and as
    [`neurho.Lindbladian`][] does.
    """
    if "LocalLiouvillian" in _kinds(operator):
        energy = _operator(operator.hamiltonian, "operator.hamiltonian")
        jumps = [
            Jump(1.0, _operator(jump, f"operator.jump_operators[{number}]"))
            for number, jump in enumerate(operator.jump_operators)
        ]
        sites = int(operator.hamiltonian.hilbert.size)
        where = bonds_of(energy, sites) if lattice is None else lattice
        require(where.sites == sites, "lattice", f"have {sites} sites like the operator", f"it has {where.sites}")
        return Lindbladian(where, energy, jumps)
    require(lattice is None, "lattice", "be given with a LocalLiouvillian only", "the operator is none")
    return _operator(operator, "operator")


def _operator(operator: Any, name: str) -> Operator:
    """The sum of the local terms of a NetKet operator."""
    kinds = _kinds(operator)
    if kinds and "LocalOperatorBase" not in kinds and hasattr(operator, "to_local_operator"):
        operator = operator.to_local_operator()
        kinds = _kinds(operator)
    missing = "" if kinds or find_spec("netket") else " (and NetKet is not installed here: pip install netket)"
    require(
        "LocalOperatorBase" in kinds,
        name,
        "be a LocalOperator or a LocalLiouvillian of NetKet, or have to_local_operator()",
        f"it is a {type(operator).__name__}{missing}",
    )
    space = operator.hilbert
    sizes = [int(size) for size in space.shape]
    require(len(set(sizes)) == 1, name, "have sites of one dimension", f"its sites have dimensions {tuple(sizes)}")
    require(not space.constrained, name, "live on a Hilbert space without a constraint", f"it lives on {space}")
    dim = sizes[0]
    total = complex(operator.constant) * identity(dim)
    for matrix, sites in zip(operator.operators, operator.acting_on, strict=True):
        array = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
        total = total + local(array, [int(site) for site in sites], local_dim=dim)
    return total.merged()


def _kinds(value: object) -> set[str]:
    """Names of the NetKet classes that a value is an instance of; none for a stranger."""
    return {kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] == "netket"}
