"""Networks of correlators side by side, of fewer sites and smaller, so that they judge each other."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from neurho import correlators as co
from neurho._types import NeurhoError, NumericalError
from neurho.config.string_networks import Combined, asked_units
from neurho.correlators import networks as nets
from neurho.run.drivers.correlator_making import made_network
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


class Begun(NamedTuple):
    """Networks at t = 0, and what a fit of the last of them has left, relative to c; None where nothing was fitted."""

    networks: list[nets.AbstractStringNetwork]
    misfit: float | None


@dataclass(frozen=True)
class Ensemble:
    """Networks of different sizes for one problem, and the equations of each."""

    picture: Picture

    @property
    def task(self) -> Any:
        """The table [task]."""
        return self.picture.setup.task

    @property
    def ansatz(self) -> Any:
        """The table [ansatz]."""
        return self.picture.setup.config.ansatz

    @property
    def grows(self) -> bool:
        """Whether networks begin with one filter and take more where that helps."""
        return bool(getattr(self.ansatz, "grow", False))

    @cached_property
    def product(self) -> np.ndarray:
        """One-site means `(sites, letters)` that the networks begin with: those of the start; of a search without one
        those of pairs alone.
        """
        picture = self.picture
        if picture.inherited is not None:
            return co.site_means(picture.inherited.fine)
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
        sites, asked = self.picture.symmetry.sites, self.task.weight
        if asked is not None:
            return min(asked, sites)
        kinds = [part.kind for part in self.ansatz.parts] if isinstance(self.ansatz, Combined) else [self.ansatz.kind]
        most = min(sites, *(MOST_WEIGHT.get(kind, sites) for kind in kinds))
        return max(k for k in range(1, most + 1) if k <= 2 or not self.drawn(k))

    @cached_property
    def counts(self) -> np.ndarray:
        """How many strings of at most 0, 1, ... sites there are, the identity not among them."""
        return np.cumsum(co.string_counts(self.picture.symmetry, self.picture.symmetry.sites)) - 1

    def rows_of(self, weight: int) -> int:
        """How many equations a network is fitted to."""
        return int(min(self.counts[weight], self.task.rows))

    def parameters_of(self, units: int) -> int:
        """Parameters of a network of some size."""
        if self.ansatz.size_key == "":
            return nets.parameter_vector(self.blank_network(units)).size
        _ = self.product  # known before shapes are traced
        return jax.eval_shape(lambda: nets.parameter_vector(self.blank_network(units))).size  # nothing is drawn

    @cached_property
    def sizes(self) -> list[Size]:
        """The networks: of one site less, smaller ones, and the one that answers, the last.

        **Raises** `NeurhoError` for more parameters than a third of the equations.
        """
        asked, weight = asked_units(self.ansatz), self.weight
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
        remedy = ("smaller parts, or " if key == "parts" else f"at most {fits}, or ") if fits else ""
        raise NeurhoError(
            f'Key `ansatz.{key}` must leave {each} equation{"s" * (each > 1)} for each parameter of kind = "{kind}", '
            f"but there are {count} parameters and {rows} equations of strings of up to {weight} sites; take {remedy}a "
            "larger task.weight or task.rows."
        )

    def blank_network(self, units: int) -> nets.AbstractStringNetwork:
        """A network of some size, at its start."""
        key = jax.random.fold_in(jax.random.key(self.picture.setup.config.seed), units)
        return made_network(self.picture.setup, self.ansatz, key, self.product, self.picture.symmetry.moves, units)

    @cached_property
    def members(self) -> list[nets.AbstractStringNetwork]:
        """All networks, in the product state of `product` or as another run has left those of the same make."""
        return [found or self.blank_network(size.units) for found, size in zip(self._left, self.sizes, strict=True)]

    @cached_property
    def _left(self) -> list[nets.AbstractStringNetwork | None]:
        """Networks of the run `initial.run` that serve as they are; strings that vanish there must vanish here, too."""
        ended, symmetry = self.picture.inherited, self.picture.symmetry
        family = None if ended is None else ended.networks
        if family is None or not symmetry.same(family.symmetry):
            return [None] * len(self.sizes)
        return [family.like(self.ansatz, *size) for size in self.sizes]

    def begun(self) -> Begun:
        """All networks at t = 0: as they were left, or fitted to what another run knows of strings with equations."""
        ended = self.picture.inherited
        if ended is None:
            return Begun(self.members, None)
        found, misfit = [], None
        for number, (network, left) in enumerate(zip(self.members, self._left, strict=True)):
            if left is None:
                last = number == len(self.sizes) - 1
                known = ended.fine if last else ended.coarse or ended.fine
                network, misfit = self._fitted(number, network, known)
            found.append(network)
        return Begun(found, misfit if self._left[-1] is None else None)

    def _fitted(
        self, number: int, network: nets.AbstractStringNetwork, known: co.Known
    ) -> tuple[nets.AbstractStringNetwork, float]:
        equations = self.equations(number, 0)
        light = equations.rows.strings.weights <= known.full
        strings, scale = equations.columns.take(equations.own[light]), equations.weights(self.task.metric)[light]
        values = co.moments_about(known, strings, None)
        fit = co.fit_values(network, strings, values, scale)
        return fit.network, float(np.sqrt(fit.after) / max(np.linalg.norm(scale * values), 1e-300))

    def equations(self, number: int, step: int) -> co.Equations:
        """The equations of a network at a step: all strings, or fresh ones."""
        weight = self.sizes[number].weight
        if self.drawn(weight):
            rng = np.random.default_rng([self.picture.setup.config.seed, number, step])
            rows = co.drawn_rows(self.picture.symmetry, weight, self.task.rows, rng)
            return co.build_equations(self.picture.terms, self.picture.symmetry, rows)
        return self._whole[weight]

    def drawn(self, weight: int) -> bool:
        """Whether there are more strings than equations may be taken."""
        return bool(self.counts[weight] > self.task.rows)

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
