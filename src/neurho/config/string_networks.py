"""Tables of networks of correlators: real functions of operator strings, for `task.method = "correlators"`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias, get_args

from pydantic import Field

from neurho._types import Keys, Record
from neurho.config.modules import PythonModule
from neurho.config.values import Count, Flag, MaybeCount, Table


class Cumulants(Table):
    """Connected correlators from a few filters over the lattice, summed over its symmetries."""

    kind: Literal["cumulants"]
    filters: MaybeCount = None
    grow: Flag = False
    size_key: ClassVar[str] = "filters"


class Mixture(Table):
    """A mixture of `filters` product operators, each averaged over the symmetries of the lattice."""

    kind: Literal["mixture"]
    filters: MaybeCount = None
    grow: Flag = False
    size_key: ClassVar[str] = "filters"


class MatrixProduct(Table):
    """Matrix products of letters along the sites in their order."""

    kind: Literal["matrix-product"]
    bond: MaybeCount = None
    size_key: ClassVar[str] = "bond"


class StringConvolution(Table):
    """Group-equivariant convolutions over letters: `depth` layers of `channels`; with `connected` they give cumulants
    in place of means.
    """

    kind: Literal["string-convolution"]
    channels: MaybeCount = None
    depth: Count = 1
    point_group: Flag = False
    connected: Flag = False
    size_key: ClassVar[str] = "channels"


class StringModule(PythonModule):
    """A module of the user's own on the letters of strings; with `connected` it gives cumulants in place of means."""

    kind: Literal["string-module"]  # pyright: ignore[reportIncompatibleVariableOverride]
    connected: Flag = False
    size_key: ClassVar[str] = ""


Part: TypeAlias = Cumulants | Mixture | MatrixProduct | StringConvolution
"""What networks of several parts are made of."""


class Combined(Table):
    """A product of networks, or a mixture of them: `parts` of any kind but modules of one's own."""

    kind: Literal["product", "sum"]
    parts: Annotated[
        tuple[Annotated[Part, Field(discriminator="kind")], ...],
        Field(min_length=2, description="two or more tables [[ansatz.parts]], each with a kind"),
    ]
    size_key: ClassVar[str] = "parts"

    def sizes(self, units: int) -> list[int]:
        """Sizes of the parts where the largest that is given has `units`; those that are not given have as many."""
        given = [getattr(part, part.size_key) for part in self.parts]
        most = max(filter(None, given), default=1)
        return [units if size is None else max(1, round(size * units / most)) for size in given]


StringNetwork: TypeAlias = Cumulants | Mixture | MatrixProduct | StringConvolution | StringModule | Combined

STRING_KINDS = tuple(
    kind for table in get_args(StringNetwork) for kind in get_args(table.model_fields["kind"].annotation)
)
"""The kinds of [ansatz] that are networks of correlators."""

PARTS: dict[str, type[Table]] = {get_args(table.model_fields["kind"].annotation)[0]: table for table in get_args(Part)}
"""Tables of parts by their kind."""


def asked_units(network: StringNetwork) -> int | None:
    """The size that a table asks for; of parts the largest; None where it leaves that to the program."""
    tables = network.parts if isinstance(network, Combined) else (network,)
    given = [getattr(table, table.size_key, None) for table in tables]
    return max(filter(None, given), default=None)


DEFAULTS: Record = {"rows": 2000, "metric": 1 / 3, "tolerance": 1e-4}
"""Keys of [task] where a network of correlators is asked for; a search has `max_steps`, too."""


def with_defaults(task: Keys, ansatz: object) -> Record:
    """The table [task] as a network of correlators needs it, where there is one and no other method is asked for."""
    kind = ansatz.get("kind") if isinstance(ansatz, Mapping) else None
    if kind not in STRING_KINDS or task.get("method", "auto") not in ("auto", "correlators"):
        return dict(task)
    more = {"max_steps": 60} if task.get("kind") == "stationary" else {}
    return DEFAULTS | more | dict(task) | {"method": "correlators"}
