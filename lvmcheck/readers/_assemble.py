"""Numbered rows as a run: metrics that come once an epoch, windows of steps, and probes for what comes more often."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, several
from lvmcheck.readers._columns import folded, usual_name
from lvmcheck.readers._numbers import whole
from lvmcheck.readers._rows import VAL, Numbered, Row, continued, counted, named, numbered, side
from lvmcheck.run import events as ev
from lvmcheck.run.view import EPOCH_AT, Run

LOSSES = ("train_loss", "loss", "train_loss_step", "loss_step", "total_loss", "train_total_loss", "loss_total")
RATES = ("lr", "learning_rate", "train_lr", "train_learning_rate")
NORMS = ("grad_norm", "train_grad_norm")
SUMMARY = "train_runtime"
"""Only the one row at the end of the Hugging Face Trainer's log has it."""
FINISHED = {"status": "finished"}


def run_of(
    path: Path,
    rows: Sequence[Row],
    *,
    columns: Mapping[str, str] | None = None,
    info: Mapping[str, Any] | None = None,
    done: Mapping[str, Any] | None = None,
    said: Sequence[ev.Event] = (),
    after: Sequence[ev.Event] = (),
    notes: Sequence[str] = (),
    read: Sequence[str] = (),
    means: bool = False,
) -> Run:
    """A run made of the rows of a log.

    Args:
        path: the file, for messages.
        rows: in the order of time.
        columns: the column map.
        info: what is known of config and seed.
        done: how the run ended; a log that does not say so is taken as ended where it ends.
        said: events that come before the rows, such as the model.
        after: events that come after them.
        notes: what the reader of the run must know.
        read: axes that go by another name in the file, such as "round as epoch".
        means: whether a loss that is logged every k steps is the mean of these steps (else it is one step's).

    Raises:
        InputError: no metric at all, an epoch that stands twice, or an order that goes back.
    """
    rows, summary, trainer = _without_summary(rows)
    found, names = named(rows, columns or {}, path)
    known = continued([row for row in found if row.values])
    if not known:
        raise InputError(path, "expected at least one row with a metric, got none")
    if all(row.step is None for row in known) and any(
        row.epoch is not None and whole(row.epoch) is None for row in known
    ):
        known, note = counted(known)
        notes = [*notes, note]
    table = numbered(known, path)
    often = _often(table, path)
    told = (*notes, *table.notes, *_renamed(names, read), *_last_of_several(table, often))
    remarks = [ev.Note(text=text) for text in told]
    events = (*said, *remarks, *_events(table, often, means or trainer), *summary, *after)
    info = {**(info or {}), **({} if table.ends is None else {EPOCH_AT: _fractions(table.rows)})}
    # What a log does not say cannot be awaited: where it stops, the run has ended.
    return Run(events=events, info=info, done=dict(done or FINISHED))


def _without_summary(rows: Sequence[Row]) -> tuple[Sequence[Row], list[ev.Event], bool]:
    """The rows without those with which the Hugging Face Trainer ends, what these say, and whether it wrote the log.

    It states means over the whole training, and evaluations again where one was made.
    """
    names = dict.fromkeys(name for row in rows for name in row.values)
    summary = {name for name in names if folded(name).endswith(SUMMARY)}
    evaluated = {name for name in names if usual_name(name).startswith(VAL)}
    if not evaluated and not summary:
        return rows, [], False
    kept: list[Row] = []
    said: list[ev.Event] = []
    seen: set[tuple[float | None, int | None, str]] = set()
    for row in rows:
        losses = {(row.epoch, row.step, name) for name in evaluated.intersection(row.values)}
        again = len(losses) == len(row.values) and not losses.isdisjoint(seen)
        if not summary.isdisjoint(row.values):
            said.append(ev.Evaluation(name="train_summary", metrics=row.values, about="the whole training"))
        elif again and (summary or row.step is not None):
            said.append(ev.Evaluation(name="after_training", metrics=row.values, about="again, after training"))
        else:
            kept.append(row)
            seen |= losses
    return kept, said, bool(summary)


def _fractions(rows: Sequence[Row]) -> dict[int, float]:
    """Step -> the epoch that is stated there, where each metric was last recorded."""
    last = {name: row for row in rows for name in row.values}
    return {row.step: row.epoch for row in last.values() if row.step is not None and row.epoch is not None}


def _renamed(names: Mapping[str, str], read: Sequence[str]) -> Iterator[str]:
    """Which columns go by another name here, and which are no metrics."""
    renamed = [*read, *(f"{name} as {new}" for name, new in names.items() if new and new != name)]
    if renamed:
        yield f"read {several(renamed, 4)}"
    left_out = [name for name, new in names.items() if not new]
    if left_out:
        yield f"left out, because no metric: {several(left_out, 6)}"


def _often(table: Numbered, path: Path) -> frozenset[str]:
    """Metrics that are logged by step rather than by epoch.

    Raises:
        InputError: an epoch that stands twice with no step to tell its rows apart.
    """
    if table.ends is not None:
        return frozenset(name for i, row in enumerate(table.rows) if i not in table.ends for name in row.values)
    present = {name for row in table.rows for name in row.values}
    found = {f"{name}_step" for name in present if f"{name}_step" in present}
    last: dict[str, tuple[int, Row]] = {}
    for epoch, row in zip(table.epochs, table.rows, strict=True):
        for name in row.values:
            before = last.get(name)
            if before is not None and before[0] == epoch:
                if row.step is None or before[1].step is None or row.step <= before[1].step:
                    raise InputError(
                        path,
                        f"epoch {row.epoch:g} stands twice (first in row {before[1].line})"
                        if row.epoch is not None and before[1].line is not None
                        else f"epoch {epoch} stands twice",
                        line=row.line,
                        key=name,
                        fix="Remove the rows of other runs, or name the steps: --columns step=NAME. None is chosen.",
                    )
                found.add(name)
            last[name] = (epoch, row)
    return frozenset(found)


def _last_of_several(table: Numbered, often: frozenset[str]) -> Iterator[str]:
    held_out = side(table.rows)
    several = sorted(name for name in often if name.startswith(held_out))
    if several and table.ends is None:
        yield f"{several[0]} is recorded several times an epoch: the last of each epoch counts, the others are probes"


def _events(table: Numbered, often: frozenset[str], means: bool) -> Iterator[ev.Event]:
    metrics: dict[str, float] = {}
    step, last_window, current = 0, 0, None
    held_out = side(table.rows)
    for i, (epoch, row) in enumerate(zip(table.epochs, table.rows, strict=True)):
        if table.ends is None and current is not None and epoch != current:
            yield ev.Epoch(epoch=current, step=step, metrics=metrics, t=row.t)
            metrics = {}
        current, step = epoch, max(step, row.step or 0)
        by_step = {name: value for name, value in row.values.items() if name in often}
        metrics |= {name: v for name, v in row.values.items() if name not in often or name.startswith(held_out)}
        window = _window(row, by_step, epoch, last_window if means else None)
        if window is not None:
            last_window = window.last_step
            yield window
        for name, value in by_step.items():
            yield ev.Probe(name=name, epoch=epoch, step=row.step or 0, values={"value": value}, t=row.t)
        if table.ends is not None and i in table.ends:
            end = ev.Log if table.counted else ev.Epoch
            yield end(epoch=epoch, step=step, metrics=metrics, t=row.t)
            metrics = {}
    if table.ends is None and current is not None:
        yield ev.Epoch(epoch=current, step=step, metrics=metrics, t=table.rows[-1].t)


def _window(row: Row, by_step: dict[str, float], epoch: int, before: int | None) -> ev.Window | None:
    """The row's training loss as a window of steps; what it holds is taken out of ``by_step``."""
    name = next((name for name in LOSSES if name in by_step), None)
    if name is None or row.step is None:
        return None
    loss = by_step.pop(name)
    rate = next((name for name in RATES if name in by_step), None)
    norm = next((name for name in NORMS if name in by_step), None)
    return ev.Window(
        t=row.t,
        epoch=epoch,
        first_step=row.step if before is None else min(before + 1, row.step),
        last_step=row.step,
        loss_mean=loss,
        loss_min=loss,
        loss_max=loss,
        lr=None if rate is None else by_step.pop(rate),
        grad_norm_max=None if norm is None else by_step.pop(norm),
        non_finite=None if math.isfinite(loss) else {"step": row.step, "what": name, "value": str(loss)},
    )
