"""Product states of spins 1/2 by name, as Bloch vectors."""

import numpy as np

from neurho._types import Numbers, require
from neurho.model.lattice import Lattice

AXES = {f"{sign}{axis}": (float(f"{sign}1"), k) for sign in "+-" for k, axis in enumerate("xyz")}
NAMED_STATES = ("up", "down", "neel", *AXES, "mixed")
"""Product states of spins 1/2 that have a name; "mixed" is the state of infinite temperature."""


def bloch_vectors(bloch: str | Numbers, where: Lattice | int) -> Numbers:
    """Bloch vectors `(sites, 3)` of a product state with a name (`NAMED_STATES`); anything else comes back as it is.

    "neel" alternates along bonds, site 0 up; for a number of sites in place of a lattice, from site to site. "mixed" is
    the state of infinite temperature.

    **Raises** `NeurhoError` for other names, and for "neel" on a lattice with rings of an odd number of bonds.
    """
    if not isinstance(bloch, str):
        return bloch
    require(bloch in NAMED_STATES, "bloch", f"be numbers or one of {', '.join(NAMED_STATES)}", f"it is {bloch!r}")
    count = where.sites if isinstance(where, Lattice) else where
    if bloch != "neel":
        return np.tile(bloch_vector(bloch), (count, 1))
    signs = _two_colours(where) if isinstance(where, Lattice) else (-1.0) ** np.arange(count)
    return signs[:, None] * np.array([0.0, 0.0, 1.0])


def bloch_vector(name: str) -> np.ndarray:
    """The Bloch vector `(3,)` of one spin in a state with a name, as of all spins in the product of that name."""
    vector = np.zeros(3)
    if name != "mixed":
        sign, axis = AXES[{"up": "+z", "down": "-z"}.get(name, name)]
        vector[axis] = sign
    return vector


def _two_colours(lattice: Lattice) -> np.ndarray:
    """+1 and -1 on neighbouring sites."""
    signs, neighbours = np.zeros(lattice.sites), [[] for _ in range(lattice.sites)]
    for i, j in lattice.bonds:
        neighbours[i].append(int(j))
        neighbours[j].append(int(i))
    for first in range(lattice.sites):
        waiting = [] if signs[first] else [first]
        signs[first] = signs[first] or 1.0
        while waiting:
            site = waiting.pop()
            for other in neighbours[site]:
                if not signs[other]:
                    signs[other] = -signs[site]
                    waiting.append(other)
    frustrated = [(int(i), int(j)) for i, j in lattice.bonds if signs[i] == signs[j]]
    require(not frustrated, "bloch", 'not be "neel" on a lattice with odd rings', f"bond {frustrated[:1]} closes one")
    return signs
