"""How a session and a task of a cluster talk: files of the run directory, which both see."""

from __future__ import annotations

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
