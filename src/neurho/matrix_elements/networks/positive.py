"""Positive by construction: a Gram matrix of any amplitude network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PyTree

from neurho._types import Record, require, require_whole
from neurho.matrix_elements.networks.base import AbstractAnsatz, Reevaluated
from neurho.matrix_elements.networks.module import looked_at, not_logarithms
from neurho.matrix_elements.networks.recipe import Module, Recipe, require_logarithm, taken_apart
from neurho.matrix_elements.networks.wrappers import log_sum


class Positive(AbstractAnsatz):
    """rho(l, r) = sum_k phi_k(l) phi_k(r)* with log phi_k(l) = f(l, k), k = 0 ... ancillas - 1.

    Hermitian and positive semidefinite for all parameters, of rank at most `ancillas`: k is the state of an environment
    that is traced out. Made by [`from_amplitude`][neurho.matrix_elements.networks.from_amplitude]; 2 `ancillas`
    evaluations of f.

    - `parameters`, `recipe`, `spins`: as in [`ModuleAnsatz`][neurho.matrix_elements.networks.ModuleAnsatz].

    ```python
    import jax.numpy as jnp
    import neurho

    log_phi = lambda theta, l, k: theta[k] @ l
    network = neurho.networks.from_amplitude(log_phi, jnp.eye(2), sites=2, ancillas=2)
    assert isinstance(network, neurho.networks.Positive) and network.ancillas == 2
    ```
    """

    parameters: dict[str, Float[Array, "..."]]
    recipe: Recipe = eqx.field(static=True)
    ancillas: int = eqx.field(static=True)
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    spins: bool = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True, default=True)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log of the sum over the ancilla."""
        rows, columns = (self._log_phi(side) for side in (x // self.local_dim, x % self.local_dim))
        return log_sum(rows + columns.conj())

    def _log_phi(self, levels: Int[Array, " sites"]) -> Complex[Array, " ancillas"]:
        """Log phi_k(l) for all k."""
        seen = 1.0 - 2.0 * levels if self.spins else levels
        return jax.vmap(lambda k: self.recipe.logarithm(self.parameters, seen, k))(jnp.arange(self.ancillas))

    def amplitudes(self) -> Reevaluated:
        """By evaluating again."""
        return Reevaluated(self)


def from_amplitude(
    module: Module,
    parameters: PyTree = None,
    *,
    sites: int,
    ancillas: int,
    local_dim: int = 2,
    spins: bool | None = None,
    name: str = "",
) -> Positive:
    """The positive density matrix rho(l, r) = sum_k phi_k(l) phi_k(r)* of an amplitude network.

    ```python
    import jax.numpy as jnp
    import neurho


    def log_phi(parameters, l, k):
        return parameters[k] @ l  # pure products of spins along axes of the xz plane, with l = +-1


    network = neurho.networks.from_amplitude(log_phi, jnp.array([[0.1, 0.2], [0.3, -0.1]]), sites=2, ancillas=2)
    assert network.hermitian
    ```

    **Arguments**

    - `module`, `parameters`, `spins`, `name`: as in [`neurho.matrix_elements.networks.from_module`][], but the module
      is called with the levels l of all sites, `(sites,)`, and a whole number k, and returns log phi_k(l), one number
      or (re, im).
    - `ancillas`: how many k there are: the largest rank. All k are enumerated; those of m spins are 2^m.

    **Raises** `NeurhoError` as `from_module` does.
    """
    require_whole(sites, "sites", 1)
    require_whole(local_dim, "local_dim", 2)
    require_whole(ancillas, "ancillas", 1)
    spins = local_dim == 2 if spins is None else spins
    require(not spins or local_dim == 2, "spins", "be False for more than two levels", f"local_dim is {local_dim}")
    recipe, found = taken_apart(module, parameters, name)
    sizes: Record = {"sites": sites, "local_dim": local_dim, "spins": spins, "ancillas": ancillas}
    network = Positive(parameters=found, recipe=recipe, **sizes)
    l = jnp.zeros(sites, float if spins else jnp.int32)
    require_logarithm(recipe, found, l, jnp.zeros((), int), of="phi_k(l)")
    x, *_ = looked_at(sites, local_dim)
    values = np.asarray(jax.vmap(network._log_phi)(jnp.asarray(x // local_dim)))
    bad = not_logarithms(values)
    must = "return a finite log phi_k(l), or -inf where phi is zero"
    require(not np.any(bad), "module", must, f"`{recipe.name}` returns {values[bad][:1]}")
    return network
