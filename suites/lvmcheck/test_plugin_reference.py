"""References: written from runs that passed, judged as bands or bit by bit, refused where they would mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmcheck.statistics.reference_file import read
from suites.lvmcheck.plugin_kit.project import CHECKS, Project, floor, verdicts

pytestmark = pytest.mark.own_process  # it sets the environment

BAND = '[[check]]\ncheck = "matches_reference"\nmetrics = ["val_cosine"]\n'
EXACT = '[[check]]\ncheck = "matches_reference"\nmetrics = ["val_cosine"]\nmode = "exact"\n'
BAND_NODE, EXACT_NODE = "matches_reference[val_cosine]", "matches_reference[val_cosine, exact]"
UPDATE = ("--lvm-update-reference", "the first one")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("CI", raising=False)
    made = Project(pytester)
    made.suite(*CHECKS, BAND, EXACT)
    return made


def place(project: Project) -> Path:
    return project.path / "fixtures" / "references" / "toy" / "smoke-cpu.toml"


def test_a_reference_is_written_from_runs_that_passed_and_judges_the_next(project: Project) -> None:
    result = project.pytest("--lvm-seeds", "0,1,2,3,4", *UPDATE)
    result.assert_outcomes(passed=20, skipped=10)
    result.stdout.fnmatch_lines(["fixtures/references/toy/smoke-cpu.toml: written from 5 seeds"])
    reference = read(place(project))
    assert reference.seeds == (0, 1, 2, 3, 4)
    assert reference.reason == "the first one"
    assert set(reference.metrics) == {"train_cosine", "val_cosine"}

    result = project.pytest("-v", "--lvm-seeds", "1,7", "--lvm-fresh")
    said = verdicts(result)
    assert {said[f"seed{seed}::{BAND_NODE}"] for seed in (1, 7)} == {"PASSED"}
    assert said[f"seed1::{EXACT_NODE}"] == "PASSED"
    assert said[f"seed7::{EXACT_NODE}"] == "FAILED"
    assert "the reference has no seed 7 to compare with bit by bit; it has 0, 1, 2, 3, 4" in result.stdout.str()


def test_a_regression_leaves_the_band_and_its_first_step_is_named(project: Project) -> None:
    project.pytest("--lvm-seeds", "0,1,2,3,4", *UPDATE)
    source = project.path / "toy.py"
    text = source.read_text().replace("+ noise\n", "+ noise - 0.02\n").replace("1.0 / (epoch", "1.1 / (epoch")
    source.write_text(text)
    result = project.pytest()
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["*val cosine 0.48* at epoch 1 (floor 0.49*reference of 5 seeds*"])
    result.stdout.fnmatch_lines(["*source differs yes*"])
    result.stdout.fnmatch_lines(["*train loss 0.050* at step 5 (required *"])


def test_another_config_is_named_and_not_judged(project: Project) -> None:
    project.pytest("--lvm-seeds", "0,1,2", *UPDATE)
    project.suite(*CHECKS, BAND, steps=40)
    result = project.pytest()
    result.assert_outcomes(passed=4, failed=1)
    assert "cannot be compared with the reference of" in result.stdout.str()
    assert "steps is 40, there 20" in result.stdout.str()


def test_another_profile_has_no_reference(project: Project) -> None:
    project.pytest("--lvm-seeds", "0,1,2", *UPDATE)
    result = project.pytest("--lvm-profile", "ci")
    text = result.stdout.str()
    assert "no reference of profile ci on cpu; there is: smoke-cpu" in text
    assert "--lvm-update-reference" in text


def test_one_seed_shows_no_spread(project: Project) -> None:
    result = project.pytest(*UPDATE)
    assert "one seed shows no spread" in result.stdout.str()
    result = project.pytest("-v")
    said = verdicts(result)
    assert said[f"seed0::{BAND_NODE}"] == "FAILED"
    assert said[f"seed0::{EXACT_NODE}"] == "PASSED"


def test_an_update_says_what_it_changes(project: Project) -> None:
    project.pytest("--lvm-seeds", "0,1,2,3,4", *UPDATE)
    source = project.path / "toy.py"
    source.write_text(source.read_text().replace("* 1e-3", "* 5e-3"))
    result = project.pytest("--lvm-seeds", "0,1,2,3,4", "--lvm-update-reference", "noisier on purpose")
    result.stdout.fnmatch_lines(["*smoke-cpu.toml: written again from 5 seeds", "  val_cosine: *LOOSENED"])


@pytest.mark.parametrize(
    ("checks", "arguments", "why"),
    [
        ((floor(1, 0.7), BAND), (), "seed0: cosine_floor[[]val_cosine@1[]] failed"),
        (CHECKS, ("-k", "epoch_1"), "seed0: cosine_floor[[]val_cosine@3[]] was deselected"),
        ((floor(1, 0.7, "expect = {}"),), (), "a suite of known failures is no reference"),
    ],
)
def test_what_did_not_pass_is_no_reference(
    project: Project, checks: tuple[str, ...], arguments: tuple[str, ...], why: str
) -> None:
    project.suite(*checks)
    result = project.pytest(*UPDATE, *arguments)
    result.stdout.fnmatch_lines([f"toy: reference not written: {why}"])
    assert not place(project).exists()


def test_equal_seeds_are_one_seed(project: Project) -> None:
    source = project.path / "toy.py"
    text = source.read_text().replace('+ config["seed"]) %', ") %").replace("return seed, 1, 0", "return 0, 1, 0")
    text = text.replace("noise = state / 2**64 * 1e-3", "noise = 0.0")
    source.write_text(text)
    result = project.pytest("--lvm-seeds", "0,1", *UPDATE)
    assert "identical runs: 1 distinct of 2 (seed0 and seed1" in result.stdout.str()
    assert not place(project).exists()


@pytest.mark.parametrize(
    ("setting", "arguments", "why"),
    [("true", UPDATE, "refused in CI"), ("", ("--lvm-update-reference", " "), "expected the reason, got nothing")],
)
def test_no_reference_without_a_reason_or_in_ci(
    project: Project, monkeypatch: pytest.MonkeyPatch, setting: str, arguments: tuple[str, ...], why: str
) -> None:
    monkeypatch.setenv("CI", setting)
    result = project.pytest(*arguments)
    assert result.ret != 0
    assert why in result.stderr.str() + result.stdout.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
