"""Tests that need a process of their own share one for each file, whichever workers run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """
import os, pathlib, pytest
pytestmark = pytest.mark.own_process
@pytest.mark.parametrize("number", range(4))
def test_it(number):
    with pathlib.Path("said").open("a") as file:
        print(os.getpid(), number, file=file)
    assert number != 3
"""
WITHOUT = [word for name in ("lvmcheck", "hypothesispytest", "cacheprovider") for word in ("-p", f"no:{name}")]


def test_workers_share_the_process_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["suites.own_process"]\n')
    (tmp_path / "test_them.py").write_text(TESTS)
    words = [sys.executable, "-m", "pytest", "-q", *WITHOUT, "-n", "2", "--dist", "load"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 failed, 3 passed" in done.stdout, done.stdout
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    assert sorted(number for _, number in said) == ["0", "1", "2", "3"]
    assert len({process for process, _ in said}) == 1
