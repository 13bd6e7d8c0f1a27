"""What several seeds answer together: the mean, k of n, and seeds that need not be trained."""

from __future__ import annotations

import math

import pytest

from lvmcheck.checks.across import Across, decide, parse_across
from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.bounds import floor as floor_bound
from lvmcheck.checks.finding import (
    Fact,
    Finding,
    Outcome,
    Status,
    compared,
    error,
    failed,
    not_applicable,
    not_recorded,
    passed,
    pending,
)
from suites.lvmcheck.plugin_kit.project import CHECKS, Project, floor, verdicts

FINAL = "cosine_floor[val_cosine@final]"


def asked(bound: float, across: str, *more: str) -> str:
    return floor("final", bound, f'across = "{across}"', *more)


def test_the_mean_of_the_seeds_reaches_its_floor(project: Project) -> None:
    project.suite(floor(1, 0.45), asked(0.55, "mean"), seeds=[0, 1, 2])
    result = project.pytest("-v")
    result.assert_outcomes(passed=4)
    said = verdicts(result)
    assert said[f"seeds::{FINAL} mean"] == "PASSED"
    result.stdout.fnmatch_lines(["*verdicts of toy*", "check*seed0*seed1*seed2*seeds*required"])
    assert "floor 0.55 (of the mean)" in result.stdout.str()


def test_a_mean_that_is_not_shown_fails_with_its_figures(project: Project) -> None:
    project.suite(asked(0.6004, "mean"), seeds=[0, 1, 2])
    result = project.pytest()
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "mean val_cosine of 3 seeds 0.6" in text
    assert "p of mean below bound" in text
    assert "probability that next seed passes" in text
    assert "seed0 0.60" in text
    assert "suites/toy/suite.toml:" in text


def test_k_of_n(project: Project) -> None:
    project.suite(asked(0.55, "2 of 3"), asked(0.9, "1 of 3"), seeds=[0, 1, 2])
    text = project.pytest("-v")
    text.assert_outcomes(passed=1, failed=1)
    assert "0 of 3 seeds pass (floor 1 (1 of 3))" in text.stdout.str()


def test_seeds_are_added_only_while_the_answer_is_open(project: Project) -> None:
    extra = [floor(1, 0.45), asked(0.55, "2 of 5")]
    file = project.suite(*extra, seeds=[0, 1, 2, 3, 4])
    file.write_text(file.read_text().replace("checks = 2", "checks = 2\nsequential = true"))
    result = project.pytest("-v")
    result.assert_outcomes(passed=3, skipped=3)
    assert sorted(name.split("-")[1] for name in project.runs()) == ["seed0", "seed1"]
    assert "not needed: what is asked of all seeds together was decided by seed0, seed1" in result.stdout.str()


def test_without_sequential_every_seed_is_trained(project: Project) -> None:
    project.suite(asked(0.55, "1 of 3"), seeds=[0, 1, 2])
    project.pytest().assert_outcomes(passed=1)
    assert len(project.runs()) == 3


BAD = {
    "no such answer": (asked(0.5, "median"), {}, "expected 'mean' or a count such as '2 of 3', got 'median'"),
    "more than there are": (asked(0.5, "4 of 3"), {}, "expected at most 3 of 3, got '4 of 3'"),
    "other seeds": (asked(0.5, "2 of 4"), {}, "counts 4 seeds, and 3 will run (0, 1, 2)"),
    "one seed": (asked(0.5, "mean"), {"seeds": [0]}, "one seed shows no spread"),
    "p alone": (floor(1, 0.5, "p = 0.1"), {}, "expected across"),
    "no probability": (asked(0.5, "mean", "p = 1.5"), {}, "p: expected above 0 and below 0.5, got 1.5"),
    "abort": (asked(0.5, "mean", "abort = true"), {}, "belongs to one run"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_mistake_is_one_line(project: Project, bad: str) -> None:
    check, run, says = BAD[bad]
    project.suite(check, **({"seeds": [0, 1, 2]} | run))
    result = project.pytest()
    assert says in result.stdout.str()
    assert "suites/toy/suite.toml:" in result.stdout.str()
    assert result.ret == 2


def test_sequential_needs_a_question_to_all_seeds(project: Project) -> None:
    file = project.suite(*CHECKS, seeds=[0, 1])
    file.write_text(file.read_text().replace("checks = 4", "checks = 4\nsequential = true"))
    assert "nothing else can make further seeds needless" in project.pytest().stdout.str()


# -- the decision by itself --------------------------------------------------------------------------------------------
def found(margin: float) -> Outcome:
    return compared(Finding(code="at_epoch", metric="val_cosine", measured=0.5 + margin, bounds=(floor_bound(0.5),)))


MEAN, TWO = parse_across("mean"), parse_across("2 of 3")


@pytest.mark.parametrize("across", [MEAN, TWO])
@pytest.mark.parametrize("bad", [error("no metric"), not_applicable("other data"), not_recorded("no metric")])
def test_what_could_not_be_judged_is_an_error(across: Across, bad: Outcome) -> None:
    outcome = decide(across, {0: found(0.1), 1: bad}, planned=3, looks=1)
    assert outcome.status is Status.ERROR
    assert outcome.reason.startswith("seed1: ")


@pytest.mark.parametrize("across", [MEAN, TWO])
def test_an_open_seed_leaves_it_open(across: Across) -> None:
    assert decide(across, {0: found(0.1), 1: pending("epoch 3")}, planned=3, looks=1).status is Status.PENDING


def test_a_nan_fails_the_mean() -> None:
    outcome = decide(MEAN, {0: found(0.1), 1: found(math.nan), 2: found(0.1)}, planned=3, looks=1)
    assert outcome.status is Status.FAILED


def test_a_failure_without_a_margin_fails_the_mean() -> None:
    bad = failed(Finding(code="not_finite"))
    assert decide(MEAN, {0: found(0.1), 1: bad}, planned=2, looks=1).status is Status.FAILED


def test_the_mean_is_that_of_the_measured_values_beside_the_mean_of_the_bounds() -> None:
    """A floor that comes from the data differs from seed to seed."""
    seeds = {i: Finding(code="c", metric="m", measured=0.5 + i, bounds=(floor_bound(0.1 * i),)) for i in (1, 2, 3)}
    outcome = decide(MEAN, {i: passed(finding) for i, finding in seeds.items()}, planned=3, looks=1)
    assert outcome.finding is not None
    assert (outcome.finding.code, outcome.finding.measured) == ("mean_over_seeds", 2.5)
    assert outcome.finding.bounds[0].value == pytest.approx(0.2)
    assert [outcome.finding.fact(f"seed{i}") for i in (1, 2, 3)] == [Fact(f"seed{i}", 0.5 + i) for i in (1, 2, 3)]


def test_bounds_of_another_kind_are_compared_by_their_margins() -> None:
    other = passed(Finding(code="c", measured=0.3, bounds=(ceiling(0.4),)))
    outcome = decide(MEAN, {0: found(0.1), 1: other}, planned=2, looks=1)
    assert outcome.finding is not None
    assert (outcome.finding.code, outcome.finding.bounds) == ("mean_margin_over_seeds", (floor_bound(0.0),))
    assert outcome.finding.measured == pytest.approx(0.1)


def test_two_failures_decide_two_of_three() -> None:
    assert decide(TWO, {0: found(-0.1), 1: found(-0.1)}, planned=3, looks=2).status is Status.FAILED
    assert decide(TWO, {0: found(-0.1), 1: found(0.1)}, planned=3, looks=2).status is Status.PENDING
