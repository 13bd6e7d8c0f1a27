"""Rank 0 says that a run has finished only once every other rank has come to its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.run.rank_ends import END, WHO, RankLeftError, await_others, say_who, who
from lvmcheck.run.ranks import Meeting


def met(path: Path) -> tuple[Meeting, Meeting]:
    """Both ranks of a run; the other one has said which process it is."""
    first, other = Meeting(path, 0, 2), Meeting(path, 1, 2)
    say_who(other)
    assert first.read(f"1.{WHO}")["pid"] == who()["pid"]
    return first, other


GOOD: dict[str, dict[str, Any]] = {
    "as far as rank 0": {"status": "finished", "steps": 100, "epochs": 4},
    "epochs that only rank 0 reports": {"status": "finished", "steps": 100, "epochs": 0},
    "nothing that it reports": {"status": "finished", "steps": 0, "epochs": 0},
    "some batches fewer": {"status": "finished", "steps": 60, "epochs": 4},
    "it was asked to stop": {"status": "stopped", "steps": 10, "epochs": 1, "reason": "decided"},
}
LEFT: dict[str, tuple[dict[str, Any], str]] = {
    "fewer epochs": ({"status": "finished", "steps": 100, "epochs": 1}, "after 1 epochs"),
    "hardly any steps": ({"status": "finished", "steps": 10, "epochs": 0}, "10 steps"),
    "a signal of its own": ({"status": "stopped", "steps": 10, "epochs": 1, "reason": "SIGTERM"}, "after 1 epochs"),
    "a signal before it was told": (
        {"status": "stopped", "steps": 100, "epochs": 1, "reason": "decided", "signalled": True},
        "after 1 epochs",
    ),
    "it failed": ({"status": "failed", "steps": 100, "epochs": 4, "reason": "SystemExit: 0"}, "SystemExit"),
    "the keyboard": ({"status": "interrupted", "steps": 100, "epochs": 4, "reason": "the keyboard"}, "interrupted"),
}


@pytest.mark.parametrize("how", GOOD)
def test_a_rank_that_came_to_its_end(how: str, tmp_path: Path) -> None:
    first, other = met(tmp_path)
    other.publish(f"1.{END}", GOOD[how])
    await_others(first, 100, 4, decided=GOOD[how]["status"] == "stopped")


@pytest.mark.parametrize("how", LEFT)
def test_a_rank_that_left(how: str, tmp_path: Path) -> None:
    first, other = met(tmp_path)
    body, said = LEFT[how]
    other.publish(f"1.{END}", body)
    with pytest.raises(RankLeftError, match=said):
        await_others(first, 100, 4, decided="signalled" in body)


def test_a_run_that_was_stopped_asks_for_no_numbers(tmp_path: Path) -> None:
    first, other = met(tmp_path)
    other.publish(f"1.{END}", {"status": "finished", "steps": 10, "epochs": 1})
    await_others(first, 100, 4, whole=False)


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    """It ended with 0 and said nothing."""
    first, other = met(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    other.publish(f"1.{WHO}", {**who(), "pid": gone.pid})
    with pytest.raises(RankLeftError, match="rank 1 has left"):
        await_others(first, 100, 4)


def test_ranks_that_do_not_meet_are_not_waited_for(tmp_path: Path) -> None:
    """Where the folder cannot be written, or on other machines without a shared disk."""
    place = tmp_path / "file"
    place.touch()
    first, other = Meeting(place, 0, 2), Meeting(place, 1, 2)
    say_who(other, patience=0.0)
    await_others(first, 100, 4)
    await_others(Meeting(tmp_path, 0, 1), 100, 4)
