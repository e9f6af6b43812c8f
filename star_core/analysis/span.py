"""Where a value lies in a range, for any finite numbers."""

from __future__ import annotations

import math


def share(value: float, low: float, high: float, logarithmic: bool) -> float:
    """0 at ``low``, 1 at ``high``, and beyond outside of them.

    Args:
        value: Positive if ``logarithmic``, as ``low`` is.
        low: Beginning of the range.
        high: End of the range, more than ``low``.
        logarithmic: Whether ratios count rather than differences.
    """
    if logarithmic:
        ratio, whole = value / low, high / low
        if 0 < ratio < math.inf and 1 < whole < math.inf:
            return math.log(ratio) / math.log(whole)
        if math.log(low) < math.log(high):  # a ratio that no float holds
            return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    if math.isinf(high - low) or math.isinf(value - low):
        value, low, high = value / 4, low / 4, high / 4
    return (value - low) / (high - low)
