"""Ctrl-C, and a pytest that is killed: the run stays readable, no trainer is left, and a later call continues."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from suites.lvmcheck.plugin_kit.project import Project, done, events, floor, metrics, trainers_of, wait_for

SOON = 40.0
"""Seconds, on a busy machine: fewer than the minute after which an orphan ends by itself."""
CHECKS = (floor(1, 0.45), floor("final", 0.55), '[[check]]\ncheck = "finite"\n')
HELD: dict[str, Any] = {"steps": 10, "hold_lock": "held"}
"""Waits in epoch 2 while the file ``held`` is locked: however late a signal is sent, it comes before the end."""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Iterator[Project]:
    made = Project(pytester)
    made.suite(*CHECKS, **HELD)
    made.hold()
    yield made
    made.release()


def began_epoch_2(project: Project) -> bool:
    return any(metrics(folder) for folder in project.runs().values())


def reference(project: Project) -> list[dict[str, float]]:
    """The metrics of the same run without an interruption, kept elsewhere."""
    project.pytest("--lvm-dir", "undisturbed").assert_outcomes(passed=3)
    (folder,) = (path.parent for path in (project.path / "undisturbed").rglob("events.jsonl"))
    return metrics(folder)


def in_epoch_2(project: Project, *args: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """pytest in the background while its trainer is in epoch 2, and the trainers that run."""
    process = project.start(*args)
    wait_for(lambda: began_epoch_2(project))
    return process, trainers_of(project.home)


def continued(project: Project, folder: Path) -> None:
    """A later call continues from the checkpoint and ends with the very same numbers."""
    project.release()
    project.pytest().assert_outcomes(passed=3)
    first, second = events(folder, "begin")
    assert "resumed_at_step" not in first
    assert second["resumed_at_step"] >= 10
    assert metrics(folder) == reference(project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_pytest_leaves_a_readable_run_and_no_orphan(project: Project, number: signal.Signals) -> None:
    process, trainers = in_epoch_2(project)
    assert len(trainers) == 1
    process.send_signal(number)
    began = time.monotonic()
    assert process.wait(timeout=SOON) in (pytest.ExitCode.INTERRUPTED, -number)
    wait_for(lambda: not trainers_of(project.home))
    assert time.monotonic() - began < SOON
    run = lvmcheck.load(project.run())
    assert run.last_epoch >= 1
    assert not run.finished
    continued(project, project.run())


def test_ctrl_c_says_so_in_the_completion_record(project: Project) -> None:
    process, _ = in_epoch_2(project)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=SOON)
    end = done(project.run())
    assert (end["status"], end["reason"]) == ("stopped", "an interrupt")
    assert "INTERNALERROR" not in (project.path / "pytest.log").read_text()


def test_a_killed_pytest_takes_its_trainer_along(project: Project) -> None:
    process, trainers = in_epoch_2(project)
    assert len(trainers) == 1
    process.kill()
    process.wait(timeout=SOON)
    began = time.monotonic()
    wait_for(lambda: not trainers_of(project.home))
    assert time.monotonic() - began < SOON
    continued(project, project.run())


def test_a_run_that_an_orphan_still_writes_is_not_continued_before_it_ends(project: Project) -> None:
    """The lock of a killed pytest is free at once; its trainer may write for seconds yet."""
    process, (orphan,) = in_epoch_2(project)
    process.kill()
    process.wait(timeout=SOON)
    assert trainers_of(project.home) == [orphan]
    project.release()
    project.pytest().assert_outcomes(passed=3)
    assert metrics(project.run()) == reference(project)
    assert lvmcheck.load(project.run()).finished


def test_ctrl_c_under_xdist_leaves_no_orphan(project: Project) -> None:
    process, trainers = in_epoch_2(project, "-n", "2")
    assert len(trainers) == 1
    process.send_signal(signal.SIGINT)
    process.wait(timeout=SOON)
    wait_for(lambda: not trainers_of(project.home))
    assert lvmcheck.load(project.run()).last_epoch >= 1


BUILDING = """
import signal
from lvmcheck.validation import adapter

signal.signal(signal.SIGINT, signal.default_int_handler)  # where this session runs in the background it is ignored

class Figure:
    built = 0

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        signal.raise_signal(signal.SIGINT)
        cls.built += 1
        return {"type": "float"}

try:
    adapter(Figure)
except KeyboardInterrupt:
    print("interrupted", Figure.built)
"""


def test_ctrl_c_is_no_error_of_the_types_that_are_built_meanwhile() -> None:
    """pydantic made a SchemaError of it, which ended pytest with an internal error: it counts when they are built."""
    shown = subprocess.run([sys.executable, "-c", BUILDING], capture_output=True, text=True, check=True).stdout
    assert shown == "interrupted 1\n"
