"""Networks of correlators in time and towards a stationary state: implicit steps, in the norm sum lambda^|P| r_P^2."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, diags_array

from neurho.correlators.fitting import implicit_step
from neurho.correlators.networks import (
    AbstractStringNetwork,
    Filtered,
    parameter_vector,
    put_back,
    string_values,
    with_first,
    with_parameters,
)
from neurho.correlators.rows import Equations

FIRST_STEP, GROWTH, LONGEST = 0.3, 1.3, 1e4
"""Of pseudo-time: c(t + dt) - dt L c(t + dt) = c(t), ever closer to L c = 0."""

SHRINK, WIDEN = 0.3, 2.0
"""How much shorter or longer a step may be than the one before."""


class Place(NamedTuple):
    """Where a network is: parameters now and one step ago, the length of that step and of the next one, the damping of
    Levenberg and Marquardt, and what all implicit steps have left.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    pair, up = neurho.chain(2), np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    terms, symmetry = co.string_terms(neurho.xyz(pair)), co.Symmetry(pair.translations, letters=4)
    equations = co.build_equations(terms, symmetry, co.all_rows(symmetry, 2))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    place = co.search_start(network)
    assert place.theta.shape == (128,) and place.length == 0.3  # parameters; the first step
    ```
    """

    theta: np.ndarray
    before: np.ndarray
    last: float
    length: float
    damping: float
    left: float


def search_start(network: AbstractStringNetwork) -> Place:
    """Before the first step of a search.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    up = np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    place = neurho.correlators.search_start(network)
    assert place.last == 0 and np.array_equal(place.theta, place.before)
    ```
    """
    return _start(network, FIRST_STEP, 1e-3)


def flow_start(network: AbstractStringNetwork, length: float) -> Place:
    """Before the first step of an evolution.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    up = np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    place = neurho.correlators.flow_start(network, length=0.02)
    assert place.length == 0.02
    ```
    """
    return _start(network, length, 1e-6)


def _start(network: AbstractStringNetwork, length: float, damping: float) -> Place:
    theta = np.asarray(parameter_vector(network))
    return Place(theta=theta, before=theta, last=0.0, length=length, damping=damping, left=0.0)


def search_step(network: AbstractStringNetwork, equations: Equations, metric: float, place: Place) -> Place:
    """One step in pseudo-time: backward Euler, ever longer. `left` is what L c leaves, relative to c.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    pair, up = neurho.chain(2), np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    terms, symmetry = co.string_terms(neurho.xyz(pair)), co.Symmetry(pair.translations, letters=4)
    equations = co.build_equations(terms, symmetry, co.all_rows(symmetry, 2))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    place = co.search_start(network)
    for _ in range(20):
        place = neurho.correlators.search_step(network, equations, 1 / 3, place)
    found = co.networks.with_parameters(network, place.theta)
    sz = co.networks.string_values(found, co.all_strings(symmetry, 1))[2]
    assert place.left < 1e-6 and abs(sz + 25 / 34) < 1e-6  # exact for two spins
    ```
    """
    dt, weights = place.length, equations.weights(metric)
    now = with_parameters(network, place.theta)
    c = string_values(now, equations.columns)[equations.own]
    scale, rates = weights / (1 + dt), equations.matrix(0.0)
    matrix = _scaled(scale, equations.identity - dt * rates)
    fit = implicit_step(now, equations.columns, matrix, scale * c, place.damping)
    return Place(
        theta=np.asarray(parameter_vector(fit.network)),
        before=place.theta,
        last=dt,
        length=min(GROWTH * dt, LONGEST),
        damping=fit.damping,
        left=residual(fit.network, equations, weights, rates),
    )


def search_step_of_first(network: Filtered, count: int, equations: Equations, metric: float, place: Place) -> Place:
    """One step in pseudo-time of the network of the first `count` filters; the others wait without weight.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    pair, up = neurho.chain(2), np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    terms, symmetry = co.string_terms(neurho.xyz(pair)), co.Symmetry(pair.translations, letters=4)
    equations = co.build_equations(terms, symmetry, co.all_rows(symmetry, 2))
    network = co.networks.mixture_network(jax.random.key(0), up, pair.translations, 2)
    place = co.search_start(network)
    place = neurho.correlators.search_step_of_first(network, 1, equations, 1 / 3, place)
    assert place.left > 0
    ```
    """
    whole = with_parameters(network, place.theta)
    part = with_first(whole, count)
    begin = place._replace(theta=np.asarray(parameter_vector(part)))
    moved = search_step(part, equations, metric, begin)
    again = put_back(whole, with_parameters(part, moved.theta))
    return moved._replace(theta=np.asarray(parameter_vector(again)), before=place.theta)


def flow_step(
    network: AbstractStringNetwork,
    equations: Equations,
    metric: float,
    place: Place,
    times: tuple[float, float],
    *,
    tolerance: float,
    least: float,
) -> tuple[Place, bool]:
    """One step of Crank and Nicolson from times[0] to times[1], at which coefficients are evaluated; whether it counts.

    The error of the step, from the rule of Adams and Bashforth of second order as a predictor, is at most `tolerance`
    in the norm, unless the step is shorter than `least`.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    pair, up = neurho.chain(2), np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    terms, symmetry = co.string_terms(neurho.xyz(pair)), co.Symmetry(pair.translations, letters=4)
    equations = co.build_equations(terms, symmetry, co.all_rows(symmetry, 2))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    place, times = co.flow_start(network, 0.02), (0.0, 0.02)
    options = {"tolerance": 1e-2, "least": 1e-3}
    place, counts = neurho.correlators.flow_step(network, equations, 1 / 3, place, times, **options)
    found = co.networks.with_parameters(network, place.theta)
    sz = co.networks.string_values(found, co.all_strings(symmetry, 1))[2]
    assert counts and abs(sz - (2 * np.exp(-0.02) - 1)) < 1e-3
    ```
    """
    begin, end = times
    h, weights = place.length, equations.weights(metric)
    now = with_parameters(network, place.theta)
    c = string_values(now, equations.columns)
    own, first, second = c[equations.own], equations.matrix(begin), equations.matrix(end)
    rate = first @ c
    matrix = _scaled(weights, equations.identity - h / 2 * second)
    target = weights * (own + h / 2 * rate)
    fit = implicit_step(now, equations.columns, matrix, target, place.damping, iterations=3, enough=0.1 * tolerance)
    found = string_values(fit.network, equations.columns)[equations.own]
    if place.last:
        r = h / place.last
        old = first @ string_values(with_parameters(network, place.before), equations.columns)
        off = (found - own - h * ((1 + r / 2) * rate - r / 2 * old)) / (3 * (1 + 1 / r))
    else:
        off = (found - own - h * rate) / 2
    error = float(np.linalg.norm(weights * off)) / tolerance
    factor = min(WIDEN, max(SHRINK, 0.9 * max(error, 1e-9) ** (-1 / 3)))
    if error > 1 and h > least:
        return place._replace(length=max(h * min(factor, 0.9), least)), False
    moved = Place(
        theta=np.asarray(parameter_vector(fit.network)),
        before=place.theta,
        last=h,
        length=h * factor,
        damping=min(fit.damping, 1e-3),
        left=place.left + float(np.sqrt(fit.after)),
    )
    return moved, True


def residual(network: AbstractStringNetwork, equations: Equations, weights: np.ndarray, rates: csr_array) -> float:
    """|| W L c || / || W c ||, both over the rows; `rates` is L of the equations.

    ```python
    import jax
    import numpy as np
    import neurho
    from neurho import correlators as co

    jax.config.update("jax_enable_x64", True)
    pair, up = neurho.chain(2), np.tile([1.0, 0.0, 0.0, 1.0], (2, 1))
    terms, symmetry = co.string_terms(neurho.xyz(pair)), co.Symmetry(pair.translations, letters=4)
    equations = co.build_equations(terms, symmetry, co.all_rows(symmetry, 2))
    network = co.networks.matrix_product_network(jax.random.key(0), up, 4)
    weights, rates = equations.weights(1 / 3), equations.matrix(0.0)
    assert neurho.correlators.residual(network, equations, weights, rates) > 1  # all up is far from stationary
    ```
    """
    c = string_values(network, equations.columns)
    size = float(np.linalg.norm(weights * c[equations.own]))
    return float(np.linalg.norm(weights * (rates @ c))) / max(size, 1e-300)


def _scaled(weights: np.ndarray, matrix: csr_array) -> csr_array:
    """Rows of a sparse matrix, each times its weight."""
    return csr_array(diags_array(weights) @ matrix)
