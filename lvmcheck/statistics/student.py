"""Student's t: distribution, quantile; and the binomial interval; all from one incomplete beta function.

scipy holds these too; it is 114 MB for three functions, so they stand here and are tested against tables and against
numerical integration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

_ROUNDS, _SMALL = 300, 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for a, b > 0 and x in [0, 1].

    Continued fraction (DLMF 8.17.22) by Lentz's method, on the side where it converges fast.
    """
    if not (a > 0 and b > 0 and 0.0 <= x <= 1.0):
        raise ValueError(f"expected a, b > 0 and x in [0, 1], got {a}, {b}, {x}")
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    """1 / (1 + d1 / (1 + d2 / ...)) with the coefficients of DLMF 8.17.23."""
    value, c, d = 1.0, 1.0, 0.0
    for i in range(_ROUNDS):
        m = i // 2
        if i == 0:
            coefficient = 1.0
        elif i % 2:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 + coefficient * d
        d = 1.0 / (d if abs(d) > _SMALL else _SMALL)
        c = 1.0 + coefficient / c
        c = c if abs(c) > _SMALL else _SMALL
        value *= c * d
        if abs(1.0 - c * d) < 1e-15:
            break
    return value - 1.0


def upper_tail(t: float, df: float) -> float:
    """P(T > t) for Student's t with ``df`` degrees of freedom; NaN for a NaN."""
    if math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    square = t * t
    # Near zero df / (df + t^2) rounds to 1 and the tail would jump to one half: the other side keeps every digit.
    if square < df:
        half = 0.5 - 0.5 * incomplete_beta(0.5, df / 2, square / (df + square))
    else:
        half = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + square))
    return half if t >= 0 else 1.0 - half


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """The t with P(T > t) = p, for 0 < p < 1 and ``df`` > 0 degrees of freedom."""
    if not (0.0 < p < 1.0 and df > 0):
        raise ValueError(f"expected 0 < p < 1 and df > 0, got {p}, {df}")
    if p > 0.5:
        return -t_quantile(1.0 - p, df)
    high = 1.0
    while upper_tail(high, df) > p:
        high *= 2.0
    return bisect(lambda t: upper_tail(t, df) - p, 0.0, high)


def bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls from positive to negative crosses zero, to the last bits of a float."""
    while (middle := 0.5 * (low + high)) not in (low, high):
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return middle


def binomial_interval(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share, ``count`` of ``n`` (Clopper and Pearson 1934)."""
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"expected 0 <= count <= n and n >= 1, got {count} of {n}")
    tail = (1.0 - confidence) / 2
    low = 0.0 if count == 0 else bisect(lambda p: tail - incomplete_beta(count, n - count + 1, p), 0.0, 1.0)
    high = 1.0 if count == n else bisect(lambda p: (1 - tail) - incomplete_beta(count + 1, n - count, p), 0.0, 1.0)
    return low, high
