"""Edited reports: refused as they are, and where the editor has sealed them anew, for what they say."""

from __future__ import annotations

import copy
import datetime
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Asked, Finding, Verdict, passed
from lvmcheck.checks.verdict_json import plain_json
from lvmcheck.report.machine.session import CheckReport
from suites.ci.gate_kit import NONCE, REQUIRE, SUITE, ask_here, refused, scripts, seal

COMMIT = "1" * 40
Edit = Callable[[dict[str, Any]], object]


def iso(hours: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check(name: str, seed: int) -> dict[str, Any]:
    finding = Finding(code="at_epoch", metric="val_cosine", measured=0.5, bounds=(floor(0.45),), epoch=1)
    asked = Asked(file=SUITE, line=9)
    verdict = Verdict(name=name, check="cosine_floor", outcome=passed(finding), seed=seed, asked=asked)
    own = CheckReport(verdict=verdict, node=f"{SUITE}::seed{seed}::{name}", pytest="passed", attempts=1)
    body = plain_json(own)
    assert isinstance(body, dict)
    return body


def healthy(suites: int = 1, checks: int = 4) -> dict[str, Any]:
    """A report as a session writes it, but for what the gate does not read."""
    git = {"commit": COMMIT, "dirty": False, "changed": []}
    run = {"key": "a", "required_key": "a", "own": True, "reused": None, "status": "finished", "ended": ""}
    run |= {"device": "cpu", "used_device": "cpu", "last_epoch": 4, "nonce": NONCE, "folder": "f", "config": "c"}
    run |= {"source": "s", "inputs": {}, "opened": {}, "versions": {}, "created": None, "epochs": 4, "step": 9}
    run |= {"samples_per_second": None}
    suite = {"name": "toy", "digest": "d", "profile": "smoke", "device": "cpu", "sequential": False}
    suite |= {"about": "a toy", "trainer": "mine:train", "declared": checks, "causes": []}
    suite |= {"seeds": [0, 1], "overridden": [], "runs": [{**run, "seed": seed} for seed in (0, 1)]}
    suite["checks"] = [check(f"floor {n}", seed) for seed in (0, 1) for n in range(checks)]
    total = suites * 2 * checks
    tests = {"collected": total, "deselected": 0, "passed": total, "failed": 0, "skipped": 0, "errors": 0}
    body: dict[str, Any] = {"format": 4, "python": "3", "platform": "p", "session": "s", "seconds": 1.0, "nonce": NONCE}
    body |= {"arguments": [], "files": []}
    body |= {"lvmcheck": "0.1.0", "status": "passed", "exit_status": 0, "started": iso(-2)}
    body |= {"ended": iso(-1), "git": git, "git_after": git, "tests": tests, "troubles": [], "trained": []}
    body["suites"] = [{**suite, "file": SUITE if n == 0 else f"suites/toy{n}/suite.toml"} for n in range(suites)]
    for other in body["suites"][1:]:
        other["checks"] = [{**c, "node": c["node"].replace(SUITE, other["file"])} for c in suite["checks"]]
    return json.loads(json.dumps(body))  # type: ignore[no-any-return]


def answer(tmp_path: Path, text: str, *args: str | Path, require: str = REQUIRE) -> Any:
    """The gate's answer to a report that has this text."""
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "gate.toml").write_text(require)
    return ask_here(tmp_path / "report.json", "--require", tmp_path / "gate.toml", "--commit", COMMIT, *args)


def first(body: dict[str, Any]) -> dict[str, Any]:
    found = body["suites"][0]["checks"][0]
    assert isinstance(found, dict)
    return found


def run_of(body: dict[str, Any]) -> dict[str, Any]:
    found = body["suites"][0]["runs"][0]
    assert isinstance(found, dict)
    return found


def outcome(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The outcome of the first check, changed."""
    found = first(body)["verdict"]["outcome"]
    assert isinstance(found, dict)
    found.update(fields)
    return found


def finding(body: dict[str, Any], **fields: Any) -> None:
    outcome(body)["finding"].update(fields)


def bound(body: dict[str, Any], **fields: Any) -> None:
    outcome(body)["finding"]["bounds"][0].update(fields)


def unfound(body: dict[str, Any], status: str, message: str, why: str = "other") -> None:
    """The first check without a finding."""
    outcome(body, status=status, finding=None, why=why, reason=message)
    first(body)["verdict"]["message"] = message


SEALED: dict[str, tuple[Edit, str]] = {
    "verdict": (lambda b: first(b).update(pytest="failed"), "says passed, and pytest says failed"),
    "skipped": (lambda b: first(b).update(pytest="skipped"), "says passed, and pytest says skipped"),
    "nan measured": (lambda b: finding(b, measured="NaN"), "passed with NaN"),
    "nan without a bound": (lambda b: finding(b, measured="NaN", bounds=[]), "passed with NaN"),
    "nan floor": (lambda b: bound(b, value="NaN"), "misses its floor NaN"),
    "misses its floor": (lambda b: finding(b, measured=0.44), "passed with 0.44, which misses its floor 0.45"),
    "misses its ceiling": (lambda b: bound(b, kind="ceiling"), "passed with 0.5, which misses its ceiling 0.45"),
    "is not equal": (lambda b: bound(b, kind="equal"), "passed with 0.5, which misses its equal 0.45"),
    "text for a number": (lambda b: finding(b, measured="much"), "passed with much, which misses its floor"),
    "nothing measured": (lambda b: finding(b, measured=None), "passed without a measurement"),
    "nothing found": (lambda b: outcome(b, finding=None), "passed without a measurement"),
    "a warning that failed": (
        lambda b: (outcome(b, status="warning"), first(b).update(pytest="failed")),
        "says warning, and pytest says failed",
    ),
    "not recorded": (lambda b: unfound(b, "not recorded", "no metric"), "not recorded: no metric"),
    "fewer tests than checks": (lambda b: b["tests"].update(passed=3), "8 checks passed and only 3 tests"),
    "two runs": (lambda b: b["suites"][0]["runs"].append(run_of(b)), "two runs of one seed"),
    "never evaluated": (lambda b: outcome(b, evaluated=0), "passed without a single comparison"),
    "run again until green": (lambda b: first(b).update(attempts=3), "was run 3 times"),
    "not applicable": (lambda b: unfound(b, "not applicable", "other data"), "other data"),
    "pending": (lambda b: unfound(b, "pending", "epoch 1"), "pending: epoch 1"),
    "error": (lambda b: unfound(b, "error", "no metric"), "error: no metric"),
    "failed, expected by nobody": (lambda b: outcome(b, status="failed"), "failed: val cosine 0.5"),
    "after the end": (lambda b: finding(b, epoch=9), "was judged at an epoch after the last one, 4"),
    "a check twice": (lambda b: b["suites"][0]["checks"].append(first(b)), "a check stands in the report twice"),
    "a seed without checks": (lambda b: b["suites"][0]["checks"].__delitem__(slice(4)), "seed0: 0 checks"),
    "no checks": (lambda b: b["suites"][0].update(checks=[]), "0 checks, at least 4"),
    "a run is missing": (lambda b: b["suites"][0]["runs"].pop(), "seed1: no run"),
    "other key": (lambda b: run_of(b).update(key="b", own=False, reused="then"), "another configuration"),
    "no key": (lambda b: run_of(b).update(key=None, required_key=""), "another configuration"),
    "whose run": (lambda b: run_of(b).update(own=False), "not trained by this session"),
    "died": (lambda b: run_of(b).update(status="died", ended="run died after epoch 1"), "run died after epoch 1"),
    "still open": (lambda b: run_of(b).update(status="open"), "seed0: open"),
    "device": (lambda b: b["suites"][0].update(device="cuda"), "device cuda, required is cpu"),
    "fell back to": (lambda b: run_of(b).update(used_device="mps"), "trained on mps, required is cpu"),
    "replaced": (lambda b: b["suites"][0].update(overridden=["data"]), "the command line replaced data"),
    "no suite": (lambda b: b.update(suites=[]), "no suite in the report"),
    "renamed": (lambda b: b["suites"][0].update(file="suites/Toy/suite.toml"), "no report has it at profile smoke"),
    "old": (lambda b: b.update(started=iso(-99), ended=iso(-98)), "more than 24 hours old"),
    "from the future": (lambda b: b.update(ended=iso(9)), "the session ran from"),
    "ended before it began": (lambda b: b.update(started=iso(-0.5)), "the session ran from"),
    "no time": (lambda b: b.update(ended="yesterday"), "times cannot be read"),
    "not finished": (lambda b: b.update(ended=None, status="not finished"), "the session did not finish"),
    "interrupted": (lambda b: b.update(status="interrupted", exit_status=2), "the session ended as 'interrupted'"),
    "status and code differ": (lambda b: b.update(exit_status=5), "'passed' (exit status 5)"),
    "failed without a reason": (lambda b: b.update(status="failed", exit_status=1), "does not say why"),
    "failed and not told": (lambda b: b["tests"].update(failed=1), "1 tests failed and 0 erred"),
    "nothing collected": (lambda b: b["tests"].update(collected=0, passed=0), "nothing was shown"),
    "deselected": (lambda b: b["tests"].update(deselected=2), "2 tests were deselected"),
    "other commit": (lambda b: b["git"].update(commit="2" * 40), "for commit 222222222222, expected 111111111111"),
    "no commit": (lambda b: b.update(git=None), "names no commit"),
    "changed meanwhile": (lambda b: b["git_after"].update(commit="2" * 40), "changed while the session ran"),
    "dirty": (lambda b: b["git"].update(dirty=True, changed=["a.py"]), "not committed: a.py"),
    "other version": (lambda b: b.update(format=1), "expected a report of format 4, got '1'"),
    "a flag for a version": (lambda b: b.update(format=True), "expected a report of format 4"),
    "no tests": (lambda b: b.pop("tests"), "report.tests: expected dict"),
    "suites of another kind": (lambda b: b.update(suites=[[]]), "suite: expected an object, got 'list'"),
    "a seed of another kind": (lambda b: first(b)["verdict"].update(seed=[0]), "checks[0].verdict.seed"),
    "trouble": (
        lambda b: b.update(troubles=[{"where": "x.py", "when": "setup", "message": ""}]),
        "x.py: failed in setup",
    ),
}


@pytest.mark.parametrize("name", SEALED)
def test_an_edited_report_that_was_sealed_anew(tmp_path: Path, name: str) -> None:
    edit, word = SEALED[name]
    body = healthy()
    edit(body)
    refused(answer(tmp_path, seal(body)), word)


def test_the_report_before_the_edits_is_accepted(tmp_path: Path) -> None:
    assert answer(tmp_path, seal(healthy())).returncode == 0


def test_a_known_failure_may_be_that_a_figure_is_nan(tmp_path: Path) -> None:
    body = healthy()
    first(body)["verdict"].update(expected_failure=True)
    finding(body, measured="NaN")
    assert answer(tmp_path, seal(body)).returncode == 0


def test_an_edited_verdict(tmp_path: Path) -> None:
    text = seal(healthy()).replace('"measured": 0.5', '"measured": 0.9', 1)
    refused(answer(tmp_path, text), "does not match its digest: it was edited or is not whole")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a JSON report"),
        ("null", "expected a report of format 4, got 'NoneType'"),
        ("[" * 100_000, "not a JSON report"),
        (seal(healthy())[:-40], "not a JSON report"),
        (seal(healthy()).replace('"value": 0.45', '"value": NaN', 1), "NaN is not JSON"),
        (seal(healthy()).replace('"value": 0.45', '"value": 1e999', 1), "not a JSON report"),
        (seal(healthy()).replace('"value": 0.45', '"value": ' + "9" * 5000, 1), "not a JSON report"),
        (seal(healthy()).replace('"attempts": 1', '"attempts": 1, "attempts": 1', 1), "a key stands there twice"),
    ],
    ids=["empty", "null", "deep", "cut", "nan", "overflow", "digits", "twice"],
)
def test_what_is_no_report(tmp_path: Path, text: str, word: str) -> None:
    refused(answer(tmp_path, text), word)


WAIVER = {"suite": SUITE, "check": "floor 0", "reason": "the data of Monday are short", "owner": "@ana"}


def waivers(tmp_path: Path, *, days: int = 10, **changes: str | None) -> Path:
    date = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).date()
    keys = {key: value for key, value in {**WAIVER, **changes}.items() if value is not None}
    lines = ["[[waiver]]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), f"expires = {date}"]
    path = tmp_path / "waivers.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def failing(status: str = "failed", pytest: str = "failed") -> str:
    body = healthy()
    for found in body["suites"][0]["checks"]:
        if found["verdict"]["name"] == "floor 0":
            found["pytest"] = pytest
            found["verdict"]["outcome"]["status"] = status
            found["verdict"]["message"] = "val cosine 0.1 at epoch 1 (floor 0.45)"
    body["tests"].update(failed=2, passed=6)
    body.update(status="failed", exit_status=1)
    return seal(body)


def test_a_waiver_accepts_its_failure_and_is_named(tmp_path: Path) -> None:
    said = answer(tmp_path, failing(), "--waivers", waivers(tmp_path))
    assert said.returncode == 0, said.stdout
    assert f"waived: {SUITE} floor 0 by @ana until " in said.stdout
    refused(answer(tmp_path, failing()), "floor 0: failed: val cosine 0.1 at epoch 1 (floor 0.45)")


@pytest.mark.parametrize(
    ("changes", "text", "word"),
    [
        ({"days": -1}, failing(), "(@ana): expired on"),
        ({"days": 300}, failing(), "at most 90 are allowed"),
        ({"check": "floor 1"}, failing(), "floor 0: failed"),
        ({"suite": "suites/other/suite.toml"}, failing(), "floor 0: failed"),
        ({}, failing(status="error"), "error: val cosine"),
        ({}, failing(status="failed", pytest="passed"), "floor 0: failed"),
        ({"days": -1}, seal(healthy()), "(@ana): expired on"),
    ],
    ids=["expired", "for years", "other check", "other suite", "an error", "hidden from pytest", "expired, unused"],
)
def test_waivers_that_do_not_help(tmp_path: Path, changes: dict[str, Any], text: str, word: str) -> None:
    refused(answer(tmp_path, text, "--waivers", waivers(tmp_path, **changes)), word)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"owner": None}, "waiver[0]: owner is missing"),
        ({"owner": " "}, "waiver[0].owner: expected str"),
        ({"reason": None}, "waiver[0]: reason is missing"),
        ({"untill": "2030-01-01"}, "waiver[0].untill: unknown key"),
    ],
)
def test_waivers_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    said = answer(tmp_path, failing(), "--waivers", waivers(tmp_path, **changes))
    assert said.returncode == 2
    assert word in said.stderr
    assert len(said.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("require", "word"),
    [
        ("", "a gate that asks for nothing is none"),
        ("[[suite]]\n", "suite[0]: file is missing"),
        (REQUIRE + "asks = 3\n", "suite[0].asks: expected list"),
        (REQUIRE.replace("seeds", "seed"), "suite[0].seed: unknown key. Known: seeds."),
        (REQUIRE.replace("= 2", "= 0"), "at least one seed"),
        ("[[suite]\n", "gate.toml: "),
        (REQUIRE + "samples_per_second = [3, 2]\n", "expected [least, most], got [3, 2]"),
        (REQUIRE + "samples_per_second = [nan, 2]\n", "expected [least, most], got [nan, 2]"),
        ("[gates]\n" + REQUIRE, "gates: unknown key"),
        ("[gate]\nmax_age = 3\n" + REQUIRE, "gate.max_age: unknown key. Known: max_age_hours."),
    ],
)
def test_requirements_that_cannot_be_used(tmp_path: Path, require: str, word: str) -> None:
    said = answer(tmp_path, seal(healthy()), require=require)
    assert said.returncode == 2
    assert word in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_what_must_have_been_decided(tmp_path: Path) -> None:
    asks = 'asks = ["matches_reference"]\n'
    refused(answer(tmp_path, seal(healthy()), require=REQUIRE + asks), "matches_reference is required and was not")
    body = healthy()
    for found in body["suites"][0]["checks"]:
        found["verdict"]["check"] = "matches_reference"
    assert answer(tmp_path, seal(body), require=REQUIRE + asks).returncode == 0


@pytest.mark.parametrize(
    ("rate", "accepted"), [(900, False), (1000.0, True), (3001, False), (None, False), ("NaN", False)]
)
def test_throughput_in_its_band(tmp_path: Path, rate: object, accepted: bool) -> None:
    body = healthy()
    for run in body["suites"][0]["runs"]:
        run["samples_per_second"] = rate
    said = answer(tmp_path, seal(body), require=REQUIRE + "samples_per_second = [1000, 3000]\n")
    assert said.returncode == (0 if accepted else 1)
    assert accepted or f"seed1: {rate} samples per second, required is 1000 to 3000" in said.stdout


def test_a_reused_run_may_be_refused(tmp_path: Path) -> None:
    body = healthy()
    run_of(body).update(own=False, reused="2026-01-01 10:00")
    assert answer(tmp_path, seal(body), require=REQUIRE + "fresh = false\n").returncode == 0
    for fresh in ("", "fresh = true\n"):
        refused(answer(tmp_path, seal(body), require=REQUIRE + fresh), "[not_own_run]")


def test_fifty_suites_are_decided_in_a_second(tmp_path: Path) -> None:
    text = seal(healthy(suites=50, checks=40))
    require = "".join(REQUIRE.replace("toy/", f"toy{n or ''}/") for n in range(50))
    before = time.process_time()
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "gate.toml").write_text(require)
    said = ask_here(tmp_path / "report.json", "--require", tmp_path / "gate.toml", "--commit", COMMIT)
    assert "50 required suites, 4000 checks" in said.stdout
    assert time.process_time() - before < 1.0  # of a core: others may use the clock


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)
) | st.builds(list)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_report_of_any_shape_is_answered(data: st.DataObject) -> None:
    """Any one value of the report replaced by any other: an answer and never an exception."""
    gate, gate_files = scripts()
    gate_shape = sys.modules["gate_shape"]
    body = healthy()
    verdict, found = first(body)["verdict"], outcome(body)["finding"]
    parts = [body, body["git"], body["tests"], body["suites"][0], first(body), run_of(body)]
    parts += [verdict, verdict["outcome"], found, found["bounds"][0]]
    place: Any = data.draw(st.sampled_from(parts))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    rule = {"file": SUITE, "profile": "smoke", "device": "cpu", "seeds": 2, "checks": 4, "asks": ["cosine_floor"]}
    rules = {"max_age_hours": 24, "max_waiver_days": 90, "suite": [rule]}
    try:
        shaped = gate_shape.shaped("x", body)
    except gate_files.Refused as refusal:
        reasons = [refusal.reason]
    else:
        question = gate.Question(COMMIT, NONCE, rules, [])
        reasons = list(gate.decide([shaped], question, datetime.datetime.now(datetime.UTC)))
    assert all(reason.sentence() for reason in reasons)


def test_a_warning_is_accepted(tmp_path: Path) -> None:
    body = healthy()
    outcome(body, status="warning")
    finding(body, measured=0.1)
    assert answer(tmp_path, seal(body)).returncode == 0


@pytest.mark.parametrize(("sequential", "accepted"), [(True, True), (False, False)])
def test_a_seed_that_is_not_needed(tmp_path: Path, sequential: bool, accepted: bool) -> None:
    """By its field, whatever its message says; only a sequential suite may leave a seed out."""
    body = healthy()
    body["suites"][0]["sequential"] = sequential
    together = copy.deepcopy(first(body))
    together["verdict"].update(seed="seeds", name="together")
    together["node"] = f"{SUITE}::seeds::together"
    body["suites"][0]["checks"].append(together)
    for found in body["suites"][0]["checks"][4:8]:
        found["pytest"] = "skipped"
        found["verdict"]["outcome"].update(status="not applicable", finding=None, why="not needed", reason="x")
    body["tests"].update(passed=5, skipped=4)
    assert answer(tmp_path, seal(body)).returncode == (0 if accepted else 1)
    for found in body["suites"][0]["checks"][4:8]:
        found["verdict"]["outcome"].update(why="other", reason="not needed: everything is decided")
    assert answer(tmp_path, seal(body)).returncode == 1
