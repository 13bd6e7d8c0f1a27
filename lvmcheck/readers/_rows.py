"""Rows of any log, and the epoch that each belongs to: nothing is reordered, and every guess is said in a note."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lvmcheck.errors import InputError, several
from lvmcheck.readers._columns import AXES, rename
from lvmcheck.readers._numbers import axis, whole
from lvmcheck.readers._table import MAX_ROWS
from lvmcheck.run.roles import Split, by_name

MAX_METRICS = 10_000
MAX_GUESSED = 1000
"""Steps in a row up to which they may be taken for epochs; more are optimizer steps."""
VAL, TEST = "val_", "test_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was logged at one moment: metrics by name, and where it stands.

    Args:
        values: metric -> value; what was not logged is absent.
        epoch: as the file says it, perhaps with a fraction.
        step: optimizer step, or whatever the logger counts.
        line: 1-based row in the file, where it has rows.
        t: seconds since the run began.
    """

    values: Mapping[str, float]
    epoch: float | None = None
    step: int | None = None
    line: int | None = None
    t: float = 0.0


@dataclass(frozen=True, slots=True)
class Numbered:
    """Rows with the 1-based epoch of each; ``ends`` holds the rows that end an epoch, None where epochs are stated.

    ``counted``: what ends are evaluations at steps, which are no epochs of the run.
    """

    rows: Sequence[Row]
    epochs: Sequence[int]
    ends: frozenset[int] | None
    notes: tuple[str, ...] = ()
    counted: bool = False


def named(rows: Sequence[Row], columns: Mapping[str, str], path: Path) -> tuple[list[Row], dict[str, str]]:
    """Rows with our names for metrics and the axes that the column map names; and the file's name -> ours ("": none).

    Raises:
        InputError: a mapped column is missing, there are too many rows or metrics, an axis is no whole number.
    """
    if len(rows) > MAX_ROWS:
        raise InputError(path, f"expected at most {MAX_ROWS:,} rows, got {len(rows):,}")
    seen = dict.fromkeys(name for row in rows for name in row.values)
    for name in AXES:
        if name in columns.values() and any(getattr(row, name) is not None for row in rows):
            seen.setdefault(name)
    if len(seen) > MAX_METRICS:
        raise InputError(path, f"expected at most {MAX_METRICS:,} metrics, got {len(seen):,}")
    names = rename(seen, columns, path)
    return [_named(row, names, columns, path) for row in rows], names


def _named(row: Row, names: Mapping[str, str], columns: Mapping[str, str], path: Path) -> Row:
    values = {names[name]: value for name, value in row.values.items() if names[name] not in ("", *AXES)}
    found: dict[str, float | None] = {"epoch": row.epoch, "step": row.step}
    for ours in AXES:
        theirs = columns.get(ours)
        if theirs is not None:
            stated = {"epoch": row.epoch, "step": row.step}.get(theirs)
            found[ours] = row.values.get(theirs, stated)
    step = axis(found["step"], "step", path, row.line)
    return replace(row, values=values, epoch=found["epoch"], step=step)


def epochs_filled(rows: Sequence[Row]) -> list[Row]:
    """Rows of callbacks (a learning rate monitor) state no epoch: they belong to that of the next row that does."""
    filled: list[Row] = []
    epoch = next((row.epoch for row in reversed(rows) if row.epoch is not None), None)
    for row in reversed(rows):
        epoch = row.epoch if row.epoch is not None else epoch
        filled.append(row if row.epoch is not None else replace(row, epoch=epoch))
    return filled[::-1]


def continued(rows: Sequence[Row]) -> list[Row]:
    """Steps that begin again in every epoch, as steps since the run began."""
    trained = [row for row in rows if not all(name.startswith(VAL) for name in row.values)]
    start = trained[0].step if trained else None
    again = any(_again(row, before, start) for before, row in pairwise(trained))
    if not again or any(row.epoch is None or row.step is None for row in rows):
        return list(rows)
    shift = 0 if rows[0].step else 1  # from 0 on, the first step is step 1
    found: list[Row] = []
    offset, last = 0, 0
    before = rows[0]
    for row in rows:
        if any(not name.startswith(VAL) for name in row.values):
            offset = last if _again(row, before, start) else offset
            last, before = offset + (row.step or 0) + shift, row
        found.append(replace(row, step=last))
    return found


def counted(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows with the number of the row of training that each follows as its step, and a note."""
    step, found = 0, []
    for row in rows:
        step += not all(by_name(name).split is Split.VALIDATION for name in row.values)
        found.append(replace(row, step=step))
    return found, "no step is recorded: the n-th row of training counts as step n"


def _again(row: Row, before: Row, start: int | None) -> bool:
    """Whether a row begins a later epoch at the step at which the run began."""
    if row.epoch is None or before.epoch is None or row.step is None or before.step is None or start is None:
        return False
    return row.epoch > before.epoch and row.step < before.step and row.step <= start


def chosen(rows: Sequence[Row], path: Path, run: str | None) -> list[Row]:
    """The rows of one run, where a run that was started again has written into the same file.

    Raises:
        InputError: several runs and none chosen, or no such run.
    """
    parts = restarts(rows)
    if len(parts) == 1 and run in (None, "1"):
        return list(rows)
    places = [(part[0].line or 1, part[-1].line or len(part)) for part in parts]
    names = ", ".join(f"{n} (rows {first} to {last})" for n, (first, last) in enumerate(places, start=1))
    if run is None:
        raise InputError(
            path,
            f"steps or epochs begin again: the file holds {len(parts)} runs, one after another: {names}",
            fix=f"Say which: --run {len(parts)} is the last one.",
        )
    if not run.isdigit() or not 1 <= int(run) <= len(parts):
        raise InputError("--run", f"expected 1 to {len(parts)}, got {run!r}; runs in this file: {names}")
    return list(parts[int(run) - 1])


def restarts(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows cut where epochs, or the steps of one metric, fall back to their beginning."""
    parts: list[list[Row]] = [[]]
    epoch: float | None = None
    steps: dict[str, int] = {}
    for row in rows:
        first = parts[0][0] if parts[0] else row
        lower_epoch = epoch is not None and row.epoch is not None and row.epoch < epoch
        at_start = first.epoch is not None and row.epoch is not None and row.epoch <= first.epoch
        before = max((steps.get(name, 0) for name in row.values), default=0)
        step_again = row.step is not None and first.step is not None and row.step <= first.step and row.step < before
        if (lower_epoch and at_start) or (step_again and not (row.epoch is not None and not lower_epoch)):
            parts.append([])
            epoch, steps = None, {}
        parts[-1].append(row)
        epoch = row.epoch if row.epoch is not None else epoch
        if row.step is not None:
            steps.update(dict.fromkeys(row.values, row.step))
    return parts


def numbered(rows: Sequence[Row], path: Path) -> Numbered:
    """The epoch of every row.

    Where all rows state whole epochs these count (from 0 is shifted to from 1), and they never go back. Otherwise
    evaluations (rows with a ``val_`` metric) end epochs; without any, steps 1, 2, 3, ... are taken for epochs.

    Raises:
        InputError: epochs or steps that go back, or an epoch that is no number.
    """
    bad = next((row for row in rows if row.epoch is not None and not math.isfinite(row.epoch)), None)
    if bad is not None:
        raise InputError(path, f"expected a number, got {bad.epoch}", line=bad.line, key="epoch")
    stated = [whole(row.epoch) for row in rows]
    if rows and all(epoch is not None for epoch in stated):
        return _stated(rows, [epoch for epoch in stated if epoch is not None], path)
    _steps_ascend(rows, path)
    if all(row.epoch is None and row.step is None for row in rows):
        note = "the rows state neither epoch nor step: the n-th row counts as epoch n"
        return Numbered(rows, range(1, len(rows) + 1), None, (note,))
    ends = _evaluations(rows)
    if ends:
        return _by_evaluation(rows, ends)
    steps = sorted({row.step for row in rows if row.step is not None})
    unstated = all(row.epoch is None for row in rows)
    if unstated and 1 < len(steps) <= MAX_GUESSED and steps[0] in (0, 1) and steps[-1] - steps[0] + 1 == len(steps):
        numbers = [max(0, (row.step or 0) - steps[0]) + 1 for row in rows]
        if numbers == sorted(numbers):
            note = f"no epoch is recorded: the steps {steps[0]} to {steps[-1]} count as epochs"
            return Numbered(rows, numbers, None, (note,))
    note = "no epoch and no validation metric is recorded: judged by optimizer steps alone"
    return Numbered(rows, [1] * len(rows), frozenset(), (note,))


def side(rows: Sequence[Row]) -> str:
    """What the names of held-out metrics begin with: val_, or test_ where there is none."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return next((each for each in (VAL, TEST) if any(name.startswith(each) for name in names)), VAL)


def _evaluations(rows: Sequence[Row]) -> list[int]:
    """Rows that end with an evaluation; evaluations of several sets at one step are one."""
    held_out = side(rows)
    hits = [i for i, row in enumerate(rows) if any(name.startswith(held_out) for name in row.values)]
    same = {
        i
        for i, j in pairwise(hits)
        if j == i + 1
        and (rows[i].step, rows[i].epoch) == (rows[j].step, rows[j].epoch)
        and (rows[i].step is not None or rows[i].epoch is not None)
        and not set(rows[i].values) & set(rows[j].values)
    }
    return [i for i in hits if i not in same]


def _stated(rows: Sequence[Row], epochs: Sequence[int], path: Path) -> Numbered:
    for i in range(1, len(rows)):
        if epochs[i] < epochs[i - 1]:
            raise InputError(
                path,
                f"epoch {epochs[i]} stands after epoch {epochs[i - 1]}: epochs must not go back",
                line=rows[i].line,
                key="epoch",
                fix="A run that was continued must be cut at the point of its checkpoint; rows are never reordered.",
            )
    if min(epochs) < 0:
        raise InputError(path, f"expected an epoch of at least 0, got {min(epochs)}", line=rows[0].line, key="epoch")
    notes = []
    shift = 1 if epochs[0] == 0 else 0
    if shift:
        notes.append("epochs are counted from 0 in the file, from 1 here")
    missing = sorted(set(range(epochs[0], epochs[-1] + 1)) - set(epochs))
    if missing and len(missing) <= MAX_ROWS:
        said = several([str(epoch + shift) for epoch in missing], 5)
        notes.append(f"{len(missing)} of {epochs[-1] - epochs[0] + 1} epochs are not recorded: {said}")
    return Numbered(rows, [epoch + shift for epoch in epochs], None, tuple(notes))


def _steps_ascend(rows: Sequence[Row], path: Path) -> None:
    """Steps of each metric go forward; loggers may interleave metrics that count different things."""
    last: dict[str, int] = {}
    for row in rows:
        for name in row.values:
            if row.step is not None and row.step < last.get(name, row.step):
                raise InputError(
                    path,
                    f"step {row.step:,} stands after step {last[name]:,}: steps must not go back",
                    line=row.line,
                    key=name,
                )
            if row.step is not None:
                last[name] = row.step


def _by_evaluation(rows: Sequence[Row], ends: Sequence[int]) -> Numbered:
    """Epochs end with evaluations; those are numbered by the epochs they state, where these are whole and distinct."""
    stated = [whole(rows[i].epoch) for i in ends]
    usable = [epoch for epoch in stated if epoch is not None and epoch >= 1]
    numbers, notes, counted = list(range(1, len(ends) + 1)), [], False
    if len(usable) == len(ends) and usable == sorted(set(usable)):
        numbers = usable
    else:
        steps = [step for i in ends if (step := rows[i].step) is not None]
        each = len(ends) == len(rows) and all(b - a == 1 for a, b in pairwise(steps))  # a logger's steps are epochs
        counted = len(steps) == len(ends) and not (each and len(rows) > 1) and all(a < b for a, b in pairwise(steps))
        how = "judged by its steps" if counted else "the n-th counts as epoch n"
        notes.append(f"{len(ends)} {'evaluation' if len(ends) == 1 else 'evaluations'}, not one a whole epoch: {how}")
    epochs: list[int] = []
    for number, i in zip(numbers, ends, strict=True):
        epochs += [number] * (i + 1 - len(epochs))
    epochs += [numbers[-1] + 1] * (len(rows) - len(epochs))
    return Numbered(rows, epochs, frozenset(ends), tuple(notes), counted)
