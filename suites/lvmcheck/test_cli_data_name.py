"""``lvmcheck check`` of what a suite was not made for: data without a name, and a run of fewer epochs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvmcheck.commands.main import FAILED, PASSED
from suites.lvmcheck.test_cli import SUITE, call, judged, record, suite

__all__ = ["suite"]


def test_floors_bound_to_data_decide_where_the_data_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, suite: Path
) -> None:
    history = tmp_path / "history.json"
    history.write_text(json.dumps([{"epoch": i, "val_cosine": 0.1 * i, "val_loss": 1 / i} for i in (1, 2)]))
    suite.write_text(SUITE.replace("{final}", '0.9\ncalibrated_on = "wiki"'))
    asked, final = ("check", history, "--suite", suite), "cosine_floor[val_cosine@final]"
    assert judged(capsys, *asked)[1][final]["status"] == "error"  # a floor of unknown data decides nothing
    assert judged(capsys, *asked, "--data-name", "wiki")[1][final]["status"] == "failed"
    assert judged(capsys, *asked, "--data-name", "other")[1][final]["status"] == "not applicable"
    assert "--suite" in call(capsys, "check", history, "--data-name", "wiki")[2]


def test_a_run_of_fewer_epochs_than_its_suite_asks_for_has_not_reached_its_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, suite: Path
) -> None:
    short = record(tmp_path / "short", 0.5, 0.6, config={"epochs": 2})
    assert call(capsys, "check", short, "--suite", suite)[0] == PASSED
    suite.write_text(suite.read_text().replace("epochs = 2", "epochs = 4"))
    assert call(capsys, "check", short, "--suite", suite)[0] == FAILED
