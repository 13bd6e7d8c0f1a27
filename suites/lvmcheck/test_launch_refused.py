"""A refusal of the system before a trainer starts is tried again; no test changes what trainers inherit."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.process import trainer_environment
from lvmcheck.launch.refusals import PERSISTENT, TRANSIENT
from lvmcheck.launch.run_job import RunJob, State
from lvmcheck.suite import load_suite
from suites.lvmcheck.plugin_kit.project import Project


@pytest.fixture
def job(pytester: pytest.Pytester) -> RunJob:
    project = Project(pytester)
    pytester.syspathinsert()
    project.suite()
    plan = Plan(load_suite(project.suite_file), 0, Settings(home=project.home, root=project.path, session="this"))
    plan.__dict__["key"] = {"key": "0123456789abcdef"}
    return RunJob(plan, ())


class Refusal:
    """A place to train that the system refuses."""

    def __init__(self, number: int) -> None:
        self.number, self.asked = number, 0

    def __call__(self, _plan: Plan) -> FileLock | None:
        self.asked += 1
        raise OSError(self.number, os.strerror(self.number), "/slots/cpu-0.lock")


@pytest.mark.parametrize("number", sorted(TRANSIENT), ids=errno.errorcode.__getitem__)
def test_a_transient_refusal_is_tried_again(job: RunJob, number: int) -> None:
    refusal = Refusal(number)
    for _ in range(3):
        job.poll(refusal)
        assert (job.state, job.problem) == (State.NEW, None)
    assert refusal.asked == 3
    job.poll(lambda _plan: None)
    assert job.state is State.WAITING
    job.cancel("the test ends")


def test_a_refusal_that_lasts_ends_the_job_with_its_own_words(job: RunJob) -> None:
    job.poll(Refusal(errno.EACCES))
    job._refusals.since = time.monotonic() - PERSISTENT - 1
    job.poll(Refusal(errno.EACCES))
    assert job.over
    assert "/slots/cpu-0.lock: cannot be written: Permission denied" in str(job.problem)


def test_refusals_are_counted_from_the_last_success(job: RunJob) -> None:
    job.poll(Refusal(errno.EACCES))
    job.poll(lambda _plan: None)
    assert job._refusals.since is None
    job.cancel("the test ends")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.__getitem__)
def test_any_other_refusal_ends_the_job_at_once(job: RunJob, number: int) -> None:
    job.poll(Refusal(number))
    assert job.over
    assert os.strerror(number) in str(job.problem)


# -- what trainers inherit ---------------------------------------------------------------------------------------------
def test_a_trainer_inherits_the_environment_that_the_session_began_with(tmp_path: Path) -> None:
    made = trainer_environment({"MINE": "1", "ITS": "2"}, tmp_path, threads=2, seed=7, named=["MINE"])
    assert made["MINE"] == "1"
    assert not {"HOME", "ITS"} & {*made}
    assert (made["OMP_NUM_THREADS"], made["PYTHONHASHSEED"]) == ("2", "7")


def test_import_paths_are_resolved_where_the_session_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("below")
    paths = trainer_environment({}, tmp_path, threads=1, seed=0)["PYTHONPATH"].split(os.pathsep)
    assert paths[0] == str(tmp_path / "below")
    assert len(paths) == len(sys.path)
