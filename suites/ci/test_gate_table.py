"""Every attempt of the table is refused, for its own reason, within two seconds."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

import pytest

from suites.ci.attempts import KNOWN, Attempt
from suites.ci.attempts_invented import INVENTED
from suites.ci.gate_kit import ROOT, Repository, scripts

pytestmark = pytest.mark.own_process  # it sets the environment
ATTEMPTS = [*KNOWN, *INVENTED] if os.environ.get("LVM_GATE") == "full" else [*KNOWN[::3], *INVENTED[::3]]
"""Two minutes for all of them: by default every third, with LVM_GATE=full each."""


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
