"""What a density-matrix ansatz is, and what samplers and estimators ask of it: ratios at a few changed sites.

An ansatz is a map from real parameters to log rho(x) for one configuration x (one label per site). At fixed parameters
it gives an [`AbstractAmplitudes`][], which knows how to evaluate rho(x')/rho(x) fast when few labels change.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray, PyTree

from neurho._jax.compiling import program
from neurho._jax.normals import normal_arrays
from neurho._types import Record, brief, require
from neurho.matrix_elements.generator import Side, all_labels, to_matrix
from neurho.matrix_elements.networks.acceptance import AbstractModuli


class Ratio(NamedTuple):
    """rho(x')/rho(x) = exp(log_scale + i phase) (re + i im), split so that it neither overflows nor needs a complex
    log.

    A `phase` apart from (re, im) costs its sine and cosine only where the value is asked for, not in acceptance steps.
    """

    log_scale: Float[Array, ""]
    re: Float[Array, ""]
    im: Float[Array, ""]
    phase: Float[Array, ""] | np.floating = np.float32(0)

    def log_modulus(self) -> Float[Array, ""]:
        """Log |rho(x')/rho(x)|; -inf where the ratio is zero."""
        return self.log_scale + 0.5 * jnp.log(self.re**2 + self.im**2)

    def value(self) -> Complex[Array, ""]:
        """The ratio as a complex number."""
        scale, cos, sin = jnp.exp(self.log_scale), jnp.cos(self.phase), jnp.sin(self.phase)
        return jax.lax.complex(
            scale * (cos * self.re - sin * self.im).astype(scale.dtype),
            scale * (sin * self.re + cos * self.im).astype(scale.dtype),
        )


class AbstractAmplitudes(eqx.Module):
    """rho at fixed parameters. All methods take one configuration or one change; batch with `jax.vmap`.

    The rhythm is: `prepare` a table of changes once per parameter set, `cache` a configuration, then ask for the
    `ratio` of any prepared change, and `update` the cache when the change is made.
    """

    @abc.abstractmethod
    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x), up to a constant."""

    @abc.abstractmethod
    def cache(self, x: Int[Array, " sites"]) -> PyTree[Array]:
        """What ratios from configuration `x` need."""

    @abc.abstractmethod
    def prepare(self, sites: Int[Array, " k"], old: Int[Array, " k"], new: Int[Array, " k"]) -> PyTree[Array]:
        """What ratios for the change of labels `old` to `new` on `sites` need."""

    @abc.abstractmethod
    def ratio(self, cache: PyTree[Array], change: PyTree[Array]) -> Ratio:
        """rho(x')/rho(x) for a prepared change of the cached configuration."""

    @abc.abstractmethod
    def update(self, cache: PyTree[Array], change: PyTree[Array]) -> PyTree[Array]:
        """The cache of the changed configuration."""

    @abc.abstractmethod
    def part(self, side: Side) -> "AbstractAmplitudes":
        """What changes of one side touch, for their ratios: an ansatz may leave out the rest of its units."""

    @abc.abstractmethod
    def cut(self, cache: PyTree[Array], side: Side) -> PyTree[Array]:
        """The cache of `part(side)` out of one of the whole."""

    @abc.abstractmethod
    def moduli(self) -> AbstractModuli:
        """|rho| for acceptance steps: in float32 and without phases, where that is known to be harmless."""


class AbstractAnsatz(eqx.Module):
    """A parametrised density matrix. Parameters are real arrays; amplitudes may be complex.

    A new ansatz defines `log_amplitude` and `amplitudes`; where there is no fast way to ratios,
    `amplitudes` returns [`Reevaluated`][neurho.matrix_elements.networks.base.Reevaluated]`(self)`.
    """

    sites: eqx.AbstractVar[int]
    local_dim: eqx.AbstractVar[int]
    hermitian: eqx.AbstractVar[bool]
    """Whether rho(l, r) = rho(r, l)* for all parameters: sums over half of the configurations then suffice."""

    @abc.abstractmethod
    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x) of one configuration, up to a real constant; differentiable in the parameters."""

    @abc.abstractmethod
    def amplitudes(self) -> AbstractAmplitudes:
        """Rho at the present parameters, ready for ratios."""


class Reevaluated(AbstractAmplitudes):
    """Ratios by evaluating log rho again: right for every ansatz, fast for none.

    ```python
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    slow, x = neurho.networks.Reevaluated(network), jnp.array([0, 3])
    log_rho = eqx.filter_jit(lambda amplitudes: amplitudes.log_amplitude(x))
    assert np.isclose(log_rho(slow), log_rho(network.amplitudes()))
    ```
    """

    ansatz: AbstractAnsatz

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """Log rho(x)."""
        return self.ansatz.log_amplitude(x)

    def cache(self, x: Int[Array, " sites"]) -> tuple[Array, Array]:
        """The configuration and its log amplitude."""
        return x, self.ansatz.log_amplitude(x)

    def prepare(self, sites: Array, old: Array, new: Array) -> tuple[Array, Array]:
        """The sites and their new labels."""
        del old
        return sites, new

    def ratio(self, cache: tuple[Array, Array], change: tuple[Array, Array]) -> Ratio:
        """exp(log rho(x') - log rho(x))."""
        x, log_rho = cache
        difference = self.ansatz.log_amplitude(x.at[change[0]].set(change[1])) - log_rho
        one = jnp.ones((), difference.real.dtype)
        return Ratio(log_scale=difference.real, re=one, im=jnp.zeros_like(one), phase=difference.imag)

    def update(self, cache: tuple[Array, Array], change: tuple[Array, Array]) -> tuple[Array, Array]:
        """The changed configuration and its log amplitude."""
        return self.cache(cache[0].at[change[0]].set(change[1]))

    def part(self, side: Side) -> "Reevaluated":
        """The whole."""
        del side
        return self

    def cut(self, cache: tuple[Array, Array], side: Side) -> tuple[Array, Array]:
        """The whole."""
        del side
        return cache

    def moduli(self) -> "ReevaluatedModuli":
        """As it is: nothing is known about the arithmetic of the ansatz."""
        return ReevaluatedModuli(self)


class ReevaluatedModuli(AbstractModuli):
    """|rho| by evaluating log rho again."""

    amplitudes: Reevaluated

    def cache(self, x: Int[Array, " sites"]) -> tuple[Array, Array]:
        """The configuration and its log amplitude."""
        return self.amplitudes.cache(x)

    def prepare(self, sites: Array, old: Array, new: Array) -> tuple[Array, Array]:
        """The sites and their new labels."""
        return self.amplitudes.prepare(sites, old, new)

    def propose(self, cache: tuple[Array, Array], change: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        """One evaluation."""
        moved = self.amplitudes.update(cache, change)
        return (moved[1] - cache[1]).real, moved

    def refresh(self, cache: tuple[Array, Array]) -> tuple[Array, Array]:
        """Nothing to do."""
        return cache


def parameters(ansatz: AbstractAnsatz) -> tuple[Float[Array, " parameters"], Callable[[Array], Any]]:
    """The real parameters as one vector, and the function that puts a vector back: `ansatz = restore(vector)`.

    **Raises** `NeurhoError` for a complex array among the fields.
    """
    leaves, rest = eqx.partition(ansatz, eqx.is_inexact_array)
    for path, leaf in jax.tree_util.tree_flatten_with_path(leaves)[0]:
        require(
            not jnp.iscomplexobj(leaf),
            "ansatz",
            "hold real parameters (keep a complex array as its real and imaginary part)",
            f"its `{jax.tree_util.keystr(path).lstrip('.')}` is complex",
        )
    return _joined(leaves), lambda v: eqx.combine(_parted(v, leaves), rest)


@jax.jit
def _joined(leaves: PyTree) -> Array:
    return ravel_pytree(leaves)[0]


@jax.jit
def _parted(vector: Array, like: PyTree) -> PyTree:
    return ravel_pytree(like)[1](vector)


@runtime_checkable
class Prepares(Protocol):
    """What holds a network: a prepared state, or the state of a run."""

    @property
    def ansatz(self) -> AbstractAnsatz:
        """The network."""
        ...


Network: TypeAlias = AbstractAnsatz | Prepares


def network_of(given: Any, name: str = "ansatz") -> AbstractAnsatz:
    """The network that a user gives: by itself, or with what was prepared or reached (`product_state`, a run's state).

    **Raises** `NeurhoError` for anything else.
    """
    found = given if isinstance(given, AbstractAnsatz) else getattr(given, "ansatz", given)  # wrappers hold one, too
    require(
        isinstance(found, AbstractAnsatz),
        name,
        "be a network or a prepared state, as `random_rbm` and `product_state` give",
        f"it is {brief(found)}",
    )
    return found


def as_key(key: PRNGKeyArray | int, name: str = "key") -> PRNGKeyArray:
    """A random key: `jax.random.key(0)`, or 0 for short.

    **Raises** `NeurhoError` for what is neither a key nor a whole number >= 0.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and key >= 0:
        return jax.random.key(int(key))
    given: Any = key
    dtype = getattr(given, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and given.ndim == 0
    plain = dtype == np.uint32 and given.ndim == 1
    must = "be a random key or a whole number >= 0, as in jax.random.key(0)"
    require(typed or plain, name, must, f"it is {brief(given)}")
    return given


def random_leaves(key: PRNGKeyArray | int, scale: float, shapes: dict[str, tuple[int, ...]]) -> Record:
    """Normal numbers of standard deviation `scale` in arrays of these shapes."""
    drawn = normal_arrays(as_key(key), tuple(shapes.values()))
    return {name: jnp.asarray(scale * one) for name, one in zip(shapes, drawn, strict=True)}


def parameter_count(ansatz: Network) -> int:
    """Number of real parameters.

    ```python
    import jax
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    assert neurho.networks.parameter_count(network) == 2 * 2 + 2 * 2 * (1 + 2) + 2 * (1 + 2 * 2)
    ```
    """
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network_of(ansatz), eqx.is_inexact_array)))


@program
def log_amplitudes(ansatz: AbstractAnsatz, x: Int[Array, "samples sites"]) -> Complex[Array, " samples"]:
    """Logarithms of rho at many configurations."""
    return jax.vmap(ansatz.log_amplitude)(x)


def density_matrix(ansatz: Network) -> np.ndarray:
    """The full density matrix `(d^sites, d^sites)`, trace one; for small systems.

    ```python
    import jax
    import numpy as np
    import neurho

    network = neurho.networks.random_rbm(jax.random.key(0), 2, hidden=2, mixing=2)
    rho = neurho.networks.density_matrix(network)
    assert np.isclose(np.trace(rho), 1) and np.all(np.linalg.eigvalsh(rho) > -1e-12)
    ```
    """
    ansatz = network_of(ansatz)
    x = jnp.asarray(all_labels(ansatz.sites, ansatz.local_dim**2))
    log_rho = log_amplitudes(ansatz, x)
    rho = to_matrix(jnp.exp(log_rho - jnp.max(log_rho.real)), ansatz.sites, ansatz.local_dim)
    return rho / np.trace(rho)


def log_derivatives(ansatz: AbstractAnsatz, x: Int[Array, " sites"]) -> Float[Array, "2 parameters"]:
    """Real and imaginary part of O_k = d log rho(x) / d alpha_k for real parameters alpha."""
    vector, restore = parameters(ansatz)

    def parts(v: Array) -> Array:
        value = restore(v).log_amplitude(x)
        return jnp.stack([value.real, value.imag])

    return jax.jacrev(parts)(vector)


def prepare_changes(
    amplitudes: AbstractAmplitudes | AbstractModuli,
    sites: Int[Array, "instances k"],
    labels: Int[Array, "#instances local moves k"],
    local: int,
    *,
    diagonal: bool = False,
) -> PyTree[Array]:
    """Prepare the changes from every local configuration to `labels` at every instance.

    Local configurations are all those of `local` labels per site, d^2 of them, or, if `diagonal`, of the d labels with
    equal row and column.

    **Returns** the changes with leading axes `(instances, local, moves)`.
    """
    old = jnp.asarray(all_labels(sites.shape[1], local) * (local + 1 if diagonal else 1), dtype=jnp.int32)
    labels = jnp.broadcast_to(labels, (len(sites), *labels.shape[1:]))
    over_moves = jax.vmap(amplitudes.prepare, in_axes=(None, None, 0))
    over_local = jax.vmap(over_moves, in_axes=(None, 0, 0))
    return jax.vmap(over_local, in_axes=(0, None, 0))(sites, old, labels)
