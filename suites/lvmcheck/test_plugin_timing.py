"""Items are decided while training goes on, and a doomed run is stopped at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import pytest

from lvmcheck.launch.device import cores
from lvmcheck.launch.locks import try_lock
from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_1, NODE_3, NODE_END, Project, done, events, floor, verdicts

ABORT = "abort_below = 0.55"
WATCHER = """
import json, os, time
from pathlib import Path

import pytest


@pytest.hookimpl
def pytest_runtest_logreport(report):
    if report.when == "call":
        ended = [str(p.parent) for p in Path(".lvmcheck").rglob("done.json")]
        epochs = [p.read_bytes().count(b'"event":"epoch"') for p in Path(".lvmcheck").rglob("events.jsonl")]
        line = {"node": report.nodeid, "ended": ended, "epochs": epochs, "time": time.time()}
        with open("reported.jsonl", "a") as log:
            log.write(json.dumps(line) + "\\n")
"""


def test_the_item_of_epoch_1_is_reported_before_the_run_ends(project: Project) -> None:
    (project.path / "conftest.py").write_text(WATCHER)
    project.suite(steps=10, pause=0.02)
    project.pytest().assert_outcomes(passed=4)
    reported = [json.loads(line) for line in (project.path / "reported.jsonl").read_text().splitlines()]
    by_node = {line["node"].rpartition("seed0::")[2]: line for line in reported}
    assert reported[0]["node"].endswith(NODE_1)
    assert by_node[NODE_1]["ended"] == []
    assert by_node[NODE_1]["epochs"] == [1]
    assert by_node[NODE_3]["ended"] == []
    assert by_node[NODE_END]["epochs"] == [4]


def test_an_abort_stops_at_the_step_after_the_epoch(project: Project) -> None:
    project.suite(floor(1, 0.60, ABORT), floor(3, 0.55), floor("final", 0.55), pause=0.001)
    result = project.pytest("-v")
    result.assert_outcomes(failed=1)
    end = done(project.run())
    assert (end["status"], end["reason"], end["epochs"], end["steps"]) == ("stopped", NODE_1, 1, 20)
    result.stdout.fnmatch_lines(
        [
            "*stopped at epoch 1 of 4 (step 20) by cosine_floor*; 3 epochs not trained*",
            "*not reached: run stopped at epoch 1 of 4 by cosine_floor[[]val_cosine@1[]]*",
        ]
    )


def test_a_trainer_that_looks_at_stop_only_in_its_loop_takes_one_more_step(project: Project) -> None:
    last_look = '        if rec.stop and not config.get("deaf"):\n            return\n\n\n'
    source = (project.path / "toy.py").read_text()
    assert last_look in source
    (project.path / "toy.py").write_text(source.replace(last_look, "\n\n"))
    project.suite(floor(1, 0.60, ABORT), floor(3, 0.55))
    project.pytest().assert_outcomes(failed=1)
    assert done(project.run())["steps"] == 21


def test_an_abort_from_a_window_stops_within_the_epoch(project: Project) -> None:
    """The judge polls every 10 ms while steps go on; the number is printed, the bound is half an epoch."""
    project.suite('[[check]]\ncheck = "finite"\nabort = true\n', floor(1, 0.4), steps=2000, pause=0.001, nan_at=[1, 7])
    result = project.pytest("-v")
    result.assert_outcomes(failed=1)
    end = done(project.run())
    print(f"stopped {end['steps'] - 10} steps after the window that holds the NaN")
    assert end["status"] == "stopped"
    assert end["epochs"] == 0
    assert 10 <= end["steps"] < 1000
    result.stdout.fnmatch_lines(["*loss is NaN*at epoch 1, step 8*"])


def test_other_seeds_do_not_start_once_one_is_doomed(project: Project) -> None:
    project.suite(floor(1, 0.60, ABORT), seeds=[0, 1, 2])
    result = project.pytest("--lvm-jobs", "1")
    result.assert_outcomes(failed=1)
    assert project.trainings() == 1
    text = result.stdout.str()
    assert f"not reached: seed0 was stopped by {NODE_1}, and every seed must pass" in text
    assert "run seed1" not in text  # there is no such directory
    assert text.count("usual causes") + text.count("likely") <= 2


def test_a_doomed_run_is_reused_as_doomed(project: Project) -> None:
    project.suite(floor(1, 0.60, ABORT), floor("final", 0.5))
    project.pytest().assert_outcomes(failed=1)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    assert project.trainings() == 1
    result.stdout.fnmatch_lines(["*reused run of*", "*3 epochs not trained*"])


def test_a_plain_fail_does_not_stop_the_run(project: Project) -> None:
    project.suite(floor(1, 0.60), floor("final", 0.55))
    result = project.pytest("-v")
    assert verdicts(result) == {f"seed0::{NODE_1}": "FAILED", f"seed0::{NODE_END}": "PASSED"}
    assert done(project.run())["epochs"] == 4


def test_selected_checks_stop_the_run_when_they_are_decided(project: Project) -> None:
    project.suite(*CHECKS, pause=0.001)
    project.pytest("-k", "epoch_1").assert_outcomes(passed=1, deselected=3)
    assert done(project.run())["steps"] == 20
    assert not events(project.run(), "begin")[1:]


def test_the_full_call_continues_what_a_part_has_trained(project: Project) -> None:
    project.pytest("-k", "epoch_1").assert_outcomes(passed=1, deselected=3)
    project.pytest().assert_outcomes(passed=4)
    begins = events(project.run(), "begin")
    assert [event.get("resumed_at_step") for event in begins] == [None, 20]
    continued = [event["metrics"] for event in events(project.run(), "epoch")]
    project.pytest("--lvm-fresh").assert_outcomes(passed=4)
    assert [event.get("resumed_at_step") for event in events(project.run(), "begin")] == [None]
    assert [event["metrics"] for event in events(project.run(), "epoch")] == continued
    assert len(project.runs()) == 2  # the old run was moved aside


def test_it_is_said_when_other_sessions_hold_every_place(project: Project) -> None:
    places = project.home / "slots"
    places.mkdir(parents=True)
    held = try_lock(places / "cpu-0.lock")
    assert held is not None
    threading.Timer(5.0, held.release).start()
    result = project.pytest("--lvm-jobs", "1", "-k", "epoch_1")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.fnmatch_lines(["  seed0  waits: every training slot in *slots is in use (see --lvm-jobs)"])


@pytest.mark.parametrize(("jobs", "free"), [((), False), (("--lvm-jobs", "2"), True)])
def test_an_accelerator_takes_one_run_if_no_more_are_asked_for(
    project: Project, jobs: Sequence[str], free: bool
) -> None:
    project.suite(floor(1, 0.45), device="mps")  # the toy trainer computes nothing there
    places = project.home / "slots"
    places.mkdir(parents=True)
    held = try_lock(places / "mps-0.lock")
    assert held is not None
    threading.Timer(5.0, held.release).start()
    result = project.pytest(*jobs)
    result.assert_outcomes(passed=1)
    assert ("waits: every training slot" not in result.stdout.str()) == free
    assert (places / "mps-1.lock").exists() == free


def test_threads_are_those_asked_for(project: Project) -> None:
    threads = min(2, cores())
    project.pytest("--lvm-threads", str(threads)).assert_outcomes(passed=4)
    told = json.loads((project.run() / "run.json").read_text())
    assert told["config"]["threads"] == threads
