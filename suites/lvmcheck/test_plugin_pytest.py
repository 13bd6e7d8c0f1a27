"""Beside pytest's own options and other plugins: nothing trains that need not, and no order changes a verdict."""

from __future__ import annotations

import pytest

from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_END, Project, done, floor, verdicts

REVERSE = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.reverse()
"""


def test_switched_off_a_suite_file_is_no_test(project: Project) -> None:
    result = project.pytest("-p", "no:lvmcheck")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert not project.home.exists()


@pytest.mark.parametrize("args", [("--co",), ("--co", "-q"), ("--setup-plan",), ("--setup-only",)], ids=" ".join)
def test_looking_never_trains(project: Project, args: tuple[str, ...]) -> None:
    project.pytest(*args)
    assert not project.runs()


def test_collecting_lists_seeds_and_checks(project: Project) -> None:
    project.suite(seeds=[0, 7])
    result = project.pytest("--co", "-q")
    result.stdout.fnmatch_lines(["suites/toy/suite.toml::seed0::finite", "suites/toy/suite.toml::seed7::finite"])


def test_one_node_can_be_asked_for(project: Project) -> None:
    project.pytest(f"suites/toy/suite.toml::seed0::{NODE_1}").assert_outcomes(passed=1)
    assert done(project.run())["epochs"] == 1


def test_the_last_failed_are_decided_from_the_same_run(project: Project) -> None:
    project.suite(floor(1, 0.45), floor(3, 0.7), floor("final", 0.55))
    options = ("-p", "no:benchmark", "-W", "error")
    run = project.pytester.runpytest_inprocess
    run(*options).assert_outcomes(passed=2, failed=1)
    run(*options, "--lf").assert_outcomes(failed=1)
    assert project.trainings() == 1


def test_reversed_items_get_the_same_verdicts(project: Project) -> None:
    project.suite(floor(1, 0.45), floor(3, 0.7), floor("final", 0.55), seeds=[0, 1])
    straight = verdicts(project.pytest("-v"))
    (project.path / "conftest.py").write_text(REVERSE)
    reversed_ = project.pytest("-v", "--lvm-fresh")
    assert verdicts(reversed_) == straight
    assert len(straight) == 6


def test_reversed_a_doomed_run_says_the_same(project: Project) -> None:
    (project.path / "conftest.py").write_text(REVERSE)
    project.suite(floor(1, 0.60, "abort_below = 0.55"), floor("final", 0.55))
    result = project.pytest("-v")
    assert verdicts(result) == {f"seed0::{NODE_1}": "FAILED", f"seed0::{NODE_END}": "NOT REACHED"}
    result.stdout.fnmatch_lines(["*not reached: run stopped at epoch 1 of 4 by cosine_floor*"])


def test_exitfirst_leaves_no_trainer_and_a_run_to_continue(project: Project) -> None:
    project.suite(floor(1, 0.60), floor("final", 0.55), pause=0.01)
    project.pytest("-x").assert_outcomes(failed=1)
    assert done(project.run())["reason"] == "the end of the pytest session"
    project.pytest("--deselect", f"suites/toy/suite.toml::seed0::{NODE_1}").assert_outcomes(passed=1, deselected=1)
    assert project.trainings() == 2


def test_a_check_skipped_by_a_marker_trains_nothing(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        "import pytest\n\ndef pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        item.add_marker(pytest.mark.skip(reason='no data here'))\n"
    )
    project.pytest().assert_outcomes(skipped=4)
    assert not project.runs()


def test_the_ini_file_sets_defaults_and_the_command_line_wins(project: Project) -> None:
    (project.path / "pytest.ini").write_text("[pytest]\npythonpath = .\nlvm_dir = kept/here\nlvm_profile = ci\n")
    project.pytest("-k", "epoch_1").assert_outcomes(passed=1, deselected=3)
    assert list((project.path / "kept" / "here" / "runs" / "toy").glob("ci-seed0-*"))
    project.pytest("-k", "epoch_1", "--lvm-dir", "elsewhere", "--lvm-profile", "full").assert_outcomes(
        passed=1, deselected=3
    )
    assert list((project.path / "elsewhere" / "runs" / "toy").glob("full-seed0-*"))


def test_a_test_that_moves_elsewhere_does_not_move_the_runs(project: Project) -> None:
    (project.path / "suites" / "test_a.py").write_text("import os\n\ndef test_a():\n    os.chdir('/')\n")
    project.pytest("suites/test_a.py", "suites/toy").assert_outcomes(passed=5)
    assert project.run()


def test_seeds_of_the_command_line_replace_those_of_the_suite(project: Project) -> None:
    project.pytest("--lvm-seeds", "8, 9").assert_outcomes(passed=8)
    assert {name.split("-")[1] for name in project.runs()} == {"seed8", "seed9"}


def test_other_tests_are_untouched_by_the_session(project: Project) -> None:
    (project.path / "test_plain.py").write_text("def test_plain():\n    assert True\n")
    result = project.pytest("test_plain.py", "-v")
    result.assert_outcomes(passed=1)
    assert "lvmcheck 0.1.0 ·" not in result.stdout.str()
    assert not project.home.exists()
