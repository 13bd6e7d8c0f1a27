"""The instruments of the measurements, held to cases whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.throughput.conftest import BEGIN, END, write
from suites.throughput.figures import HEADINGS, Figure, markdown, percent, plain
from suites.throughput.interleave import Spread, Turns, bracketed, take_turns

SPEED = st.floats(0.1, 10.0)


@settings(derandomize=True, max_examples=50)
@given(factor=SPEED, start=SPEED, drift=st.floats(0.0, 1.0), rounds=st.integers(1, 20))
def test_a_steady_drift_of_the_machine_cancels(factor: float, start: float, drift: float, rounds: int) -> None:
    reference = [start + drift * 2 * i for i in range(rounds + 1)]
    subject = [factor * (start + drift * (2 * i + 1)) for i in range(rounds)]
    assert bracketed(subject, reference) == pytest.approx([factor] * rounds)


def test_a_reference_that_was_not_measured_around_every_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="n \\+ 1"):
        bracketed([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="n >= 1"):
        bracketed([], [1.0])


def test_one_disturbed_turn_does_not_move_the_median() -> None:
    turns = Turns([2.0, 2.0, 90.0, 2.0, 2.0], {"bare": [1.0] * 6, "half": [0.5] * 6})
    assert turns.over("bare") == Spread(2.0, 2.0, 2.0)
    assert turns.between("bare", "half").median == 2.0
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]).words(str) == "3.0 (2.0 to 4.0)"


@pytest.mark.usefixtures("timing")
def test_turns_are_taken_in_order_and_the_warm_up_is_not_counted(benchmark: object) -> None:
    said: list[str] = []
    references = {"a": lambda: said.append("a"), "b": lambda: said.append("b")}
    turns = take_turns(benchmark, lambda: said.append("S"), references, rounds=3)
    assert "".join(said) == "abS" * 4 + "ab"
    assert len(turns.subject) == 3
    assert {len(times) for times in turns.references.values()} == {4}


def test_both_tables_say_what_was_met_and_what_was_not() -> None:
    rows = [Figure("a | b", "3 ms", "< 5 ms", True), Figure("c", "7 ms", "< 5 ms", False), Figure("d", "1")]
    lines = plain(rows)
    assert lines[0].split("  ")[0] == HEADINGS[0]
    assert "< 5 ms (met)" in lines[1]
    assert "< 5 ms (MISSED)" in lines[2]
    assert lines[1].index("3 ms") == lines[2].index("7 ms")
    assert markdown(rows)[2].startswith("| a \\| b | 3 ms | < 5 ms (met) |")


def test_percentages_keep_what_is_small() -> None:
    assert [percent(x) for x in (0.0123, 0.00045, 0.0, -0.031)] == ["1.2 %", "0.045 %", "0.0 %", "-3.1 %"]


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    write(page, ["| new |"])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"above\n{BEGIN}\nMeasured ")
    assert text.endswith(f"| new |\n{END}\nbelow\n")
    assert "old" not in text
    assert str(Path.cwd()) not in text
    page.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(pytest.UsageError, match="marks"):
        write(page, [])
