"""What an export refuses: one clear line each, and nothing half-written where it can be known before."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from lvmcheck.commands.main import BAD_INPUT, main
from lvmcheck.errors import InputError
from lvmcheck.exporters import kinds
from lvmcheck.exporters.names import Names
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import to_line
from suites.exporters.export_kit import PACKAGES, RECORDED, needs, recorded

RUN = RECORDED / "lstm_80k"


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["export", *map(str, words)]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_every_exporter_is_known() -> None:
    assert kinds() == sorted(PACKAGES)


def test_an_unknown_logger(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean 'tensorboard'?" in refused(capsys, RUN, "--to", "tensorbord")


@pytest.mark.parametrize("kind", sorted(PACKAGES))
def test_a_missing_package(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGES[kind]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, PACKAGES[kind], None)
    said = refused(capsys, RUN, "--to", kind, "--into", tmp_path / "out")
    assert said.startswith(f"package '{PACKAGES[kind]}': exporting to ")
    assert 'pip install -e ".[export]"' in said
    assert not list((tmp_path / "out").rglob("*"))


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file or directory" in refused(capsys, tmp_path / "nothing", "--to", "wandb")
    assert "expected a run directory to follow" in refused(capsys, tmp_path / "none", "--to", "mlflow", "--follow")


def test_options_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "expected a folder" in refused(capsys, RUN, "--to", "wandb", "--into", tmp_path / "file")
    assert "positive number of seconds" in refused(capsys, RUN, "--to", "wandb", "--dead-after", "nan")
    assert "does not go with --follow" in refused(capsys, RUN, "--to", "wandb", "--follow", "--kind", "wandb")
    recorded(tmp_path / "lstm_80k")
    assert "several runs are called 'lstm_80k'" in refused(capsys, RUN, tmp_path / "lstm_80k", "--to", "wandb")


@needs("tensorboard")
def test_a_place_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--to", "tensorboard", "--into", tmp_path / "out")
    (tmp_path / "out" / "lstm_80k").mkdir(parents=True)
    (tmp_path / "out" / "lstm_80k" / "mine.txt").write_text("mine")
    assert "files that lvmcheck did not write" in refused(capsys, RUN, *words)
    assert main(["export", str(RECORDED / "gru_80k"), *map(str, words)]) == 0
    capsys.readouterr()
    assert "another run of this name" in refused(capsys, recorded(tmp_path / "gru_80k"), *words)


@needs("tensorboard")
@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    said = refused(capsys, RUN, "--to", "tensorboard", "--into", tmp_path / "out")
    assert "cannot be written: Permission denied" in said


@needs("tensorboard")
def test_a_metric_that_is_called_like_an_axis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path / "run", close=False)
    with (run / "events.jsonl").open("a") as file:
        file.write(to_line(ev.Epoch(epoch=9, step=36, metrics={"epoch": 9.0})) + "\n")
    said = refused(capsys, run, "--to", "tensorboard", "--into", tmp_path / "out")
    assert "epoch: would be exported as 'epoch', which is taken by the export itself" in said
    again = refused(capsys, run, "--to", "tensorboard", "--into", tmp_path / "out")
    assert "was exported here before, and broken off" in again


@needs("tensorboard")
def test_verdicts_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path / "run")
    (run / "verdicts.json").write_text(json.dumps({"verdicts": [{"name": "finite", "status": "fine"}]}))
    said = refused(capsys, run, "--to", "tensorboard", "--into", tmp_path / "out")
    assert "outcome: Field required" in said or "Field required" in said
    assert not (tmp_path / "out").exists()


def test_two_names_never_become_one() -> None:
    names = Names("run", reserved=("epoch",), allowed=lambda name: name.replace("@", "_"))
    assert names("cosine@5") == "cosine_5" == names("cosine@5")
    with pytest.raises(InputError, match="would be exported as 'cosine_5', which is taken by 'cosine@5'"):
        names("cosine_5")
