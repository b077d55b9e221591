"""Programs: compiled ahead, once, and parts of each other."""

from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from neurho._jax.compiling import beside, program, rehearse


@pytest.fixture
def compiled():
    """The names of the functions that JAX compiles from here on."""
    names: Counter[str] = Counter()

    def listen(event: str, _: float, *, fun_name: str = "", **__: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names[fun_name] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def done():
    """Wait for what was begun in the second thread."""
    return beside(lambda: None)()


def test_a_rehearsed_program_is_not_compiled_again(compiled):
    @program
    def cosh(x: jax.Array, n: int) -> jax.Array:
        return jnp.cosh(n * x)

    x = jnp.arange(3.0)
    rehearse(cosh, jnp.zeros(3), 2)
    done()
    before = compiled.total()
    assert before > 0
    value = cosh(x, 2)
    assert compiled.total() == before
    assert jnp.allclose(value, jnp.cosh(2 * x))
    cosh(x, 3)
    assert compiled.total() > before


def test_a_program_is_a_part_of_another():
    @program
    def inner(x: jax.Array) -> jax.Array:
        return 2 * x

    @program
    def outer(x: jax.Array) -> jax.Array:
        return jax.lax.map(inner, x) + jax.grad(lambda y: jnp.sum(inner(y) ** 2))(x)

    assert jnp.allclose(outer(jnp.arange(3.0)), 10 * jnp.arange(3.0))


def test_what_goes_wrong_in_a_rehearsal_goes_wrong_where_the_program_is_called():
    @program
    def never(x: jax.Array) -> jax.Array:
        raise ArithmeticError("never")

    rehearse(never, jnp.zeros(3))
    done()
    with pytest.raises(ArithmeticError, match="never"):
        never(jnp.zeros(3))


def test_what_goes_wrong_beside_is_raised_when_its_value_is_asked_for():
    ask = beside(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask()
