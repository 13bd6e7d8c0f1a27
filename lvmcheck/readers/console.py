"""console: what a training loop printed: lines of names and numbers with an epoch or a step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers import columns
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._assemble import SUMMARY, run_of
from lvmcheck.readers._files import head, text
from lvmcheck.readers._numbers import NotANumberError, number
from lvmcheck.readers._rows import Row, chosen, counted, epochs_filled
from lvmcheck.readers._table import bounded_rows
from lvmcheck.run.curves import PRIMARY
from lvmcheck.run.role_names import QUANTITIES, TERMS, TRAIN, VALIDATION, Quantity
from lvmcheck.run.roles import Split, by_name
from lvmcheck.run.view import Run

SUFFIXES = (".txt", ".log", ".out")
LOOK = 1 << 16
LONGEST, LONGEST_BOX = 2000, 200
"""Characters of a line, and of a line of a boxed table, that are looked at."""
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|nan|inf)"
_NAME = r"[A-Za-z][A-Za-z0-9_@/.\-]*(?: [A-Za-z][A-Za-z0-9_@/.\-]*){0,3}"
_PAIR = re.compile(
    rf"""["']?(?<![\w@/.\-])(?P<name>{_NAME})["']?(?:\s*(?P<sign>[:=])\s*|\s+)["']?(?P<value>{_NUMBER})(?![\w.:/-])""",
    re.IGNORECASE,
)
_EPOCH = re.compile(
    r"""(?<![a-z_])(?:epoch["']?\s*(?:\([a-z]+\))?\s*[:=\[#(]?\s*\[?(?P<a>\d+(?:\.\d+)?)|(?P<b>\d+)\s*epoch)""",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"""(?<![a-z_])(?:global_step|total_timesteps|step|steps|iter|iteration|num_updates|update)["']?\s*[:=\[#(|]?\s*\[?(?P<a>\d+)"""
    r"""|^\[(?P<b>\d+)\]\s""",
    re.IGNORECASE,
)
"""The last form is that of XGBoost and LightGBM."""
_SHARE = re.compile(r"\d+\s*/\s*\d+\s*\((\d+(?:\.\d+)?)\s*%\)")
_OF_ALL = re.compile(r"\d+\s*/\s*\d+")
_SIDES = "|".join(sorted(TRAIN | VALIDATION, key=len, reverse=True))
_SIDE = re.compile(rf"(?<![a-z_])(?P<side>{_SIDES})(?:_\d+)?(?![a-z_])", re.IGNORECASE)
_BOXED = re.compile(r"\|\s*([^|]*[^|\s])\s*\|\s*([^|\s]*)\s*\|")
"""A line of the tables of Stable-Baselines."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x08")
WORDS = TERMS | set(QUANTITIES)
"""What may stand beside the word that says what a metric is."""
_KNOWN = (*PRIMARY, Quantity.TERM, Quantity.LEARNING_RATE, Quantity.GRAD_NORM)


@dataclass(slots=True)
class _Said:
    """What was said last: epoch and step, which belong to the lines that follow."""

    epoch: float | None = None
    step: int | None = None
    rows: list[Row] = field(default_factory=list)


def reads(path: Path) -> bool:
    if path.suffix.lower() not in SUFFIXES:
        return False
    start = head(path, LOOK)
    if not start or b"\0" in start or columns.reads(path):
        return False
    rows = _rows(start.decode(errors="replace"))
    return len(rows) > 1 and bool(set(rows[0].values) & {name for row in rows[1:] for name in row.values})


def read(path: Path, asked: Asked | None = None) -> Run:
    """Lines with a loss, a score, a rate or a gradient norm as rows; any other line is left out.

    Raises:
        InputError: no such line.
    """
    asked = asked or Asked()
    said = text(path)
    bounded_rows(said, path)
    rows = _rows(said)
    if not rows:
        raise InputError(path, "expected lines with an epoch or a step and a loss, got none")
    rows = chosen(rows, path, asked.run)
    notes = [f"{len(rows)} of {len(said.splitlines())} printed lines hold figures"]
    if _recur(rows):
        rows, note = counted(rows)
        notes.append(note)
    elif any(row.epoch is not None for row in rows):
        rows = epochs_filled(rows)
    return run_of(path, rows, columns=asked.columns, notes=notes)


def _recur(rows: Sequence[Row]) -> bool:
    """Whether a metric is printed several times an epoch, and no step."""
    if any(row.step is not None for row in rows):
        return False
    seen = [(row.epoch, name) for row in rows for name in row.values]
    return len(set(seen)) < len(seen)


def _rows(said: str) -> list[Row]:
    state = _Said()
    for number_of, line in enumerate(_lines(said), start=1):
        _take(line[:LONGEST], number_of, state)
    return _joined(state.rows)


def _lines(said: str) -> Iterator[str]:
    """Lines as a terminal shows them: of a line that was written over, what stood there last; a boxed table is one."""
    box: list[str] = []
    for line in said.split("\n"):
        kept = [part for part in _ESCAPES.sub("\r", line).split("\r") if part.strip()]
        shown = kept[-1].strip() if kept else ""
        cells = _BOXED.fullmatch(shown) if len(shown) < LONGEST_BOX else None
        if cells is not None:
            box += [f"{cells[1]}: {cells[2]}"] if cells[2] else []
            yield ""
        else:
            yield "  ".join([*box, shown])
            box = []
    yield "  ".join(box)


def _take(line: str, at: int, state: _Said) -> None:
    """One line: its epoch and step, and a row where it holds figures."""
    epoch, step = _stated(_EPOCH, line), _stated(_STEP, line)
    if epoch is not None:
        state.step = None if state.epoch is not None and epoch != state.epoch else state.step
        state.epoch = epoch
    if step is not None:
        state.step = int(step)
    values = dict(_figures(line)) if any(map(str.isdigit, line)) or "nan" in line.lower() else {}
    if values and (state.epoch is not None or state.step is not None):
        state.rows.append(Row(values=values, epoch=state.epoch, step=state.step, line=at))


def _stated(pattern: re.Pattern[str], line: str) -> float | None:
    hit = pattern.search(line)
    said = None if hit is None else next((part for part in hit.groups() if part is not None), None)
    return None if said is None else float(said)


def _figures(line: str) -> Iterator[tuple[str, float]]:
    """Names that are known for a metric with their numbers; the split that the line is about goes before them."""
    line = _OF_ALL.sub(" ", _SHARE.sub(r"\1", line))
    sides: list[re.Match[str]] | None = None
    for hit in _PAIR.finditer(line):
        name, of_split = _metric(hit["name"], told=hit["sign"] is not None)
        value = _value(hit["value"]) if name else None
        if name is None or value is None:
            continue
        sides = list(_SIDE.finditer(line)) if sides is None else sides
        before = [side["side"].lower() for side in sides if side.end() <= hit.end("name")]
        yield (f"{before[-1]}_{name}" if before and of_split else name), value


@lru_cache(maxsize=20_000)
def _metric(name: str, *, told: bool) -> tuple[str | None, bool]:
    """The longest end of some words that names a metric (``the train loss``), and whether it lacks a split.

    ``told``: a sign stands between the name and its number; without one no other word may stand there.
    """
    said = name.split()
    if said[-1].endswith(SUMMARY):
        return said[-1], False
    for start in range(len(said)):
        part = "_".join(said[start:])
        role = by_name(part)
        last = start + 1 == len(said) and (told or "_" in part)
        if role.quantity in _KNOWN and (last or set(role.group.split("_")) - {""} <= WORDS):
            of_training = role.quantity in (Quantity.LEARNING_RATE, Quantity.GRAD_NORM)
            return part, role.split is Split.NONE and not of_training
    return None, False


def _value(said: str) -> float | None:
    try:
        return number(said)
    except NotANumberError:
        return None


def _joined(rows: Sequence[Row]) -> list[Row]:
    """Rows of one moment as one: of what is printed twice there the later counts, as the end of an epoch says it."""
    stepped = any(row.step is not None for row in rows)
    found: list[Row] = []
    for row in rows:
        last = found[-1] if found else None
        same = last is not None and (last.epoch, last.step) == (row.epoch, row.step)
        apart = last is None or SUMMARY in row.values or SUMMARY in last.values
        if last is not None and same and not apart and (stepped or not set(last.values) & set(row.values)):
            found[-1] = Row(values={**last.values, **row.values}, epoch=row.epoch, step=row.step, line=last.line)
        else:
            found.append(row)
    return found
