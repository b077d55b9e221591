"""The tables of the problem file, one class for each kind."""

from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from neurho.config.messages import Refusal, shown

_Number: TypeAlias = Annotated[float, Strict(), Field(allow_inf_nan=False)]


_Whole: TypeAlias = Annotated[int, Strict()]


_Flag: TypeAlias = Annotated[bool, Strict()]


_Rate: TypeAlias = Annotated[_Number, Field(ge=0)]


_Vector: TypeAlias = tuple[_Number, _Number, _Number]


Flag: TypeAlias = Annotated[bool, Strict(), Field(description="true or false")]


Index: TypeAlias = Annotated[_Whole, Field(ge=0, description="a whole number >= 0")]


Count: TypeAlias = Annotated[_Whole, Field(ge=1, description="a whole number >= 1")]


MaybeCount: TypeAlias = Annotated[Count | None, Field(description="a whole number >= 1")]


Real: TypeAlias = Annotated[_Number, Field(description="a finite number")]


NotNegative: TypeAlias = Annotated[_Number, Field(ge=0, description="a finite number >= 0")]


Positive: TypeAlias = Annotated[_Number, Field(gt=0, description="a finite number > 0")]


MaybePositive: TypeAlias = Annotated[Positive | None, Field(description="a finite number > 0")]


Rates: TypeAlias = Annotated[
    _Rate | tuple[_Rate, ...], Field(description="a finite number >= 0, or one for each site of the lattice")
]


Vectors: TypeAlias = Annotated[
    _Vector | tuple[_Vector, ...], Field(description="three numbers (x, y, z), or three for each site")
]


Couplings: TypeAlias = Annotated[
    _Vector | tuple[_Vector, ...], Field(description="three numbers (x, y, z), or three for each bond of the lattice")
]


class Table(BaseModel):
    """One table of the problem file: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


class Chain(Table):
    """`shape` sites in a row, open or a ring."""

    kind: Literal["chain"]
    shape: Annotated[tuple[Count], Field(description="one whole number >= 1 in brackets, as in [16]")]
    periodic: Annotated[_Flag | tuple[_Flag], Field(description="true or false")] = False
    multi_edges: Flag = False


class Square(Table):
    """Rows and columns, numbered row-major."""

    kind: Literal["square"]
    shape: Annotated[tuple[Count, Count], Field(description="two whole numbers >= 1, as in [4, 4]")]
    periodic: Annotated[_Flag | tuple[_Flag, _Flag], Field(description="true, false or one of them per direction")] = (
        False
    )
    multi_edges: Flag = False


class Triangular(Square):
    """The square lattice with one diagonal added."""

    kind: Literal["triangular"]  # pyright: ignore[reportIncompatibleVariableOverride]


class Edges(Table):
    """Any graph, from pairs of sites."""

    kind: Literal["edges"]
    edges: Annotated[
        tuple[tuple[Index, Index], ...], Field(min_length=1, description="pairs of sites, as in [[0, 1], [1, 2]]")
    ]
    sites: MaybeCount = None


class Heisenberg(Table):
    """H = sum_j B.sigma_j + sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay, pump and dephasing."""

    kind: Literal["heisenberg"]
    field: Vectors = (0.0, 0.0, 0.0)
    coupling: Couplings = (0.0, 0.0, 0.0)
    decay: Rates = 1.0
    pump: Rates = 0.0
    dephasing: Rates = 0.0


class Xyz(Table):
    """H = sum_<jl> sum_a J_a sigma^a_j sigma^a_l with decay."""

    kind: Literal["xyz"]
    coupling: Couplings = (0.9, 1.2, 1.0)
    decay: Rates = 1.0


class Ising(Table):
    """H = V/4 sum_<jl> sigma^z_j sigma^z_l + g/2 sum_j sigma^x_j with decay."""

    kind: Literal["ising"]
    interaction: Real = 2.0
    transverse: Real = 1.0
    decay: Rates = 1.0


class Dephasing(Table):
    """Spins coupled along bonds and dephased site by site."""

    kind: Literal["dephasing"]
    coupling: Couplings = (1.0, 1.0, 0.0)
    dephasing: Rates = 1.0


class Rbm(Table):
    """The paper's network (Eq. 2): M = `hidden` units per side, `mixing` units between rows and columns."""

    kind: Literal["rbm"]
    hidden: Index
    mixing: Index


class ExactTable(Table):
    """All d^(2N) entries of the density matrix as parameters."""

    kind: Literal["table"]


class Product(Table):
    """A product state by Bloch vector, with noise that moves the network off its saddle points."""

    kind: Literal["product"]
    bloch: Vectors
    noise: NotNegative = 0.01
    tilt: Annotated[_Number, Field(gt=0, lt=0.5, description="a number > 0 and < 0.5")] = 1e-3


class Random(Table):
    """Normal random parameters of standard deviation `scale`."""

    kind: Literal["random"]
    scale: Positive = 0.01


class Metropolis(Table):
    """Markov chains for p(l, r), run at |rho|^`exponent` and blurred with probability `blur`, and, with
    `diagonal_samples`, for q(l).
    """

    kind: Literal["metropolis"]
    samples: Count
    chains: Count
    diagonal_samples: Count
    sweeps: Count = 1
    warmup: Index = 10
    exponent: Annotated[_Number, Field(gt=0, le=2, description="a number > 0 and <= 2")] = 2.0
    blur: Annotated[_Number, Field(ge=0, lt=1, description="a number >= 0 and < 1")] = 0.0
    chunk: MaybeCount = None

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        if isinstance(data, dict) and "samples" in data:
            return {"diagonal_samples": data["samples"], **data}
        return data

    @model_validator(mode="after")
    def _whole_chains(self) -> "Metropolis":
        for key in ("samples", "diagonal_samples"):
            if getattr(self, key) % self.chains:
                but = f"it is {getattr(self, key)} with {self.chains} chains"
                raise Refusal(f"sampling.{key}", "be a multiple of sampling.chains", but)
        return self


class Enumeration(Table):
    """Every configuration with its exact weight."""

    kind: Literal["enumeration"]
    chunk: MaybeCount = None


FIXED = ("euler", "heun", "midpoint", "rk4")


ADAPTIVE = ("heun-euler", "bosh3", "dopri5", "heun-doubling")


Method: TypeAlias = Literal[
    "euler", "heun", "midpoint", "rk4", "heun-euler", "bosh3", "dopri5", "heun-doubling", "exact"
]


SOLVER_DEFAULTS: dict[str, dict[str, float]] = {
    "ridge": {"ridge": 1e-3},
    "cutoff": {"cutoff": 1e-6},
    "snr": {"snr": 2.0, "cutoff": 1e-8},
    "cg": {"ridge": 1e-3, "cg_tolerance": 1e-3},
}


SOLVER_KEYS = frozenset(key for keys in SOLVER_DEFAULTS.values() for key in keys)


CHOSEN = SOLVER_KEYS | {"dt", "tolerance", "dt_max"}
"""Keys of [task] that only some methods or solvers use."""


class Flow(Table):
    """What evolution and relaxation share. Keys that the method or the solver does not use are None."""

    method: Method
    dt: MaybePositive = None
    tolerance: MaybePositive = None
    dt_max: MaybePositive = None
    max_steps: MaybeCount = None
    norm: Literal["fubini-study", "plain"] = "fubini-study"
    solver: Literal["ridge", "cutoff", "snr", "cg"] = "ridge"
    ridge: MaybePositive = None
    cutoff: Annotated[_Number | None, Field(gt=0, lt=1, description="a number > 0 and < 1")] = None
    snr: MaybePositive = None
    cg_tolerance: Annotated[_Number | None, Field(gt=0, lt=1, description="a number > 0 and < 1")] = None
    times: Annotated[
        tuple[_Rate, ...] | None, Field(min_length=1, description="a list of increasing numbers >= 0, not empty")
    ] = None
    points: Annotated[_Whole | None, Field(ge=2, description="a whole number >= 2")] = None

    @property
    def adaptive(self) -> bool:
        """Whether the method chooses its own steps."""
        return self.method in ADAPTIVE

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        filled: dict[str, Any] = {}
        if data.get("method") in FIXED + ADAPTIVE:
            filled |= SOLVER_DEFAULTS.get(str(data.get("solver", "ridge")), {})
        if data.get("method") in ADAPTIVE:
            filled["dt"] = 1e-3
        if "times" not in data:
            filled["points"] = 101
        return filled | data

    @model_validator(mode="after")
    def _consistent(self) -> "Flow":
        for key in self.model_fields_set & CHOSEN:
            if (reason := unused(key, self.method, self.solver)) is not None:
                raise Refusal(f"task.{key}", "be left out", reason)
        if self.method in FIXED and self.dt is None:
            raise Refusal("task.dt", f'be given for method "{self.method}", which has fixed steps', "it is missing")
        if self.adaptive and self.tolerance is None:
            raise Refusal("task.tolerance", f'be given for method "{self.method}", which is adaptive', "it is missing")
        if self.times is not None and self.points is not None:
            raise Refusal("task.points", "be left out where task.times is given", "both are there")
        self._check_times()
        return self

    def _check_times(self) -> None:
        times, end_key = self.times or (), "t" if "t" in type(self).model_fields else "t_max"
        end = getattr(self, end_key)
        if any(b <= a for a, b in pairwise(times)):
            raise Refusal("task.times", "increase", f"it is {shown(times)}")
        if times and times[-1] > end:
            raise Refusal(
                "task.times", f"end at or before task.{end_key} = {end:g}", f"its last entry is {times[-1]:g}"
            )


class Evolve(Flow):
    """Dynamics from t = 0 to `t`, with output at `times` or at `points` equally spaced times."""

    kind: Literal["evolve"]
    t: Positive

    @property
    def t_end(self) -> float:
        """The last time."""
        return self.t


class Stationary(Flow):
    """Relaxation until delta_L falls below `delta_L`, at most until `t_max`."""

    kind: Literal["stationary"]
    t_max: Positive
    delta_L: Positive = 1e-2
    average: Annotated[_Number, Field(gt=0, le=1, description="a number > 0 and <= 1")] = 0.2

    @property
    def t_end(self) -> float:
        """The last time, if the state is not stationary before."""
        return self.t_max


class Observables(Table):
    """What is measured at each output, besides the one-site means."""

    bonds: Flag = True
    correlations: Flag = False
    structure: Flag = False
    energy: Flag = True
    certificate: Flag = True
    exact: Flag = False


class Output(Table):
    """How often to save and when to stop; no number of the run depends on it."""

    checkpoint_seconds: NotNegative = 60.0
    keep: Count = 2
    wall_seconds: MaybePositive = None


def unused(key: str, method: str, solver: str) -> str | None:
    """Why the key of [task] has no effect with this method and solver, or None if it has one."""
    if method == "exact" or (key in ("tolerance", "dt_max") and method in FIXED):
        return f'method "{method}" does not use it'
    if key in SOLVER_KEYS and key not in SOLVER_DEFAULTS[solver]:
        return f'solver "{solver}" does not use it'
    return None
