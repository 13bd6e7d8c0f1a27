"""Bands: what they catch, what they leave alone, and their false alarms against the rate they state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lvmcheck.statistics.band import Band, departures, factor
from lvmcheck.statistics.simulate import EPOCHS, alarm, simulate
from lvmcheck.statistics.student import binomial_interval

ROUNDS = 400


@pytest.mark.parametrize("rate", [0.05, 0.01])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_false_alarms_keep_to_the_stated_rate(n: int, rate: float) -> None:
    rng = np.random.default_rng(n)
    alarms = sum(alarm(simulate(rng, n), simulate(rng, 1)[:, 0], rate) for _ in range(ROUNDS))
    low, _ = binomial_interval(alarms, ROUNDS, 0.99)
    assert low <= rate, f"{alarms} of {ROUNDS}"


def test_a_hundredth_of_cosine_is_seen_with_five_seeds() -> None:
    rng = np.random.default_rng(0)
    seen = sum(alarm(simulate(rng, 5), simulate(rng, 1)[:, 0] - 0.01, 0.01) for _ in range(ROUNDS))
    assert seen >= 0.95 * ROUNDS


def test_a_band_that_never_alarmed_would_miss_it() -> None:
    rng = np.random.default_rng(0)
    shifts = [sum(alarm(simulate(rng, 5), simulate(rng, 1)[:, 0] + by, 0.05) for _ in range(60)) for by in (0, 5e-3)]
    assert shifts[0] < 10 < 40 < shifts[1]


def band(*rows: list[float]) -> Band:
    return Band("m", EPOCHS[: len(rows[0])], np.array(rows))


def judge(of: Band, values: list[float], *, whole: bool = True) -> list[tuple[int | None, bool]]:
    said = {"m": (EPOCHS[: len(values)].tolist(), values)}
    return [(it.epoch, it.upward) for it in departures([of], said, rate=0.05, whole=whole)]


def test_drift_is_judged_at_the_end_alone() -> None:
    rng = np.random.default_rng(1)
    reference = simulate(rng, 8, metrics=1)
    low = (simulate(rng, 1, metrics=1)[0, 0] - 0.0045).tolist()
    of = Band("m", EPOCHS, reference[0])
    assert None not in {epoch for epoch, _ in judge(of, low[:5], whole=False)}
    assert (None, False) in judge(of, low)


def test_both_sides_are_outside() -> None:
    of = band([0.5, 0.6], [0.51, 0.61], [0.49, 0.59])
    assert judge(of, [0.5, 0.6]) == []
    assert {(1, True), (2, True)} <= set(judge(of, [0.9, 0.99]))
    assert {(1, False), (2, False)} <= set(judge(of, [0.1, 0.2]))


def test_nan_and_infinity_are_outside_and_come_first() -> None:
    of = band([0.5, 0.6], [0.51, 0.61], [0.49, 0.59])
    assert judge(of, [math.nan, 0.6])[0][0] in (1, None)
    assert judge(of, [0.5, math.inf])[0][0] in (2, None)


def test_equal_runs_leave_a_band_of_rounding_only() -> None:
    of = band([0.5, 0.6], [0.5, 0.6])
    assert judge(of, [0.5, 0.6]) == []
    assert judge(of, [0.5001, 0.6]) != []


def test_one_run_shows_no_spread() -> None:
    with pytest.raises(ValueError, match="at least 2 runs"):
        factor(1, 0.01)
