"""The problem file: its schema, one sentence for everything wrong in it, and back to TOML with all defaults resolved.

The only place where physics and numerics are chosen by strings; no JAX here, so that `neurho run --check` can refuse
a bad file at once. Every value that a table does not give is filled in on loading: a `Config` says all that a run
depends on.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from neurho._types import NeurhoError

ENUMERATION_SITES = 7
TABLE_SITES = 6
EXACT_SITES = {"evolve": 12, "stationary": 10}

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


class _Refusal(ValueError):
    """A value that is well formed but does not fit the others."""

    def __init__(self, key: str, must: str, but: str) -> None:
        super().__init__(f"key `{key}` must {must}, but {but}")


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
                raise _Refusal(f"sampling.{key}", "be a multiple of sampling.chains", but)
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
_SOLVER_DEFAULTS: dict[str, dict[str, float]] = {
    "ridge": {"ridge": 1e-3},
    "cutoff": {"cutoff": 1e-6},
    "snr": {"snr": 2.0, "cutoff": 1e-8},
    "cg": {"ridge": 1e-3, "cg_tolerance": 1e-3},
}

SOLVER_KEYS = frozenset(key for keys in _SOLVER_DEFAULTS.values() for key in keys)
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
            filled |= _SOLVER_DEFAULTS.get(str(data.get("solver", "ridge")), {})
        if data.get("method") in ADAPTIVE:
            filled["dt"] = 1e-3
        if "times" not in data:
            filled["points"] = 101
        return filled | data

    @model_validator(mode="after")
    def _consistent(self) -> "Flow":
        for key in self.model_fields_set & CHOSEN:
            if (reason := unused(key, self.method, self.solver)) is not None:
                raise _Refusal(f"task.{key}", "be left out", reason)
        if self.method in FIXED and self.dt is None:
            raise _Refusal("task.dt", f'be given for method "{self.method}", which has fixed steps', "it is missing")
        if self.adaptive and self.tolerance is None:
            raise _Refusal("task.tolerance", f'be given for method "{self.method}", which is adaptive', "it is missing")
        if self.times is not None and self.points is not None:
            raise _Refusal("task.points", "be left out where task.times is given", "both are there")
        self._check_times()
        return self

    def _check_times(self) -> None:
        times, end_key = self.times or (), "t" if "t" in type(self).model_fields else "t_max"
        end = getattr(self, end_key)
        if any(b <= a for a, b in pairwise(times)):
            raise _Refusal("task.times", "increase", f"it is {shown(times)}")
        if times and times[-1] > end:
            raise _Refusal(
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


Lattices: TypeAlias = Chain | Square | Triangular | Edges
Models: TypeAlias = Heisenberg | Xyz | Ising | Dephasing
Ansatzes: TypeAlias = Rbm | ExactTable
Initials: TypeAlias = Product | Random
Samplings: TypeAlias = Metropolis | Enumeration
Tasks: TypeAlias = Evolve | Stationary


class Config(Table):
    """A whole problem, all defaults resolved. `ansatz` and `sampling` may be None only for method "exact"."""

    seed: Index = 0
    lattice: Annotated[Lattices, Field(discriminator="kind")]
    model: Annotated[Models, Field(discriminator="kind")]
    ansatz: Annotated[Ansatzes | None, Field(discriminator="kind")] = None
    initial: Annotated[Initials, Field(discriminator="kind")] = Random(kind="random")
    sampling: Annotated[Samplings | None, Field(discriminator="kind")] = None
    task: Annotated[Tasks, Field(discriminator="kind")]
    observables: Observables = Observables()
    output: Output = Output()

    @property
    def sites(self) -> int:
        """Number of sites N."""
        if isinstance(self.lattice, Edges):
            return max(self.lattice.sites or 0, 1 + max(max(edge) for edge in self.lattice.edges))
        return prod(self.lattice.shape)

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        _check_sizes(self)
        _check_sites(self)
        return self


def _check_sizes(config: Config) -> None:
    count, task = config.sites, config.task
    exact = task.method == "exact"

    def at_most(limit: int, what: str) -> None:
        if count > limit:
            raise _Refusal("lattice", f"have at most {limit} sites for {what}", f"it has N = {count}")

    if isinstance(config.lattice, Edges) and config.lattice.sites is not None and config.lattice.sites < count:
        raise _Refusal("lattice.sites", f"be at least {count}, which the edges need", f"it is {config.lattice.sites}")
    for key in ("ansatz", "sampling"):
        if getattr(config, key) is None and not exact:
            raise _Refusal(key, 'be a table of its own unless task.method = "exact"', "it is missing")
    if exact:
        at_most(EXACT_SITES[task.kind], 'task.method = "exact"')
    elif isinstance(config.sampling, Enumeration):
        at_most(ENUMERATION_SITES, 'sampling.kind = "enumeration", which goes through all 4^N configurations')
    if isinstance(config.ansatz, ExactTable) and not exact:
        at_most(TABLE_SITES, 'ansatz.kind = "table", which holds all 4^N entries')
    if task.kind == "stationary" and not config.observables.certificate:
        raise _Refusal("observables.certificate", "be true to find a stationary state", "it is false")
    if config.observables.exact:
        at_most(ENUMERATION_SITES, "observables.exact = true")
    if task.kind == "evolve" and "initial" not in config.model_fields_set:
        raise _Refusal("initial", 'be a table of its own for task.kind = "evolve"', "it is missing")


def _check_sites(config: Config) -> None:
    per_site = {f"model.{key}": getattr(config.model, key, None) for key in ("decay", "pump", "dephasing")}
    for key, value in per_site.items():
        _check_length(key, value, config.sites)
    field = getattr(config.model, "field", None)
    if field is not None:
        _check_length("model.field", None if isinstance(field[0], float) else field, config.sites)
    if isinstance(config.initial, Product):
        bloch = config.initial.bloch
        vectors = [bloch] if isinstance(bloch[0], float) else bloch
        _check_length("initial.bloch", None if vectors is not bloch else bloch, config.sites)
        for vector in vectors:
            if sum(c * c for c in vector) > 1 + 1e-9:  # pyright: ignore[reportOperatorIssue, reportGeneralTypeIssues]
                raise _Refusal("initial.bloch", "lie in the unit ball, |r| <= 1", f"one vector is {shown(vector)}")


def _check_length(key: str, value: object, sites: int) -> None:
    if isinstance(value, tuple) and len(value) != sites:
        raise _Refusal(key, f"have one entry for each of the {sites} sites", f"it has {len(value)}")


def unused(key: str, method: str, solver: str) -> str | None:
    """Why the key of [task] has no effect with this method and solver, or None if it has one."""
    if method == "exact" or (key in ("tolerance", "dt_max") and method in FIXED):
        return f'method "{method}" does not use it'
    if key in SOLVER_KEYS and key not in _SOLVER_DEFAULTS[solver]:
        return f'solver "{solver}" does not use it'
    return None


KINDS: dict[str, dict[str, type[Table]]] = {
    name: {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(union)}
    for name, union in {
        "lattice": Lattices,
        "model": Models,
        "ansatz": Ansatzes,
        "initial": Initials,
        "sampling": Samplings,
        "task": Tasks,
    }.items()
}
_PLAIN: dict[str, type[Table]] = {"observables": Observables, "output": Output}


def load(source: str | Path, overrides: Iterable[str] = ()) -> Config:
    """The problem in a TOML file, or the shipped problem of that name.

    `overrides` are texts ``"task.t=2.0"``, applied before anything is checked. One that changes a `kind`, `method` or
    `solver` also takes out the keys of its table that the new choice does not know.

    **Raises** `NeurhoError`: one sentence with the file, the key, what it is and what it must be.
    """
    text, where = _read(source)
    data = _parse(text, where)
    overrides = list(overrides)
    if overrides:
        data = _override(data, overrides, where)
        where = f"{where} with " + " ".join(f"--set {item}" for item in overrides)
    return validate(data, where)


def loads(text: str, where: str = "the problem") -> Config:
    """The problem in a TOML text; `where` names it in error messages."""
    return validate(_parse(text, where), where)


def dumps(config: Config) -> str:
    """The problem as TOML, with every default written out; `loads(dumps(config)) == config`."""
    lines = []
    for name, table in config.model_dump(mode="json", exclude_none=True).items():
        if not isinstance(table, dict):
            lines.append(f"{name} = {json.dumps(table)}")
            continue
        kind = {"kind": table["kind"]} if "kind" in table else {}
        # Numbers, flags, plain strings and lists of them are written alike in JSON and in TOML.
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in (kind | table).items())]
    return "\n".join(lines) + "\n"


def fingerprint(config: Config) -> str:
    """Sixteen hexadecimal digits that tell problems apart; [output], which changes no number, is left out."""
    data = config.model_dump(mode="json", exclude_none=True, exclude={"output"})
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def shipped() -> dict[str, str]:
    """Names of the problems inside the package, each with the first comment line of its file."""
    found = {}
    for file in sorted(resources.files("neurho").joinpath("problems").iterdir(), key=lambda file: Path(file.name).stem):
        if file.name.endswith(".toml"):
            first = file.read_text(encoding="utf-8").partition("\n")[0]
            found[file.name.removesuffix(".toml")] = first.removeprefix("#").strip()
    return found


def problem_name(source: str | Path) -> str:
    """A short name for run directories: the file's name without its ending."""
    return Path(source).stem if str(source).endswith(".toml") else Path(source).name


def shown(value: object) -> str:
    """A value as a problem file would write it, shortened."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8"), str(source)
        if path.is_dir():
            raise NeurhoError(f"A problem must be a TOML file or a shipped name, but `{source}` is a directory.")
    except UnicodeDecodeError:
        raise NeurhoError(f"A problem must be a TOML file in UTF-8, but `{source}` is not text.") from None
    except OSError as error:
        raise NeurhoError(f"The problem `{source}` cannot be read: {error.strerror}.") from None
    names = list(shipped())
    if str(source) in names:
        file = resources.files("neurho").joinpath("problems", f"{source}.toml")
        return file.read_text(encoding="utf-8"), str(source)
    hint = _suggest(str(source), names) or f"shipped are {', '.join(names)}"
    raise NeurhoError(f"There is no problem file and no shipped problem `{source}`{_ending(hint)}")


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NeurhoError(f"In `{where}`, the TOML is not valid: {error}.") from None


def _override(data: dict[str, Any], overrides: list[str], where: str) -> dict[str, Any]:
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    given: dict[str, set[str]] = {}
    for item in overrides:
        path, equals, text = (part.strip() for part in item.partition("="))
        table, dot, key = path.partition(".")
        if not equals or not path or (dot and (not table or not key or "." in key)):
            raise NeurhoError(f"`--set` must be followed by key=value, as in task.t=1.0, but it is `{item}`.")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # names need no quotes on a command line
        if not dot:
            data[path] = value
            continue
        if not isinstance(data.setdefault(table, {}), dict):
            raise NeurhoError(f"In `{where}`, `{table}` must be a table, but it is {shown(data[table])}.")
        data[table][key] = value
        given.setdefault(table, set()).add(key)
    for one, other in (("times", "points"), ("points", "times")):
        if {one} == given.get("task", set()) & {"times", "points"}:
            data["task"].pop(other, None)
    for table, keys in given.items():
        if keys & {"kind", "method", "solver"}:
            data[table] = {k: v for k, v in data[table].items() if k in keys or _applies(table, k, data[table])}
    return data


def _applies(table: str, key: str, data: Mapping[str, Any]) -> bool:
    kind = KINDS.get(table, {}).get(str(data.get("kind")))
    method, solver = data.get("method"), str(data.get("solver", "ridge"))
    if kind is None:
        return True
    used = not isinstance(method, str) or solver not in _SOLVER_DEFAULTS or unused(key, method, solver) is None
    always = key not in CHOSEN
    return key in kind.model_fields and (always or used)


def validate(data: Mapping[str, Any], where: str = "the problem") -> Config:
    """A `Config` from parsed TOML; `where` names it in error messages.

    **Raises** `NeurhoError`, one sentence on the first thing that is wrong.
    """
    tables: dict[str, Any] = {}
    for name in data:
        if name not in Config.model_fields:
            _unknown(where, name, "", list(Config.model_fields))
    for name, raw in data.items():
        tables[name] = raw if name == "seed" else _table(where, name, raw)
    try:
        return Config(**tables)
    except ValidationError as error:
        raise NeurhoError(_sentence(where, "", Config, error, data)) from None


def _table(where: str, name: str, raw: object) -> Table:
    if not isinstance(raw, dict):
        raise NeurhoError(f"In `{where}`, `{name}` must be a table [{name}], but it is {shown(raw)}.")
    if name == "initial" and "bloch" in raw:
        raw = {"kind": "product", **raw}
    kind = _PLAIN[name] if name in _PLAIN else _kind(where, name, raw)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise NeurhoError(_sentence(where, f"{name}.", kind, error, raw)) from None


def _kind(where: str, name: str, raw: dict[str, Any]) -> type[Table]:
    kinds = KINDS[name]
    choices = _one_of(list(kinds))
    if "kind" not in raw:
        raise NeurhoError(f"In `{where}`, key `{name}.kind` is missing; it must be {choices}.")
    given = raw["kind"]
    if not isinstance(given, str) or given not in kinds:
        hint = _suggest(str(given), list(kinds))
        but = f"must be {choices}, but it is {shown(given)}"
        raise NeurhoError(f"In `{where}`, key `{name}.kind` {but}{_ending(hint)}")
    return kinds[given]


def _sentence(where: str, prefix: str, model: type[Table], error: ValidationError, raw: Mapping[str, Any]) -> str:
    problems = error.errors()
    # A misspelt key is also a missing one: the spelling is what to say.
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    if not first["loc"]:
        return f"In `{where}`, {first['ctx']['error']}." if "ctx" in first else f"In `{where}`, {first['msg']}."
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        _unknown(where, key, prefix, list(model.model_fields), raw.get("kind"))
    if first["type"] == "missing" and key not in raw:
        if not prefix:
            return f"In `{where}`, the table [{key}] is missing."
        return f"In `{where}`, key `{prefix}{key}` is missing; it must be {_expected(model, key)}."
    hint = ""
    if first["type"] == "literal_error":
        hint = _suggest(str(raw[key]), list(get_args(model.model_fields[key].annotation)))
    but = f"it is {shown(raw[key])}{_ending(hint)}"
    return f"In `{where}`, key `{prefix}{key}` must be {_expected(model, key)}, but {but}"


def _expected(model: type[Table], key: str) -> str:
    field = model.model_fields[key]
    return field.description or _one_of(list(get_args(field.annotation)))


def _unknown(where: str, key: str, prefix: str, known: list[str], kind: object = None) -> None:
    path = f"{prefix}{key}"
    homes = {f"{t}.{k}" for t, kinds in KINDS.items() for m in kinds.values() for k in m.model_fields if k == key}
    homes |= {f"{table}.{key}" for table, m in _PLAIN.items() if key in m.model_fields}
    homes -= {path}
    hint = _suggest(key, [k for k in known if k != "kind"], prefix)
    if not hint and homes:
        hint = f"did you mean `{sorted(homes)[0]}`?"
    hint = hint or f"known are {', '.join(k for k in known if k != 'kind') or 'none besides kind'}"
    for_kind = f' for kind "{kind}"' if kind is not None else ""
    sort = "key" if prefix else "table"
    raise NeurhoError(f"In `{where}`, {sort} `{path}` is not known{for_kind}{_ending(hint)}")


def _ending(hint: str) -> str:
    return f"; {hint}{'' if hint.endswith('?') else '.'}" if hint else "."


def _suggest(given: str, known: list[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(given.lower(), known, n=1, cutoff=0.6)
    return f"did you mean `{prefix}{near[0]}`?" if near else ""


def _one_of(choices: list[Any]) -> str:
    quoted = [f'"{choice}"' for choice in choices]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
