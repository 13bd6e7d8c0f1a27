"""How varied generations are: by hand, and where a collapse must show and a healthy model must not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.trainers.variety import longest_run, variety

TOKENS = st.lists(st.integers(0, 9), max_size=8)


def test_by_hand() -> None:
    found = variety([[1, 2, 2], [1, 2]], ["a", "b"], [True, False])
    assert found == {
        "prompts": 2,
        "tokens": 5,
        "identical_share": 0,
        "distinct_1": 2 / 5,
        "distinct_2": 2 / 3,
        "longest_run": 2,
        "top_token_share": 3 / 5,
        "entropy": pytest.approx(-(2 / 5 * math.log(2 / 5) + 3 / 5 * math.log(3 / 5))),
    }


def test_a_collapse_is_one_token_for_everything() -> None:
    found = variety([[58] * 8] * 4, ["1", "2", "3", "3"], [False] * 4)
    assert (found["identical_share"], found["top_token_share"], found["entropy"]) == (1, 1, 0)
    assert found["longest_run"] == 8


def test_right_answers_are_no_collapse_however_often_they_are_given() -> None:
    """Half of the prompts are right, the others say what is right elsewhere: only those count."""
    found = variety([[7], [7], [8], [7]], ["7", "7", "8", "9"], [True, True, True, False])
    assert found["identical_share"] == 1 / 4


def test_what_cannot_be_computed_is_absent() -> None:
    assert variety([], [], []) == {"prompts": 0, "tokens": 0}
    assert set(variety([[]], ["a"], [False])) == {"prompts", "tokens", "identical_share"}
    assert "distinct_2" not in variety([[1]], ["a"], [False])


@settings(max_examples=50, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=6))
def test_shares_are_shares_and_entropy_is_bounded(continuations: list[list[int]]) -> None:
    answers = [str(index) for index in range(len(continuations))]
    found = variety(continuations, answers, [False] * len(answers))
    shares = [value for name, value in found.items() if name.startswith(("distinct", "top", "identical"))]
    assert all(0 <= share <= 1 for share in shares)
    if found["tokens"]:
        kinds = {token for tokens in continuations for token in tokens}
        assert -1e-12 <= found["entropy"] <= math.log(len(kinds)) + 1e-12
        assert found["longest_run"] == max(map(longest_run, continuations)) <= max(map(len, continuations))
