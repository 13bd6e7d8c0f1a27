"""Where the other ranks were when rank 0 came to its end."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import time
from pathlib import Path

from lvmcheck.run.ranks import Meeting
from lvmcheck.run.stopping import steps_of_others

WHO, END = "who.json", "end.json"
PATIENCE = 60.0
"""Seconds that another rank waits for rank 0 to begin."""


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


class RankLeftError(RuntimeError):
    """Another rank of the run is gone, and did not come to its end."""


def await_others(meeting: Meeting, steps: int, epochs: int, *, whole: bool = True, decided: bool = False) -> None:
    """Return once every other rank has come to its end; for rank 0, which only then says that the run has finished.

    Args:
        steps, epochs: how far rank 0 came. A rank that counts them too may end with fewer steps, but not half of them.
        whole: rank 0 went to its end, and did not stop before.
        decided: it has told the others to stop, which may have been behind it.

    Raises:
        RankLeftError: one left early, however it ended.
    """
    for rank in range(1, meeting.size if meeting.session else 0):
        while not (end := meeting.read(f"{rank}.{END}")) and not _gone(meeting.read(f"{rank}.{WHO}")):
            time.sleep(0.02)
        if not (end := end or meeting.read(f"{rank}.{END}")):
            raise RankLeftError(f"rank {rank} has left before it came to its end")
        if end.get("status") not in ("finished", "stopped"):
            raise RankLeftError(f"rank {rank} {end.get('status')}: {end.get('reason')}")
        own, at = int(end.get("epochs") or 0), int(end.get("steps") or 0)
        asked = not whole or (decided and end["status"] == "stopped" and not end.get("signalled"))
        if not asked and (0 < own < epochs or 0 < 2 * at < steps):
            raise RankLeftError(
                f"rank {rank} ended after {own} epochs and {at} steps, rank 0 after {epochs} and {steps}"
            )


def say_who(meeting: Meeting, patience: float = PATIENCE) -> None:
    """Tell rank 0 which process this rank is, once rank 0 has opened its session."""
    until = time.monotonic() + patience
    while not meeting.session and time.monotonic() < until:
        time.sleep(0.02)
    meeting.publish(f"{meeting.rank}.{WHO}", who())


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
