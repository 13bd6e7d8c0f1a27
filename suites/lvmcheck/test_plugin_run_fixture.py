"""The ``run`` fixture of Python tests beside a suite file, and training inside the pytest process."""

from __future__ import annotations

import pytest

from suites.lvmcheck.plugin_kit.project import CHECKS, NODE_1, Project, done, floor, metrics, verdicts

BESIDE = """
import lvmcheck

def test_run(run):
    assert isinstance(run, lvmcheck.Run)
    assert run.finished and run.last_epoch == 4
    print("seed", run.seed)
"""


def beside(project: Project, text: str, name: str = "test_beside.py") -> None:
    (project.suite_file.parent / name).write_text(text)


def test_a_python_test_gets_the_whole_run_of_every_seed(project: Project) -> None:
    beside(project, BESIDE)
    project.suite(seeds=[5, 6])
    result = project.pytest("-v", "-s")
    result.assert_outcomes(passed=10)
    assert project.trainings() == 2
    result.stdout.fnmatch_lines(["*test_run[[]seed5[]]*seed 5*"])


def test_it_alone_trains_the_run_to_its_end(project: Project) -> None:
    beside(project, BESIDE)
    project.pytest("suites/toy/test_beside.py").assert_outcomes(passed=1)
    assert done(project.run())["status"] == "finished"


def test_selected_with_an_early_item_it_still_gets_the_whole_run(project: Project) -> None:
    beside(project, BESIDE)
    project.pytest("-k", "epoch_1 or test_run").assert_outcomes(passed=2, deselected=3)
    assert done(project.run())["epochs"] == 4


def test_a_run_that_died_fails_the_test_with_its_end(project: Project) -> None:
    beside(project, BESIDE)
    project.suite(die="sigkill")
    result = project.pytest("suites/toy/test_beside.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*toy seed0: run died after epoch 1 of 4: the trainer killed by SIGKILL*"])


def test_without_a_suite_file_the_message_says_what_is_missing(project: Project) -> None:
    (project.path / "test_elsewhere.py").write_text("def test_x(run):\n    pass\n")
    result = project.pytest("test_elsewhere.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the 'run' fixture needs a suite.toml beside the test"])


def test_beside_a_broken_suite_file_the_message_is_the_suites(project: Project) -> None:
    beside(project, BESIDE)
    project.suite(floor(1, 3))
    result = project.pytest("suites/toy/test_beside.py")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "suites/toy/suite.toml:17: cosine_floor.floor: expected -1 to 1, got 3.0." in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


OWN = (
    "import pytest\n\n@pytest.fixture\ndef run():\n    return 'mine'\n\ndef test_mine(run):\n    assert run == 'mine'\n"
)


def test_a_fixture_of_ones_own_is_untouched(project: Project) -> None:
    (project.path / "test_elsewhere.py").write_text(OWN)
    beside(project, OWN, "test_own.py")
    beside(project, "import pytest\n\n@pytest.mark.parametrize('run', [1])\ndef test_p(run):\n    assert run == 1\n")
    project.pytest("test_elsewhere.py", "suites/toy/test_own.py", "suites/toy/test_beside.py").assert_outcomes(passed=3)
    assert not project.home.exists()


# -- --lvm-inprocess ---------------------------------------------------------------------------------------------------
def test_in_process_gives_the_same_verdicts_and_metrics(project: Project) -> None:
    project.suite(*CHECKS, floor(2, 0.7))
    here = verdicts(project.pytest("-v", "--lvm-inprocess"))
    assert here == verdicts(project.pytest("-v", "--lvm-fresh"))
    first, second = map(metrics, project.runs().values())
    assert first == second
    assert len(first) == 4


def test_in_process_an_exception_shows_the_trainers_own_frames(project: Project) -> None:
    project.suite(die="raise_in_step")
    result = project.pytest("-v", "--lvm-inprocess")
    assert verdicts(result)[f"seed0::{NODE_1}"] == "PASSED"  # decided before it was raised
    result.stdout.fnmatch_lines(['*WAYS[[]config[[]"die"[]][]]()', "*toy_deaths.py:*: ValueError"])


def test_in_process_an_exit_of_the_trainer_does_not_end_pytest(project: Project) -> None:
    project.suite(die="sys_exit_0")
    result = project.pytest("-v", "--lvm-inprocess")
    assert sorted(verdicts(result).values()) == ["FAILED", "FAILED", "FAILED", "PASSED"]


def test_in_process_an_abort_stops_at_once(project: Project) -> None:
    project.suite(floor(1, 0.60, "abort_below = 0.55"), floor(3, 0.55))
    project.pytest("--lvm-inprocess").assert_outcomes(failed=1)
    assert done(project.run())["steps"] == 20
