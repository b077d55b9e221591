"""Tables of models written as text, and of product states of sites with any number of levels."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Strict

from neurho.config.messages import Refusal, shown
from neurho.config.values import Flag, Index, NotNegative, Number, Rate, Table, Whole

Text: TypeAlias = Annotated[str, Strict(), Field(min_length=1, description='an operator, as in "0.5 * sx(i) * sx(j)"')]


class Term(Table):
    """An operator on every site, bond or pair, or once."""

    on: Literal["sites", "bonds", "pairs", "once"]
    operator: Text
    direction: Annotated[Whole | None, Field(ge=0, description="the number of a lattice direction, from 0")] = None
    at: Annotated[tuple[Index, ...] | None, Field(min_length=1, description="a list of sites")] = None


class JumpTerm(Term):
    """A jump operator with its rate."""

    rate: Annotated[
        Rate | tuple[Rate, ...] | Annotated[str, Strict()],
        Field(description='a finite number >= 0, one for each place, or a text as in "g * (1 + cos(t))"'),
    ] = 1.0


class Custom(Table):
    """Any local model: terms of the Hamiltonian and jumps as text, with the values that they name."""

    kind: Literal["custom"]
    local_dim: Annotated[Whole, Field(ge=2, le=16, description="a whole number from 2 to 16")] = 2
    hamiltonian: Annotated[
        tuple[Term, ...], Field(description='a list of tables, as in [{ on = "bonds", operator = "sx(i) * sx(j)" }]')
    ] = ()
    jumps: Annotated[
        tuple[JumpTerm, ...],
        Field(description='a list of tables, as in [{ on = "sites", operator = "sm(i)", rate = 1.0 }]'),
    ] = ()
    values: Annotated[
        dict[str, Number | tuple[Number | Annotated[str, Strict()], ...]],
        Field(description="numbers by name and lists of numbers or names of pulses, as in { J = 1.0, h = [0.1, 0.2] }"),
    ] = {}


class Levels(Table):
    """A pure product state by populations and phases of the levels of each site, or a product of mixtures of levels."""

    kind: Literal["levels"]
    populations: Annotated[
        tuple[Rate, ...] | tuple[tuple[Rate, ...], ...],
        Field(min_length=1, description="one number >= 0 for each level, or a list of them for each site"),
    ]
    phases: Annotated[
        tuple[Number, ...] | tuple[tuple[Number, ...], ...] | None,
        Field(min_length=1, description="one number for each level, or a list of them for each site"),
    ] = None
    mixed: Flag = False
    noise: NotNegative = 0.01
    tilt: Annotated[Number, Field(gt=0, lt=0.5, description="a number > 0 and < 0.5")] = 1e-3
    fit: Index = 0

    def check(self, sites: int, levels: int) -> Iterator[Refusal]:
        """What is wrong unless there is one number for each level and populations add up to one."""
        if self.mixed and self.phases is not None:
            yield Refusal("initial.phases", "be left out where initial.mixed = true", "it is given")
        for key, value in (("populations", self.populations), ("phases", self.phases)):
            if value is None:
                continue
            rows = value if isinstance(value[0], tuple) else (value,)
            if isinstance(value[0], tuple) and len(value) != sites:
                yield Refusal(f"initial.{key}", f"have one list for each of the {sites} sites", f"it has {len(value)}")
            for row in rows:
                if len(row) != levels:  # pyright: ignore[reportArgumentType]
                    must = f"have {levels} numbers, one for each level"
                    yield Refusal(f"initial.{key}", must, f"one list is {shown(row)}")
                if key == "populations" and abs(sum(row) - 1) > 1e-6:  # pyright: ignore[reportArgumentType, reportCallIssue]
                    yield Refusal("initial.populations", "add up to 1", f"one list is {shown(row)}")
