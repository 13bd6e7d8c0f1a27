"""Runs followed to their ends while another process writes them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

import lvmcheck
from lvmcheck.commands.export import DIED
from lvmcheck.commands.main import PASSED, main
from lvmcheck.exporters import follow as following
from lvmcheck.exporters.follow import RunFollower
from lvmcheck.launch.locks import run_lock
from lvmcheck.readers import open_run
from lvmcheck.run.directory import load
from suites.exporters.export_kit import ROOT, metrics_of, needs, recorded

pytestmark = pytest.mark.filterwarnings("default")

WRITER = """
import os, sys, time
from filelock import FileLock
import lvmcheck
from lvmcheck.launch.locks import run_lock
folder, end = sys.argv[1:]
os.makedirs(os.path.dirname(folder), exist_ok=True)
lock = FileLock(run_lock(folder))
if end != "unlocked":
    lock.acquire()
with lvmcheck.record(folder, config={"epochs": 6}, window=1) as rec:
    print("begun", flush=True)
    for epoch in range(1, 7):
        for _ in range(3):
            rec.step(loss=1.0 / epoch)
            time.sleep(0.02)
        rec.epoch(epoch, val_loss=1 / 3 / epoch)
        if end == "killed" and epoch == 4:
            os._exit(9)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK", 0.03)
    monkeypatch.setattr(following, "GRACE", 1.0)


@pytest.fixture
def trainer() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def train(started: list[subprocess.Popen[str]], folder: Path, end: str) -> None:
    words = [sys.executable, "-c", WRITER, str(folder), end]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."}
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


@needs("tensorboard")
@pytest.mark.parametrize("end", ["locked", "unlocked"])
def test_a_run_is_followed_to_its_end(
    end: str, tmp_path: Path, trainer: list[subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    train(trainer, tmp_path / "runs" / "live", end)
    words = [str(tmp_path / "runs" / "live"), "--to", "tensorboard", "--into", str(tmp_path / "out"), "--follow"]
    assert main(["export", *words]) == PASSED
    assert "run finished at epoch 6 of 6" in capsys.readouterr().out
    original, back = load(tmp_path / "runs" / "live"), open_run(tmp_path / "out")
    assert metrics_of(back, "tensorboard")["val_loss"] == metrics_of(original, "tensorboard")["val_loss"]
    assert len(metrics_of(back, "tensorboard")["val_loss"]) == 6
    assert len(back.probes("window_loss_mean")) == len(original.windows) == 18
    assert main(["export", *words]) == PASSED
    assert "there already, nothing written" in capsys.readouterr().out


@needs("tensorboard")
def test_a_run_that_dies_ends_with_a_line(
    tmp_path: Path, trainer: list[subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    train(trainer, tmp_path / "runs" / "live", "killed")
    words = [str(tmp_path / "runs" / "live"), "--to", "tensorboard", "--into", str(tmp_path / "out"), "--follow"]
    assert main(["export", *words]) == DIED
    said = capsys.readouterr().out
    assert "run died after epoch 4 of 6: the process that held it is gone, and there is no completion record" in said
    assert [epoch for epoch, _ in metrics_of(open_run(tmp_path / "out"), "tensorboard")["val_loss"]] == [1, 2, 3, 4]


@needs("tensorboard")
def test_a_run_that_goes_back_cannot_be_followed(tmp_path: Path) -> None:
    from lvmcheck.exporters import exporter
    from lvmcheck.exporters.feed import Feed

    run = recorded(tmp_path / "run", close=False)
    watch, feed = RunFollower(run, 60.0), Feed(run, exporter("tensorboard"), tmp_path / "out")
    feed.take(watch.look())
    lines = (run / "events.jsonl").read_bytes().splitlines(keepends=True)
    (run / "events.jsonl").write_bytes(b"".join(lines[:-5]))
    with pytest.raises(lvmcheck.InputError, match="went back to a checkpoint while it was exported"):
        feed.take(watch.look())
    feed.abandon()


# -- who is alive ------------------------------------------------------------------------------------------------------
def test_a_run_that_somebody_holds_is_not_over(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run")
    with FileLock(run_lock(run)):
        assert not RunFollower(run, 60.0).look().over  # its judge may still write verdicts
    assert RunFollower(run, 60.0).look().finished


def test_a_run_that_nobody_holds_is_dead_after_a_while(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", close=False)
    with FileLock(run_lock(run)):
        watch = RunFollower(run, 60.0)
        assert not watch.look().over
    assert not watch.look().over
    time.sleep(1.1)
    assert "the process that held it is gone" in (watch.look().death or "")
    (run / "failure.json").write_text('{"death": "the trainer was killed by SIGKILL"}')
    assert watch.look().death == "the trainer was killed by SIGKILL"


def test_a_silent_run_without_a_lock_is_dead(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", close=False)
    assert not RunFollower(run, 60.0).look().over
    assert not Path(run_lock(run)).exists()  # looking makes no lock
    long_ago = time.time() - 120
    for file in run.iterdir():
        os.utime(file, (long_ago, long_ago))
    assert "nothing was written for 120 s" in (RunFollower(run, 60.0).look().death or "")
