"""The table [task]: evolution and relaxation, with the keys that each method and solver uses."""

from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from neurho.config.messages import Refusal, shown
from neurho.config.tables import MaybeCount, MaybePositive, Number, Positive, Rate, Table, Whole

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
    cutoff: Annotated[Number | None, Field(gt=0, lt=1, description="a number > 0 and < 1")] = None
    snr: MaybePositive = None
    cg_tolerance: Annotated[Number | None, Field(gt=0, lt=1, description="a number > 0 and < 1")] = None
    times: Annotated[
        tuple[Rate, ...] | None, Field(min_length=1, description="a list of increasing numbers >= 0, not empty")
    ] = None
    points: Annotated[Whole | None, Field(ge=2, description="a whole number >= 2")] = None

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
    average: Annotated[Number, Field(gt=0, le=1, description="a number > 0 and <= 1")] = 0.2

    @property
    def t_end(self) -> float:
        """The last time, if the state is not stationary before."""
        return self.t_max


def unused(key: str, method: str, solver: str) -> str | None:
    """Why the key of [task] has no effect with this method and solver, or None if it has one."""
    if method == "exact" or (key in ("tolerance", "dt_max") and method in FIXED):
        return f'method "{method}" does not use it'
    if key in SOLVER_KEYS and key not in SOLVER_DEFAULTS[solver]:
        return f'solver "{solver}" does not use it'
    return None
