"""The findings as one screen of text, and as plain values for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lvmcheck.commands.doctor.item import Item

FORMAT = 1
"""Version of the JSON; raised when a field changes its meaning."""


def screen(found: Sequence[Item]) -> list[str]:
    """A line an item, its problem and what to do below it, and the answer last."""
    lines: list[str] = []
    group = ""
    groups = list(dict.fromkeys(item.group for item in found))
    for item in sorted(found, key=lambda item: groups.index(item.group)):
        mark = "✗" if item.spoils else "!" if item.problem else " "
        lines.append(f"{mark} {item.group if item.group != group else '':12}{item.name}: {item.value}")
        group = item.group
        lines += [f"{'':14}{item.problem}"] if item.problem else []
        lines += [f"{'':14}do: {item.fix}"] if item.fix else []
    return [*lines, answer(found)]


def answer(found: Sequence[Item]) -> str:
    """One sentence."""
    spoiled = [item.name for item in found if item.spoils]
    noted = sum(bool(item.problem) and not item.spoils for item in found)
    if spoiled:
        return f"{len(spoiled)} would spoil results: {', '.join(spoiled)}"
    return "nothing found here would spoil results" + (f"; {noted} to look at (!)" if noted else "")


def body(found: Sequence[Item]) -> dict[str, object]:
    """All of it as plain values."""
    items = [dataclasses.asdict(item) for item in found]
    return {"format": FORMAT, "spoiled": any(item.spoils for item in found), "items": items}
