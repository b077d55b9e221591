"""What the figures of a report show, in words."""

from neurho.config import Config
from neurho.records import Record


def captions(config: Config, summary: Record) -> dict[str, str]:
    """Sentences by name of figure, about the bands that the figures of this run have."""
    sampled = config.task.method != "exact" and getattr(config.sampling, "kind", "") == "metropolis"
    bands = ["Bands and bars: standard errors of the samples."] if sampled else []
    if summary.get("error_estimate") is not None and config.local_dim == 2:
        bands.append("Pale bands around Pauli matrices: the error estimate of the evolution, not a standard error.")
    drawn, plain = (
        " ".join([*told, "Dashed or points: reference, with its errors."]) for told in (bands, bands[: int(sampled)])
    )
    errors = "; below them the standard errors" if sampled else ""
    scale = "Panels of Pauli matrices share one scale of colours, and so do panels of populations."
    return {
        "curves": f"Means over sites and bonds, and the error of the run, along time. {drawn}",
        "profile": f"The approach to the stationary state, and each site in the end. {drawn}",
        "named": f"Means of the operators that the problem names, along time. {plain}",
        "sites": f"Means of each site along time. {scale}",
        "lattice": f"Means of each site in its place, in the end{errors}. {scale}",
        "correlations": "Connected correlations of all pairs of sites in the end, in one scale of colours.",
        "structure": "Structure factors of all momenta in the end.",
        "diagnostics": "What tells how far to trust the run, along time.",
        "spectrum": "Eigenvalues of the metric S at the last state: how many directions the network uses.",
    }
