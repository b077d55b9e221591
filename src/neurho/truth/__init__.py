"""What a run is compared with: the choice of another method, what it costs, its run, and a cache of what it found."""

from neurho.truth.cache import place_of, read, write
from neurho.truth.choice import Choice, choose
from neurho.truth.cost import Cost, cost_of
from neurho.truth.solution import obtain, solve

__all__ = ["Choice", "Cost", "choose", "cost_of", "obtain", "place_of", "read", "solve", "write"]
