"""Measured values that dominance cannot tell apart.

"Equal within the noise" is no equivalence: a ≈ b and b ≈ c do not make a ≈ c, and a ranking built on it
would depend on the order of comparison. So values are put on a grid that is as wide as the noise, uniform
in the logarithm because noise is relative, mirrored at 0, and anchored at 1 so that it is the same in every
generation.
Two values of one cell are equal; those of different cells are not, however near they are to its border.

Shapes: N individuals, M objectives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def equalised(values_NM: ArrayLike, noise_NM: ArrayLike) -> NDArray[np.float64]:
    """The values with every noisy one replaced by the middle of its cell.

    Order is kept: what was not more before is not more after. Equal values differed by less than the noise,
    and values that differ by more are never equal.

    Args:
        values_NM: What is minimised.
        noise_NM: Relative noise of every value, or of every objective (M); 0 or not a number: exact. A cell
            is as wide as the median noise of its objective, since one grid has to hold all values.

    Returns:
        Shape (N, M). Exact columns, and 0 and what is not finite, are returned as they are, to the bit.
    """
    values_NM = np.array(values_NM, dtype=float)
    noise_NM = np.broadcast_to(np.asarray(noise_NM, dtype=float), values_NM.shape)
    for values_N, noise_N in zip(values_NM.T, noise_NM.T, strict=True):
        noisy_N = noise_N[np.isfinite(noise_N) & (noise_N > 0)]
        on_grid_N = np.isfinite(values_N) & (values_N != 0)
        if not len(noisy_N) or not on_grid_N.any():
            continue
        width = np.log1p(np.median(noisy_N))
        cells_N = np.floor(np.log(abs(values_N[on_grid_N])) / width)
        values_N[on_grid_N] = np.copysign(np.exp((cells_N + 0.5) * width), values_N[on_grid_N])
    return values_NM
