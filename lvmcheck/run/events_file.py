"""``events.jsonl`` as a file: what is none, grows for ever or never ends a line is refused at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from lvmcheck.errors import InputError
from lvmcheck.run.event_lines import EventError, parse_line
from lvmcheck.run.events import Epoch, Event
from lvmcheck.run.regular_file import open_regular

EVENTS = "events.jsonl"
MAX_LINE = 4 << 20  # bytes; a longer line is not an event
MAX_EVENTS = 2 << 30  # bytes of events.jsonl that are read at all
MAX_METRICS = 10_000  # names of metrics of one run; each is judged by many checks


def lines_of(file: BinaryIO, size: int) -> bytes:
    """At most ``size`` bytes; a file that grows for ever is not followed, one of a single endless line not read."""
    block = file.read(min(size, MAX_LINE + 1))
    if len(block) > MAX_LINE and b"\n" not in block:
        raise EventError(f"expected lines of at most {MAX_LINE:,} bytes, got a longer one")
    return block + file.read(size - len(block))


def unreadable(path: Path, problem: Exception) -> InputError:
    """The error for a file of a run directory that is there and cannot be read."""
    return InputError(path, f"cannot be read: {getattr(problem, 'strerror', None) or problem}")


def written_events(folder: Path) -> bytes:
    """What stands in the events so far; empty where there are none.

    Raises:
        InputError: it is no regular file, too large, or cannot be read.
    """
    try:
        with open_regular(folder / EVENTS) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_EVENTS:
                raise InputError(folder / EVENTS, f"expected at most {MAX_EVENTS:,} bytes, got {size:,}")
            return lines_of(file, size)
    except FileNotFoundError:
        return b""
    except (OSError, EventError) as problem:
        raise unreadable(folder / EVENTS, problem) from None


def event_at(folder: Path, line: bytes, number: int) -> Event:
    """The event in a line of the events.

    Raises:
        InputError: it is none.
    """
    try:
        return parse_line(line)
    except EventError as problem:
        raise InputError(folder / EVENTS, str(problem), line=number) from None


def progress(folder: Path, lines: Sequence[bytes]) -> tuple[int, int, int | None]:
    """Steps, epochs and the loop's number of the first epoch (None where there is none yet) that events hold.

    Raises:
        InputError: a line that is no event.
    """
    steps, epochs, first = 0, 0, None
    for number, line in enumerate(lines, start=1):
        event = event_at(folder, line, number)
        steps = max(steps, getattr(event, "last_step", 0), getattr(event, "step", 0))
        if isinstance(event, Epoch):
            epochs = event.epoch
            first = 1 if event.counted_as is None else event.counted_as - event.epoch + 1
    return steps, epochs, first
