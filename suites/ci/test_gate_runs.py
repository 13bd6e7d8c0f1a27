"""What the gate says of sessions, checks and runs at the edges of its rules: the functions that decide are asked."""

from __future__ import annotations

import copy
import datetime
import sys
from collections.abc import Callable
from typing import Any

import pytest

from suites.ci.gate_kit import NONCE, SUITE
from suites.ci.test_gate_edits import COMMIT, first, healthy, iso, outcome
from suites.ci.trees_kit import said

report = sys.modules["gate_report"]
RULE: dict[str, Any] = {"file": SUITE, "profile": "smoke", "device": "cpu", "seeds": 2, "checks": 4}
DAY = datetime.timedelta(hours=24)


def of_session(body: dict[str, Any]) -> list[str]:
    return [code for code, _ in said(report.of_session(body, COMMIT, NONCE, datetime.datetime.now(datetime.UTC), DAY))]


def minutes(number: float) -> str:
    return iso(number / 60)


@pytest.mark.parametrize(
    ("edit", "codes"),
    [
        (lambda _: None, []),
        (lambda b: b.update(nonce="x"), ["nonce_differs"]),
        (lambda b: b.update(ended=minutes(4)), []),
        (lambda b: b.update(ended=minutes(6)), ["bad_times"]),
        (lambda b: b.update(started=b["ended"]), []),
        (lambda b: b.update(started=iso(-30), ended=iso(-23.9)), []),
        (lambda b: b.update(started=iso(-30), ended=iso(-24.1)), ["too_old"]),
        (lambda b: b.update(started="2026-01-01", ended="2026-01-01"), ["unreadable_times"]),
        (lambda b: b["tests"].update(passed=0), ["nothing_shown", "too_few_tests"]),
        (lambda b: b["tests"].update(collected=0), ["nothing_shown"]),
        (lambda b: b["tests"].update(collected=1), []),
        (lambda b: b["tests"].update(deselected=1), ["deselected"]),
        (lambda b: b["tests"].update(errors=1), ["hidden_failures"]),
        (lambda b: (b["tests"].update(failed=1), first(b).update(pytest="failed")), ["hidden_failures"]),
        (lambda b: (b.update(status="failed", exit_status=1), b["tests"].update(failed=1), failing(b)), []),
        (
            lambda b: (b.update(status="failed", exit_status=1), b["tests"].update(failed=2), failing(b)),
            ["hidden_failures"],
        ),
        (lambda b: b["tests"].update(failed=-1), ["too_few_tests"]),
        (lambda b: b["tests"].update(errors=-1), ["too_few_tests"]),
        (lambda b: b.update(troubles=[{"where": "a", "when": "b"}], status="failed", exit_status=1), ["trouble"]),
        (lambda b: b["git_after"].update(dirty=True), ["not_committed"]),
        (lambda b: b["git"].update(dirty=None), ["not_committed"]),
        (lambda b: b.update(git_after=None), ["checkout_changed", "not_committed"]),
        (lambda b: b["suites"].append(b["suites"][0]), ["too_few_tests", "check_twice"]),
        (lambda b: b["suites"].append({**b["suites"][0], "profile": "ci"}), ["too_few_tests"]),
        (lambda b: first(b).update(node=b["suites"][0]["checks"][1]["node"]), ["check_twice"]),
        (lambda b: first(b)["verdict"].update(name="floor 1"), ["check_twice"]),
        (lambda b: b.update(status="failed"), ["bad_end"]),
    ],
)
def test_a_session(edit: Callable[[dict[str, Any]], object], codes: list[str]) -> None:
    body = copy.deepcopy(healthy())
    body["git_after"] = dict(body["git"])
    edit(body)
    assert of_session(body) == codes


def failing(body: dict[str, Any]) -> None:
    first(body).update(pytest="failed")
    body["tests"]["passed"] -= 1


def one(**fields: Any) -> dict[str, Any]:
    """A check without a pass."""
    body = healthy()
    outcome(body, **{"status": "not applicable", "why": "other", "finding": None, **fields})
    found = first(body)
    found["pytest"] = fields.pop("pytest", "skipped")
    return found


ELSEWHERE = {"seeds": [0, 1], "sequential": False, "checks": []}


@pytest.mark.parametrize(
    ("fields", "pytest_says", "required", "refused"),
    [
        ({}, "skipped", False, False),
        ({}, "failed", False, True),
        ({"status": "error"}, "skipped", False, True),
        ({"status": "pending", "why": "not run"}, "deselected", False, False),
        ({"status": "pending", "why": "not run"}, "failed", False, True),
        ({"status": "pending", "why": "not run"}, "deselected", True, True),
        ({}, "skipped", True, True),
        ({"status": "failed"}, "failed", True, True),
        ({"why": "not needed"}, "skipped", True, True),
    ],
)
def test_a_check_without_a_pass(fields: dict[str, Any], pytest_says: str, required: bool, refused: bool) -> None:
    check = one(**fields)
    check["pytest"] = pytest_says
    reason = report.unpassed(check, ELSEWHERE, RULE if required else None)
    assert (reason is not None) == refused
    allowed = {**RULE, "may_not_apply": ["floor 0"]}
    if fields in ({}, {"why": "not needed"}) and pytest_says == "skipped":
        assert report.unpassed(check, ELSEWHERE, allowed) is None
    elif required:
        assert report.unpassed(check, ELSEWHERE, allowed) is not None


def test_how_a_check_that_was_not_run_is_called() -> None:
    check = one(status="pending", why="not run")
    check["verdict"]["message"] = "words"
    for says, text in (
        ("deselected", "not run (deselected)"),
        ("nothing", "not run (nothing)"),
        ("skipped", "not run: words"),
    ):
        check["pytest"] = says
        assert report.unpassed(check, ELSEWHERE, RULE).got == text
    other = one(status="error")
    other.update(pytest="nothing")
    other["verdict"]["message"] = "words"
    assert report.unpassed(other, ELSEWHERE, RULE).got == "error: words"


def in_turns() -> dict[str, Any]:
    """A suite of which the second seed was not needed, and did not run."""
    suite = healthy()["suites"][0]
    suite.update(sequential=True, runs=suite["runs"][:1])
    for check in suite["checks"][4:]:
        check["verdict"]["outcome"].update(status="not applicable", finding=None, why="not needed")
    together = copy.deepcopy(suite["checks"][0])
    together["verdict"].update(seed="seeds", name="together")
    suite["checks"].append(together)
    return suite  # type: ignore[no-any-return]


def test_a_seed_that_was_not_needed_need_not_have_run() -> None:
    suite = in_turns()
    assert said(report.of_suite(suite, RULE, NONCE)) == []
    assert said(report.of_suite({**suite, "sequential": False}, RULE, NONCE)) == [("no_run", f"{SUITE} (smoke) seed1")]
    undecided = copy.deepcopy(suite)
    undecided["checks"][-1]["verdict"]["outcome"].update(status="pending")
    assert report.needed(undecided["checks"][4], undecided) == "what all seeds answer together is not decided"
    for status in ("passed", "failed", "warning"):
        undecided["checks"][-1]["verdict"]["outcome"].update(status=status)
        assert report.needed(undecided["checks"][4], undecided) is None
    alone = {**suite, "checks": suite["checks"][:-1]}
    assert "together" in str(report.needed(alone["checks"][4], alone))
    assert "later seed" in str(report.needed(suite["checks"][0], suite))
    partly = copy.deepcopy(suite)
    partly["checks"][5]["verdict"]["outcome"].update(why="other")
    assert "other checks" in str(report.needed(partly["checks"][4], partly))
    assert said(report.of_suite(partly, RULE, NONCE)) == [("no_run", f"{SUITE} (smoke) seed1")]
    none = {**suite, "checks": [check for check in suite["checks"] if check["verdict"]["seed"] != 1]}
    codes = [code for code, _ in said(report.of_suite(none, RULE, NONCE))]
    assert codes == ["too_few_checks", "no_run"]


@pytest.mark.parametrize(
    ("suite_edit", "rule", "codes"),
    [
        ({}, {}, []),
        ({"seeds": [0]}, {}, ["too_few_seeds", "seed_unknown"]),
        ({"seeds": [0, 1, 1]}, {"seeds": 3}, ["too_few_seeds"]),
        ({"overridden": ["device"]}, {}, []),
        ({"overridden": ["device", "seeds"]}, {}, ["overridden"]),
        ({}, {"checks": 5}, ["too_few_checks", "too_few_checks"]),
        ({}, {"asks": ["cosine_floor", "floor 3"]}, []),
        ({}, {"asks": ["floor 9"]}, ["not_decided", "not_decided"]),
    ],
)
def test_a_required_suite(suite_edit: dict[str, Any], rule: dict[str, Any], codes: list[str]) -> None:
    suite = {**healthy()["suites"][0], **suite_edit}
    assert [code for code, _ in said(report.of_suite(suite, {**RULE, **rule}, NONCE))] == codes


@pytest.mark.parametrize("status", ["passed", "failed", "warning", "error", "pending"])
def test_a_check_that_is_asked_for_was_decided(status: str) -> None:
    suite = healthy()["suites"][0]
    for check in suite["checks"]:
        check["verdict"]["outcome"]["status"] = status
    found = [code for code, _ in said(report.of_suite(suite, {**RULE, "asks": ["floor 0"]}, NONCE))]
    assert found == ([] if status in ("passed", "failed", "warning") else ["not_decided", "not_decided"])


def test_what_seeds_answer_together_counts_for_each() -> None:
    suite = in_turns()
    rule = {**RULE, "checks": 5, "asks": ["together"]}
    assert said(report.of_suite(suite, rule, NONCE)) == []
    assert [code for code, _ in said(report.of_suite(suite, {**rule, "checks": 6}, NONCE))] == ["too_few_checks"] * 2


@pytest.mark.parametrize(
    ("fields", "rule", "codes"),
    [
        ({}, {}, []),
        ({"status": "stopped"}, {}, []),
        ({"own": False, "reused": "then"}, {}, ["not_own_run"]),
        ({"own": False, "reused": "then"}, {"fresh": True}, ["not_own_run"]),
        ({"own": False, "reused": "then"}, {"fresh": False}, []),
        ({"used_device": None}, {}, ["no_device"]),
        ({"nonce": ""}, {}, ["run_nonce_differs"]),
        ({"last_epoch": 0}, {}, []),
        ({"last_epoch": -1}, {}, ["after_the_end"]),
        ({"samples_per_second": 10}, {"samples_per_second": [10, 20]}, []),
        ({"samples_per_second": 20.0}, {"samples_per_second": [10, 20]}, []),
        ({"samples_per_second": 9.9}, {"samples_per_second": [10, 20]}, ["throughput"]),
        ({"samples_per_second": None}, {"samples_per_second": [0, 20]}, ["throughput"]),
        ({"samples_per_second": "NaN"}, {"samples_per_second": [0, 20]}, ["throughput"]),
        ({"samples_per_second": True}, {"samples_per_second": [0, 20]}, ["throughput"]),
    ],
)
def test_a_run(fields: dict[str, Any], rule: dict[str, Any], codes: list[str]) -> None:
    suite = healthy()["suites"][0]
    run = {**suite["runs"][0], **fields}
    checks = [{"verdict": {"name": "x", "outcome": {"finding": None}}}, *suite["checks"][:4]]
    assert [code for code, _ in said(report.of_run("who", run, checks, {**RULE, **rule}, NONCE))] == codes


@pytest.mark.parametrize(
    ("measured", "kind", "value", "keeps"),
    [
        (0.5, "floor", 0.5, True),
        (0.4, "floor", 0.5, False),
        (0.5, "ceiling", 0.5, True),
        (0.6, "ceiling", 0.5, False),
        ("NaN", "ceiling", 0.5, False),
        (0.5, "floor", "NaN", False),
        (True, "floor", 0.5, False),
        (0.5, "floor", False, False),
        ("x", "abort", 0.5, True),
        ("x", "equal", "x", True),
        ("x", "equal", "y", False),
    ],
)
def test_what_keeps_a_bound(measured: Any, kind: str, value: Any, keeps: bool) -> None:
    assert report.keeps(measured, {"kind": kind, "value": value}) is keeps


def test_failures_that_are_waived() -> None:
    suite = healthy()["suites"][0]
    check = suite["checks"][0]
    check["verdict"]["outcome"].update(status="failed")
    check["pytest"] = "failed"
    waiver = {"suite": SUITE, "check": "floor 0"}
    assert said(report.of_checks(suite, RULE, [waiver])) == []
    assert said(report.of_checks(suite, RULE, [{**waiver, "seed": 0}])) == []
    for other in ({**waiver, "seed": 1}, {**waiver, "check": "floor 1"}, {**waiver, "suite": "x"}):
        assert said(report.of_checks(suite, RULE, [other])) == [("check_failed", check["node"])]
    for says in ("passed", "deselected"):
        check["pytest"] = says
        assert said(report.of_checks(suite, RULE, [waiver])) == [("check_failed", check["node"])]
    check["pytest"] = "skipped"
    check["verdict"]["outcome"].update(status="not applicable", why="other")
    assert said(report.of_checks(suite, RULE, [waiver])) == []
    check["verdict"]["outcome"].update(status="error")
    assert said(report.of_checks(suite, RULE, [waiver])) == [("check_failed", check["node"])]
