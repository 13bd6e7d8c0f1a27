"""``lvmcheck check --data-name``: bounds that a suite has chosen on named data, and a history that names none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suites.lvmcheck.test_cli import SUITE, call, judged, suite

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
