"""The table of a network of the user's own: a Python file, which runs only where it is trusted."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, Strict

from neurho._types import NeurhoError, Record
from neurho.config.messages import Refusal, shown
from neurho.config.tasks import WITHOUT_NETWORK
from neurho.config.values import Table

GIVEN = frozenset({"sites", "local_dim", "key"})
"""Arguments that every maker of a network is called with."""

CODE = ("python", "string-module")
"""Kinds of networks that code of the user makes."""

NAMED = r"^.+\.py:[A-Za-z_][A-Za-z0-9_]*$"


class PythonModule(Table):
    """A network made by a class or function of a Python file, called with `sites`, `local_dim`, `key` and `arguments`.

    The file's SHA-256 is part of the problem: a file that changes is another problem.
    """

    kind: Literal["python"]
    module: Annotated[
        str, Strict(), Field(pattern=NAMED, description='a file and a name within it, as in "networks/deep.py:Deep"')
    ]
    arguments: Annotated[
        dict[str, JsonValue], Field(description="values by name, as in { width = 16, periodic = true }")
    ] = {}
    sha256: Annotated[str, Strict(), Field(pattern="^[0-9a-f]{64}$", description="64 hexadecimal digits")]

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.module.rpartition(":")[0])

    @property
    def name(self) -> str:
        """What makes the network."""
        return self.module.rpartition(":")[2]

    def check(self) -> Iterator[Refusal]:
        """What is wrong with the arguments."""
        for key in sorted(GIVEN & set(self.arguments)):
            yield Refusal(f"ansatz.arguments.{key}", "be left out: the problem says it", "it is given")


def with_module(data: Record, folder: Path, where: str) -> Record:
    """Problem data in which the file of `ansatz.module`, relative to `folder`, has its whole path and its SHA-256.

    Nothing of it is run. A SHA-256 that is there, as in a run directory, stays: the file is then not even read.

    **Raises** `NeurhoError` for a file that cannot be read.
    """
    raw = data.get("ansatz")
    if not isinstance(raw, dict) or raw.get("kind") not in CODE:
        return data
    given = raw.get("module")
    file, colon, name = str(given).rpartition(":")
    if not isinstance(given, str) or not colon or not file.endswith(".py"):
        return data | {"ansatz": {"sha256": "0" * 64} | raw}  # the schema says what is wrong
    path = (folder / file).resolve()
    whole = raw | {"module": f"{path}:{name}"}
    if "sha256" in raw:
        return data | {"ansatz": whole}
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        must = "must name a file that can be read"
        but = f"it is {shown(given)}: {error.strerror or error}"
        raise NeurhoError(f"In `{where}`, key `ansatz.module` {must}, but {but}.") from None
    return data | {"ansatz": whole | {"sha256": found}}


def require_trust(problem: Any, *, trust: bool) -> None:
    """Refuse to run code of a problem file that nobody has vouched for.

    **Raises** `NeurhoError` for a network of the user's own without `trust`.
    """
    network = problem.ansatz
    strings = network is not None and network.kind == "string-module"
    used = problem.task.method == "correlators" if strings else problem.task.method not in WITHOUT_NETWORK
    if isinstance(network, PythonModule) and used and not trust:
        raise NeurhoError(
            f'The network of this problem, ansatz.kind = "{network.kind}", runs the code in `{network.path}`: give '
            "`--trust` (from Python, trust=True) if you know what it does."
        )
