"""Modules of equinox and flax, and plain functions, as real parameters and a recipe that puts them together again."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath
from jaxtyping import Array, Complex, Float, PyTree

from neurho._types import NeurhoError, brief, require

TRAINED = "params"
"""The part of the variables of a flax module that is trained."""


Module: TypeAlias = Any
"""A module of equinox or flax, or a function: what can be called, with parameters in it or beside it."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a module is made of its parameters, and what of it is none: equal by content, so that programs are shared.

    - `name`: what it is called in messages.
    - `call`: gives the value of the whole module at its arguments.
    - `tree`: of the whole; `names`: for each leaf that of its parameter, or None for one that is `fixed`.
    - `complex`: the parameters kept as real and imaginary part, `(2, ...)`.
    """

    name: str
    call: Callable[..., PyTree]
    tree: PyTree
    names: tuple[str | None, ...]
    fixed: tuple[PyTree, ...]
    complex: frozenset[str]

    def assembled(self, parameters: dict[str, Array]) -> Module:
        """The module with these parameters."""
        rest = iter(self.fixed)
        leaves = [next(rest) if name is None else self._leaf(name, parameters[name]) for name in self.names]
        return jax.tree.unflatten(self.tree, leaves)

    def _leaf(self, name: str, value: Array) -> Array:
        return jax.lax.complex(value[0], value[1]) if name in self.complex else value

    def raw(self, parameters: dict[str, Array], *x: Array) -> PyTree:
        """What the module itself returns."""
        return self.call(self.assembled(parameters), *x)

    def logarithm(self, parameters: dict[str, Array], *x: Array) -> Complex[Array, ""]:
        """The value at `x` as a complex number, of a module that returns one number or (re, im).

        **Raises** `NeurhoError` for a module that returns something else than when it was looked at.
        """
        value = self.raw(parameters, *x)
        must = "return the same number of numbers, real or complex, each time that it is called"
        require(_is_logarithm(value), "module", must, f"`{self.name}` now returns {_returned(value)}")
        value = jnp.asarray(value)
        if value.ndim:
            return jax.lax.complex(value[0].astype(float), value[1].astype(float))
        return value.astype(complex)

    @cached_property
    def _content(self) -> Hashable:
        """What equal recipes share; the recipe itself where its parts cannot be compared."""
        content = (self.name, self.call, self.tree, self.names, self.complex, tuple(map(_token, self.fixed)))
        try:
            hash(content)
        except TypeError:
            return id(self)
        return content

    def __hash__(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self._content == other._content


def _token(leaf: PyTree) -> tuple[object, ...]:
    """What tells a fixed leaf apart from others."""
    if not eqx.is_array(leaf):
        return type(leaf), leaf
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return leaf.shape, str(leaf.dtype), np.asarray(data).tobytes()


def taken_apart(
    module: Module, parameters: PyTree = None, name: str = ""
) -> tuple[Recipe, dict[str, Float[Array, "..."]]]:
    """The recipe of a module, and its parameters as real arrays in double precision, by name.

    **Arguments**

    - `module`: a callable `equinox.Module`, a `flax.nnx.Module`, a `flax.linen.Module` with its variables as
      `parameters`, or a function of `parameters` and its other arguments.

    **Raises** `NeurhoError` for anything else, and for parameters that are not finite arrays of numbers.
    """
    name = name or _name_of(module)
    call, whole, trained = _kind_of(module, parameters, name)
    leaves, tree = jax.tree_util.tree_flatten_with_path(whole)
    names: list[str | None] = []
    found: dict[str, Array] = {}
    for path, leaf in leaves:
        if not trained(path, leaf):
            names.append(None)
            continue
        label = _label(path)
        label = f"{len(names):04d}.{label}" if label in found else label
        found[label] = _checked(leaf, label, name)
        names.append(label)
    require(found, "module", "have parameters", f"`{name}` has none")
    fixed = tuple(leaf for (_, leaf), label in zip(leaves, names, strict=True) if label is None)
    complexes = frozenset(label for label, leaf in found.items() if jnp.iscomplexobj(leaf))
    recipe = Recipe(name=name, call=call, tree=tree, names=tuple(names), fixed=fixed, complex=complexes)
    return recipe, {label: _real(leaf) for label, leaf in found.items()}


def _kind_of(
    module: Module, parameters: PyTree, name: str
) -> tuple[Callable[..., PyTree], PyTree, Callable[[KeyPath, PyTree], bool]]:
    """How to call, the pytree of everything, and which of its leaves are parameters."""
    if _is_of(module, "flax.linen.module"):
        good = hasattr(parameters, "keys") and TRAINED in parameters
        must = "be given with its variables, as in from_module(module, module.init(key, l, r), sites=3)"
        require(good, "module", must, f"`{name}` of flax.linen has {'none' if parameters is None else 'others'}")
        return _Linen(module), parameters, lambda path, leaf: _first(path) == TRAINED
    if _is_of(module, "flax.nnx.module"):
        _require_alone(parameters, name)
        from flax import nnx  # noqa: PLC0415  (an extra: whoever has such a module has it)

        definition, trained, rest = nnx.split(module, nnx.Param, ...)
        whole = {TRAINED: trained, "rest": rest}
        return _Nnx(nnx.merge, definition), whole, lambda path, leaf: _first(path) == TRAINED
    require(callable(module), "module", "be a function, or a module that can be called", f"it is {brief(module)}")
    if isinstance(module, eqx.Module):
        _require_alone(parameters, name)
        return _called, module, lambda path, leaf: eqx.is_inexact_array(leaf)
    must = "be an equinox or flax module, or a function given with its parameters"
    require(parameters is not None, "module", must, f"`{name}` has none")
    return module, parameters, lambda path, leaf: True


def _called(module: Module, *x: Array) -> PyTree:
    return module(*x)


@dataclass(frozen=True)
class _Linen:
    module: Module

    def __call__(self, variables: PyTree, *x: Array) -> PyTree:
        return self.module.apply(variables, *x)


@dataclass(frozen=True)
class _Nnx:
    merge: Callable[..., PyTree]
    definition: PyTree

    def __call__(self, whole: PyTree, *x: Array) -> PyTree:
        return self.merge(self.definition, whole[TRAINED], whole["rest"])(*x)


def _require_alone(parameters: PyTree, name: str) -> None:
    must = "be left out for a module that has its own"
    require(parameters is None, "parameters", must, f"`{name}` is given with {brief(parameters)}")


def _is_of(module: Module, where: str) -> bool:
    """Whether this is an instance of the class Module of a library, which need not be there."""
    return any((kind.__module__, kind.__name__) == (where, "Module") for kind in type(module).__mro__)


def _name_of(module: Module) -> str:
    return getattr(module, "__name__", "") or type(module).__name__


def _first(path: KeyPath) -> str:
    return jax.tree_util.keystr(path[:1], simple=True)


def _label(path: KeyPath) -> str:
    """The name of a leaf, as in `layers.0.weight`."""
    label = jax.tree_util.keystr(path, simple=True, separator=".")
    return label.removeprefix(f"{TRAINED}.") or "value"


def _checked(leaf: PyTree, label: str, name: str) -> Array:
    """A parameter, if it is an array of finite real or complex numbers."""
    dtype = getattr(leaf, "dtype", None)
    numeric = dtype is not None and eqx.is_array(leaf) and jnp.issubdtype(dtype, jnp.inexact)
    what = f"an array of type {dtype}" if dtype is not None else brief(leaf)
    must = "have arrays of real or complex numbers for parameters"
    require(numeric, "module", must, f"`{label}` of `{name}` is {what}")
    finite = bool(np.all(np.isfinite(np.asarray(leaf))))
    require(finite, "module", "have finite parameters", f"`{label}` of `{name}` holds NaN or infinity")
    return leaf


def _real(leaf: PyTree) -> Float[Array, "..."]:
    """An array in double precision; a complex one as its real and imaginary part."""
    array = np.asarray(leaf)
    parts = np.stack([np.real(array), np.imag(array)]) if np.iscomplexobj(array) else array
    return jnp.asarray(parts.astype(float))


def require_logarithm(recipe: Recipe, parameters: dict[str, Array], *x: Array, of: str) -> None:
    """Check, without computing anything, that a module takes `x` and returns a logarithm."""
    try:
        found = jax.eval_shape(lambda p: recipe.raw(p, *x), parameters)
    except Exception as error:
        first = str(error).partition("\n")[0]
        arguments = " and ".join(f"an array of shape {a.shape}" if a.ndim else "a whole number" for a in x)
        raise NeurhoError(
            f"Argument `module` must take {arguments}, but `{recipe.name}` raises {type(error).__name__}: {first}"
        ) from error
    must = f"return log {of} as one real or complex number, or as two real ones (re, im)"
    require(_is_logarithm(found), "module", must, f"`{recipe.name}` returns {_returned(found)}")


def _is_logarithm(value: PyTree) -> bool:
    """Whether this is one real or complex number, or (re, im)."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", np.dtype(object))
    number = shape == () and jnp.issubdtype(dtype, jnp.inexact)
    return number or (shape == (2,) and jnp.issubdtype(dtype, jnp.floating))


def _returned(value: PyTree) -> str:
    shape = getattr(value, "shape", None)
    return brief(value) if shape is None else f"an array of shape {shape} and type {value.dtype}"
