"""Normal numbers of all shapes: those of JAX for each key, and as many programs as there are sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurho._jax.normals import normal_array, normal_arrays


@pytest.mark.parametrize("shapes", [((3, 4), (7,)), ((2, 40), (5, 1), (), (0, 3))])
def test_they_are_those_of_a_key_for_each(shapes):
    key = jax.random.key(5)
    found = normal_arrays(key, shapes)
    for one, own, shape in zip(found, jax.random.split(key, len(shapes)), shapes, strict=True):
        assert one.shape == shape
        np.testing.assert_allclose(one, jax.random.normal(own, shape, dtype=float), rtol=1e-14)


def test_within_a_program_they_are_the_same():
    shapes = ((3, 4), (7,))
    for one, traced in zip(
        normal_arrays(jax.random.key(2), shapes),
        jax.jit(lambda key: normal_arrays(key, shapes))(jax.random.key(2)),
        strict=True,
    ):
        np.testing.assert_allclose(jnp.asarray(one), traced, rtol=1e-14)


@pytest.mark.parametrize("shape", [(3, 4), (), (0, 3)])
def test_one_array_is_that_of_its_key(shape):
    key = jax.random.key(6)
    expected = jax.random.normal(key, shape, dtype=float)
    for one in (normal_array(key, shape), jax.jit(lambda key: normal_array(key, shape))(key)):
        assert one.shape == shape
        np.testing.assert_allclose(one, expected, rtol=1e-14)
