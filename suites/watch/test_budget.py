"""How often a loop is measured: what measuring costs, its hooks included, stays within a share of the time."""

from __future__ import annotations

import pytest

from lvmcheck.watch.budget import EARLY, SHARE, Budget


def samples(cost: float, whole: float, until: int = 20_000) -> int:
    """Measured steps of a long run whose usual step takes one second, after its beginning."""
    budget, found = Budget("auto"), 0
    for step in range(1, until + 1):
        if budget.due(step):
            found += step > EARLY
            budget.sample_took(step, cost, whole)
        else:
            budget.step_took(1.0)
    return found


@pytest.mark.parametrize(
    ("cost", "whole"),
    [(0.3, 1.3), (0.01, 1.3), (0.3, 0.9)],
    ids=["timed", "in_hooks_that_are_not_timed", "in_a_step_that_was_fast"],
)
def test_what_measuring_takes_stays_within_its_share(cost: float, whole: float) -> None:
    found = samples(cost, whole)
    assert 0.3 * found <= SHARE * 20_000
    assert 0.3 * found >= 0.5 * SHARE * 20_000


def test_measuring_that_costs_nothing_is_done_often() -> None:
    assert samples(0.0001, 1.0) > samples(0.3, 1.3)
