"""Matrix-product density matrices for open chains and narrow strips: dynamics and stationary states. NumPy and SciPy.

A density matrix is a real matrix-product state in a Hermitian basis of d^2 matrices per site, and moves by products of
exponentials of local parts of L. Every mean comes with an error from bond dimension, cut-off and step.
"""

from neurho.matrix_product.evolution import evolve
from neurho.matrix_product.places import line
from neurho.matrix_product.record import Record
from neurho.matrix_product.stationary import stationary_state

__all__ = ["Record", "evolve", "line", "stationary_state"]
