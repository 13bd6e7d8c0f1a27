"""A real file system that is full, in bytes or in files: what is said is right or absent, the next session is right.

Needs mounting (root, or a user namespace); where that is not allowed, suites/lvmcheck/test_launch_deaths.py does it
with RLIMIT_FSIZE.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_END, OPTIONS, Project, floor

FULL = os.environ.get("LVM_RELIABILITY") == "full"
SCRIPT = """
mount -t tmpfs -o {options} tmpfs .lvmcheck || exit 99
"$@" > first.txt 2>&1
echo $? > first.code
mount -o remount,size=64m,nr_inodes=10000 .lvmcheck || exit 99
"$@" > second.txt 2>&1
echo $? > second.code
"""
UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    words = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="mounting is not allowed here")
SIZES = [f"size={kilobytes}k" for kilobytes in (range(8, 168, 16) if FULL else (56,))]
INODES = [f"size=64m,nr_inodes={count}" for count in (range(4, 40, 6) if FULL else ())]


@pytest.mark.parametrize("options", SIZES + INODES)
def test_a_disk_that_is_full(pytester: pytest.Pytester, options: str) -> None:
    project = Project(pytester)
    project.suite(floor(1, 0.45), floor("final", 0.65), epochs=3, steps=40, window=1)
    project.home.mkdir()
    session = [sys.executable, "-m", "pytest", *OPTIONS, "-v"]
    words = [*UNSHARE, "sh", "-c", SCRIPT.format(options=options), "sh", *session]
    assert subprocess.run(words, cwd=project.path, check=False, timeout=180).returncode == 0
    first, second = ((project.path / f"{name}.txt").read_text() for name in ("first", "second"))
    codes = [int((project.path / f"{name}.code").read_text()) for name in ("first", "second")]
    assert codes == [1, 1], first
    for text in (first, second):
        assert "INTERNALERROR" not in text, text
        assert f"{NODE_END} PASSED" not in text
    assert f"{NODE_1} PASSED" in second
    assert "run finished" in second or "run stopped" in second, second
    if "run finished" not in first and "run stopped" not in first:
        assert "No space left" in first, first
