"""How a session and a task of a cluster talk: files of the run directory, which both see."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.launch.locks import is_free, trainer_lock
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json

TASK = "task.json"
"""By the session: which task trains here, where it was queued, and what it is asked to do."""
AWAITED = "awaited"
"""Touched while the session lives."""
BEGUN = "begun.json"
"""By the task: which it is, on which machine, and since when."""
LEFT = "left.json"
"""By the task, last: which it was, how the trainer ended, and whether the worker was taken away."""

STACKS, AGAIN, TERM, KILL = "stacks", "again", "term", "kill"
"""What a task may be asked: to write stacks, to end and say where it is, to end, to be killed."""
BEAT = 5.0
"""Seconds between two touches."""
ORPHANED = 60.0
"""Seconds without a touch after which a task ends by itself: its session has gone."""


def orphaned(folder: Path) -> bool:
    """Whether a trainer writes here whose session has gone; a task of it is told that nobody waits for it.

    Args:
        folder: a run directory that the caller has locked.
    """
    if is_free(trainer_lock(folder)):
        return False
    said = read_json(folder / TASK)
    if said is not None and said.get("task") is not None:
        rundir.write_json(folder / TASK, {**said, "task": None})
    return True
