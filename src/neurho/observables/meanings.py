"""What single numbers of a run mean: words, unit, and how a figure writes them; one entry for each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Meaning(NamedTuple):
    """A number in words, its unit, and, of those that figures draw, how they write it and whether it spans decades."""

    words: str
    unit: str
    symbol: str = ""
    decades: bool = False


MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        "delta_L": Meaning(
            "delta_L = <|L_loc|>, Eq. 18 of PRL 122, 250502",
            "gamma",
            r"$\delta_{\mathcal{L}}$ ($\gamma$)",
            decades=True,
        ),
        "lindblad_norm2": Meaning(
            "||L rho||^2 / ||rho||^2",
            "gamma^2",
            r"$\Vert\mathcal{L}\rho\Vert^2/\Vert\rho\Vert^2$ ($\gamma^2$)",
            decades=True,
        ),
        "residual": Meaning("relative residual of the projected equation of motion", "1", "relative residual"),
        "error_estimate": Meaning(
            "estimate of the relative error of rho in the Hilbert-Schmidt norm", "1", "error estimate"
        ),
        "delta_rho": Meaning("relative Frobenius distance to the exact state", "1", r"$\delta_\rho$"),
        "trace_distance": Meaning("trace distance to the exact state", "1", "trace distance"),
        "dt": Meaning("time step to try next", "1/gamma", r"step $\mathrm{d}t$ ($1/\gamma$)", decades=True),
        "acceptance": Meaning("acceptance of the chains of p(l, r)", "1", "acceptance"),
        "r_hat": Meaning("split R-hat of the chains of p(l, r)", "1", r"split $\hat{R}$"),
        "tau": Meaning("integrated autocorrelation time", "draws", r"$\tau$ (draws)"),
        "ess": Meaning("effective sample size", "1", "effective samples", decades=True),
        "energy": Meaning("energy <H>", "gamma", r"$\langle H\rangle$ ($\gamma$)"),
        "purity": Meaning("purity tr rho^2", "1", r"$\mathrm{tr}\,\rho^2$"),
        "fidelity": Meaning(
            "fidelity with the state that ideal gates make of the start, <psi|rho|psi>",
            "1",
            r"$\langle\psi|\rho|\psi\rangle$",
        ),
        "equations_left": Meaning("what a network of correlators leaves of its equations, relative to c", "1"),
        "equations_fresh": Meaning("what it leaves of equations of one site more, which were not fitted", "1"),
        "renyi2": Meaning("Renyi-2 entropy -ln tr rho^2", "nats"),
        "lindblad_norm2_plain": Meaning("||L rho||^2 / ||rho||^2 from samples that are not blurred", "gamma^2"),
        "preparation": Meaning("distance of the prepared state from the one asked for, relative to its norm", "1"),
        "relaxation": Meaning("smallest rate at which jumps relax a site", "gamma"),
        "error_local": Meaning(
            "what all steps have lost in means of one and two sites, an estimate of their error", "1"
        ),
        "exponent": Meaning("exponent beta of the chains of p(l, r), chosen from step to step", "1"),
        "blur": Meaning("probability of a blurring move, chosen from step to step", "1"),
        "ridge": Meaning("ridge that the solver chose, relative to the mean diagonal entry of S", "1"),
        "acceptance_diagonal": Meaning("acceptance of the chains of q(l)", "1"),
        "r_hat_diagonal": Meaning("split R-hat of the chains of q(l)", "1"),
        "lindblad_norm2_ess": Meaning("effective number of samples that ||L rho||^2 / ||rho||^2 rests on", "1"),
        "order_decay": Meaning("rate at which an ordered state loses its order", "gamma"),
        "bond_dimension": Meaning("largest bond dimension in use", "1"),
        "discarded_weight": Meaning("sum of all weights cut from bonds, each in units of the squared norm", "1"),
        "trace_drift": Meaning("change of the trace by cutting since the output before", "1"),
        "change": Meaning("relative change of rho in one unit of time, in the Hilbert-Schmidt norm", "1"),
        "purity_network": Meaning("purity of the density matrix of the network", "1"),
        "purity_exact": Meaning("purity of the exact state", "1"),
        "smallest_eigenvalue": Meaning("smallest eigenvalue of the density matrix of the network", "1"),
        "negativity": Meaning("by how many errors of means an eigenvalue of rho of one or two sites is negative", "1"),
        "trajectories": Meaning("number of trajectories", "1"),
        "burn_in": Meaning("time at the beginning that averages leave out", "1/gamma"),
        "tau_time": Meaning("longest integrated autocorrelation time of an average", "1/gamma"),
        "effective_samples": Meaning("least effective number of samples of an average", "1"),
        "wall_seconds": Meaning("computing time since the start", "s"),
        "step": Meaning("accepted steps since the start", "1"),
    }
)
"""Numbers that are no means of operators, and the energy; those with a symbol in the order of their panels."""

DRAWN = tuple(name for name, meaning in MEANINGS.items() if meaning.symbol)
"""What figures of diagnostics show, in this order."""

COORDINATES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "t": ("time", "1/gamma"),
        "site": ("site", "1"),
        "site_2": ("second site", "1"),
        "bond": ("bond", "1"),
        "bond_a": ("first site of the bond", "1"),
        "bond_b": ("second site of the bond", "1"),
        "pair_a": ("first site of the pair, the slow index", "1"),
        "pair_b": ("second site of it", "1"),
        "k": ("phase of a plane wave per step along the chain", "rad"),
        "k_1": ("phase of a plane wave per step along the first lattice vector", "rad"),
        "k_2": ("phase of a plane wave per step along the second lattice vector", "rad"),
    }
)
"""Meaning and unit of coordinates."""
