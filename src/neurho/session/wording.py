"""Numbers with their errors, and spans of time, as a person would write them."""

from math import floor, isfinite, log10


def with_error(mean: float | None, error: float | None) -> str:
    """A number with the last two digits of its error in brackets, -0.1234(12); six digits if it is exact."""
    if mean is None or not isfinite(mean):
        return "-"
    if error is None or not isfinite(error):
        return f"{mean:.6g}(?)"
    if error <= 0:
        return f"{mean:.6g}"
    digits = 1 - floor(log10(error))
    if round(error * 10**digits) >= 100:
        digits -= 1
    if digits <= 0 or digits > 12:
        return f"{mean:.6g} +- {error:.2g}"
    shown = round(error * 10**digits)
    return f"{mean:.{digits}f}({shown / 10**digits:.{digits}f})" if error >= 1 else f"{mean:.{digits}f}({shown})"


def duration(seconds: float) -> str:
    """A time span in the unit that a person would use."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if minutes < 100 else f"{hours:.1f} h"
