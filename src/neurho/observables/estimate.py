"""A number with its error."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped


class Estimate(NamedTuple):
    """A mean with its standard error (zero for exact sums), any shape.

    ```python
    import neurho

    result = neurho.stationary(neurho.xyz(neurho.chain(2), coupling=(1, 1, 1)))
    assert abs(result["sz"].mean + 1) < 1e-9 and result["sz"].error == 0
    ```
    """

    mean: Shaped[Array | np.ndarray, "..."]
    error: Float[Array | np.ndarray, "..."]
