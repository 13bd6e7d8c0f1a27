"""A kill at a system call that changes files: what a later session says is what an undisturbed one says, or nothing.

``strace`` kills with the N-th such call. All calls with LVM_RELIABILITY=full, else some.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from lvmcheck.run import directory as rundir
from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_END, OPTIONS, Project, floor, metrics, verdicts

FULL = os.environ.get("LVM_RELIABILITY") == "full"
RIGHT = {f"seed0::{NODE_1}": "PASSED", f"seed0::{NODE_END}": "FAILED"}


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    words = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL:when=1", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not strace_works(), reason="strace is not installed, or may not trace here")


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    made.suite(floor(1, 0.45), floor("final", 0.65), epochs=2, steps=4, window=2)
    return made


def killed_at(project: Project, call: str, number: int, command: list[str]) -> bool:
    """Whether the command, or a process below it, was killed with that call."""
    inject = f"inject={call}:signal=KILL:when={number}"
    words = ["strace", "-qq", "-f", "-o", "trace.txt", "-e", f"trace={call}", "-e", inject, *command]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(words, cwd=project.path, env=environment, capture_output=True, check=False, timeout=120)
    return b"killed by SIGKILL" in (project.path / "trace.txt").read_bytes()


def numbers(most: int, shown: int) -> list[int]:
    """Which of the first calls are tried: all of them (up to 60, evenly), or a few over the whole length."""
    if FULL:
        return list(range(1, most + 1, max(1, most // 60)))
    if not shown:
        pytest.skip("LVM_RELIABILITY=full")
    return sorted({3 + most * part // shown for part in range(shown)})


def check_afterwards(project: Project, undisturbed: list[dict[str, float]], at: str) -> None:
    result = project.pytest("-v")
    assert verdicts(result) == RIGHT, at
    assert "INTERNALERROR" not in result.stdout.str(), at
    assert metrics(project.run()) == undisturbed, at
    assert json.loads((project.run() / rundir.DONE).read_text())["status"] in ("finished", "stopped")
    shutil.rmtree(project.home)


@pytest.mark.parametrize(("call", "most", "shown"), [("fsync", 40, 1), ("rename", 30, 0), ("unlink", 8, 0)])
def test_a_session_and_its_trainer_are_killed(project: Project, call: str, most: int, shown: int) -> None:
    """The session, its guard or its trainer, whichever comes to its N-th call first."""
    tried, kills = numbers(most, shown), 0
    project.pytest().assert_outcomes(passed=1, failed=1)
    undisturbed = metrics(project.run())
    shutil.rmtree(project.home)
    for number in tried:
        command = [sys.executable, "-m", "pytest", *OPTIONS]
        if not killed_at(project, call, number, command):
            break
        kills += 1
        check_afterwards(project, undisturbed, f"{call} {number}")
    assert kills or call == "unlink"
    print(f"{kills} kills of a session at {call}")


@pytest.mark.parametrize(("call", "most", "shown"), [("write", 60, 1), ("openat", 900, 0), ("mkdir", 8, 0)])
def test_a_trainer_is_killed(project: Project, call: str, most: int, shown: int) -> None:
    """At its writes too: the session's own terminal output would be counted first, so the trainer runs alone."""
    tried, kills = numbers(most, shown), 0
    project.pytest().assert_outcomes(passed=1, failed=1)
    undisturbed, folder = metrics(project.run()), project.run()
    info = (folder / rundir.INFO).read_bytes()
    for number in tried:
        shutil.rmtree(project.home, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / rundir.INFO).write_bytes(info)
        (folder / rundir.JUDGED).write_text(str(1 << 40))
        environment = f"PYTHONPATH={project.path}:{os.environ.get('PYTHONPATH', '')}"
        command = ["env", environment, sys.executable, "-P", "-m", "lvmcheck.launch.worker", str(folder), "0"]
        if not killed_at(project, call, number, command):
            break
        kills += 1
        check_afterwards(project, undisturbed, f"{call} {number}")
    assert kills
    print(f"{kills} kills of a trainer at {call}")
