"""What commands say beside verdicts: early ends, notes of readers, hints, how little a run holds, wrong names."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.commands._judging import as_it_stands
from lvmcheck.commands._remarks import ended_early, extent, unread_keys
from lvmcheck.commands.main import BAD_INPUT, FAILED, PASSED
from lvmcheck.readers import open_run
from lvmcheck.run import events as ev
from suites.lvmcheck.test_cli import call


@pytest.mark.parametrize(
    ("config", "hints"),
    [
        ({"initial_loss": 2.3}, [("initial_loss", "expected_initial_loss")]),
        ({"initial_los": 2.3}, [("initial_los", "expected_initial_loss")]),
        ({"initial_loss": 2.3, "expected_initial_loss": 2.3}, []),
        ({"epoch": 5, "num_class": 10}, [("epoch", "epochs"), ("num_class", "num_classes")]),
        ({"epochs": 5, "epoch": 2}, []),
        ({"lr": 0.1, "batch_size": 8, "model": "x", "weight_decay": 0.1, "dropout": 0.1, "steps_per_epoch": 3}, []),
    ],
)
def test_a_config_key_that_is_nearly_one_that_is_read(config: dict[str, object], hints: list[tuple[str, str]]) -> None:
    assert list(unread_keys(config)) == hints


@pytest.mark.parametrize(
    ("end", "planned", "told"),
    [
        ("break", 20, "ended after 2 of 20 epochs"),
        ("break", 2, None),
        ("early", 20, "ended after 2 of 20 epochs: no progress"),
        ("early", None, "ended early: no progress"),
        ("interrupt", 20, None),
    ],
)
def test_an_early_end_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str, planned: int | None, told: str | None
) -> None:
    def train(rec: lvmcheck.Recorder) -> None:
        for epoch in (1, 2):
            for _ in range(30):
                rec.step(loss=1.0 / epoch)
            rec.epoch(epoch, val_loss=1.0 / epoch)
        if end == "early":
            rec.early("no progress")
        if end == "interrupt":
            raise KeyboardInterrupt

    config = {} if planned is None else {"epochs": planned}
    with contextlib.suppress(KeyboardInterrupt), lvmcheck.record(tmp_path / "run", config=config) as rec:
        train(rec)
    assert ended_early(lvmcheck.load(tmp_path / "run")) == told
    for command in ("check", "diagnose"):
        code, out, _ = call(capsys, command, tmp_path / "run")
        assert code == PASSED
        assert out.splitlines().count(str(told)) == (told is not None)
        assert out.count("no problem found") <= 1


@pytest.mark.parametrize(("steps", "extent_of"), [(0, "before"), (5, "5 steps"), (400, "400 steps")])
def test_a_run_that_died_claims_only_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: int, extent_of: str
) -> None:
    with contextlib.suppress(ValueError), lvmcheck.record(tmp_path / "run") as rec:
        for step in range(steps):
            rec.step(loss=1.0 / (1 + step))
        raise ValueError("shapes differ")
    run = as_it_stands(lvmcheck.load(tmp_path / "run"))
    assert extent_of in extent(run)
    code, out, _ = call(capsys, "check", tmp_path / "run")
    assert code == FAILED
    assert extent(run) in out
    if not steps:
        assert not [v for v in lvmcheck.evaluate(run) if v.status is Status.PASSED]


def test_notes_of_a_reader_are_shown_shortly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i},{1 / (i + 1)},x,{i}\n" for i in (*range(5), 9, 10))
    (tmp_path / "log.csv").write_text("epoch,validation/loss,comment,Time\n" + rows)
    notes = [note.text for note in open_run(tmp_path / "log.csv").of(ev.Note)]
    assert len(notes) == 5
    for command in ("check", "diagnose"):
        _, out, _ = call(capsys, command, tmp_path / "log.csv")
        shown = [line.removeprefix("note: ") for line in out.splitlines() if line.startswith("note: ")]
        assert shown == notes[:3]
        assert "2 more notes" in out
        _, out, _ = call(capsys, command, tmp_path / "log.csv", "-v")
        assert [line.removeprefix("note: ") for line in out.splitlines() if line.startswith("note: ")] == notes


@pytest.mark.parametrize(
    ("args", "near"),
    [
        (("chek", "x"), "'check'"),
        (("nonsense",), "Nearest: "),
        (("list", "chekcs"), "'checks'"),
        (("list", "nonsense"), "causes, checks"),
        (("explain", "los_diverging"), "'loss_diverging'"),
        (("explain", "nope"), "Nearest: "),
    ],
)
def test_a_wrong_name_offers_the_nearest(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], near: str) -> None:
    code, out, err = call(capsys, *args)
    assert (code, out) == (BAD_INPUT, "")
    assert len(err.splitlines()) == 1
    assert near in err
    assert "..." not in err


def test_the_package_is_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "lvmcheck", "--version"], capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (PASSED, f"lvmcheck {lvmcheck.__version__}\n")
