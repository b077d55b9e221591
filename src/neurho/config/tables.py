"""The tables of the problem file, one class for each kind."""

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, Strict, model_validator

from neurho._types import default_chains
from neurho.config.messages import Refusal, refuse
from neurho.config.values import (
    Bloch,
    Boolean,
    Count,
    Couplings,
    Flag,
    Index,
    MaybeCount,
    MaybeFlag,
    MaybePositive,
    NotNegative,
    Number,
    PerBond,
    PerSite,
    Positive,
    Pulsed,
    Rates,
    Table,
    Texts,
    Vectors,
    Whole,
)
from neurho.model.lattice import REACH, said_alone, unreached


class Chain(Table):
    """`shape` sites in a row, open or a ring."""

    kind: Literal["chain"]
    shape: Annotated[tuple[Count], Field(description="one whole number >= 1 in brackets, as in [16]")]
    periodic: Annotated[Boolean | tuple[Boolean], Field(description="true or false")] = False
    multi_edges: Flag = False


class Square(Table):
    """Rows and columns, numbered row-major."""

    kind: Literal["square"]
    shape: Annotated[tuple[Count, Count], Field(description="two whole numbers >= 1, as in [4, 4]")]
    periodic: Annotated[
        Boolean | tuple[Boolean, Boolean], Field(description="true, false or one of them per direction")
    ] = False
    multi_edges: Flag = False


class Triangular(Square):
    """The square lattice with one diagonal added."""

    kind: Literal["triangular"]  # pyright: ignore[reportIncompatibleVariableOverride]


class Edges(Table):
    """Any graph, from pairs of sites."""

    kind: Literal["edges"]
    edges: Annotated[tuple[tuple[Index, Index], ...], Field(description="pairs of sites, as in [[0, 1], [1, 2]]")]
    sites: MaybeCount = None
    directed: Flag = True

    @model_validator(mode="after")
    def _some_site(self) -> "Edges":
        if not self.edges and self.sites is None:
            raise Refusal(
                "lattice.edges", "hold a pair of sites, as in [[0, 1]], where lattice.sites is not given", "it is []"
            )
        if self.sites is None and (alone := unreached(self.edges)):
            raise Refusal("lattice.edges", f"{REACH} (lattice.sites)", said_alone(alone))
        return self


class Heisenberg(Table):
    """H = sum_j B.sigma_j + sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay, pump and dephasing."""

    kind: Literal["heisenberg"]
    field: Vectors = (0.0, 0.0, 0.0)
    coupling: Couplings = (0.0, 0.0, 0.0)
    decay: Rates = 1.0
    pump: Rates = 0.0
    dephasing: Rates = 0.0
    pulses: Pulsed = {}


class Xyz(Table):
    """H = sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay."""

    kind: Literal["xyz"]
    coupling: Couplings = (0.9, 1.2, 1.0)
    decay: Rates = 1.0
    pulses: Pulsed = {}


class Ising(Table):
    """H = V/4 sum_<jl> sigma^z_j sigma^z_l + g/2 sum_j sigma^x_j with decay and dephasing."""

    kind: Literal["ising"]
    interaction: PerBond = 2.0
    transverse: PerSite = 1.0
    decay: Rates = 1.0
    dephasing: Rates = 0.0
    pulses: Pulsed = {}


class Dephasing(Table):
    """Spins coupled along bonds and dephased site by site."""

    kind: Literal["dephasing"]
    coupling: Couplings = (1.0, 1.0, 0.0)
    dephasing: Rates = 1.0
    pulses: Pulsed = {}


class Product(Table):
    """A product state by Bloch vector, with noise that moves the network off its saddle points."""

    kind: Literal["product"]
    bloch: Bloch
    noise: NotNegative = 0.01
    tilt: Annotated[Number, Field(gt=0, lt=0.5, description="a number > 0 and < 0.5")] = 1e-3
    reach: MaybePositive = None
    fit: Index = 0


class MeanField(Table):
    """The mean-field stationary state as a product, with noise."""

    kind: Literal["mean-field"]
    noise: NotNegative = 0.1
    tilt: Annotated[Number, Field(gt=0, lt=0.5, description="a number > 0 and < 0.5")] = 1e-2
    reach: MaybePositive = 1.0


class Random(Table):
    """Normal random parameters of standard deviation `scale`."""

    kind: Literal["random"]
    scale: Positive = 0.01


class State(Table):
    """The final state of another run, on the same lattice or, translation-invariant, on a smaller one."""

    kind: Literal["state"]
    run: Annotated[str, Strict(), Field(min_length=1, description="the directory of a run")]
    noise: NotNegative = 0.0


_Exponent: TypeAlias = Annotated[Number, Field(gt=0, le=2)]
_Blur: TypeAlias = Annotated[Number, Field(ge=0, lt=1)]


class Metropolis(Table):
    """Markov chains for p(l, r), run at |rho|^`exponent` and blurred with probability `blur`, and, with
    `diagonal_samples`, for q(l). Both `chains` and `diagonal_samples` follow from `samples` where they are not given.
    """

    kind: Literal["metropolis"]
    samples: Count
    chains: Count = 0
    diagonal_samples: Count = 0
    sweeps: Count = 1
    warmup: Index = 10
    exponent: Annotated[_Exponent | Literal["auto"], Field(description='a number > 0 and <= 2, or "auto"')] = 2.0
    blur: Annotated[_Blur | Literal["auto"], Field(description='a number >= 0 and < 1, or "auto"')] = 0.0
    chunk: MaybeCount = None
    memory_gb: MaybePositive = None

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "samples" not in data:
            return data
        filled = {"diagonal_samples": data["samples"], **data}
        counts = (filled["samples"], filled["diagonal_samples"])
        if "chains" not in data and all(type(count) is int and count > 0 for count in counts):
            filled["chains"] = default_chains(*counts)
        return filled

    @model_validator(mode="after")
    def _whole_chains(self) -> "Metropolis":
        odd = [key for key in ("samples", "diagonal_samples") if getattr(self, key) % self.chains]
        if len(odd) == 2 and self.samples == self.diagonal_samples:
            odd = odd[:1]
        refuse(
            Refusal(
                f"sampling.{key}",
                "be a multiple of sampling.chains",
                f"it is {getattr(self, key)} with {self.chains} chains",
            )
            for key in odd
        )
        return self


class Enumeration(Table):
    """Every configuration with its exact weight."""

    kind: Literal["enumeration"]
    chunk: MaybeCount = None
    memory_gb: MaybePositive = None


Entries: TypeAlias = Annotated[
    tuple[tuple[Index, Index, Number, Number], ...],
    Field(description="entries [row, column, real part, imaginary part], as in [[0, 1, 1.0, 0.0]]"),
]
Function: TypeAlias = Annotated[
    str | None, Strict(), Field(description="the digest of a function of time, as Python writes it")
]


class MatrixTerm(Table):
    """A matrix on a few sites, by its entries that are not zero; `function` stands for a function of time."""

    sites: tuple[Index, ...]
    entries: Entries
    function: Function = None


OperatorLists: TypeAlias = Annotated[
    dict[Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9]*$")], tuple[tuple[MatrixTerm, ...], ...]],
    Field(description="lists of operators by names of letters and digits, each a list of terms in numbers"),
]


REFERENCES = ("none", "auto", "exact", "trajectories", "matrix-product", "correlators")
"""What [observables] reference can be, besides a file."""


class Observables(Table):
    """What is measured at each output, besides the one-site means."""

    on_sites: Texts = {}
    on_bonds: Texts = {}
    operators: OperatorLists = {}
    populations: MaybeFlag = None

    bonds: Flag = True
    correlations: Flag = False
    structure: Flag = False
    momenta: Flag = False
    purity: Flag = False
    fidelity: Flag = False
    pairs: Annotated[
        tuple[tuple[Index, Index], ...], Field(description="pairs of different sites, as in [[0, 1], [3, 7]]")
    ] = ()
    energy: Flag = True
    certificate: Flag = True
    reference: Annotated[
        str,
        Strict(),
        Field(
            pattern=rf"^({'|'.join(REFERENCES)})$|[./]",
            description=f"{json.dumps(REFERENCES)[1:-1]} or a file such as ./curves.csv",
        ),
    ] = "none"
    corrected: Annotated[
        Whole | None, Field(ge=0, le=4, description="the sites of a cluster, a whole number from 0 (off) to 4")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _earlier_name(cls, data: Any) -> Any:
        """`exact = true` is what `reference = "exact"` was called before: run directories have it."""
        if not isinstance(data, dict) or not isinstance(data.get("exact"), bool):
            return data
        if "reference" in data:
            raise Refusal("observables.exact", "be left out where observables.reference is given", "it is there")
        rest = {key: value for key, value in data.items() if key != "exact"}
        return rest | ({"reference": "exact"} if data["exact"] else {})


class Output(Table):
    """How often to save and when to stop; no number of the run depends on it."""

    checkpoint_seconds: NotNegative = 60.0
    checkpoint_steps: MaybeCount = None
    keep: Count = 2
    wall_seconds: MaybePositive = None
