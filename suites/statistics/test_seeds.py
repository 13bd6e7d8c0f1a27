"""Decisions over seeds: right answers, error rates of the whole sequence, and what one seed cannot say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmcheck.statistics.seeds import Answer, chance_mean_below, chance_next_above, enough_pass, mean_reaches, sample
from lvmcheck.statistics.student import binomial_interval

ROUNDS = 1500


def decide(rng: np.random.Generator, mean: float, *, planned: int, p: float) -> tuple[Answer, int]:
    """The sequential answer to "above 0", and how many seeds it took."""
    values: list[float] = []
    while True:
        values.append(float(rng.normal(mean, 1.0)))
        answer = mean_reaches(values, 0.0, p=p, planned=planned)
        if answer is not Answer.OPEN:
            return answer, len(values)


@pytest.mark.parametrize("p", [0.05, 0.01])
def test_a_mean_on_the_floor_passes_no_more_often_than_stated(p: float) -> None:
    rng = np.random.default_rng(0)
    wrong = sum(decide(rng, 0.0, planned=5, p=p)[0] is Answer.YES for _ in range(ROUNDS))
    assert binomial_interval(wrong, ROUNDS, 0.99)[0] <= p


def test_a_clear_answer_takes_few_seeds() -> None:
    rng = np.random.default_rng(0)
    for mean, wanted in ((40.0, Answer.YES), (-40.0, Answer.NO)):
        found = [decide(rng, mean, planned=8, p=0.05) for _ in range(100)]
        assert {answer for answer, _ in found} == {wanted}
        assert np.mean([count for _, count in found]) < 5


def test_one_seed_decides_nothing_about_a_mean() -> None:
    assert mean_reaches([9.0], 0.5, p=0.05, planned=3) is Answer.OPEN
    assert mean_reaches([9.0], 0.5, p=0.05, planned=1) is Answer.NO
    assert math.isnan(chance_mean_below([9.0], 0.5))
    assert math.isnan(chance_next_above([9.0], 0.5))
    assert "cannot tell" in sample([9.0]).sentence()


def test_nan_is_never_a_yes() -> None:
    assert mean_reaches([1.0, math.nan, 1.1], 0.0, p=0.05, planned=3) is Answer.NO


def test_seeds_without_spread() -> None:
    assert mean_reaches([0.6, 0.6], 0.5, p=0.01, planned=2) is Answer.YES
    assert mean_reaches([0.5, 0.5], 0.5, p=0.01, planned=2) is Answer.NO
    assert mean_reaches([0.4, 0.4], 0.5, p=0.01, planned=3) is Answer.NO


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(ROUNDS):
        found = sample(rng.normal(2.0, 3.0, 4).tolist())
        inside += found.low <= 2.0 <= found.high
    low, high = binomial_interval(inside, ROUNDS, 0.99)
    assert low <= 0.95 <= high


def test_the_next_seed_is_above_as_often_as_predicted() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0.0, 1.0, (4000, 6))
    predicted = np.array([chance_next_above(row[:5].tolist(), -1.0) for row in draws])
    sure = predicted > 0.8
    assert abs(float((draws[sure, 5] >= -1.0).mean()) - float(predicted[sure].mean())) < 0.05


@given(st.lists(st.booleans(), max_size=6), st.integers(1, 6))
def test_k_of_n_never_changes_its_answer(results: list[bool], needed: int) -> None:
    answers = [enough_pass(results[:i], needed=needed, planned=6) for i in range(len(results) + 1)]
    decided = [answer for answer in answers if answer is not Answer.OPEN]
    assert len(set(decided)) <= 1
    if len(results) == 6:
        assert answers[-1] is (Answer.YES if sum(results) >= needed else Answer.NO)
