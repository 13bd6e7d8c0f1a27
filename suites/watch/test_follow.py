"""``lvmcheck check --follow`` beside a process that trains: as lines, in a terminal, through kill and resumption."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

TRAIN = """
import math, os, sys, time
import lvmcheck
folder, how = sys.argv[1:3]
with lvmcheck.record(folder, config={"epochs": 4}, resume="auto") as rec:
    for epoch in range(rec.epochs + 1, 5):
        for step in range(20):
            rec.step(loss=math.nan if how == "nan" and epoch >= 3 else 1 / (20 * epoch + step) + 0.3, lr=1e-3)
            time.sleep(0.01)
            if how == "die" and (epoch, step) == (3, 10):
                os._exit(9)
        rec.epoch(epoch, val_loss=1 / epoch)
"""
WAIT = 180


def follow(run: Path, *options: str) -> subprocess.Popen[str]:
    # A shell's background job ignores SIGINT, and its children inherit that.
    first = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", f"{first}runpy.run_module('lvmcheck.commands.main', run_name='__main__')"]
    command += ["check", "--follow", str(run), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train(run: Path, how: str = "well") -> None:
    subprocess.run([sys.executable, "-c", TRAIN, str(run), how], check=how != "die", timeout=WAIT)


def test_a_run_is_waited_for_shown_and_judged(tmp_path: Path) -> None:
    process = follow(tmp_path / "run")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert str(tmp_path / "run") in first
    train(tmp_path / "run", "nan")
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert not err
    lines = out.splitlines()
    shown = [line for line in lines if "epoch" in line and "/4" in line]
    assert [line.partition("epoch ")[2][:3] for line in shown] == ["1/4", "2/4", "3/4", "4/4"]
    assert sum(line.startswith("✗ finite") for line in lines) == 2  # when it was seen, and in the verdict


def test_a_killed_run_is_continued_while_it_is_followed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = follow(run)
    train(run, "die")
    with (run / "events.jsonl").open("a") as file:
        file.write('{"event":"wind')  # what a kill cuts short
    time.sleep(1.0)
    train(run)
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, err) == (0, "")
    assert sum("/4" in line for line in out.splitlines()) == 4


def test_a_dead_run_ends_it(tmp_path: Path) -> None:
    train(tmp_path / "run", "die")
    process = follow(tmp_path / "run")
    out, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert "✗ run_completed" in out


def test_the_keyboard_ends_it_and_not_the_run(tmp_path: Path) -> None:
    process = follow(tmp_path / "run")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("case", ["a file", "a kind"])
def test_what_cannot_be_followed_is_one_line(case: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("epoch,loss\n1,0.5\n")
    process = follow(tmp_path / "log.csv") if case == "a file" else follow(tmp_path / "run", "--kind", "columns")
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1)


def test_in_a_terminal_it_is_one_block(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 60, 0, 0))
    command = [sys.executable, "-m", "lvmcheck.commands.main", "check", "--follow", str(tmp_path / "run")]
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment = {**kept, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    train(tmp_path / "run", "nan")
    shown = b""
    while select.select([ours], [], [], WAIT)[0]:
        try:
            read = os.read(ours, 1 << 16)
        except OSError:
            break
        if not read:
            break
        shown += read
    os.close(ours)
    assert process.wait(timeout=WAIT) == 1
    text = shown.decode()
    block, _, rest = text.rpartition("\x1b[?25h")  # the cursor is shown again
    assert "\x1b[2K" in block  # lines are drawn anew
    assert block.count("epoch 1/4") < 20
    assert rest.count("✗ finite") == 1  # the verdict stays
    assert all(len(line) <= 60 for part in block.split("\x1b[2K") for line in part.splitlines() if "\x1b" not in line)
