"""Where the other ranks were when rank 0 came to its end."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from pathlib import Path

from lvmcheck.run.ranks import Meeting
from lvmcheck.run.stopping import steps_of_others

WHO, END = "who.json", "end.json"


def who() -> dict[str, object]:
    """What tells this process from others."""
    return {"pid": os.getpid(), "host": platform.node()}


def last_seen(meeting: Meeting, steps: int, reason: str | None) -> list[dict[str, float]]:
    """Of each rank that was heard: ``behind`` steps, process ``gone``, ``failed`` by its own word, ``ended``.

    A rank that failed with the ``reason`` of rank 0 failed with it, and is no cause of it.
    """
    found = []
    reached = steps_of_others(meeting)
    for rank in range(1, meeting.size):
        known, end = meeting.read(f"{rank}.{WHO}"), meeting.read(f"{rank}.{END}")
        if not known:
            continue
        ended = bool(end)
        at = end.get("steps") if ended else reached.get(rank)
        found.append(
            {
                "rank": float(rank),
                "behind": float(max(0, steps - at)) if isinstance(at, int) else 0.0,
                "failed": float(
                    end.get("status") in ("failed", "interrupted") and not _alike(end.get("reason"), reason)
                ),
                "ended": float(ended),
                "gone": float(not ended and _gone(known)),
            }
        )
    return found


def _alike(reason: object, other: str | None) -> bool:
    """Whether two ranks failed with the same words, but for numbers such as their own."""
    return other is not None and re.sub(r"\d+", "", str(reason)) == re.sub(r"\d+", "", other)


def _gone(known: dict[str, object]) -> bool:
    """Whether that process of this machine has ended; False where it cannot be known."""
    pid = known.get("pid")
    if known.get("host") != platform.node() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
