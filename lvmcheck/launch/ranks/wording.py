"""How ranks failed, in words: the rank and its error first, then where the others are."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.launch.ranks.call import RankFailure

LINES = 12
"""Last lines of a traceback, and of what a rank printed, that are shown."""


def failure_text(failure: RankFailure) -> str:
    """Several lines; the first says which rank failed, how and where."""
    facts = failure.facts[failure.rank]
    head = f"ranks({failure.size}): rank {failure.rank} {_how(failure, facts)}"
    others = [
        f"  rank {rank} {_state(body)}"
        for rank, body in failure.facts.items()
        if rank != failure.rank or failure.kind == "hung"
    ]
    trace = [f"    {line}" for line in str(facts.get("trace", "")).rstrip().splitlines()[-LINES:]]
    printed = failure.output.get(failure.rank, "").rstrip().splitlines()[-LINES:]
    said = [f"  rank {failure.rank} printed:", *(f"    {line}" for line in printed)] if printed else []
    return "\n".join([head, *others, *trace, *said])


def _how(failure: RankFailure, facts: Mapping[str, Any]) -> str:
    if failure.kind == "raised" and "returned" in facts:
        return f"returned a {facts['returned']}, which cannot be sent to another process: {facts['words']}"
    if failure.kind == "raised":
        words = f": {facts['words']}" if facts["words"] else ""
        return f"raised {facts['type']}{words}{_at(facts)}"
    if failure.kind == "died":
        return _death(facts.get("code"))
    return f"was not done after {failure.seconds:.0f} s: it {_waits(facts)}"


def _state(facts: Mapping[str, Any]) -> str:
    what = facts["what"]
    if what == "returned":
        return "has returned"
    if what == "raised":
        return f"raised {facts['type']}: {facts['words']}{_at(facts)}"
    if what == "died":
        return _death(facts.get("code"))
    return _waits(facts) if what == "waits" else "was running"


def _waits(facts: Mapping[str, Any]) -> str:
    if facts.get("what") != "waits":
        return "gave no sign"
    if facts.get("collective"):
        sizes = " of " + ", ".join(str(size) for size in facts["sizes"]) if facts.get("sizes") else ""
        return f"waits in {facts['collective']}{sizes}, collective {facts['number']} of this rank{_at(facts)}"
    called = f" {facts['called']}," if facts.get("called") else ""
    return f"is in{called} no collective{_at(facts)}"


def _at(facts: Mapping[str, Any]) -> str:
    if not facts.get("file"):
        return ""
    file = Path(facts["file"])
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    return f" ({shown}:{facts['line']})"


def _death(code: int | None) -> str:
    if code is None:
        return "was gone before it had returned"
    if code >= 0:
        return f"exited with {code} before it had returned"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
