"""Spins by the probabilities of the outcomes of a measurement: an autoregressive network, samples without chains.

Another picture than matrix elements: rho is given by p(a) = Tr(M_a rho), a the outcomes of a symmetric measurement on
every site. p is normalised, drawn from exactly and independently, and means are linear in it: states, fits, means with
errors, implicit steps in time and to stationary states by sums or draws. Nothing keeps rho positive.
"""

from neurho.outcomes.frame import from_matrix, to_matrix
from neurho.outcomes.means import mean_of
from neurho.outcomes.recurrent import RecurrentOutcomes, all_log_probabilities, draw, random_recurrent
from neurho.outcomes.stationary import minimised, outcome_rates, outcome_residual, stationary_outcomes

__all__ = [
    "RecurrentOutcomes",
    "all_log_probabilities",
    "draw",
    "from_matrix",
    "mean_of",
    "minimised",
    "outcome_rates",
    "outcome_residual",
    "random_recurrent",
    "stationary_outcomes",
    "to_matrix",
]
