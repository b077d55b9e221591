"""Two-time correlation functions of small systems by the quantum regression theorem."""

from collections.abc import Sequence

import numpy as np

from neurho._types import require
from neurho.exact.density import as_density_matrix
from neurho.exact.dynamics import evolve
from neurho.model.operators import Lindbladian, Operator, require_same_dim


def correlation(
    lindbladian: Lindbladian,
    rho: np.ndarray,
    a: Operator,
    b: Operator,
    times: Sequence[float] | np.ndarray,
    *,
    tolerance: float = 1e-8,
    memory: float = 8.0,
) -> np.ndarray:
    """<A(t) B(t_0)> for t in `times`, t_0 = times[0], by the regression theorem (Lax, Phys. Rev. 129, 2342 (1963)):

        <A(t) B(t_0)> = tr[A sigma(t)] / tr rho,    d sigma/dt = L sigma,    sigma(t_0) = B rho

    sigma is not Hermitian; sigma = X + i Y with Hermitian X and Y, which evolve as density matrices do.

    ```python
    import numpy as np
    import neurho

    decay = neurho.heisenberg(neurho.chain(1), decay=1.0)
    up = neurho.exact.product_state("up", 1)
    found = neurho.exact.correlation(decay, up, neurho.sp(0), neurho.sm(0), [0.0, 0.5])
    assert np.allclose(found, [1, np.exp(-0.25)])  # <sigma^+(t) sigma^-(0)> = exp(-t/2)
    ```

    **Arguments**

    - `rho`: the state at times[0], Hermitian, shape `(D, D)`; a stationary one gives a function of t - t_0.
    - `a`, `b`: operators, Hermitian or not; coefficients f(t) are taken at t and at t_0.
    - `times`, `tolerance`, `memory`: as [`neurho.exact.evolve`][].

    **Returns** complex numbers, shape `(times,)`.

    **Raises** `NeurhoError` if an argument does not fit.
    """
    sites = lindbladian.sites
    for operator in (a, b):
        require(isinstance(operator, Operator), "a, b", "be operators", f"one is {operator!r}")
        require_same_dim(lindbladian.hamiltonian, operator)
    require(len(times) > 0, "times", "be at least one time", "it is empty")
    rho = as_density_matrix(rho, lindbladian, "rho")
    sigma = b.to_sparse(sites, float(times[0])) @ rho / np.trace(rho)
    left = [a.to_sparse(sites, float(t)).T.tocsr() for t in times]
    total = np.zeros(len(times), dtype=complex)
    for part, unit in (((sigma + sigma.conj().T) / 2, 1.0), ((sigma - sigma.conj().T) / 2j, 1j)):
        if not np.any(part):
            continue
        states = evolve(lindbladian, part, times, tolerance=tolerance, memory=memory)
        # tr(A X) = sum_ij A_ij X_ji, from the non-zeros of A alone
        total += unit * np.array([m.multiply(x).sum() for m, x in zip(left, states, strict=True)])
    return total
