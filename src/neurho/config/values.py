"""What keys of the problem file can hold, with the words that say so, and the class of all tables."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, Strict

Number: TypeAlias = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole: TypeAlias = Annotated[int, Strict()]
Boolean: TypeAlias = Annotated[bool, Strict()]
Rate: TypeAlias = Annotated[Number, Field(ge=0)]
Vector: TypeAlias = tuple[Number, Number, Number]
Rows: TypeAlias = Annotated[tuple[Vector, ...], Field(min_length=1)]
Flag: TypeAlias = Annotated[bool, Strict(), Field(description="true or false")]
Index: TypeAlias = Annotated[Whole, Field(ge=0, description="a whole number >= 0")]
Count: TypeAlias = Annotated[Whole, Field(ge=1, description="a whole number >= 1")]
MaybeCount: TypeAlias = Annotated[Count | None, Field(description="a whole number >= 1")]
Real: TypeAlias = Annotated[Number, Field(description="a finite number")]
NotNegative: TypeAlias = Annotated[Number, Field(ge=0, description="a finite number >= 0")]
Positive: TypeAlias = Annotated[Number, Field(gt=0, description="a finite number > 0")]
MaybePositive: TypeAlias = Annotated[Positive | None, Field(description="a finite number > 0")]
MaybeFlag: TypeAlias = Annotated[Flag | None, Field(description="true or false")]
Rates: TypeAlias = Annotated[
    Rate | tuple[Rate, ...], Field(description="a finite number >= 0, or one for each site of the lattice")
]
PerSite: TypeAlias = Annotated[Number | tuple[Number, ...], Field(description="a finite number, or one for each site")]
PerBond: TypeAlias = Annotated[
    Number | tuple[Number, ...], Field(description="a finite number, or one for each bond of the lattice")
]
Vectors: TypeAlias = Annotated[Vector | Rows, Field(description="three numbers (x, y, z), or three for each site")]
Bloch: TypeAlias = Annotated[
    Vector | Rows | Literal["up", "down", "neel", "+x", "-x", "+y", "-y", "+z", "-z", "mixed"],
    Field(
        description='three numbers (x, y, z), or three for each site, or "up", "down", "neel", "+x", "-y" or the like, '
        'or "mixed"'
    ),
]
Couplings: TypeAlias = Annotated[
    Vector | Rows, Field(description="three numbers (x, y, z), or three for each bond of the lattice")
]
Texts: TypeAlias = Annotated[
    dict[Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9]*$")], Annotated[str, Strict()]],
    Field(description='operators by names of letters and digits, as in { Sz = "Sz(i)" }'),
]
Name: TypeAlias = Annotated[str, Strict()]
Pulsed: TypeAlias = Annotated[
    dict[str, Name | tuple[Name, ...]],
    Field(
        description='names of pulses by key, as in { field_x = "kick" }, or lists of one ("" for none) for each site '
        "or bond"
    ),
]


class Table(BaseModel):
    """One table of the problem file: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)
