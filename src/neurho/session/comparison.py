"""A run beside another method, another run or curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr
from matplotlib.figure import Figure

from neurho import records, report, truth
from neurho._types import NeurhoError, brief
from neurho.config import REFERENCES
from neurho.report import Deviation
from neurho.run.problem import Problem
from neurho.session.table import columns

METHODS = tuple(name for name in REFERENCES if name != "none")


class Comparison(NamedTuple):
    """How far a run lies from a reference.

    ```python
    import neurho

    model = neurho.xyz(neurho.chain(2))
    first, second = (neurho.solve(model, start, [0, 0.5]) for start in ("up", (0, 0, 0.9)))
    found = first.compare(second)
    assert max(deviation.max for deviation in found.deviations) > 0.05
    ```

    - `deviations`: for each observable that both have the largest and the root mean square difference, also in units of
      the combined standard errors.
    - `series`, `reference`: what was compared, as datasets; `label` says what the reference is.
    - `remarks`: what the reference says of itself.
    """

    deviations: list[Deviation]
    series: xr.Dataset
    reference: xr.Dataset
    label: str
    average: float | None
    remarks: tuple[str, ...] = ()

    def plot(self) -> Figure:
        """Curves of both, and their differences with error bands; of a stationary state the values of both."""
        if self.average is not None:
            return report.profile(self.series, self.reference, average=self.average, label=self.label)
        return report.comparison(self.series, self.reference, labels=("run", self.label))

    def __repr__(self) -> str:
        head = ("", "largest", "value", "reference", "rms", "largest/sigma")
        rows = [
            (d.name, f"{d.max:.2e}", f"{d.value:.6g}", f"{d.reference:.6g}", f"{d.rms:.2e}", _sigmas(d.max_sigma))
            for d in self.deviations
        ]
        return "\n".join([f"The run compared with {self.label}:", columns([head, *rows]), *self.remarks])


def compared(problem: Problem, series: xr.Dataset, other: Any) -> Comparison:
    """The comparison of a series with a method ("auto" chooses), a dataset, or a run or curves in a file."""
    reference, label, remarks = _reference(problem, other)
    task = problem.config.task
    part = task.average if task.kind == "stationary" else None
    if part is not None and "t" in reference.dims:
        reference = report.averaged(reference, part)
    own = report.averaged(series, part) if part is not None else series
    return Comparison(
        deviations=report.deviations(own, reference),
        series=series,
        reference=reference,
        label=label,
        average=part,
        remarks=tuple(remarks),
    )


def _reference(problem: Problem, other: Any) -> tuple[xr.Dataset, str, Sequence[str]]:
    if isinstance(other, xr.Dataset):
        return other, str(other.attrs.get("source", "the other")), ()
    if isinstance(other, str) and other in METHODS:
        remarks: list[str] = []
        choice = truth.choose(problem, other)
        found = truth.obtain(problem, choice, watch=lambda _: None, say=remarks.append)
        return found, f"{choice.method} ({choice.why})", remarks
    if isinstance(other, str | Path) and Path(other).exists():
        path = Path(other)
        return (report.read_curves(path) if path.is_file() else records.read_series(path)), str(other), ()
    names = ", ".join(f'"{name}"' for name in METHODS)
    must = f"be {names}, a result, a dataset, or a file or run that is there"
    raise NeurhoError(f"Argument `other` must {must}, but it is {brief(other)}.")


def _sigmas(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 100 else "> 100"
