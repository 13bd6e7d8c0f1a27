"""Suites on several ranks: two agree with one, what cannot be divided is one line, and a killed rank is resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from lvmcheck.integrations import command
from lvmcheck.run.ranks import FOLDER, Meeting
from lvmcheck.suite import load_suite
from suites.distributed import trainers

ROOT = Path(__file__).parents[2]
FULL = pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="LVM_RELIABILITY=full")
SUITE = """
[suite]
about = "two ranks"
checks = 1

[run]
trainer = "vector"
model = {{ kind = "amn", d_model = 16, hidden_dim = 32 }}
data = {{ source = "twin", recipe = "wiki_584k", context = 3, sequences = 3_200, val_sequences = 64 }}
loss = {{ {loss} = 1.0 }}
epochs = {epochs}
batch_size = {batch}
window = 1
seeds = [0]

[run.distributed]
ranks = {ranks}

[[check]]
check = "run_completed"
"""


def write(folder: Path, *, ranks: object = 2, batch: int = 32, loss: str = "mse", epochs: int = 2) -> Path:
    path = folder / "suites" / "two" / "suite.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SUITE.format(ranks=ranks, batch=batch, loss=loss, epochs=epochs))
    return path


def test_two_ranks_agree_with_one_on_the_loss_of_a_hundred_steps(ranks: Any, tmp_path: Path) -> None:
    two_ranks = ranks(2, backend=None, env={"LVMCHECK_RANKS": "2"})
    assert two_ranks(trainers.vector, str(tmp_path / "two")) == [{"steps": 102, "epochs": 2}] * 2
    trainers.vector(str(tmp_path / "one"))
    two, one = (lvmcheck.load(tmp_path / name) for name in ("two", "one"))
    losses = [[window.loss_mean for window in run.windows[:100]] for run in (two, one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert [window.samples for window in two.windows] == [window.samples for window in one.windows]
    for metric in ("train_loss", "train_cosine", "val_loss", "val_cosine"):
        assert two.series(metric).values == pytest.approx(one.series(metric).values, rel=1e-5)
    last = (tmp_path / "two" / "checkpoints").iterdir()
    assert any(path.name.startswith("last") for path in last)


@pytest.mark.parametrize(
    ("what", "key", "said"),
    [
        ({"batch": 33}, "run.batch_size", "expected a multiple of the 2 ranks that divide every batch, got 33"),
        ({"loss": "info_nce"}, "run.loss.info_nce", "it compares the rows of a batch"),
        ({"ranks": 0}, "run.distributed.ranks", "expected 1 to 1024 ranks, got 0"),
        ({"ranks": '"two"'}, "run.distributed.ranks", "two"),
    ],
)
def test_what_cannot_be_divided_is_one_line_of_the_suite(
    what: dict[str, Any], key: str, said: str, tmp_path: Path
) -> None:
    path = write(tmp_path, **what)
    with pytest.raises(lvmcheck.InputError) as problem:
        load_suite(path)
    assert (problem.value.where, problem.value.key) == (str(path), key)
    assert problem.value.line is not None
    assert said in problem.value.problem


def test_ranks_are_part_of_a_suite_and_of_the_key_alone(tmp_path: Path) -> None:
    two, one = load_suite(write(tmp_path)), load_suite(write(tmp_path, ranks=1))
    assert (two.ranks, one.ranks) == (2, 1)
    assert two.config == one.config
    assert "distributed" not in two.config


def test_a_script_trains_on_one_rank(tmp_path: Path) -> None:
    with lvmcheck.record(tmp_path / "run") as rec:
        rec.meeting = Meeting(tmp_path / "run", 0, 2)
        with pytest.raises(lvmcheck.InputError) as problem:
            command.train({"command": ["train.py"], "seed": 0}, rec)
    assert problem.value.key == "ranks"


def session(path: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path.parent), f"--rootdir={ROOT}"]
    home = path.parents[2] / "home"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command += [f"--lvm-dir={home}", *more]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=null, stdout=null, stderr=null)


def run_of(path: Path) -> Path:
    return next(folder for folder in (path.parents[2] / "home" / "runs" / "two").iterdir() if folder.is_dir())


@FULL
@pytest.mark.parametrize("victim", ["0", "1", "agent"])
def test_a_killed_rank_is_resumed_to_the_same_history(victim: str, tmp_path: Path) -> None:
    whole, cut = write(tmp_path / "whole", epochs=4), write(tmp_path / "cut", epochs=4)
    assert session(whole).wait(timeout=280) == 0
    process = session(cut)
    until = time.monotonic() + 280
    while time.monotonic() < until and not _second_epoch(cut):
        time.sleep(0.05)
    folder = run_of(cut)
    other = json.loads((folder / FOLDER / "1.who.json").read_text())["pid"]
    agent = int(Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[1])
    siblings = [int(pid) for pid in Path(f"/proc/{agent}/task/{agent}/children").read_text().split()]
    first = next(pid for pid in siblings if pid != other)
    chosen = {"0": first, "1": other, "agent": agent}[victim]
    assert b"lvmcheck.launch" in Path(f"/proc/{chosen}/cmdline").read_bytes()
    os.kill(chosen, signal.SIGKILL)
    assert process.wait(timeout=280) == 1
    assert not any(_runs(pid) for pid in (first, other, agent))
    assert session(cut).wait(timeout=280) == 0
    runs = [lvmcheck.load(run_of(path)) for path in (whole, cut)]
    assert all(run.finished for run in runs)
    histories = [[(window.last_step, window.loss_mean) for window in run.windows] for run in runs]
    assert histories[0] == histories[1]


def _second_epoch(path: Path) -> bool:
    try:
        events = run_of(path) / "events.jsonl"
        return events.read_bytes().count(b'"event":"checkpoint"') >= 3
    except (OSError, StopIteration):
        return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
