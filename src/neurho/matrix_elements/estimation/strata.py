"""Where in configuration space samples lie, and where ||L rho||^2 comes from.

Averages over |rho(l, r)|^2 say little about parts of it that are hardly visited. Two ways to divide it are looked at:
by the number of sites where l and r differ (0: populations; more: coherences of higher order), and by the number of
sites of l and r together that are not in the last level (0: all spins down; small populations and what belongs to them
have more). Of each part s

    share_s = <1_s>,    norm2_s = <1_s |L_loc|^2>,    ess_s = (sum_{x in s} w)^2 / sum_{x in s} w^2,

so that the shares sum to one and the norm2 to ||L rho||^2/||rho||^2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neurho.matrix_elements.sampling import Draw
from neurho.observables.names import at

CARRIES = 0.01
"""Share of the samples' weight, or of ||L rho||^2, from which on a part counts."""
FEW = 30.0
"""Effective samples below which nothing is known of a part."""
MOST = 0.5
"""Share of ||L rho||^2 that is most of it."""


class Parts(NamedTuple):
    """Numbers of the parts of one division, part 0 first."""

    share: Float[Array, " parts"]
    norm2: Float[Array, " parts"]
    ess: Float[Array, " parts"]


class Sectors(NamedTuple):
    """Both divisions: `differing` has one part for 0 to N sites, `raised` for 0 to 2N."""

    differing: Parts
    raised: Parts


def sectors_of(size: Float[Array, "draws chains"], draw: Draw, local_dim: int) -> Sectors:
    """The parts of configuration space, from |L_loc| at samples of |rho|^2."""
    sites = draw.x.shape[-1]
    row, column = draw.x // local_dim, draw.x % local_dim
    lowest = local_dim - 1
    differing = jnp.sum(row != column, axis=-1)
    raised = jnp.sum((row != lowest).astype(int) + (column != lowest), axis=-1)
    return Sectors(
        differing=_parts(differing, sites + 1, size, draw.weight),
        raised=_parts(raised, 2 * sites + 1, size, draw.weight),
    )


def _parts(part: Int[Array, "draws chains"], count: int, size: Array, weight: Array) -> Parts:
    values = jnp.stack([weight, weight * size**2, weight**2], axis=-1).reshape(-1, 3)
    share, norm2, squares = jax.ops.segment_sum(values, part.reshape(-1), num_segments=count).T
    return Parts(share=share, norm2=norm2, ess=share**2 / jnp.where(squares > 0, squares, 1))


def named_parts(sectors: Sectors, *, exact: bool) -> dict[str, np.ndarray]:
    """The numbers by name, as `share_raised`; exact sums have no effective samples."""
    kinds = [name for name in Parts._fields if not (exact and name == "ess")]
    return {
        at(name, division): np.asarray(getattr(parts, name))
        for division, parts in zip(Sectors._fields, sectors, strict=True)
        for name in kinds
    }


def doubts(sectors: Sectors) -> str:
    """What should not be believed because a part of configuration space was hardly seen, or ""."""
    found = []
    for words, parts in zip(("{} sites on which rows and columns differ", "{} raised levels"), sectors, strict=True):
        share, norm2, ess = (np.asarray(a) for a in parts)
        residual = norm2 / max(float(np.sum(norm2)), 1e-300)
        few = np.flatnonzero((share >= CARRIES) & (ess < FEW))
        if len(few):
            worst = int(few[np.argmax(share[few])])
            found.append(
                f"The part of rho with {words.format(worst)} carries {share[worst]:.2g} of its weight on "
                f"{ess[worst]:.1f} effective samples: hardly anything is known of it; use more samples."
            )
        hidden = np.flatnonzero((share > 0) & (share < CARRIES) & (residual > MOST))
        found += [
            f"The part of rho with {words.format(int(s))} has {share[s]:.1g} of its weight and {residual[s]:.2g} of "
            f"||L rho||^2, on {ess[s]:.1f} effective samples: the rest looks better than the whole is."
            for s in hidden
        ]
    return " ".join(found)
