"""Wave functions of one momentum that jump to others: SciPy's sparse matrices, one trajectory after the other.

Jumps of one orbit under translations may be mixed by any unitary matrix: with c_q = N^(-1/2) sum_g chi_q(g) c_g in
place of the c_g the Lindbladian is the same, H_eff too, and a wave function of momentum k jumps to momentum k - q. The
threshold of the next jump is known before a step, so that a step is as long as the decay of the norm promises.
"""

from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize

from neurho.trajectories.momenta import Block, Momenta, order_of
from neurho.trajectories.orbits import projections
from neurho.trajectories.spread import Device, workers
from neurho.trajectories.start import mixtures
from neurho.trajectories.system import LARGEST_REACH

FURTHER = 1.1
"""How much further than the expected time of the next jump a step reaches."""


class Hopping(NamedTuple):
    """A group of trajectories, each at its own time: arrays with an axis of lanes.

    - `psi`: amplitudes of orbits, not normalised; `threshold`: the norm squared at which it jumps.
    - `parity`, `momentum`: of the wave function; `trajectory`, `event`: which random numbers come next.
    """

    psi: np.ndarray
    threshold: np.ndarray
    t: np.ndarray
    parity: np.ndarray
    momentum: np.ndarray
    trajectory: np.ndarray
    event: np.ndarray


@dataclass
class _Walker:
    """One trajectory while it is followed."""

    psi: np.ndarray
    threshold: float
    t: float
    parity: int
    momentum: int
    trajectory: int
    event: int


class _Stretch(NamedTuple):
    """A step: psi(t + s) = sum_n w_n(s) u_n for s up to `length`, with <psi|psi> = `norm` at s = 0."""

    block: Block
    series: np.ndarray
    length: float
    norm: float

    def at(self, s: float) -> np.ndarray:
        """The wave function."""
        return self.block.weights(s, len(self.series) - 1) @ self.series


@dataclass(frozen=True, eq=False)
class Collective:
    """The engine of models with translations; `seed`: a key of 128 bits."""

    momenta: Momenta
    matrices: np.ndarray
    seed: tuple[int, int]
    lanes: int = field(default=1)

    @property
    def sizes(self) -> dict[str, int | str]:
        """Amplitudes of a wave function."""
        orbits = self.momenta.orbits
        return {"configurations": orbits.dimension, "parity": orbits.space.halved, "momenta": orbits.group.size}

    @property
    def stored_bytes(self) -> float:
        """Bytes of the wave functions of a group."""
        return 16.0 * self.momenta.orbits.dimension * self.lanes

    @property
    def working_bytes(self) -> float:
        """Tables, matrices, and for each worker the vectors of a step and those of all momenta, twice."""
        momenta, size = self.momenta, self.momenta.orbits.group.size
        largest = 20.0 * max(len(table.starts) for table in momenta.effective)
        matrices = sum(momenta.kept.values()) + 3 * largest * len(workers())
        vectors = order_of(int(4 * LARGEST_REACH), 0.5, momenta.tolerance) + 3 * size + 12
        return momenta.table_bytes + matrices + 16.0 * momenta.orbits.dimension * vectors * len(workers())

    def portable(self) -> "Collective":
        """The same without matrices that are made again."""
        return replace(self, momenta=replace(self.momenta, known={}))

    def start(self, trajectories: np.ndarray, t0: float) -> Hopping:
        """Trajectories at their beginning: product states that are drawn, and their momentum."""
        return _stacked([self._first(int(n), t0) for n in trajectories], self.momenta.orbits.dimension)

    def follow(self, walk: Hopping, times: np.ndarray, device: Device) -> tuple[Hopping, np.ndarray]:
        """A group at the last of `times`, and the means of all operators at each, `(times, lanes, operators)`."""
        del device
        walkers, found = [], []
        for lane in range(len(walk.t)):
            psi, *numbers = (part[lane] for part in walk)
            walker = _Walker(psi, *(number.item() for number in numbers))
            walker.psi = psi[: len(self.momenta.orbits.sectors[walker.parity].least)]
            found.append(self._means(walker, times))
            walkers.append(walker)
        return _stacked(walkers, self.momenta.orbits.dimension), np.stack(found, axis=1)

    def _first(self, number: int, t0: float) -> _Walker:
        orbits = self.momenta.orbits
        values, vectors = mixtures(self.matrices)
        draws = self._uniforms(number, 0, orbits.space.sites + 2)
        chosen = np.sum(np.cumsum(values, axis=1) < draws[2:, None], axis=1)
        factors = [vectors[j][:, min(int(n), len(vectors[j]) - 1)] for j, n in enumerate(chosen)]
        parity = int(sum(np.argmax(np.abs(f)) for f in factors)) % 2 if orbits.space.halved else 0
        rows, levels = orbits.images[parity], len(factors[0])
        strides = levels ** np.arange(len(factors) - 1, -1, -1)
        product = reduce(np.multiply, [f[rows // stride % levels] for f, stride in zip(factors, strides, strict=True)])
        options = projections(orbits, product.astype(complex), parity)
        k = _drawn(np.sum(np.abs(options) ** 2, axis=1), draws[1])
        return _Walker(_unit(options[k]), draws[0], t0, parity, k, number, 0)

    def _means(self, walker: _Walker, times: np.ndarray) -> np.ndarray:
        """Means at all times, on the way to the last; a time within a step does not end it."""
        found: list[np.ndarray] = []
        while len(found) < len(times):
            if times[len(found)] <= walker.t:
                found.append(self.momenta.means(walker.psi, walker.parity, walker.momentum))
                continue
            stretch = self._stretch(walker, float(times[-1]) - walker.t)
            s, after, crosses = _crossing(stretch, walker.threshold, self.momenta.tolerance)
            begin = walker.t
            end = float(times[-1]) if not crosses and stretch.length >= times[-1] - begin else begin + s
            while len(found) < len(times) and times[len(found)] < end:
                psi = stretch.at(float(times[len(found)]) - begin)
                found.append(self.momenta.means(psi, walker.parity, walker.momentum))
            walker.psi, walker.t = after, end
            if crosses:
                self._jump(walker)
        return np.array(found)

    def _stretch(self, walker: _Walker, left: float) -> _Stretch:
        """A step towards the next jump that is expected: d ln <psi|psi>/dt = -<Gamma>."""
        block, psi = self.momenta.block(walker.parity, walker.momentum), walker.psi
        first, norm = block.matrix @ psi, float(np.vdot(psi, psi).real)
        energy = block.radius * np.vdot(psi, first) / norm + block.centre
        expected = np.log(norm / walker.threshold) / max(-2 * energy.imag, 1e-300)
        length = min(left, LARGEST_REACH / block.radius, FURTHER * float(expected) + 0.25 / block.radius)
        order = order_of(int(np.ceil(4 * block.radius * length)), block.width, self.momenta.tolerance)
        return _Stretch(block, block.polynomials(psi, first, order), length, norm)

    def _jump(self, walker: _Walker) -> None:
        """To one momentum by one orbit of jump operators, with a new threshold."""
        options = self.momenta.options(walker.psi, walker.parity, walker.momentum)
        chances = np.stack([np.sum(np.abs(vectors) ** 2, axis=1) for vectors in options])
        walker.event += 1
        walker.threshold, choice = self._uniforms(walker.trajectory, walker.event, 2)
        # A state that nothing leaves may reach its threshold by rounding alone: it draws another one and stays.
        if chances.sum() <= 1e-9 * np.vdot(walker.psi, walker.psi).real:
            walker.psi = _unit(walker.psi)
            return
        channel, k = divmod(_drawn(chances.ravel(), choice), chances.shape[1])
        walker.psi, walker.momentum = _unit(options[channel][k]), k
        walker.parity ^= self.momenta.changes[channel]

    def _uniforms(self, trajectory: int, event: int, count: int) -> np.ndarray:
        """Random numbers in (0, 1] that belong to an event of a trajectory (Philox, a counter)."""
        counter = np.array([0, 0, event, trajectory], dtype=np.uint64)
        return 1 - np.random.Generator(np.random.Philox(key=np.array(self.seed, np.uint64), counter=counter)).random(
            count
        )


def _crossing(stretch: _Stretch, threshold: float, tolerance: float) -> tuple[float, np.ndarray, bool]:
    """Where the norm falls to the threshold, or the end of the step; the wave function there, and whether it does."""
    goal = np.log(threshold)
    known: dict[float, tuple[np.ndarray, float]] = {0.0: (stretch.series[0], float(np.log(stretch.norm) - goal))}

    def above(s: float) -> float:
        if s not in known:
            psi = stretch.at(s)
            known[s] = psi, float(np.log(np.vdot(psi, psi).real) - goal)
        return known[s][1]

    crosses = above(stretch.length) <= 0
    s = stretch.length
    if crosses:
        found: Any = scipy.optimize.brentq(above, 0.0, s, xtol=tolerance) if above(0.0) > 0 else 0.0
        above(s := float(found))
    return s, known[s][0], crosses


def _drawn(chances: np.ndarray, choice: float) -> int:
    """The number drawn with chances that need not add up to 1, by a random number in (0, 1]."""
    reached = np.cumsum(chances)
    return min(int(np.searchsorted(reached, choice * reached[-1])), len(chances) - 1)


def _unit(psi: np.ndarray) -> np.ndarray:
    return psi / np.linalg.norm(psi)


def _stacked(walkers: list[_Walker], size: int) -> Hopping:
    psi = np.zeros((len(walkers), size), dtype=complex)
    for row, walker in zip(psi, walkers, strict=True):
        row[: len(walker.psi)] = walker.psi
    columns = [[getattr(w, name) for w in walkers] for name in Hopping._fields[1:]]
    return Hopping(psi, *(np.array(column) for column in columns))
