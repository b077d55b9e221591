"""Whether a Lindbladian can have more than one stationary state, as far as that can be told cheaply.

Where it has, the one that a search finds depends on where it starts, and a small ||L rho|| says nothing about which.
"""

from neurho import exact
from neurho._types import NumericalError
from neurho.matrix_elements.generator import LabelMap
from neurho.matrix_elements.symmetry import strong_charge
from neurho.model.operators import Lindbladian, evaluate

DIMENSION = 2**6
"""Largest d^N for which the null space of L itself is looked at."""


def several_states(lindbladian: Lindbladian, generator: LabelMap) -> str:
    """A sentence if there is more than one stationary state, or no dissipation, or "" where nothing was found.

    Looked for are: jump operators at all; particle number or parity that the Hamiltonian and every jump operator
    conserve (a strong symmetry; V. V. Albert and L. Jiang, PRA 89, 022118 (2014)), for any number of sites; and, up to
    d^N = 64 and for constant coefficients, any second null vector of L (by Krylov iterations), of which dark subspaces
    are one cause. Strong symmetries of other kinds go unnoticed beyond that.
    """
    if not any(callable(j.rate) or evaluate(j.rate, 0.0) > 0 for j in lindbladian.jumps if j.operator.terms):
        return (
            "The Lindbladian has no dissipation (no jump operator with a positive rate): every function of H is "
            "stationary, and which state is found depends on the start."
        )
    if (charge := strong_charge(generator)) is not None:
        states = 2 if charge.modulus else generator.sites * (generator.local_dim - 1) + 1
        return (
            f"The Hamiltonian and all jump operators conserve {charge.name} (a strong symmetry): there are at least "
            f"{states} stationary states, one in each sector, and which mixture of them is found depends on the start."
        )
    if lindbladian.is_time_dependent or lindbladian.local_dim**lindbladian.sites > DIMENSION:
        return ""
    try:
        found = exact.stationary_state(lindbladian).message
    except NumericalError:
        return ""  # then nothing is known, which is no reason not to run
    if not found:
        return ""
    return (
        "The Lindbladian has more than one stationary state (its eigenvalue 0 is degenerate): which one is found "
        "depends on the start."
    )
