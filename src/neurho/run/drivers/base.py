"""What every method offers to the loop that runs it."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from neurho.observables import Snapshot


class Driver(Protocol):
    """A method with all that it needs to answer one problem. It remembers nothing: the state carries all."""

    @property
    def peak_bytes(self) -> float:
        """Predicted bytes at the peak of a run."""
        ...

    def template(self) -> Any:
        """A state of the right structure, to read a checkpoint into: arrays, numbers and tuples of them with `step`,
        `t` and `dt`.
        """
        ...

    def snapshots(self, state: Any = None, *, watch: Callable[[Any], None] | None = None) -> Iterator[Snapshot]:
        """Go on from the beginning, or from an earlier state (whose snapshot is not yielded again), to the end.

        `watch` is called with the state after every step between snapshots; a run may be stopped and resumed there.
        From a state read back, the numbers are those of a run that never stopped.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Sizes, for `neurho run --check`."""
        ...
