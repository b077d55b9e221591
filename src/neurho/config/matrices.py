"""Models and states in numbers, as Python writes what it was given as objects."""

from typing import Annotated, Literal

from pydantic import Field

from neurho.config.tables import Entries, Function, MatrixTerm
from neurho.config.values import Rate, Table, Whole


class MatrixJump(Table):
    """A jump operator, the sum of some terms, with its rate; `function` stands for a rate that depends on time."""

    rate: Rate = 0.0
    function: Function = None
    terms: tuple[MatrixTerm, ...]


class Matrices(Table):
    """Any local model by the matrices of its terms: what a `neurho.Lindbladian` that Python has made is written as."""

    kind: Literal["matrices"]
    local_dim: Annotated[Whole, Field(ge=2, description="a whole number >= 2")] = 2
    hamiltonian: Annotated[
        tuple[MatrixTerm, ...], Field(description="a list of tables with the keys sites and entries")
    ] = ()
    jumps: Annotated[tuple[MatrixJump, ...], Field(description="a list of tables with the keys rate and terms")] = ()


class Matrix(Table):
    """A density matrix by its entries that are not zero, for method "exact"."""

    kind: Literal["matrix"]
    entries: Entries
