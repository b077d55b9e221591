"""Networks of correlators side by side, of fewer sites and smaller, so that they judge each other."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError, Record
from neurho.config import require_trust
from neurho.correlators import networks as nets
from neurho.records import network_of_code
from neurho.run.drivers.correlator_picture import Picture

EQUATIONS_EACH = 3
"""Equations for each parameter, at least: with fewer the residual vanishes and the closure is arbitrary. One will do
where strings of all sites have equations, and nothing is cut.
"""

MOST_WEIGHT = {"cumulants": 4}
"""Sites of the strings of the rows, if the problem does not say: cumulants of k sites take 2^k products."""

MOST_UNITS = 256
"""Filters, channels or bond dimension that are looked at."""

FRESH = 400
"""Equations of one site more than the fitted ones have, which say what was left out."""


class Size(NamedTuple):
    """A network: strings of up to `weight` sites have equations; filters, terms, channels or bond dimension."""

    weight: int
    units: int


@dataclass(frozen=True)
class Ensemble:
    """Networks of different sizes for one problem, and the equations of each."""

    picture: Picture

    @property
    def ansatz(self) -> Any:
        """The table [ansatz]."""
        return self.picture.setup.config.ansatz

    @cached_property
    def product(self) -> np.ndarray:
        """One-site means `(sites, letters)` that the networks begin with: of a search those of pairs alone."""
        picture = self.picture
        if picture.setup.task.kind == "evolve":
            assert isinstance(picture.start, np.ndarray)
            return picture.start
        parts = [co.all_strings(picture.symmetry, k) for k in (1, 2)[: picture.symmetry.sites]]
        hierarchy = co.build_hierarchy(picture.terms, picture.symmetry, parts, central=False)
        try:
            means = co.raw_means(hierarchy, co.stationary_state(hierarchy, None, tolerance=1e-4))
        except NumericalError:
            means = np.zeros(hierarchy.singles.shape)
        means = np.clip(means, -1.0, 1.0)
        means[:, 0] = 1.0
        return means

    @cached_property
    def weight(self) -> int:
        """The largest number of sites of strings whose equations are fitted: what is asked for, or all that fit."""
        sites, asked = self.picture.symmetry.sites, self.picture.setup.task.weight
        if asked is not None:
            return min(asked, sites)
        most = min(MOST_WEIGHT.get(self.ansatz.kind, sites), sites)
        return max(k for k in range(1, most + 1) if k <= 2 or not self.drawn(k))

    @cached_property
    def counts(self) -> np.ndarray:
        """How many strings of at most 0, 1, ... sites there are, the identity not among them."""
        return np.cumsum(co.string_counts(self.picture.symmetry, self.picture.symmetry.sites)) - 1

    def rows_of(self, weight: int) -> int:
        """How many equations a network is fitted to."""
        return int(min(self.counts[weight], self.picture.setup.task.rows))

    def parameters_of(self, units: int) -> int:
        """Parameters of a network of some size."""
        return nets.parameter_vector(self.blank_network(units)).size

    @cached_property
    def sizes(self) -> list[Size]:
        """The networks: of one site less, smaller ones, and the one that answers, the last.

        **Raises** `NeurhoError` for more parameters than a third of the equations.
        """
        asked, weight = getattr(self.ansatz, self.ansatz.size_key, None), self.weight
        fits = self._most_units(weight)
        if asked is not None and asked > fits:
            self._refuse(asked, fits, weight)
        if fits == 0:
            self._refuse(1, fits, weight)
        units = min(8, fits) if asked is None else asked
        less = max(1, min(units, self._most_units(weight - 1)))
        found = [Size(weight - 1, less), Size(weight, max(1, units // 2)), Size(weight, units)]
        return [size for n, size in enumerate(found) if size not in found[n + 1 :] and size.weight > 0]

    def _each(self, weight: int) -> int:
        return 1 if weight == self.picture.symmetry.sites and not self.drawn(weight) else EQUATIONS_EACH

    def _most_units(self, weight: int) -> int:
        """The largest network that the equations of strings of so many sites determine."""
        most = self.rows_of(weight) // self._each(weight)
        if self.ansatz.size_key == "":
            return int(self.parameters_of(1) <= most)
        return bisect_right(range(1, MOST_UNITS + 1), most, key=self.parameters_of)

    def _refuse(self, asked: int, fits: int, weight: int) -> None:
        rows, kind, each = self.rows_of(weight), self.ansatz.kind, self._each(weight)
        count, key = self.parameters_of(asked), self.ansatz.size_key or "module"
        remedy = f"at most {fits}, or " if fits else ""
        raise NeurhoError(
            f'Key `ansatz.{key}` must leave {each} equation{"s" * (each > 1)} for each parameter of kind = "{kind}", '
            f"but there are {count} parameters and {rows} equations of strings of up to {weight} sites; take {remedy}a "
            "larger task.weight or task.rows."
        )

    def blank_network(self, units: int) -> nets.AbstractStringNetwork:
        """A network of some size, at its start."""
        ansatz, product, moves = self.ansatz, self.product, self.picture.symmetry.moves
        key = jax.random.fold_in(jax.random.key(self.picture.setup.config.seed), units)
        if ansatz.kind == "cumulants":
            return nets.cumulant_network(key, product, moves, units)
        if ansatz.kind == "mixture":
            return nets.mixture_network(key, product, moves, units)
        if ansatz.kind == "matrix-product":
            return nets.matrix_product_network(key, product, units)
        if ansatz.kind == "string-convolution":
            group = moves if ansatz.point_group else self._translations
            made = nets.convolution_network(key, group, product.shape[1], units, ansatz.depth)
        else:
            require_trust(self.picture.setup.config, trust=self.picture.setup.trust)
            given: Record = {
                "sites": len(product),
                "local_dim": self.picture.setup.config.local_dim,
                "key": key,
            }
            where = (ansatz.path, ansatz.name, ansatz.sha256, ansatz.arguments)
            made = network_of_code(*where, **given, take=nets.as_string_network)
        return nets.departing(made, product, moves, connected=ansatz.connected)

    @property
    def _translations(self) -> np.ndarray:
        moves = self.picture.symmetry.moves
        lattice = {tuple(move) for move in self.picture.setup.lattice.translations.tolist()}
        return np.array([move for move in moves.tolist() if tuple(move) in lattice])

    @cached_property
    def members(self) -> list[nets.AbstractStringNetwork]:
        """All networks at their start."""
        return [self.blank_network(size.units) for size in self.sizes]

    def equations(self, number: int, step: int) -> co.Equations:
        """The equations of a network at a step: all strings, or fresh ones."""
        weight = self.sizes[number].weight
        if self.drawn(weight):
            rng = np.random.default_rng([self.picture.setup.config.seed, number, step])
            rows = co.drawn_rows(self.picture.symmetry, weight, self.picture.setup.task.rows, rng)
            return co.build_equations(self.picture.terms, self.picture.symmetry, rows)
        return self._whole[weight]

    def drawn(self, weight: int) -> bool:
        """Whether there are more strings than equations may be taken."""
        return bool(self.counts[weight] > self.picture.setup.task.rows)

    @cached_property
    def _whole(self) -> dict[int, co.Equations]:
        terms, symmetry = self.picture.terms, self.picture.symmetry
        weights = {size.weight for size in self.sizes if not self.drawn(size.weight)}
        return {k: co.build_equations(terms, symmetry, co.all_rows(symmetry, k)) for k in weights}

    @cached_property
    def fresh(self) -> co.Equations | None:
        """Equations that no network is fitted to: of strings of one site more."""
        symmetry, k = self.picture.symmetry, self.weight + 1
        if k > symmetry.sites:
            return None
        rows = co.drawn_rows(symmetry, k, FRESH * k, np.random.default_rng(5))
        heavy = rows.strings.weights == k
        rows = co.Rows(rows.strings.take(heavy), rows.counts[heavy])
        return co.build_equations(self.picture.terms, symmetry, rows)

    @property
    def known(self) -> bool:
        """Whether the network may be made: code of the user only where it is trusted."""
        return self.ansatz.kind != "string-module" or self.picture.setup.trust
