"""Many runs: a grid of problems on dask workers, each in a run directory of its own, and one dataset of them all."""

from neurho.sweep.collect import collect
from neurho.sweep.directory import Sweep, create, open_sweep
from neurho.sweep.run import Outcome, run_point, run_sweep

__all__ = ["Outcome", "Sweep", "collect", "create", "open_sweep", "run_point", "run_sweep"]
