"""The lattice that a Hamiltonian itself suggests."""

from neurho.model.lattice import Lattice, from_edges
from neurho.model.operators import Operator


def bonds_of(energy: Operator, sites: int) -> Lattice:
    """A lattice whose bonds are the pairs on which two-site terms of a Hamiltonian act, which have no direction."""
    return from_edges(sorted({t.sites for t in energy.terms if len(t.sites) == 2}), sites=sites, directed=False)
