"""Stable ids of the errors that a user can see: ``LVM-0123``, looked up from where an error was made.

``errors.tsv`` beside this file holds one row for each message: id, ``used`` or ``retired``, file, and the message with
``{}`` for each value. ``python -m docs.manual docs`` adds rows for new messages and retires those that are gone; an id
is never given to another message.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

ROWS = Path(__file__).with_name("errors.tsv")
ROOT = Path(__file__).parents[2]
KINDS = ("InputError", "BadValueError", "UsageError")
PROBLEM = {"InputError": 1, "BadValueError": 1, "UsageError": 0}
"""Which argument is the message."""
PASSED_ON = "{}"
"""A message that another place makes."""
SAME = 0.6
"""Likeness from which a message of one file is the reworded one that is gone, and keeps its id."""


@dataclass(frozen=True)
class Row:
    """One message.

    Attributes:
        number: of its id. used: whether it can still be raised. file: below the root of the repository.
        message: with ``{}`` for each value.
    """

    number: int
    used: bool
    file: str
    message: str

    @property
    def id(self) -> str:
        return f"LVM-{self.number:04}"


@cache
def rows() -> tuple[Row, ...]:
    """The catalogue in the order of its ids."""
    lines = ROWS.read_text(encoding="utf-8").splitlines() if ROWS.is_file() else []
    cells = (line.split("\t", 3) for line in lines)
    return tuple(
        Row(int(number.removeprefix("LVM-")), state == "used", file, message) for number, state, file, message in cells
    )


def row_at(path: str, line: int) -> Row | None:
    """The message that is made at that line of one of our files; None where that is not known."""
    try:
        file = Path(path).resolve().relative_to(ROOT).as_posix()
        found = [(last - first, message) for first, last, message in messages(Path(path)) if first <= line <= last]
    except (OSError, ValueError, SyntaxError):
        return None
    known = {(row.file, row.message): row for row in rows() if row.used}
    return known.get((file, min(found)[1])) if found else None


def messages(path: Path) -> Iterator[tuple[int, int, str]]:
    """First line, last line and message of every error that a file makes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in KINDS and len(node.args) > PROBLEM[name]:
                yield node.lineno, node.end_lineno or node.lineno, template(node.args[PROBLEM[name]])


def template(node: ast.expr) -> str:
    """The message with ``{}`` for each value; ``{}`` alone where another place makes it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return " ".join(node.value.split())
    if isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return " ".join("".join(parts).split())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return PASSED_ON


def renewed(known: Sequence[Row], found: Mapping[str, Sequence[str]]) -> list[Row]:
    """The catalogue for the messages that are there now (file to messages): old ids are kept, new ones are added."""
    there = {(file, message) for file, each in found.items() for message in each}
    fresh = sorted(there - {(row.file, row.message) for row in known})
    result: list[Row] = []
    for row in known:
        if (row.file, row.message) in there:
            result.append(replace(row, used=True))
            continue
        again = [message for file, message in fresh if file == row.file]
        close = difflib.get_close_matches(row.message, again, n=1, cutoff=SAME) if row.used else []
        if close:
            fresh.remove((row.file, close[0]))
        result.append(replace(row, message=close[0], used=True) if close else replace(row, used=False))
    last = max((row.number for row in known), default=0)
    return result + [Row(last + i, True, file, message) for i, (file, message) in enumerate(fresh, start=1)]


def sources() -> dict[str, list[str]]:
    """Every message that the packages of this checkout make, by file."""
    paths = [path for package in ("lvmcheck", "models") for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): [text for _, _, text in messages(path)] for path in paths}


def text_of(catalogue: Sequence[Row]) -> str:
    """The rows as the file holds them."""
    return "".join(f"{row.id}\t{'used' if row.used else 'retired'}\t{row.file}\t{row.message}\n" for row in catalogue)


def renew() -> None:
    """Bring the file up to the messages that are there."""
    ROWS.write_text(text_of(renewed(rows(), sources())), encoding="utf-8")
    rows.cache_clear()
