"""A number with its error."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped


class Estimate(NamedTuple):
    """A mean with its standard error (zero for exact sums), any shape."""

    mean: Shaped[Array | np.ndarray, "..."]
    error: Float[Array | np.ndarray, "..."]
