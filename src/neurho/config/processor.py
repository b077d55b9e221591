"""Tables of the noisy quantum processor."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Strict, model_validator

from neurho.config.messages import Refusal
from neurho.config.tables import Index, Number, Positive, Pulsed, Table

_Positives: TypeAlias = Annotated[
    Positive | tuple[Positive, ...], Field(description="a finite number > 0, or one for each site of the lattice")
]
_PerSite: TypeAlias = Annotated[Number | tuple[Number, ...], Field(description="a finite number, or one for each site")]


class Drive(Table):
    """A resonant drive: `rabi` f(t)/2 (cos(phase) sigma^x + sin(phase) sigma^y) on the sites `at`, or on all."""

    rabi: _PerSite = 1.0
    phase: _PerSite = 0.0
    pulse: Annotated[str | None, Strict(), Field(description="the name of a pulse")] = None
    at: Annotated[tuple[Index, ...] | None, Field(min_length=1, description="a list of sites")] = None


class Gate(Table):
    """A gate as a pulse from `start` on that turns the sites `at` by `angle`; cz a pair, by pi unless it is given."""

    gate: Literal["rx", "ry", "rz", "cz"]
    at: Annotated[tuple[Index, ...], Field(min_length=1, description="a list of sites")]
    angle: Number | None = None
    start: Number = 0.0
    duration: Positive


class Processor(Table):
    """Qubits with T1, T2, thermal population, ZZ crosstalk, detunings and drives."""

    kind: Literal["processor"]
    T1: _Positives
    T2: Annotated[
        Positive | tuple[Positive, ...] | None,
        Field(description="a finite number > 0, or one for each site of the lattice"),
    ] = None
    thermal: Annotated[
        Annotated[Number, Field(ge=0, le=0.5)] | tuple[Annotated[Number, Field(ge=0, le=0.5)], ...],
        Field(description="a number from 0 to 0.5, or one for each site of the lattice"),
    ] = 0.0
    crosstalk: Annotated[
        Number | tuple[Number, ...], Field(description="a finite number, or one for each bond of the lattice")
    ] = 0.0
    detuning: _PerSite = 0.0
    drives: Annotated[
        tuple[Drive, ...], Field(description='a list of tables, as in [{ rabi = 1.0, pulse = "half" }]')
    ] = ()
    gates: Annotated[
        tuple[Gate, ...],
        Field(description='a list of tables, as in [{ gate = "rx", at = [0], angle = 1.57, duration = 0.02 }]'),
    ] = ()
    pulses: Pulsed = {}

    @model_validator(mode="after")
    def _physical(self) -> "Processor":
        longest, total = self.T1, self.T2
        if total is None:
            return self
        count = max(len(v) if isinstance(v, tuple) else 1 for v in (longest, total))
        pairs = zip(*(v if isinstance(v, tuple) else (v,) * count for v in (longest, total)), strict=False)
        for t1, t2 in pairs:
            if t2 > 2 * t1 * (1 + 1e-12):
                raise Refusal("model.T2", "be at most 2 T1", f"one is {t2:g} with T1 = {t1:g}")
        return self

    @model_validator(mode="after")
    def _whole_gates(self) -> "Processor":
        for number, gate in enumerate(self.gates):
            where, named = f"model.gates[{number}]", f'for gate = "{gate.gate}"'
            if gate.gate != "cz" and gate.angle is None:
                raise Refusal(f"{where}.angle", f"be given {named}", "it is not there")
            if gate.gate == "cz" and len(gate.at) != 2:
                raise Refusal(f"{where}.at", f"be a pair of sites {named}", f"it has {len(gate.at)}")
        return self
