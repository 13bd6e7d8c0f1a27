"""Known failures pass only for the right failure, and bounds apply only to the data they were chosen on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lvmcheck.causes.protocol import Diagnosis, Standing
from lvmcheck.checks.bounds import floor as lower
from lvmcheck.checks.finding import Fact, Finding, Outcome, Verdict, Why, failed
from lvmcheck.checks.system.finite import Finite
from lvmcheck.errors import BadValueError
from lvmcheck.launch.verdicts import as_expected
from lvmcheck.suite.model import CheckEntry, Expect
from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_3, Project, floor, verdicts


def expecting(words: str, epoch: int | str = 1, bound: float = 0.7, *more: str, metric: str = "val_cosine") -> str:
    return floor(epoch, bound, f"expect = {{ {words} }}", *more, metric=metric)


def test_the_right_failure_passes_and_says_so(project: Project) -> None:
    project.suite(expecting('code = "at_epoch", within_epoch = 1'))
    result = project.pytest("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*PASSED  failed as expected: val cosine 0.50* at epoch 1 (floor 0.7)*"])


MEASURED = "expected to fail on a measurement, but the outcome is"
WRONG = {
    "it passes": (expecting("", 1, 0.1), "expected to fail, but the outcome is: passed"),
    "another code": (expecting('code = "best"'), "expected code 'best', but it failed with 'at_epoch'"),
    "a fact that is not there": (expecting('facts = ["share"]'), "expected fact 'share', but the finding has: "),
    "another cause": (expecting('cause = "dominant_term"'), "expected cause 'dominant_term', but the first is "),
    "too late": (expecting("within_epoch = 1", 3), "expected to fail within epoch 1, but it failed at epoch 3"),
    "an error": (expecting("", metric="val_cosin"), f"{MEASURED}: error"),
    "not applicable": (expecting("", 1, 0.7, 'calibrated_on = "other"'), f"{MEASURED}: not applicable"),
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
    assert f"{MEASURED}: error" in result.stdout.str()


def test_not_reached_is_not_the_expected_failure(project: Project) -> None:
    project.suite(expecting("", 3), floor(1, 0.6, "abort_below = 0.55"))
    result = project.pytest()
    result.assert_outcomes(failed=2)
    assert f"{MEASURED}: failed: not reached" in result.stdout.str()


def test_an_expected_abort_dooms_no_other_seed(project: Project) -> None:
    project.suite(expecting("within_epoch = 1", 1, 0.6, "abort = true"), seeds=[0, 1])
    project.pytest("--lvm-jobs", "1").assert_outcomes(passed=2)
    assert project.trainings() == 2


def test_known_failures_are_the_same_under_xdist(project: Project) -> None:
    project.suite(expecting("within_epoch = 1"), expecting("", 3, 0.1))
    project.pytest("-n", "2").assert_outcomes(passed=1, failed=1)


# -- the comparison by itself ---------------------------------------------------------------------------------------
FAILED = Finding(code="below", measured=0.1, bounds=(lower(0.5),), evidence=(Fact("share", 0.9),), epoch=2)


def compared_with(finding: Finding = FAILED, causes: tuple[str, ...] = (), **keys: Any) -> Outcome:
    entry = CheckEntry(index=0, params={}, check=Finite(), expect=Expect(**keys), line=1, lines={})
    verdict = Verdict(name="x", check="finite", outcome=failed(finding))
    return as_expected(entry, verdict, lambda: [diagnosis(name) for name in causes]).outcome


def diagnosis(name: str) -> Diagnosis:
    return Diagnosis(name=name, standing=Standing.LIKELY, phrase="", evidence=(), fix="", next="")


@pytest.mark.parametrize(
    ("epoch", "within", "status"), [(2, 2, "passed"), (2, 1, "failed"), (1, 2, "passed"), (None, 1, "passed")]
)
def test_the_epoch_counts_up_to_its_end(epoch: int | None, within: int, status: str) -> None:
    assert compared_with(replace(FAILED, epoch=epoch), within_epoch=within).status.value == status


@pytest.mark.parametrize(
    ("keys", "causes", "status"),
    [
        ({"code": "below"}, (), "passed"),
        ({"code": "below_floor"}, (), "failed"),
        ({"facts": ("share",)}, (), "passed"),
        ({"facts": ("share", "ratio")}, (), "failed"),
        ({"cause": "hidden_term"}, ("hidden_term", "dominant_term"), "passed"),
        ({"cause": "dominant_term"}, ("hidden_term", "dominant_term"), "failed"),
        ({"cause": "dominant_term"}, (), "failed"),
    ],
    ids=str,
)
def test_each_field_is_compared(keys: dict[str, Any], causes: tuple[str, ...], status: str) -> None:
    outcome = compared_with(causes=causes, **keys)
    assert outcome.status.value == status
    assert (outcome.why is Why.UNEXPECTED) is (status == "failed")


def test_a_cause_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadValueError, match="no cause 'dominant_terms'") as caught:
        Expect(cause="dominant_terms")
    assert "dominant_term" in str(caught.value.fix)


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
