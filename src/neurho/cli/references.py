"""What a run is compared with, and what is said about it before it is computed."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from neurho.session.wording import duration

if TYPE_CHECKING:
    import xarray as xr

    from neurho.config import Config
    from neurho.observables import State
    from neurho.run.problem import Problem
    from neurho.truth import Choice

PAUSE = 5.0
"""Seconds between two lines about a reference that is computed."""


def reference_of(settings: "Config", built: "Problem", asked: str = "") -> "xr.Dataset":
    """The reference of a run: as asked for on the command line, or as its problem says, or chosen."""
    from neurho.config import REFERENCES
    from neurho.truth import choose, obtain

    wanted = asked or settings.observables.reference
    if wanted not in REFERENCES:
        return _from_file(wanted)
    own = wanted == settings.task.method and not asked
    if own:
        _tell(f'observables.reference is the run\'s own method "{wanted}"; another one is chosen.')
    choice = choose(built, "auto" if own or wanted == "none" else wanted)
    _announce(choice)
    return obtain(built, choice, watch=_Watch(), say=lambda sentence: _tell(f"Reference: {sentence}"))


def for_figures(settings: "Config", built: "Problem") -> "xr.Dataset | None":
    """The reference that figures of a run show: without a wish in its problem, what takes seconds; None if none is."""
    from neurho._types import NeurhoError

    if settings.observables.reference == "none":
        return None if settings.task.method == "exact" else built.reference()
    try:
        return reference_of(settings, built)
    except NeurhoError as error:
        _tell(f"The figures have no reference. {error}")
        return None


def read_other(path: Path) -> "xr.Dataset":
    """Curves of a file, or the series of a run directory."""
    from neurho import records, report

    return report.read_curves(path) if path.is_file() else records.read_series(path)


def _from_file(wanted: str) -> "xr.Dataset":
    from neurho._types import NeurhoError
    from neurho.config import REFERENCES

    if not Path(wanted).exists():
        names = ", ".join(f'"{name}"' for name in REFERENCES[1:])
        raise NeurhoError(f"The reference must be {names}, or a file or run that is there, but it is `{wanted}`.")
    return read_other(Path(wanted))


def _announce(choice: "Choice") -> None:
    """Say which method it is, why, and what it will cost."""
    from neurho.truth import cost_of, place_of

    said = f"Reference: {choice.method} ({choice.why})"
    if choice.problem is None:
        _tell(f"{said}.")
        return
    kept = place_of(choice.problem.config)
    if kept.exists():
        _tell(f"{said}, kept in {kept}.")
        return
    cost = cost_of(choice.problem)
    _tell(f"{said}; {'at most' if cost.most else 'about'} {duration(cost.seconds)} and {cost.bytes / 2**20:,.0f} MiB.")


class _Watch:
    """Says every few seconds where the reference is."""

    def __init__(self) -> None:
        self.began = self.spoken = time.monotonic()

    def __call__(self, state: "State") -> None:
        now = time.monotonic()
        if now - self.spoken >= PAUSE:
            self.spoken = now
            _tell(f"Reference: t = {float(state.t):.4g}, step {int(state.step)}, {duration(now - self.began)}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
