"""Tables of the noisy quantum processor."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, Strict, model_validator

from neurho.config.messages import Refusal, refuse
from neurho.config.values import Index, Number, PerBond, PerSite, Positive, Pulsed, Real, Table

_Positives: TypeAlias = Annotated[
    Positive | tuple[Positive, ...], Field(description="a finite number > 0, or one for each site of the lattice")
]
_Name: TypeAlias = Annotated[str | None, Strict(), Field(description="the name of a pulse")]

FIDELITY_SITES = 8
"""Most sites for `observables.fidelity`, a dense operator on all of them."""

TURNS = ("rx", "ry", "rz", "rzz")
"""Gates that need an angle."""
FIXED = ("x", "y", "z", "sx", "h")
"""Gates that have one."""
PAIRS = ("rzz", "cz", "cx", "iswap")
"""Gates on two sites."""


class Drive(Table):
    """A resonant drive: `rabi` f(t)/2 (cos(phase) sigma^x + sin(phase) sigma^y) on the sites `at`, or on all."""

    rabi: PerSite = 1.0
    phase: PerSite = 0.0
    pulse: _Name = None
    at: Annotated[tuple[Index, ...] | None, Field(min_length=1, description="a list of sites")] = None


class Coupling(Table):
    """`strength` f(t) X_ij on the pairs `at`, or on all bonds: "exchange", "zz" or X as text in i and j."""

    coupling: Annotated[
        str, Strict(), Field(min_length=1, description='"exchange", "zz" or an operator as in "sz(i) * sx(j)"')
    ]
    strength: Annotated[Number | tuple[Number, ...], Field(description="a finite number, or one for each pair")] = 1.0
    pulse: _Name = None
    at: Annotated[
        tuple[Index, Index] | Annotated[tuple[tuple[Index, Index], ...], Field(min_length=1)] | None,
        Field(description="a pair of sites, or a list of pairs"),
    ] = None


class Gate(Table):
    """A gate as a pulse from `start` on that turns the sites `at`, or a pair, by `angle` unless it has its own."""

    gate: Literal["rx", "ry", "rz", "x", "y", "z", "sx", "h", "rzz", "cz", "cx", "iswap"]
    at: Annotated[tuple[Index, ...], Field(min_length=1, description="a list of sites")]
    angle: Annotated[Number | None, Field(description="a finite number")] = None
    start: Real = 0.0
    duration: Positive

    def check(self) -> Iterator[Refusal]:
        """What does not fit to the gate."""
        named = f'for gate = "{self.gate}"'
        if self.gate in TURNS and self.angle is None:
            yield Refusal("angle", f"be given {named}", "it is not there")
        if self.gate in FIXED and self.angle is not None:
            yield Refusal("angle", f"be left out {named}", f"it is {self.angle:g}")
        if self.gate in PAIRS and len(self.at) != 2:
            yield Refusal("at", f"be a pair of sites {named}", f"it has {len(self.at)}")


class Processor(Table):
    """Qubits with T1, T2, thermal population, ZZ crosstalk, detunings, drives, couplings and gates."""

    kind: Literal["processor"]
    unit: Annotated[Literal["s", "ms", "us", "ns"] | None, Field(description='"s", "ms", "us" or "ns"')] = None
    T1: _Positives
    T2: Annotated[
        Positive | tuple[Positive, ...] | None,
        Field(description="a finite number > 0, or one for each site of the lattice"),
    ] = None
    thermal: Annotated[
        Annotated[Number, Field(ge=0, le=0.5)] | tuple[Annotated[Number, Field(ge=0, le=0.5)], ...],
        Field(description="a number from 0 to 0.5, or one for each site of the lattice"),
    ] = 0.0
    crosstalk: PerBond = 0.0
    detuning: PerSite = 0.0
    drives: Annotated[
        tuple[Drive, ...], Field(description='a list of tables, as in [{ rabi = 1.0, pulse = "half" }]')
    ] = ()
    couplings: Annotated[
        tuple[Coupling, ...], Field(description='a list of tables, as in [{ coupling = "exchange", at = [0, 1] }]')
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
        refuse(found.below(f"model.gates[{n}]") for n, gate in enumerate(self.gates) for found in gate.check())
        return self


def check_fidelity(config: Any) -> Iterator[Refusal]:
    """The fidelity with what ideal gates make of a pure product start is measured where all of it is known."""
    if not config.observables.fidelity:
        return
    task, initial = config.task, config.initial
    for fits, unless in (
        (isinstance(config.model, Processor), 'model.kind is "processor"'),
        (
            task.kind == "evolve" and task.method in ("exact", "trajectories"),
            'an evolution is "exact" or "trajectories"',
        ),
        (config.sites <= FIDELITY_SITES, f"there are at most {FIDELITY_SITES} sites"),
        (initial.kind in ("product", "levels"), "the start is a product"),
    ):
        if not fits:
            yield Refusal("observables.fidelity", f"be false unless {unless}", "it is true")
