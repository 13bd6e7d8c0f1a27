"""Where keys stand, and what values an annotation allows: the two things every message of a suite is made of."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from typing import Any, Literal

import pytest
import tomli
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from lvmcheck.errors import BadValueError, excerpt
from lvmcheck.suite.lines import MAX_DEPTH, KeyPath, key_parts, scan
from lvmcheck.suite.source import dotted
from lvmcheck.validation import STRICT, validated

TEXT = """\
top = 1
[run]
"a b".'c.d' = 2
data.source = "x"
text = \"\"\"
[not] = a key
\"\"\"
data.path = "y"
lists = [
  { a = 1 },
  # between
  { b = 2, c = { d = 3 } },
]
wide = {
  first = 1,
  second = 2,
}
[[check]]
check = "one"
[[check.part]]
n = 1
[[check.part]]
n = 2
[[check]]
check = "two"
[check.expect]
says = ["x"]
[[check.part]]
n = 3
["quoted table"]
k = 1
"""
WHERE: dict[KeyPath, int] = {
    ("top",): 1,
    ("run",): 2,
    ("run", "a b"): 3,
    ("run", "a b", "c.d"): 3,
    ("run", "data"): 4,
    ("run", "data", "source"): 4,
    ("run", "data", "path"): 8,
    ("run", "lists", 0, "a"): 10,
    ("run", "lists", 1, "b"): 12,
    ("run", "lists", 1, "c", "d"): 12,
    ("run", "wide", "first"): 15,
    ("run", "wide", "second"): 16,
    ("check",): 18,
    ("check", 0): 18,
    ("check", 0, "check"): 19,
    ("check", 0, "part", 0, "n"): 21,
    ("check", 0, "part", 1, "n"): 23,
    ("check", 1): 24,
    ("check", 1, "check"): 25,
    ("check", 1, "expect", "says"): 27,
    ("check", 1, "part", 0, "n"): 29,
    ("quoted table", "k"): 31,
}


@pytest.mark.parametrize("path", WHERE, ids=dotted)
def test_every_form_of_key_has_its_line(path: KeyPath) -> None:
    assert scan(TEXT).exact(path) == WHERE[path]


def test_a_key_that_is_not_there_stands_where_its_table_does() -> None:
    lines = scan(TEXT)
    assert lines.exact(("check", 1, "floor")) is None
    assert lines.nearest(("check", 1, "floor", "x")) == 24
    assert lines.nearest(("nothing",)) is None


def test_the_parser_and_the_scanner_agree_on_what_is_there() -> None:
    """Every path of the parsed document is found, so no check of it can lose its line."""
    lines = scan(TEXT)
    stack: list[tuple[KeyPath, object]] = [((), tomli.loads(TEXT))]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend(((*path, n), item) for n, item in enumerate(value) if isinstance(item, dict))
        if path and not isinstance(path[-1], int):
            assert lines.exact(path) is not None, path


def test_keys_below_the_depth_limit_are_left_out() -> None:
    lines = scan("a = " + "{ b = " * 30 + "1" + " }" * 30)
    assert max(map(len, lines.first)) == MAX_DEPTH


NAMES = st.text("ab.- é\"'\\", min_size=1, max_size=4)


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(tables=st.dictionaries(NAMES, st.lists(NAMES, unique=True, max_size=4), min_size=1, max_size=4))
@tuned(max_examples=60, deadline=None)
def test_lines_of_any_names(tables: dict[str, list[str]]) -> None:
    text: list[str] = []
    want: dict[KeyPath, int] = {}
    for table, keys in tables.items():
        text.append(f"[{quoted(table)}]")
        want[(table,)] = len(text)
        for key in keys:
            text += ["", f"{quoted(key)} = 1"]
            want[(table, key)] = len(text)
    lines = scan("\n".join(text))
    assert {path: lines.exact(path) for path in want} == want


@given(parts=st.lists(NAMES, min_size=1, max_size=5))
@tuned(max_examples=60, deadline=None)
def test_keys_are_read_as_toml_reads_them(parts: list[str]) -> None:
    assert key_parts(".".join(map(quoted, parts))) == tuple(parts)


def test_what_is_no_key_is_none() -> None:
    assert [key_parts(text) for text in ("", "a b", '"open', "a\n")] == [None] * 4


def test_names_from_outside_cannot_move_the_cursor() -> None:
    assert excerpt("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
    assert len(excerpt("x" * 1_000)) == 60
    assert dotted(("run", "a b", "c.d", 3)) == 'run."a b"."c.d"[3]'


def value_of(value: object, hint: Any) -> object:
    """The value as the one field of a dataclass, as keys of a suite are fields of a check."""
    kind = make_dataclass("Kind", [("key", hint)], namespace={"__pydantic_config__": STRICT})
    return getattr(validated(kind, {"key": value}), "key")  # noqa: B009


ALLOWED: list[tuple[object, Any, object]] = [
    (1, float, 1.0),
    (5e-4, float, 5e-4),
    (3, int, 3),
    (True, bool, True),
    ("x", str, "x"),
    ("x", float | str | None, "x"),
    (3, float | int, 3),
    ("a", Literal["a", "b"], "a"),
    ([1, 2], tuple[float, ...], (1.0, 2.0)),
    ([1, 2], tuple[int, int], (1, 2)),
    ([1], list[int], [1]),
    (["x"], Sequence[str], ["x"]),
    ({"mse": 1}, dict[str, float], {"mse": 1.0}),
    ({"mse": 1}, Mapping[str, float] | None, {"mse": 1.0}),
    ({"any": [1, "x"]}, dict[str, Any], {"any": [1, "x"]}),
]


@pytest.mark.parametrize(("value", "hint", "want"), ALLOWED)
def test_values_that_are_allowed(value: object, hint: Any, want: object) -> None:
    found = value_of(value, hint)
    assert found == want
    assert type(found) is type(want)


REFUSED: list[tuple[object, Any, str]] = [
    ("5e-4", float, "expected a number, got string '5e-4'"),
    (True, float, "expected a number, got true"),
    (True, int, "expected an integer, got true"),
    (1, bool, "expected true or false, got 1"),
    (20.0, int, "expected an integer, got 20.0"),
    (float("nan"), float, "expected a finite number, got nan"),
    (float("inf"), float | None, "expected a finite number, got inf"),
    ("x", float | None, "expected a number, got string 'x'"),
    (True, Literal["1", "a"], 'expected "1" or "a", got true'),
    ([1, 2, 3], tuple[int, int], "expected a list of 2 (an integer, an integer), got [1, 2, 3]"),
    ([1], tuple[int, int], "expected a list of 2 (an integer, an integer), got [1]"),
    (["x"], list[float], "expected a number, got string 'x'"),
    ("x", tuple[str, ...], "expected a list of strings, got string 'x'"),
    ([1], dict[str, float], "expected a table of numbers, got [1]"),
    ({"mse": "x"}, dict[str, float] | None, "expected a number, got string 'x'"),
    ({}, str, "expected a string, got a table with no keys"),
]


@pytest.mark.parametrize(("value", "hint", "problem"), REFUSED)
def test_values_that_are_refused(value: object, hint: Any, problem: str) -> None:
    with pytest.raises(BadValueError) as caught:
        value_of(value, hint)
    assert caught.value.problem == problem


def test_the_nearest_choice_is_offered_and_an_odd_annotation_is_the_defect_it_is() -> None:
    with pytest.raises(BadValueError) as caught:
        value_of("plateu", Literal["constant", "plateau"] | None)
    assert caught.value.fix == "Did you mean 'plateau'?"
    with pytest.raises(TypeError, match="annotation that no file can fill"):
        value_of(1, types.FrameType)
