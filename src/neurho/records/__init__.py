"""The run directory: series, checkpoints, provenance, summary. The only module that writes files.

    problem.toml      the problem as resolved        series.nc         everything measured, along t (xarray)
    provenance.json   versions, platform, seed       checkpoints/      the last states, each with a header line
    summary.json      the result

Every file is written beside its place and moved there in one step, so that a reader, a crash or a full disk never
meets half a file. The series is written before the checkpoint that belongs to it: rows later than the checkpoint are
dropped on resuming, and nothing is ever missing.
"""

import lazy_loader

# Names are loaded when first used, so that what only reads need not wait for JAX; they are listed in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
