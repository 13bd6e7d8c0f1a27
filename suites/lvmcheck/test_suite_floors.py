"""Floors that come from the data, as a suite file asks for them; never a pass where they are unknown."""

from __future__ import annotations

from suites.lvmcheck.plugin_kit.project import CURVE, Project, verdicts

FACTS = {"constant_mean": 0.40, "persistence": 0.42, "mean_of_context": 0.45, "best_linear": 0.50}
"""What the toy trainer says about its data; its last epoch reaches 0.60."""
FINAL = CURVE[-1]


def named(floor: str) -> str:
    return "".join(char for char in floor if char not in " .")


def asking(floor: str) -> str:
    keys = f'metric = "val_cosine"\nepoch = "final"\nfloor = "{floor}"\nname = "{named(floor)}"'
    return f'[[check]]\ncheck = "cosine_floor"\n{keys}\n'


def test_every_baseline_may_be_a_floor_in_a_suite(project: Project) -> None:
    reached = [*FACTS, "best_linear + 0.01", "constant_mean - 0.05", "0.5 * best_linear + 0.5 * persistence"]
    missed = ["best_linear + 0.11", "mean_of_context + 0.2", "2 * constant_mean"]
    project.suite(*map(asking, [*reached, *missed]))
    result = project.pytest("-v")
    words = dict.fromkeys(reached, "PASSED") | dict.fromkeys(missed, "FAILED")
    assert verdicts(result) == {f"seed0::{named(floor)}": word for floor, word in words.items()}
    text = result.stdout.str()
    assert f"val cosine {FINAL:.1f}" in text
    assert "floor 0.61 (best_linear + 0.11)" in text


def test_a_floor_of_a_baseline_that_was_not_measured_is_no_pass(project: Project) -> None:
    """The toy's data have no optimum: the best possible predictor of real text is not known."""
    project.suite(asking("0.85 * optimum"))
    result = project.pytest("-v")
    result.assert_outcomes(failed=1)
    assert "could not be judged" in result.stdout.str()
    assert "optimum" in result.stdout.str()


def test_an_unreadable_floor_is_named_with_its_line(project: Project) -> None:
    project.suite(asking("best_liner + 0.01"))
    result = project.pytest()
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert "no such baseline 'best_liner'" in text
    assert "Did you mean 'best_linear'?" in text
    assert "suite.toml:" in text
