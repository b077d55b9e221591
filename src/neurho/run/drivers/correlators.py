"""The method "correlators": hierarchies of correlators with two cuts and about two references, which judge each other.

A value comes from the larger of two sets of strings, its error from what the smaller one says. Two references are
tried: zero, about which Hamiltonian terms stay antisymmetric, and the product of the state's own means, exact for
products. That whose two sets agree better gives value and error.
"""

from collections.abc import Callable

from neurho import correlators as co
from neurho.run.drivers.base import Driver
from neurho.run.drivers.correlator_flow import CorrelatorFlow
from neurho.run.drivers.correlator_picture import Picture
from neurho.run.drivers.correlator_search import CorrelatorSearch
from neurho.run.setup import Setup


def make_correlators(setup: Setup, make: Callable[[Setup], Driver]) -> CorrelatorFlow | CorrelatorSearch:
    """The driver of a problem; `make` is what makes that of another one by correlators, in whose state it may begin."""
    picture = Picture(setup, make)
    co.require_terms(picture.terms, setup.lattice.sites)
    _ = picture.start, picture.measured  # what is wrong with them is said before the run
    return CorrelatorSearch(picture) if setup.config.task.kind == "stationary" else CorrelatorFlow(picture)
