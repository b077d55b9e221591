"""Whether two estimates of ||L rho||^2/||rho||^2 disagree: from blurred samples, and from plain ones."""

from statistics import NormalDist

import numpy as np
import xarray as xr

from neurho.observables import names
from neurho.records.summary import time_average

BLURRED, PLAIN = "lindblad_norm2", "lindblad_norm2_plain"
ERRORS = 3.0
"""Combined standard errors by which the two must differ for a sentence."""


def disagreement(series: xr.Dataset, *, average: float | None) -> str:
    """A sentence if the two differ by more than three combined errors, or "".

    With `average` the mean difference over that last part of the outputs is judged. Otherwise every output is judged
    for itself, against the quantile that makes n of them together as unlikely as one is at three errors.
    """
    asked = (BLURRED, names.error_name(BLURRED), PLAIN, names.error_name(PLAIN))
    if not all(name in series for name in asked):
        return ""
    rows = series.sizes["t"]
    window = series if average is None else series.isel(t=slice(-max(1, round(average * rows)), None))
    blurred, error, plain, plain_error = (window[name].values for name in asked)
    known = np.isfinite(blurred) & np.isfinite(plain)
    if not np.any(known):
        return ""
    difference, combined = (blurred - plain)[known], np.hypot(error, plain_error)[known]
    if average is not None:
        mean, scatter = time_average(difference, combined)
        difference, combined = np.array([mean]), np.array([scatter])
    limit = -NormalDist().inv_cdf(NormalDist().cdf(-ERRORS) / len(difference))
    pulls = np.abs(difference) / np.maximum(combined, 1e-300)
    worst = int(np.argmax(pulls))
    if not pulls[worst] > limit:
        return ""
    where = "" if average is not None else f" at t = {window.t.values[known][worst]:g}"
    return (
        f"||L rho||^2/||rho||^2 from blurred samples and from plain ones differ by {difference[worst]:.2g}{where}, "
        f"{pulls[worst]:.1f} combined errors: L rho is large where rho is small, so plain averages are biased; "
        "use more sampling.samples or a larger sampling.blur, and trust the blurred number."
    )
