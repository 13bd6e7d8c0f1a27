"""``lvmcheck check`` and ``lvmcheck diagnose`` on runs that others wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvmcheck.commands.main import BAD_INPUT, FAILED, PASSED, main


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("step,validation/cosine\n" + "".join(f"{100 * i},{0.5 + i / 100}\n" for i in range(1, 6)))
    return path


def test_a_table_is_checked_and_diagnosed(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    code, out, _ = call(capsys, "check", table, "-v")
    assert code == PASSED
    assert "✓ finite" in out
    code, out, _ = call(capsys, "diagnose", table)
    assert code == PASSED
    assert out.startswith(
        "500 steps · val cosine 0.5100 -> 0.5500 · not recorded: config, seed, data\nno problem found: "
    )


def test_a_column_map_on_the_command_line(capsys: pytest.CaptureFixture[str], table: Path) -> None:
    code, out, _ = call(capsys, "diagnose", table, "--json", "--columns", "epoch=step,val_cosine=validation/cosine")
    assert code == PASSED
    assert json.loads(out)["run"]["last_epoch"] == 500


def test_a_suite_judges_a_foreign_run(capsys: pytest.CaptureFixture[str], table: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    check = '[[check]]\ncheck = "cosine_floor"\nmetric = "val_cosine"\nepoch = "final"\nfloor = 0.58\n'
    run = '[run]\ntrainer = "json:loads"\nepochs = 5\nseeds = [0]\n'
    suite.write_text(f'[suite]\nabout = "x"\nchecks = 1\n\n{run}\n{check}')
    code, out, err = call(capsys, "check", table, "--suite", suite)
    assert code == FAILED, err
    assert "val cosine 0.55" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "mlflw"), "Did you mean 'mlflow'?"),
        (("--kind", "tensorboard"), "log.csv"),
        (("--columns", "val_cosine=validaton/cosine"), "Did you mean 'validation/cosine'?"),
        (("--run", "a"), "expected 1 to 1"),
    ],
)
def test_a_wrong_option_is_one_line(
    capsys: pytest.CaptureFixture[str], table: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = call(capsys, "diagnose", table, *arguments)
    assert (code, out) == (BAD_INPUT, "")
    assert len(err.splitlines()) == 1
    assert words in err


def test_a_history_that_stops_to_be_good_has_one_cause(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"epoch": e, "val_cosine": v} for e, v in enumerate((0.459, 0.521, 0.540, 0.338), start=1)]
    path = tmp_path / "training_history.json"
    path.write_text(json.dumps({"history": rows}))
    code, out, _ = call(capsys, "diagnose", tmp_path)
    assert code == FAILED
    assert "val cosine fell from 0.5400 to 0.3380" in out
