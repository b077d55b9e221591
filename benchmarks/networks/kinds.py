"""The networks of the table, each by one number n that sets its size."""

import bisect
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from cases import System
from entries import Entries, by_entry, by_outcome
from matrices import of_chain, of_ring
from spaces import Space, of_labels, of_outcomes

from neurho import outcomes
from neurho.matrix_elements.networks import (
    random_convolution,
    random_gram,
    random_liouville,
    random_mpdo,
    random_ndm,
    random_rbm,
    random_tied,
)


class Kind(NamedTuple):
    """`make(key, system, n, scale)`; `ansatz(system, n)` is its table of a problem file."""

    make: Callable[..., Any]
    ansatz: Callable[..., dict[str, Any]] | None = None
    tied: bool = False


def units(system: System, n: int) -> dict[str, int]:
    """N filters of each sort."""
    return {"hidden": n * len(system.moves), "mixing": n * len(system.moves)}


KINDS = {
    "rbm, translations": Kind(
        lambda key, s, n, scale: random_tied(key, s.moves, **units(s, n), scale=scale, charge=s.charge),
        lambda s, n: {"kind": "rbm", "translations": True} | units(s, n),
        tied=True,
    ),
    "liouville, translations": Kind(
        lambda key, s, n, scale: random_liouville(
            key, s.sites, **units(s, n), translations=s.moves, scale=scale, charge=s.charge
        ),
        lambda s, n: {"kind": "liouville", "translations": True} | units(s, n),
        tied=True,
    ),
    "convolution": Kind(
        lambda key, s, n, scale: random_convolution(key, s.moves, channels=n, scale=scale, charge=s.charge),
        lambda s, n: {"kind": "convolution", "channels": n},
        tied=True,
    ),
    "mpdo": Kind(
        lambda key, s, n, scale: random_mpdo(key, s.sites, bond=n, periodic=s.ring, uniform=s.ring, scale=scale),
        lambda s, n: {"kind": "mpdo", "bond": n, "translations": s.ring},
    ),
    "rbm": Kind(
        lambda key, s, n, scale: random_rbm(key, s.sites, hidden=n, mixing=n, scale=scale),
        lambda s, n: {"kind": "rbm", "hidden": n, "mixing": n},
    ),
    "ndm": Kind(
        lambda key, s, n, scale: random_ndm(key, s.sites, hidden=n, mixing=n, scale=scale),
        lambda s, n: {"kind": "ndm", "hidden": n, "mixing": n},
    ),
    "liouville": Kind(
        lambda key, s, n, scale: random_liouville(key, s.sites, hidden=n, mixing=n, scale=scale, charge=s.charge),
        lambda s, n: {"kind": "liouville", "hidden": n, "mixing": n},
    ),
    "gram": Kind(
        lambda key, s, n, scale: random_gram(key, s.sites, width=2 * n, factors=n, scale=scale),
        lambda s, n: {"kind": "gram", "width": 2 * n, "factors": n},
    ),
    "outcomes": Kind(lambda key, s, n, scale: outcomes.random_recurrent(key, s.sites, hidden=n)),
}


def space_of(name: str, system: System) -> Space:
    """Matrix products share their matrices on a ring, and are then as invariant as networks with translations."""
    if name == "outcomes":
        return of_outcomes(system)
    return of_labels(system, tied=KINDS[name].tied or (name == "mpdo" and system.ring))


def entries_of(name: str, system: System, space: Space, network: Any) -> Entries:
    if name == "outcomes":
        return by_outcome(space, network)
    if name == "mpdo":
        return of_ring(space, network, system) if system.ring else of_chain(space, network)
    return by_entry(space, network)


def nearest(name: str, system: System, size: int) -> tuple[int, int]:
    """The n whose network has the number of parameters nearest to `size`, and that number."""

    def count(n: int) -> int:
        shapes = jax.tree.leaves(eqx.filter_eval_shape(lambda: KINDS[name].make(jax.random.key(0), system, n, 0.1)))
        return sum(leaf.size for leaf in shapes if jnp.issubdtype(getattr(leaf, "dtype", int), jnp.floating))

    above = bisect.bisect_left(range(1, 256), size, key=count) + 1
    found = [(n, count(n)) for n in (above - 1, above) if n > 0]
    return min(found, key=lambda item: abs(item[1] - size))
