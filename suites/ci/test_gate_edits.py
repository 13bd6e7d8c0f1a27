"""Edited reports: refused as they are, and where the editor has sealed them anew, for what they say."""

from __future__ import annotations

import datetime
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.ci.gate_kit import REQUIRE, SUITE, ask, ask_here, refused, scripts, seal

COMMIT = "1" * 40
Edit = Callable[[dict[str, Any]], object]


def iso(hours: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def check(name: str, seed: int, **more: Any) -> dict[str, Any]:
    body = {"check": name, "use": "cosine_floor", "seed": seed, "node": f"{SUITE}::seed{seed}::{name}", "line": 9}
    body |= {"status": "passed", "pytest": "passed", "attempts": 1, "evaluated": 1, "reason": "", "epoch": 1}
    body |= {"what": "val cosine", "measured": 0.5, "wanted": "at least 0.45", "margin": 0.05}
    return body | {"unreached": False, "expected_failure": False, **more}


def healthy(suites: int = 1, checks: int = 4) -> dict[str, Any]:
    """A report as a session writes it, but for what the gate does not read."""
    git = {"commit": COMMIT, "dirty": False, "changed": []}
    run = {"key": "a", "wanted_key": "a", "own": True, "reused": None, "status": "finished", "ended": ""}
    run |= {"device": "cpu", "used_device": "cpu", "last_epoch": 4}
    suite = {"name": "toy", "digest": "d", "profile": "smoke", "device": "cpu", "sequential": False}
    suite |= {"seeds": [0, 1], "overridden": [], "runs": [{**run, "seed": seed} for seed in (0, 1)]}
    suite["checks"] = [check(f"floor {n}", seed) for seed in (0, 1) for n in range(checks)]
    total = suites * 2 * checks
    tests = {"collected": total, "deselected": 0, "passed": total, "failed": 0, "skipped": 0, "errors": 0}
    body = {"format": 1, "lvmcheck": "0.1.0", "status": "passed", "exit_status": 0, "started": iso(-2)}
    body |= {"ended": iso(-1), "git": git, "git_after": git, "tests": tests, "troubles": []}
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


SEALED: dict[str, tuple[Edit, str]] = {
    "verdict": (lambda b: first(b).update(pytest="failed"), "says passed, and pytest says failed"),
    "skipped": (lambda b: first(b).update(pytest="skipped"), "says passed, and pytest says skipped"),
    "nan measured": (lambda b: first(b).update(measured="NaN"), "passed with NaN"),
    "nan floor": (lambda b: first(b).update(wanted="at least NaN"), "wanted at least NaN"),
    "nan margin": (lambda b: first(b).update(margin="NaN"), "margin NaN"),
    "misses its bound": (lambda b: first(b).update(margin=-0.1), "passed although it misses its bound by 0.1"),
    "nothing measured": (lambda b: first(b).update(measured=None), "passed without a measurement"),
    "nothing wanted": (lambda b: first(b).update(wanted=""), "passed without a measurement"),
    "fewer tests than checks": (lambda b: b["tests"].update(passed=3), "8 checks passed and only 3 tests"),
    "two runs": (lambda b: b["suites"][0]["runs"].append(run_of(b)), "two runs of one seed"),
    "never evaluated": (lambda b: first(b).update(evaluated=0), "passed without a single comparison"),
    "run again until green": (lambda b: first(b).update(attempts=3), "was run 3 times"),
    "not applicable": (lambda b: first(b).update(status="not applicable", reason="other data"), "other data"),
    "pending": (lambda b: first(b).update(status="pending", reason="epoch 1"), "pending: epoch 1"),
    "error": (lambda b: first(b).update(status="error", reason="no metric"), "error: no metric"),
    "failed, expected by nobody": (lambda b: first(b).update(status="failed", measured=0.1), "failed: val cosine 0.1"),
    "after the end": (lambda b: first(b).update(epoch=9), "was judged at an epoch after the last one, 4"),
    "a check twice": (lambda b: b["suites"][0]["checks"].append(first(b)), "a check stands in the report twice"),
    "a seed without checks": (lambda b: b["suites"][0]["checks"].__delitem__(slice(4)), "seed0: 0 checks"),
    "no checks": (lambda b: b["suites"][0].update(checks=[]), "0 checks, at least 4"),
    "a run is missing": (lambda b: b["suites"][0]["runs"].pop(), "seed1: no run"),
    "other key": (lambda b: run_of(b).update(key="b", own=False, reused="then"), "another configuration"),
    "no key": (lambda b: run_of(b).update(key=None, wanted_key=""), "another configuration"),
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
    "other version": (lambda b: b.update(format=2), "expected a report of format 1, got '2'"),
    "a flag for a version": (lambda b: b.update(format=True), "expected a report of format 1"),
    "no tests": (lambda b: b.pop("tests"), "report.tests: expected dict"),
    "suites of another kind": (lambda b: b.update(suites=[[]]), "suite: expected an object, got list"),
    "a seed of another kind": (lambda b: first(b).update(seed=[0]), "checks[0].seed"),
    "trouble": (lambda b: b.update(troubles=[{"where": "x.py", "when": "setup"}]), "x.py: failed in setup"),
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
    first(body).update(measured="NaN", margin="NaN", expected_failure=True)
    assert answer(tmp_path, seal(body)).returncode == 0


def test_an_edited_verdict(tmp_path: Path) -> None:
    text = seal(healthy()).replace('"measured": 0.5', '"measured": 0.9', 1)
    refused(answer(tmp_path, text), "does not match its digest: it was edited or is not whole")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a JSON report"),
        ("null", "expected a report of format 1, got 'NoneType'"),
        ("[" * 100_000, "not a JSON report"),
        (seal(healthy())[:-40], "not a JSON report"),
        (seal(healthy()).replace('"margin": 0.05', '"margin": NaN', 1), "NaN is not JSON"),
        (seal(healthy()).replace('"margin": 0.05', '"margin": 1e999', 1), "not a JSON report"),
        (seal(healthy()).replace('"margin": 0.05', '"margin": ' + "9" * 5000, 1), "not a JSON report"),
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


def failing(**changes: Any) -> str:
    body = healthy()
    for found in body["suites"][0]["checks"]:
        if found["check"] == "floor 0":
            found.update({"status": "failed", "pytest": "failed", "measured": 0.1, "margin": -0.35, **changes})
    body["tests"].update(failed=2, passed=6)
    body.update(status="failed", exit_status=1)
    return seal(body)


def test_a_waiver_accepts_its_failure_and_is_named(tmp_path: Path) -> None:
    said = answer(tmp_path, failing(), "--waivers", waivers(tmp_path))
    assert said.returncode == 0, said.stdout
    assert f"waived: {SUITE} floor 0 by @ana until " in said.stdout
    refused(answer(tmp_path, failing()), "floor 0: failed: val cosine 0.1, wanted at least 0.45")


@pytest.mark.parametrize(
    ("changes", "text", "word"),
    [
        ({"days": -1}, failing(), "(@ana): expired on"),
        ({"days": 300}, failing(), "at most 90 are allowed"),
        ({"check": "floor 1"}, failing(), "floor 0: failed"),
        ({"suite": "suites/other/suite.toml"}, failing(), "floor 0: failed"),
        ({}, failing(status="error", reason="no metric"), "error: no metric"),
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
        found.update(use="matches_reference")
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
    assert answer(tmp_path, seal(body)).returncode == 0
    refused(
        answer(tmp_path, seal(body), require=REQUIRE + "fresh = true\n"), "seed0: not trained by this session, which"
    )


def test_fifty_suites_are_decided_in_a_second(tmp_path: Path) -> None:
    text = seal(healthy(suites=50, checks=40))
    require = "".join(REQUIRE.replace("toy/", f"toy{n or ''}/") for n in range(50))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "gate.toml").write_text(require)
    said = ask("report.json", "--require", "gate.toml", "--commit", COMMIT, cwd=tmp_path)
    assert "50 required suites, 4000 checks" in said.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.0  # of a core: others may use the clock


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)
) | st.builds(list)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_report_of_any_shape_is_answered(data: st.DataObject) -> None:
    """Any one value of the report replaced by any other: an answer and never an exception."""
    gate, gate_files = scripts()
    body = healthy()
    place: Any = data.draw(
        st.sampled_from([body, body["git"], body["tests"], body["suites"][0], first(body), run_of(body)])
    )
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    rule = {"file": SUITE, "profile": "smoke", "device": "cpu", "seeds": 2, "checks": 4, "asks": ["cosine_floor"]}
    rules = {"max_age_hours": 24, "max_waiver_days": 90, "suite": [rule]}
    try:
        shaped = gate_files.shaped(Path("x"), body)
    except gate_files.Refused:
        return
    reasons = list(gate.decide([shaped], rules, [], COMMIT, datetime.datetime.now(datetime.UTC)))
    assert all(isinstance(reason, str) for reason in reasons)
