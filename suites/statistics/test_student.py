"""Student's t and the binomial interval against tables, symmetry and numerical integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lvmcheck.statistics.student import binomial_interval, incomplete_beta, t_quantile, upper_tail

TABLE = {(1, 0.025): 12.7062, (2, 0.05): 2.91999, (4, 0.005): 4.60409, (7, 0.0005): 5.40788, (30, 0.01): 2.45726}
"""Two-digit entries of every textbook: (degrees of freedom, upper tail) -> t."""


@pytest.mark.parametrize(("df", "p"), TABLE)
def test_quantiles_are_those_of_the_table(df: int, p: float) -> None:
    assert t_quantile(p, df) == pytest.approx(TABLE[df, p], abs=6e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(1.0, 80.0), st.floats(1e-9, 0.999))
def test_quantile_and_tail_undo_each_other(df: float, p: float) -> None:
    assert upper_tail(t_quantile(p, df), df) == pytest.approx(p, rel=1e-9)


@settings(max_examples=100, deadline=None)
@example(32.0, 5.960464477539063e-08)
@given(st.floats(1.0, 40.0), st.floats(0.0, 8.0))
def test_the_tail_is_the_integral_of_the_density(df: float, t: float) -> None:
    x = np.linspace(0.0, t, 20_001)
    log_front = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    density = np.exp(log_front - (df + 1) / 2 * np.log1p(x**2 / df))
    assert upper_tail(t, df) == pytest.approx(0.5 - float(np.trapezoid(density, x)), abs=1e-8)  # its error: 3e-9


@settings(max_examples=60, deadline=None)
@given(st.floats(0.2, 60.0), st.floats(0.2, 60.0), st.integers(0, 2**40))
def test_the_beta_function_is_symmetric_and_within_bounds(a: float, b: float, part: int) -> None:
    x = part / 2**40  # so that 1 - x is exact
    value = incomplete_beta(a, b, x)
    assert 0.0 <= value <= 1.0
    assert value == pytest.approx(1.0 - incomplete_beta(b, a, 1.0 - x), abs=1e-9)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert t_quantile(0.025, 1e7) == pytest.approx(1.959964, abs=1e-5)


def test_tails_of_what_is_no_number() -> None:
    assert math.isnan(upper_tail(math.nan, 3))
    assert upper_tail(math.inf, 3) == 0.0
    assert upper_tail(-math.inf, 3) == 1.0


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_a_probability_lies_between_0_and_1(p: float) -> None:
    with pytest.raises(ValueError, match="0 < p < 1"):
        t_quantile(p, 3)


def test_binomial_intervals() -> None:
    assert binomial_interval(0, 10) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
    assert binomial_interval(10, 10) == (pytest.approx(0.025 ** (1 / 10)), 1.0)
    low, high = binomial_interval(3, 200)
    assert (low, high) == (pytest.approx(0.0031041, abs=1e-6), pytest.approx(0.0432083, abs=1e-6))
    with pytest.raises(ValueError, match="count"):
        binomial_interval(3, 2)
