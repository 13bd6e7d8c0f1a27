"""The shape of a report, at every place of it: what is missing, unknown, of another type or another word is refused."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lvmcheck.checks.bounds import BoundKind
from lvmcheck.checks.finding import Status, Why
from suites.ci.gate_kit import SUITE, scripts
from suites.ci.test_gate_edits import check, healthy

scripts()
finding, shape = sys.modules["gate_finding"], sys.modules["gate_shape"]
OPEN = ("inputs", "opened", "versions")
"""Objects whose keys are names of files and packages."""
UNREAD = ("evidence", "causes", "arguments", "changed", "overridden", "seeds")
"""What is shown to people, or is a list of plain values."""
WORDS = ("pytest", "status", "why", "kind")


def whole() -> dict[str, Any]:
    """A report that has everything once."""
    body = healthy()
    body["files"] = [{"path": SUITE, "blob": "b"}]
    body["troubles"] = [{"where": "a", "when": "b", "message": "c"}]
    body["trained"] = [{"node": "n", "training": "t", "run": None, "verdict": check("trained", 0)["verdict"]}]
    body["git_after"] = copy.deepcopy(body["git"])
    return body


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where objects of fixed keys stand, of lists the first and the last."""
    if isinstance(value, dict):
        yield path
        for key, item in value.items():
            if key not in (*OPEN, *UNREAD):
                yield from places(item, (*path, key))
    elif isinstance(value, list):
        for number in sorted({0, len(value) - 1}) if value else ():
            yield from places(value[number], (*path, number))


def at(body: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        body = body[part]
    return body


PLACES = list(places(whole()))


def code(body: Any) -> str:
    """The code by which the report is refused; empty where it has the shape of one."""
    try:
        assert shape.shaped("r", body) is body
    except finding.Refused as problem:
        place, _, below = problem.reason.subject.partition(": ")
        return f"{problem.reason.code} {re.split('[. ]', below)[-1]}" if place == "r" else place
    return ""


def changed(path: tuple[Any, ...], key: str, value: Any = None, *, gone: bool = False) -> str:
    body = whole()
    table = at(body, path)
    if gone:
        del table[key]
    else:
        table[key] = value
    return code(body)


def test_the_gate_knows_every_word() -> None:
    assert {*shape.STATUSES} == {*Status}
    assert {*shape.WHYS} == {*Why}
    assert {*shape.KINDS} == {*BoundKind}


def test_a_whole_report_has_the_shape_of_one() -> None:
    assert code(whole()) == code(healthy()) == ""
    assert len(PLACES) > 25


@pytest.mark.parametrize("path", PLACES, ids=str)
def test_every_field_at_every_place(path: tuple[Any, ...]) -> None:
    for key, value in at(whole(), path).items():
        assert changed(path, key, gone=True) == f"wrong_type {key}"
        assert changed(path, key, b"") == f"wrong_type {key}"
        if type(value) is int:
            assert changed(path, key, True) == f"wrong_type {key}" or key in ("measured", "value")
        if key in WORDS and path and isinstance(value, str):
            assert changed(path, key, "x") == f"unknown_value {key}"
    assert changed(path, "x", 1).startswith("unknown_field")
    if path and isinstance(path[-1], int):
        body = whole()
        at(body, path[:-1])[path[-1]] = []
        assert code(body).startswith("wrong_type")


@pytest.mark.parametrize(
    ("path", "key", "value", "refused"),
    [
        (("suites", 0), "seeds", [0, True], "wrong_type seeds"),
        (("suites", 0), "seeds", [0, "1"], "wrong_type seeds"),
        (("suites", 0), "overridden", ["lr", 1], "wrong_type overridden"),
        (("suites", 0), "overridden", ["lr"], ""),
        (("suites", 0, "checks", 0, "verdict"), "seed", "seeds", ""),
        (("suites", 0, "checks", 0, "verdict"), "seed", "0", "unknown_value seed"),
        (("suites", 0, "checks", 0, "verdict"), "asked", None, ""),
        (("suites", 0, "checks", 0, "verdict", "outcome"), "finding", None, ""),
        (("suites", 0, "checks", 0, "verdict", "outcome"), "why", "not needed", ""),
        (("suites", 0, "checks", 0, "verdict", "outcome"), "why", "x", "unknown_value why"),
        (("suites", 0, "runs", 1), "opened", None, ""),
        (("suites", 0, "runs", 1), "samples_per_second", 1.5, ""),
        ((), "git", None, ""),
        ((), "git_after", None, ""),
    ],
)
def test_what_may_be_otherwise(path: tuple[Any, ...], key: str, value: Any, refused: str) -> None:
    assert changed(path, key, value) == refused


def test_a_text_of_a_refusal_is_short() -> None:
    body = whole()
    body["suites"][0]["about"] = ["s" * 99]
    with pytest.raises(finding.Refused) as caught:
        shape.shaped("r", body)
    assert len(str(caught.value.reason.got)) == 40
