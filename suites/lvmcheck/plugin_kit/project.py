"""A project of somebody else's: a toy trainer, a suite file and pytest in it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np  # noqa: F401 - inner sessions must not import it anew: numpy refuses
import pytest

import lvmcheck.causes.protocol
import lvmcheck.pytest_plugin.items
from lvmcheck.checks.protocol import check_names, load_check

KIT = Path(__file__).parent
WITHOUT = ("cacheprovider", "benchmark", "hypothesispytest", "anyio")
OPTIONS = (*(word for name in WITHOUT for word in ("-p", f"no:{name}")), "-W", "error", "-ra")
EPOCHS = 4
CURVE = [0.50, 0.55, 0.58, 0.60]
NODE_1, NODE_3, NODE_END = "cosine_floor[val_cosine@1]", "cosine_floor[val_cosine@3]", "cosine_floor[val_cosine@final]"

for name in check_names():
    load_check(name)  # once, not in every inner session


def floor(epoch: int | str, bound: float, *more: str, metric: str = "val_cosine") -> str:
    """A ``[[check]]`` with cosine_floor."""
    lines = ["[[check]]", 'check = "cosine_floor"', f'metric = "{metric}"', f"epoch = {json.dumps(epoch)}"]
    return "\n".join([*lines, f"floor = {bound}", *more]) + "\n"


CHECKS = (floor(1, 0.45), floor(3, 0.55), floor("final", 0.55), '[[check]]\ncheck = "finite"\n')


HEEDING_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Becomes another Python that Ctrl-C interrupts even where this one was started in the background of a shell: such a
shell ignores Ctrl-C, and children inherit that."""


class Project:
    """A folder with ``toy.py`` and ``suites/toy/suite.toml``."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        for name in ("toy.py", "toy_deaths.py"):
            (self.path / name).write_text((KIT / name).read_text())
        (self.path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
        self.home = self.path / ".lvmcheck"
        self.suite_file = self.path / "suites" / "toy" / "suite.toml"
        self.suite_file.parent.mkdir(parents=True)
        self.suite()

    def suite(self, *checks: str, declared: int | None = None, extra: str = "", **run: Any) -> Path:
        """Write the suite file; keyword arguments replace keys of ``[run]``."""
        checks = checks or CHECKS
        table: dict[str, Any] = {"trainer": "toy:train", "epochs": EPOCHS, "seeds": [0], "steps": 20, "window": 5}
        table |= {"curve": CURVE} | run
        keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None)
        count = len(checks) if declared is None else declared
        head = f'[suite]\nabout = "a toy"\nchecks = {count}\n\n[run]\n{keys}\n{extra}\n'
        self.suite_file.write_text(head + "\n".join(checks))
        return self.suite_file

    def hold(self) -> None:
        """Trainers with ``hold_lock`` wait in epoch 2 from now on."""
        self._held = (self.path / "held").open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def release(self) -> None:
        """Trainers go on."""
        self._held.close()

    def pytest(self, *args: str | Path, inside: bool = True) -> pytest.RunResult:
        """pytest in this project; ``inside`` this process, which is quicker, or as a command."""
        words = [*OPTIONS, *map(str, args)]
        return self.pytester.runpytest_inprocess(*words) if inside else self.pytester.runpytest_subprocess(*words)

    def start(self, *args: str, log: str = "pytest.log") -> subprocess.Popen[bytes]:
        """pytest in the background, in its own process group, its output in ``log``."""
        with (self.path / log).open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-c", HEEDING_CTRL_C, "-m", "pytest", *OPTIONS, *args],
                cwd=self.path,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    # -- what is on disk -------------------------------------------------------------------------------------------
    def runs(self) -> dict[str, Path]:
        """Run directories by name, those moved aside included."""
        found = sorted((self.home / "runs" / "toy").glob("*/events.jsonl"))
        return {path.parent.name: path.parent for path in found}

    def run(self, seed: int = 0) -> Path:
        """The one run directory of the seed that is not moved aside."""
        (found,) = (path for name, path in self.runs().items() if f"-seed{seed}-" in name and "." not in name)
        return found

    def trainings(self) -> int:
        """How often a trainer was started in any run directory that is still there."""
        return sum(len(events(folder, "begin")) for folder in self.runs().values())


def events(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The events of a run directory, of one kind."""
    lines = (folder / "events.jsonl").read_bytes().splitlines()
    return [event for event in map(json.loads, lines) if kind in (None, event["event"])]


def metrics(folder: Path) -> list[dict[str, float]]:
    return [event["metrics"] for event in events(folder, "epoch")]


def done(folder: Path) -> dict[str, Any]:
    body = json.loads((folder / "done.json").read_text())
    assert isinstance(body, dict)
    return body


def verdicts(result: pytest.RunResult) -> dict[str, str]:
    """Node (seed and check) -> PASSED, FAILED or SKIPPED, from the output of ``-v``, with xdist or without."""
    found = {}
    for line in result.outlines:
        words = line.split("suite.toml::", 1)
        marks = [mark for mark in ("PASSED", "FAILED", "SKIPPED", "NOT REACHED") if mark in line]
        if len(words) == 2 and marks and not line.startswith(("FAILED suites", "SKIPPED [")):
            found[words[1].split(marks[0])[0].strip()] = marks[0]
    return found


def wait_for(what: Callable[[], object], *, limit: float = 50.0) -> None:
    """Return when ``what`` is true; fail after ``limit`` seconds, which is no bound on speed."""
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def trainers_of(folder: Path) -> list[int]:
    """Processes that have ``folder`` on their command line: trainers of this project."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and alive(int(entry.name)):
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in command and b"lvmcheck.launch.worker" in command:
                found.append(int(entry.name))
    return found


def interrupt(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)


__all__ = ["lvmcheck"]
