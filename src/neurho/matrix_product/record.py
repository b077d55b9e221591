"""What a matrix product says at one time, and arrays from which it goes on."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from neurho._types import require
from neurho.matrix_product.flow import Settings
from neurho.matrix_product.generator import LineGenerator
from neurho.matrix_product.measure import Means
from neurho.matrix_product.places import positions
from neurho.matrix_product.state import State, is_even, product_state
from neurho.model.operators import local
from neurho.observables import Estimate, Quantity
from neurho.observables.names import at, level
from neurho.observables.readout import with_entropy
from neurho.observables.reduced import REDUCED, as_matrices

ROUNDING = 1e-13
"""Smallest error of a mean."""


Reader: TypeAlias = Callable[[Means, float], dict[str, np.ndarray]]
"""Named values from means at time t, linear in the means: what a run measures."""


class Record(NamedTuple):
    """A matrix-product density matrix at one time.

    ```python
    import neurho

    model, start = neurho.xyz(neurho.chain(2)), [[[1, 0], [0, 0]]] * 2
    *_, last = neurho.matrix_product.evolve(model, start, [0, 0.1], bond=4)
    assert last.t == 0.1 and last.diagnostics["bond_dimension"] <= 4
    ```

    - `t`: time, in units of 1/rate.
    - `observables`: name to mean and error, as asked for; `purity` and `renyi2` = -ln(purity) always.
    - `diagnostics`: `bond_dimension`, the largest; `discarded_weight`, the sum of what was cut so far, each in units of
      the squared norm; `trace_drift`, by how much cutting changed the trace since the last record; `dt`. An evolution
      has `error_estimate`, the relative distance of its two runs (Frobenius norm, not below 1e-8); a search for a
      stationary state `change`, that of rho in one unit of time, and with the last record `lindblad_norm2` =
      ||L rho||^2/||rho||^2.
    - `state`: plain arrays from which to go on.
    - `message`: a sentence worth keeping, or "".
    - `converged`: whether a search for a stationary state has ended well.
    """

    t: float
    observables: dict[str, Estimate]
    diagnostics: dict[str, float]
    state: dict[str, np.ndarray]
    message: str = ""
    converged: bool = False


def one_site_matrices(initial: object, generator: LineGenerator) -> np.ndarray:
    """A product start in the order of the line, `(sites, d, d)`.

    **Raises** `NeurhoError` unless there is one density matrix for each site.
    """
    array = np.asarray(initial)
    shape = (generator.sites, generator.dim, generator.dim)
    require(
        array.dtype.kind in "iufc" and array.shape == shape,
        "initial",
        f"be a product state, one density matrix for each site, of shape {shape}",
        f"its shape is {array.shape}",
    )
    matrices = array.astype(complex)
    traces = np.trace(matrices, axis1=1, axis2=2)
    hermitian = np.allclose(matrices, matrices.conj().transpose(0, 2, 1), rtol=0, atol=1e-10)
    require(hermitian, "initial", "hold Hermitian matrices", "one differs from its adjoint")
    require(np.allclose(traces, 1, rtol=0, atol=1e-8), "initial", "hold matrices of trace 1", f"traces are {traces}")
    lowest = float(np.min(np.linalg.eigvalsh(matrices)))
    require(lowest >= -1e-8, "initial", "hold positive matrices", f"one has the eigenvalue {lowest:.3g}")
    return matrices[generator.order]


def start(matrices: np.ndarray, generator: LineGenerator) -> State:
    """The product state, with parity where generator and state conserve it."""
    return product_state(matrices, parity=generator.keeps_parity() and is_even(matrices))


def means_of(state: State, generator: LineGenerator) -> Means:
    """Means in a state."""
    return Means(state, generator.dim, positions(generator.order))


def reader_of(quantities: Sequence[Quantity]) -> Reader:
    """What reads the values of quantities; reduced density matrices become matrices."""

    def read(means: Means, t: float) -> dict[str, np.ndarray]:
        del t
        found: dict[str, np.ndarray] = {}
        for quantity in quantities:
            value = means.quantity(quantity)
            if quantity.name == REDUCED:
                size = quantity.operators[0].local_dim ** 2
                parts = as_matrices(Estimate(mean=value, error=np.zeros_like(value)), size)
                found |= {name: np.asarray(part.mean) for name, part in parts.items()}
                continue
            found[quantity.name] = value
        return found

    return read


def reading(quantities: Sequence[Quantity] | Reader | None, generator: LineGenerator) -> Reader:
    """What a run measures; the populations of all sites unless something is asked for."""
    if callable(quantities):
        return quantities
    return reader_of(site_means(generator.dim, generator.sites) if quantities is None else list(quantities))


def estimates_of(values: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Means with errors by name."""
    return {
        name: Estimate(mean=np.asarray(mean), error=np.asarray(errors[name]) + ROUNDING)
        for name, mean in values.items()
    }


def measured(state: State, means: Means, read: Reader, t: float) -> dict[str, np.ndarray]:
    """All values of a state of trace 1."""
    return read(means, t) | with_entropy(state.norm**2)


def spreads(differences: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sizes of differences by name: one may be small by accident, so that none is below what others say.

    Of an array none is below the root mean square of all; of an average `X` none below that of `X_site` or `X_bond`
    divided by the root of their number. Those that vanish, of what is known exactly or forbidden by symmetry, stay
    zero.
    """
    found = {}
    for name, difference in differences.items():
        size = np.abs(difference)
        parts = [
            size,
            *(np.abs(differences[key]) for key in (at(name, "site"), at(name, "bond")) if key in differences),
        ]
        least = max(np.sqrt(np.mean(part**2) / (1 if part is size else part.size)) for part in parts)
        found[name] = np.where(size > 0, np.maximum(size, least), 0.0)
    return found


def diagnostics_of(state: State, trace: float, settings: Settings) -> dict[str, float]:
    """Numbers that say how far to trust a state whose trace was `trace` before it was divided out."""
    return {
        "bond_dimension": float(max(state.bonds, default=1)),
        "discarded_weight": state.discarded,
        "trace_drift": abs(trace - 1),
        "dt": settings.step,
    }


def site_means(dim: int, sites: int) -> list[Quantity]:
    """The populations of all levels of all sites: what a run looks at if nothing is asked for."""
    projectors = [np.diag(row) for row in np.eye(dim)]
    return [
        Quantity(at(level(n), "site"), tuple(local(matrix, j, local_dim=dim) for j in range(sites)))
        for n, matrix in enumerate(projectors)
    ]
