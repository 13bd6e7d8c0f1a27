"""What is known about the data is judged before the first step: a run on broken data costs no training."""

from __future__ import annotations

from typing import Any

import pytest

from suites.lvmcheck.plugin_kit.project import NODE_END, Project, done, events, floor, verdicts

GATE = '[[check]]\ncheck = "data_fact"\nfact = "persistence"\nat_least = {}\nabort = true\n'
NODE_GATE = "data_fact[persistence]"


@pytest.mark.parametrize("arguments", [(), ("--lvm-inprocess",)], ids=["process", "inprocess"])
def test_broken_data_stop_a_run_before_its_first_step(project: Project, arguments: tuple[str, ...]) -> None:
    project.suite(GATE.format(0.5), floor("final", 0.55), window=1)
    result = project.pytest("-v", *arguments)
    assert verdicts(result) == {f"seed0::{NODE_GATE}": "FAILED", f"seed0::{NODE_END}": "NOT REACHED"}
    assert (done(project.run())["status"], done(project.run())["steps"]) == ("stopped", 0)
    assert not events(project.run(), "window")
    text = result.stdout.str()
    assert f"stopped before the first step by {NODE_GATE}; 4 epochs not trained" in text
    assert f"not reached: run stopped before its first step by {NODE_GATE}" in text


def test_gates_alone_train_nothing(project: Project) -> None:
    """Every check that was asked for is decided by the data."""
    project.suite(GATE.format(0.3), floor("final", 0.55), window=1)
    project.pytest("-v", "-k", "data_fact").assert_outcomes(passed=1)
    assert done(project.run())["steps"] == 0
    project.pytest("-v").assert_outcomes(passed=2)  # asked for more, it trains


@pytest.mark.parametrize("settings", [{}, {"pause": 0.002}])
def test_a_slow_judge_of_the_line_before_does_not_delay_the_answer(project: Project, settings: dict[str, Any]) -> None:
    project.suite(GATE.format(0.5), seeds=[0, 1, 2], window=1, **settings)
    result = project.pytest("-v")
    steps = [done(folder)["steps"] for folder in project.runs().values()]
    assert steps
    assert not any(steps)
    assert "PASSED" not in verdicts(result).values()
