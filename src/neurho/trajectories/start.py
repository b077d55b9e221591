"""Wave functions to start from: product states; mixed sites are drawn from their eigenvectors."""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import PRNGKeyArray

from neurho._types import Numbers, require
from neurho.model.operators import PAULI_X, PAULI_Y, PAULI_Z, Lindbladian
from neurho.trajectories.space import Space, keeps_parity
from neurho.trajectories.walk import Walk, uniforms


def site_matrices(initial: Numbers, sites: int, local_dim: int) -> np.ndarray:
    """The density matrices of the single sites of a product state, `(sites, d, d)`.

    **Arguments**

    - `initial`: matrices `(d, d)` or `(sites, d, d)`; amplitudes `(d,)` or `(sites, d)`; for spins 1/2 also Bloch
      vectors of length <= 1, `(3,)` or `(sites, 3)`.

    **Raises** `NeurhoError` for other shapes, and matrices that are no density matrices.
    """
    array = np.asarray(initial)
    require(array.dtype.kind in "iufc" and np.all(np.isfinite(array)), "initial", "be finite numbers", "it is not")
    d, shape = local_dim, array.shape
    if d == 2 and shape in ((3,), (sites, 3)):
        longest = float(np.max(np.linalg.norm(array, axis=-1)))
        require(longest <= 1 + 1e-12, "initial", "have Bloch vectors of length <= 1", f"one has {longest:.6g}")
        array = (np.eye(2) + np.tensordot(array, [PAULI_X, PAULI_Y, PAULI_Z], axes=1)) / 2
    elif shape in ((d,), (sites, d)):
        lengths = np.linalg.norm(array, axis=-1, keepdims=True)
        require(np.all(lengths > 0), "initial", "have amplitudes that are not all zero", "they are on one site")
        array = array / lengths
        array = array[..., :, None] * array[..., None, :].conj()
    else:
        fits = shape in ((d, d), (sites, d, d))
        wanted = f"({d},), ({sites}, {d}), ({d}, {d}) or ({sites}, {d}, {d})" + (f", or ({sites}, 3)" if d == 2 else "")
        require(fits, "initial", f"have shape {wanted}", f"it is {shape}")
    matrices = np.broadcast_to(array, (sites, d, d)).astype(complex)
    good = np.allclose(matrices, matrices.conj().swapaxes(1, 2), atol=1e-10)
    good = good and np.allclose(np.trace(matrices, axis1=1, axis2=2), 1, atol=1e-10)
    good = good and np.all(np.linalg.eigvalsh(matrices) > -1e-10)
    require(good, "initial", "have density matrices: Hermitian, positive, of trace one", "one is not")
    return matrices


def space_of(model: Lindbladian, matrices: np.ndarray) -> Space:
    """All configurations, or those of one parity where the model keeps it and the start is a mixture of such states."""
    off = matrices * (1 - np.eye(model.local_dim))
    return Space(model.sites, model.local_dim, halved=keeps_parity(model) and not np.any(np.abs(off) > 1e-14))


def start_walk(
    matrices: np.ndarray, space: Space, key: PRNGKeyArray, trajectories: np.ndarray, dtype: DTypeLike, t0: float = 0.0
) -> Walk:
    """Trajectories at their beginning, one for each number in `trajectories`."""
    values, vectors = mixtures(matrices)
    draws = np.asarray(
        jax.vmap(lambda n: jax.random.uniform(jax.random.fold_in(_own(key), n), (space.sites,)))(
            jnp.asarray(trajectories)
        )
    )
    columns, sectors = [], []
    for draw in draws:
        chosen = np.minimum(np.sum(np.cumsum(values, axis=1) <= draw[:, None], axis=1), space.local_dim - 1)
        factors = [vectors[j][:, n] for j, n in enumerate(chosen)]
        if space.halved:
            levels = np.array([int(np.argmax(np.abs(f))) for f in factors])
            psi = np.zeros(space.dimension, dtype=complex)
            psi[int(levels[:-1] @ 2 ** np.arange(space.free - 1, -1, -1))] = 1
            sectors.append(1.0 - 2.0 * (levels.sum() % 2))
        else:
            psi = reduce(np.kron, factors)
            sectors.append(1.0)
        columns.append(psi)
    psi = np.stack(columns, axis=-1)
    lanes, numbers = len(trajectories), jnp.asarray(trajectories)
    event = jnp.zeros(lanes, int)
    return Walk(
        psi=(jnp.asarray(np.real(psi), dtype), jnp.asarray(np.imag(psi), dtype)),
        norm=jnp.ones(lanes, float),
        threshold=uniforms(key, numbers, event)[0],
        t=jnp.full(lanes, float(t0)),
        sector=jnp.asarray(sectors, float),
        trajectory=numbers,
        event=event,
    )


def _own(key: PRNGKeyArray) -> PRNGKeyArray:
    """Random numbers of the start are others than those of jumps."""
    return jax.random.fold_in(key, 2**31 - 1)


def mixtures(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and pure states of every site; those of diagonal matrices are the levels."""
    values, vectors = np.linalg.eigh(matrices)
    for j, matrix in enumerate(matrices):
        if not np.any(np.abs(matrix - np.diag(np.diag(matrix))) > 1e-14):
            values[j], vectors[j] = np.real(np.diag(matrix)), np.eye(len(matrix))
    values = np.clip(values, 0, None)
    return values / values.sum(axis=1, keepdims=True), vectors
