"""The command as a process of its own: terminals without our signs, and readers that leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.commands.main import NO_READER, PASSED


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with lvmcheck.record(tmp_path / "run", config={"epochs": 2}, seed=0, window=1) as rec:
        for epoch in (1, 2):
            rec.step(loss=2.0 / epoch)
            rec.epoch(epoch, val_loss=2.0 / epoch)
    return tmp_path / "run"


def command(*args: str | Path, stdout: int = subprocess.PIPE, **env: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "lvmcheck.commands.main", *map(str, args)]
    return subprocess.run(
        words, stdout=stdout, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}, check=False
    )


def test_a_terminal_without_our_signs(run: Path) -> None:
    done = command("check", run, "-v", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (PASSED, "")
    assert "? finite" in done.stdout


def test_nobody_reads_the_answer(run: Path) -> None:
    """``lvmcheck check ... | head -0``: no complaint, and not the exit code of a pass."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = command("check", run, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (NO_READER, "")
