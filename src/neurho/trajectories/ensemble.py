"""What a run of trajectories measures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from neurho._types import Record, require
from neurho.model.operators import Operator
from neurho.observables import Estimate

Combine: TypeAlias = Callable[[np.ndarray, float], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Observed:
    """Operators to measure, and what is made of their means: `combine(means, t)` is linear, `(*batch, operators)` to
    values by name, `(*batch, *shape)`.

    ```python
    import neurho

    seen = neurho.trajectories.observed({"sz": [neurho.sz(j) for j in range(3)], "sx": neurho.sx(0)})
    assert seen.shapes == {"sz": (3,), "sx": ()}
    ```
    """

    operators: tuple[Operator, ...]
    combine: Combine

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every named value."""
        values = self.combine(np.zeros((1, len(self.operators))), 0.0)
        return {name: np.shape(value)[1:] for name, value in values.items()}

    @property
    def size(self) -> int:
        """Numbers in all named values."""
        return int(sum(np.prod(shape, dtype=int) for shape in self.shapes.values()))

    def flat(self, means: np.ndarray, t: float) -> np.ndarray:
        """All named values in a row, `(batch, size)`, from means `(batch, operators)`."""
        return np.concatenate([v.reshape(len(means), -1) for v in self.combine(means, t).values()], axis=1)

    def named(self, mean: np.ndarray, error: np.ndarray) -> dict[str, Estimate]:
        """Estimates by name from rows `(*batch, size)`."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            part = slice(start, start := start + int(np.prod(shape, dtype=int)))
            found[name] = Estimate(
                mean=mean[..., part].reshape((*mean.shape[:-1], *shape)),
                error=error[..., part].reshape((*mean.shape[:-1], *shape)),
            )
        return found

    def place(self, name: str) -> slice:
        """Where a named value stands in a row."""
        require(name in self.shapes, "goal", f"name one of {', '.join(self.shapes)}", f"it names {name}")
        start = 0
        for other, shape in self.shapes.items():
            size = int(np.prod(shape, dtype=int))
            if other == name:
                return slice(start, start + size)
            start += size
        raise AssertionError

    @property
    def scalars(self) -> np.ndarray:
        """Which numbers are values of their own and not entries of a table; all, if there are only tables."""
        sizes = [(int(np.prod(shape, dtype=int)), shape == ()) for shape in self.shapes.values()]
        flags = np.concatenate([np.full(size, single) for size, single in sizes])
        return flags if np.any(flags) else np.ones_like(flags)


def observed(observables: Mapping[str, Operator | Sequence[Operator]]) -> Observed:
    """Named operators: one gives a number, several give one for each.

    ```python
    import neurho

    found = neurho.trajectories.observed({"sz": [neurho.sz(j) for j in range(3)], "sx": neurho.sx(0)})
    assert len(found.operators) == 4
    ```
    """
    require(len(observables) > 0, "observables", "name at least one operator", "it is empty")
    operators: list[Operator] = []
    places: Record = {}
    for name, given in observables.items():
        several = () if isinstance(given, Operator) else tuple(given)
        places[name] = len(operators) if isinstance(given, Operator) else np.arange(len(several)) + len(operators)
        operators += [given] if isinstance(given, Operator) else several
    require(all(isinstance(o, Operator) for o in operators), "observables", "be operators", "one is not")

    def combine(means: np.ndarray, t: float) -> dict[str, np.ndarray]:
        del t
        return {name: means[..., place] for name, place in places.items()}

    return Observed(operators=tuple(operators), combine=combine)
