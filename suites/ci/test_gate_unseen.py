"""Attempts on what nothing tells of: by default two kinds of them, with LVM_GATE=full all."""

from __future__ import annotations

import os
import shutil

import pytest

from suites.ci.attempts import Attempt
from suites.ci.attempts_unseen import UNSEEN
from suites.ci.gate_kit import Repository

pytestmark = pytest.mark.own_process  # it sets the environment
FULL = os.environ.get("LVM_GATE") == "full"


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Repository(pytester)


@pytest.mark.parametrize("attempt", UNSEEN if FULL else UNSEEN[::-7], ids=lambda attempt: attempt.name)
def test_refused(repository: Repository, attempt: Attempt) -> None:
    attempt.act(repository)
    answer = repository.gate()
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"[{attempt.code}]" in answer.stdout, answer.stdout
