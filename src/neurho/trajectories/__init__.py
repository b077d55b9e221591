"""Quantum trajectories: Monte-Carlo wave functions of any local model, up to 20 spins."""

from neurho.trajectories.averaging import ROUND, StationaryRun, StationaryState, make_stationary, stationary_state
from neurho.trajectories.ensemble import Observed, observed
from neurho.trajectories.evolution import Ends, Evolution, EvolutionState, Record, evolve, make_evolution
from neurho.trajectories.space import Space, keeps_parity
from neurho.trajectories.system import DOUBLE, MOST_SITES, SINGLE, Accuracy

__all__ = [
    "DOUBLE",
    "MOST_SITES",
    "ROUND",
    "SINGLE",
    "Accuracy",
    "Ends",
    "Evolution",
    "EvolutionState",
    "Observed",
    "Record",
    "Space",
    "StationaryRun",
    "StationaryState",
    "evolve",
    "keeps_parity",
    "make_evolution",
    "make_stationary",
    "observed",
    "stationary_state",
]
