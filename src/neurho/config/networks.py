"""The tables [ansatz] of networks for matrix elements of rho, one class for each kind."""

from typing import Literal, TypeAlias

from neurho.config.values import Count, Flag, Index, MaybeCount, Table

Symmetry: TypeAlias = Literal["auto", "none", "parity", "number"]


class Rbm(Table):
    """The paper's network (Eq. 2): M = `hidden` units per side, `mixing` units between rows and columns."""

    kind: Literal["rbm"]
    hidden: Index
    mixing: Index
    translations: Flag = False
    point_group: Flag = False
    symmetry: Symmetry = "auto"


class Liouville(Rbm):
    """Hidden units that see labels (l, r): Eq. 2 with more weights per unit, Hermitian but not always positive."""

    kind: Literal["liouville"]  # pyright: ignore[reportIncompatibleVariableOverride]


class Ndm(Table):
    """The neural density matrix of Torlai and Melko, with as many parameters as the paper's network."""

    kind: Literal["ndm"]
    hidden: Index
    mixing: Index


class Gram(Table):
    """The Gram-Hadamard density operator: `factors` Gram matrices of `rank` functions of each side, from `depth` layers
    of `width` units; positive.
    """

    kind: Literal["gram"]
    width: Count
    factors: Index
    depth: Count = 1
    rank: Count = 2
    symmetry: Symmetry = "auto"


class Mpdo(Table):
    """A matrix-product density operator, locally purified: `bond` by `bond` matrices, `kraus` purifying levels."""

    kind: Literal["mpdo"]
    bond: Count
    kraus: Count = 2
    periodic: Flag = False
    translations: Flag = False
    symmetry: Symmetry = "auto"


class Convolution(Table):
    """A convolutional network on labels (l, r), invariant under translations: Hermitian but not always positive."""

    kind: Literal["convolution"]
    channels: Count
    depth: Count = 1
    units: MaybeCount = None
    point_group: Flag = False
    symmetry: Symmetry = "auto"

    @property
    def translations(self) -> bool:
        """Whether the network is invariant under translations: always."""
        return True


class ExactTable(Table):
    """All d^(2N) entries of the density matrix as parameters."""

    kind: Literal["table"]
