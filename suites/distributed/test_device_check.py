"""``ci/device_check.sh``: it runs on a CPU with tiny sizes, so that it works the first time that a device is there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLES = ("cognate", "epochs", "kernels", "nccl", "seeds")


def check(out: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(
        [ROOT / "ci" / "device_check.sh", out], env=environment, capture_output=True, text=True, timeout=170
    )


@pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="20 s of CPU time; LVM_RELIABILITY=full")
def test_every_table_is_written_on_a_cpu(tmp_path: Path) -> None:
    done = check(tmp_path, LVM_CHECK_TINY="1")
    assert done.returncode == 0, done.stdout
    assert sorted(path.stem for path in tmp_path.glob("*.md")) == list(TABLES)
    for name in TABLES:
        lines = (tmp_path / f"{name}.md").read_text().splitlines()
        rows = [line for line in lines if line.startswith("|")]
        assert len(rows) >= 3, name
        assert len({line.count("|") for line in rows}) == 1
        assert "no figure counts" in "\n".join(lines)


def test_what_was_not_done_is_named_and_fails(tmp_path: Path) -> None:
    done = check(tmp_path, LVM_CHECK_DEVICE="cpu", LVM_CHECK_SECONDS="0")
    assert done.returncode == 1
    assert "not done: epochs (no time left)" in done.stdout
    assert list(tmp_path.glob("*.md")) == []
