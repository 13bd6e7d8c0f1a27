"""The rates that docs/throughput.md states: sessions that are equal never alarm, sessions that differ do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmcheck.comparison.throughput.result import Result
from lvmcheck.comparison.throughput.stored import Stored
from suites.throughput_compare.false_alarms import drawn, lines, main


def sessions(*relatives: float) -> list[Stored]:
    """One benchmark in each session, with a spread of 1 %."""
    found = []
    for relative in relatives:
        low, high = 0.99 * relative, 1.01 * relative
        result = Result(name="b", device="cpu", calibration="k", relative=relative, low=low, high=high)
        found.append(Stored(path=Path("x.json"), results={"b": result}, uncalibrated=(), machine={}))
    return found


def test_equal_sessions_never_alarm_and_every_loss_is_seen() -> None:
    counts, alarmed = drawn(sessions(*[1.0] * 8), stored=3, again=2, draws=50)
    assert counts == {"unchanged": 50, "seen": 50}
    assert alarmed == 0


def test_a_session_in_two_that_is_slower_alarms_less_when_measured_again_and_with_more_stored() -> None:
    half = sessions(*[1.0, 1.5] * 5)
    once, again, several = (drawn(half, n, m, 400)[0]["slower"] / 400 for n, m in ((1, 0), (1, 2), (3, 2)))
    assert 0.2 < once < 0.35  # 5 of 10, then 5 of 9
    assert 0.02 < again < 0.1  # three slow ones in a row: 5/9 * 4/8 * 3/7 of those
    assert several < again


def test_only_what_there_are_documents_for_is_drawn() -> None:
    assert [line.split(" | ")[:2] for line in lines(sessions(1.0, 1.0), 5)][2:] == [["| 1", "0"]]


def test_too_few_or_broken_documents_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{")
    assert main([str(tmp_path / "a.json")]) == 2
    assert "is not JSON" in capsys.readouterr().err
    assert main([]) == 2
    assert capsys.readouterr().err == "expected at least two documents of --benchmark-json\n"
