"""Numbers with few digits that ask no more than the ones they stand for."""

from __future__ import annotations

import math
import sys

DIGITS = 4


def rounded(value: float, *, up: bool) -> float:
    """The value with four significant digits, upwards or downwards."""
    if value == 0 or not math.isfinite(value):
        return value
    places = DIGITS - 1 - math.floor(math.log10(abs(value)))
    if places > sys.float_info.max_10_exp:
        return 0.0 if up is (value < 0) else math.copysign(sys.float_info.min, value)
    scale = 10.0**places
    slack = -1e-6 if up else 1e-6  # the last bit of a difference that is round
    return (math.ceil if up else math.floor)(value * scale + slack) / scale
