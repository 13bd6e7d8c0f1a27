"""One finding about the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Item:
    """What was examined, and what is wrong with it.

    Args:
        group: where it is shown, such as "torch". name: what it is. value: what was found.
        problem: what is wrong, or "". fix: what to do about it, or what can be done.
        spoils: whether it would make the results of a run wrong, or impossible.
    """

    group: str
    name: str
    value: str
    problem: str = ""
    fix: str = ""
    spoils: bool = False


def size(count: float) -> str:
    """Bytes as people read them: ``1.5 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
