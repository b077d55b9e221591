"""What every method offers to the loop that runs it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from neurho.observables import Estimate, Snapshot, State, Watch

Facts: TypeAlias = Mapping[str, int | str]
"""Sizes and names, by name."""


class Driver(Protocol):
    """A method with all that it needs to answer one problem. It remembers nothing: the state carries all.

    A method of your own inherits from this class; see docs/extend/method.md.
    """

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        ...

    @property
    def remedies(self) -> Sequence[str]:
        """What needs less memory, each as in "fewer sites"."""
        return ("fewer sites",)

    @property
    def begins(self) -> bool:
        """Whether it begins with the start of the problem: some searches only have equations to solve."""
        return True

    def prepare(self) -> None:
        """Build what may turn out not to fit the problem, so that it is said before the run.

        **Raises** `NeurhoError` with the key that does not fit.
        """

    def template(self) -> State:
        """A state of the right structure, to read a checkpoint into: arrays, numbers and tuples of them with `step`
        and `t`.
        """
        ...

    def snapshots(self, state: State = None, *, watch: Watch | None = None) -> Iterator[Snapshot]:
        """Go on from the beginning, or from an earlier state (whose snapshot is not yielded again), to the end.

        `watch` is called with the state after every step between snapshots; a run may be stopped and resumed there.
        From a state read back, the numbers are those of a run that never stopped.
        """
        ...

    def glance(self, state: State) -> dict[str, Estimate]:
        """Means that are known between two outputs."""
        return {}

    def asked_matrix(self) -> np.ndarray | None:
        """The density matrix that a small problem asks for at t = 0, where a network stands for it."""
        return None

    def describe(self) -> Facts:
        """Sizes, for `neurho run --check`."""
        ...
