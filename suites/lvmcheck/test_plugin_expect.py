"""Known failures pass only for the right failure, and bounds apply only to the data they were chosen on."""

from __future__ import annotations

import pytest

from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_3, Project, floor, verdicts


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


def expecting(words: str, epoch: int | str = 1, bound: float = 0.7, *more: str, metric: str = "val_cosine") -> str:
    return floor(epoch, bound, f"expect = {{ {words} }}", *more, metric=metric)


def test_the_right_failure_passes_and_says_so(project: Project) -> None:
    project.suite(expecting('says = ["val cosine", "AT LEAST 0.7"], within_epoch = 1'))
    result = project.pytest("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*PASSED  failed as expected: 0.50*, wanted at least 0.7 (-0.*"])


WRONG = {
    "it passes": (expecting("", 1, 0.1), "expected to fail, but it passed"),
    "it says something else": (expecting('says = ["dominates"]'), "its message does not say 'dominates'"),
    "too late": (expecting("within_epoch = 1", 3), "it failed at epoch 3, expected within epoch 1"),
    "an error": (expecting("", metric="val_cosin"), "expected to fail on a measurement, but it was: error"),
    "the manual page says it": (expecting('says = ["InfoNCE"]'), "its message does not say 'InfoNCE'"),
    "the source says it": (
        expecting('says = ["table 2"]', 1, 0.7, 'source = "table 2"'),
        "its message does not say 'table 2'",
    ),
    "the file name says it": (expecting('says = ["suite.toml"]'), "its message does not say 'suite.toml'"),
    "not applicable": (
        expecting("", 1, 0.7, 'calibrated_on = "other"'),
        "expected to fail on a measurement, but it was: not applicable",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_anything_else_fails(project: Project, wrong: str) -> None:
    check, message = WRONG[wrong]
    project.suite(check)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    assert message in result.stdout.str()
    if wrong == "it passes":
        assert "usual causes" not in result.stdout.str()  # nothing of the check's went wrong


@pytest.mark.parametrize("die", ["os_exit_0", "raise_in_step"])
def test_a_trainer_that_dies_has_not_failed_as_expected(project: Project, die: str) -> None:
    project.suite(expecting("", 3), die=die)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    assert "expected to fail on a measurement, but it was: error" in result.stdout.str()


def test_not_reached_is_not_the_expected_failure(project: Project) -> None:
    project.suite(expecting("", 3), floor(1, 0.6, "abort_below = 0.55"))
    result = project.pytest()
    result.assert_outcomes(failed=2)
    assert "expected to fail on a measurement, but it was: failed: not reached" in result.stdout.str()


def test_an_expected_abort_dooms_no_other_seed(project: Project) -> None:
    project.suite(expecting("within_epoch = 1", 1, 0.6, "abort = true"), seeds=[0, 1])
    project.pytest("--lvm-jobs", "1").assert_outcomes(passed=2)
    assert project.trainings() == 2


def test_known_failures_are_the_same_under_xdist(project: Project) -> None:
    project.suite(expecting("within_epoch = 1"), expecting("", 3, 0.1))
    project.pytest("-n", "2").assert_outcomes(passed=1, failed=1)


# -- calibrated_on -----------------------------------------------------------------------------------------------------
def test_a_bound_of_other_data_is_skipped_with_its_reason(project: Project) -> None:
    project.suite(floor(1, 0.9, 'calibrated_on = "big corpus"'), floor(3, 0.55))
    result = project.pytest("-v")
    assert verdicts(result) == {f"seed0::{NODE_1}": "SKIPPED", f"seed0::{NODE_3}": "PASSED"}
    result.stdout.fnmatch_lines(["*its bound was chosen on 'big corpus' and this run uses 'toy'*"])


@pytest.mark.parametrize(("bound", "outcome"), [(0.45, "passed"), (0.9, "failed")])
def test_a_bound_of_this_data_decides(project: Project, bound: float, outcome: str) -> None:
    project.suite(floor(1, bound, 'calibrated_on = "toy"'))
    project.pytest().assert_outcomes(**{outcome: 1})


def test_a_bound_whose_data_never_became_known_is_no_pass(project: Project) -> None:
    (project.path / "toy.py").write_text("def train(config, rec):\n    rec.epoch(1, val_cosine=1.0)\n")
    project.suite(floor("final", 0.45, 'calibrated_on = "toy"'), epochs=1)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    assert "its bound was chosen on 'toy' and this run does not say what its data are" in result.stdout.str()
