"""What was read of a run while it went on, by its digest: one that was cut short is continued from what it wrote.

A run that has ended is sealed (:mod:`lvmcheck.run.seal`). One that was killed is not, and its events stand as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from weakref import WeakKeyDictionary

from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import open_regular, read_json

SEEN = "seen.json"


EVERY = 0.25
"""Seconds between two notes of one run."""
_KEPT: WeakKeyDictionary[rundir.Follower, tuple[int, float]] = WeakKeyDictionary()


def keep(folder: Path, follower: rundir.Follower) -> None:
    """Note how far the events were read, where there is more than before; a disk that refuses loses only that."""
    (size, digest), (known, then) = follower.seen, _KEPT.get(follower, (0, 0.0))
    now = time.monotonic()
    if size != known and now - then >= EVERY:
        _KEPT[follower] = size, now
        with contextlib.suppress(OSError):
            (folder / SEEN).write_text(json.dumps({"bytes": size, "sha256": digest}))


def changed(folder: Path) -> str | None:
    """Why the events of a run that was cut short are not those that were read; None where nothing speaks against it."""
    kept = read_json(folder / SEEN)
    if kept is None or not isinstance(kept.get("bytes"), int):
        return None
    found, left = hashlib.sha256(), int(kept["bytes"])
    try:
        with open_regular(folder / rundir.EVENTS) as file:
            while left > 0 and (block := file.read(min(left, 1 << 20))):
                found.update(block)
                left -= len(block)
    except OSError:
        return None  # the reader of the events says what is wrong
    same = left == 0 and found.hexdigest() == kept.get("sha256")
    return None if same else f"{rundir.EVENTS} was changed since the run was cut short"


def cut_to_checkpoint(folder: Path) -> Path | None:
    """:func:`lvmcheck.run.directory.cut_to_checkpoint`; what was noted of the events goes with what is cut."""
    (folder / SEEN).unlink(missing_ok=True)
    return rundir.cut_to_checkpoint(folder)
