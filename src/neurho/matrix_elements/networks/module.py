"""Networks of one's own: any module that gives log rho(l, r)."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PyTree

from neurho._types import NeurhoError, NumericalError, T, require, require_whole
from neurho.matrix_elements.generator import all_labels
from neurho.matrix_elements.networks.base import AbstractAnsatz, Reevaluated, log_amplitudes, parameters
from neurho.matrix_elements.networks.recipe import Module, Recipe, require_logarithm, taken_apart

LOOKED_AT = 128
"""Configurations at which claims about a module are checked; as many again of the diagonal."""

MOVED = 0.1
"""Standard deviation of what is added to parameters before claims that hold for all of them are checked."""

NEAR = 1e-6
"""Largest difference of logarithms that count as equal: modules may compute in single precision."""


class ModuleAnsatz(AbstractAnsatz):
    """log rho(l, r) = f(l, r) with a module f, made by [`from_module`][neurho.matrix_elements.networks.from_module].

    ```python
    import jax.numpy as jnp
    import neurho

    network = neurho.networks.from_module(lambda a, l, r: a @ (l + r), jnp.zeros(2), sites=2)
    assert isinstance(network, neurho.networks.ModuleAnsatz) and network.spins
    ```

    **Attributes**

    - `parameters`: real arrays by name; of complex ones real and imaginary part, `(2, ...)`.
    - `recipe`: what the module is besides them.
    - `spins`: f sees +1, -1 in place of the levels 0, 1; `joined`: f sees one array, (l, r).
    """

    parameters: dict[str, Float[Array, "..."]]
    recipe: Recipe = eqx.field(static=True)
    sites: int = eqx.field(static=True)
    local_dim: int = eqx.field(static=True)
    hermitian: bool = eqx.field(static=True)
    spins: bool = eqx.field(static=True)
    joined: bool = eqx.field(static=True)

    def log_amplitude(self, x: Int[Array, " sites"]) -> Complex[Array, ""]:
        """What the module says of rows l and columns r."""
        return self.recipe.logarithm(self.parameters, *self.arguments(x))

    def arguments(self, x: Int[Array, " sites"]) -> tuple[Array, ...]:
        """What the module is called with."""
        sides: Any = (x // self.local_dim, x % self.local_dim)
        sides = tuple(1.0 - 2.0 * side for side in sides) if self.spins else sides
        return (jnp.concatenate(sides),) if self.joined else sides

    def amplitudes(self) -> Reevaluated:
        """Ratios by calling the module again."""
        return Reevaluated(self)


def from_module(
    module: Module,
    parameters: PyTree = None,
    *,
    sites: int,
    local_dim: int = 2,
    hermitian: bool = False,
    positive: bool = False,
    spins: bool | None = None,
    joined: bool = False,
    name: str = "",
) -> ModuleAnsatz:
    """A density matrix whose logarithm is what a module of your own returns.

    The module is called with the rows l and the columns r of one configuration, `(sites,)` each, and returns
    log rho(l, r) up to a constant: one real or complex number, or two real ones (re, im). No batch axis. Parameters are
    all arrays of real or complex numbers in it (of flax those that are trained); the rest stays as it is. They are kept
    in double precision, complex ones as two real ones. Samplers evaluate the module anew for every ratio.

    ```python
    import jax.numpy as jnp
    import neurho


    def log_rho(parameters, l, r):
        return parameters @ (l + r)  # a product of Bloch vectors in the xz plane, with l, r = +-1


    network = neurho.networks.from_module(log_rho, jnp.array([0.1, 0.2]), sites=2, hermitian=True)
    assert neurho.networks.parameter_count(network) == 2
    ```

    **Arguments**

    - `module`: a callable `equinox.Module`; a `flax.nnx.Module`; a `flax.linen.Module`, with its variables as
      `parameters`; or a function f(parameters, l, r) with any pytree of arrays as `parameters`.
    - `hermitian`: a claim, rho(l, r) = rho(r, l)* for all parameters: sums over half of the configurations then do.
    - `positive`: a claim, rho(l, l) >= 0 for all parameters, besides `hermitian`.
    - `spins`: l and r hold +1. (level 0, up) and -1. (down) in place of whole numbers from 0 to local_dim - 1; by
      default where local_dim = 2.
    - `joined`: the module takes one array `(2 sites,)`, l before r, as `equinox.nn.MLP` does.
    - `name`: what the module is called in messages.

    **Raises** `NeurhoError`, a sentence that names the module: for what it cannot be called with, for a value of
    another shape, for NaN, for parameters that are not arrays, and for claims that do not hold at random parameters and
    up to 256 configurations.
    """
    require_whole(sites, "sites", 1)
    require_whole(local_dim, "local_dim", 2)
    spins = local_dim == 2 if spins is None else spins
    require(not spins or local_dim == 2, "spins", "be False for more than two levels", f"local_dim is {local_dim}")
    recipe, found = taken_apart(module, parameters, name)
    network = ModuleAnsatz(
        parameters=found,
        recipe=recipe,
        sites=sites,
        local_dim=local_dim,
        hermitian=hermitian or positive,
        spins=spins,
        joined=joined,
    )
    arguments = network.arguments(jnp.zeros(sites, jnp.int32))
    require_logarithm(recipe, found, *arguments, of="rho(l, r)")
    require_claims(network, recipe.name, positive=positive)
    return network


def require_claims(network: AbstractAnsatz, name: str, *, positive: bool) -> None:
    """Check a network at some configurations: no NaN, and what it claims to be.

    **Raises** `NeurhoError` with the name of the module.
    """
    x, mirrored, diagonal = looked_at(network.sites, network.local_dim)
    values = np.asarray(log_amplitudes(network, jnp.asarray(np.concatenate([x, diagonal]))))
    bad = not_logarithms(values)
    at = np.concatenate([x, diagonal])[np.argmax(bad)]
    rows, columns = (list(map(int, side)) for side in np.divmod(at, network.local_dim))
    must = "return a finite log rho(l, r), or -inf where rho is zero"
    require(not np.any(bad), "module", must, f"`{name}` returns {values[np.argmax(bad)]} at l = {rows}, r = {columns}")
    if not network.hermitian:
        return
    vector, restore = parameters(network)
    noise = np.random.default_rng(0).normal(size=vector.shape)
    moved = restore(vector + MOVED * noise)
    values = np.asarray(log_amplitudes(moved, jnp.asarray(np.concatenate([x, mirrored, diagonal]))))
    one, other, along = np.split(values, [len(x), 2 * len(x)])
    require(
        not np.any(_apart(one, np.conj(other))),
        "module",
        "be Hermitian, rho(l, r) = rho(r, l)*, where hermitian=True says so",
        f"`{name}` is not (neurho.matrix_elements.networks.Hermitian makes it so)",
    )
    require(
        not positive or not np.any(_apart(along, np.real(along))),
        "module",
        "have rho(l, l) >= 0 where positive=True says so",
        f"`{name}` has not",
    )


def looked_at(sites: int, local_dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Configurations (all of them where they are few), the same with rows and columns exchanged, and diagonal ones."""
    rng, labels = np.random.default_rng(0), local_dim**2
    if labels**sites <= LOOKED_AT:
        x = all_labels(sites, labels)
    else:
        x = rng.integers(0, labels, (LOOKED_AT, sites)).astype(np.int32)
    mirrored = x // local_dim + local_dim * (x % local_dim)
    diagonal = (x // local_dim) * (local_dim + 1)
    return x, mirrored.astype(np.int32), diagonal.astype(np.int32)


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether logarithms stand for different numbers; two zeros are equal, and what is NaN is passed over."""
    with np.errstate(invalid="ignore"):
        size, turn = np.real(one) - np.real(other), np.exp(1j * (np.imag(one) - np.imag(other)))
        zeros = np.isneginf(np.real(one)) & np.isneginf(np.real(other))
        return ~zeros & ((np.abs(size) > NEAR * (1 + np.abs(np.real(one)))) | (np.abs(turn - 1) > NEAR))


def names_module(follow: Callable[..., Iterator[T]]) -> Callable[..., Iterator[T]]:
    """A generator `follow(method, state, ...)` whose `NumericalError`s name the modules in `state.ansatz`, if any."""

    @wraps(follow)
    def named(method: object, state: PyTree, *arguments: object, **options: object) -> Iterator[T]:
        try:
            yield from follow(method, state, *arguments, **options)
        except NumericalError as error:
            parts = jax.tree.leaves(state.ansatz, is_leaf=_has_recipe)
            names = ", ".join(dict.fromkeys(f"`{part.recipe.name}`" for part in parts if _has_recipe(part)))
            if not names:
                raise
            raise NumericalError(f"With the module {names}: {error}") from None

    return named


def _has_recipe(part: object) -> bool:
    return isinstance(getattr(part, "recipe", None), Recipe)


def not_logarithms(values: np.ndarray) -> np.ndarray:
    """Which values are no logarithms of finite numbers; minus infinity is that of zero."""
    return np.isnan(values) | (np.real(values) == np.inf)


def as_network(given: Module, *, sites: int, local_dim: int, name: str) -> AbstractAnsatz:
    """What a maker of networks has returned, as a network: one as it is, a module, or (module, parameters).

    **Raises** `NeurhoError` if it is anything else, or lives on other sites.
    """
    if not isinstance(given, AbstractAnsatz):
        pair = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        return from_module(*pair, sites=sites, local_dim=local_dim, name=name)
    if (given.sites, given.local_dim) != (sites, local_dim):
        raise NeurhoError(
            f"`{name}` must make a network of {sites} sites with {local_dim} levels, but it has {given.sites} with "
            f"{given.local_dim}."
        )
    return given
