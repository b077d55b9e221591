"""Numbers that compiled programs take: times, steps, strengths."""

from typing import TypeAlias

from jaxtyping import Array, Float

Scalar: TypeAlias = Float[Array, ""] | float
"""A real number, of Python or of JAX."""
