"""A suite judged by the loop itself: what fails is one line, stops the loop, or calls a function."""

from __future__ import annotations

from pathlib import Path

import pytest

import lvmcheck
from lvmcheck import InputError, Verdict
from lvmcheck.checks.finding import Status

SUITE = """
[suite]
about = "a loop of its own"
checks = 2

[run]
trainer = "suites.watch.test_suite:train"
epochs = 6
seeds = [0]

[[check]]
check = "improves"
metric = "val_accuracy"
by_epoch = 3

[[check]]
check = "missing_from_optimizer"
"""


def train(config: dict[str, object], recorder: lvmcheck.Recorder) -> None:
    """Never called: the loop is the test's own."""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def loop(rec: lvmcheck.Recorder, epochs: int = 6) -> int:
    """A loop whose validation metric stays where it is; the last epoch that it ran."""
    for epoch in range(1, epochs + 1):
        for _ in range(10):
            rec.step(loss=1.0)
        rec.epoch(epoch, val_accuracy=0.5)
        if rec.stop:
            return epoch
    return epochs


def test_a_failed_check_stops_the_loop(suite: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with lvmcheck.record(tmp_path / "run", suite=suite, on_fail="stop") as rec:
        last = loop(rec)
    assert last == 3
    assert (lvmcheck.load(tmp_path / "run").done or {})["status"] == "stopped"
    assert sum(line.startswith("lvmcheck ✗ improves") for line in capfd.readouterr().err.splitlines()) == 1


def test_a_failed_check_warns(suite: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with lvmcheck.record(tmp_path / "run", suite=suite) as rec:
        assert loop(rec) == 6
    assert sum(line.startswith("lvmcheck ✗ improves") for line in capfd.readouterr().err.splitlines()) == 1


def test_a_failed_check_calls_a_function(suite: Path, tmp_path: Path) -> None:
    seen: list[Verdict] = []
    with lvmcheck.record(tmp_path / "run", suite=suite, on_fail=seen.append) as rec:
        loop(rec)
    assert [verdict.check for verdict in seen] == ["improves", "missing_from_optimizer"]
    assert seen[1].status is Status.ERROR  # a suite asks for what was not recorded: said at the end
    assert seen[0].asked is not None
    assert seen[0].asked.line == 11


def test_bad_input_is_one_line(suite: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        lvmcheck.record(tmp_path / "run", suite=suite, on_fail="maybe")  # type: ignore[arg-type]
    assert caught.value.key == "on_fail"
    with pytest.raises(InputError):
        lvmcheck.record(tmp_path / "run", suite=tmp_path / "none.toml")
    assert not (tmp_path / "run").exists()
