"""What a self-test says of a suite: which of the faults that it planted in the run the suite's checks have noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gate_files import MAX_BYTES, no_constant, read_bounded, unique
from gate_finding import Reason, Refused
from gate_shape import Table, fields, fits, known
from gate_sign import signed

FORMAT, LEAST = 2, 15
"""LEAST: faults that must have been planted; a self-test of fewer shows little."""
SHAPE = fields(
    *((name, str) for name in ("title", "suite", "digest_of_suite", "profile", "nonce", "commit")),
    *((name, list) for name in ("unmodified_fails", "faults", "tolerances", "never_decided", "never_failed")),
    *(("format", int), ("dirty", bool), ("whole", bool)),
    score=(int, float, type(None)),
    seconds=(int, float),
)
FATES = ("killed", "survived", "not planted", "not done")


def read_selftest(path: Path, key: bytes | None = None) -> Table:
    """The content of a self-test's JSON that is whole, of the expected shape, and signed where there is a key."""
    try:
        raw = read_bounded(path, MAX_BYTES)
        signed(path, raw, key)
        body = json.loads(raw, object_pairs_hook=unique, parse_constant=no_constant)
        if not isinstance(body, dict):
            raise Refused(Reason("not_json", str(path), got=type(body).__name__))
        digest = body.pop("digest", None)
        content = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except OSError as problem:
        raise Refused(Reason("no_report", str(path), got=problem.strerror)) from None
    except (ValueError, RecursionError) as problem:
        raise Refused(Reason("not_json", str(path), got=str(problem)[:100])) from None
    if digest != hashlib.sha256(content).hexdigest():
        raise Refused(Reason("digest_differs", str(path)))
    fits(body, SHAPE, f"{path}: self-test")
    if body["format"] != FORMAT:
        raise Refused(Reason("other_format", str(path), FORMAT, body["format"]))
    for number, fault in enumerate(body["faults"]):
        if not isinstance(fault, dict) or not all(type(fault.get(key)) is str for key in ("name", "fate")):
            raise Refused(Reason("wrong_type", f"{path}: faults[{number}]", "name and fate", str(fault)[:40]))
        known(fault["fate"], FATES, f"{path}: faults[{number}].fate")
    return body


def of_selftests(tests: Sequence[Table], reports: Sequence[Table], question: Any) -> Iterator[Reason]:
    """What the required suites lack of the self-tests that are asked of them."""
    for test in tests:
        if test["nonce"] != question.nonce:
            yield Reason("nonce_differs", test["suite"], got=test["nonce"][:40])
        if test["commit"] != question.commit:
            yield Reason("other_commit", test["suite"], question.commit[:12], test["commit"][:12])
        if test["dirty"]:
            yield Reason("not_committed", test["suite"], got="unknown")
    for rule in question.rules["suite"]:
        least = rule.get("selftest", question.rules.get("selftest", 0.0))
        if least > 0:
            yield from of_rule(tests, reports, rule, least)


def of_rule(tests: Sequence[Table], reports: Sequence[Table], rule: Table, least: float) -> Iterator[Reason]:
    who = f"{rule['file']} ({rule['profile']})"
    found = [test for test in tests if (test["suite"], test["profile"]) == (rule["file"], rule["profile"])]
    if len(found) != 1:
        yield Reason("selftest_missing" if not found else "report_twice", who, f"{least:g}")
        return
    (test,) = found
    judged = {s["digest"] for r in reports for s in r["suites"] if s["file"] == rule["file"]}
    if judged != {test["digest_of_suite"]}:
        yield Reason("suite_differs", f"{who}: self-test")
    if test["unmodified_fails"]:
        yield Reason("selftest_red", who, got=str(test["unmodified_fails"][0])[:80])
    names = [fault["name"] for fault in test["faults"]]
    if not test["whole"] or len(set(names)) < len(names):
        yield Reason("selftest_partial", who)
    killed = sum(fault["fate"] == "killed" for fault in test["faults"])
    planted = sum(fault["fate"] in ("killed", "survived", "not done") for fault in test["faults"])
    if planted < LEAST:
        yield Reason("selftest_small", who, LEAST, planted)
    elif killed / planted < least:
        yield Reason("selftest_low", who, f"{least:g}", f"{killed} of {planted}")
