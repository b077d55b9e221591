"""Networks that the code in a Python file makes."""

import hashlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxtyping import PRNGKeyArray

from neurho._types import NeurhoError
from neurho.matrix_elements.networks import as_network
from neurho.records.files import disk


def network_of_code(
    path: Path,
    name: str,
    sha256: str,
    arguments: Mapping[str, object],
    *,
    sites: int,
    local_dim: int,
    key: PRNGKeyArray,
    take: Callable[..., Any] = as_network,
) -> Any:
    """The network that `name` in a Python file makes, called with `sites`, `local_dim`, `key` and `arguments`.

    It returns a network, a module that [`from_module`][neurho.matrix_elements.networks.from_module] takes, or (module,
    parameters); `take` makes a network of that. This runs the code: whoever calls it trusts it.

    **Raises** `NeurhoError` for a file whose SHA-256 is another one, and, with the error as its cause, for code that
    fails.
    """
    found = vars(_executed(path, sha256))
    if name not in found or not callable(found[name]):
        must = f"have a class or function `{name}`"
        raise NeurhoError(f"The file `{path}` must {must}, but {'it is none' if name in found else 'it has none'}.")
    try:
        made = found[name](sites=sites, local_dim=local_dim, key=key, **arguments)
    except NeurhoError:
        raise
    except Exception as error:
        given = ", ".join(["sites", "local_dim", "key", *arguments])
        raise NeurhoError(_failed(f"`{name}` in `{path}`, called with {given},", error)) from error
    return take(made, sites=sites, local_dim=local_dim, name=f"{path.name}:{name}")


@cache
def _executed(path: Path, sha256: str) -> ModuleType:
    """The file as a module, run once: what it defines is the same wherever it is asked for, and is compiled once."""
    with disk(path, "read"):
        source = path.read_bytes()
    if hashlib.sha256(source).hexdigest() != sha256:
        raise NeurhoError(
            f"The file `{path}` has changed since this problem was first read: put back what it was (its SHA-256 "
            f"begins with {sha256[:8]}), or begin a new run."
        )
    module = ModuleType(f"neurho_network_{sha256[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look up the module that they are in
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except Exception as error:
        del sys.modules[module.__name__]
        raise NeurhoError(_failed(f"The file `{path}`", error)) from error
    return module


def _failed(what: str, error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return f"{what} must run without an error, but it raises {type(error).__name__}: {first}"
