"""Every attempt of the table is refused, for its own reason, within two seconds."""

from __future__ import annotations

import shutil
import time

import pytest

from suites.ci.attempts import KNOWN, Attempt
from suites.ci.attempts_invented import INVENTED
from suites.ci.gate_kit import Repository

pytestmark = pytest.mark.own_process  # it sets the environment


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Repository(pytester)


@pytest.mark.parametrize("attempt", [*KNOWN, *INVENTED], ids=lambda attempt: attempt.name)
def test_refused(repository: Repository, attempt: Attempt) -> None:
    attempt.act(repository)
    began = time.process_time()
    answer = repository.gate()
    assert answer.returncode == (2 if attempt.code == "unusable" else 1), answer.stdout + answer.stderr
    assert time.process_time() - began < 2.0
    assert f"[{attempt.code}]" in answer.stdout + answer.stderr, answer.stdout + answer.stderr
