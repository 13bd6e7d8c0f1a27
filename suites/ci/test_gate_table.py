"""Every attempt of the table is refused, for its own reason, within two seconds."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

import pytest

from suites.ci.attempts import KNOWN, Attempt
from suites.ci.attempts_fresh import FRESH, demands, selftest, text_that_the_trainer_executes
from suites.ci.attempts_invented import INVENTED
from suites.ci.gate_kit import ROOT, Repository, scripts

pytestmark = pytest.mark.own_process  # it sets the environment
STEP = 1 if os.environ.get("LVM_GATE") == "full" else 4
ATTEMPTS = [*KNOWN[::STEP], *INVENTED[::STEP], *FRESH[::STEP]]
"""Three minutes for all of them: by default every fourth, with LVM_GATE=full each."""


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Repository(pytester)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_refused(repository: Repository, attempt: Attempt) -> None:
    attempt.act(repository)
    began = time.process_time()
    answer = repository.gate()
    assert answer.returncode == (2 if attempt.code == "unusable" else 1), answer.stdout + answer.stderr
    assert time.process_time() - began < 2.0
    assert f"[{attempt.code}]" in answer.stdout + answer.stderr, answer.stdout + answer.stderr


@pytest.mark.skipif(STEP > 1, reason="the long form: LVM_GATE=full")
def test_what_the_gate_cannot_see(repository: Repository) -> None:
    """Named in SECURITY.md; where this is refused one day, the page changes."""
    text_that_the_trainer_executes(repository)
    assert repository.gate().returncode == 0


def test_a_selftest_that_shows_enough_is_accepted(repository: Repository) -> None:
    demands(repository, share=0.8)
    selftest(repository, faults=[{"name": f"fault{n}", "fate": "survived" if n < 4 else "killed"} for n in range(20)])
    answer = repository.gate()
    assert answer.returncode == 0, answer.stdout


def test_the_gate_knows_every_field_of_the_schema() -> None:
    """A field that is added to the report is added to the gate, which refuses unknown ones."""
    scripts()
    shape = sys.modules["gate_shape"]
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    parts = {"SuiteReport": shape.SUITE, "RunReport": shape.RUN, "CheckReport": shape.CHECK, "Verdict": shape.VERDICT}
    parts |= {"Outcome": shape.OUTCOME, "Finding": shape.FINDING, "Bound": shape.BOUND, "Tests": shape.TESTS}
    assert set(schema["properties"]) - {"digest"} == set(shape.REPORT)
    for name, fields in parts.items():
        assert set(schema["$defs"][name]["properties"]) == set(fields), name
