"""Which engine follows the trajectories of a model: wave functions of definite momentum, or batches of any."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from neurho._types import NeurhoError
from neurho.model.operators import Lindbladian, Operator
from neurho.trajectories.batches import Batches
from neurho.trajectories.collective import Collective
from neurho.trajectories.engine import Engine
from neurho.trajectories.momenta import make_momenta
from neurho.trajectories.readings import make_readings, require_operators
from neurho.trajectories.space import Space
from neurho.trajectories.start import space_of
from neurho.trajectories.system import Accuracy, lanes_of, make_system
from neurho.trajectories.translations import Translations, is_invariant, translations_of

WORTHWHILE = 2**15
"""Bytes of one real number for each configuration from which on momentum is taken unless told otherwise: 12 spins in
double precision, 13 in single. With fewer, batches find smaller errors in the same time."""


def make_engine(
    model: Lindbladian,
    matrices: np.ndarray,
    operators: Sequence[Operator],
    *,
    key: PRNGKeyArray,
    accuracy: Accuracy,
    span: tuple[float, float, float],
    lanes: int | None = None,
    momentum: bool | None = None,
    stationary: bool = False,
) -> Engine:
    """The engine of a run.

    **Arguments**

    - `matrices`: of the sites of the start, `(sites, d, d)`.
    - `span`: first time, last time, longest step.
    - `momentum`: whether wave functions have a momentum; None: where it is faster.
    - `stationary`: only averages are asked for that do not depend on the start.

    **Raises** `NeurhoError` where momentum is asked for and there is none.
    """
    space = space_of(model, matrices)
    size = np.dtype(accuracy.dtype).itemsize * space.local_dim**space.sites
    if momentum is not False and (momentum or size >= WORTHWHILE):
        group = momenta_of(model, None if stationary else matrices)
        if isinstance(group, Translations):
            return _collective(model, matrices, operators, space, group, key, accuracy, lanes)
        if momentum:
            raise NeurhoError(f"Argument `momentum` must be false here, but it is true: {group}.")
    t0, t1, spacing = span
    return Batches(
        system=make_system(model, space, accuracy, spacing=spacing, t0=t0, t1=t1),
        readings=make_readings(operators, space, accuracy.dtype),
        matrices=matrices,
        key=key,
        accuracy=accuracy,
        lanes=lanes or lanes_of(space, accuracy),
    )


def momenta_of(model: Lindbladian, matrices: np.ndarray | None) -> Translations | str:
    """The translations that keep a model, and a start where one is given; or why momentum is of no use."""
    if model.is_time_dependent:
        return "the model depends on time, and such wave functions are followed without a momentum"
    group = translations_of(model)
    if group.size == 1:
        return "no translation of the lattice leaves the model as it is"
    if matrices is not None and not is_invariant(matrices, group):
        return "the start is not the same after every translation, and single sites would be averaged"
    return group


def _collective(
    model: Lindbladian,
    matrices: np.ndarray,
    operators: Sequence[Operator],
    space: Space,
    group: Translations,
    key: PRNGKeyArray,
    accuracy: Accuracy,
    lanes: int | None,
) -> Collective:
    require_operators(operators, space)
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    first, second = map(int, np.random.SeedSequence(words).generate_state(2, np.uint64))
    return Collective(
        momenta=make_momenta(model, space, group, operators, accuracy.tolerance),
        matrices=matrices,
        seed=(first, second),
        lanes=lanes or 1,
    )
