"""A recurrent network for the outcomes of all sites, one after the other: normalised, and drawn from exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neurho._jax.compiling import program
from neurho._types import require_whole
from neurho.matrix_elements.networks.base import as_key

OUTCOMES = 4


class RecurrentOutcomes(eqx.Module):
    """Probabilities of the outcomes of `sites` spins by a gated recurrent unit (PRL 128, 090501; 127, 230501):

        p(a) = prod_j p(a_j | a_0 ... a_(j-1)),   p(. | ...) = softmax(V h_j + c),   h_j = GRU(a_(j-1), h_(j-1))

    with h_0 = GRU(0, 0). Every p of this form is normalised. Sites are in the order of their numbers, and share the
    cell.

    ```python
    import jax
    import numpy as np
    import neurho

    network = neurho.outcomes.random_recurrent(jax.random.key(0), 2, hidden=4)
    assert np.isclose(np.exp(network.conditional(network.begin())).sum(), 1)
    ```
    """

    cell: eqx.nn.GRUCell
    readout: eqx.nn.Linear
    sites: int = eqx.field(static=True)

    def begin(self) -> Float[Array, " hidden"]:
        """The state of the cell at the first site."""
        dtype = self.readout.weight.dtype
        return self.cell(jnp.zeros(OUTCOMES, dtype), jnp.zeros(self.cell.hidden_size, dtype))

    def conditional(self, hidden: Float[Array, " hidden"]) -> Float[Array, " outcomes"]:
        """Logarithms of the probabilities of the next outcome."""
        return jax.nn.log_softmax(self.readout(hidden))

    def after(self, hidden: Float[Array, " hidden"], outcome: Int[Array, ""]) -> Float[Array, " hidden"]:
        """The state of the cell after an outcome."""
        return self.cell(jax.nn.one_hot(outcome, OUTCOMES, dtype=hidden.dtype), hidden)

    def log_probability(self, a: Int[Array, " sites"]) -> Float[Array, ""]:
        """Log p of the outcomes of all sites."""

        def step(hidden: Array, outcome: Array) -> tuple[Array, Array]:
            return self.after(hidden, outcome), self.conditional(hidden)[outcome]

        return jnp.sum(jax.lax.scan(step, self.begin(), a)[1])

    def one(self, key: PRNGKeyArray) -> Int[Array, " sites"]:
        """The outcomes of one measurement."""

        def step(hidden: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
            outcome = jax.random.categorical(key, self.conditional(hidden))
            return self.after(hidden, outcome), outcome

        return jax.lax.scan(step, self.begin(), jax.random.split(key, self.sites))[1].astype(jnp.int32)


@program
def all_log_probabilities(network: RecurrentOutcomes) -> Float[Array, " outcomes"]:
    """Log p of all 4^sites outcomes, site 0 slowest: every beginning is gone through once.

    ```python
    import jax
    import numpy as np
    import neurho

    network = neurho.outcomes.random_recurrent(jax.random.key(0), 2, hidden=4)
    p = np.exp(neurho.outcomes.all_log_probabilities(network))
    assert p.shape == (16,) and np.isclose(p.sum(), 1)
    ```
    """
    hidden, log_p = network.begin()[None], jnp.zeros(1)
    every = jnp.arange(OUTCOMES)
    for site in range(network.sites):
        log_p = (log_p[:, None] + jax.vmap(network.conditional)(hidden)).ravel()
        if site < network.sites - 1:
            hidden = jax.vmap(lambda h: jax.vmap(network.after, in_axes=(None, 0))(h, every))(hidden)
            hidden = hidden.reshape(len(log_p), -1)
    return log_p


@program
def draw(network: RecurrentOutcomes, key: PRNGKeyArray, count: int) -> Int[Array, "samples sites"]:
    """Outcomes of `count` independent measurements: exact draws, no chains and nothing to warm up.

    ```python
    import jax
    import neurho

    network = neurho.outcomes.random_recurrent(jax.random.key(0), 2, hidden=4)
    assert neurho.outcomes.draw(network, jax.random.key(1), 100).shape == (100, 2)
    ```
    """
    return jax.vmap(network.one)(jax.random.split(key, count))


def random_recurrent(key: PRNGKeyArray | int, sites: int, *, hidden: int) -> RecurrentOutcomes:
    """A network with random parameters, uniform in +-1/sqrt(hidden).

    ```python
    import jax
    import neurho

    network = neurho.outcomes.random_recurrent(jax.random.key(0), 4, hidden=8)
    assert network.sites == 4
    ```

    **Raises** `NeurhoError` for sizes that are too small.
    """
    require_whole(sites, "sites", 1)
    require_whole(hidden, "hidden", 1)
    cell, readout = jax.random.split(as_key(key))
    return RecurrentOutcomes(
        cell=eqx.nn.GRUCell(OUTCOMES, hidden, key=cell, dtype=float),
        readout=eqx.nn.Linear(hidden, OUTCOMES, key=readout, dtype=float),
        sites=sites,
    )
