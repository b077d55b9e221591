"""Products of exponentials of local parts for exp(L dt), to fourth order in dt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from neurho.matrix_product.generator import LineGenerator
from neurho.matrix_product.state import Gate
from neurho.model.operators import LocalTerm, embed

_A = (0.095848502741203681182, -0.078111158921637922695)
_B = (0.42652466131587616168, -0.12039526945509726545)
OPTIMISED = (_A[0], _B[0], _A[1], _B[1], 0.5 - sum(_A), 1 - 2 * sum(_B))
"""Weights of alternating layers up to the middle of a step, Barthel & Zhang, Ann. Phys. 418, 168165 (2020), Eq. 30a."""


class Stage(NamedTuple):
    """exp(weight dt L_layer(t + moment dt))."""

    layer: int
    weight: float
    moment: float


class Group(NamedTuple):
    """The part of L on two or three `places`, ascending: numbers of the parts of the generator, each with the share
    of it that the group carries.
    """

    places: tuple[int, ...]
    parts: tuple[tuple[int, float], ...]

    @property
    def span(self) -> int:
        """How far the last place is from the first."""
        return self.places[-1] - self.places[0]


def groups_of(generator: LineGenerator) -> list[Group]:
    """All parts of L gathered into groups of two or three places; a part is shared evenly by the groups that hold it.

    A site without a group gets a pair with a neighbour.
    """
    several = [part.sites for part in generator.parts if len(part.sites) > 1]
    every = [sites for sites in several if not any(set(sites) < set(other) for other in several)]
    bare = [p for p in range(generator.sites) if not any(p in places for places in every)]
    every += [(p, p + 1) if p + 1 < generator.sites else (p - 1, p) for p in bare]
    every = sorted(set(every))
    holders = [sum(set(part.sites) <= set(places) for places in every) for part in generator.parts]
    groups = []
    for places in every:
        held = [n for n, part in enumerate(generator.parts) if set(part.sites) <= set(places)]
        groups.append(Group(places=places, parts=tuple((n, 1 / holders[n]) for n in held)))
    return groups


def layers_of(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups in layers without common places: even and odd bonds of a chain; longer ones by their length."""
    layers: list[tuple[tuple[int, int], list[Group]]] = []
    for group in sorted(groups, key=lambda g: (len(g.places), g.span, g.places)):
        kind = (len(group.places), group.span)
        for other, layer in layers:
            if other == kind and layer[-1].places[-1] < group.places[0]:
                layer.append(group)
                break
        else:
            layers.append((kind, [group]))
    return [layer for _, layer in layers]


def schedule(layers: int, *, moving: bool) -> list[Stage]:
    """The stages of one step of fourth order.

    Two layers and a constant L: the optimised product of Barthel & Zhang, Ann. Phys. 418, 168165 (2020), Eq. 30a.
    Otherwise five symmetric products of second order, each with L at its middle (Suzuki, J. Math. Phys. 32, 400
    (1991)), which stays of fourth order where L depends on time.
    """
    if layers == 1 and not moving:
        return [Stage(0, 1.0, 0.5)]
    if layers == 2 and not moving:
        halves = [Stage(number % 2, weight, 0.5) for number, weight in enumerate(OPTIMISED)]
        return [*halves, *halves[-2::-1]]
    outer = 1 / (4 - 4 ** (1 / 3))
    stages, start = [], 0.0
    for share in (outer, outer, 1 - 4 * outer, outer, outer):
        middle = start + share / 2
        order = [*range(layers - 1), *reversed(range(layers - 1))]
        halves = [Stage(layer, share / 2, middle) for layer in order]
        stages += [*halves[: layers - 1], Stage(layers - 1, share, middle), *halves[layers - 1 :]]
        start += share
    return stages if moving else _merged(stages)


def _merged(stages: list[Stage]) -> list[Stage]:
    """Neighbouring stages of the same layer made one."""
    found: list[Stage] = []
    for stage in stages:
        if found and found[-1].layer == stage.layer:
            stage = stage._replace(weight=found.pop().weight + stage.weight)
        found.append(stage)
    return found


@dataclass(eq=False)
class Splitting:
    """The gates of a step: exp(L dt) as a product over layers, with swaps where places are not neighbouring."""

    generator: LineGenerator
    groups: list[Group] = field(init=False, repr=False)
    layers: list[list[Group]] = field(init=False, repr=False)
    stages: list[Stage] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.groups = groups_of(self.generator)
        self.layers = layers_of(self.groups)
        self.stages = schedule(len(self.layers), moving=self.generator.moving)
        self._kept: dict[Any, list[Gate]] = {}
        size = self.generator.dim**2
        swap = np.eye(size**2).reshape((size,) * 4).transpose(1, 0, 2, 3).reshape(size**2, size**2)
        self._swap = swap

    def norm(self, t: float) -> float:
        """The largest norm of the part of L on one group."""
        return max(float(np.linalg.norm(self._matrix(group, t), 2)) for group in self.groups)

    def gates(self, t: float, dt: float) -> list[list[Gate]]:
        """The gates of every stage of a step from t to t + dt, sorted along the line."""
        return [self._layer(stage, t, dt) for stage in self.stages]

    def _layer(self, stage: Stage, t: float, dt: float) -> list[Gate]:
        moving = self.generator.moving
        key = (stage.layer, stage.weight, dt)
        if not moving and key in self._kept:
            return self._kept[key]
        gates: list[Gate] = []
        known: dict[bytes, np.ndarray] = {}
        for group in self.layers[stage.layer]:
            matrix = stage.weight * dt * self._matrix(group, t + stage.moment * dt)
            if (name := matrix.tobytes()) not in known:
                known[name] = scipy.linalg.expm(matrix)
            there = self._gathering(group.places)
            gates += [*there, Gate(group.places[0], known[name]), *reversed(there)]
        if not moving:
            self._kept[key] = gates
        return gates

    def _gathering(self, places: tuple[int, ...]) -> list[Gate]:
        """Swaps that bring places side by side, to the right of the first."""
        first, *others = places
        return [
            Gate(place, self._swap)
            for number, other in enumerate(others)
            for place in range(other - 1, first + number, -1)
        ]

    def _matrix(self, group: Group, t: float) -> np.ndarray:
        """The part of L on a group at time t, `(d^2k, d^2k)` for k places."""
        size, places = self.generator.dim**2, group.places
        total = np.zeros((size ** len(places),) * 2)
        for number, factor in group.parts:
            part = self.generator.parts[number]
            total += factor * embed(LocalTerm(part.sites, part.at(t)), places, size)
        return total
