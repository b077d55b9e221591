"""Products of exponentials of local parts for exp(L dt), to fourth order in dt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from neurho.matrix_product.generator import LineGenerator
from neurho.matrix_product.state import Gate

_A = (0.095848502741203681182, -0.078111158921637922695)
_B = (0.42652466131587616168, -0.12039526945509726545)
OPTIMISED = (_A[0], _B[0], _A[1], _B[1], 0.5 - sum(_A), 1 - 2 * sum(_B))
"""Weights of alternating layers up to the middle of a step, Barthel & Zhang, Ann. Phys. 418, 168165 (2020), Eq. 30a."""


class Stage(NamedTuple):
    """exp(weight dt L_layer(t + moment dt))."""

    layer: int
    weight: float
    moment: float


class Pair(NamedTuple):
    """The part of L on the places `left` < `right`, with the shares of one-site parts it carries: numbers of the parts
    of the generator, each with its factor and whether it acts on left, right or both.
    """

    left: int
    right: int
    parts: tuple[tuple[int, float], ...]


def pairs_of(generator: LineGenerator) -> list[Pair]:
    """All parts of L gathered into pairs; one-site parts are shared evenly by the pairs of their site.

    A site without a pair gets one with a neighbour.
    """
    two = [part.sites for part in generator.parts if len(part.sites) == 2]
    bare = [p for p in range(generator.sites) if not any(p in pair for pair in two)]
    extra = {(p, p + 1) if p + 1 < generator.sites else (p - 1, p) for p in bare}
    every = sorted({*two, *extra})
    count = np.zeros(generator.sites)
    for pair in every:
        count[list(pair)] += 1
    pairs = []
    for left, right in every:
        parts = [
            (number, 1.0 if len(part.sites) == 2 else 1 / count[part.sites[0]])
            for number, part in enumerate(generator.parts)
            if set(part.sites) <= {left, right}
        ]
        pairs.append(Pair(left=left, right=right, parts=tuple(parts)))
    return pairs


def layers_of(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs in layers without common places: even and odd bonds of a chain; longer ones by their length."""
    layers: list[tuple[int, list[Pair]]] = []
    for pair in sorted(pairs, key=lambda p: (p.right - p.left, p.left)):
        length = pair.right - pair.left
        for reach, layer in layers:
            if reach == length and layer[-1].right < pair.left:
                layer.append(pair)
                break
        else:
            layers.append((length, [pair]))
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
    """The gates of a step: exp(L dt) as a product over layers, with swaps where a pair is not neighbouring."""

    generator: LineGenerator
    pairs: list[Pair] = field(init=False, repr=False)
    layers: list[list[Pair]] = field(init=False, repr=False)
    stages: list[Stage] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.pairs = pairs_of(self.generator)
        self.layers = layers_of(self.pairs)
        self.stages = schedule(len(self.layers), moving=self.generator.moving)
        self._kept: dict[Any, list[Gate]] = {}
        size = self.generator.dim**2
        swap = np.eye(size**2).reshape((size,) * 4).transpose(1, 0, 2, 3).reshape(size**2, size**2)
        self._swap = swap

    def norm(self, t: float) -> float:
        """The largest norm of the part of L on one pair."""
        return max(float(np.linalg.norm(self._matrix(pair, t), 2)) for pair in self.pairs)

    def gates(self, t: float, dt: float) -> list[list[Gate]]:
        """The gates of every stage of a step from t to t + dt, sorted along the line."""
        return [self._layer(stage, t, dt) for stage in self.stages]

    def _layer(self, stage: Stage, t: float, dt: float) -> list[Gate]:
        moving = self.generator.moving
        key = (stage.layer, stage.weight, dt)
        if not moving and key in self._kept:
            return self._kept[key]
        gates = []
        for pair in self.layers[stage.layer]:
            exponential = scipy.linalg.expm(stage.weight * dt * self._matrix(pair, t + stage.moment * dt))
            there = [Gate(place, self._swap) for place in range(pair.right - 1, pair.left, -1)]
            gates += [*there, Gate(pair.left, exponential), *reversed(there)]
        if not moving:
            self._kept[key] = gates
        return gates

    def _matrix(self, pair: Pair, t: float) -> np.ndarray:
        """The part of L on a pair at time t, `(d^4, d^4)`."""
        size = self.generator.dim**2
        total = np.zeros((size**2, size**2))
        for number, factor in pair.parts:
            part = self.generator.parts[number]
            matrix = factor * part.at(t)
            if len(part.sites) == 1:
                eye = np.eye(size)
                matrix = np.kron(matrix, eye) if part.sites[0] == pair.left else np.kron(eye, matrix)
            total += matrix
        return total
