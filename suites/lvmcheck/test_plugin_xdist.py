"""Under pytest-xdist a run is trained once, however many workers ask, and the verdicts are the same."""

from __future__ import annotations

import os

import pytest

from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_3, Project, floor, verdicts

NUMPY_CHECK = """
from dataclasses import dataclass

import numpy as np

from lvmcheck import Check, Finding, Outcome
from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import passed, pending


@dataclass(frozen=True, kw_only=True)
class Mine(Check):
    '''Says numbers of numpy.'''

    def judge(self, run):
        if not run.last_epoch:
            return pending("an epoch")
        bound = floor(np.float32(0.5))
        return passed(Finding(code="x", measured=np.float64(1.5), bounds=(bound,), epoch=np.int64(1)))
"""


WORKERS = [("-n", "2", "--dist", "loadgroup")]
if os.environ.get("LVM_RELIABILITY") == "full":
    WORKERS += [("-n", "2"), ("-n", "3", "--dist", "loadscope")]


@pytest.mark.parametrize("args", WORKERS, ids="-".join)
def test_trained_once_with_the_same_verdicts(project: Project, args: tuple[str, ...]) -> None:
    project.suite(*CHECKS, floor(3, 0.7, 'name = "too high"'), seeds=[0, 1], pause=0.002)
    workers = project.pytest("-v", *args)
    assert project.trainings() == 2
    assert len(project.runs()) == 2
    alone = verdicts(project.pytest("-v", "--lvm-fresh"))
    assert len(alone) == 10
    assert set(alone.values()) == {"PASSED", "FAILED"}
    together = {node.split(" ")[0] if "too high" not in node else node: word for node, word in clean(workers).items()}
    assert together == alone
    assert "epoch 1/4" not in workers.stdout.str()  # several workers would talk at once
    workers.stdout.fnmatch_lines(["*verdicts of toy (smoke)*", "run seed0 *", "run seed1 *"])


def clean(result: pytest.RunResult) -> dict[str, str]:
    """Verdicts without what xdist writes after the node id with loadgroup."""
    return {node.split("@toy-seed")[0]: word for node, word in verdicts(result).items()}


def test_an_abort_is_seen_by_all_workers(project: Project) -> None:
    project.suite(floor(1, 0.60, "abort_below = 0.55"), floor(3, 0.55), seeds=[0, 1])
    result = project.pytest("-v", "-n", "2", "--lvm-jobs", "1")
    assert sorted(clean(result).values()) == ["FAILED", "NOT REACHED", "NOT REACHED", "NOT REACHED"]
    assert project.trainings() == 1
    result.stdout.fnmatch_lines(["seed1  2 checks not reached: seed0 was stopped by *"])


def test_a_part_and_then_the_whole_are_one_training(project: Project) -> None:
    project.pytest("-n", "2", "-k", "epoch_1 or epoch_3").assert_outcomes(passed=2)
    project.pytest("-n", "2").assert_outcomes(passed=4)
    assert len(project.runs()) == 1
    assert project.trainings() == 2  # begun, and continued


def test_a_check_may_say_numbers_of_numpy(project: Project) -> None:
    (project.path / "mine.py").write_text(NUMPY_CHECK)
    project.suite('[[check]]\ncheck = "mine:Mine"\n', floor(3, 0.55))
    result = project.pytest("-v", "-n", "2")
    assert clean(result) == {"seed0::Mine": "PASSED", f"seed0::{NODE_3}": "PASSED"} or clean(result) == {
        "seed0::mine": "PASSED",
        f"seed0::{NODE_3}": "PASSED",
    }
