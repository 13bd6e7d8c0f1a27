"""A slower benchmark beside a suite that passes: the gate refuses the report of that session."""

from __future__ import annotations

import shutil

import pytest

from suites.ci.gate_kit import NONCE, SUITE, Repository
from suites.throughput_compare.pace_kit import FILE, OPTIONS, STEP_32, Paced, stated

pytestmark = pytest.mark.own_process  # it sets the environment

THEN = ".lvmcheck/then.json"


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LVMCHECK_NONCE", NONCE)
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Repository(pytester)


@pytest.mark.parametrize("times", [1.0, 1.8])
def test_the_gate_refuses_a_session_with_a_slower_benchmark(repository: Repository, times: float) -> None:
    paced = Paced(repository.pytester)
    (repository.path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (repository.path / ".lvmcheck").mkdir(exist_ok=True)
    paced.pytester.runpytest_inprocess(*OPTIONS, FILE, "--benchmark-json", THEN)
    paced.pace(step_32=stated(4.0 * times))
    repository.commit()
    reports = ("--lvm-json", str(repository.report_file))
    result = paced.pytester.runpytest_inprocess(*OPTIONS, SUITE, FILE, "--lvm-throughput-compare", THEN, *reports)
    result.assert_outcomes(passed=11)
    answer = repository.gate()
    assert answer.returncode == (times > 1), answer.stdout + answer.stderr
    assert (f"{STEP_32}: failed in throughput" in answer.stdout) == (times > 1)
