"""Plugins of others beside lvmcheck: each run is trained once, red stays red, and nothing crashes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_END, OPTIONS, Project, floor

FULL = os.environ.get("LVM_RELIABILITY") == "full"
BESIDE = Path(sys.prefix) / "beside"
"""Where `make setup` puts the plugins, out of the way of every other session."""
USES = {
    "pytest-timeout": ["--timeout", "5"],
    "pytest-rerunfailures": ["--reruns", "2"],
    "pytest-randomly": ["-p", "randomly", "-p", "no:rerunfailures"],
    "pytest-repeat": ["--count", "2"],
    "pytest-cov": ["--cov", "toy", "--cov-report", "term"],
    "all of them": ["-n", "2", "--reruns", "1", "--count", "2", "--timeout", "60", "--cov", "toy"],
}


def installed() -> set[str]:
    here = distributions(path=[str(BESIDE), *sys.path])
    return {str(found.metadata["Name"]).lower() for found in here if found.metadata["Name"]}


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    made.suite(floor(1, 0.45), floor("final", 0.65))
    (made.path / "test_other.py").write_text("def test_other():\n    assert True\n")
    return made


def session(project: Project, *args: str) -> tuple[int, str]:
    words = [sys.executable, "-m", "pytest", *OPTIONS, "-v", *args]
    environment = {**os.environ, "PYTHONPATH": str(BESIDE), "LVM_RELIABILITY": ""}
    done = subprocess.run(
        words,
        cwd=project.path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("plugin", USES if FULL else ["all of them"])
def test_red_stays_red(project: Project, plugin: str) -> None:
    missing = {name for name in USES if name.startswith("pytest-")} - installed()
    if missing if plugin == "all of them" else plugin in missing:
        pytest.skip(f"not installed (make setup): {', '.join(sorted(missing))}")
    code, text = session(project, *USES[plugin])
    assert code == pytest.ExitCode.TESTS_FAILED, text
    assert "INTERNALERROR" not in text
    assert f"FAILED suites/toy/suite.toml::seed0::{NODE_END}" in text
    assert any("PASSED" in line and NODE_1 in line for line in text.splitlines()), text
    assert project.trainings() == 1
    if "--reruns" in USES[plugin]:
        assert "rerun" in text.splitlines()[-1]


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
def test_what_waits_for_a_run_is_not_timed(project: Project) -> None:
    """A training takes longer than a test may: the limit of pytest-timeout is for the check."""
    if "pytest-timeout" not in installed():
        pytest.skip("not installed (make setup): pytest-timeout")
    project.suite(floor("final", 0.55), pause=0.03)
    code, text = session(project, "--timeout", "1")
    assert code == pytest.ExitCode.OK, text


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
def test_a_trainer_that_hangs_is_ended_beside_pytest_timeout(project: Project) -> None:
    if "pytest-timeout" not in installed():
        pytest.skip("not installed (make setup): pytest-timeout")
    project.suite(floor("final", 0.55), die="hang", timeout=1.0)
    code, text = session(project, "--timeout", "30")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "gave no sign of life" in text
    assert "in hang" in text
