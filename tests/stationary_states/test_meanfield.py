"""Mean-field stationary states against closed forms and the exact equation for products."""

import jax
import numpy as np
import pytest

import helpers
from neurho import exact, models
from neurho.matrix_elements.generator import lindbladian_map, to_table
from neurho.model import lattice
from neurho.stationary_states.mean_field import mean_field, mean_field_rates


def test_rates_are_partial_traces_of_the_lindbladian():
    model = helpers.random_lindbladian(3, 3)
    rng = np.random.default_rng(1)
    states = np.stack([helpers.random_state(rng, 2) for _ in range(3)])
    rho = np.kron(np.kron(states[0], states[1]), states[2])
    moved = helpers.liouvillian(model) @ to_table(rho, 3, 2)
    moved = moved.reshape(4, 4, 4)
    trace = np.eye(2).reshape(-1)
    expected = [
        np.einsum("abc,b,c->a", moved, trace, trace),
        np.einsum("abc,a,c->b", moved, trace, trace),
        np.einsum("abc,a,b->c", moved, trace, trace),
    ]
    generator = jax.tree.map(np.asarray, lindbladian_map(model))
    np.testing.assert_allclose(mean_field_rates(generator, states.reshape(3, 4)), expected, atol=1e-12)


def test_uncoupled_spins_are_exact():
    model = models.heisenberg(lattice.chain(2), field=[0.5, 0, 0.2], decay=1.0, dephasing=0.3)
    found = mean_field(lindbladian_map(model))
    assert found.settled
    values = exact.expectations(exact.stationary_state(model).rho, model)
    for place, axis in enumerate("xyz"):
        np.testing.assert_allclose(found.bloch()[:, place], values[f"s{axis}_site"], atol=1e-7)


def test_driven_dissipative_ising_mean_field():
    """Bloch equations of the uniform state: 0 = d r/dt with an effective field 2 V_zz z <sigma^z> along z."""
    g, v = 1.0, 0.5
    model = models.heisenberg(lattice.chain(6, periodic=True), field=[g / 2, 0, 0], coupling=[0, 0, v], decay=1.0)
    found = mean_field(lindbladian_map(model))
    assert found.settled
    x, y, z = found.bloch()[0]
    np.testing.assert_allclose(found.bloch(), np.broadcast_to([x, y, z], (6, 3)), atol=1e-6)
    # H = g/2 sx + h sz with h = 2 v z:  x' = -2 h y - x/2,  y' = 2 h x - g z - y/2,  z' = g y - (z + 1)
    h = 2 * v * z
    assert [-2 * h * y - x / 2, 2 * h * x - g * z - y / 2, g * y - (z + 1)] == pytest.approx([0, 0, 0], abs=1e-6)
