"""Exact match: what counts as the right answer and what does not."""

from __future__ import annotations

import pytest

from models.data.text.answers import exact, final_of


@pytest.mark.parametrize(
    ("answer", "generated"),
    [
        ("8", " 8"),
        ("8", " 8.\nQ: What is next?"),
        ("8", " 8.0"),
        ("1000", " $1,000"),
        ("-40", " -40"),
        ("72", " 48/2 = 24\n48+24 = 72\n#### 72"),
        ("Paris", " paris."),
        ("the atom", "  The   atom"),
        ("for x in y:\n    pass", " for x in y:   \n    pass\n"),
        ("#FF", "#ff"),
    ],
)
def test_right_answers(answer: str, generated: str) -> None:
    assert exact(answer, generated)


@pytest.mark.parametrize(
    ("answer", "generated"),
    [
        ("8", " 8 9 10 11"),
        ("8", " 18"),
        ("8", "\n"),
        ("8", ""),
        ("8", " -8"),
        ("8", " eight"),
        ("Paris", " ::::::::"),
        ("Paris", " Paris Rome"),
        (".", " "),
        ("72", " 72\n#### 71"),
        ("a\nb", " a"),
        ("for x in y:\n    pass", " for x in y:\npass"),
        ("2", " ²"),
    ],
)
def test_wrong_answers(answer: str, generated: str) -> None:
    assert not exact(answer, generated)


def test_the_final_number_stands_behind_the_sign() -> None:
    assert final_of("2 + 2 = <<2+2=4>>4\n#### 4") == "4"
    assert final_of("Paris") == "Paris"
