"""What moves wave functions: all amplitudes, many trajectories at a time; or one momentum, one after the other."""

from typing import Protocol

import numpy as np
from jaxtyping import PyTree

from neurho.trajectories.spread import Device


class Engine(Protocol):
    """The part of a run that knows its wave functions; the rest counts, averages and stops."""

    @property
    def lanes(self) -> int:
        """Trajectories of a group."""
        ...

    @property
    def sizes(self) -> dict[str, int | str]:
        """Amplitudes of a wave function, whether parity halves them, and the momenta that are told apart."""
        ...

    @property
    def stored_bytes(self) -> float:
        """Bytes that the wave functions of one group take."""
        ...

    @property
    def working_bytes(self) -> float:
        """Bytes that the groups take that are worked on at the same time, with what they share."""
        ...

    def start(self, trajectories: np.ndarray, t0: float) -> PyTree:
        """Trajectories by their numbers at their beginning: a tuple of arrays, the state of a group."""
        ...

    def follow(self, walk: PyTree, times: np.ndarray, device: Device) -> tuple[PyTree, np.ndarray]:
        """A group at the last of `times`, and the means of all operators at each, `(times, lanes, operators)`."""
        ...

    def portable(self) -> "Engine":
        """The same for another process: NumPy's arrays, and nothing that can be made there."""
        ...
