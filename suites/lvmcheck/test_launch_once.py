"""Several pytest processes at once: one trains, the others follow, and one takes over when the first is killed."""

from __future__ import annotations

import pytest

import lvmcheck
from suites.lvmcheck.plugin_kit.project import CHECKS, Project, events, metrics, trainers_of, wait_for


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    made.suite(*CHECKS, steps=10, pause=0.02)
    return made


def test_four_sessions_train_once(project: Project) -> None:
    sessions = [project.start(log=f"{number}.log") for number in range(4)]
    assert [session.wait(timeout=180) for session in sessions] == [0] * 4
    assert project.trainings() == 1
    assert all("4 passed" in (project.path / f"{number}.log").read_text() for number in range(4))


def test_another_session_takes_over_when_the_first_is_killed(project: Project) -> None:
    project.suite(*CHECKS, steps=20, hold_lock="held")
    project.hold()  # the first trainer waits in epoch 2 until the second session follows, however slowly that starts
    first = project.start(log="first.log")
    wait_for(lambda: any(metrics(folder) for folder in project.runs().values()))
    second = project.start(log="second.log")
    wait_for(lambda: "epoch 1/4" in (project.path / "second.log").read_text())  # it follows
    first.kill()
    first.wait(timeout=30)
    project.release()
    assert second.wait(timeout=180) == 0
    folder = project.run()
    assert lvmcheck.load(folder).finished
    assert len(events(folder, "begin")) == 2
    assert [event["epoch"] for event in events(folder, "epoch")] == [1, 2, 3, 4]
    assert not trainers_of(project.home)


def test_what_follows_survives_when_the_trainer_dies(project: Project) -> None:
    project.suite(*CHECKS, steps=10, pause=0.02, die="sigkill", die_epoch=3)
    sessions = [project.start(log=f"{number}.log") for number in range(2)]
    assert [session.wait(timeout=180) for session in sessions] == [1, 1]
    for number in range(2):
        text = (project.path / f"{number}.log").read_text()
        assert "killed by SIGKILL" in text
        assert "INTERNALERROR" not in text


def test_slots_limit_the_trainers_of_all_sessions(project: Project) -> None:
    """--lvm-jobs 1: two suites in two sessions never train at the same time."""
    project.suite(*CHECKS, steps=10, pause=0.01, seeds=[0, 1, 2])
    session = project.start("--lvm-jobs", "1")
    most = 0
    while session.poll() is None:
        most = max(most, len(trainers_of(project.home)))
    assert session.returncode == 0
    assert most == 1
