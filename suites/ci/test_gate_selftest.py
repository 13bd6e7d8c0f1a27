"""Self-tests as the gate reads and judges them, field by field."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suites.ci.gate_kit import NONCE, SUITE, scripts, seal

COMMIT, OTHER = "1" * 40, "1" * 12 + "2" * 28
"""Two commits whose short forms are equal."""


def faults(killed: int, survived: int = 0, idle: int = 0, undone: int = 0) -> list[dict[str, str]]:
    fates = ["killed"] * killed + ["survived"] * survived + ["not planted"] * idle + ["not done"] * undone
    return [{"name": f"fault{n}", "fate": fate} for n, fate in enumerate(fates)]


def healthy(**changed: Any) -> dict[str, Any]:
    body = {"format": 2, "title": "t", "suite": SUITE, "digest_of_suite": "d", "profile": "smoke", "nonce": NONCE}
    body |= {"commit": COMMIT, "dirty": False, "whole": True, "score": 1.0, "unmodified_fails": [], "seconds": 1.0}
    return {**body, "faults": faults(15), "tolerances": [], "never_decided": [], "never_failed": [], **changed}


def codes(*tests: dict[str, Any], least: float = 0.9, digest: str = "d", of_all: float = 0.0) -> list[str]:
    scripts()
    rule = {"file": SUITE, "profile": "smoke"} | ({} if least < 0 else {"selftest": least})
    question = SimpleNamespace(nonce=NONCE, commit=COMMIT, rules={"suite": [rule], "selftest": of_all})
    reports = [{"suites": [{"file": SUITE, "digest": digest}, {"file": "other", "digest": "e"}]}]
    return [reason.code for reason in sys.modules["gate_selftest"].of_selftests(tests, reports, question)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"faults": faults(14, idle=30)}, ["selftest_small"]),
        ({"faults": faults(18, survived=2)}, []),
        ({"faults": faults(17, survived=2)}, ["selftest_low"]),
        ({"faults": faults(17, undone=2)}, ["selftest_low"]),
        ({"faults": faults(18, survived=2, idle=9)}, []),
        ({"faults": faults(15)[:14] * 2}, ["selftest_partial"]),
        ({"whole": False}, ["selftest_partial"]),
        ({"unmodified_fails": ["finite"], "faults": []}, ["selftest_red", "selftest_small"]),
        ({"nonce": "then"}, ["nonce_differs"]),
        ({"commit": OTHER}, ["other_commit"]),
        ({"dirty": True}, ["not_committed"]),
        ({"profile": "full"}, ["selftest_missing"]),
        ({"suite": "other"}, ["selftest_missing"]),
        ({"digest_of_suite": "e"}, ["suite_differs"]),
    ],
)
def test_what_a_selftest_must_say(changed: dict[str, Any], expected: list[str]) -> None:
    assert codes(healthy(**changed)) == expected


def test_of_whom_it_is_asked() -> None:
    assert codes(least=0.0) == []
    assert codes(least=-1) == []
    assert codes(least=-1, of_all=0.5) == ["selftest_missing"]
    assert codes(least=0.0, of_all=0.5) == []
    assert codes(healthy(), healthy()) == ["report_twice"]
    assert codes(healthy(), digest="x") == ["suite_differs"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (seal(healthy()), None),
        (json.dumps({**healthy(), "digest": "0"}), "digest_differs"),
        ("[1]", "not_json"),
        ("{", "not_json"),
        ("[" * 100_000, "not_json"),
        (seal(healthy(format=1)), "other_format"),
        (seal(healthy(score="high")), "wrong_type"),
        (seal(healthy(more=1)), "unknown_field"),
        (seal(healthy(faults=[1])), "wrong_type"),
        (seal(healthy(faults=[{"name": "a", "fate": "gone"}])), "unknown_value"),
        (seal(healthy(score=None)), None),
    ],
)
def test_which_files_are_read(text: str, code: str | None, tmp_path: Path) -> None:
    path = tmp_path / "selftest.json"
    path.write_text(text)
    scripts()
    try:
        body = sys.modules["gate_selftest"].read_selftest(path)
        got = None
        assert body == {key: value for key, value in json.loads(text).items() if key != "digest"}
    except sys.modules["gate_finding"].Refused as refusal:
        got = refusal.reason.code
    assert got == code
