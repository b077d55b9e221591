"""The table [task]: evolution and relaxation, with the keys that each method and solver uses."""

from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from neurho._types import Record
from neurho.config.messages import Refusal, refuse, shown
from neurho.config.values import Flag, MaybeCount, MaybePositive, Number, Positive, Rate, Table, Whole

FIXED = ("euler", "heun", "midpoint", "rk4")


ADAPTIVE = ("heun-euler", "bosh3", "dopri5", "heun-doubling")


Method: TypeAlias = Literal[
    "euler",
    "heun",
    "midpoint",
    "rk4",
    "heun-euler",
    "bosh3",
    "dopri5",
    "heun-doubling",
    "exact",
    "continuation",
    "projected",
    "correlators",
    "trajectories",
    "matrix-product",
    "outcomes",
]


SOLVER_DEFAULTS: dict[str, dict[str, float]] = {
    "ridge": {"ridge": 1e-3},
    "cutoff": {"cutoff": 1e-6},
    "snr": {"snr": 2.0, "cutoff": 1e-8},
    "cg": {"ridge": 1e-3, "cg_tolerance": 1e-3},
    "minsr": {"ridge": 1e-3},
    "auto": {"ridge": 1e-3, "cg_tolerance": 1e-3},
    "cross-validated": {},
}


ADAPTIVE_DEFAULTS: dict[str, float] = {"dt": 1e-3, "tolerance": 1e-3}
"""Keys of adaptive steps of the flow."""


CONTINUATION_DEFAULTS: dict[str, float] = {
    "dt": 1e-2,
    "dt_max": 1e3,
    "growth": 1.2,
    "damping": 1e-3,
    "trust": 0.1,
    "patience": 15,
    "refine": 4,
    "max_steps": 150,
    "metric": 1.0,
}
"""Keys of the implicit search for stationary states."""


PROJECTED_DEFAULTS: dict[str, float] = {
    "dt": 1e-3,
    "tolerance": 3e-4,
    "damping": 1e-6,
    "trust": 0.3,
    "iterations": 12,
    "metric": 1.0,
}
"""Keys of implicit projected steps."""


CORRELATOR_DEFAULTS: Record = {
    "strings": 50_000,
    "weight": None,
    "tolerance": 1e-7,
    "rows": None,
    "metric": None,
}
"""Keys of hierarchies of correlators, and of networks of them."""


TRAJECTORY_DEFAULTS: Record = {
    "precision": "double",
    "momentum": "auto",
    "trajectories": None,
    "seconds": None,
    "error_of": None,
    "error_goal": None,
}
"""Keys of quantum trajectories."""


MATRIX_PRODUCT_DEFAULTS: Record = {"bond": 64, "cutoff": 1e-16, "dt": None}
"""Keys of matrix products; a search for a stationary state has `tolerance`, too."""


OUTCOME_DEFAULTS: Record = {
    "hidden": 12,
    "samples": None,
    "dt": 0.02,
    "tolerance": 1e-4,
    "iterations": 8,
    "patience": 10,
    "dt_max": 1e3,
}
"""Keys of a recurrent network of outcomes of a measurement."""


LAST_ROW = 1e-9
"""The part of the series that results are taken from where every row is an average over all that came before."""


OWN_DEFAULTS: dict[str, Record] = {
    "continuation": CONTINUATION_DEFAULTS,
    "projected": PROJECTED_DEFAULTS,
    "correlators": CORRELATOR_DEFAULTS | {"goal": 1e-3, "closure": "moments"},
    "trajectories": TRAJECTORY_DEFAULTS,
    "matrix-product": MATRIX_PRODUCT_DEFAULTS,
    "outcomes": OUTCOME_DEFAULTS,
}
"""Keys of [task] of the methods that have keys of their own, with their defaults."""


WITHOUT_NETWORK = frozenset({"exact", "correlators", "trajectories", "matrix-product", "outcomes"})
"""Methods that need no [ansatz] and no [sampling]."""


SOLVER_KEYS = frozenset(key for keys in SOLVER_DEFAULTS.values() for key in keys)


SHARED = frozenset({"dt", "dt_max", "max_steps", "tolerance", "cutoff", "metric"})
SEARCH_KEYS = frozenset(key for keys in OWN_DEFAULTS.values() for key in keys) - SHARED


CHOSEN = SOLVER_KEYS | SEARCH_KEYS | {"dt", "tolerance", "dt_max", "metric"}
"""Keys of [task] that only some methods or solvers use."""


SEARCHED_STRINGS = 500_000
"""Default of `strings` in a search for a stationary state, which goes through its equations a few hundred times."""


class Flow(Table):
    """What evolution and relaxation share. Keys that the method or the solver does not use are None."""

    method: Method
    reason: str | None = None
    dt: MaybePositive = None
    tolerance: MaybePositive = None
    dt_max: MaybePositive = None
    max_steps: MaybeCount = None
    norm: Literal["fubini-study", "plain"] = "fubini-study"
    metric: Annotated[Number | None, Field(gt=0, le=1, description="a number > 0 and <= 1")] = None
    solver: Literal["ridge", "cutoff", "snr", "cg", "minsr", "auto", "cross-validated"] = "ridge"
    ridge: MaybePositive = None
    cutoff: Annotated[Number | None, Field(gt=0, lt=1, description="a number > 0 and < 1")] = None
    snr: MaybePositive = None
    cg_tolerance: Annotated[Number | None, Field(gt=0, lt=1, description="a number > 0 and < 1")] = None
    times: Annotated[
        tuple[Rate, ...] | None, Field(min_length=1, description="a list of increasing numbers >= 0, not empty")
    ] = None
    points: Annotated[Whole | None, Field(ge=2, description="a whole number >= 2")] = None
    damping: MaybePositive = None
    trust: MaybePositive = None
    precision: Literal["single", "double"] | None = None
    momentum: Annotated[Flag | Literal["auto"] | None, Field(description='true, false or "auto"')] = None
    trajectories: Annotated[Whole | None, Field(ge=2, description="a whole number >= 2")] = None
    seconds: MaybePositive = None
    error_of: str | None = None
    error_goal: MaybePositive = None
    strings: MaybeCount = None
    weight: MaybeCount = None
    rows: MaybeCount = None
    bond: Annotated[Whole | None, Field(ge=2, description="a whole number >= 2")] = None
    hidden: MaybeCount = None
    samples: Annotated[Whole | None, Field(ge=64, description="a whole number >= 64")] = None
    iterations: MaybeCount = None

    @property
    def adaptive(self) -> bool:
        """Whether the method chooses its own steps."""
        return self.method in ADAPTIVE

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        filled: Record = {}
        if data.get("method") == "continuation":
            return CONTINUATION_DEFAULTS | data
        own = OWN_DEFAULTS.get(str(data.get("method")), {})
        filled |= {key: value for key, value in own.items() if key in cls.model_fields}
        if data.get("method") == "outcomes" and data.get("kind") == "stationary":
            del filled["tolerance"]
        if data.get("method") == "correlators" and "goal" in cls.model_fields:
            filled["strings"] = SEARCHED_STRINGS
        if data.get("method") in FIXED + ADAPTIVE:
            filled |= SOLVER_DEFAULTS.get(str(data.get("solver", "ridge")), {}) | {"metric": 1.0}
        if data.get("method") in ADAPTIVE:
            filled |= ADAPTIVE_DEFAULTS
        averages = data.get("method") == "trajectories" and data.get("kind") == "stationary"
        if averages:
            filled["average"] = LAST_ROW
        if "times" not in data and not averages:
            filled["points"] = 101
        return filled | data

    @model_validator(mode="after")
    def _consistent(self) -> "Flow":
        refuse((*self._misfits(), *self._odd_times()))
        return self

    def _misfits(self) -> Iterator[Refusal]:
        for key in sorted(self.model_fields_set & CHOSEN):
            if (reason := unused(key, self.method, self.solver)) is not None:
                yield Refusal(f"task.{key}", "be left out", reason)
        if self.method in FIXED and self.dt is None:
            yield Refusal("task.dt", f'be given for method "{self.method}", which has fixed steps', "it is missing")
        if self.method == "continuation" and (self.times or self.points):
            given = "times" if self.times else "points"
            yield Refusal(f"task.{given}", "be left out", 'method "continuation" measures after every step')
        if self.times is not None and self.points is not None:
            yield Refusal("task.points", "be left out where task.times is given", "both are there")
        if (self.error_of is None) != (self.error_goal is None):
            missing = "error_goal" if self.error_goal is None else "error_of"
            yield Refusal(f"task.{missing}", "be given: task.error_of goes with task.error_goal", "it is missing")

    def _odd_times(self) -> Iterator[Refusal]:
        times, end_key = self.times or (), "t" if "t" in type(self).model_fields else "t_max"
        end = getattr(self, end_key)
        if any(b <= a for a, b in pairwise(times)):
            yield Refusal("task.times", "increase", f"it is {shown(times)}")
        if times and end is not None and times[-1] > end:
            must = f"end at or before task.{end_key} = {end:g}"
            yield Refusal("task.times", must, f"its last entry is {times[-1]:g}")


class Evolve(Flow):
    """Dynamics from t = 0 to `t`, with output at `times` or at `points` equally spaced times."""

    kind: Literal["evolve"]
    method: Method = "bosh3"
    t: Positive

    @property
    def t_end(self) -> float:
        """The last time."""
        return self.t

    @model_validator(mode="before")
    @classmethod
    def _default_method(cls, data: Any) -> Any:
        return {"method": "bosh3", **data} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _moves_in_time(self) -> "Evolve":
        if self.method == "continuation":
            raise Refusal("task.method", 'be another one for task.kind = "evolve"', 'it is "continuation"')
        if self.method == "matrix-product" and self.tolerance is not None:
            raise Refusal("task.tolerance", "be left out", 'method "matrix-product" uses it for stationary states only')
        return self


class Stationary(Flow):
    """A stationary state with delta_L below `delta_L`: by implicit continuation, at most `max_steps` steps, or by
    following a flow, at most until `t_max`.
    """

    kind: Literal["stationary"]
    method: Method = "continuation"
    t_max: MaybePositive = None
    delta_L: Positive = 1e-2
    growth: Annotated[Number | None, Field(gt=1, description="a number > 1")] = None
    goal: MaybePositive = None
    closure: Literal["moments", "cumulants"] | None = None
    patience: MaybeCount = None
    refine: MaybeCount = None
    average: Annotated[Number, Field(gt=0, le=1, description="a number > 0 and <= 1")] = 0.2

    @property
    def t_end(self) -> float:
        """The last time, if the state is not stationary before; infinite for a search, which counts steps."""
        return inf if self.t_max is None else self.t_max

    @model_validator(mode="before")
    @classmethod
    def _default_method(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        own = {"tolerance": 1e-6, "average": 1e-9} if data.get("method") == "matrix-product" else {}
        return {"method": "continuation", **own, **data}

    @model_validator(mode="after")
    def _ends(self) -> "Stationary":
        searches = self.method == "continuation"
        if self.method == "projected":
            raise Refusal("task.method", 'be another one for task.kind = "stationary"', 'it is "projected"')
        if searches and self.t_max is not None:
            raise Refusal("task.t_max", "be left out", 'method "continuation" ends after task.max_steps')
        if not searches and self.method not in WITHOUT_NETWORK and self.t_max is None:
            raise Refusal("task.t_max", f'be given for method "{self.method}"', "it is missing")
        if self.method == "outcomes" and self.tolerance is not None:
            raise Refusal("task.tolerance", "be left out", 'method "outcomes" uses it for evolutions only')
        if self.method == "trajectories":
            if self.times or self.points:
                given = "times" if self.times else "points"
                raise Refusal(f"task.{given}", "be left out", 'method "trajectories" averages over time')
            if self.t_max is None and self.seconds is None and self.error_of is None:
                raise Refusal(
                    "task.t_max", "be given, or task.seconds, or task.error_goal", "nothing would end the run"
                )
        return self


def unused(key: str, method: str, solver: str) -> str | None:
    """Why the key of [task] has no effect with this method and solver, or None if it has one."""
    if (own := OWN_DEFAULTS.get(method)) is not None:
        more = {"projected": "dt_max", "matrix-product": "tolerance"}
        used = key in own or key == more.get(method)
        return None if used else f'method "{method}" does not use it'
    if key in SEARCH_KEYS:
        return f'method "{method}" does not use it'
    if method == "exact" or (key in ("tolerance", "dt_max") and method in FIXED):
        return f'method "{method}" does not use it'
    if key in SOLVER_KEYS and key not in SOLVER_DEFAULTS[solver]:
        return f'solver "{solver}" does not use it'
    return None
