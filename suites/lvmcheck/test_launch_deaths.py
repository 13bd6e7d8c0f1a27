"""Ways to die: whatever ends a trainer early, nothing that needed more passes, nothing hangs, the message says how."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lvmcheck.launch import stop_deadline
from suites.lvmcheck.plugin_kit.project import (
    EPOCHS,
    NODE_1,
    NODE_3,
    NODE_END,
    Project,
    alive,
    events,
    floor,
    trainers_of,
    verdicts,
    wait_for,
)

SAYS = {
    "os_exit_0": "exited 0 before its completion record",
    "os_exit_1": "exited 1 before its completion record",
    "sys_exit_0": "SystemExit: 0",
    "exit_inside_atexit": "exited 0 before its completion record was written: SystemExit: 0",
    "sigkill": "killed by SIGKILL (not by lvmcheck; it held up to ",
    "sigabrt": "killed by SIGABRT",
    "sigsegv": "killed by SIGSEGV",
    "raise_in_step": "ValueError: the loss has no gradient",
    "out_of_memory": "MemoryError",
    "recursion": "RecursionError",
    "exit_from_a_thread": "exited 0 before its completion record",
    "close_every_file": "before its completion record",
    "flood_the_output": "exited 3 before its completion record",
    "print_bytes": "exited 4 before its completion record",
    "leave_a_child": "exited 0 before its completion record",
}
OUTPUT = {
    "sigsegv": "in read_null",
    "raise_in_step": 'raise ValueError("the loss has no gradient")',
    "recursion": "RecursionError",
    "flood_the_output": "the last words",
    "print_bytes": "[31mred",
    "leave_a_child": "child ",
}


@pytest.mark.parametrize("way", SAYS)
def test_a_dead_trainer_passes_nothing_later(project: Project, way: str) -> None:
    project.suite(die=way)
    result = project.pytest("-v")
    found = verdicts(result)
    assert found == {
        f"seed0::{NODE_1}": "PASSED",  # epoch 1 did end
        f"seed0::{NODE_3}": "FAILED",
        f"seed0::{NODE_END}": "FAILED",
        "seed0::finite": "FAILED",
    }
    text = result.stdout.str()
    assert f"run died after epoch 1 of {EPOCHS}: the trainer" in text
    assert SAYS[way] in text
    if way in OUTPUT:
        assert "last output of the trainer:" in text
        assert OUTPUT[way] in text
    assert "\x1b" not in text
    assert "INTERNALERROR" not in text + result.stderr.str()


def test_the_same_under_xdist(project: Project) -> None:
    project.suite(die="os_exit_0")
    result = project.pytest("-v", "-n", "2")
    result.assert_outcomes(passed=1, failed=3)
    assert project.trainings() == 1
    assert SAYS["os_exit_0"] in result.stdout.str()


def test_a_death_while_importing_names_the_missing_module(project: Project) -> None:
    source = (project.path / "toy.py").read_text()
    (project.path / "toy.py").write_text(source.replace("import time\n", "import time\nimport no_such_library\n"))
    result = project.pytest()
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        ["*suites/toy/suite.toml:6: trainer: cannot be imported (no_such_library): No module named 'no_such_library'.*"]
    )


def test_an_exception_while_importing_is_shown(project: Project) -> None:
    (project.path / "toy.py").write_text("raise RuntimeError('not today')\n")
    result = project.pytest()
    result.assert_outcomes(failed=4)
    assert "RuntimeError: not today" in result.stdout.str()


def test_a_trainer_without_the_function_offers_the_nearest(project: Project) -> None:
    project.suite(trainer="toy:trian")
    result = project.pytest()
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*toy has no function 'trian'. Did you mean 'train'?*"])


@pytest.mark.parametrize("epochs", [0, 3])
def test_returning_early_is_not_finishing(project: Project, epochs: int) -> None:
    """A trainer that says goodbye with a smile has not shown what later epochs were asked for."""
    project.suite(returns_after=epochs)
    found = verdicts(project.pytest("-v"))
    passed = [node for node, word in found.items() if word == "PASSED"]
    assert passed == ([] if epochs == 0 else [f"seed0::{NODE_1}", f"seed0::{NODE_3}"])
    assert found[f"seed0::{NODE_END}"] == found["seed0::finite"] == "FAILED"


def test_a_child_left_behind_goes_with_the_group(project: Project) -> None:
    project.suite(die="leave_a_child")
    project.pytest().assert_outcomes(passed=1, failed=3)
    (pid,) = re.findall(r"child (\d+)", (project.run() / "output.log").read_text())
    wait_for(lambda: not alive(int(pid)))


def test_a_trainer_that_does_not_end_after_its_record_is_ended(project: Project) -> None:
    """A thread that was never joined keeps the process; the run is complete all the same, and judged."""
    project.suite(die="linger")
    result = project.pytest()
    result.assert_outcomes(passed=4)
    assert "run finished at epoch 4 of 4" in result.stdout.str()


@pytest.mark.own_process
@pytest.mark.parametrize(("how", "settings"), [("deaf", {"pause": 0.08}), ("hanging", {"die": "hang"})])
def test_a_trainer_that_does_not_stop_is_killed(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str, settings: dict[str, Any]
) -> None:
    """It fails at epoch 1 and never looks at ``rec.stop``: asked again, killed, and the message says both."""
    monkeypatch.setattr(stop_deadline, "GRACE", 0.5)
    monkeypatch.setattr(stop_deadline, "INSIST", 0.5)
    project.suite(floor(1, 0.9, "abort_below = 0.8"), floor("final", 0.55), deaf=True, **settings)
    result = project.pytest("-v")
    assert verdicts(result) == {f"seed0::{NODE_1}": "FAILED", f"seed0::{NODE_END}": "FAILED"}, how
    text = result.stdout.str()
    said = rf"asked to stop by {re.escape(NODE_1)} \(it never looks at rec.stop, or hangs\) and was killed"
    assert re.search(r"went on for \d+ s after it was " + said, text)
    # A run that we ended is explained as one that ended by itself, by a cause or by the usual ones.
    assert "likely cause: " in text or "usual causes" in text
    assert re.search(r'File ".*/toy(_deaths)?.py", line \d+ in (train|hang)', text)  # where it was when told again
    assert not trainers_of(project.run())


def test_output_is_kept_within_bounds(project: Project) -> None:
    project.suite(die="flood_the_output")
    project.pytest()
    size = (project.run() / "output.log").stat().st_size
    assert (1 << 20) <= size <= (1 << 20) + (1 << 19)
    assert b"bytes not kept" in (project.run() / "output.log").read_bytes()


def test_the_next_call_continues_after_a_death(project: Project) -> None:
    """It dies again, because the key is the same and so is the trainer; no epoch is trained twice."""
    project.suite(die="sigkill")
    project.pytest().assert_outcomes(passed=1, failed=3)
    project.pytest().assert_outcomes(passed=1, failed=3)
    assert [event.get("resumed_at_step") for event in events(project.run(), "begin")] == [None, 20]
    assert [event["epoch"] for event in events(project.run(), "epoch")] == [1]


def test_a_full_disk_is_named_and_what_passed_before_stays(project: Project) -> None:
    project.suite(floor(1, 0.45), floor("final", 0.55), die="full_disk")
    result = project.pytest("-v")
    assert verdicts(result) == {f"seed0::{NODE_1}": "PASSED", f"seed0::{NODE_END}": "FAILED"}
    result.stdout.fnmatch_lines(["*events.jsonl: cannot be written: File too large*"])
    assert "INTERNALERROR" not in result.stdout.str()


FORGED = {
    "delete_the_run": "No such file or directory",
    "write_rubbish": "expected one JSON object, got 'rubbish'",
    "forge_the_completion_record": "does not match its completion record",
}


@pytest.mark.parametrize("way", FORGED)
def test_a_trainer_that_spoils_its_own_record_passes_nothing_later(project: Project, way: str) -> None:
    project.suite(die=way, pause=0.005)
    result = project.pytest("-v")
    found = verdicts(result)
    assert found.pop(f"seed0::{NODE_1}") == "PASSED"
    assert list(found.values()) == ["FAILED"] * 3
    text = result.stdout.str() + result.stderr.str()
    assert FORGED[way] in text
    assert "INTERNALERROR" not in text
    assert "Traceback" not in result.stdout.str().split("last output")[0]
