"""A log in which no metric is known by its name is not called sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmcheck.commands.main import main
from lvmcheck.run.view import run_from

UNKNOWN = {"tq": [2.3, 2.0, 1.5, 1.2, 1.0], "widgets": [1.0, 2.0, 3.0, 4.0, 5.0]}


def test_names_that_nobody_can_read() -> None:
    assert run_from(UNKNOWN).curves.unrecognised == ("tq", "widgets")


@pytest.mark.parametrize("name", ["loss", "val_acc", "reward", "Validation/Perplexity", "mse_loss"])
def test_one_known_name_is_enough(name: str) -> None:
    assert run_from({**UNKNOWN, name: [0.5, 0.6, 0.7, 0.8, 0.9]}).curves.unrecognised == ()


def test_a_learning_rate_alone_is_nothing_unknown() -> None:
    assert run_from({"lr": [1e-3] * 5}).curves.unrecognised == ()


@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_the_commands_say_so(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = zip(*UNKNOWN.values(), strict=True)
    lines = ["epoch,tq,widgets", *(f"{n},{a},{b}" for n, (a, b) in enumerate(rows, 1))]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    main([command, str(tmp_path / "log.csv")])
    shown = capsys.readouterr().out
    assert "hint: " in shown
    assert "tq" in shown
    assert "no problem found" not in shown
