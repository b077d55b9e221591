"""What a run found."""

import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from neurho import records, report
from neurho._types import NeurhoError
from neurho.config import REFERENCES
from neurho.matrix_elements.networks import AbstractAnsatz
from neurho.observables import Estimate
from neurho.observables.names import error_name
from neurho.run import inheritance as inherit
from neurho.run.drivers import correlator_networks
from neurho.run.drivers.inherited import matrix_of
from neurho.run.problem import Problem
from neurho.session.comparison import Comparison, compared
from neurho.session.loop import average_of
from neurho.session.table import page_of


class Result:
    """What [`neurho.solve`][] and [`neurho.stationary`][] give: every output with its errors, a verdict, and figures.

    It prints as a table, also in a notebook. `result["sz"]` is the last value with its error.

    ```python
    import neurho

    result = neurho.solve(neurho.xyz(neurho.chain(2)), "down", [0, 0.5, 1])
    print(result)
    assert result.finished and abs(result["sz"].mean) <= 1
    ```

    **Attributes**

    - `dataset`: everything measured, along `t`, as an `xarray.Dataset` with units; errors end in `_error`.
    - `summary`: what `summary.json` of a run directory holds, a dictionary.
    - `problem`: what was solved; `problem.config` has every default written out.
    - `path`: the run directory that was given as `out`, or None.
    """

    def __init__(
        self,
        problem: Problem,
        dataset: xr.Dataset,
        summary: records.Record,
        directory: Path,
        *,
        temporary: bool,
        origin: object = None,
    ) -> None:
        self.problem = problem
        self.dataset = dataset
        self.summary = summary
        self.directory = directory
        self.path = None if temporary else directory
        self._origin = origin  # a start that lies in a temporary directory must live as long
        if temporary:
            weakref.finalize(self, shutil.rmtree, directory, ignore_errors=True)

    @property
    def finished(self) -> bool:
        """Whether the evolution came to its end, or the search found its stationary state."""
        return bool(self.summary["converged"])

    @property
    def verdict(self) -> str | None:
        """How far to trust the numbers: "good", "usable" or "do not use"; None where nothing judges them."""
        return self.summary["verdict"]

    @property
    def reasons(self) -> list[str]:
        """Why the verdict is not a better one."""
        return list(self.summary["reasons"])

    @property
    def method(self) -> str:
        """The method by which it was found."""
        return self.problem.config.task.method

    @property
    def why(self) -> str:
        """Why `method="auto"` has taken this method, or "asked for"."""
        return self.problem.config.task.reason or "asked for"

    def __getitem__(self, name: str) -> Estimate:
        """The last value of an observable (of a stationary state the mean over the last outputs), with its error."""
        if name in self.summary["observables"]:
            value = self.summary["observables"][name]
            return Estimate(mean=np.asarray(value["mean"], dtype=float), error=np.asarray(value["error"], dtype=float))
        known = [str(n) for n in self.dataset.data_vars if error_name(str(n)) in self.dataset]
        if name not in known:
            raise NeurhoError(f"There is no observable `{name}`; known are {', '.join(known) or 'none so far'}.")
        average = average_of(self.problem.config)
        data = report.averaged(self.dataset, average) if average else self.dataset.isel(t=-1)
        return Estimate(mean=data[name].values, error=data[error_name(name)].values)

    @property
    def network(self) -> AbstractAnsatz:
        """The network of the last state.

        **Raises** `NeurhoError` where the method has none.
        """
        return inherit.last_network(self.directory)

    def density_matrix(self) -> np.ndarray:
        """The density matrix of the last state, `(d^N, d^N)`; of a network for up to 1024 levels.

        **Raises** `NeurhoError` for methods that keep neither a density matrix nor a network, and where strings are
        cut.
        """
        return matrix_of(str(self.directory), self.problem, correlator_networks.make)

    def figures(self, *, reference: bool = True) -> dict[str, Figure]:
        """Every figure that makes sense, by name, the most telling first; `reference`: with the exact one, where it is
        small.
        """
        config, truth = self.problem.config, None
        if reference and self.method != "exact":
            truth = self.problem.reference()
        source = "" if truth is None else str(truth.attrs.get("source", ""))
        label = source if source in REFERENCES else "reference"
        shape = () if config.lattice.kind == "edges" else config.lattice.shape
        return report.all_figures(self.dataset, truth, label=label, shape=shape, average=average_of(config))

    def plot(self, name: str = "", *, reference: bool = True) -> Figure:
        """A figure: the most telling one, or the one of that name of [`figures`][neurho.Result.figures]."""
        if not self.dataset.sizes["t"]:
            raise NeurhoError("There is nothing to draw: the run was stopped before its first output.")
        found = self.figures(reference=reference)
        if name and name not in found:
            raise NeurhoError(f"Argument `name` must be one of {', '.join(found)}, but it is {name!r}.")
        return found[name or next(iter(found))]

    def compare(self, other: Any = "auto") -> Comparison:
        """The distance from another method, which is computed and kept for the next time, or from another result.

        **Arguments**

        - `other`: "auto" (what fits: exact, matrix products or trajectories), the name of a method, a `Result`, an
          `xarray.Dataset` with the same names, or the path of a run directory or of curves (CSV, netCDF).

        **Raises** `NeurhoError` where no method fits, with the reasons.
        """
        data = other.dataset if isinstance(other, Result) else other
        return compared(self.problem, self.dataset, data)

    def __repr__(self) -> str:
        return page_of(self.problem.config, self.summary).text()

    def _repr_html_(self) -> str:
        return page_of(self.problem.config, self.summary).html()
