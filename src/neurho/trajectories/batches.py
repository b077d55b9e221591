"""All amplitudes, or those of one parity, of trajectories side by side: compiled by JAX."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho.trajectories.readings import Readings
from neurho.trajectories.space import Space
from neurho.trajectories.spread import Device, workers
from neurho.trajectories.start import start_walk
from neurho.trajectories.system import Accuracy, System
from neurho.trajectories.walk import Walk, advance


@dataclass(frozen=True, eq=False)
class Batches:
    """The engine of any model."""

    system: System
    readings: Readings
    matrices: np.ndarray
    key: PRNGKeyArray
    accuracy: Accuracy
    lanes: int

    @property
    def space(self) -> Space:
        """Where vectors live."""
        return self.system.space

    @property
    def sizes(self) -> dict[str, int | str]:
        """Amplitudes of a wave function."""
        return {"configurations": self.space.dimension, "parity": self.space.halved, "momenta": 1}

    @property
    def stored_bytes(self) -> float:
        """Bytes of one vector of a group."""
        return 2.0 * np.dtype(self.accuracy.dtype).itemsize * self.space.dimension * self.lanes

    @property
    def working_bytes(self) -> float:
        """Bytes of the vectors of a step, and a dozen more, for each device."""
        return (self.system.terms + 12) * self.stored_bytes * len(workers())

    def start(self, trajectories: np.ndarray, t0: float) -> Walk:
        """Trajectories at their beginning."""
        walk = start_walk(self.matrices, self.space, self.key, trajectories, self.accuracy.dtype, t0)
        return jax.tree.map(np.asarray, walk)

    def follow(self, walk: Walk, times: np.ndarray, device: Device) -> tuple[Walk, np.ndarray]:
        """A group at the last of `times`, and the means of all operators at each, `(times, lanes, operators)`."""
        own = jax.tree.map(jnp.asarray, walk)
        placed: Any = jax.device_put((self.system, self.readings, self.key, own, jnp.asarray(times)), device)
        moved, values = advance(*placed)
        return jax.tree.map(np.asarray, moved), np.asarray(values, dtype=float).transpose(0, 2, 1)

    def portable(self) -> "Batches":
        """The same with NumPy's arrays: JAX halves the precision of its own where they arrive before it is told of
        doubles.
        """
        system, readings = (
            jax.tree.map(lambda x: np.asarray(x) if isinstance(x, jax.Array) else x, part)
            for part in (self.system, self.readings)
        )
        return replace(self, system=system, readings=readings)
