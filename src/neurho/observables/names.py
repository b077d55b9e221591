"""Names of what a series holds: the one grammar that records, verdicts and figures ask.

    name = base ["_corrected"] ["_" place] ["_error"],    base = sx, sxsx, structure_xx, p0, energy, delta_L, n, ...

Names that a problem gives consist of letters and digits, so that every name is read in one way.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from neurho.observables.meanings import COORDINATES, MEANINGS

ERROR = "_error"
CORRECTED = "_corrected"
"""Of stationary values that the equation of motion has corrected."""

REDUCED = "reduced"
"""The quantity that holds the operators of reduced density matrices, of which two variables are made."""


class Along(NamedTuple):
    """The means along an axis: of one site, of two sites, and over all pairs, S(k=0)."""

    one: str
    two: str
    structure: str


ALONG: Mapping[str, Along] = MappingProxyType({a: Along(f"s{a}", f"s{a}s{a}", f"structure_{a}{a}") for a in "xyz"})
"""Means of Pauli matrices by axis."""

ONE_SITE = tuple(along.one for along in ALONG.values())
TWO_SITE = tuple(along.two for along in ALONG.values())
PAULI_NAMES = frozenset({*ONE_SITE, *TWO_SITE})

PURITY, RENYI2 = "purity", "renyi2"
GLOBAL = frozenset({PURITY, RENYI2})
"""Functions of the whole density matrix."""

ENERGY, FIDELITY = "energy", "fidelity"


class Place(NamedTuple):
    """What a variable has a value for: in words, and its dimensions besides t, by their number."""

    words: str
    dims: Mapping[int, tuple[str, ...]] = MappingProxyType({})


PLACES: Mapping[str, Place] = MappingProxyType(
    {
        "site": Place("of each site", {1: ("site",)}),
        "bond": Place("of each bond", {1: ("bond",)}),
        "pair": Place("of each pair of sites", {2: ("site", "site_2")}),
        "each": Place("one by one"),
        "k": Place("of each momentum", {1: ("k",), 2: ("k_1", "k_2")}),
        "real": Place("real part", {3: ("pair", "row", "column")}),
        "imag": Place("imaginary part", {3: ("pair", "row", "column")}),
        "differing": Place("number of sites on which rows and columns differ", {1: ("differing",)}),
        "raised": Place("number of sites, of rows and columns together, above the lowest level", {1: ("raised",)}),
    }
)

_PARTS = {
    "share": ("part of <1>_p by {}", "1"),
    "norm2": ("part of ||L rho||^2 / ||rho||^2 by {}", "gamma^2"),
    "ess": ("effective samples by {}", "1"),
}
"""What the parts of configuration space carry: meaning and unit."""

_OWN = re.compile(r"s[xyz]|(s[xyz]){2}|p\d+|energy|purity|renyi2|reduced")


class Name(NamedTuple):
    """A name, read: the base, the place (a key of `PLACES`, or ""), and whether it is corrected, or an error."""

    base: str
    place: str = ""
    corrected: bool = False
    error: bool = False

    def __str__(self) -> str:
        place = f"_{self.place}" if self.place else ""
        return f"{self.base}{CORRECTED if self.corrected else ''}{place}{ERROR if self.error else ''}"

    @property
    def plain(self) -> str:
        """The name without the correction."""
        return str(self._replace(corrected=False))

    @property
    def mean(self) -> str:
        """What is averaged over all places: the name without its place."""
        return str(self._replace(place=""))


@lru_cache(maxsize=4096)
def parse(name: str) -> Name:
    """Read a name; `str` gives it back."""
    whole, is_error = (name, False) if name in MEANINGS else (name.removesuffix(ERROR), name.endswith(ERROR))
    if whole in MEANINGS:
        return Name(whole, error=is_error)
    base, _, place = whole.rpartition("_")
    base, place = (base, place) if base and place in PLACES else (whole, "")
    return Name(base.removesuffix(CORRECTED), place, base.endswith(CORRECTED), is_error)


def at(base: str, place: str) -> str:
    """The name of the values of `base` at each site, bond, ...: "sx_site"."""
    return str(parse(base)._replace(place=place))


def error_name(name: str) -> str:
    """The name of the standard error of `name`."""
    return f"{name}{ERROR}"


def corrected(name: str) -> str:
    """The name of the values of `name` that the equation of motion has corrected."""
    return str(parse(name)._replace(corrected=True))


def is_taken(name: str) -> bool:
    """Whether something that is measured without being named has this name."""
    return _OWN.fullmatch(name) is not None


def level(number: int) -> str:
    """The name of the population of a level: "p0"."""
    return f"p{number}"


def is_level(base: str) -> bool:
    """Whether it is the population of a level, p0, p1, ..."""
    return base[:1] == "p" and base[1:].isdecimal()


def one_point(base: str) -> str:
    """The one-point function that is connected with a two-point function: sz of szsz."""
    return base[: len(base) // 2]


def axes_of(base: str) -> str:
    """The two letters of a structure factor: "zz" of structure_zz; "" for what is none."""
    kind, _, letters = base.partition("_")
    return letters if kind == "structure" else ""


def measured(found: Iterable[Hashable], place: str) -> list[str]:
    """Of the names of a series, what was measured at each `place`, without the place."""
    read = (parse(str(name)) for name in found)
    return [name.mean for name in read if name.place == place and not name.error]


def dims(name: str, rank: int) -> tuple[str, ...]:
    """The dimensions besides t of a variable of `rank` axes; those without a place have axes of their own."""
    place = PLACES.get(parse(name).place)
    own = tuple(f"{name}_{axis}" for axis in range(rank))
    return own if place is None else place.dims.get(rank, own)


def describe(name: str) -> tuple[str, str]:
    """Meaning and unit of a variable or a coordinate; of what a problem names, its name."""
    if name in COORDINATES:
        return COORDINATES[name]
    read = parse(name)
    if read.error:
        meaning, unit = describe(str(read._replace(error=False)))
        return f"standard error of {meaning}", unit
    if read.corrected:
        meaning, unit = describe(read.plain)
        return f"{meaning}, corrected by the equation of motion", unit
    if read.base in MEANINGS and not read.place:
        return MEANINGS[read.base].words, MEANINGS[read.base].unit
    if read.base in _PARTS and read.place in ("differing", "raised"):
        words, unit = _PARTS[read.base]
        return words.format(PLACES[read.place].words), unit
    return _measured(read), "1"


def _measured(read: Name) -> str:
    """The meaning of a mean of operators."""
    base, place = read.base, read.place
    if base == REDUCED and place in ("real", "imag"):
        return f"{place} part of the reduced density matrix of two sites"
    if letters := axes_of(base):
        return f"structure factor S^{letters}({'k' if place else 'k=0'})"
    if base in ONE_SITE:
        return f"<sigma^{base[1]}> {PLACES[place].words if place else 'averaged over sites'}"
    if base in TWO_SITE:
        return f"<sigma^{base[1]} sigma^{base[1]}> {PLACES[place].words if place else 'averaged over bonds'}"
    return str(read)


def symbol(name: str) -> str:
    """How a mean is written in a figure."""
    read = parse(name)
    letters = axes_of(read.base)
    if read.place or read.error:
        return rf"$S^{{{letters}}}(k)$" if letters and read.place == "k" and not read.error else name
    if read.corrected:
        return f"{symbol(read.plain)}, corrected"
    if letters:
        return rf"$S^{{{letters}}}(k=0)$"
    if read.base not in PAULI_NAMES:
        return name
    a = read.base[1]
    return rf"$\sigma^{a}$" if read.base in ONE_SITE else rf"$\sigma^{a}\sigma^{a}$"
