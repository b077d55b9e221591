"""Programs: what JAX compiles as a whole, how, and when.

XLA has two generators of code for processors. By the newer one, its default, the loops of the sampler are 1.4 to 1.8
times faster; nothing else here gains, and it takes up to twice as long to compile. Nor does anything else gain from
the last level of optimisation.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, wraps
from importlib.metadata import version
from typing import Any

import equinox as eqx
import jax
from jax.core import Tracer
from jaxtyping import PyTree

from neurho._types import NeurhoError, T

# An option that XLA does not know is an error: only for the versions on which it was tried.
_KNOWN = version("jaxlib").startswith("0.10.")
_LEVEL = {"xla_backend_optimization_level": 1} if _KNOWN else {}
OPTIONS = {"xla_cpu_use_fusion_emitters": False} | _LEVEL if _KNOWN else {}
"""How XLA compiles programs for processors."""


def program(function: Callable[..., Any], *, loops: bool = False) -> Any:
    """`function`, or a method, as one program that compiles quickly; within another program it is a part of that.

    With `loops` by the newer generator, for what spends its time in loops.
    """
    jit: Any = eqx.filter_jit
    quick, plain = jit(function, compiler_options=_LEVEL if loops else OPTIONS), jit(function)

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return (plain if is_traced((arguments, named)) else best())(*arguments, **named)

    def best() -> Any:
        return quick if jax.default_backend() == "cpu" else plain

    vars(call)["lower"] = lambda *arguments, **named: best().lower(*arguments, **named)
    return call


def require_double() -> None:
    """Refuse to compute in single precision, to which JAX is set at first.

    **Raises** `NeurhoError` with what sets it to double.
    """
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise NeurhoError(
            "neurho computes in double precision, but JAX is set to single: run "
            "`jax.config.update('jax_enable_x64', True)` first."
        )


def is_traced(tree: PyTree) -> bool:
    """Whether this is part of what JAX is tracing now."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


@cache
def _compiler() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="compiler")


def beside(task: Callable[[], T]) -> Callable[[], T]:
    """Begin `task` in a second thread, so that what it compiles is compiled at the same time; call the result for its
    value.

    Several devices wait for each other within programs, and must all be given them in the same order: there `task` is
    done at once.
    """
    if jax.device_count() > 1:
        value = task()
        return lambda: value
    return _compiler().submit(task).result


def rehearse(function: Any, *arguments: Any, **named: Any) -> None:
    """Compile a program (of a class, with the instance as its first argument) for arguments like these, in the second
    thread. What goes wrong will go wrong again where the program is called.
    """
    if jax.device_count() > 1:
        return

    def task() -> None:
        with suppress(Exception):
            function.lower(*arguments, **named).compile()

    _compiler().submit(task)
