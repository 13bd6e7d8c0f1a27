"""Commands run as a person would run them, with what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Spent:
    """What a command printed, and its user and system time in seconds, that of the processes it waited for included."""

    output: str
    cpu: float


def environment(**more: str) -> dict[str, str]:
    """This one, without what would make a child pytest behave as a part of this session."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "LVM_"))}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def python(*arguments: str, cwd: Path, expect: Sequence[int] = (0,), **more: str) -> Spent:
    """Runs this Python with ``arguments`` and further environment variables.

    Raises:
        AssertionError: it ended with another code than expected; the message holds its output.
    """
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=cwd, env=environment(**more), stdout=out, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read().decode(errors="replace")
    assert process.returncode in expect, f"{arguments} ended with {process.returncode}:\n{output}"
    return Spent(output, usage.ru_utime + usage.ru_stime)


def pytest(*arguments: str, cwd: Path, expect: Sequence[int] = (0,)) -> Spent:
    """``python -m pytest`` with no plugin but those named: a start that others slow down hides what ours costs."""
    named = ("-m", "pytest", "-p", "no:cacheprovider", *arguments)
    return python(*named, cwd=cwd, expect=expect, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
